"""Cells: the units of work, of failure and of resumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchbench.config import BASELINE, Benchmark, GeneratorSpec
from benchbench.config.check import did_you_mean
from benchbench.errors import RequestError
from benchbench.plan.settings import FULL, Setting, all_settings


@dataclass(frozen=True)
class Cell:
    """One row of the leaderboard at one seed and one data setting.

    Attributes:
        row: The row's name.
        seed: The seed of everything random in it, the data subset included.
        spec: The generator, or None for the baseline.
        setting: The data setting.
    """

    row: str
    seed: int
    spec: GeneratorSpec | None
    setting: Setting = FULL

    @property
    def name(self) -> str:
        """Unique within a benchmark, and fit for a file name."""
        tail = "" if self.setting.whole else f"-{self.setting.name}"
        return f"{self.row}-seed{self.seed}{tail}"


def expand(benchmark: Benchmark, only: Sequence[str] = ()) -> list[Cell]:
    """All cells of a benchmark: setting by setting, in each the baseline's first, then seed by seed.

    Seeds vary slower than rows, so that an interrupted run has whole boards of fewer seeds. A row of the
    transfer track is left out where its generator would see no more than the others' do.

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
    cells = []
    for setting in all_settings(benchmark.settings):
        cells += [Cell(BASELINE, seed, None, setting) for seed in benchmark.seeds]
        cells += [
            Cell(label, seed, spec, setting)
            for seed in benchmark.seeds
            for label, spec in kept.items()
            if not (spec.transfer and setting.whole)
        ]
    return cells
