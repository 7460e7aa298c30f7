"""Cells: the units of work, of failure and of resumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchbench.config import BASELINE, Benchmark, GeneratorSpec
from benchbench.config.check import did_you_mean
from benchbench.errors import RequestError

# The only data setting so far: all training images.
FULL = "full"


@dataclass(frozen=True)
class Cell:
    """One row of the leaderboard at one seed and one data setting.

    Attributes:
        row: The row's name.
        seed: The seed of everything random in it.
        spec: The generator, or None for the baseline.
        setting: The data setting.
    """

    row: str
    seed: int
    spec: GeneratorSpec | None
    setting: str = FULL

    @property
    def name(self) -> str:
        """Unique within a benchmark, and fit for a file name."""
        return f"{self.row}-seed{self.seed}"


def expand(benchmark: Benchmark, only: Sequence[str] = ()) -> list[Cell]:
    """All cells of a benchmark, the baseline's first, then seed by seed.

    Seeds vary slowest, so that an interrupted run has whole boards of fewer seeds.

    Args:
        benchmark: The file.
        only: Rows to keep; none means all. The baseline always stays.

    Raises:
        RequestError: If a name in ``only`` is no row.
    """
    rows = {spec.label: spec for spec in benchmark.generators}
    for name in only:
        if name not in rows:
            raise RequestError(f"--only: no row is called {name!r} ({did_you_mean(name, rows)})")
    kept = {label: spec for label, spec in rows.items() if not only or label in only}
    cells = [Cell(BASELINE, seed, None) for seed in benchmark.seeds]
    return cells + [Cell(label, seed, spec) for seed in benchmark.seeds for label, spec in kept.items()]
