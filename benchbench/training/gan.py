"""What a GAN plugin need not write again: fitting, sampling and storing around its networks and its step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchbench.networks.conv import init_weights
from benchbench.seeding import torch_generator
from benchbench.training.acceleration import place
from benchbench.training.adversarial import GanConfig, Players
from benchbench.training.loop import TrainStep, fit_loop
from benchbench.training.pixels import to_uint8
from benchbench.training.sampling import sample_in_blocks
from benchbench.types import FitContext, Generator, LabelledImages, SampleContext

# Batches over which the batch-norm statistics of the averaged generator are measured after training.
SETTLING_BATCHES = 50
SETTLING_BATCH_SIZE = 128


class Gan(Generator):
    """A generator that a discriminator teaches. A subclass brings its networks and its training step."""

    Config = GanConfig
    init_std: float | None = None
    """Standard deviation of the initial weights of ``conv`` networks; None is He's rule, as in residual ones."""
    double_backward = False
    """Whether the discriminator's gradient is differentiated again."""

    @abstractmethod
    def networks(self, shape: tuple[int, int, int], num_classes: int) -> tuple[nn.Module, nn.Module]:
        """The generator and the discriminator, as :class:`Players` takes them, for (C, H, W) and K."""

    @abstractmethod
    def train_step(self, players: Players) -> TrainStep:
        """How the players learn from one batch."""

    def fit(self, train: LabelledImages, ctx: FitContext) -> Mapping[str, float]:
        """Train, and keep the averaged generator; returns the last losses."""
        generator, discriminator = self._build(train.shape, len(train.classes))
        init_random = torch_generator(ctx.seed, self.name, "init")
        for network in (generator, discriminator):
            init_weights(network, init_random, self.init_std if self.config.network == "conv" else None)
        place(generator, ctx)
        place(discriminator, ctx, compilable=not self.double_backward)
        players = Players(generator, discriminator, self.config, ctx.generator, len(train.classes))
        step = self.train_step(players)
        result = fit_loop(step, train, ctx, steps=self.config.steps, batch_size=self.config.batch_size)
        self._network = players.ema.network
        settle_batch_norm(self._network, train.labels, self.config.z_dim, ctx)
        return result.losses

    def sample(self, labels: Tensor, ctx: SampleContext) -> Tensor:
        """``uint8 (n, C, H, W)``, one a label, from the averaged generator."""
        network = self._network.to(ctx.device).eval()

        def draw(block: Tensor, random: torch.Generator) -> Tensor:
            latents = torch.randn(len(block), self.config.z_dim, generator=random, device=ctx.device)
            return to_uint8(network(latents, block))

        return sample_in_blocks(labels, ctx, draw)

    def state_dict(self) -> dict[str, Any]:
        """The averaged generator and what it is built from."""
        return {
            "shape": list(self._shape),
            "num_classes": self._num_classes,
            "network": self._network.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Rebuild the generator and restore it."""
        channels, height, width = state["shape"]
        self._network, _ = self._build((channels, height, width), state["num_classes"])
        self._network.load_state_dict(state["network"])

    def _build(self, shape: tuple[int, int, int], num_classes: int) -> tuple[nn.Module, nn.Module]:
        self._shape, self._num_classes = shape, num_classes
        with torch.random.fork_rng(devices=[]):  # torch draws initial weights from the global generator
            return self.networks(shape, num_classes)


@torch.no_grad()
def settle_batch_norm(network: nn.Module, labels: Tensor, z_dim: int, ctx: FitContext) -> None:
    """Measure the batch-norm statistics of ``network`` anew, over fresh latents.

    Averaged weights want their own statistics: those collected while training belong to other weights
    (the "standing statistics" of Brock 2019, section 4.1). Without batch norm nothing is done.

    Args:
        network: ``network(latents, labels)``; left in evaluation mode.
        labels: Those of the training set; the statistics are taken over their distribution.
        z_dim: Length of a latent vector.
        ctx: Seed and device.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    random = torch_generator(ctx.seed, "settle", device=ctx.device)
    labels = labels.to(ctx.device)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
        norm.train()
    for _ in range(SETTLING_BATCHES if norms else 0):
        picked = torch.randint(len(labels), (SETTLING_BATCH_SIZE,), generator=random, device=ctx.device)
        latents = torch.randn(SETTLING_BATCH_SIZE, z_dim, generator=random, device=ctx.device)
        network(latents, labels[picked])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
