"""Where a run is, seen from outside: from the files that it and its cells leave."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from benchbench.store.files import read_json, write_json
from benchbench.types import Outcome, Progress, Status

RUN = "run.json"


@dataclass(frozen=True)
class Watched:
    """A run at one moment.

    Attributes:
        benchmark: Its name.
        alive: Whether its process is still there.
        total: Cells that it set out to run.
        jobs: Cells at a time.
        ended: How cells ended, in the order of their end.
        running: Cells at work, and seconds since each last said so.
        waiting: Cells that have not begun.
        seconds: Since it began.
        seconds_left: Estimated from the cells that have ended; None before the first.
    """

    benchmark: str
    alive: bool
    total: int
    jobs: int
    ended: tuple[Outcome, ...]
    running: tuple[tuple[Progress, float], ...]
    waiting: tuple[str, ...]
    seconds: float
    seconds_left: float | None

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Those that did not end ok."""
        return tuple(outcome for outcome in self.ended if outcome.status is not Status.OK)


@dataclass(frozen=True)
class _Announced:
    """What :func:`announce` leaves: process id, seconds since 1970, names of cells, and how many at a time."""

    pid: Annotated[int, Field(gt=0, lt=2**31)]
    began: float
    cells: list[str]
    jobs: Annotated[int, Field(gt=0)]


def announce(folder: Path, cells: Sequence[str], jobs: int) -> None:
    """Leave word of a run that begins, for :func:`look`.

    Args:
        folder: ``<runs folder>/cells/<benchmark>``.
        cells: Names of the cells that it sets out to run.
        jobs: Cells at a time.
    """
    write_json(folder / RUN, asdict(_Announced(os.getpid(), time.time(), list(cells), jobs)))


def _announced(path: Path) -> _Announced | None:
    try:
        return TypeAdapter(_Announced).validate_python(read_json(path))
    except ValidationError:
        return None


def runs_in(runs_dir: Path) -> list[str]:
    """Benchmarks that were run in a runs folder, the latest first."""
    found = sorted((runs_dir / "cells").glob(f"*/{RUN}"), key=lambda path: -path.stat().st_mtime)
    return [path.parent.name for path in found]


def look(runs_dir: Path, benchmark: str) -> Watched | None:
    """The last run of a benchmark; None where there was none.

    Args:
        runs_dir: The runs folder.
        benchmark: The benchmark's name.
    """
    folder = runs_dir / "cells" / benchmark
    run = _announced(folder / RUN)
    if run is None:
        return None
    began, now = run.began, time.time()
    ended: list[tuple[float, Outcome]] = []
    running: list[tuple[Progress, float]] = []
    waiting: list[str] = []
    for name in run.cells:
        ending, when = _since(folder / name / "outcome.json", began)
        working, lately = _since(folder / name / "progress.json", began)
        outcome, progress = Outcome.of(name, ending), Progress.of(name, working)
        if outcome is not None:
            ended.append((when, outcome))
        elif progress is not None:
            running.append((progress, now - lately))
        else:
            waiting.append(name)
    outcomes = tuple(outcome for _, outcome in sorted(ended, key=lambda pair: pair[0]))
    alive = _alive(run.pid) and len(outcomes) < len(run.cells)
    left = _left(outcomes, [progress.name for progress, _ in running], waiting, run.jobs) if alive else None
    last = max([when for when, _ in ended], default=now)
    return Watched(
        benchmark,
        alive,
        len(run.cells),
        run.jobs,
        outcomes,
        tuple(running),
        tuple(waiting),
        (now if alive else last) - began,
        left,
    )


def _since(path: Path, began: float) -> tuple[Any, float]:
    """A file's value and its time, if it was written since a run began."""
    try:
        when = path.stat().st_mtime
    except OSError:
        return None, 0.0
    return (read_json(path) if when >= began - 1.0 else None), when


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _row(cell: str) -> str:
    """A cell's name without its seed and setting: cells of one row take about as long."""
    return cell.partition("-seed")[0]


def _left(ended: Sequence[Outcome], running: Sequence[str], waiting: Sequence[str], jobs: int) -> float | None:
    """Seconds left, if every cell takes as long as those of its row took, or as all did; half of it where it runs."""
    if not ended:
        return None
    mean = sum(outcome.seconds for outcome in ended) / len(ended)
    of_row: dict[str, list[float]] = {}
    for outcome in ended:
        of_row.setdefault(_row(outcome.name), []).append(outcome.seconds)

    def expected(cell: str) -> float:
        known = of_row.get(_row(cell))
        return sum(known) / len(known) if known else mean

    work = sum(map(expected, waiting)) + 0.5 * sum(map(expected, running))
    return work / max(1, min(jobs, len(running) + len(waiting)))
