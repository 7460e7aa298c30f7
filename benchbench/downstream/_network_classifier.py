"""What a classifier need not write again around its network and its optimizer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchbench.errors import UnsupportedDataError
from benchbench.networks import init_weights
from benchbench.seeding import torch_generator
from benchbench.training.acceleration import place
from benchbench.training.classification import in_batches
from benchbench.training.loop import fit_loop
from benchbench.types import Classifier, FitContext, LabelledImages, Predictor


class NetworkPredictor:
    """A trained network that gives class probabilities.

    Args:
        network: Logits from images.
        shape: (C, H, W) of the images.
        num_classes: K.
        device: Where to predict.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, int, int], num_classes: int, device: torch.device) -> None:
        self.network = network
        self.shape = shape
        self.num_classes = num_classes
        self.device = device

    def predict(self, images: Tensor) -> Tensor:
        """``uint8 (N, C, H, W)`` to probabilities ``float32 (N, K)``."""
        return in_batches(self.network, images, self.device).softmax(dim=1)

    def state_dict(self) -> dict[str, Any]:
        """Weights and what the network is built from."""
        return {"shape": list(self.shape), "num_classes": self.num_classes, "network": self.network.state_dict()}


class Descent:
    """A training step down the cross-entropy, by any of torch's optimizers.

    Args:
        network: Logits ``(B, K)`` from images; on its device.
        optimizer: Of the network's weights, at the largest learning rate.
        rate: ``rate(index, total)``: what part of that rate step ``index`` of ``total`` has.
        label_smoothing: Share of the target that goes to all classes alike (Szegedy 2016, section 7).
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        rate: Callable[[int, int], float],
        label_smoothing: float = 0.0,
    ) -> None:
        self.network = network.train()
        self.optimizer = optimizer
        self.largest = float(optimizer.param_groups[0]["lr"])
        self.rate = rate
        self.label_smoothing = label_smoothing

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        """One step; returns the cross-entropy in nats."""
        self.optimizer.param_groups[0]["lr"] = self.largest * self.rate(index, total)
        loss = cross_entropy(self.network(images).float(), labels, label_smoothing=self.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's."""
        return self.network.parameters()

    def state_dict(self) -> dict[str, Any]:
        """Network and optimizer."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


class NetworkClassifier(Classifier):
    """A classifier that is a network, and a way for it to learn."""

    @abstractmethod
    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        """Logits ``(B, K)`` from ``float (B, C, H, W)`` in [-1, 1].

        Raises:
            UnsupportedDataError: If images of this shape cannot be taken.
        """

    @abstractmethod
    def learn(self, network: nn.Module, train: LabelledImages, steps: int, ctx: FitContext) -> nn.Module:
        """Train ``network``, which is on the CPU and initialised; the network that predicts."""

    def train(self, train: LabelledImages, steps: int, ctx: FitContext) -> Predictor:
        """Train from an initialisation that depends on ``ctx.seed`` alone."""
        network = self._untrained(train.shape, len(train.classes))
        init_weights(network, torch_generator(ctx.seed, "classifier", "init"))
        trained = self.learn(network, train, steps, ctx)
        return NetworkPredictor(trained.eval(), train.shape, len(train.classes), ctx.device)

    def restore(self, state: Mapping[str, Any], device: torch.device) -> Predictor:
        """Rebuild the network and load its weights."""
        channels, height, width = state["shape"]
        network = self._untrained((channels, height, width), state["num_classes"])
        network.load_state_dict(state["network"])
        return NetworkPredictor(network.to(device).eval(), (channels, height, width), state["num_classes"], device)

    def _untrained(self, shape: tuple[int, int, int], num_classes: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # layers draw default weights from the global state
            return self.build(shape, num_classes)


class DescentClassifier(NetworkClassifier):
    """A classifier that learns by :class:`Descent`; its config has a ``batch_size``."""

    @abstractmethod
    def step(self, network: nn.Module) -> Descent:
        """How it learns."""

    def learn(self, network: nn.Module, train: LabelledImages, steps: int, ctx: FitContext) -> nn.Module:
        """Take the steps; the weights of the last one."""
        step = self.step(place(network, ctx))
        fit_loop(step, train, ctx, steps=steps, batch_size=self.config.batch_size, phase="classifier")
        return network


def too_small(name: str, shape: tuple[int, int, int], smallest: int) -> UnsupportedDataError:
    """The error of a classifier whose network needs larger images."""
    return UnsupportedDataError(
        f"classifier {name}: got images of {shape[1]}x{shape[2]}, expected at least {smallest}x{smallest}; "
        "use cnn_small, which takes any size"
    )
