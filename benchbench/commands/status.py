"""``benchbench status``: where a run is, from another terminal."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.commands.options import HERE_RUNS, Debug, RunsDir
from benchbench.errors import RequestError

if TYPE_CHECKING:
    from rich.table import Table

    from benchbench.runner.watch import Watched

EVERY_S = 2.0
# A cell that is training says so twice a second; other work may take longer.
SILENT_S = 120.0


def status(
    benchmark: Annotated[
        str | None, typer.Argument(metavar="[BENCHMARK]", help="Its name or file; the latest run unless given.")
    ] = None,
    runs_dir: RunsDir = HERE_RUNS,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Say which cells are done, at work, failed and waiting, and about how long it will take.

    Exit status 0; 1 where cells failed.
    """
    from rich.console import Console
    from rich.live import Live

    from benchbench.runner.watch import look

    name = _name(benchmark, runs_dir)
    seen = look(runs_dir, name)
    if seen is None:
        raise RequestError(f"no run of {name} in {runs_dir}; start one with benchbench run, or name its --runs-dir")
    if as_json:
        typer.echo(json.dumps({**asdict(seen), "failed": [asdict(one) for one in seen.failed]}, indent=2))
    elif watch and seen.alive:
        with Live(_table(seen), console=Console(), refresh_per_second=1) as live:
            while seen is not None and seen.alive:
                time.sleep(EVERY_S)
                seen = look(runs_dir, name) or seen
                live.update(_table(seen))
    else:
        Console().print(_table(seen))
    if seen is not None and seen.failed:
        raise typer.Exit(1)


def _name(benchmark: str | None, runs_dir: Path) -> str:
    from benchbench.runner.watch import runs_in

    if benchmark is None:
        found = runs_in(runs_dir)
        if not found:
            raise RequestError(f"no run in {runs_dir}; start one with benchbench run, or name its --runs-dir")
        return found[0]
    if not benchmark.endswith((".yaml", ".yml")):
        return benchmark
    from benchbench.config.document import read_document

    data = read_document(Path(benchmark)).data
    return str(data.get("name", "")) if isinstance(data, dict) else ""


def _table(seen: Watched) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from benchbench.runner.display import clock, losses, place, speed, steps

    state = "running" if seen.alive else "ended" if len(seen.ended) == seen.total else "stopped before its end"
    left = f", about {clock(seen.seconds_left)} left" if seen.seconds_left is not None else ""
    failed = f", {len(seen.failed)} failed" if seen.failed else ""
    table = Table(
        title=f"{escape(seen.benchmark)}: {state}; {len(seen.ended)} of {seen.total} cells done{failed}, "
        f"{len(seen.waiting)} waiting; {clock(seen.seconds)} gone{left}",
        title_justify="left",
        box=None,
    )
    for heading in ("cell", "state", "phase", "step", "losses", "images/s", "left", "samples"):
        table.add_column(heading, no_wrap=heading not in ("losses", "samples"), overflow="fold")
    for outcome in seen.failed:
        shown: tuple[str, ...] = (outcome.name, outcome.status, outcome.phase, "", outcome.message)
        table.add_row(*map(escape, shown), style="red")
    for progress, silent in seen.running if seen.alive else ():
        word = "running" if silent < SILENT_S else f"silent for {clock(silent)}"
        shown = (progress.name, word, progress.phase, steps(progress), losses(progress))
        shown += (
            speed(progress),
            clock(progress.seconds_left),
            place(progress.thumbnail) if progress.thumbnail else "",
        )
        table.add_row(*map(escape, shown))
    return table
