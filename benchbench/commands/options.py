"""What commands share: their options, and how a benchmark is opened."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchbench.runner.workspace import Workspace

BenchmarkFile = Annotated[Path, typer.Argument(metavar="BENCHMARK.yaml", help="The benchmark file.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Plugins = Annotated[list[str], typer.Option("--plugin", help="A plugin file or module; may be repeated.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. budget.max_steps=100.")
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Use seeds 0..N-1 instead of the file's.")]
Only = Annotated[list[str], typer.Option("--only", metavar="ROW", help="Run these rows only; may be repeated.")]
Log = Annotated[
    list[str], typer.Option("--log", metavar="LOGGER", help="Follow the cells, e.g. in tensorboard; may be repeated.")
]
DataDir = Annotated[Path, typer.Option(envvar="BENCHBENCH_DATA_DIR", help="Where datasets are looked for.")]
RunsDir = Annotated[Path, typer.Option(envvar="BENCHBENCH_RUNS_DIR", help="Where results are kept.")]
Out = Annotated[Path, typer.Option(help="Reports go to OUT/<benchmark>.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Cells at a time; one a processor unless given.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run cells again that failed before.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]

HERE_DATA, HERE_RUNS, HERE_REPORTS = Path("data"), Path(".benchbench"), Path("reports")


def open_work(
    benchmark: Path,
    settings: list[str],
    seeds: int | None,
    plugins: list[str],
    device: str,
    data_dir: Path,
    runs_dir: Path,
    loggers: list[str] | None = None,
) -> Workspace:
    """Check the benchmark file and its plugins, and load the dataset; nothing is computed."""
    from benchbench.runner.workspace import open_workspace

    overrides = [*settings, *([f"seeds={seeds}"] if seeds else [])]
    return open_workspace(
        benchmark,
        overrides=overrides,
        plugins=plugins,
        device=device,
        data_dir=data_dir,
        runs_dir=runs_dir,
        loggers=loggers or (),
    )


def command_line(benchmark: Path, settings: list[str], seeds: int | None, plugins: list[str], only: list[str]) -> str:
    """The command that reproduces a report, without what has no influence on its numbers."""
    words = ["benchbench", "run", shown(str(benchmark))]
    words += options({"--only": only, "--plugin": plugins, "--set": settings, "--seeds": [seeds] if seeds else []})
    return shlex.join(words)


def options(given: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """The words of options that may be repeated, as they may be published."""
    for option, values in given.items():
        for value in values:
            yield from (option, shown(str(value)))


def shown(word: str) -> str:
    """A path below the current folder relative to it, any other absolute one by its name: reports are published."""
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name
