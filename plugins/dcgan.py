"""DCGAN (Radford, Metz & Chintala 2016): the unconditional convolutional GAN, batch norm in both networks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

import benchbench as bb


class Dcgan(bb.Gan):
    """Unconditional: ``sample`` uses the number of its labels only.

    As published: strided and transposed convolutions, batch norm everywhere but at the generator's output
    and the discriminator's input, ReLU and LeakyReLU, tanh, weights from N(0, 0.02), Adam with beta1 0.5, the
    non-saturating loss. Added: averaged weights for sampling, a learning rate that falls at the end.
    """

    name = "dcgan"
    init_std = 0.02  # Radford 2016, section 4

    class Config(bb.GanConfig):
        """Radford's hyper-parameters where the paper gives them."""

    @property
    def conditional(self) -> bool:
        """No: the benchmark file says where its labels come from."""
        return False

    def networks(self, shape: tuple[int, int, int], num_classes: int) -> tuple[nn.Module, nn.Module]:
        """Both blind to the class."""
        config = self.config
        generator = bb.LatentDecoder(config.z_dim, shape, config.width)
        return generator, bb.Critic(shape, config.discriminator_width, norm=nn.BatchNorm2d)

    def train_step(self, players: bb.Players) -> bb.TrainStep:
        """The non-saturating game."""
        return bb.NonSaturatingStep(players, apart=True)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring DCGAN."""
    return [Dcgan]
