"""Spectral normalization of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value, by power iteration (Miyato 2018, Algorithm 1).

    One iteration at every use in training mode, none in evaluation mode. Unlike torch's own, it starts from a
    constant vector, so that it needs no randomness. In mixed precision the norm is still taken in float32.

    Args:
        weight: The weight to be divided; taken as a matrix of ``weight.shape[0]`` rows.
    """

    left: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("left", torch.empty(weight.shape[0]))
        self.restart()

    def restart(self) -> None:
        """Begin the power iteration anew."""
        self.left.fill_(len(self.left) ** -0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """``weight`` over its spectral norm; the gradient sees the norm too."""
        matrix = weight.flatten(1)
        with torch.autocast(weight.device.type, enabled=False):
            with torch.no_grad():
                right = normalize(matrix.t() @ self.left, dim=0)
                # Never the buffer itself: a later pass writes into it while this one may still be needed backwards.
                left = normalize(matrix @ right, dim=0) if self.training else self.left.clone()
                if self.training:
                    self.left.copy_(left)
            return weight / (left @ (matrix @ right)).clamp_min(1e-12)


def apply_spectral_norm(network: nn.Module) -> nn.Module:
    """Normalize the weight of every convolution and linear layer of ``network``; returns ``network``."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            norm = SpectralNorm(module.weight)
            parametrize.register_parametrization(module, "weight", norm)
            norm.restart()  # registering used it once, on weights that are not the initial ones yet
    return network
