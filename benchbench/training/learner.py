"""A network on its way down a gradient: its optimizer, its learning-rate schedule and its average."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from benchbench.training.ema import Ema
from benchbench.training.schedule import warmup_cosine

Network = TypeVar("Network", bound=nn.Module)


class Learner(Generic[Network]):
    """AdamW (Loshchilov & Hutter 2019) with warm-up and cosine decay, and an exponential moving average.

    Args:
        network: On its device; set to training mode.
        learning_rate: Its peak.
        weight_decay: Decoupled.
        ema_decay: Of the averaged weights.
        gradient_clip: Largest norm of the whole gradient, or None.
    """

    def __init__(
        self,
        network: Network,
        *,
        learning_rate: float,
        weight_decay: float,
        ema_decay: float,
        gradient_clip: float | None = None,
    ) -> None:
        self.network = network.train()
        self.ema = Ema(network, ema_decay)
        self.learning_rate = learning_rate
        self.gradient_clip = gradient_clip
        # Small networks spend their time between the kernels, so all weights are moved by one.
        fused = next(network.parameters()).device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=fused
        )

    @property
    def averaged(self) -> Network:
        """The network with averaged weights, in evaluation mode."""
        return cast(Network, self.ema.network)

    def descend(self, loss: Tensor, index: int, total: int) -> None:
        """One optimizer step down ``loss``, as step ``index`` of ``total``; the average follows."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * warmup_cosine(index, total)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        self.optimizer.step()
        self.ema.update(self.network)

    def state_dict(self) -> dict[str, Any]:
        """Network, average and optimizer."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])


@dataclass(frozen=True)
class LearnerStep(Generic[Network]):
    """What every training step of a single network shares; a subclass brings ``step``.

    Attributes:
        learner: The network, its optimizer and its average.
    """

    learner: Learner[Network]

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's."""
        return self.learner.network.parameters()

    def state_dict(self) -> dict[str, Any]:
        """That of the learner."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.learner.load_state_dict(state)
