"""Strided convolution stacks that reach any height and width."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

# A norm layer is made from its number of channels; None is no norm.
NormFactory = Callable[[int], nn.Module]


def size_ladder(height: int, width: int, smallest: int = 4) -> list[tuple[int, int]]:
    """Sizes from the full one down by halving (rounded up) until both sides are at most ``smallest``.

    >>> size_ladder(28, 28)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    ladder = [(height, width)]
    while max(ladder[-1]) > smallest:
        ladder.append(((ladder[-1][0] + 1) // 2, (ladder[-1][1] + 1) // 2))
    return ladder


def init_weights(network: nn.Module, generator: torch.Generator, std: float | None = None) -> None:
    """Draw all convolution and linear weights anew from ``generator`` (on the CPU); biases are zero.

    Args:
        network: Its conv and linear layers are re-initialised, norm layers are left alone.
        generator: The source of randomness; torch's own initialisers would use the global one.
        std: Standard deviation of a normal distribution (0.02 in Radford 2016); None is He's
            ``sqrt(2 / fan_in)`` (He 2015, Eq. 10).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            weight = raw_weight(module)
            spread = std if std is not None else (2.0 / _fan_in(module)) ** 0.5
            with torch.no_grad():
                weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
                bias = getattr(module, "bias", None)
                if bias is not None:
                    bias.zero_()


def raw_weight(module: nn.Module) -> Tensor:
    """The parameter behind ``module.weight``: where a parametrization computes that, what it computes from."""
    if parametrize.is_parametrized(module, "weight"):
        original: Tensor = module.parametrizations.weight.original  # type: ignore[union-attr,assignment]
        return original
    weight: Tensor = module.weight  # type: ignore[assignment]
    return weight


def _fan_in(module: nn.Module) -> float:
    """Inputs that one output of ``module`` sums."""
    if isinstance(module, nn.ConvTranspose2d):  # each output sees kernel / stride taps per input channel
        taps = module.weight.shape[2] * module.weight.shape[3] / (module.stride[0] * module.stride[1])
        return float(module.weight.shape[0] * taps)
    if isinstance(module, nn.Embedding):
        return 1.0
    weight = module.weight
    return float(weight[0].numel()) if isinstance(weight, Tensor) else 1.0


class Downsampler(nn.Module):
    """Halving convolutions (3x3, stride 2) with LeakyReLU 0.2, then flattened.

    Args:
        shape: (C, H, W) of the images.
        width: Channels after the first convolution; doubled at every further one up to ``4 * width``.
        norm: Norm after every convolution but the first (Radford 2016), or None.

    Attributes:
        out_features: Length of the output vector.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, norm: NormFactory | None = None) -> None:
        super().__init__()
        channels, height, width_px = shape
        ladder = size_ladder(height, width_px)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        now = width
        for _ in ladder[1:]:
            then = min(now * 2, 4 * width)
            layers.append(nn.Conv2d(now, then, 3, stride=2, padding=1))
            layers += [norm(then)] if norm else []
            layers.append(nn.LeakyReLU(0.2))
            now = then
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.out_features = now * ladder[-1][0] * ladder[-1][1]

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` to ``float (B, out_features)``."""
        out: Tensor = self.layers(images)
        return out


class Upsampler(nn.Module):
    """A linear layer and doubling transposed convolutions (4x4, stride 2), cut to the exact size.

    Args:
        in_features: Length of the input vector.
        shape: (C, H, W) of the output.
        width: Channels before the last convolution; twice as many at every earlier size, up to ``4 * width``.
        norm: Norm after every layer but the last, or None.
    """

    def __init__(
        self, in_features: int, shape: tuple[int, int, int], width: int, norm: NormFactory | None = None
    ) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.ladder = size_ladder(height, width_px)[::-1]
        widths = [min(4, 2**level) * width for level in range(len(self.ladder))][::-1]
        self.first = nn.Linear(in_features, widths[0] * self.ladder[0][0] * self.ladder[0][1])
        self.first_norm = norm(widths[0]) if norm else nn.Identity()
        self.steps = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(norm(after) if norm else nn.Identity() for after in widths[1:])
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)
        self.activation = nn.ReLU()

    def forward(self, vector: Tensor, condition: Tensor | None = None) -> Tensor:
        """``float (B, in_features)`` to ``float (B, C, H, W)``, unbounded.

        Args:
            vector: The input.
            condition: Handed to every norm as its second argument, where norms are conditional.
        """
        extra = () if condition is None else (condition,)
        x = self.first(vector).unflatten(1, (-1, *self.ladder[0]))
        x = self.activation(self.first_norm(x, *extra))
        for step, norm, (height, width) in zip(self.steps, self.norms, self.ladder[1:], strict=True):
            x = self.activation(norm(step(x)[:, :, :height, :width], *extra))
        out: Tensor = self.last(x)
        return out
