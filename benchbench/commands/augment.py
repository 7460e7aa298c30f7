"""``benchbench augment``: the augmented dataset itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchbench.commands.options import (
    HERE_DATA,
    HERE_RUNS,
    BenchmarkFile,
    DataDir,
    Debug,
    Device,
    Plugins,
    RunsDir,
    Settings,
    open_work,
)


def augment(
    benchmark: BenchmarkFile,
    out: Annotated[Path, typer.Option("--out", help="A new folder.")],
    row: Annotated[str | None, typer.Option("--row", help="Another generator than the verdict's.")] = None,
    ratio: Annotated[float | None, typer.Option("--ratio", help="Another of the measured ratios.")] = None,
    setting: Annotated[str | None, typer.Option("--setting", help="Which data setting, if not the first.")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Even where the verdict is not to augment.")] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Least probability of its label that a sample must have.")
    ] = 0.0,
    keep_disagreeing: Annotated[
        bool, typer.Option("--keep-disagreeing", help="Also samples that the classifier calls otherwise.")
    ] = False,
    keep_copies: Annotated[bool, typer.Option("--keep-copies", help="Also near copies of training images.")] = False,
    device: Device = "auto",
    plugin: Plugins = [],  # noqa: B006
    changed: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    debug: Debug = False,
) -> None:
    """Write the dataset that the verdict recommends: the real images and the winner's samples at the best ratio.

    An image folder with metadata.csv that torchvision's ImageFolder and Hugging Face's imagefolder load as it is.
    Where the verdict is not to augment, nothing is written without --anyway (exit status 2).
    """
    from tempfile import TemporaryDirectory

    from benchbench.api.augmented import Rule, choose, memorizes, write_augmented
    from benchbench.api.folders import check_new
    from benchbench.runner.progress import ProgressFile

    check_new(out)
    work = open_work(benchmark, changed, None, plugin, device, data_dir, runs_dir)
    choice = choose(work, row=row, ratio=ratio, setting=setting, anyway=anyway)
    if memorizes(choice):
        typer.secho(f"benchbench: {choice.row} is flagged as copying training images", err=True, fg="yellow")
    rule = Rule(agreed=not keep_disagreeing, confidence=min_confidence, new=not keep_copies)
    with TemporaryDirectory() as folder:
        progress = ProgressFile(Path(folder) / "progress.json")
        done = write_augmented(work, choice, rule, out, progress)
    typer.echo(f"{done.real} real and {done.synthetic} synthetic images of {choice.row} in {out}; rule: {rule}")
    if done.refused:
        typer.echo(f"{done.refused} samples were refused; others were drawn in their place as far as there were more")
    if done.synthetic < done.wanted:
        text = f"benchbench: the rule refused too many: {done.synthetic} of {done.wanted} wanted samples; loosen it"
        typer.secho(text, err=True, fg="yellow")
