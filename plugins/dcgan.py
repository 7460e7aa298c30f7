"""DCGAN (Radford, Metz & Chintala 2016): the unconditional convolutional GAN, batch norm in both networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import nn

import benchbench as bb


class Dcgan(bb.Gan):
    """Unconditional: ``sample`` uses the number of its labels only.

    As published: strided and transposed convolutions, batch norm everywhere but at the generator's output
    and the discriminator's input, ReLU and LeakyReLU, tanh, weights from N(0, 0.02), Adam with beta1 0.5, the
    non-saturating loss. Added: averaged weights for sampling, a learning rate that falls at the end, and what later
    work changed: other norms, residual networks, the hinge loss, several discriminator steps.
    """

    name = "dcgan"
    init_std = 0.02  # Radford 2016, section 4

    class Config(bb.AdversarialConfig):
        """Radford's hyper-parameters where the paper gives them."""

        generator_norm: Literal["batch", "layer"] = Field(
            "batch", description="After every layer of the generator but the last; layer norm sees one image at a time."
        )
        discriminator_norm: Literal["batch", "spectral", "none"] = Field(
            "batch",
            validate_default=True,
            description="Batch norm (conv only), spectral norm of the weights (Miyato 2018), or none.",
        )

        @field_validator("discriminator_norm")
        @classmethod
        def _norm_fits(cls, norm: str, info: ValidationInfo) -> str:
            if norm == "batch" and info.data.get("network") == "resnet":
                raise ValueError("the residual discriminator has no batch norm; expected spectral or none")
            return norm

    @property
    def conditional(self) -> bool:
        """No: the benchmark file says where its labels come from."""
        return False

    def networks(self, shape: tuple[int, int, int], num_classes: int) -> tuple[nn.Module, nn.Module]:
        """Both blind to the class."""
        config, width = self.config, self.config.discriminator_width
        norm = _layer_norm if config.generator_norm == "layer" else nn.BatchNorm2d
        generator: nn.Module
        critic: nn.Module
        if config.network == "resnet":
            generator = bb.ResidualDecoder(config.z_dim, shape, config.width, norm=norm)
            critic = bb.ResidualCritic(shape, width)
        else:
            generator = bb.LatentDecoder(config.z_dim, shape, config.width, norm=norm)
            critic = bb.Critic(shape, width, norm=nn.BatchNorm2d if config.discriminator_norm == "batch" else None)
        return generator, bb.apply_spectral_norm(critic) if config.discriminator_norm == "spectral" else critic

    def train_step(self, players: bb.Players) -> bb.TrainStep:
        """The game as configured."""
        apart = self.config.discriminator_norm == "batch"
        return bb.AdversarialStep(players, apart=apart, loss=self.config.loss)


def _layer_norm(channels: int) -> nn.Module:
    """Layer norm of an image (Ba 2016): over channels and pixels, with a scale and a shift a channel."""
    return nn.GroupNorm(1, channels)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring DCGAN."""
    return [Dcgan]
