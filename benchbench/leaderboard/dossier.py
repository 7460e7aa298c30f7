"""All that a report may show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchbench.leaderboard.board import Board
from benchbench.leaderboard.reproduction import Reproduction


@dataclass(frozen=True)
class ArmDetail:
    """What an arm's classifiers did, over all seeds.

    Attributes:
        setting: The data setting's name.
        row: The row's name.
        arm: The training set.
        ratio: As in the records.
        confusion: ``confusion[t][p]``: test images of class t called p, summed over classifiers.
        curve: ``[step, mean training loss]``, over classifiers.
        classifiers: How many.
    """

    setting: str
    row: str
    arm: str
    ratio: float | None
    confusion: Sequence[Sequence[int]]
    curve: Sequence[Sequence[float]]
    classifiers: int


@dataclass(frozen=True)
class FitDetail:
    """How one generator learned.

    Attributes:
        setting: The data setting's name.
        row: The row's name.
        seed: The cell's.
        curve: ``[{"step": 50, "loss": 0.3, ...}, ...]``: the losses that the generator reports, by step. Phases of one
            fit (networks trained one after the other) follow each other, each from step 0.
        notes: ``[{"step": 150, "kind": "variety", "message": ...}, ...]``: what was odd but did not end the fit.
    """

    setting: str
    row: str
    seed: int
    curve: Sequence[Mapping[str, float]]
    notes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Nearest:
    """The samples that are nearest to a training image, of one row and setting, of the first seed.

    Attributes:
        features: In whose space.
        samples: ``uint8 (n, C, H, W)``, nearest first.
        training: ``uint8 (n, C, H, W)``: the training image that is nearest to each.
        distances: Euclidean, in features.
        searched: Samples that were looked at.
    """

    features: str
    samples: Tensor
    training: Tensor
    distances: Sequence[float]
    searched: int


@dataclass(frozen=True)
class Dossier:
    """The boards of a benchmark, one a data setting, with their exhibits.

    Attributes:
        boards: At least one; the setting with the most images first.
        manifest: Versions, hardware, seeds, fingerprints and keys, as JSON values.
        classes: The class names, by label.
        grids: By setting and row: ``uint8 (rows * K, C, H, W)``, K images a line, one a class, of the first seed.
        real: The same of real training images.
        details: Confusion matrices and training curves of the classifiers.
        fits: Training curves of the generators, and what was odd in them.
        nearest: By setting and row: the samples nearest to a training image.
        dimensions: By features: their length d.
        command: The command line that reproduces the boards.
        margin: Differences in accuracy below this do not matter.
        level: Confidence of the intervals.
        reproductions: The published numbers that the benchmark file names, beside the measured ones.
    """

    boards: Sequence[Board]
    manifest: Mapping[str, Any]
    classes: tuple[str, ...]
    grids: Mapping[str, Mapping[str, Tensor]]
    real: Tensor
    details: Sequence[ArmDetail]
    fits: Sequence[FitDetail]
    nearest: Mapping[str, Mapping[str, Nearest]]
    dimensions: Mapping[str, int]
    command: str
    margin: float
    level: float
    reproductions: Sequence[Reproduction] = ()

    @property
    def board(self) -> Board:
        """The first board."""
        return self.boards[0]

    def too_few(self, features: str) -> bool:
        """Whether a Fréchet distance in these features was taken on fewer than 2d images."""
        return int(self.manifest["images_per_distance"]) < 2 * self.dimensions.get(features, 0)
