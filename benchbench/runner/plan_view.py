"""The plan in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchbench.plan import CellState
from benchbench.plan.inputs import Result
from benchbench.plan.state import cell_folder
from benchbench.runner.display import clock
from benchbench.runner.run import plan_cells
from benchbench.runner.workspace import Workspace
from benchbench.store.files import read_object
from benchbench.types import Outcome

# Row, stage and name of a result.
_Part = tuple[str, str, str]


@dataclass(frozen=True)
class PlanLine:
    """One cell of a plan.

    Attributes:
        cell: Its name.
        state: ``cached``, ``failed before`` or ``to run``.
        cached: Results that are stored.
        missing: Results that are not, each with its reason.
        seconds: What the missing results took here where they took longest, in a cell of this row; the row's longest
            cell, where one of them was never computed; None where no cell of it has run, 0 where nothing is to do.
    """

    cell: str
    state: str
    cached: list[str]
    missing: dict[str, str]
    seconds: float | None


def plan_lines(work: Workspace, only: Sequence[str]) -> list[PlanLine]:
    """What would run, what is cached, and why the rest is not."""
    states = plan_cells(work, only)
    parts: dict[_Part, float] = {}
    whole: dict[str, float] = {}
    for state in states:
        row = state.cell.row
        for part, seconds in _parts(work, state):
            parts[part] = max(parts.get(part, 0.0), seconds)
        folder = cell_folder(work.store, work.benchmark.name, state.cell)
        outcome = Outcome.of(state.cell.name, read_object(folder / "outcome.json"))
        whole[row] = max(whole.get(row, 0.0), outcome.seconds if outcome else 0.0)
    return [_line(state, parts, whole[state.cell.row] or None) for state in states]


def _part(state: CellState, result: Result) -> _Part:
    return state.cell.row, result.stage, result.name


def _parts(work: Workspace, state: CellState) -> Iterator[tuple[_Part, float]]:
    """What a cell's results took, also those that others replace now; stores of early versions do not say."""
    for standing in state.results:
        entry, stage = standing.entry, standing.result.stage
        if entry is None and standing.earlier is not None:
            entry = work.store.get(stage, standing.earlier)
        if entry is not None and "stage_seconds" in entry.meta:
            # a fit that was interrupted says in "seconds" what all of it took
            took = max(entry.meta["stage_seconds"], entry.meta.get("seconds", 0.0))
            yield _part(state, standing.result), float(took)


def _line(state: CellState, parts: Mapping[_Part, float], whole: float | None) -> PlanLine:
    standing = "cached" if state.done else "failed before" if state.failure else "to run"
    known = [parts.get(_part(state, missing.result)) for missing in state.missing]
    took = [seconds for seconds in known if seconds is not None]
    seconds = sum(took) if len(took) == len(known) else whole
    return PlanLine(
        state.cell.name,
        standing,
        [result.name for result, _ in state.stored],
        {missing.result.name: missing.reason for missing in state.missing},
        seconds if standing == "to run" else 0.0,
    )


def plan_table(work: Workspace, lines: Sequence[PlanLine]) -> None:
    """Print the plan."""
    table = Table("cell", "state", "cached", "at most", "to compute, and why", box=None)
    for line in lines:
        cost = clock(line.seconds) if line.state == "to run" else ""
        table.add_row(line.cell, line.state, str(len(line.cached)), cost, escape(_why(line.missing)))
    console = Console()
    console.print(table)
    waiting = [line for line in lines if line.state == "to run"]
    known = [line.seconds for line in waiting if line.seconds is not None]
    cost = f", at most {clock(sum(known))} of one worker's time" if known else ""
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
