"""Loading plugins: from entry points, from modules, from single files. One that is broken stops nobody."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pluggy

from benchbench import hookspecs
from benchbench.discovery.registry import KINDS, Broken, Registry
from benchbench.errors import PluginError

GROUP = "benchbench"


def load_registry(extra: Sequence[str] = (), about_to: Callable[[str], None] = lambda source: None) -> Registry:
    """Find all plugins.

    Args:
        extra: Files (ending in ``.py``) or importable modules, from ``--plugin`` or a benchmark's
            ``plugins:``. They are asked for by name, so a broken one is listed like any other.
        about_to: Told of every module or file before it is imported: code that ends the process can be named.

    Returns:
        Everything that works, and a line for everything that does not.
    """
    registry = Registry()
    seen: set[str] = set()
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        if point.value in seen:  # an editable install may list one distribution twice
            continue
        seen.add(point.value)
        about_to(point.value)
        for name in _modules_of(point.value, registry):
            about_to(name)
            _take(registry, name, from_package=name != point.value)
    for source in dict.fromkeys(extra):
        about_to(source)
        _take(registry, source, from_package=False)
    return registry


def _modules_of(value: str, registry: Registry) -> Iterator[str]:
    """The modules an entry point stands for: itself, or every module of the package it names."""
    name = value.partition(":")[0]
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        registry.broken.append(Broken(name, _one_line(error)))
        _reraise_interrupt(error)
        return
    if hooks_of(module) or not hasattr(module, "__path__"):
        yield name
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_"):
            yield f"{name}.{info.name}"


def _import_name(path: Path) -> str:
    """The module name a file is imported under, made from its path, so that two may share a stem."""
    return f"benchbench_file__{hashlib.sha256(str(path).encode()).hexdigest()[:12]}__{path.stem}"


def _take(registry: Registry, source: str, *, from_package: bool) -> None:
    """Import one module and register what its hooks return; note it as broken where that fails."""
    try:
        module = _import_file(Path(source).resolve()) if source.endswith(".py") else importlib.import_module(source)
        if not hooks_of(module):
            if from_package:
                return  # a package may hold helper modules
            raise PluginError("implements no hook; decorate a function such as benchbench_generators with @hookimpl")
        _register(registry, module, source)
    except BaseException as error:
        registry.broken.append(Broken(source, _one_line(error)))
        _reraise_interrupt(error)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"no such file: {path.name}; expected a Python file with a hook implementation")
    name = _import_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path.name} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def hooks_of(module: ModuleType) -> list[str]:
    """Names of the functions marked as hook implementations, known hooks or not."""
    marker = f"{hookspecs.PROJECT}_impl"
    return [name for name, value in vars(module).items() if callable(value) and hasattr(value, marker)]


def _register(registry: Registry, module: ModuleType, source: str) -> None:
    """Let pluggy check the hooks of one module, then take in what they return, all or nothing.

    A manager of its own for each plugin: a fault in one must not be found while another is registered.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=source)
    manager.check_pending()  # finds misspelled hooks
    trial = Registry()
    for kind in KINDS:
        for classes in getattr(manager.hook, f"benchbench_{kind}")():
            if not isinstance(classes, Sequence):
                raise PluginError(f"benchbench_{kind} returned {classes!r}, expected a list of classes")
            for cls in classes:
                trial.add(kind, cls, source)
    for plugin in trial.all():
        registry.add(plugin.kind, plugin.cls, plugin.source)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"


def _reraise_interrupt(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        raise error
