"""A small convolutional network as downstream classifier: seconds on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field
from torch import nn

from benchbench.downstream._network_classifier import NetworkClassifier
from benchbench.hookspecs import hookimpl
from benchbench.networks import SmallCnn
from benchbench.training.classification import train_classifier
from benchbench.types import Classifier, FitContext, LabelledImages
from benchbench.types import Config as BaseConfig


class CnnSmall(NetworkClassifier):
    """:class:`benchbench.networks.SmallCnn`, AdamW, cosine schedule, averaged weights; no augmentation."""

    name = "cnn_small"

    class Config(BaseConfig):
        """Size and optimizer."""

        width: int = Field(16, ge=1, description="Channels at full size.")
        features: int = Field(64, ge=1, description="Length of the penultimate layer.")
        batch_size: int = Field(64, ge=2, description="Images a step.")
        learning_rate: float = Field(0.02, gt=0, description="Peak learning rate of AdamW.")
        weight_decay: float = Field(0.5, ge=0, description="Decoupled weight decay.")

    def build(self, shape: tuple[int, int, int], num_classes: int) -> SmallCnn:
        """For images of any size."""
        return SmallCnn(shape, num_classes, self.config.width, self.config.features)

    def learn(self, network: nn.Module, train: LabelledImages, steps: int, ctx: FitContext) -> nn.Module:
        """The average of the weights on their way."""
        config = self.config
        return train_classifier(
            network,
            train,
            ctx,
            steps=steps,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )


@hookimpl
def benchbench_classifiers() -> Sequence[type[Classifier]]:
    """Bring the small CNN."""
    return [CnnSmall]
