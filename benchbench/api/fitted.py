"""A generator outside of a benchmark: fit it, draw from it, keep it, and find it again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from benchbench.config import Protocol
from benchbench.discovery import Registry, load_registry
from benchbench.downstream.labels import labelled
from benchbench.errors import BenchbenchError, DataError, RequestError
from benchbench.runner.border import check_samples, check_state
from benchbench.runner.workspace import make_plugin, pick_device
from benchbench.seeding import torch_generator
from benchbench.store.files import write_atomic, write_json
from benchbench.store.portable import pack, unpack
from benchbench.training.acceleration import resolve
from benchbench.types import Budget, FitContext, Generator, LabelledImages, SampleContext

FORMAT = 1
DESCRIPTION, WEIGHTS = "generator.json", "weights.safetensors"
# A description is small; a larger one is not ours.
MOST_BYTES = 2**26

log = logging.getLogger(__name__)


class Recipe(BaseModel):
    """What a generator is made from, besides its weights.

    Attributes:
        name: The plugin's name.
        config: Its config.
        labels: How it comes to honour labels: by itself (None), ``per_class`` or ``pseudo_label``.
        classifier: The labeller's name and config, where labels are pseudo-labels.
        classifier_steps: Its optimizer steps.
        classes: The class names, by label.
        shape: (C, H, W) of an image.
        seed: Of the fit.
        source: Digest of the plugin's source.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    config: dict[str, Any]
    labels: str | None = None
    classifier: dict[str, Any]
    classifier_steps: int
    classes: list[str]
    shape: list[int]
    seed: int
    source: str


@dataclass(frozen=True)
class FittedGenerator:
    """A generator that has been fitted.

    Attributes:
        generator: The plugin's object.
        recipe: What it was made from.
        facts: What its fit told, by name.
    """

    generator: Generator
    recipe: Recipe
    facts: Mapping[str, float]

    def sample(
        self, labels: Tensor | Sequence[int] | Mapping[str, int], *, seed: int = 0, device: str = "auto"
    ) -> LabelledImages:
        """Draw images.

        Args:
            labels: One label an image, ``int64 (n,)``; or how many of which class, ``{"cat": 100}``.
            seed: Same seed, same images.
            device: ``auto``, ``cpu`` or ``cuda``.

        Raises:
            RequestError: If a class is unknown.
            DataError: If the generator gives something else than images of its shape.
        """
        wanted = self._labels(labels)
        images = self.generator.sample(wanted.clone(), SampleContext(seed, pick_device(device)))
        channels, height, width = self.recipe.shape
        check_samples(images, len(wanted), (channels, height, width), self.recipe.name)
        return LabelledImages(images, wanted, tuple(self.recipe.classes))

    def _labels(self, labels: Tensor | Sequence[int] | Mapping[str, int]) -> Tensor:
        classes = self.recipe.classes
        if isinstance(labels, Mapping):
            unknown = sorted(set(labels) - set(classes))
            if unknown:
                raise RequestError(f"no class is called {unknown[0]!r}; there are {', '.join(classes)}")
            return torch.cat([torch.full((n,), classes.index(name)) for name, n in labels.items()])
        found = torch.as_tensor(labels, dtype=torch.int64)
        if found.ndim != 1 or (len(found) and not 0 <= int(found.min()) <= int(found.max()) < len(classes)):
            raise RequestError(
                f"labels: got shape {tuple(found.shape)}, expected (n,) with values 0..{len(classes) - 1}"
            )
        return found

    def save(self, folder: str | Path) -> Path:
        """Write ``generator.json`` and ``weights.safetensors`` into ``folder``, which is made."""
        from safetensors.torch import save

        folder = Path(folder)
        state = self.generator.state_dict()
        check_state(state, self.recipe.name)
        tensors, tree = pack(state)
        write_atomic(folder / WEIGHTS, save(tensors))
        description = {
            "format": FORMAT,
            **self.recipe.model_dump(mode="json"),
            "facts": dict(self.facts),
            "state": tree,
        }
        write_json(folder / DESCRIPTION, description)
        return folder


def load(folder: str | Path, *, plugins: Sequence[str] = ()) -> FittedGenerator:
    """A generator that :meth:`FittedGenerator.save` wrote. Nothing in the folder is executed.

    Args:
        folder: Where it lies.
        plugins: Plugin files or modules that bring it, where it is not installed.

    Raises:
        DataError: If the files are missing, damaged or of a later format.
        PluginError: If its plugin is not installed.
    """
    folder = Path(folder)
    said = _description(folder)
    facts, tree = said.pop("facts", {}), said.pop("state", None)
    try:
        recipe = Recipe.model_validate(said)
    except ValidationError as error:
        raise DataError(f"{folder / DESCRIPTION}: {_first_fault(error)}") from error
    registry = load_registry(list(plugins))
    if registry.get("generators", recipe.name).digest != recipe.source:
        log.warning("%s: the plugin %s has changed since it was fitted; it may draw otherwise", folder, recipe.name)
    try:
        generator = _made(registry, recipe)
    except ValidationError as error:
        raise DataError(f"{folder / DESCRIPTION}: config: {_first_fault(error)}") from error
    try:
        from safetensors.torch import load_file

        generator.load_state_dict(unpack(load_file(folder / WEIGHTS), tree))
    except BenchbenchError:
        raise
    except Exception as error:
        raise DataError(f"{folder}: the weights do not fit {recipe.name}: {type(error).__name__}: {error}") from error
    return FittedGenerator(generator, recipe, facts)


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    for needed in (path, folder / WEIGHTS):
        if not needed.is_file():
            raise DataError(f"{needed} is missing; expected a folder that `save` or `benchbench export` wrote")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: got {path.stat().st_size} bytes, expected at most {MOST_BYTES}")
    try:
        said = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    form = said.pop("format", None) if isinstance(said, dict) else None
    if form != FORMAT:
        raise DataError(f"{path}: got format {form!r}, this program reads {FORMAT}")
    found: dict[str, Any] = said
    return found


def _first_fault(error: ValidationError) -> str:
    """Where it is, and what it is, in one line."""
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def _made(registry: Registry, recipe: Recipe) -> Generator:
    """An unfitted generator from its recipe."""
    cls = registry.get("generators", recipe.name).cls
    config = registry.config("generators", recipe.name, recipe.config)
    spec = Protocol.model_validate({"classifier": recipe.classifier}).classifier
    return labelled(cls, config, recipe.labels, make_plugin(registry, "classifiers", spec), recipe.classifier_steps)


def fit(
    generator: str,
    train: LabelledImages,
    *,
    config: Mapping[str, Any] | None = None,
    labels: str | None = None,
    seed: int = 0,
    device: str = "auto",
    max_steps: int | None = None,
    max_seconds: float | None = None,
    plugins: Sequence[str] = (),
) -> FittedGenerator:
    """Fit a generator on labelled images, as a benchmark's cell would.

    Args:
        generator: Its name, as in ``benchbench list generators``.
        train: The images.
        config: Its settings; the rest are defaults.
        labels: ``per_class`` or ``pseudo_label`` for one that cannot condition on labels.
        seed: Of initialisation and batches.
        device: ``auto``, ``cpu`` or ``cuda``.
        max_steps: Cap on optimizer steps.
        max_seconds: Stop after so long and keep what there is.
        plugins: Plugin files or modules that bring it, where it is not installed.

    Raises:
        PluginError: If no generator has that name.
        RequestError: If the config is wrong, or the generator cannot condition and ``labels`` does not say how.
    """
    registry = load_registry(list(plugins))
    plugin = registry.get("generators", generator)
    try:
        checked = registry.config("generators", generator, dict(config or {}))
    except ValidationError as error:
        raise RequestError(f"{generator}: {_first_fault(error)}") from error
    if labels is None and registry.needs_labels(generator, checked):
        raise RequestError(f"{generator} does not condition on labels; say labels='per_class' or labels='pseudo_label'")
    protocol = Protocol()
    recipe = Recipe(
        name=generator,
        config=checked.model_dump(mode="json"),
        labels=labels,
        classifier=protocol.classifier.model_dump(mode="json"),
        classifier_steps=protocol.classifier_steps,
        classes=list(train.classes),
        shape=list(train.shape),
        seed=seed,
        source=plugin.digest,
    )
    made, where = _made(registry, recipe), pick_device(device)
    ctx = FitContext(
        seed,
        where,
        torch_generator(seed, "fit", device=where),
        budget=Budget(max_steps, max_seconds),
        deadline=None if max_seconds is None else time.monotonic() + max_seconds,
        compute=resolve(where),
    )
    own = LabelledImages(train.images.clone(), train.labels.clone(), train.classes)  # a plugin may scribble on it
    return FittedGenerator(made, recipe, dict(made.fit(own, ctx) or {}))
