"""The plan in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchbench.plan import CellState
from benchbench.runner.run import plan_cells
from benchbench.runner.workspace import Workspace


@dataclass(frozen=True)
class PlanLine:
    """One cell of a plan.

    Attributes:
        cell: Its name.
        state: ``cached``, ``failed before`` or ``to run``.
        cached: Results that are stored.
        missing: Results that are not, each with its reason.
    """

    cell: str
    state: str
    cached: list[str]
    missing: dict[str, str]


def plan_lines(work: Workspace, only: Sequence[str]) -> list[PlanLine]:
    """What would run, what is cached, and why the rest is not."""
    return [_line(state) for state in plan_cells(work, only)]


def _line(state: CellState) -> PlanLine:
    standing = "cached" if state.done else "failed before" if state.failure else "to run"
    return PlanLine(
        state.cell.name,
        standing,
        [result.name for result, reason in state.results if not reason],
        {result.name: reason for result, reason in state.missing},
    )


def plan_table(work: Workspace, lines: Sequence[PlanLine]) -> None:
    """Print the plan."""
    table = Table("cell", "state", "cached", "to compute, and why", box=None)
    for line in lines:
        table.add_row(line.cell, line.state, str(len(line.cached)), _why(line.missing))
    console = Console()
    console.print(table)
    waiting = [line for line in lines if line.state == "to run"]
    console.print(
        f"{len(lines) - len(waiting)} of {len(lines)} cells need no work; results are kept in {work.store.root}"
    )


def _why(missing: dict[str, str]) -> str:
    """Results grouped by reason, the first reason first: the rest follows from it."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in missing.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
