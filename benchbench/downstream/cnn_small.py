"""A small convolutional network as downstream classifier: seconds on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.hookspecs import hookimpl
from benchbench.networks import SmallCnn, init_weights
from benchbench.seeding import torch_generator
from benchbench.training.classification import in_batches, train_classifier
from benchbench.types import Classifier, Config, FitContext, LabelledImages, Predictor


class CnnPredictor:
    """A trained network that gives class probabilities."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network = network
        self.device = device

    def predict(self, images: Tensor) -> Tensor:
        """``uint8 (N, C, H, W)`` to probabilities ``float32 (N, K)``."""
        return in_batches(self.network, images, self.device).softmax(dim=1)


class CnnSmall(Classifier):
    """:class:`benchbench.networks.SmallCnn`, AdamW, cosine schedule, averaged weights; no augmentation."""

    name = "cnn_small"

    class Config(Config):
        """Size and optimizer."""

        width: int = Field(16, ge=1, description="Channels at full size.")
        features: int = Field(64, ge=1, description="Length of the penultimate layer.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(3e-3, gt=0, description="Peak learning rate of AdamW.")
        weight_decay: float = Field(0.05, ge=0, description="Decoupled weight decay.")

    def train(self, train: LabelledImages, steps: int, ctx: FitContext) -> Predictor:
        """Train from an initialisation that depends on ``ctx.seed`` alone."""
        config = self.config
        network = SmallCnn(train.shape, len(train.classes), config.width, config.features)
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
        return CnnPredictor(trained, ctx.device)


@hookimpl
def benchbench_classifiers() -> Sequence[type[Classifier]]:
    """Bring the small CNN."""
    return [CnnSmall]
