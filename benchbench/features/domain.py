"""Features of a classifier trained on the dataset's own real training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from benchbench.hookspecs import hookimpl
from benchbench.networks import SmallCnn, init_weights
from benchbench.seeding import torch_generator
from benchbench.training.classification import in_batches, train_classifier
from benchbench.types import Config, FeatureExtractor, FitContext, LabelledImages
from benchbench.types.plugins import Features


class Domain(FeatureExtractor):
    """The penultimate layer (before its ReLU) of a small CNN, scaled to unit mean variance.

    One number scales all features so that, over the real training images, the covariance has trace d. So a
    Fréchet distance divided by d is a fraction of the real variance, and KID's kernel, made for values
    near one, works in its range. The labels used are those of the training split only.
    """

    name = "domain"

    class Config(Config):
        """Size, training and seed. The seed is pinned: every row of a board is measured by one ruler."""

        features: int = Field(64, ge=2, description="Dimensions d.")
        width: int = Field(16, ge=1, description="Channels of the CNN at full size.")
        steps: int = Field(1000, ge=1, description="Optimizer steps.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(3e-3, gt=0, description="Peak learning rate of AdamW.")
        weight_decay: float = Field(0.05, ge=0, description="Decoupled weight decay.")
        seed: int = Field(0, description="Decides initialisation and batch order.")

    def fit(self, train: LabelledImages, ctx: FitContext) -> None:
        """Train the classifier on ``train`` and measure the scale."""
        self._build(train.shape, len(train.classes))
        init_weights(self.network, torch_generator(self.config.seed, "domain", "init"))
        self.network = train_classifier(
            self.network,
            train,
            ctx,
            steps=self.config.steps,
            batch_size=self.config.batch_size,
            learning_rate=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        self.scale = 1.0
        features = self.extract(train.images, ctx.device).astype(np.float64)
        self.scale = float(1.0 / np.sqrt(features.var(axis=0, ddof=1).mean()))

    def extract(self, images: Tensor, device: torch.device) -> Features:
        """``float32 (N, d)``."""
        features = in_batches(self.network.to(device), images, device, "features").numpy()
        return np.asarray(features * np.float32(self.scale), dtype=np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Weights, scale and what the network is built from."""
        return {
            "shape": list(self._shape),
            "num_classes": self._num_classes,
            "scale": self.scale,
            "network": self.network.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Rebuild the network and restore it."""
        channels, height, width = state["shape"]
        self._build((channels, height, width), state["num_classes"])
        self.network.load_state_dict(state["network"])
        self.scale = float(state["scale"])

    def _build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        self._shape, self._num_classes = shape, num_classes
        self.network: torch.nn.Module = SmallCnn(shape, num_classes, self.config.width, self.config.features)


@hookimpl
def benchbench_features() -> Sequence[type[FeatureExtractor]]:
    """Bring the domain classifier's features."""
    return [Domain]
