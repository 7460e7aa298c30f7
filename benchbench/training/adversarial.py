"""Two players and their turns: what every GAN's training step shares, whatever its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from benchbench.seeding import torch_generator
from benchbench.training.diff_augment import Change, diff_augment
from benchbench.training.ema import Ema
from benchbench.types import Config


class GanConfig(Config):
    """The hyper-parameters every GAN has."""

    steps: int = Field(10_000, ge=1, description="Optimizer steps of the discriminator.")
    batch_size: int = Field(64, ge=2, description="Real images a step.")
    n_critic: int = Field(1, ge=1, description="Discriminator steps for each generator step.")
    network: Literal["conv", "resnet"] = Field(
        "conv", description="Strided convolutions (Radford 2016), or residual blocks of one width (Miyato 2018)."
    )
    diff_augment: tuple[Change, ...] = Field(
        (), description="Differentiable augmentation before the discriminator (Zhao 2020); for few images."
    )
    z_dim: int = Field(128, ge=1, description="Length of the latent vector.")
    width: int = Field(
        64,
        ge=1,
        description="The generator's channels at full image size; doubled at every halving, up to 4 times, by conv.",
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


class AdversarialConfig(GanConfig):
    """Of a GAN whose discriminator is a classifier of real and fake."""

    loss: Literal["non_saturating", "hinge"] = Field("non_saturating", description="What the two play for.")


class Players:
    """A generator and a discriminator, an Adam for each, and the generator's average.

    Args:
        generator: ``generator(latents (B, z), labels (B,)) -> images (B, C, H, W)`` in [-1, 1].
        discriminator: ``discriminator(images, labels) -> scores (B,)``.
        config: Learning rates, Adam's betas, averaging, augmentation.
        random: On the networks' device; draws latents and whatever else a step needs.
        num_classes: K, as the generator takes labels.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        config: GanConfig,
        random: torch.Generator,
        num_classes: int = 1,
    ) -> None:
        self.generator = generator.train()
        self.discriminator = discriminator.train()
        self.config = config
        self.random = random
        self.num_classes = num_classes
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

    def generate(self, labels: Tensor) -> Tensor:
        """Fakes from fresh latents, one a label; float32 whatever the networks compute in."""
        fake: Tensor = self.generator(self.latents(len(labels)), labels).float()
        return fake

    def shown(self, images: Tensor) -> Tensor:
        """``images`` as the discriminator shall see them, real or fake: augmented as configured, anew each time."""
        return diff_augment(images, self.config.diff_augment, self.random)

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """The discriminator's scores ``float32 (B,)``: a loss in bfloat16 would have two or three digits."""
        scores: Tensor = self.discriminator(images, labels).float()
        return scores

    @torch.no_grad()
    def probe(self, count: int) -> Tensor:
        """``count`` images of the averaged generator from fixed latents, classes in turn; ``random`` is not used."""
        where = self.random.device
        latents = torch.randn(count, self.config.z_dim, generator=torch_generator(0, "probe")).to(where)
        labels = torch.arange(count, device=where) % self.num_classes
        images: Tensor = self.ema.network(latents, labels).float()
        return images

    def parameters(self) -> Iterator[nn.Parameter]:
        """Those of both networks."""
        return chain(self.generator.parameters(), self.discriminator.parameters())

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
        scores = self.score(self.shown(fake), labels)
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


def hinge_discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """``mean max(0, 1 - D(x)) + mean max(0, 1 + D(G(z)))`` (Lim & Ye 2017; Miyato 2018, Eq. 16)."""
    return relu(1.0 - real_scores).mean() + relu(1.0 + fake_scores).mean()


def hinge_generator_loss(fake_scores: Tensor) -> Tensor:
    """``-mean D(G(z))`` (Miyato 2018, Eq. 17)."""
    return -fake_scores.mean()


LOSSES: Mapping[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "non_saturating": (discriminator_loss, generator_loss),
    "hinge": (hinge_discriminator_loss, hinge_generator_loss),
}


@dataclass(frozen=True)
class PlayersStep:
    """What every GAN's training step shares; a subclass brings ``step``.

    Attributes:
        players: The two networks.
    """

    players: Players

    def parameters(self) -> Iterator[nn.Parameter]:
        """Those of the players."""
        return self.players.parameters()

    def probe(self, count: int) -> Tensor:
        """Samples ``float (count, C, H, W)`` of the averaged generator."""
        return self.players.probe(count)

    def state_dict(self) -> dict[str, Any]:
        """That of the players."""
        return self.players.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.players.load_state_dict(state)


@dataclass(frozen=True)
class AdversarialStep(PlayersStep):
    """A turn of the discriminator on every batch, and one of the generator on every ``n_critic``-th.

    The fakes carry the labels of the real batch, so both have the empirical class distribution. Where the players
    take turns at every batch, they play on the same fakes: one pass of the generator serves both.

    Attributes:
        apart: Whether real and fake images go through the discriminator one after the other. With batch norm
            they must; without it, one pass gives the same scores and is faster.
        loss: A key of :data:`LOSSES`.
    """

    apart: bool
    loss: str = "non_saturating"

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """Discriminator, then now and then the generator; returns the losses of those that moved."""
        players, (of_discriminator, of_generator) = self.players, LOSSES[self.loss]
        players.set_rates(index, total)
        n_critic = players.config.n_critic
        with torch.set_grad_enabled(n_critic == 1):
            fake = players.generate(labels)
        loss_d = of_discriminator(*self._scores(images, fake.detach(), labels))
        players.move_discriminator(loss_d)
        losses = {"discriminator_loss": loss_d.detach()}
        if (index + 1) % n_critic == 0:
            loss_g = of_generator(players.judge(fake if n_critic == 1 else players.generate(labels), labels))
            players.move_generator(loss_g)
            losses["generator_loss"] = loss_g.detach()
        return losses

    def _scores(self, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        players = self.players
        real, fake = players.shown(real), players.shown(fake)
        if self.apart:
            return players.score(real, labels), players.score(fake, labels)
        real_scores, fake_scores = players.score(torch.cat([real, fake]), labels.repeat(2)).chunk(2)
        return real_scores, fake_scores
