"""Two players and their turns: what every GAN's training step shares, whatever its loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchbench.training.ema import Ema
from benchbench.types import Config


class GanConfig(Config):
    """The hyper-parameters every GAN has."""

    steps: int = Field(10_000, ge=1, description="Optimizer steps of the discriminator.")
    batch_size: int = Field(64, ge=2, description="Real images a step.")
    z_dim: int = Field(128, ge=1, description="Length of the latent vector.")
    width: int = Field(
        64, ge=1, description="The generator's channels at full image size; doubled at every halving, up to 4 times."
    )
    discriminator_width: int = Field(64, ge=1, description="The same for the discriminator.")
    generator_rate: float = Field(2e-4, gt=0, description="Adam's learning rate for the generator.")
    discriminator_rate: float = Field(2e-4, gt=0, description="Adam's learning rate for the discriminator.")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the gradient's mean.")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the gradient's square.")
    ema_decay: float = Field(0.995, ge=0, lt=1, description="Decay of the averaged generator that is sampled.")
    rate_decay: float = Field(
        0.5, ge=0, le=1, description="Last part of training in which the learning rates fall linearly to zero."
    )


class Players:
    """A generator and a discriminator, an Adam for each, and the generator's average.

    Args:
        generator: ``generator(latents (B, z), labels (B,)) -> images (B, C, H, W)`` in [-1, 1].
        discriminator: ``discriminator(images, labels) -> scores (B,)``.
        config: Learning rates, Adam's betas, averaging.
        random: On the networks' device; draws latents and whatever else a step needs.
    """

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, config: GanConfig, random: torch.Generator
    ) -> None:
        self.generator = generator.train()
        self.discriminator = discriminator.train()
        self.config = config
        self.random = random
        self.ema = Ema(generator, config.ema_decay)
        self._generator_adam = self._adam(generator, config.generator_rate)
        self._discriminator_adam = self._adam(discriminator, config.discriminator_rate)

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Adam:
        # Small networks spend their time between the kernels, so all weights are moved by one.
        fused = self.random.device.type in ("cpu", "cuda")
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=fused)

    def latents(self, count: int) -> Tensor:
        """``count`` standard normal vectors, ``float (count, z_dim)``."""
        return torch.randn(count, self.config.z_dim, generator=self.random, device=self.random.device)

    def set_rates(self, index: int, total: int) -> None:
        """Set both learning rates for step ``index`` of ``total``: constant, then linearly to zero."""
        tail = self.config.rate_decay * total
        factor = min(1.0, (total - index) / tail) if tail > 0 else 1.0
        self._generator_adam.param_groups[0]["lr"] = self.config.generator_rate * factor
        self._discriminator_adam.param_groups[0]["lr"] = self.config.discriminator_rate * factor

    def move_discriminator(self, loss: Tensor) -> None:
        """One Adam step of the discriminator down ``loss``, which must not reach into the generator."""
        self._discriminator_adam.zero_grad(set_to_none=True)
        loss.backward()
        self._discriminator_adam.step()

    def judge(self, fake: Tensor, labels: Tensor) -> Tensor:
        """Scores ``(B,)`` for the generator's loss: the discriminator's weights are frozen meanwhile."""
        self.discriminator.requires_grad_(False)
        scores: Tensor = self.discriminator(fake, labels)
        self.discriminator.requires_grad_(True)
        return scores

    def move_generator(self, loss: Tensor) -> None:
        """One Adam step of the generator down ``loss``, and one of its average."""
        self._generator_adam.zero_grad(set_to_none=True)
        loss.backward()
        self._generator_adam.step()
        self.ema.update(self.generator)

    def state_dict(self) -> dict[str, Any]:
        """Networks, average and optimizers."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "ema": self.ema,
            "generator_adam": self._generator_adam,
            "discriminator_adam": self._discriminator_adam,
        }


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Binary cross-entropy of real against fake, from logits (Goodfellow 2014, Eq. 1, negated).

    Args:
        real_scores: Logits of real images, ``(B,)``.
        fake_scores: Logits of generated images, ``(B,)``.

    Returns:
        ``mean -log D(x) + mean -log(1 - D(G(z)))``, in nats; ``2 log 2`` where the two cannot be told apart.
    """
    return softplus(-real_scores).mean() + softplus(fake_scores).mean()


def generator_loss(fake_scores: Tensor) -> Tensor:
    """The non-saturating loss ``mean -log D(G(z))`` in nats (Goodfellow 2014, section 3)."""
    return softplus(-fake_scores).mean()


@dataclass(frozen=True)
class NonSaturatingStep:
    """One turn of either player on the same fakes, with the non-saturating loss.

    The fakes carry the labels of the real batch, so both have the empirical class distribution.

    Attributes:
        players: The two networks.
        apart: Whether real and fake images go through the discriminator one after the other. With batch norm
            they must; without it, one pass gives the same scores and is faster.
    """

    players: Players
    apart: bool

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """Discriminator, then generator; returns both losses in nats."""
        players = self.players
        players.set_rates(index, total)
        fake = players.generator(players.latents(len(images)), labels)
        loss_d = discriminator_loss(*self._scores(images, fake.detach(), labels))
        players.move_discriminator(loss_d)
        loss_g = generator_loss(players.judge(fake, labels))
        players.move_generator(loss_g)
        return {"discriminator_loss": loss_d.detach(), "generator_loss": loss_g.detach()}

    def _scores(self, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        critic = self.players.discriminator
        if self.apart:
            return critic(real, labels), critic(fake, labels)
        real_scores, fake_scores = critic(torch.cat([real, fake]), labels.repeat(2)).chunk(2)
        return real_scores, fake_scores

    def state_dict(self) -> dict[str, Any]:
        """That of the players."""
        return self.players.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.players.load_state_dict(state)
