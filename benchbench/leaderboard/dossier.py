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
        floors: Real-vs-real value by distance label, of as many images.
    """

    board: Board
    manifest: Mapping[str, Any]
    classes: tuple[str, ...]
    grids: Mapping[str, Tensor]
    real: Tensor
    command: str
    margin: float
    floors: Mapping[str, float]
