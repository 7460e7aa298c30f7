"""The command line. Heavy imports happen inside commands, so that ``--help`` answers at once."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.commands.augment import augment
from benchbench.commands.check import check
from benchbench.commands.compare import compare
from benchbench.commands.doctor import doctor
from benchbench.commands.ending import finish, print_boards
from benchbench.commands.new import new
from benchbench.commands.options import (
    HERE_DATA,
    HERE_REPORTS,
    HERE_RUNS,
    BenchmarkFile,
    DataDir,
    Debug,
    Device,
    Jobs,
    Log,
    Only,
    Out,
    Plugins,
    RetryFailed,
    RunsDir,
    Seeds,
    Settings,
    command_line,
    open_work,
)
from benchbench.commands.publish import publish
from benchbench.commands.sample import export, sample
from benchbench.commands.score import score
from benchbench.commands.status import status
from benchbench.errors import BenchbenchError, BenchmarkFileError, RequestError
from benchbench.text import printable

if TYPE_CHECKING:
    from benchbench.runner.run import Finished

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich for coloured help takes as long as all else
    help="Should I augment my images with a generative model: with which, how much, and is it safe?",
)


@app.command()
def run(
    benchmark: BenchmarkFile,
    only: Only = [],  # noqa: B006
    seeds: Seeds = None,
    device: Device = "auto",
    jobs: Jobs = None,
    executor: Annotated[str, typer.Option(help="How cells are run.")] = "local",
    plugin: Plugins = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    out: Out = HERE_REPORTS,
    retry_failed: RetryFailed = False,
    log: Log = [],  # noqa: B006
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more: every phase, losses, samples.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")] = False,
    debug: Debug = False,
) -> None:
    """Train, score and rank; what is computed already is served.

    Exit status 0: all cells ok; 1: some failed; 2: the request was wrong; 130: interrupted.
    """
    from rich.console import Console

    from benchbench.runner.display import Verbosity
    from benchbench.runner.run import run_benchmark

    if verbose and quiet:
        raise RequestError("run: got --verbose and --quiet, expected one of them")
    work = open_work(benchmark, setting, seeds, plugin, device, data_dir, runs_dir, log)
    console = Console()

    def compute() -> Finished:
        return run_benchmark(
            work,
            console,
            out / work.benchmark.name,
            only=only,
            executor=executor,
            jobs=jobs,
            retry_failed=retry_failed,
            command=command_line(benchmark, setting, seeds, plugin, only),
            verbosity=Verbosity(verbose - quiet),
        )

    finish(console, compute, work.benchmark.name, runs_dir, quiet)


@app.command()
def plan(
    benchmark: BenchmarkFile,
    only: Only = [],  # noqa: B006
    seeds: Seeds = None,
    plugin: Plugins = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Say, cell by cell, what is cached and why the rest is not. Runs nothing, writes nothing."""
    from benchbench.runner.plan_view import plan_lines, plan_table

    work = open_work(benchmark, setting, seeds, plugin, "auto", data_dir, runs_dir)
    lines = plan_lines(work, only)
    if as_json:
        typer.echo(json.dumps([vars(line) for line in lines], indent=2))
        return
    plan_table(work, lines)


@app.command()
def report(
    benchmark: BenchmarkFile,
    seeds: Seeds = None,
    plugin: Plugins = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    out: Out = HERE_REPORTS,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the reports are not those of the store.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write the reports of what is stored, finished or not. Trains nothing."""
    from rich.console import Console

    from benchbench.runner.checked import differences
    from benchbench.runner.run import check_writable, report_benchmark

    work = open_work(benchmark, setting, seeds, plugin, "auto", data_dir, runs_dir)
    folder, command = out / work.benchmark.name, command_line(benchmark, setting, seeds, plugin, [])
    if check:
        faults = differences(work, folder, command)
        for fault in faults:
            typer.secho(f"benchbench: {fault}", err=True, fg="red")
        if faults:
            raise typer.Exit(1)
        typer.echo(f"{folder} is what the store gives")
        return
    check_writable(folder, "--out")
    done = report_benchmark(work, folder, command=command)
    console = Console()
    print_boards(console, done.boards)
    console.print(f"report: {done.folder / 'leaderboard.md'}", markup=False, highlight=False, soft_wrap=True)
    for fault in done.faults:
        typer.secho(f"benchbench: {fault}", err=True, fg="red")
    if done.faults:
        raise typer.Exit(1)


@app.command("list")
def list_plugins(
    kind: Annotated[
        str,
        typer.Argument(
            help="generators, datasets, features, metrics, classifiers, reports, executors, loggers or plugins (all)."
        ),
    ] = "plugins",
    plugin: Plugins = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """List what is installed, and what is installed but broken."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from benchbench.discovery import KINDS, load_registry

    if kind not in (*KINDS, "plugins"):
        raise RequestError(f"list: got {kind!r}, expected one of {', '.join((*KINDS, 'plugins'))}")
    registry = load_registry(plugin)
    found = [one for one in registry.all() if kind in (one.kind, "plugins")]
    if as_json:
        listed = [{"kind": one.kind, "name": one.name, "source": one.source, "about": _about(one.cls)} for one in found]
        typer.echo(json.dumps({"plugins": listed, "broken": [vars(broken) for broken in registry.broken]}, indent=2))
        return
    table = Table("kind", "name", "source", "what it is", box=None)
    for one in found:
        table.add_row(*map(escape, (one.kind, one.name, one.source, _about(one.cls))))
    console = Console()
    console.print(table)
    for broken in registry.broken:
        console.print(f"broken: {broken.source}: {broken.error}", style="red", markup=False, soft_wrap=True)


app.command()(augment)
app.command()(check)
app.command()(sample)
app.command()(compare)
app.command()(doctor)
app.command()(export)
app.command()(new)
app.command()(publish)
app.command()(score)
app.command()(status)


def _about(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


def main() -> None:
    """Entry point: errors that a user can mend are one line (a wrong file: one line a problem)."""
    debug = "--debug" in sys.argv
    try:
        app()
    except BenchbenchError as error:
        if debug:
            raise
        lines = [str(problem) for problem in error.problems] if isinstance(error, BenchmarkFileError) else [str(error)]
        for line in lines:
            typer.secho(f"benchbench: {printable(line)}", err=True, fg="red")
        raise SystemExit(2) from None
    except OSError as error:
        if debug:
            raise
        text = printable(f"{error.filename or 'a file'}: {error.strerror or error}")
        typer.secho(f"benchbench: {text}", err=True, fg="red")
        raise SystemExit(2) from None
    except Exception as error:
        if debug:
            raise
        text = printable(error)
        typer.secho(
            f"benchbench: {type(error).__name__}: {text} (a fault of benchbench; --debug shows where)",
            err=True,
            fg="red",
        )
        raise SystemExit(70) from None


if __name__ == "__main__":
    main()
