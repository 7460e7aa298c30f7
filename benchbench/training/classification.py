"""Training a classifier for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchbench.training.ema import Ema
from benchbench.training.loop import fit_loop
from benchbench.training.pixels import to_float
from benchbench.training.schedule import warmup_cosine
from benchbench.types import FitContext, LabelledImages

EVAL_BATCH = 256


class ClassifierStep:
    """AdamW with a linear warm-up and cosine decay on the cross-entropy, averaged at the end.

    Args:
        network: ``float (B, C, H, W)`` to logits ``(B, K)``.
        learning_rate: Its peak.
        weight_decay: Decoupled (Loshchilov & Hutter 2019).
        ema_decay: Of the averaged weights that predict.
    """

    def __init__(self, network: nn.Module, learning_rate: float, weight_decay: float, ema_decay: float) -> None:
        self.network = network.train()
        self.ema = Ema(network, ema_decay)
        self.learning_rate = learning_rate
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self.loss = nn.CrossEntropyLoss()

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """One step; returns the cross-entropy in nats."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * warmup_cosine(index, total)
        loss = self.loss(self.network(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.ema.update(self.network)
        return {"loss": loss.detach()}

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
    step = ClassifierStep(network.to(ctx.device), learning_rate, weight_decay, ema_decay)
    fit_loop(step, train, ctx, steps=steps, batch_size=batch_size, phase="classifier")
    return step.ema.network.eval()


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
