"""WGAN-GP (Gulrajani 2017): a Wasserstein critic kept 1-Lipschitz by a penalty on its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

import benchbench as bb


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """``mean f(G(z)) - mean f(x)``: minus the estimate of the Wasserstein-1 distance (Gulrajani 2017, Eq. 3)."""
    return fake_scores.mean() - real_scores.mean()


def gradient_penalty(critic: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """``mean (|grad_x f(x, y)|_2 - 1)^2`` (Gulrajani 2017, Eq. 3, without lambda).

    Args:
        critic: ``critic(images, labels) -> scores (B,)``, where a score depends on its own image alone (so no
            batch norm).
        images: Where the gradient is taken, ``float (B, C, H, W)``, detached.
        labels: ``int64 (B,)``.

    Returns:
        A scalar with a graph down to the critic's weights.
    """
    points = images.requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(points, labels).sum(), points, create_graph=True)
    # The root's slope is infinite at zero.
    norms = gradient.float().flatten(1).square().sum(dim=1).add(1e-12).sqrt()
    return (norms - 1.0).square().mean()


def between(real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """One point, uniformly, on each straight line from a fake to a real image (Gulrajani 2017, Algorithm 1)."""
    where = torch.rand(len(real), 1, 1, 1, generator=random, device=real.device)
    return torch.lerp(fake, real, where)


@dataclass(frozen=True)
class WassersteinStep(bb.PlayersStep):
    """One critic step on every batch, and one generator step after every ``n_critic`` of them."""

    penalty: float
    drift: float

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """Train the critic, now and then the generator; returns the distance estimate and the penalty."""
        players = self.players
        players.set_rates(index, total)
        with torch.no_grad():
            fake = players.shown(players.generate(labels))
            real = players.shown(images)
        real_scores, fake_scores = players.score(torch.cat([real, fake]), labels.repeat(2)).chunk(2)
        distance = -critic_loss(real_scores, fake_scores)
        penalty = gradient_penalty(players.score, between(real, fake, players.random), labels)
        players.move_discriminator(-distance + self.penalty * penalty + self.drift * real_scores.square().mean())
        if (index + 1) % players.config.n_critic == 0:
            players.move_generator(-players.judge(players.generate(labels), labels).mean())
        return {"wasserstein": distance.detach(), "gradient_penalty": penalty.detach()}


class WganGp(bb.Gan):
    """Batch norm in the generator, no norm in the critic, where it would tie the images of a batch together.

    Conditional by class-conditional batch norm and projection, as ``cgan``; or not at all.
    """

    name = "wgan_gp"
    double_backward = True

    class Config(bb.GanConfig):
        """Gulrajani's hyper-parameters where the paper gives them."""

        beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the gradient's mean.")
        beta2: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the gradient's square.")
        conditional: bool = Field(True, description="Whether both networks are told the class.")
        n_critic: int = Field(5, ge=1, description="Critic steps for each generator step.")
        gradient_penalty: float = Field(10.0, ge=0, description="Weight lambda of the gradient penalty.")
        drift: float = Field(
            0.001, ge=0, description="Weight of the critic's mean squared score on real images (Karras 2018)."
        )

    @property
    def conditional(self) -> bool:
        """As configured."""
        return bool(self.config.conditional)

    def networks(self, shape: tuple[int, int, int], num_classes: int) -> tuple[nn.Module, nn.Module]:
        """Told the number of classes only where they shall condition."""
        config, classes = self.config, num_classes if self.conditional else None
        if config.network == "resnet":
            generator = bb.ResidualDecoder(config.z_dim, shape, config.width, classes)
            return generator, bb.ResidualCritic(shape, config.discriminator_width, classes)
        return (
            bb.LatentDecoder(config.z_dim, shape, config.width, classes),
            bb.Critic(shape, config.discriminator_width, classes),
        )

    def train_step(self, players: bb.Players) -> bb.TrainStep:
        """The Wasserstein game."""
        return WassersteinStep(players, self.config.gradient_penalty, self.config.drift)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring WGAN-GP."""
    return [WganGp]
