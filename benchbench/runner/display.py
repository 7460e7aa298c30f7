"""What the terminal shows while cells run: a live tree, plain lines where there is no terminal, or nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from benchbench.types import Outcome, Progress, Status

# Seconds between plain lines about one cell, in few words and in many.
PLAIN_EVERY_S = 60.0
VERBOSE_EVERY_S = 5.0


class Verbosity(IntEnum):
    """How much is said."""

    QUIET = -1
    NORMAL = 0
    VERBOSE = 1


class Display(Protocol):
    """Told of everything that happens; a context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def progress(self, progress: Progress) -> None:
        """A cell is at work."""

    def ended(self, outcome: Outcome) -> None:
        """A cell has ended."""


def make_display(console: Console, rows: Mapping[str, str], verbosity: Verbosity = Verbosity.NORMAL) -> Display:
    """A live tree on a terminal, plain lines elsewhere, only failures where it is to be quiet.

    Args:
        console: Where to write.
        rows: The row of every cell that is to run, by the cell's name.
        verbosity: How much to say.
    """
    if verbosity is Verbosity.QUIET or not console.is_terminal:
        return PlainDisplay(console, len(rows), verbosity)
    return LiveDisplay(console, rows, verbosity)


def clock(seconds: float | None) -> str:
    """``1:05``, or a dash where unknown."""
    return "-" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def losses(progress: Progress) -> str:
    """``loss 0.12  critic -1.3``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in progress.values.items())


def steps(progress: Progress) -> str:
    """``50/3500``; empty where nothing is trained."""
    return f"{progress.step}/{progress.total}" if progress.total else ""


def speed(progress: Progress) -> str:
    """Images a second, ``1,234``; empty where not known."""
    return f"{progress.images_per_second:,.0f}" if progress.images_per_second else ""


def told(progress: Progress) -> str:
    """Where a cell is, in a line."""
    left = f"{clock(progress.seconds_left)} left" if progress.seconds_left else ""
    at = f"step {steps(progress)}" if progress.total else ""
    pace = f"{speed(progress)} images/s" if progress.images_per_second else ""
    return "  ".join(filter(None, (progress.phase, at, losses(progress), pace, left)))


def ending(outcome: Outcome) -> str:
    """How a cell ended, in a line."""
    where = f" in {outcome.phase}" if outcome.status is not Status.OK else ""
    said = f": {outcome.message}" if outcome.message else ""
    return f"{outcome.name}: {outcome.status}{where}{said} ({outcome.seconds:.0f} s)"


def place(thumbnail: str) -> str:
    """A file as it is called from the current folder."""
    path = Path(thumbnail)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else thumbnail


class PlainDisplay:
    """A line when a cell begins, one a minute, one at its end; verbose: one a phase, and more; quiet: failures."""

    def __init__(self, console: Console, total: int, verbosity: Verbosity = Verbosity.NORMAL) -> None:
        self.console = console
        self.total = total
        self.verbosity = verbosity
        self.done = 0
        self._last: dict[str, tuple[str, float]] = {}
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to tidy."""

    def progress(self, progress: Progress) -> None:
        """A line, if the cell (verbose: its phase) is new or the last line is old."""
        if self.verbosity is Verbosity.QUIET:
            return
        verbose = self.verbosity is Verbosity.VERBOSE
        phase, when = self._last.get(progress.name, (None, 0.0))
        now = time.monotonic()
        known = phase == progress.phase if verbose else phase is not None
        if known and now - when < (VERBOSE_EVERY_S if verbose else PLAIN_EVERY_S):
            return
        self._last[progress.name] = (progress.phase, now)
        self._line(f"{progress.name}: {told(progress)}")
        if verbose and progress.thumbnail and self._shown.get(progress.name) != progress.thumbnail:
            self._shown[progress.name] = progress.thumbnail
            self._line(f"{progress.name}: samples in {place(progress.thumbnail)}")

    def ended(self, outcome: Outcome) -> None:
        """A line with the status."""
        self.done += 1
        if self.verbosity is not Verbosity.QUIET or outcome.status is not Status.OK or outcome.message:
            self._line(f"[{self.done}/{self.total}] {ending(outcome)}")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A tree of rows and their running cells, redrawn in place; ended cells scroll away above it.

    Rows that have all their cells behind or before them take a line together, so that the tree stays small.
    """

    def __init__(self, console: Console, rows: Mapping[str, str], verbosity: Verbosity = Verbosity.NORMAL) -> None:
        self.console = console
        self.rows = rows
        self.verbosity = verbosity
        self.began = time.monotonic()
        self._running: dict[str, Progress] = {}
        self._ended: dict[str, Outcome] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._tree)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the tree away: every end has its line above."""
        self._live.stop()

    def progress(self, progress: Progress) -> None:
        """Note where a cell is; verbose, with a line for every phase."""
        before = self._running.get(progress.name)
        if self.verbosity is Verbosity.VERBOSE and (before is None or before.phase != progress.phase):
            self._line(f"{progress.name}: {progress.phase}", "dim")
        self._running[progress.name] = progress

    def ended(self, outcome: Outcome) -> None:
        """Print its end and drop it from the tree."""
        self._running.pop(outcome.name, None)
        self._ended[outcome.name] = outcome
        good = outcome.status is Status.OK
        self._line(ending(outcome), "red" if not good else "yellow" if outcome.message else "green")

    def _line(self, text: str, style: str) -> None:
        self.console.print(text, markup=False, highlight=False, style=style, soft_wrap=True)

    def _tree(self) -> Tree:
        tree = Tree(Text(self._title(), style="bold"))
        cells: dict[str, list[str]] = {}
        for name, row in self.rows.items():
            cells.setdefault(row, []).append(name)
        resting: dict[str, list[str]] = {"done": [], "waiting": []}
        for row, names in cells.items():
            running = [self._running[name] for name in names if name in self._running]
            if running:
                branch = tree.add(Text(f"{row}  ", style="bold").append(self._count(names), style="dim not bold"))
                for progress in running:
                    self._cell(branch, progress)
            else:
                resting["waiting" if any(name not in self._ended for name in names) else "done"].append(row)
        for word, found in resting.items():
            if found:
                tree.add(Text(f"{word}: {', '.join(found)}", style="dim"))
        return tree

    def _title(self) -> str:
        done, total, elapsed = len(self._ended), len(self.rows), time.monotonic() - self.began
        ahead = f", about {clock(elapsed / done * (total - done))} left" if done else ""
        return f"{done} of {total} cells, {clock(elapsed)} gone{ahead}"

    def _count(self, names: list[str]) -> str:
        """``1 ok, 1 failed, 1 running, 2 waiting``."""
        return ", ".join(f"{count} {word}" for word, count in Counter(map(self._state, names)).items())

    def _state(self, name: str) -> str:
        if name in self._ended:
            return self._ended[name].status.value
        return "running" if name in self._running else "waiting"

    def _cell(self, branch: Tree, progress: Progress) -> None:
        leaf = branch.add(Text(f"{progress.name.removeprefix(self.rows[progress.name]).lstrip('-')}  {told(progress)}"))
        if progress.thumbnail:
            leaf.add(Text(f"samples in {place(progress.thumbnail)}", style="dim"))
