"""Everything a run works with, made the same way in the parent and in every cell's process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchbench.config import Benchmark, PluginSpec, load_benchmark
from benchbench.config.check import did_you_mean
from benchbench.config.document import read_document
from benchbench.discovery import Registry, load_registry
from benchbench.errors import BenchbenchError, DataError, PluginError, RequestError
from benchbench.plan import StageInputs
from benchbench.store import Store
from benchbench.text import prints
from benchbench.types import Dataset

LONGEST_NAME = 100
DATA_DIR_VARIABLE = "BENCHBENCH_DATA_DIR"


@dataclass(frozen=True)
class Workspace:
    """A checked benchmark with its plugins, images and store.

    Attributes:
        benchmark: The checked file.
        registry: All plugins.
        dataset: The images.
        inputs: The content keys' inputs.
        store: Where results are kept.
        device: Where to compute.
        data_dir: Where datasets are looked for.
        plugins: Plugin files and modules asked for.
    """

    benchmark: Benchmark
    registry: Registry
    dataset: Dataset
    inputs: StageInputs
    store: Store
    device: torch.device
    data_dir: Path
    plugins: tuple[str, ...]

    def make(self, kind: str, spec: PluginSpec) -> Any:
        """A fresh plugin object from its spec."""
        return make_plugin(self.registry, kind, spec)


def make_plugin(registry: Registry, kind: str, spec: PluginSpec) -> Any:
    """A fresh plugin object from its name and config."""
    plugin = registry.get(kind, spec.name)
    config = registry.config(kind, spec.name, spec.config)
    try:
        return plugin.cls(config)
    except Exception as error:
        text = f"{kind[:-1]} {spec.name} could not be made from its config: {type(error).__name__}: {error}"
        raise PluginError(text) from error


def open_workspace(
    path: Path,
    *,
    overrides: Sequence[str],
    plugins: Sequence[str],
    device: str,
    data_dir: Path,
    runs_dir: Path,
    loggers: Sequence[str] = (),
) -> Workspace:
    """Check a request and load what it needs; nothing is written.

    Args:
        path: The benchmark file.
        overrides: ``KEY=VALUE`` settings.
        plugins: Further plugin files or modules.
        device: ``auto``, ``cpu`` or ``cuda``.
        data_dir: Where datasets are looked for.
        runs_dir: Where results are kept.
        loggers: Names of loggers, besides those of the file.

    Raises:
        RequestError: If the file, a name in it, a logger or the device is wrong.
    """
    # For plugins that look for weights and samples there, in this process and in those of the cells.
    os.environ[DATA_DIR_VARIABLE] = str(data_dir.absolute())
    named = plugins_of(path, overrides)
    asked = [*plugins, *named.values()]
    registry = asked_for(plugins, named.values())
    lost = {broken.source: broken.error for broken in registry.broken}
    unusable = {entry: lost[place] for entry, place in named.items() if place in lost}
    benchmark = load_benchmark(path, registry, overrides, unusable)
    benchmark = _with_loggers(benchmark, registry, loggers)
    dataset = load_dataset(registry, benchmark.dataset, data_dir)
    absolute = tuple(str(Path(plugin).resolve()) if plugin.endswith(".py") else plugin for plugin in asked)
    return assemble(benchmark, registry, dataset, pick_device(device), data_dir, runs_dir, absolute)


def asked_for(plugins: Sequence[str], further: Iterable[str] = ()) -> Registry:
    """All plugins, those that a request names among them.

    Args:
        plugins: Files and modules that must be usable.
        further: Those that may be broken; who needs them will say so.

    Raises:
        RequestError: If one that was asked for cannot be loaded.
    """
    registry = load_registry([*plugins, *further])
    for broken in registry.broken:
        if broken.source in plugins:
            raise RequestError(f"plugin {broken.source} was asked for and cannot be loaded: {broken.error}")
    return registry


def _with_loggers(benchmark: Benchmark, registry: Registry, names: Sequence[str]) -> Benchmark:
    """The benchmark with further loggers, in their defaults; those of the file keep their config."""
    known = registry.names("loggers")
    for name in names:
        if name not in known:
            raise RequestError(f"--log: no logger is called {name!r}; {did_you_mean(name, known)}")
    there = [spec.name for spec in benchmark.loggers]
    further = [PluginSpec(name=name) for name in dict.fromkeys(names) if name not in there]
    return benchmark.model_copy(update={"loggers": [*benchmark.loggers, *further]})


def load_dataset(registry: Registry, spec: PluginSpec, data_dir: Path) -> Dataset:
    """Read a benchmark's images.

    Raises:
        BenchbenchError: What the dataset says is wrong; its other exceptions become a ``PluginError``.
    """
    source = make_plugin(registry, "datasets", spec)
    try:
        dataset: Dataset = source.load(data_dir)
    except BenchbenchError:
        raise
    except Exception as error:
        raise PluginError(f"dataset {spec.name} could not be loaded: {type(error).__name__}: {error}") from error
    check_class_names(dataset.classes, spec.name)
    return dataset


def check_class_names(classes: Sequence[str], who: str) -> None:
    """Names of classes stand in tables, pages and file names; they come from folders that anyone may have packed.

    Raises:
        DataError: If one is empty, very long, cannot be printed, or stands twice.
    """
    for name in classes:
        if not name.strip() or len(name) > LONGEST_NAME or not all(map(prints, name)):
            raise DataError(
                f"dataset {who}: got the class name {ascii(name)[:80]}, expected 1 to {LONGEST_NAME} letters that can "
                "be printed; rename the folder"
            )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise DataError(f"dataset {who}: got the class name {twice!r} twice, expected different names")


def assemble(
    benchmark: Benchmark,
    registry: Registry,
    dataset: Dataset,
    device: torch.device,
    data_dir: Path,
    runs_dir: Path,
    plugins: tuple[str, ...],
) -> Workspace:
    """A workspace from its parts."""
    inputs = StageInputs(benchmark, registry, dataset)
    return Workspace(benchmark, registry, dataset, inputs, Store(runs_dir), device, data_dir, plugins)


def plugins_of(path: Path, overrides: Sequence[str]) -> dict[str, str]:
    """The ``plugins:`` of a file, read ahead of its check, which needs to know the plugins.

    Returns:
        By entry, where to load it from: a file beside the benchmark file, or a module's name.
    """
    data = read_document(path, overrides).data
    found = data.get("plugins") if isinstance(data, dict) else None
    entries = [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
    return {entry: str(path.parent / entry) if entry.endswith(".py") else entry for entry in entries}


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one.

    Raises:
        RequestError: If the name is unknown or the device is not here.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise RequestError(f"--device: got {name!r}, expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise RequestError("--device cuda: this machine shows no CUDA device; use --device auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
