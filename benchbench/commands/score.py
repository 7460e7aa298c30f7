"""``benchbench score``: images from anywhere under the whole protocol."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from benchbench.commands.ending import finish
from benchbench.commands.options import (
    HERE_DATA,
    HERE_REPORTS,
    HERE_RUNS,
    DataDir,
    Debug,
    Device,
    Jobs,
    Out,
    Plugins,
    RetryFailed,
    RunsDir,
    Settings,
    options,
    shown,
)
from benchbench.errors import RequestError

if TYPE_CHECKING:
    from benchbench.api.scored import Seen
    from benchbench.runner.run import Finished


def score(
    samples: Annotated[
        list[Path],
        typer.Argument(
            metavar="SAMPLES...", help="<class>/<image> or images, as folder or zip; npz; folder of models."
        ),
    ],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="What they are to augment: a dataset's name.")
    ] = None,
    benchmark: Annotated[
        Path | None, typer.Option("--benchmark", help="A benchmark file, whose rows they stand beside.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", min=4, max=1024, help="Crop image files to a square and resize them to this."),
    ] = None,
    ignore_labels: Annotated[
        bool, typer.Option("--ignore-labels", help="Have a classifier label them, labels or not.")
    ] = False,
    generator_data: Annotated[
        str | None,
        typer.Option(
            "--generator-data",
            help="What the models saw: labelled (what the classifier has), unlabelled or full (all training images).",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What the board is called; <benchmark>-with-<rows> unless given.")
    ] = None,
    retry_failed: RetryFailed = False,
    device: Device = "auto",
    jobs: Jobs = None,
    plugin: Plugins = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    out: Out = HERE_REPORTS,
    debug: Debug = False,
) -> None:
    """Score images that a model has made somewhere else, a row a model, by the whole protocol.

    Exit status as of run.
    """
    from rich.console import Console

    from benchbench.api.scored import found, open_scored
    from benchbench.runner.run import run_benchmark

    if generator_data not in (None, "labelled", "unlabelled", "full"):
        raise RequestError(f"--generator-data: got {generator_data!r}, expected labelled, unlabelled or full")
    work, models = open_scored(
        [path.expanduser() for path in samples],
        dataset=dataset,
        benchmark=benchmark,
        settings=setting,
        plugins=plugin,
        size=size,
        ignore_labels=ignore_labels,
        generator_data=cast("Seen | None", generator_data),
        device=device,
        data_dir=data_dir,
        runs_dir=runs_dir,
        name=name,
    )
    for row, text in found(models).items():
        typer.echo(f"{row}: {text}")
    said: dict[str, Sequence[object]] = {
        "--dataset": [dataset] if dataset else [],
        "--benchmark": [benchmark] if benchmark else [],
        "--size": [size] if size else [],
        "--generator-data": [generator_data] if generator_data else [],
        "--name": [name] if name else [],
        "--plugin": plugin,
        "--set": setting,
    }
    words = ["benchbench", "score", *(shown(str(path)) for path in samples), *options(said)]
    command = shlex.join(words + (["--ignore-labels"] if ignore_labels else []))
    console = Console()

    def compute() -> Finished:
        folder = out / work.benchmark.name
        return run_benchmark(work, console, folder, jobs=jobs, retry_failed=retry_failed, command=command)

    finish(console, compute, work.benchmark.name, runs_dir)
