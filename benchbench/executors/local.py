"""Cells as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO

from benchbench.executors._processes import Nursery, Process, started
from benchbench.hookspecs import hookimpl
from benchbench.store.files import read_json
from benchbench.types import SLOT_VARIABLE, Executor, Outcome, Progress, Status, Task

POLL_S = 0.05
LOOK_S = 0.5
# A log beyond this is cut: a plugin that writes without end shall not fill the disk.
LOG_BYTES = 2**23
CUT = b"\n[the log is cut here]\n"
# Seconds between asking a process to end and killing it.
GRACE_S = 1.0


@dataclass
class _Running:
    task: Task
    process: Process
    log: IO[bytes]
    slot: int
    began: float
    looked: float = 0.0


class Local(Executor):
    """Starts each task in a process group of its own, so that a limit reaches whatever it has started."""

    name = "local"

    def run(self, tasks: Sequence[Task], jobs: int, on_progress: Callable[[Progress], None]) -> Iterator[Outcome]:
        """Run ``tasks``, ``jobs`` at a time; if the caller stops listening, the rest is killed."""
        waiting = list(tasks)[::-1]
        running: list[_Running] = []
        starts = _Starts(tasks)
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    taken = {one.slot for one in running}
                    running.append(_start(waiting.pop(), min(set(range(jobs)) - taken), starts))
                for one in list(running):
                    outcome = _look(one, on_progress)
                    if outcome is not None:
                        running.remove(one)
                        yield outcome
                time.sleep(POLL_S)
        finally:
            _kill_all(running)
            starts.close()


class _Starts:
    """Starts processes, as copies where that is possible.

    Args:
        tasks: All that there are to be.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        copied = [task for task in tasks if task.copied] if sys.platform.startswith("linux") else []
        self._first = copied[0] if len(copied) > 1 else None  # for one alone it saves nothing
        self._nursery: Nursery | None = None

    def start(self, task: Task, env: Mapping[str, str]) -> Process:
        """A process for a task."""
        first = self._first
        if first is not None and task.copied and (task.module, task.env) == (first.module, first.env):
            if self._nursery is None:
                self._nursery = Nursery(first.module, first.env, first.folder.parent)
            process = self._nursery.copy(task, env) if self._nursery.usable else None
            if process is not None:
                return process
        return started(task, env)

    def close(self) -> None:
        """Nothing more will be started."""
        if self._nursery is not None:
            self._nursery.close()


def _start(task: Task, slot: int, starts: _Starts) -> _Running:
    task.folder.mkdir(parents=True, exist_ok=True)
    for stale in ("outcome.json", "progress.json"):
        (task.folder / stale).unlink(missing_ok=True)
    (task.folder / "log.txt").unlink(missing_ok=True)
    log = (task.folder / "log.txt").open("ab")  # appending, so that what is cut off leaves no hole
    process = starts.start(task, {SLOT_VARIABLE: str(slot)})
    return _Running(task, process, log, slot, time.monotonic())


def _look(one: _Running, on_progress: Callable[[Progress], None]) -> Outcome | None:
    """The outcome, if the process has ended or its time is up."""
    now = time.monotonic()
    code = one.process.poll()
    if code is not None:
        return _outcome(one, code, now - one.began)
    if one.task.timeout_s is not None and now - one.began > one.task.timeout_s:
        _kill_all([one])
        message = (
            f"killed after {one.task.timeout_s:g} s; raise limits.timeout or lower the budget, with --retry-failed"
        )
        return Outcome(one.task.name, Status.TIMEOUT, _phase(one.task), message, now - one.began)
    if now - one.looked > LOOK_S:
        one.looked = now
        _cut(one)
        progress = _progress(one.task)
        if progress is not None:
            on_progress(progress)
    return None


def _cut(one: _Running) -> None:
    """Drop what was written beyond the log's limit."""
    if os.fstat(one.log.fileno()).st_size > LOG_BYTES + len(CUT):
        os.ftruncate(one.log.fileno(), LOG_BYTES)
        os.write(one.log.fileno(), CUT)


def _outcome(one: _Running, code: int, seconds: float) -> Outcome:
    """What the process wrote, or what its silence means."""
    _signal(one, signal.SIGKILL)  # whatever it left running
    _cut(one)
    one.log.close()
    said = Outcome.of(one.task.name, read_json(one.task.folder / "outcome.json"))
    if said is not None:
        return replace(said, seconds=seconds)
    return Outcome(one.task.name, Status.FAILED, _phase(one.task), _end_of(code), seconds)


def _end_of(code: int) -> str:
    """A return code in words."""
    if code == -signal.SIGKILL:
        return "killed by signal 9 (SIGKILL): often the system, short of memory"
    if code < 0:
        known = -code in set(signal.Signals)  # most of the real-time ones have no name
        return f"died of signal {-code}" + (f" ({signal.Signals(-code).name})" if known else "")
    return f"exited with status {code} without saying how it went"


def _progress(task: Task) -> Progress | None:
    return Progress.of(task.name, read_json(task.folder / "progress.json"))


def _phase(task: Task) -> str:
    progress = _progress(task)
    return "start" if progress is None else progress.phase


def _signal(one: _Running, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(one.process.pid, number)


def _kill_all(running: Sequence[_Running]) -> None:
    """Ask, wait a moment, then kill."""
    for one in running:
        _signal(one, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    for one in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(max(0.0, deadline - time.monotonic()))
        _signal(one, signal.SIGKILL)
        one.process.wait()
        one.log.close()


@hookimpl
def benchbench_executors() -> Sequence[type[Executor]]:
    """Bring the local executor."""
    return [Local]
