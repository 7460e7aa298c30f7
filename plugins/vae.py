"""A variational autoencoder with a Gaussian decoder of learned noise (Kingma & Welling 2014; Rybkin 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

import benchbench as bb

# Images that sigma and the reported bound are measured on, at most.
FACT_IMAGES = 4096
# A pixel is stored in steps of 2 / 255 on the networks' scale; sigma can't be known better than such a cell's own.
CELL = 2.0 / 255
SMALLEST_VARIANCE = CELL**2 / 12


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``KL(N(mean, diag exp(log_variance)) || N(0, I))``, nats ``(B,)`` (Kingma & Welling 2014, App. B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)


def gaussian_nll(x: Tensor, mean: Tensor, sigma: float | Tensor) -> Tensor:
    """``-log N(x; mean, sigma^2 I)``, ``(B, ...)`` to nats ``(B,)``."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    per_value = 0.5 * ((x - mean) / sigma).square() + sigma.log() + 0.5 * math.log(2 * math.pi)
    total: Tensor = per_value.flatten(1).sum(1)
    return total


def optimal_gaussian_nll(x: Tensor, mean: Tensor) -> Tensor:
    """Mean over the batch of ``-log N(x; mean, sigma^2 I)`` at the best ``sigma^2``, the mean squared error; nats.

    The optimal-sigma VAE (Rybkin 2021, Sec. 4): sigma needs no learning rate, and balances the two terms by itself.
    """
    variance = (x - mean).square().mean().clamp_min(SMALLEST_VARIANCE)
    return 0.5 * x[0].numel() * ((2 * math.pi * variance).log() + 1.0)


def discretised_gaussian_nll(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """``-log P`` of the 256-level image: each level's cell under ``N(mean, sigma^2)``, the outer two open, in nats.

    A true probability of discrete data, unlike the density, so that it compares with other likelihoods
    (Ho 2020, Eq. 13).
    """
    x, mean = ((x.double() + 1) / CELL).round() * CELL - 1, mean.double()  # undoes the rounding of float32 pixels
    upper = torch.where(x > 1 - CELL / 2, math.inf, (x + CELL / 2 - mean) / sigma)
    lower = torch.where(x < -1 + CELL / 2, -math.inf, (x - CELL / 2 - mean) / sigma)
    # Both ends mirrored to the lower tail, where the normal distribution function keeps its digits.
    flip = lower > 0
    lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    high, low = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    total: Tensor = -(high + torch.log1p(-(low - high).exp())).flatten(1).sum(1)
    return total


class VaeNetwork(nn.Module):
    """Encoder and decoder; both see the label where there are classes.

    Args:
        shape: (C, H, W).
        num_classes: K, or 0 for an unconditional model.
        latent: Length Z of the code.
        width: Channels at the full size.
        embedding: Length of a label's embedding.
    """

    def __init__(self, shape: tuple[int, int, int], num_classes: int, latent: int, width: int, embedding: int) -> None:
        super().__init__()
        self.latent, self.num_classes = latent, num_classes
        extra = embedding if num_classes else 0
        self.body = bb.Downsampler(shape, width, norm=_norm)
        self.hidden = nn.Linear(self.body.out_features + extra, 4 * width)
        self.posterior = nn.Linear(4 * width, 2 * latent)
        self.decoder = bb.Upsampler(latent + extra, shape, width, norm=_norm)
        self.encoder_label = nn.Embedding(num_classes, embedding) if num_classes else None
        self.decoder_label = nn.Embedding(num_classes, embedding) if num_classes else None

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """``float (B, C, H, W)`` to mean and log-variance of the posterior, ``(B, Z)`` each."""
        features = _beside(self.body(images), self.encoder_label, labels)
        mean, log_variance = self.posterior(nn.functional.silu(self.hidden(features))).chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 8.0)

    def decode(self, code: Tensor, labels: Tensor) -> Tensor:
        """Codes ``(B, Z)`` to the decoder's mean, ``(B, C, H, W)`` in (-1, 1)."""
        return torch.tanh(self.decoder(_beside(code, self.decoder_label, labels)))

    @torch.no_grad()
    def probe(self, count: int) -> Tensor:
        """Means at ``count`` fixed draws from the prior, classes in turn: ``float (count, C, H, W)``."""
        where = next(self.parameters()).device
        code = torch.randn(count, self.latent, generator=bb.torch_generator(0, "vae", "probe")).to(where)
        return self.decode(code, torch.arange(count, device=where) % max(1, self.num_classes))

    def forward(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A reconstruction from one posterior draw, and the posterior's divergence from the prior ``(B,)``."""
        mean, log_variance = self.encode(images, labels)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        code = mean + (0.5 * log_variance).exp() * noise
        return self.decode(code, labels), kl_to_standard_normal(mean, log_variance)


def _beside(vector: Tensor, embedding: nn.Embedding | None, labels: Tensor) -> Tensor:
    """``vector`` with the labels' embedding appended, where there is one."""
    return vector if embedding is None else torch.cat([vector, embedding(labels)], dim=1)


def _norm(channels: int) -> nn.Module:
    """Group norm: independent of the rest of the batch, in training as in sampling."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


@dataclass(frozen=True)
class VaeStep(bb.LearnerStep[VaeNetwork]):
    """One step on the negative evidence lower bound at the optimal sigma.

    Attributes:
        generator: The source of the posterior draws.
        config: The plugin's.
    """

    generator: torch.Generator
    config: Vae.Config

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """One step; returns the loss and the divergence in nats a sub-pixel and nats."""
        mean, divergence = self.learner.network(images, labels, self.generator)
        mean, kl = mean.float(), divergence.float().mean()
        loss = (optimal_gaussian_nll(images, mean) + self.config.beta * kl) / images[0].numel()
        self.learner.descend(loss, index, total)
        return {"loss": loss.detach(), "kl": kl.detach()}

    def probe(self, count: int) -> Tensor:
        """``float (count, C, H, W)``: the averaged decoder at draws from the prior, classes in turn."""
        return self.learner.averaged.probe(count)


class Vae(bb.Generator):
    """Conditional convolutional VAE: ``z ~ N(0, I)``, ``x ~ N(mean(z, label), sigma^2 I)``, one sigma for all pixels.

    sigma is the optimum for the weights (Rybkin 2021), not a choice. What ``sample`` returns is chosen by
    ``sample_noise``: the decoder's mean, or a draw from the model, which adds that noise to it.
    """

    name = "vae"

    class Config(bb.Config):
        """Size, objective and training."""

        conditional: bool = Field(True, description="Whether encoder and decoder see the label.")
        latent: int = Field(64, ge=1, description="Length of the code.")
        width: int = Field(64, ge=1, description="Channels at the full size; up to four times as many below.")
        embedding: int = Field(32, ge=1, description="Length of a label's embedding.")
        beta: float = Field(1.0, ge=0, description="Weight of the divergence; 1 is the evidence lower bound.")
        sample_noise: bool = Field(False, description="Whether samples carry the decoder's Gaussian noise.")
        steps: int = Field(20_000, ge=1, description="Optimizer steps.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of Adam; warm-up, then cosine decay.")
        weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
        gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient of the loss a sub-pixel.")
        ema_decay: float = Field(0.999, ge=0, lt=1, description="Of the averaged weights that sample.")

    network: VaeNetwork

    @property
    def conditional(self) -> bool:
        """As configured."""
        return bool(self.config.conditional)

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> dict[str, float]:
        """Maximise the evidence lower bound.

        Returns:
            ``sigma``, on the scale where pixels span [-1, 1]; ``train_elbo_bits_per_dim``, an upper bound of
            the bits/dim of 256-level images under the averaged weights; ``train_kl_nats``.

        Raises:
            DivergedError: If the loss became NaN or infinite.
        """
        self._build(train.shape, len(train.classes))
        bb.init_weights(self.network, bb.torch_generator(ctx.seed, "vae", "init"))
        config = self.config
        learner = bb.Learner(
            bb.place(self.network, ctx),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            ema_decay=config.ema_decay,
            gradient_clip=config.gradient_clip,
        )
        step = VaeStep(learner, ctx.generator, config)
        bb.fit_loop(step, train, ctx, steps=config.steps, batch_size=config.batch_size)
        self.network = learner.averaged
        return self._measure(train, ctx)

    @torch.inference_mode()
    def _measure(self, train: bb.LabelledImages, ctx: bb.FitContext) -> dict[str, float]:
        """Set sigma to the optimum over training images, and evaluate the bound there."""
        generator = bb.torch_generator(ctx.seed, "vae", "facts")
        some = train.take(torch.randperm(len(train), generator=generator)[:FACT_IMAGES])
        noise = bb.torch_generator(ctx.seed, "vae", "facts", "noise", device=ctx.device)
        parts = []
        for rows in (slice(start, start + 256) for start in range(0, len(some), 256)):
            images = bb.to_float(some.images[rows].to(ctx.device))
            parts.append((images, *self.network(images, some.labels[rows].to(ctx.device), noise)))
        images, means, divergence = (torch.cat(part) for part in zip(*parts, strict=True))
        self.sigma = float((images - means).square().mean().clamp_min(SMALLEST_VARIANCE).sqrt())
        nats = discretised_gaussian_nll(images, means, self.sigma) + divergence
        bits = nats.mean() / (images[0].numel() * math.log(2))
        return {"sigma": self.sigma, "train_elbo_bits_per_dim": float(bits), "train_kl_nats": float(divergence.mean())}

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """The decoder at a draw from the prior; with ``sample_noise``, plus ``sigma`` times normal noise, clamped."""
        network = self.network.to(ctx.device).eval()

        def draw(labels: Tensor, generator: torch.Generator) -> Tensor:
            code = torch.randn(len(labels), self.config.latent, generator=generator, device=ctx.device)
            images = network.decode(code, labels)
            if self.config.sample_noise:
                noise = torch.randn(images.shape, generator=generator, device=ctx.device)
                images = (images + self.sigma * noise).clamp(-1, 1)
            return bb.to_uint8(images)

        return bb.sample_in_blocks(labels, ctx, draw)

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights, sigma and what the network is built from."""
        return {
            "shape": list(self._shape),
            "num_classes": self._num_classes,
            "sigma": self.sigma,
            "network": self.network.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Rebuild the network and restore it."""
        channels, height, width = state["shape"]
        self._build((channels, height, width), state["num_classes"])
        self.network.load_state_dict(state["network"])
        self.sigma = float(state["sigma"])

    def _build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """An uninitialised network for images of ``shape``."""
        config = self.config
        self._shape, self._num_classes = shape, num_classes
        classes = num_classes if config.conditional else 0
        with torch.random.fork_rng(devices=[]):
            self.network = VaeNetwork(shape, classes, config.latent, config.width, config.embedding)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the VAE."""
    return [Vae]
