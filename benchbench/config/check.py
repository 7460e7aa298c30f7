"""All that is wrong with a benchmark file, at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

from pydantic import BaseModel, ValidationError

from benchbench.config.document import Document, Path_, read_document
from benchbench.config.published import faults
from benchbench.config.schema import BASELINE, Benchmark
from benchbench.errors import BenchmarkFileError, PluginError, Problem

# Pydantic's words for what a person writes as YAML.
_EXPECTED = {
    "list_type": "expected a list, such as [1.0]",
    "model_type": "expected keys with values, such as {key: 1}",
    "dict_type": "expected keys with values, such as {key: 1}",
    "too_short": "expected at least one entry",
}


class Catalog(Protocol):
    """What is installed, as far as a benchmark file may name it."""

    def names(self, kind: str) -> Sequence[str]:
        """All names of one kind (``generators``, ``datasets``, …)."""
        ...

    def config_model(self, kind: str, name: str) -> type[BaseModel]:
        """The config of one plugin.

        Raises:
            PluginError: If the name is unknown or claimed by two plugins.
        """
        ...

    def is_control(self, name: str) -> bool:
        """Whether a generator only calibrates the board.

        Raises:
            PluginError: If the name is unknown or claimed by two plugins.
        """
        ...

    def is_given(self, name: str) -> bool:
        """Whether a generator gives back images that were made elsewhere.

        Raises:
            PluginError: If the name is unknown or claimed by two plugins.
        """
        ...

    def outputs(self, metric: str) -> Mapping[str, bool]:
        """The keys of the numbers that a metric gives, and whether each is one a class.

        Raises:
            PluginError: If the name is unknown or claimed by two plugins.
        """
        ...

    def needs_labels(self, name: str, config: BaseModel) -> bool:
        """Whether a generator with this config cannot condition.

        Raises:
            PluginError: If it cannot be made from this config.
        """
        ...


def load_benchmark(
    path: Path, catalog: Catalog, overrides: Sequence[str] = (), unusable: Mapping[str, str] | None = None
) -> Benchmark:
    """Read and check a benchmark file.

    Args:
        path: The YAML file.
        catalog: What its names may refer to.
        overrides: ``KEY=VALUE`` settings that replace what the file says.
        unusable: Entries of the file's ``plugins:`` that cannot be loaded, with the reason.

    Raises:
        BenchmarkFileError: With every problem found, each with its line and key.
        RequestError: If the file cannot be read at all.
    """
    document = read_document(path, overrides)
    if not isinstance(document.data, dict):
        raise BenchmarkFileError(
            [document.problem((), f"got {_kind_of(document.data)}, expected keys such as name, dataset, generators")]
        )
    problems = list(document.problems)
    benchmark = None
    try:
        benchmark = Benchmark.model_validate(document.data)
    except ValidationError as error:
        problems += _schema_problems(document, error, Benchmark, ())
    problems += _plugin_problems(document, catalog)
    problems += _row_problems(document)
    problems += _published_problems(document, catalog)
    entries = document.data.get("plugins")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, str) and entry in (unusable or {}):
            problems.append(
                document.problem(("plugins", index), f"{entry} cannot be loaded: {(unusable or {})[entry]}")
            )
    if problems or benchmark is None:
        raise BenchmarkFileError(sorted(problems, key=lambda problem: problem.line or 0))
    return benchmark


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known word, or all known words where none is near."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(choices)}" if choices else ""


def _kind_of(value: object) -> str:
    return {"NoneType": "nothing", "str": "text", "list": "a list", "dict": "a mapping"}.get(
        type(value).__name__, repr(value)
    )


def _schema_problems(
    document: Document, error: ValidationError, model: type[BaseModel], prefix: Path_
) -> Iterator[Problem]:
    """Pydantic's errors with line, key and, for an unknown key, the nearest known one."""
    for item in error.errors(include_url=False, include_context=False):
        path: Path_ = (*prefix, *item["loc"])
        if item["type"] == "extra_forbidden":
            known = _fields_at(model, item["loc"][:-1])
            yield document.problem(path, "unknown key", did_you_mean(str(path[-1]), known))
        elif item["type"] == "missing":
            yield document.problem(path, "is missing")
        else:
            message = item["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            message = _EXPECTED.get(item["type"], message)
            yield document.problem(path, f"got {_short(item['input'])}: {message[:1].lower()}{message[1:]}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that may stand at ``loc`` in ``model``."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            here = next(iter(get_args(here)), here)
        elif isinstance(here, type) and issubclass(here, BaseModel) and part in here.model_fields:
            here = here.model_fields[part].annotation
        while get_args(here) and not isinstance(here, type(list[int])):
            here = get_args(here)[0]
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [field.alias or name for name, field in here.model_fields.items()]
    return []


def _references(data: dict[str, Any]) -> Iterator[tuple[str, Path_, Any]]:
    """Every place where a file names a plugin: (kind, path, what stands there)."""
    yield "datasets", ("dataset",), data.get("dataset")
    protocol = data.get("protocol")
    protocol = protocol if isinstance(protocol, dict) else {}
    yield "classifiers", ("protocol", "classifier"), protocol.get("classifier")
    lists: list[tuple[str, Path_, Any]] = [
        ("generators", ("generators",), data.get("generators")),
        ("features", ("protocol", "features"), protocol.get("features")),
        ("metrics", ("protocol", "metrics"), protocol.get("metrics")),
        ("loggers", ("loggers",), data.get("loggers")),
    ]
    for kind, path, items in lists:
        for index, item in enumerate(items if isinstance(items, list) else []):
            yield kind, (*path, index), item


def _plugin_problems(document: Document, catalog: Catalog) -> Iterator[Problem]:
    """Unknown names, wrong configs, missing or needless ``labels``: also where the rest is wrong."""
    for kind, path, item in _references(document.data):
        spec = {"name": item} if isinstance(item, str) else item
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            continue  # the schema says what is wrong with it
        where: Path_ = path if isinstance(item, str) else (*path, "name")
        try:
            model = catalog.config_model(kind, spec["name"])
        except PluginError as error:
            hint = "" if spec["name"] in catalog.names(kind) else did_you_mean(spec["name"], catalog.names(kind))
            yield document.problem(where, str(error), hint)
            continue
        values = spec.get("config")
        if values is not None and not isinstance(values, dict):
            continue
        try:
            config = model.model_validate(values or {})
        except ValidationError as error:
            yield from _schema_problems(document, error, model, (*path, "config"))
            continue
        if not _all_finite(config.model_dump(mode="json")):
            yield document.problem((*path, "config"), "holds an infinite number or NaN, expected finite numbers")
        elif kind == "generators":
            yield from _label_problems(document, catalog, path, spec, config)
            yield from _transfer_problems(document, catalog, path, spec)


def _rows(document: Document) -> Iterator[tuple[int, str]]:
    """Place and name of every row that has a name."""
    items = document.data.get("generators")
    for index, item in enumerate(items if isinstance(items, list) else []):
        spec = {"name": item} if isinstance(item, str) else item
        row = (spec.get("as") or spec.get("name")) if isinstance(spec, dict) else None
        if isinstance(row, str):
            yield index, row


def _row_problems(document: Document) -> Iterator[Problem]:
    """Rows that share a name, or have the baseline's."""
    seen: set[str] = set()
    for index, row in _rows(document):
        path: Path_ = ("generators", index)
        if row == BASELINE:
            yield document.problem(
                path, f"the row is called {row!r}, which is the baseline's name", "say as: and another"
            )
        elif row in seen:
            yield document.problem(path, f"a second row is called {row!r}", "name it with as:")
        seen.add(row)


def _published_problems(document: Document, catalog: Catalog) -> Iterator[Problem]:
    """Published numbers of rows, features or kinds that there are not."""
    rows = [row for _, row in _rows(document)]
    features = list(_sound(catalog, "features"))
    outputs = {key: by for metric in _sound(catalog, "metrics") for key, by in catalog.outputs(metric).items()}
    for path, entry in _published_numbers(document.data.get("published")):
        for fault in faults(entry, BASELINE, rows, outputs, features):
            hint = fault.remedy or did_you_mean(str(entry.get(fault.key)), fault.known)
            yield document.problem((*path, fault.key), fault.message, hint)


def _published_numbers(blocks: object) -> Iterator[tuple[Path_, dict[str, Any]]]:
    """Every published number that is a mapping, with its place."""
    for place, block in enumerate(blocks if isinstance(blocks, list) else []):
        numbers = block.get("numbers") if isinstance(block, dict) else None
        for index, entry in enumerate(numbers if isinstance(numbers, list) else []):
            if isinstance(entry, dict):
                yield ("published", place, "numbers", index), entry


def _sound(catalog: Catalog, kind: str) -> Iterator[str]:
    """The names of a kind that one plugin alone claims."""
    for name in catalog.names(kind):
        try:
            catalog.config_model(kind, name)
        except PluginError:
            continue
        yield name


def _all_finite(value: object) -> bool:
    """Whether a nest of dicts and lists holds no infinite number and no NaN, which no content key can carry."""
    if isinstance(value, dict):
        return all(map(_all_finite, value.values()))
    if isinstance(value, list):
        return all(map(_all_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _transfer_problems(document: Document, catalog: Catalog, path: Path_, spec: dict[str, Any]) -> Iterator[Problem]:
    """A row that is to see more than the classifier, where there is no more to see, or that is a control."""
    settings = document.data.get("settings", {})
    # What is no list is told as a fault of its own, and is not taken for a list of ones.
    parts = [settings.get(key, []) for key in ("fractions", "imbalance")] if isinstance(settings, dict) else [settings]
    whole = all(isinstance(part, list) and all(value == 1 for value in part) for part in parts)
    where: Path_ = (*path, "generator_data")
    if "generator_data" not in spec and catalog.is_given(spec["name"]) and not whole:
        yield document.problem(
            path,
            "there are settings with fewer real images, and what the model behind these images has seen is not known",
            "say generator_data: full (all training images), unlabelled, or labelled (only those of the setting)",
        )
    if spec.get("generator_data", "labelled") not in ("unlabelled", "full"):
        return
    if catalog.is_control(spec["name"]):
        yield document.problem(where, f"{spec['name']} is a control, which has no transfer track", "leave this key out")
        return
    if whole:
        yield document.problem(
            where,
            "there are no images besides those that the classifier has",
            "say settings: {fractions: [0.1]} or another setting that leaves some out",
        )


def _label_problems(
    document: Document, catalog: Catalog, path: Path_, spec: dict[str, Any], config: BaseModel
) -> Iterator[Problem]:
    try:
        needs = catalog.needs_labels(spec["name"], config)
    except PluginError as error:
        yield document.problem((*path, "config"), str(error))
        return
    if needs and spec.get("labels") != "pseudo_label" and catalog.is_given(spec["name"]):
        yield document.problem(path, f"{spec['name']} has images without labels", "say labels: pseudo_label")
    elif needs and spec.get("labels") is None:
        yield document.problem(
            path,
            f"{spec['name']} cannot be conditioned on labels, and the downstream arms need them",
            "say labels: per_class (one model a class) or labels: pseudo_label (a classifier labels its samples)",
        )
    if not needs and spec.get("labels") is not None:
        yield document.problem(
            (*path, "labels"), f"{spec['name']} is conditional and makes its own labels", "leave this key out"
        )
