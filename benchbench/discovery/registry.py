"""What was found: plugin classes by kind and name, and plugins that are broken."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from benchbench.discovery.source import source_digest
from benchbench.errors import PluginError
from benchbench.types import (
    Classifier,
    Config,
    DatasetSource,
    Executor,
    FeatureExtractor,
    FiniteSet,
    Generator,
    Logger,
    Metric,
    Output,
    Report,
)

# Kind, its hook, and the class a plugin of that kind derives from.
KINDS: dict[str, type] = {
    "generators": Generator,
    "datasets": DatasetSource,
    "features": FeatureExtractor,
    "metrics": Metric,
    "classifiers": Classifier,
    "reports": Report,
    "executors": Executor,
    "loggers": Logger,
}


@dataclass(frozen=True)
class Plugin:
    """One class that a plugin brings.

    Attributes:
        kind: ``generators``, ``datasets``, …
        name: Its unique name.
        cls: The class.
        source: Where it came from, for people: a module's name or a file.
    """

    kind: str
    name: str
    cls: type[Any]
    source: str

    @property
    def digest(self) -> str:
        """SHA-256 of the source that determines what it computes."""
        return source_digest(self.cls)


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used.

    Attributes:
        source: A module's name or a file.
        error: One line: which hook, what was got, what was expected.
    """

    source: str
    error: str


@dataclass
class Registry:
    """Every plugin found. Implements :class:`benchbench.config.Catalog`.

    Attributes:
        broken: Plugins that could not be loaded; they stop nobody else.
    """

    broken: list[Broken] = field(default_factory=list)
    _plugins: dict[tuple[str, str], list[Plugin]] = field(default_factory=dict)

    def add(self, kind: str, cls: object, source: str) -> None:
        """Take in one class.

        Raises:
            PluginError: If it is not a concrete class of its kind with a name and a Config.
        """
        base = KINDS[kind]
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise PluginError(f"benchbench_{kind} returned {cls!r}, expected classes derived from {base.__name__}")
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise PluginError(f"{cls.__name__} does not define {', '.join(missing)}")
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not name:
            raise PluginError(f'{cls.__name__} has no name; write name = "..." in the class body')
        _check_config(cls)
        if issubclass(cls, Metric):
            _check_outputs(cls)
        claims = self._plugins.setdefault((kind, name), [])
        if all(plugin.cls is not cls for plugin in claims):  # a plugin may be found on two ways
            claims.append(Plugin(kind, name, cls, source))

    def names(self, kind: str) -> Sequence[str]:
        """All names of a kind, sorted."""
        return sorted(name for of_kind, name in self._plugins if of_kind == kind)

    def all(self) -> list[Plugin]:
        """Every plugin class, by kind and name."""
        return [plugin for key in sorted(self._plugins) for plugin in self._plugins[key]]

    def get(self, kind: str, name: str) -> Plugin:
        """The plugin of that name.

        Raises:
            PluginError: If there is none, or two claim the name (both sources are told).
        """
        found = self._plugins.get((kind, name), [])
        if not found:
            lost = "".join(f"; {broken.source} could not be loaded: {broken.error}" for broken in self.broken)
            raise PluginError(f"no {kind[:-1]} is called {name!r}{lost}")
        if len(found) > 1:
            sources = " and ".join(plugin.source for plugin in found)
            raise PluginError(f"two {kind} are called {name!r}: in {sources}; rename or uninstall one")
        return found[0]

    def config_model(self, kind: str, name: str) -> type[BaseModel]:
        """The Config of a plugin (see :meth:`get` for errors)."""
        model: type[BaseModel] = getattr(self.get(kind, name).cls, "Config", Config)
        return model

    def config(self, kind: str, name: str, values: object) -> BaseModel:
        """The Config of a plugin with these values, the rest being defaults (see :meth:`get` for errors).

        Raises:
            ValidationError: If a value is wrong.
        """
        return self.config_model(kind, name).model_validate(values)

    def is_control(self, name: str) -> bool:
        """Whether a generator only calibrates the board (see :meth:`get` for errors)."""
        return bool(self.get("generators", name).cls.role == "control")

    def is_given(self, name: str) -> bool:
        """Whether a generator gives back images that were made elsewhere (see :meth:`get` for errors)."""
        return issubclass(self.get("generators", name).cls, FiniteSet)

    def outputs(self, metric: str) -> Mapping[str, bool]:
        """The keys of the numbers that a metric gives, and whether each is one a class (see :meth:`get` for errors)."""
        return {output.key: output.per_class for output in self.get("metrics", metric).cls.outputs}

    def needs_labels(self, name: str, config: BaseModel) -> bool:
        """Whether this generator, so configured, cannot condition on labels.

        Raises:
            PluginError: If the class cannot say.
        """
        try:
            return not self.get("generators", name).cls(config).conditional
        except Exception as error:
            raise PluginError(f"generator {name} could not be made: {type(error).__name__}: {error}") from error


def _check_outputs(cls: type[Metric]) -> None:
    """A metric says beforehand which numbers it gives, or no board could have columns for them."""
    outputs = getattr(cls, "outputs", None)
    if not (isinstance(outputs, tuple) and outputs and all(isinstance(output, Output) for output in outputs)):
        raise PluginError(f"{cls.__name__}.outputs is {outputs!r}, expected a tuple of benchbench.Output, one a number")
    keys = [output.key for output in outputs]
    if len(set(keys)) < len(keys):
        raise PluginError(f"{cls.__name__}.outputs has a key twice: {', '.join(keys)}")
    unknown = sorted(set(cls.needs) - {"train", "drawn", "probabilities"})
    if unknown:
        raise PluginError(f"{cls.__name__} needs {', '.join(unknown)}, expected 'train', 'drawn' or 'probabilities'")


def _check_config(cls: type) -> None:
    """A Config must be a pydantic model that can be made from defaults, or a benchmark file can't be short."""
    model = getattr(cls, "Config", Config)
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise PluginError(f"{cls.__name__}.Config is {model!r}, expected a class derived from benchbench.Config")
    required = [name for name, info in model.model_fields.items() if info.is_required()]
    if required:
        raise PluginError(f"{cls.__name__}.Config needs {', '.join(required)}; give every field a default")
    if issubclass(cls, Generator) and cls.fit_split != "train" and cls.role != "control":
        raise PluginError(f"{cls.__name__} asks for {cls.fit_split} images; only a control may see them")
