"""Conditional GAN (Mirza & Osindero 2014), with the conditioning that replaced its concatenated labels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

import benchbench as bb


class Cgan(bb.Gan):
    """A DCGAN whose two networks know the class.

    The generator learns it by class-conditional batch norm (Dumoulin 2017; de Vries 2017), the discriminator
    by projection (Miyato & Koyama 2018), instead of labels concatenated to the inputs. The discriminator
    has spectral norm (Miyato 2018) instead of batch norm. Averaged weights for sampling.

    ``network: resnet``, ``loss: hinge`` and ``n_critic: 5`` make it the projection GAN of Miyato & Koyama 2018.
    """

    name = "cgan"
    init_std = 0.02

    class Config(bb.AdversarialConfig):
        """Those of every GAN."""

    def networks(self, shape: tuple[int, int, int], num_classes: int) -> tuple[nn.Module, nn.Module]:
        """Conditional batch norm against a projection discriminator."""
        config, width = self.config, self.config.discriminator_width
        residual = config.network == "resnet"
        decoder, critic = (bb.ResidualDecoder, bb.ResidualCritic) if residual else (bb.LatentDecoder, bb.Critic)
        generator = decoder(config.z_dim, shape, config.width, num_classes)
        return generator, bb.apply_spectral_norm(critic(shape, width, num_classes))

    def train_step(self, players: bb.Players) -> bb.TrainStep:
        """The game as configured."""
        return bb.AdversarialStep(players, apart=False, loss=self.config.loss)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the conditional GAN."""
    return [Cgan]
