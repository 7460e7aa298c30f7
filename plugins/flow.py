"""A normalizing flow: affine couplings, actnorm and invertible 1x1 convolutions (RealNVP, Glow)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

import benchbench as bb

# Images that the reported train_bits_per_dim is averaged over, at most.
FACT_IMAGES = 4096


def to_levels(images: Tensor, levels: int) -> Tensor:
    """``float`` in [-1, 1] to grey levels ``0..levels-1`` as floats: round((x + 1) / 2 * (levels - 1))."""
    return (images + 1.0).mul(0.5 * (levels - 1)).round()


def from_levels(level: Tensor, levels: int) -> Tensor:
    """Grey levels ``0..levels-1`` to floats in [-1, 1], the inverse of :func:`to_levels`."""
    return level * (2.0 / (levels - 1)) - 1.0


def dequantise(level: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """Uniform dequantisation ``(level + u) / levels``, u uniform in (0, 1) (Theis 2016, Sec. 3.1): floats in (0, 1).

    ``u`` is one of 4,096 evenly spaced numbers: ``level + u`` is then exact in float32, and rounding never carries a
    point across the edge of its cell.
    """
    noise = torch.randint(0, 4096, level.shape, generator=generator, device=level.device)
    return (level + (noise.to(level.dtype) + 0.5) / 4096) / levels


def quantise(x: Tensor, levels: int) -> Tensor:
    """The grey level of a point of the unit cube, the inverse of :func:`dequantise`; points outside are clamped."""
    return (x * levels).floor().clamp(0, levels - 1)


def to_logit(x: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """``logit(alpha + (1 - 2 alpha) x)`` and its log-determinant ``(B,)`` (Dinh 2017, Sec. 4.1); alpha 0 is x - 1/2."""
    if alpha == 0:
        return x - 0.5, x.new_zeros(len(x))
    inside = alpha + (1 - 2 * alpha) * x
    y = inside.log() - torch.log1p(-inside)
    log_slope = math.log(1 - 2 * alpha) + functional.softplus(y) + functional.softplus(-y)
    return y, log_slope.flatten(1).sum(1)


def from_logit(y: Tensor, alpha: float) -> Tensor:
    """The inverse of :func:`to_logit`."""
    return y + 0.5 if alpha == 0 else (torch.sigmoid(y) - alpha) / (1 - 2 * alpha)


def log_likelihood(flow: bb.MultiScaleFlow, x: Tensor, labels: Tensor | None, alpha: float) -> Tensor:
    """``log p(x | label)`` of points of the unit cube, nats ``(B,)``: code density and determinants."""
    y, log_det = to_logit(x, alpha)
    code, change = flow(y, labels)
    prior = -0.5 * (code.square() + math.log(2 * math.pi)).sum(1)
    total: Tensor = prior + log_det + change
    return total


def bits_per_dim(log_density: Tensor, dims: int, levels: int) -> Tensor:
    """Density of the dequantised image, nats, to bits a sub-pixel of the grey-level image.

    A level is a cell of side ``1 / levels``, so ``-log2 P(levels) <= -(log p - dims log(levels)) / log 2``
    in the mean over the dequantisation noise (Theis 2016, Eq. 6).
    """
    return (dims * math.log(levels) - log_density) / (dims * math.log(2))


@dataclass(frozen=True)
class FlowStep(bb.LearnerStep[bb.MultiScaleFlow]):
    """One step of maximum likelihood.

    Attributes:
        exact: A likelihood is a small difference of large numbers: no bfloat16.
        generator: The source of the dequantisation noise.
        config: The plugin's.
    """

    exact: ClassVar[bool] = True
    generator: torch.Generator
    config: Flow.Config

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """One step; returns the bits/dim of the batch under the weights in training."""
        config = self.config
        x = dequantise(to_levels(images, config.levels), config.levels, self.generator)
        condition = labels if config.conditional else None
        log_density = log_likelihood(self.learner.network, x, condition, config.logit_alpha)
        loss = bits_per_dim(log_density, x[0].numel(), config.levels).mean()
        self.learner.descend(loss, index, total)
        return {"bits_per_dim": loss.detach()}


class Flow(bb.Generator):
    """Glow (Kingma & Dhariwal 2018) with class-conditional couplings: an exact likelihood, in float32.

    Images are modelled in ``levels`` grey levels, ``round(x (levels - 1) / 255)``; with fewer than 256 the
    data is first coarsened to them, unless it has no others. Bits/dim are those of the grey-level image, so
    they compare only at equal ``levels``; a conditional flow's are ``-log2 p(image | label)``.
    """

    name = "flow"

    class Config(bb.Config):
        """Size, data model and training."""

        conditional: bool = Field(True, description="Whether couplings see the label.")
        levels: int = Field(256, ge=2, le=256, description="Grey levels modelled.")
        logit_alpha: float = Field(
            0.05, ge=0, lt=0.5, description="Margin of the logit transform of pixels (Dinh 2017); 0 is no transform."
        )
        scales: int = Field(3, ge=1, description="Squeezes, at most; fewer where a side is no longer divisible by two.")
        depth: int = Field(8, ge=1, description="Flow steps (actnorm, 1x1 convolution, coupling) a scale.")
        width: int = Field(128, ge=1, description="Hidden channels of the couplings.")
        steps: int = Field(20_000, ge=1, description="Optimizer steps.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of Adam; warm-up, then cosine decay.")
        weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
        gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient of bits/dim.")
        ema_decay: float = Field(0.999, ge=0, lt=1, description="Of the averaged weights that sample.")
        temperature: float = Field(
            1.0,
            gt=0,
            description="Standard deviation of the code when sampling. 1 samples the model; less trades variety "
            "for typicality (Kingma & Dhariwal 2018, Sec. 6).",
        )

    flow: bb.MultiScaleFlow

    @property
    def conditional(self) -> bool:
        """As configured."""
        return bool(self.config.conditional)

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> dict[str, float]:
        """Maximise the likelihood; reports ``train_bits_per_dim`` (see :meth:`bits_per_dim`).

        Raises:
            UnsupportedDataError: If a side of the images is odd.
            DivergedError: If the likelihood became NaN or infinite.
        """
        self._build(train.shape, len(train.classes))
        self.flow.reset(bb.torch_generator(ctx.seed, "flow", "init"))
        bb.place(self.flow, ctx)
        self._adapt(train, ctx)
        config = self.config
        learner = bb.Learner(
            self.flow,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            ema_decay=config.ema_decay,
            gradient_clip=config.gradient_clip,
        )
        step = FlowStep(learner, ctx.generator, config)
        bb.fit_loop(step, train, ctx, steps=config.steps, batch_size=config.batch_size)
        self.flow = learner.averaged
        some = torch.randperm(len(train), generator=bb.torch_generator(ctx.seed, "flow", "facts"))[:FACT_IMAGES]
        bits = self.bits_per_dim(train.take(some), bb.SampleContext(ctx.seed, ctx.device))
        return {"train_bits_per_dim": float(bits.mean())}

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """A normal code with standard deviation ``temperature``, through the inverse flow, to its grey level."""
        config = self.config
        flow = self.flow.to(ctx.device).eval()
        dims = math.prod(self._shape)

        def draw(labels: Tensor, generator: torch.Generator) -> Tensor:
            code = torch.randn(len(labels), dims, generator=generator, device=ctx.device) * config.temperature
            x = from_logit(flow.inverse(code, self._condition(labels)), config.logit_alpha)
            return bb.to_uint8(from_levels(quantise(x, config.levels), config.levels))

        return bb.sample_in_blocks(labels, ctx, draw)

    def bits_per_dim(self, data: bb.LabelledImages, ctx: bb.SampleContext) -> Tensor:
        """Negative log2-likelihood a sub-pixel with one draw of dequantisation noise, ``float64 (N,)``.

        An upper bound in the mean over that noise. Value ``i`` depends on ``ctx.seed``, ``i`` and image ``i`` alone.
        """
        config = self.config
        flow = self.flow.to(ctx.device).eval()

        def measure(rows: Tensor, generator: torch.Generator) -> Tensor:
            part = data.take(rows.cpu())
            level = to_levels(bb.to_float(part.images.to(ctx.device)), config.levels)
            x = dequantise(level, config.levels, generator)
            condition = self._condition(part.labels.to(ctx.device))
            log_density = log_likelihood(flow, x, condition, config.logit_alpha)
            return bits_per_dim(log_density.cpu().double(), math.prod(data.shape), config.levels)

        # Rows stand where labels do: the blocks, their padding and their seeds are those of sampling.
        return bb.sample_in_blocks(torch.arange(len(data)), ctx, measure)

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights and what the network is built from."""
        return {"shape": list(self._shape), "num_classes": self._num_classes, "flow": self.flow.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Rebuild the network and restore it."""
        channels, height, width = state["shape"]
        self._build((channels, height, width), state["num_classes"])
        self.flow.load_state_dict(state["flow"])

    def _build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """An uninitialised network for images of ``shape``."""
        if shape[1] % 2 or shape[2] % 2:
            raise bb.UnsupportedDataError(
                f"flow: got images of {shape[1]}x{shape[2]} pixels, expected even sides, since a flow squeezes 2x2 "
                "patches into channels; resize or pad the images by one pixel"
            )
        config = self.config
        self._shape, self._num_classes = shape, num_classes
        classes = num_classes if config.conditional else 0
        with torch.random.fork_rng(devices=[]):
            self.flow = bb.MultiScaleFlow(shape, config.scales, config.depth, config.width, classes)

    def _adapt(self, train: bb.LabelledImages, ctx: bb.FitContext) -> None:
        """Data-dependent initialisation of actnorm from up to 256 training images."""
        generator = bb.torch_generator(ctx.seed, "flow", "actnorm")
        part = train.take(torch.randperm(len(train), generator=generator)[:256])
        levels = self.config.levels
        x = dequantise(to_levels(bb.to_float(part.images), levels), levels, generator).to(ctx.device)
        self.flow.adapt(to_logit(x, self.config.logit_alpha)[0], self._condition(part.labels.to(ctx.device)))

    def _condition(self, labels: Tensor) -> Tensor | None:
        """The labels, where the flow sees them."""
        return labels if self.config.conditional else None


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the flow."""
    return [Flow]
