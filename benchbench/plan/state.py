"""What of a cell is stored already, and why the rest is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.plan.cells import Cell
from benchbench.plan.inputs import Result, StageInputs
from benchbench.store import Entry, Store, content_key
from benchbench.store.files import read_object, write_json
from benchbench.types import Outcome, Status

# Words for the fields of keys, where the field's own name says too little.
_WORDS = {
    "source": "source",
    "code": "training code",
    "dataset": "dataset",
    "train": "training images",
    "weights": "extractor weights",
    "labels_code": "labelling code",
}

# Fields that are keys of earlier stages.
_PARTS = {
    "fit": "fit",
    "sample": "sample",
    "real": "features of real images",
    "other": "sample",
    "train": "training images",
    "classifier": "classifier",
}


@dataclass(frozen=True)
class Standing:
    """One result of a cell, and whether it is stored.

    Attributes:
        result: What is owed.
        entry: Where it is stored, or None.
        reason: Why it is not stored; empty if it is.
        earlier: The content key that it was last stored under, where that is remembered and another one.
    """

    result: Result
    entry: Entry | None
    reason: str
    earlier: str | None = None


@dataclass(frozen=True)
class CellState:
    """Where a cell stands.

    Attributes:
        cell: The cell.
        results: Every result, with its entry or the reason for there being none.
        goal: A key over all that the cell shall compute; a failure is remembered under it.
        failure: How the cell ended before with the same goal, if it failed.
    """

    cell: Cell
    results: tuple[Standing, ...]
    goal: str
    failure: Outcome | None

    @property
    def missing(self) -> list[Standing]:
        """The results that are not stored."""
        return [standing for standing in self.results if standing.entry is None]

    @property
    def stored(self) -> list[tuple[Result, Entry]]:
        """The results that are stored."""
        return [(standing.result, standing.entry) for standing in self.results if standing.entry is not None]

    @property
    def begun(self) -> bool:
        """Whether anything of it is stored."""
        return len(self.missing) < len(self.results)

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def cell_folder(store: Store, benchmark_name: str, cell: Cell) -> Path:
    """Where a cell's log, progress and outcome lie."""
    return store.root / "cells" / benchmark_name / cell.name


def goal_key(inputs: StageInputs, cell: Cell) -> str:
    """A key over everything a cell shall compute, known before anything is computed."""
    protocol = inputs.protocol
    parts: dict[str, Any] = {
        "arms": [inputs.arm(cell, arm) for arm in inputs.arms(cell)],
        "extractors": [inputs.extractor(spec) for spec in protocol.features],
        "metrics": [inputs.plugin("metrics", spec) for spec in protocol.metrics],
        "likelihood": inputs.likelihood(cell) if inputs.has_likelihood(cell) else None,
    }
    return content_key("goal", parts)


def examine(inputs: StageInputs, cell: Cell, store: Store) -> CellState:
    """Compare what a cell needs with what the store holds."""
    folder = cell_folder(store, inputs.benchmark.name, cell)
    before = read_object(folder / "inputs.json")
    checked = tuple(_standing(result, before, store) for result in inputs.results(cell, store))
    goal = goal_key(inputs, cell)
    return CellState(cell, checked, goal, _failure(folder, cell, goal))


def remember(inputs: StageInputs, state: CellState, store: Store) -> None:
    """Note what determined the cell's stored results, so that a later plan can say what has changed since."""
    path = cell_folder(store, inputs.benchmark.name, state.cell) / "inputs.json"
    noted = read_object(path)
    noted |= {_label(result): result.inputs for result, _ in state.stored}
    write_json(path, noted)


def _failure(folder: Path, cell: Cell, goal: str) -> Outcome | None:
    record = read_object(folder / "outcome.json")
    outcome = Outcome.of(cell.name, record)
    return None if outcome is None or outcome.status is Status.OK or record.get("goal") != goal else outcome


def _label(result: Result) -> str:
    return f"{result.stage}/{result.name}"


def _standing(result: Result, before: Mapping[str, Any], store: Store) -> Standing:
    """Look a result up; it is checked against its checksums once, here."""
    key = result.key
    entry = None if key is None else store.get(result.stage, key)
    if entry is not None:
        return Standing(result, entry, "")
    noted = before.get(_label(result))
    inputs = noted if isinstance(noted, dict) else None
    earlier = _key_of(result.stage, inputs)
    return Standing(result, None, _reason(result, inputs), earlier if earlier != key else None)


def _key_of(stage: str, noted: Mapping[str, Any] | None) -> str | None:
    """The key of noted inputs; None of no note, and of a damaged one (JSON that nobody wrote, as NaN)."""
    try:
        return None if noted is None else content_key(stage, noted)
    except (ValueError, RecursionError):
        return None


def _reason(result: Result, earlier: Mapping[str, Any] | None) -> str:
    """Why a result is not stored, whose inputs were ``earlier``; None where it never was."""
    if result.key is None:
        return "its feature extractor is not fitted yet"
    if earlier is None:
        return "never computed"
    changes = list(_differences(earlier, result.inputs, ()))
    return ", ".join(dict.fromkeys(changes)) or "missing from the store, or damaged"


def _differences(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Where two inputs differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), (*path, name))
    elif old != new:
        field = path[-1]
        owner = path[-2] if len(path) > 1 else ""
        if field in _PARTS:
            yield f"{_PARTS[field]} changed"
        elif field in _WORDS or _is_digest(new):
            yield f"{owner} {_WORDS.get(field, field)} changed".strip()
        else:
            yield f"{field} {old!r} -> {new!r}"


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64
