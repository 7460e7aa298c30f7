"""Training a classifier for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchbench.training.acceleration import place
from benchbench.training.learner import Learner, LearnerStep
from benchbench.training.loop import fit_loop
from benchbench.training.pixels import to_float
from benchbench.types import FitContext, LabelledImages

EVAL_BATCH = 256


class ClassifierStep(LearnerStep[nn.Module]):
    """One step on the cross-entropy of a network from ``float (B, C, H, W)`` to logits ``(B, K)``."""

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """One step; returns the cross-entropy in nats."""
        loss = cross_entropy(self.learner.network(images).float(), labels)
        self.learner.descend(loss, index, total)
        return {"loss": loss.detach()}


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
    learner = Learner(place(network, ctx), learning_rate=learning_rate, weight_decay=weight_decay, ema_decay=ema_decay)
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
