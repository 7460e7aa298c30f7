"""Invertible layers with their log-determinants, and the multi-scale flow they make up.

Every layer maps ``forward(x, labels) -> (y, log_det)`` with ``log_det = log |det dy/dx|`` in nats, ``(B,)``, and
``inverse(y, labels) -> x``. ``labels`` is ``int64 (B,)``, or None where nothing is conditional.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchbench.networks.conv import init_weights

# log s of one coupling stays within +-2, so that no single layer can blow up or crush an input.
LOG_SCALE_BOUND = 2.0

# Maps of at most so many pixels are coupled by linear layers (see AffineCoupling).
DENSE_PIXELS = 16


class Invertible(nn.Module):
    """What the layers of this module share: nothing but their signatures."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, C, H, W)`` to the same number of values, and the log-determinant ``(B,)``."""
        raise NotImplementedError

    def inverse(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """The ``x`` that ``forward`` maps to ``y``."""
        raise NotImplementedError

    def reset(self, generator: torch.Generator) -> None:
        """Draw what is random in the initial weights from ``generator`` (on the CPU)."""

    def adapt(self, x: Tensor) -> None:
        """Initialise from a batch of this layer's inputs, where the layer does such a thing."""


class Squeeze(Invertible):
    """Every 2x2 patch becomes four channels (Dinh 2017, Sec. 3.6): ``(B, C, H, W)`` to ``(B, 4C, H/2, W/2)``."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A permutation: the log-determinant is zero."""
        return functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """``(B, 4C, H/2, W/2)`` to ``(B, C, H, W)``."""
        return functional.pixel_shuffle(y, 2)


class ActNorm(Invertible):
    """A scale and a shift per channel, ``y = (x + b) exp(s)``, set by ``adapt`` (Kingma & Dhariwal 2018, Sec. 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is ``H W sum(s)``, the same for every image."""
        log_det = self.log_scale.sum() * (x.shape[2] * x.shape[3])
        return (x + self.bias) * self.log_scale.exp(), log_det.expand(len(x))

    def inverse(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """``y exp(-s) - b``."""
        return y * (-self.log_scale).exp() - self.bias

    @torch.no_grad()
    def adapt(self, x: Tensor) -> None:
        """Choose ``b`` and ``s`` such that this batch comes out with mean 0 and variance 1 in every channel."""
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
        self.bias.copy_(-mean)
        self.log_scale.copy_(-0.5 * variance.clamp_min(1e-6).log())


class InvertibleConv(Invertible):
    """A 1x1 convolution with ``W = P L (U + diag(s))`` (Kingma & Dhariwal 2018, Eq. 10-11).

    ``P`` is a fixed permutation, ``L`` unit lower and ``U`` strictly upper triangular; the sign of ``s`` is
    fixed. So ``log |det W| = sum log |s|`` costs nothing, and ``W`` can't become singular.
    """

    signs: Tensor
    permutation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("permutation", torch.eye(channels))
        self.register_buffer("signs", torch.ones(channels))
        self.lower = nn.Parameter(torch.zeros(channels, channels))
        self.upper = nn.Parameter(torch.zeros(channels, channels))
        self.log_diagonal = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Start from a random rotation."""
        size = len(self.signs)
        rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.permutation.copy_(permutation)
        self.lower.copy_(lower.tril(-1))
        self.upper.copy_(upper.triu(1))
        self.signs.copy_(upper.diagonal().sign())
        self.log_diagonal.copy_(upper.diagonal().abs().log())

    def weight(self) -> Tensor:
        """``W (C, C)``."""
        lower = self.lower.tril(-1) + torch.eye(len(self.signs), dtype=self.lower.dtype, device=self.lower.device)
        upper = self.upper.triu(1) + torch.diag(self.signs * self.log_diagonal.exp())
        weight: Tensor = self.permutation @ lower @ upper
        return weight

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is ``H W sum log |s|``, the same for every image."""
        log_det = self.log_diagonal.sum() * (x.shape[2] * x.shape[3])
        return (self.weight() @ x.flatten(2)).view_as(x), log_det.expand(len(x))

    def inverse(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """The convolution with the inverse of ``W``."""
        x: Tensor = torch.linalg.inv(self.weight()) @ y.flatten(2)
        return x.view_as(y)


class AffineCoupling(Invertible):
    """``y_a = x_a, y_b = (x_b + t(x_a)) exp(s(x_a))`` (Dinh 2017, Eq. 7), with ``s = 2 tanh(. / 2)``.

    ``s`` and ``t`` come from three layers, the last of which starts at zero, so that the coupling starts as the
    identity (Kingma & Dhariwal 2018, Sec. 3.3). On maps of more than 4x4 they are convolutions (3x3, 1x1, 3x3); on
    smaller ones, where a 3x3 window sees padding as much as pixels, they are linear layers over the whole map:
    faster, and every value sees every other. Labels enter as a learned bias of both hidden layers.

    Args:
        shape: (C, H, W) of the input, C at least 2.
        width: Hidden channels, or hidden units.
        num_classes: K, or 0 for an unconditional coupling.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, num_classes: int) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.kept = channels - channels // 2
        out = 2 * (channels // 2)
        pixels = height * width_px
        self.dense = pixels <= DENSE_PIXELS
        self.first = nn.Linear(self.kept * pixels, width) if self.dense else nn.Conv2d(self.kept, width, 3, padding=1)
        self.second = nn.Linear(width, width) if self.dense else nn.Conv2d(width, width, 1)
        self.last = nn.Linear(width, out * pixels) if self.dense else nn.Conv2d(width, out, 3, padding=1)
        self.embedding = nn.Embedding(num_classes, 2 * width) if num_classes else None

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Hidden layers by He's rule, the last one and the embedding zero."""
        init_weights(self, generator)
        self.last.weight.zero_()
        if self.embedding is not None:
            self.embedding.weight.zero_()

    def _scale_and_shift(self, kept: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """``s`` and ``t``, each of the shape of the changed half."""
        hidden = self.first(kept.flatten(1) if self.dense else kept)
        if self.embedding is None:
            hidden = self.second(functional.relu(hidden))
        else:
            biases = self.embedding(labels) if self.dense else self.embedding(labels)[:, :, None, None]
            one, two = biases.chunk(2, dim=1)
            hidden = self.second(functional.relu(hidden + one)) + two
        out = self.last(functional.relu(hidden))
        scale, shift = out.reshape(len(kept), -1, *kept.shape[2:]).chunk(2, dim=1)
        return LOG_SCALE_BOUND * torch.tanh(scale / LOG_SCALE_BOUND), shift

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is the sum of ``s``."""
        kept, changed = x[:, : self.kept], x[:, self.kept :]
        scale, shift = self._scale_and_shift(kept, labels)
        return torch.cat([kept, (changed + shift) * scale.exp()], dim=1), scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """``x_b = y_b exp(-s) - t``."""
        kept, changed = y[:, : self.kept], y[:, self.kept :]
        scale, shift = self._scale_and_shift(kept, labels)
        return torch.cat([kept, changed * (-scale).exp() - shift], dim=1)


class ClassNorm(Invertible):
    """``y = (x - m_k) exp(-s_k)`` for class k, value by value: as the last layer, a Gaussian prior for every class.

    A standard normal code behind it is a code ``N(m_k, diag exp(2 s_k))`` before it (Kingma & Dhariwal 2018,
    Sec. 4, "y-conditional top"). Starts as the identity.

    Args:
        features: D.
        num_classes: K.
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(num_classes, features))
        self.log_scale = nn.Parameter(torch.zeros(num_classes, features))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, D)``; the log-determinant is ``-sum(s_k)``."""
        log_scale = self.log_scale[labels]
        return (x - self.mean[labels]) * (-log_scale).exp(), -log_scale.sum(1)

    def inverse(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """``y exp(s_k) + m_k``."""
        return y * self.log_scale[labels].exp() + self.mean[labels]


class MultiScaleFlow(nn.Module):
    """Squeeze, ``depth`` times (actnorm, 1x1 convolution, coupling), and half of the channels leave; once a scale.

    It is the half that leaves that the scale's last coupling has changed: given the half that stays, its mean and scale
    are learned, which is the prior of Glow's splits. The last scale keeps all its channels (Dinh 2017, Fig. 4b). The
    code is all that left, flattened; it is standard normal under the model, after a shift and scale for every class
    where there are classes.

    Args:
        shape: (C, H, W); H and W divisible by two.
        scales: At most so many; fewer where a side is no longer divisible by two.
        depth: Flow steps a scale.
        width: Hidden channels of the couplings.
        num_classes: K, or 0 for an unconditional flow.
    """

    def __init__(self, shape: tuple[int, int, int], scales: int, depth: int, width: int, num_classes: int) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.prior = ClassNorm(math.prod(shape), num_classes) if num_classes else None
        self.scales = nn.ModuleList()
        self.out_shapes: list[tuple[int, int, int]] = []
        while len(self.scales) < scales and height % 2 == 0 and width_px % 2 == 0:
            channels, height, width_px = 4 * channels, height // 2, width_px // 2
            layers: list[nn.Module] = [Squeeze()]
            for _ in range(depth):
                coupling = AffineCoupling((channels, height, width_px), width, num_classes)
                layers += [ActNorm(channels), InvertibleConv(channels), coupling]
            self.scales.append(nn.ModuleList(layers))
            channels //= 2
            self.out_shapes.append((channels, height, width_px))
        self.out_shapes[-1] = (2 * channels, height, width_px)

    @property
    def _stacks(self) -> list[list[Invertible]]:
        """The layers, scale by scale."""
        return [[cast(Invertible, layer) for layer in cast(nn.ModuleList, scale)] for scale in self.scales]

    def reset(self, generator: torch.Generator) -> None:
        """Draw all random weights from ``generator`` (on the CPU)."""
        for module in self.modules():
            if isinstance(module, Invertible):
                module.reset(generator)

    @torch.no_grad()
    def adapt(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Initialise every actnorm from one batch, ``float (B, C, H, W)``, layer by layer."""
        for number, scale in enumerate(self._stacks):
            for layer in scale:
                layer.adapt(x)
                x, _ = layer(x, labels)
            x = x[:, : x.shape[1] - self.out_shapes[number][0]]

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``float (B, C, H, W)`` to the code ``(B, D)`` and the log-determinant ``(B,)`` in nats."""
        log_det, codes = x.new_zeros(len(x)), []
        for number, scale in enumerate(self._stacks):
            for layer in scale:
                x, change = layer(x, labels)
                log_det = log_det + change
            staying = x.shape[1] - self.out_shapes[number][0]
            codes.append(x[:, staying:].flatten(1))
            x = x[:, :staying]
        code = torch.cat(codes, dim=1)
        if self.prior is None:
            return code, log_det
        code, change = self.prior(code, labels)
        return code, log_det + change

    def inverse(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """The code ``(B, D)`` to ``float (B, C, H, W)``."""
        if self.prior is not None:
            code = self.prior.inverse(code, labels)
        codes = torch.split(code, [math.prod(shape) for shape in self.out_shapes], dim=1)
        x: Tensor | None = None
        for scale, part, shape in zip(reversed(self._stacks), reversed(codes), reversed(self.out_shapes), strict=True):
            left = part.reshape(-1, *shape)
            x = left if x is None else torch.cat([x, left], dim=1)
            for layer in reversed(scale):
                x = layer.inverse(x, labels)
        assert x is not None  # there is at least one scale
        return x
