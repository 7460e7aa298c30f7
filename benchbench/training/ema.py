"""Exponential moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """A second copy of a network whose weights follow the first one's, averaged.

    ``w_ema <- beta w_ema + (1 - beta) w`` with ``beta = min(decay, (1 + t) / (10 + t))`` at update t, so
    that the first steps do not linger (the warm-up of TensorFlow's ExponentialMovingAverage). Buffers,
    such as batch-norm statistics, are copied.

    Args:
        network: The trained network.
        decay: The limit of beta, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move one step towards ``network``."""
        beta = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averaged: list[torch.Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averaged, [p.detach() for p in network.parameters()], 1.0 - beta)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, object]:
        """The averaged weights and the number of updates."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore ``state_dict``."""
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        self.updates = int(state["updates"])  # type: ignore[call-overload]
