"""Features of a classifier trained on the dataset's own real training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from benchbench.features._scale import unit_variance_scale
from benchbench.hookspecs import hookimpl
from benchbench.networks import SmallCnn, init_weights
from benchbench.seeding import torch_generator
from benchbench.training.classification import in_batches, train_classifier
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureExtractor, FitContext, LabelledImages
from benchbench.types.comparison import Features


class Domain(FeatureExtractor):
    """The penultimate layer (before its ReLU) of a small CNN, scaled to unit mean variance.

    The scale is that of :func:`benchbench.features._scale.unit_variance_scale`. The labels used are those of
    the training split only.
    """

    name = "domain"

    class Config(BaseConfig):
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
        network = self._build(train.shape, len(train.classes))
        init_weights(network, torch_generator(self.config.seed, "domain", "init"))
        self.network = train_classifier(
            network,
            train,
            ctx,
            steps=self.config.steps,
            batch_size=self.config.batch_size,
            learning_rate=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        self.scale = 1.0
        self.scale = unit_variance_scale(self.extract(train.images, ctx.device), "features 'domain'")

    def extract(self, images: Tensor, device: torch.device) -> Features:
        """``float32 (N, d)``."""
        features = in_batches(self.network.to(device), images, device, "features").numpy()
        return np.asarray(features * np.float32(self.scale), dtype=np.float32)

    def probabilities(self, features: Features) -> Features:
        """What the classifier makes of ``extract``'s features: ``float32 (N, d)`` to ``float32 (N, K)``."""
        head = self.network.get_submodule("head")
        device = next(head.parameters()).device
        with torch.inference_mode():
            penultimate = torch.from_numpy(features / np.float32(self.scale)).to(device)
            out: Features = head(penultimate.relu()).softmax(dim=1).cpu().numpy()
        return out

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
        self.network = self._build((channels, height, width), state["num_classes"])
        self.network.load_state_dict(state["network"])
        self.scale = float(state["scale"])

    def _build(self, shape: tuple[int, int, int], num_classes: int) -> torch.nn.Module:
        self._shape, self._num_classes = shape, num_classes
        with torch.random.fork_rng(devices=[]):  # layers draw default weights from the global state
            return SmallCnn(shape, num_classes, self.config.width, self.config.features)


@hookimpl
def benchbench_features() -> Sequence[type[FeatureExtractor]]:
    """Bring the domain classifier's features."""
    return [Domain]
