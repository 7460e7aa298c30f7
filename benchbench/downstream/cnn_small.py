"""A small convolutional network as downstream classifier: seconds on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.hookspecs import hookimpl
from benchbench.networks import SmallCnn, init_weights
from benchbench.seeding import torch_generator
from benchbench.training.classification import in_batches, train_classifier
from benchbench.types import Classifier, FitContext, LabelledImages, Predictor
from benchbench.types import Config as BaseConfig


class CnnPredictor:
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


class CnnSmall(Classifier):
    """:class:`benchbench.networks.SmallCnn`, AdamW, cosine schedule, averaged weights; no augmentation."""

    name = "cnn_small"

    class Config(BaseConfig):
        """Size and optimizer."""

        width: int = Field(16, ge=1, description="Channels at full size.")
        features: int = Field(64, ge=1, description="Length of the penultimate layer.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(0.02, gt=0, description="Peak learning rate of AdamW.")
        weight_decay: float = Field(0.5, ge=0, description="Decoupled weight decay.")

    def train(self, train: LabelledImages, steps: int, ctx: FitContext) -> Predictor:
        """Train from an initialisation that depends on ``ctx.seed`` alone."""
        config = self.config
        network = self._build(train.shape, len(train.classes))
        init_weights(network, torch_generator(ctx.seed, "classifier", "init"))
        trained = train_classifier(
            network,
            train,
            ctx,
            steps=steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        return CnnPredictor(trained, train.shape, len(train.classes), ctx.device)

    def restore(self, state: Mapping[str, Any], device: torch.device) -> Predictor:
        """Rebuild the network and load its weights."""
        channels, height, width = state["shape"]
        shape = (channels, height, width)
        network = self._build(shape, state["num_classes"])
        network.load_state_dict(state["network"])
        return CnnPredictor(network.to(device).eval(), shape, state["num_classes"], device)

    def _build(self, shape: tuple[int, int, int], num_classes: int) -> SmallCnn:
        with torch.random.fork_rng(devices=[]):  # layers draw default weights from the global state
            return SmallCnn(shape, num_classes, self.config.width, self.config.features)


@hookimpl
def benchbench_classifiers() -> Sequence[type[Classifier]]:
    """Bring the small CNN."""
    return [CnnSmall]
