"""Images that a model has made somewhere else, as rows of a board."""

from __future__ import annotations

import difflib
import hashlib
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from benchbench.config import BASELINE, Benchmark, GeneratorSpec
from benchbench.config.check import did_you_mean
from benchbench.config.schema import NAME
from benchbench.datasets._folders import Place, contents, hidden
from benchbench.datasets.samples import ARCHIVES, FORMS, Samples, read_samples, samples_place
from benchbench.datasets.subset import class_sizes
from benchbench.downstream.sample_plan import plan_samples
from benchbench.errors import DataError, RequestError
from benchbench.plan import all_settings, expand
from benchbench.runner.workspace import Workspace, asked_for, assemble, open_workspace

if TYPE_CHECKING:
    from benchbench.runner.run import Finished

Seen = Literal["labelled", "unlabelled", "full"]

GENERATOR = "samples"
DEFAULT = Path(__file__).with_name("score.yaml")
LONGEST_NAME = 64
# Of images without labels so many times the need are proposed: a classifier does not call equally many of each class.
SPARE = 1.3
# Parts of the real images that are proposed where there are too few samples for all of them.
FRACTIONS = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True, eq=False)
class Model:
    """One model's samples.

    Attributes:
        row: What its row is called.
        path: Where they are.
        samples: The images.
        counts: ``int64 (K,)``: images a class of the dataset; None where they have no labels.
    """

    row: str
    path: Path
    samples: Samples
    counts: Tensor | None


def score(
    samples: str | Path | Sequence[str | Path],
    *,
    dataset: str | None = None,
    benchmark: str | Path | None = None,
    settings: Sequence[str] = (),
    plugins: Sequence[str] = (),
    size: int | None = None,
    ignore_labels: bool = False,
    generator_data: Seen | None = None,
    device: str = "auto",
    jobs: int | None = None,
    data_dir: str | Path = "data",
    runs_dir: str | Path = ".benchbench",
    out: str | Path = "reports",
    name: str | None = None,
    retry_failed: bool = False,
    quiet: bool = False,
) -> Finished:
    """Score images from anywhere: a row a model, beside the controls or a benchmark's rows; ``benchbench score``.

    ::

        done = benchbench.score("samples.npz", dataset="cifar10", data_dir="data")
        print(done.boards[0].verdict.text)

    Args:
        samples: A model's images (see :func:`benchbench.read_samples`), a folder of several models, or a list of these.
        dataset: What they are to augment: a dataset's name. Either this or ``benchmark``.
        benchmark: A benchmark file whose dataset, protocol and rows they stand beside; its results are served.
        settings: ``KEY=VALUE``, as after ``--set``.
        plugins: Further plugin files or modules.
        size: Image files are cropped to their central square and resized to this.
        ignore_labels: Have a classifier label the images although they come with labels.
        generator_data: What the models have seen. Unless given: ``labelled``, exactly the real images that the
            classifier has, where that is all of them; else ``full``, so that they are ranked apart.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: Cells at a time; one a processor unless given.
        data_dir: Where datasets are looked for.
        runs_dir: Where results are kept.
        out: Reports go to ``OUT/<name>``.
        name: What the board is called; ``<benchmark>-with-<rows>`` unless given.
        retry_failed: Run cells again that failed before.
        quiet: Print nothing.

    Returns:
        The boards, the report's folder, and which cells failed.

    Raises:
        RequestError: If the request is wrong, or there are too few images.
        DataError: If the images cannot be used.
        DataMissingError: If images, weights or a package are not here.
    """
    from rich.console import Console

    from benchbench.runner.run import run_benchmark

    paths = [Path(one).expanduser() for one in ([samples] if isinstance(samples, str | Path) else samples)]
    work, _ = open_scored(
        paths,
        dataset=dataset,
        benchmark=None if benchmark is None else Path(benchmark),
        settings=settings,
        plugins=plugins,
        size=size,
        ignore_labels=ignore_labels,
        generator_data=generator_data,
        device=device,
        data_dir=Path(data_dir),
        runs_dir=Path(runs_dir),
        name=name,
    )
    console = Console(file=io.StringIO()) if quiet else Console()
    return run_benchmark(work, console, Path(out) / work.benchmark.name, jobs=jobs, retry_failed=retry_failed)


def open_scored(
    paths: Sequence[Path],
    *,
    dataset: str | None,
    benchmark: Path | None,
    settings: Sequence[str],
    plugins: Sequence[str],
    size: int | None,
    ignore_labels: bool,
    generator_data: Seen | None,
    device: str,
    data_dir: Path,
    runs_dir: Path,
    name: str | None = None,
) -> tuple[Workspace, list[Model]]:
    """Read the samples and make the benchmark in which they are rows; nothing is computed yet.

    See :func:`score` for what is not said here.

    Returns:
        The benchmark, and the models found.
    """
    if (dataset is None) == (benchmark is None):
        raise RequestError("score: say either --dataset NAME or --benchmark FILE: what the samples are to augment")
    for path in paths:  # before the dataset is looked for, which may take long
        samples_place(path)
    if dataset is not None:
        known = asked_for(plugins).names("datasets")
        if dataset not in known:
            raise RequestError(f"--dataset: no dataset is called {dataset!r}; {did_you_mean(dataset, known)}")
        settings = [f"dataset.name={dataset}", f"name={dataset}", *settings]
    base = open_workspace(
        benchmark or DEFAULT,
        overrides=settings,
        plugins=plugins,
        device=device,
        data_dir=data_dir,
        runs_dir=runs_dir,
    )
    taken = {BASELINE, *(spec.label for spec in base.benchmark.generators)}
    models = list(_models(paths, base, taken, size, ignore_labels))
    rows = [_row(model, base.benchmark, size, generator_data) for model in models]
    extended = base.benchmark.model_copy(
        update={"name": name or _name(base.benchmark.name, models), "generators": [*base.benchmark.generators, *rows]}
    )
    if not NAME.fullmatch(extended.name):
        raise RequestError(f"--name: got {name!r}, expected letters, digits, '.', '_' and '-', at most 64")
    work = assemble(extended, base.registry, base.dataset, base.device, data_dir, runs_dir, base.plugins)
    for model in models:
        _check_enough(work, model)
    return work, models


def _models(
    paths: Sequence[Path], work: Workspace, taken: Collection[str], size: int | None, ignore_labels: bool
) -> Iterator[Model]:
    """Every model's samples, under a name that no other row has."""
    classes, shape, names = work.dataset.classes, work.dataset.train.shape, set(taken)
    for given in paths:
        for path in _places(given, classes, ignore_labels):
            samples = read_samples(path, size, False if ignore_labels else None)
            fitted = samples.fitted_to(shape, classes, f"samples {path.name}")
            _check_range(fitted.images, work.dataset.train.images, f"samples {path.name}")
            row = _unused(path.stem if path.is_file() else path.resolve().name, names)
            names.add(row)
            yield Model(row, path, samples, fitted.class_counts if samples.labelled else None)


def _check_range(images: Tensor, real: Tensor, who: str) -> None:
    """Pixels in 0..1 or 0..16 that were cast to bytes make black images, and a row that means nothing.

    Raises:
        DataError: If the brightest pixel is below a quarter of the real images' brightest.
    """
    brightest, expected = int(images.max()), int(real.max())
    if 4 * brightest < expected:
        raise DataError(
            f"{who}: got pixels up to {brightest}, where the real images reach {expected}; expected the same range: "
            "multiply them before they are made uint8"
        )


def _places(given: Path, classes: Sequence[str], ignore_labels: bool) -> list[Path]:
    """Where the models in a folder are; it is one model's if it has images at once, or its folders are classes."""
    if given.is_file() or not given.is_dir():
        return [given]
    held = contents(Place(given), f"samples {given.name}")
    if ignore_labels or held.indexed is not None or any("/" not in name for name in held.images):
        return [given]
    archives = sorted(path for path in given.iterdir() if _is_archive(path))
    kinds = [folder for folder in held.folders if _like_a_class(folder, classes)]
    nested = {name.split("/")[1] for name in held.images if name.count("/") > 1}
    if kinds and (archives or nested & set(classes) or nested == set(map(str, range(len(classes))))):
        beside = "archives beside them" if archives else "folders within them that are called like classes, too"
        raise RequestError(
            f"samples {given.name}: got folders that are called like classes ({', '.join(kinds[:3])}), and {beside}: "
            "one model or several? Name each model's place by itself"
        )
    if kinds:
        return [given]
    filled = {name.partition("/")[0] for name in held.images}
    found = [*archives, *(given / folder for folder in held.folders if folder in filled)]
    if not found:
        raise DataError(f"samples {given.name}: got no image and no model in {given}, expected {FORMS}, or several")
    return found


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() in ARCHIVES and path.is_file() and not hidden(path.name)


def _like_a_class(folder: str, classes: Sequence[str]) -> bool:
    """Whether a folder is meant as a class, mistyped or not."""
    return folder.isdecimal() or bool(
        difflib.get_close_matches(folder.lower(), [name.lower() for name in classes], n=1, cutoff=0.8)
    )


def _unused(name: str, taken: Collection[str]) -> str:
    """A row's name made from a file's, which no other row has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:50] or "samples"
    return next(each for each in (plain, *(f"{plain}-{n}" for n in range(2, 10_000))) if each not in taken)


def _name(base: str, models: Sequence[Model]) -> str:
    """Of the board: the rows that are added are part of it, so that the benchmark's own report stays as it is."""
    whole = f"{base}-with-{'-'.join(model.row for model in models)}"
    if len(whole) <= LONGEST_NAME:
        return whole
    return f"{whole[: LONGEST_NAME - 9].rstrip('._-')}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _row(model: Model, benchmark: Benchmark, size: int | None, seen: Seen | None) -> GeneratorSpec:
    whole = [setting.whole for setting in all_settings(benchmark.settings)]
    if seen is None and len(set(whole)) > 1:
        raise RequestError(
            "score: the benchmark has settings with all real images and with fewer; what the models have seen decides "
            "where they belong: say --set 'settings.fractions=[1.0]', or name the smaller ones alone, or say "
            "--generator-data"
        )
    if seen is not None and seen != "labelled" and all(whole):
        raise RequestError(
            f"--generator-data {seen}: the classifier has all training images, so no model can have seen more; leave "
            "the option out, or say --set 'settings.fractions=[0.1]'"
        )
    return GeneratorSpec.model_validate(
        {
            "name": GENERATOR,
            "as": model.row,
            "config": {
                "path": str(model.path.resolve()),
                "size": size,
                "labelled": model.samples.labelled,
                "fingerprint": model.samples.data.fingerprint,
            },
            "labels": None if model.samples.labelled else "pseudo_label",
            "generator_data": seen or ("labelled" if all(whole) else "full"),
        }
    )


def _check_enough(work: Workspace, model: Model) -> None:
    """Find out, before anything is computed, whether there are images for all that is asked of a row.

    Raises:
        RequestError: If there are too few; says what would do.
    """
    for cell in expand(work.benchmark, [model.row]):
        need = torch.bincount(work.inputs.sample_plan(cell).labels, minlength=len(work.dataset.classes))
        if cell.spec is not None and not _enough(model, need):
            raise RequestError(
                f"samples {model.row}: {_shortage(model, need, work.dataset.classes)}: as many as the largest arm "
                f"adds, and {work.inputs.metric_count} held out; none is used twice. {_remedy(work, model)}"
            )


def _enough(model: Model, need: Tensor, spare: float = 1.0) -> bool:
    """Whether there are as many as needed; without labels, ``spare`` times as many in all.

    Which classes those are of is known only when a classifier has seen them.
    """
    if model.counts is None:
        return len(model.samples.data) >= spare * int(need.sum())
    return bool((model.counts >= need).all())


def _shortage(model: Model, need: Tensor, classes: Sequence[str]) -> str:
    if model.counts is None:
        return f"got {len(model.samples.data):,} images, expected at least {int(need.sum()):,}"
    there = model.counts
    short = torch.nonzero(there < need).flatten().tolist()
    listed = ", ".join(f"{classes[label]} {int(there[label]):,} of {int(need[label]):,}" for label in short[:3])
    return f"got too few images of {len(short)} of {len(classes)} classes ({listed}{', ...' if len(short) > 3 else ''})"


def _remedy(work: Workspace, model: Model) -> str:
    """Which ratios, or else which part of the real images, there are enough samples for."""
    protocol, train, test = work.benchmark.protocol, work.dataset.train, work.dataset.test

    def would_do(counts: Tensor, ratios: Sequence[float]) -> bool:
        plan = plan_samples(counts, list(ratios), test.labels, work.inputs.metric_count)
        return _enough(model, torch.bincount(plan.labels, minlength=len(counts)), SPARE)

    ratios = [ratio for ratio in protocol.ratios if would_do(train.class_counts, [ratio])]
    if ratios and all(setting.whole for setting in all_settings(work.benchmark.settings)):
        listed = ", ".join(f"{ratio:g}" for ratio in ratios)
        return f"Bring more, or say --set 'protocol.ratios=[{listed}]'"
    for fraction in FRACTIONS:
        if would_do(class_sizes(train.class_counts, fraction, 1.0), protocol.ratios):
            return f"Bring more, or take fewer real images: --set 'settings.fractions=[{fraction:g}]'"
    return "Bring more: no smaller part of the real images would do, since as many samples are held out all the same"


def found(models: Sequence[Model]) -> Mapping[str, str]:
    """By row, what its samples are, for people."""
    return {
        model.row: f"{len(model.samples.data):,} images"
        + ("" if model.samples.labelled else " without labels: a classifier of the real images gives them some")
        for model in models
    }
