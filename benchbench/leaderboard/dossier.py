"""All that a report may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchbench.leaderboard.board import Board


@dataclass(frozen=True)
class Dossier:
    """A board with its exhibits.

    Attributes:
        board: The leaderboard.
        manifest: Versions, hardware, seeds, fingerprints and keys, as JSON values.
        classes: The class names, by label.
        grids: By row: ``uint8 (rows * K, C, H, W)``, K images a line, one a class, of the first seed.
        real: The same of real training images.
        command: The command line that reproduces the board.
        margin: Differences in accuracy below this do not matter.
        level: Confidence of the intervals.
        floors: Real-vs-real value by distance label, of as many images.
    """

    board: Board
    manifest: Mapping[str, Any]
    classes: tuple[str, ...]
    grids: Mapping[str, Tensor]
    real: Tensor
    command: str
    margin: float
    level: float
    floors: Mapping[str, float]

    @property
    def real_accuracy(self) -> float | None:
        """Mean test accuracy of the classifier trained on real images alone; None where it was not run."""
        means = [row.values["cas"].mean for row in self.board.of_role("baseline") if "cas" in row.values]
        return means[0] if means else None
