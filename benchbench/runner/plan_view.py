"""The plan in the terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchbench.plan import CellState
from benchbench.plan.state import cell_folder
from benchbench.runner.display import clock
from benchbench.runner.run import plan_cells
from benchbench.runner.workspace import Workspace
from benchbench.store.files import read_object
from benchbench.types import Outcome


@dataclass(frozen=True)
class PlanLine:
    """One cell of a plan.

    Attributes:
        cell: Its name.
        state: ``cached``, ``failed before`` or ``to run``.
        cached: Results that are stored.
        missing: Results that are not, each with its reason.
        seconds: What the missing results took here where they took longest, in a cell of this row; 0 where nothing is
            to do, None where the row never ran here.
    """

    cell: str
    state: str
    cached: list[str]
    missing: dict[str, str]
    seconds: float | None


def plan_lines(work: Workspace, only: Sequence[str]) -> list[PlanLine]:
    """What would run, what is cached, and why the rest is not."""
    states = plan_cells(work, only)
    took: dict[str, _Took] = defaultdict(_Took)
    for state in states:
        took[state.cell.row].learn(work, state)
    return [_line(state, took[state.cell.row]) for state in states]


class _Took:
    """What the longest cell of a row took here, and every result where it took longest."""

    def __init__(self) -> None:
        self.whole = 0.0
        self.results: dict[tuple[str, str], float] = {}  # by stage and name

    def learn(self, work: Workspace, state: CellState) -> None:
        """Look at a cell, also at results that others are to replace now."""
        outcome = read_object(cell_folder(work.store, work.benchmark.name, state.cell) / "outcome.json")
        before = Outcome.of(state.cell.name, outcome)
        self.whole = max(self.whole, before.seconds if before else 0.0)
        for standing in state.results:
            meta: Mapping[str, Any] = {}
            if standing.entry is not None:
                meta = standing.entry.meta
            elif standing.earlier is not None:
                meta = work.store.meta(standing.result.stage, standing.earlier) or {}
            # A fit that was interrupted says in "seconds" what all of it took; early versions noted that alone.
            known = [float(meta[name]) for name in ("stage_seconds", "seconds") if name in meta]
            part = (standing.result.stage, standing.result.name)
            if known:
                self.results[part] = max(self.results.get(part, 0.0), *known)

    def estimate(self, state: CellState) -> float | None:
        """Seconds of what is missing; a metric or an arm that no cell has is taken to be like the longest other one."""
        longest: dict[str, float] = {}
        for (stage, _), seconds in self.results.items():
            longest[stage] = max(longest.get(stage, 0.0), seconds)
        wanted = [(missing.result.stage, missing.result.name) for missing in state.missing]
        found = [self.results.get(part, longest.get(part[0])) for part in wanted]
        known = [seconds for seconds in found if seconds is not None]
        anew = not state.begun or len(known) < len(found)
        return max(sum(known), self.whole if anew else 0.0) or None


def _line(state: CellState, took: _Took) -> PlanLine:
    standing = "cached" if state.done else "failed before" if state.failure else "to run"
    return PlanLine(
        state.cell.name,
        standing,
        [result.name for result, _ in state.stored],
        {missing.result.name: missing.reason for missing in state.missing},
        took.estimate(state) if standing == "to run" else 0.0,
    )


def plan_table(work: Workspace, lines: Sequence[PlanLine]) -> None:
    """Print the plan."""
    table = Table("cell", "state", "cached", "about", "to compute, and why", box=None)
    for line in lines:
        cost = clock(line.seconds) if line.state == "to run" else ""
        table.add_row(line.cell, line.state, str(len(line.cached)), cost, escape(_why(line.missing)))
    console = Console()
    console.print(table)
    waiting = [line for line in lines if line.state == "to run"]
    known = [line.seconds for line in waiting if line.seconds is not None]
    cost = f", about {clock(sum(known))} of one worker's time" if known else ""
    new = len(waiting) - len(known)
    cost += f"; no estimate for {new} of them, whose rows have not run here" if new else ""
    text = f"{len(waiting)} of {len(lines)} cells to run{cost}; results are kept in {work.store.root}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _why(missing: dict[str, str]) -> str:
    """Results grouped by reason, the first reason first: the rest follows from it."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in missing.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
