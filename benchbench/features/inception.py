"""Features of the 2015 Inception-v3: those in which a Fréchet distance is called FID."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbench.errors import DataMissingError
from benchbench.features._fid_inception import FidInception
from benchbench.features._weights import load_weights
from benchbench.hookspecs import hookimpl
from benchbench.training.classification import in_batches
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureExtractor, FitContext, LabelledImages
from benchbench.types.comparison import Features

WEIGHTS_FILE = "pt_inception-2015-12-05-6726825d.pth"
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
DATA_DIR_VARIABLE = "BENCHBENCH_DATA_DIR"

# One image takes some 10 MB of activations. On a CPU, larger batches are no faster.
CPU_BATCH, GPU_BATCH = 16, 256


class Inception(FeatureExtractor):
    """The 2048 pool3 features in which the Fréchet distance is FID, with pytorch-fid's weights.

    The weights are never downloaded from here. They are looked for in the config's ``weights``, in torch
    hub's cache, where pytorch-fid and torchmetrics leave them, and in ``$BENCHBENCH_DATA_DIR``.
    """

    name = "inception"
    proper_names = {"fd": "FID", "fd_train": "FID to train", "kid": "KID"}  # noqa: RUF012  (declared a ClassVar by the contract)

    class Config(BaseConfig):
        """Where the weights are, and in which arithmetic the network runs."""

        # a place, not a setting: left out of content keys, which take the weights' digest instead
        weights: str | None = Field(
            None, exclude=True, description=f"Path of {WEIGHTS_FILE}; None looks in the usual places."
        )
        precision: Literal["f32", "bf16"] = Field(
            "f32",
            description="Arithmetic of the network. bf16 is about twice as fast on processors that have it; "
            "distances moved by 0.8 percent on random weights, and were not yet measured on the real ones.",
        )

    def check(self) -> None:
        """Look for the weights file (see ``fit``)."""
        self._find()

    def fit(self, train: LabelledImages, ctx: FitContext) -> None:
        """Load the weights; nothing is learned from ``train``.

        Raises:
            DataMissingError: If the file is in none of the places.
            DataError: If it is not the file it should be.
        """
        self._load()

    def extract(self, images: Tensor, device: torch.device) -> Features:
        """``float32 (N, 2048)``."""
        batch = CPU_BATCH if device.type == "cpu" else GPU_BATCH
        features: Features = in_batches(self.network.to(device), images, device, batch_size=batch).numpy()
        return features

    def probabilities(self, features: Features) -> Features:
        """ImageNet's classes, as the Inception Score takes them: ``float32 (N, 2048)`` to ``float32 (N, 1008)``."""
        with torch.inference_mode():
            logits = self.network.logits(torch.from_numpy(features).to(self.network.classifier.device))
            out: Features = logits.softmax(dim=1).cpu().numpy()
        return out

    def state_dict(self) -> dict[str, Any]:
        """Which weights these are; the file itself (95 MB, public) is not copied."""
        return {"weights_sha256": WEIGHTS_SHA256}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the weights, which are looked for as in ``fit``."""
        self._load()

    def _load(self) -> None:
        weights = load_weights(self._find(), WEIGHTS_SHA256)
        self.network = FidInception(weights, torch.bfloat16 if self.config.precision == "bf16" else torch.float32)

    def _find(self) -> Path:
        """The first place that has the file."""
        cache = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE
        if self.config.weights is not None:
            places = [Path(self.config.weights).expanduser()]
        else:
            data_dir = os.environ.get(DATA_DIR_VARIABLE)
            places = [cache, *([Path(data_dir) / WEIGHTS_FILE] if data_dir else [])]
        for place in places:
            if place.is_file():
                return place
        raise DataMissingError(
            f"features 'inception': {WEIGHTS_FILE} is not on this machine. Looked for: "
            + ", ".join(str(place) for place in places)
            + f". Fetch it from the GitHub project mseitzer/pytorch-fid, release 'fid_weights' (95,628,359 bytes, "
            f"SHA-256 {WEIGHTS_SHA256}), and put it at {cache}, or into the folder named by ${DATA_DIR_VARIABLE}, "
            "or give its path as the features' config key 'weights'"
        )


@hookimpl
def benchbench_features() -> Sequence[type[FeatureExtractor]]:
    """Bring the Inception features."""
    return [Inception]
