"""Features of the 2015 Inception-v3: those in which a Fréchet distance is called FID."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbench.errors import DataMissingError
from benchbench.features._weights import as_rgb, load_weights
from benchbench.hookspecs import hookimpl
from benchbench.training.classification import in_batches
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureExtractor, FitContext, LabelledImages
from benchbench.types.comparison import Features

WEIGHTS_FILE = "pt_inception-2015-12-05-6726825d.pth"
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
DATA_DIR_VARIABLE = "BENCHBENCH_DATA_DIR"

SIZE, FEATURES, CLASSES = 299, 2048, 1008

# At 299 x 299 an image takes some 15 MB of activations: larger batches cost memory and are no faster.
BATCH = 32


class FidInception(nn.Module):
    """Inception-v3 up to its last average pooling, as in the first FID (Heusel 2017), built from pytorch-fid's blocks.

    It differs from torchvision's in three kinds of block, whose poolings follow TensorFlow's 2015 graph.
    Without weights: parameters are on the ``meta`` device until a state dict is assigned.

    Attributes:
        classifier: ``(1008, 2048)``, the weights of the classifier on top.
    """

    classifier: Tensor

    def __init__(self) -> None:
        from pytorch_fid import inception as fid
        from torchvision.models import inception_v3

        super().__init__()
        with torch.device("meta"):
            network = inception_v3(weights=None, num_classes=CLASSES, aux_logits=False, init_weights=False)
            network.Mixed_5b = fid.FIDInceptionA(192, pool_features=32)
            network.Mixed_5c = fid.FIDInceptionA(256, pool_features=64)
            network.Mixed_5d = fid.FIDInceptionA(288, pool_features=64)
            for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
                setattr(network, name, fid.FIDInceptionC(768, channels_7x7=width))
            network.Mixed_7b = fid.FIDInceptionE_1(1280)
            network.Mixed_7c = fid.FIDInceptionE_2(2048)
        network.dropout = network.fc = nn.Identity()
        self.network = network
        self.register_buffer("classifier", torch.empty(CLASSES, FEATURES, device="meta"))

    def assign(self, weights: Mapping[str, Tensor]) -> None:
        """Take pytorch-fid's state dict; every name but that of the classifier's unused bias must match."""
        self.classifier = weights["fc.weight"]
        kept = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        self.network.load_state_dict(kept, strict=True, assign=True)

    def logits(self, features: Tensor) -> Tensor:
        """``float (B, 2048)`` to logits ``float (B, 1008)``, without the classifier's bias.

        The first Inception Score left it out, and so has every one since that compares with it.
        """
        return features @ self.classifier.T

    def forward(self, images: Tensor) -> Tensor:
        """``float (B, C, H, W)`` in [-1, 1] to ``float (B, 2048)``.

        The resize kernel is pytorch-fid's (bilinear, half-pixel centres, no antialiasing); being linear, it
        commutes with pytorch-fid's change of range.
        """
        resized = nn.functional.interpolate(as_rgb(images), size=(SIZE, SIZE), mode="bilinear", align_corners=False)
        out: Tensor = self.network(resized)
        return out


class Inception(FeatureExtractor):
    """The 2048 pool3 features in which the Fréchet distance is FID, with pytorch-fid's weights.

    The weights are never downloaded from here. They are looked for in the config's ``weights``, in torch
    hub's cache, where pytorch-fid and torchmetrics leave them, and in ``$BENCHBENCH_DATA_DIR``.
    """

    name = "inception"
    proper_names = {"fd": "FID", "kid": "KID"}  # noqa: RUF012  (declared a ClassVar by the contract)

    class Config(BaseConfig):
        """Where the weights are."""

        # a place, not a setting: left out of content keys, which take the weights' digest instead
        weights: str | None = Field(
            None, exclude=True, description=f"Path of {WEIGHTS_FILE}; None looks in the usual places."
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
        features: Features = in_batches(self.network.to(device), images, device, batch_size=BATCH).numpy()
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
        self.network = FidInception()
        self.network.assign(weights)

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
