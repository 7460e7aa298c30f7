"""``benchbench sample`` and ``benchbench export``: what a run has fitted, taken out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.commands.options import (
    HERE_DATA,
    HERE_RUNS,
    DataDir,
    Debug,
    Device,
    Plugins,
    RunsDir,
    Settings,
    open_work,
)
from benchbench.errors import RequestError

if TYPE_CHECKING:
    from benchbench.api.fitted import FittedGenerator

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="A benchmark file that was run, or an exported generator's folder.")
]
Row = Annotated[str, typer.Argument(metavar="GENERATOR", help="The row, as in the leaderboard.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Which of the benchmark's seeds; the first unless given.")]
Setting = Annotated[str | None, typer.Option("--setting", help="Which data setting; the first unless given.")]
NewFolder = Annotated[Path, typer.Option("--out", help="A new folder.")]


def sample(
    run: Run,
    generator: Row,
    out: NewFolder,
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="Images of each class.")] = 10,
    classes: Annotated[list[str], typer.Option("--class", help="Only this class; may be repeated.")] = [],  # noqa: B006
    draw: Annotated[int, typer.Option("--draw", min=0, help="Another number, other images.")] = 0,
    seed: Seed = None,
    setting: Setting = None,
    device: Device = "auto",
    plugin: Plugins = [],  # noqa: B006
    changed: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    debug: Debug = False,
) -> None:
    """Draw more images from a fitted generator, as an image folder with metadata.csv."""
    from benchbench.api.folders import check_new, class_folders, write_metadata, write_png

    check_new(out)
    fitted = _fitted(run, generator, seed, setting, plugin, changed, data_dir, runs_dir)
    images = fitted.sample(dict.fromkeys(classes or fitted.recipe.classes, n), seed=draw, device=device)
    folders, lines = class_folders(images.classes), []
    for place, (image, label) in enumerate(zip(images.images, images.labels.tolist(), strict=True)):
        name = f"{folders[images.classes[label]]}/{generator_file(generator)}_{place:06d}.png"
        write_png(out / name, image)
        lines.append(
            {
                "file_name": name,
                "label": images.classes[label],
                "source": "synthetic",
                "generator": generator,
                "seed": fitted.recipe.seed,
                "draw": draw,
            }
        )
    write_metadata(out, lines)
    typer.echo(f"{len(lines)} images of {generator} in {out}")


def export(
    run: Annotated[Path, typer.Argument(metavar="BENCHMARK.yaml", help="A benchmark file that was run.")],
    generator: Row,
    out: NewFolder,
    seed: Seed = None,
    setting: Setting = None,
    plugin: Plugins = [],  # noqa: B006
    changed: Settings = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    debug: Debug = False,
) -> None:
    """Take a fitted generator out of a run, for `sample` and benchbench.load: generator.json, weights.safetensors."""
    from benchbench.api.folders import check_new

    check_new(out)
    fitted = _fitted(run, generator, seed, setting, plugin, changed, data_dir, runs_dir)
    fitted.save(out)
    typer.echo(f"{generator}, seed {fitted.recipe.seed}, in {out}; benchbench.load({str(out)!r}) gives it back")


def generator_file(name: str) -> str:
    """A row's name as part of a file's name."""
    from benchbench.report._numbers import file_name

    return file_name(name)


def _fitted(
    run: Path,
    row: str,
    seed: int | None,
    setting: str | None,
    plugins: list[str],
    settings: list[str],
    data_dir: Path,
    runs_dir: Path,
) -> FittedGenerator:
    from benchbench.api.fitted import load
    from benchbench.api.stored import cell_of, fitted_of

    if run.is_dir():
        fitted = load(run, plugins=plugins)
        if fitted.recipe.name != row:
            raise RequestError(f"{run} holds {fitted.recipe.name}, not {row}")
        return fitted
    work = open_work(run, settings, None, plugins, "cpu", data_dir, runs_dir)
    return fitted_of(work, cell_of(work, row, seed, setting))
