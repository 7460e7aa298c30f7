"""A generator that a run has fitted, out of its store."""

from __future__ import annotations

from benchbench.api.fitted import FittedGenerator, Recipe
from benchbench.downstream.labels import labelled
from benchbench.errors import RequestError
from benchbench.plan import Cell, expand
from benchbench.runner.workspace import Workspace
from benchbench.store import content_key
from benchbench.store.files import load_state


def cell_of(work: Workspace, row: str, seed: int | None = None, setting: str | None = None) -> Cell:
    """The cell of a row; of the first seed and the first setting unless told otherwise.

    Raises:
        RequestError: If there is none; names those that there are.
    """
    cells = [cell for cell in expand(work.benchmark) if cell.spec is not None]
    for what, wanted in (("row", row), ("setting", setting), ("seed", seed)):
        there = [cell.setting.name if what == "setting" else getattr(cell, what) for cell in cells]
        cells = [cell for cell, value in zip(cells, there, strict=True) if wanted in (None, value)]
        if not cells:
            known = ", ".join(dict.fromkeys(map(str, there)))
            raise RequestError(f"{work.benchmark.name} has no {what} {wanted!r}; it has {known}")
    return cells[0]


def fitted_of(work: Workspace, cell: Cell) -> FittedGenerator:
    """The cell's fitted generator.

    Raises:
        RequestError: If the cell has not been fitted yet.
    """
    spec = cell.spec
    assert spec is not None
    entry = work.store.get("fit", content_key("fit", work.inputs.fit(cell)))
    if entry is None:
        raise RequestError(
            f"{cell.name} is not fitted in {work.store.root}; run the benchmark first "
            f"(--only {cell.row} is enough), from the same source and settings"
        )
    plugin = work.registry.get("generators", spec.name)
    config = work.registry.config("generators", spec.name, spec.config)
    protocol = work.inputs.protocol
    generator = labelled(
        plugin.cls, config, spec.labels, work.make("classifiers", protocol.classifier), protocol.classifier_steps
    )
    generator.load_state_dict(load_state(entry.file("state.pt")))
    train = work.inputs.shown(cell)
    recipe = Recipe(
        name=spec.name,
        config=config.model_dump(mode="json"),
        labels=spec.labels,
        classifier=protocol.classifier.model_dump(mode="json"),
        classifier_steps=protocol.classifier_steps,
        classes=list(train.classes),
        shape=list(train.shape),
        seed=cell.seed,
        source=plugin.digest,
    )
    return FittedGenerator(generator, recipe, entry.meta["facts"])
