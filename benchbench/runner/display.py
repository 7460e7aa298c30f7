"""What the terminal shows while cells run: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchbench.types import Outcome, Progress, Status

# Seconds between plain lines about one cell.
PLAIN_EVERY_S = 10.0


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


def make_display(console: Console, total: int) -> Display:
    """A live table on a terminal, plain lines elsewhere.

    Args:
        console: Where to write.
        total: Number of cells to run.
    """
    return LiveDisplay(console, total) if console.is_terminal else PlainDisplay(console, total)


def clock(seconds: float | None) -> str:
    """``1:05``, or a dash where unknown."""
    return "-" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def losses(progress: Progress) -> str:
    """``loss 0.12  critic -1.3``."""
    return "  ".join(f"{name} {value:.4g}" for name, value in progress.values.items())


class PlainDisplay:
    """One line when a cell enters a phase, one every ten seconds, one at its end."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.done = 0
        self._last: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to tidy."""

    def progress(self, progress: Progress) -> None:
        """A line, if the phase is new or the last line is old."""
        phase, when = self._last.get(progress.name, ("", 0.0))
        now = time.monotonic()
        if progress.phase == phase and now - when < PLAIN_EVERY_S:
            return
        self._last[progress.name] = (progress.phase, now)
        steps = f" step {progress.step}/{progress.total}" if progress.total else ""
        left = f", {clock(progress.seconds_left)} left" if progress.seconds_left else ""
        self._line(f"{progress.name}: {progress.phase}{steps}{left}  {losses(progress)}".rstrip())

    def ended(self, outcome: Outcome) -> None:
        """A line with the status."""
        self.done += 1
        tail = f" in {outcome.phase}: {outcome.message}" if outcome.status is not Status.OK else ""
        self._line(f"[{self.done}/{self.total}] {outcome.name}: {outcome.status}{tail} ({outcome.seconds:.0f} s)")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A table of the running cells, redrawn in place; ended cells scroll away above it."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.done = 0
        self.began = time.monotonic()
        self._running: dict[str, Progress] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table away: every end has its line above."""
        self._live.stop()

    def progress(self, progress: Progress) -> None:
        """Note where a cell is."""
        self._running[progress.name] = progress

    def ended(self, outcome: Outcome) -> None:
        """Print its end and drop it from the table."""
        self.done += 1
        self._running.pop(outcome.name, None)
        good = outcome.status is Status.OK
        tail = "" if good else f" in {outcome.phase}: {outcome.message}"
        line = f"{outcome.name}: {outcome.status}{tail} ({outcome.seconds:.0f} s)"
        self.console.print(line, markup=False, highlight=False, style="green" if good else "red")

    def _table(self) -> Table:
        elapsed = time.monotonic() - self.began
        left = elapsed / self.done * (self.total - self.done) if self.done else None
        ahead = "" if left is None else f", about {clock(left)} left"
        table = Table(title=f"{self.done} of {self.total} cells, {clock(elapsed)} gone{ahead}")
        for heading in ("cell", "phase", "step", "losses", "left"):
            table.add_column(heading, no_wrap=heading != "losses")
        for progress in self._running.values():
            steps = f"{progress.step}/{progress.total}" if progress.total else ""
            table.add_row(progress.name, progress.phase, steps, losses(progress), clock(progress.seconds_left))
        return table
