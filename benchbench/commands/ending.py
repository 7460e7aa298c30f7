"""How a run ends on the command line: its boards, what failed, and the exit status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from benchbench.leaderboard import Board
    from benchbench.runner.run import Finished


def finish(console: Console, compute: Callable[[], Finished], name: str, runs_dir: Path, quiet: bool = False) -> None:
    """Run a benchmark and say how it came out.

    Args:
        console: Where to.
        compute: Runs it.
        name: The benchmark's.
        runs_dir: Where its results are kept.
        quiet: Say only what went wrong.

    Raises:
        typer.Exit: 1 where cells failed or a report could not be written, 130 where it was interrupted.
    """
    try:
        done = compute()
    except KeyboardInterrupt:
        typer.echo("benchbench: interrupted; what was finished is kept, the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    if not quiet:
        print_boards(console, done.boards)
        cells = "cell" if done.computed == 1 else "cells"
        counts = f"{done.computed} {cells} computed, {done.served} served from {runs_dir}"
        _say(console, f"{counts}; report: {done.folder / 'leaderboard.md'}")
    for failure in done.failures:
        _say(console, f"{failure.name}: {failure.status} in {failure.phase}: {failure.message}")
    if done.failures:
        _say(console, f"logs: {runs_dir / 'cells' / name}/<cell>/log.txt; what is mended, --retry-failed runs again")
    for fault in done.faults:
        typer.secho(f"benchbench: {fault}; all results are kept", err=True, fg="red")
    if done.failures or done.faults:
        raise typer.Exit(1)


def print_boards(console: Console, boards: Sequence[Board]) -> None:
    """The boards, one after the other."""
    from benchbench.runner.board_view import print_board

    for board in boards:
        print_board(console, board)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
