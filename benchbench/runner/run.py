"""Running a benchmark: what is missing is computed, the rest is served, and the board is written."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from benchbench.errors import RequestError
from benchbench.leaderboard import Board
from benchbench.plan import CellState, examine, expand, remember
from benchbench.plan.state import cell_folder
from benchbench.runner.collect import check_columns, collect_boards
from benchbench.runner.display import Verbosity, make_display
from benchbench.runner.environment import usable_cpus
from benchbench.runner.publish import write_reports
from benchbench.runner.watch import announce
from benchbench.runner.worker import payload
from benchbench.runner.workspace import Workspace
from benchbench.store.files import write_json
from benchbench.types import Executor, Outcome, Status, Task


@dataclass(frozen=True)
class Finished:
    """A run's end.

    Attributes:
        boards: The leaderboards, one a data setting.
        folder: Where the reports are.
        computed: Cells that were run now.
        served: Cells that were complete before.
        failures: Cells that did not end ok, those of earlier runs included.
        faults: What could not be written, each with its reason.
    """

    boards: Sequence[Board]
    folder: Path
    computed: int
    served: int
    failures: tuple[Outcome, ...]
    faults: tuple[str, ...]


def plan_cells(work: Workspace, only: Sequence[str] = ()) -> list[CellState]:
    """Every cell with what it lacks and why."""
    return [examine(work.inputs, cell, work.store) for cell in expand(work.benchmark, only)]


def pending(states: Sequence[CellState], retry_failed: bool) -> list[CellState]:
    """Cells to run: not complete, and not failed before with exactly the same inputs (unless retried)."""
    return [state for state in states if not state.done and (retry_failed or state.failure is None)]


def run_benchmark(
    work: Workspace,
    console: Console,
    out: Path,
    *,
    only: Sequence[str] = (),
    executor: str = "local",
    jobs: int | None = None,
    retry_failed: bool = False,
    command: str = "",
    verbosity: Verbosity = Verbosity.NORMAL,
) -> Finished:
    """Run all pending cells, then write the reports.

    Args:
        work: The checked benchmark.
        console: For progress.
        out: The folder of this benchmark's reports.
        only: Rows to run; none means all.
        executor: The executor's name.
        jobs: Cells at a time; None is one a usable processor (one in all on a GPU).
        retry_failed: Run cells again that failed before.
        command: The command line that reproduces the run, for the report.
        verbosity: How much is said of cells while they run.

    Raises:
        RequestError: If the executor is unknown or a folder cannot be written.
        DataMissingError: If an extractor or a logger lacks what it needs.
    """
    engine = work.registry.get("executors", executor).cls()
    check_columns(work)
    states = plan_cells(work, only)
    waiting = pending(states, retry_failed)
    if waiting:
        for spec in work.benchmark.protocol.features:
            work.make("features", spec).check()
        for spec in work.benchmark.loggers:
            work.make("loggers", spec).check()
    check_writable(work.store.root, "--runs-dir")
    check_writable(out, "--out")
    served = sum(state.done for state in states)
    if waiting:
        with _alone(work):
            fault = _compute(work, console, engine, waiting, jobs or default_jobs(work), verbosity)
        done = report_benchmark(work, out, only=only, command=command, computed=len(waiting), served=served)
        return replace(done, faults=(*fault, *done.faults))
    return report_benchmark(work, out, only=only, command=command, served=served)


@contextlib.contextmanager
def _alone(work: Workspace) -> Iterator[None]:
    """One run at a time works on a benchmark's cells in one runs folder; other benchmarks may share the store.

    Raises:
        RequestError: If another run is at work.
    """
    folder = work.store.root / "cells" / work.benchmark.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "run.lock", timeout=0):
            yield
    except Timeout:
        raise RequestError(
            f"another run of {work.benchmark.name} is at work in {work.store.root}; "
            "wait for it, or name another --runs-dir"
        ) from None


def default_jobs(work: Workspace) -> int:
    """One cell for as many processors as it has threads; on GPUs, one cell each."""
    if work.device.type == "cuda":
        return max(1, torch.cuda.device_count())
    return max(1, usable_cpus() // work.benchmark.limits.threads)


def _compute(
    work: Workspace,
    console: Console,
    engine: Executor,
    waiting: Sequence[CellState],
    jobs: int,
    verbosity: Verbosity,
) -> tuple[str, ...]:
    """Run the waiting cells and record each one's end as it comes.

    Returns:
        Why the run stopped early, if the runs folder could no longer be written; the report is made all the same.
    """
    by_name = {state.cell.name: state for state in waiting}
    try:
        tasks = [_task(work, state) for state in waiting]
        announce(work.store.root / "cells" / work.benchmark.name, [task.name for task in tasks], min(jobs, len(tasks)))
        rows = {name: state.cell.row for name, state in by_name.items()}
        with make_display(console, rows, verbosity) as display:
            for outcome in engine.run(tasks, min(jobs, len(tasks)), display.progress):
                display.ended(_record(work, by_name[outcome.name], outcome))
    except OSError as error:
        return (f"--runs-dir {work.store.root}: {error.strerror or error}; free some space, then run it again",)
    return ()


def report_benchmark(
    work: Workspace,
    out: Path,
    *,
    only: Sequence[str] = (),
    command: str = "",
    computed: int = 0,
    served: int = 0,
) -> Finished:
    """Write the reports of all that is stored; nothing is computed.

    Rows outside ``only`` are shown as far as they have results.
    """
    states = [
        state
        for state in plan_cells(work)
        if not only or state.cell.spec is None or state.cell.row in only or state.begun
    ]
    boards = collect_boards(work, states)
    faults = write_reports(work, boards, states, out, command)
    failures = tuple(state.failure for state in states if state.failure is not None and not state.done)
    return Finished(boards, out, computed, served, failures, tuple(faults))


def _task(work: Workspace, state: CellState) -> Task:
    """A process's orders, written where its results will lie."""
    folder = cell_folder(work.store, work.benchmark.name, state.cell).resolve()
    write_json(folder / "payload.json", payload(work, state.cell))
    limits = work.benchmark.limits
    threads = str(limits.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return Task(
        name=state.cell.name,
        module="benchbench.runner.worker",
        payload=folder / "payload.json",
        folder=folder,
        timeout_s=limits.timeout,
        env={**dict.fromkeys(names, threads), "PYTHONUNBUFFERED": "1", "PYTHONPATH": _python_path()},
        copied=work.device.type == "cpu",
    )


def _python_path() -> str:
    """Modules that can be imported here can be imported there."""
    return os.pathsep.join(path for path in sys.path if path and Path(path).is_dir())


def _record(work: Workspace, state: CellState, outcome: Outcome) -> Outcome:
    """Keep how the cell ended, under its goal, and what determined what it stored; the end as it is kept."""
    folder = cell_folder(work.store, work.benchmark.name, state.cell)
    now = examine(work.inputs, state.cell, work.store)
    if outcome.status is Status.OK and now.missing:
        lost = now.missing[0]
        message = f"{lost.result.name} was not stored: {lost.reason}; was a source edited meanwhile? Run it again"
        outcome = replace(outcome, status=Status.FAILED, phase="store", message=message)
    write_json(folder / "outcome.json", {**asdict(outcome), "goal": state.goal})
    remember(work.inputs, now, work.store)
    return outcome


def check_writable(folder: Path, option: str) -> None:
    """Find out before hours of work that its results can be written; nothing is made yet.

    Raises:
        RequestError: If the folder, or the nearest one above it that exists, cannot be written to.
    """
    here = folder
    while not here.exists() and here != here.parent:
        here = here.parent
    if not here.is_dir():
        raise RequestError(f"{option}: {folder} cannot be written: {here} is a file; name another folder")
    if not os.access(here, os.W_OK | os.X_OK):
        raise RequestError(f"{option}: {folder} cannot be written: no permission in {here}; name another folder")
