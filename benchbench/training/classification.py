"""Training a classifier for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchbench.training.learner import Learner
from benchbench.training.loop import fit_loop
from benchbench.training.pixels import to_float
from benchbench.types import FitContext, LabelledImages

EVAL_BATCH = 256


class ClassifierStep:
    """One step on the cross-entropy.

    Args:
        learner: A network from ``float (B, C, H, W)`` to logits ``(B, K)``; its average predicts.
    """

    def __init__(self, learner: Learner[nn.Module]) -> None:
        self.learner = learner
        self.loss = nn.CrossEntropyLoss()

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """One step; returns the cross-entropy in nats."""
        loss = self.loss(self.learner.network(images), labels)
        self.learner.descend(loss, index, total)
        return {"loss": loss.detach()}

    def state_dict(self) -> dict[str, Any]:
        """That of the learner."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.learner.load_state_dict(state)


def train_classifier(
    network: nn.Module,
    train: LabelledImages,
    ctx: FitContext,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    ema_decay: float = 0.98,
) -> nn.Module:
    """Train ``network`` on ``train`` for ``steps`` steps; the averaged network, in evaluation mode."""
    learner = Learner(
        network.to(ctx.device), learning_rate=learning_rate, weight_decay=weight_decay, ema_decay=ema_decay
    )
    fit_loop(ClassifierStep(learner), train, ctx, steps=steps, batch_size=batch_size, phase="classifier")
    return learner.averaged


@torch.inference_mode()
def in_batches(
    network: nn.Module,
    images: Tensor,
    device: torch.device,
    method: str = "forward",
    batch_size: int = EVAL_BATCH,
) -> Tensor:
    """``network.method`` over ``uint8 (N, C, H, W)``, in evaluation mode, as one CPU tensor.

    The last batch is padded to the full size, so that a row does not depend on how many stand beside it.
    """
    network.eval()
    outputs = []
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        missing = batch_size - len(part)
        padded = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
        outputs.append(getattr(network, method)(to_float(padded.to(device)))[: len(part)].cpu().clone())
    return torch.cat(outputs)
