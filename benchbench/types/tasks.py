"""What an executor runs, and what it says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchbench.types.status import Status

# In a task's environment: which of the places for tasks that run side by side it has, 0, 1, ...
SLOT_VARIABLE = "BENCHBENCH_SLOT"
# Likewise: the process that started it, where that is on the same machine.
PARENT_VARIABLE = "BENCHBENCH_PARENT"


@dataclass(frozen=True)
class Task:
    """One process to run: ``python -m MODULE PAYLOAD``, or a copy of one that has imported ``MODULE`` already.

    Attributes:
        name: The cell's name, unique in a run.
        module: The importable module whose ``__main__`` does the work.
        payload: A JSON file with everything the process needs.
        folder: Where the process leaves ``log.txt``, ``progress.json`` and ``outcome.json``.
        timeout_s: Hard wall-clock limit in seconds, or None.
        env: Environment variables to set, thread counts among them.
        copied: Whether a copy will do: ``MODULE`` then has ``prepare()``, to be called once before copies are made,
            and ``main(payload)``. Not for a task that uses a GPU, whose driver cannot be copied.
    """

    name: str
    module: str
    payload: Path
    folder: Path
    timeout_s: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    copied: bool = False


@dataclass(frozen=True)
class CellRun:
    """A cell that begins, as a logger is told of it.

    Attributes:
        benchmark: The benchmark's name.
        name: The cell's name, unique in its benchmark.
        row: The row's name in the leaderboard; ``real`` for the classifiers of real images alone.
        generator: The generator's name; None for those classifiers.
        seed: The cell's.
        setting: The data setting's name.
        config: The generator's config, with the defaults written out.
        folder: Where a logger may leave files: ``<runs folder>/cells/<benchmark>/<cell>``; it exists.
        runs_dir: The runs folder.
    """

    benchmark: str
    name: str
    row: str
    generator: str | None
    seed: int
    setting: str
    config: Mapping[str, Any]
    folder: Path
    runs_dir: Path


@dataclass(frozen=True)
class Progress:
    """Where a running cell is.

    Attributes:
        name: The cell's name.
        phase: ``fit``, ``sample``, ``features``, …
        step: Steps done in this phase.
        total: Steps in this phase.
        values: The latest losses.
        rate: Steps a second, 0 where not known yet.
        images_per_second: Training images a second, 0 where not known.
        thumbnail: The file with the latest samples of the training; empty where there are none.
    """

    name: str
    phase: str
    step: int = 0
    total: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    rate: float = 0.0
    images_per_second: float = 0.0
    thumbnail: str = ""

    @staticmethod
    def of(name: str, said: object) -> Progress | None:
        """What a cell's ``progress.json`` says; None where it has another form, as a plugin may have written it."""
        return _adapted(Progress, name, said)

    @property
    def seconds_left(self) -> float | None:
        """Seconds left in this phase at the present rate, or None where not known yet."""
        return (self.total - self.step) / self.rate if self.rate > 0 else None


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        name: The cell's name.
        status: How it ended.
        phase: The phase it was in when it ended.
        message: One line for the leaderboard, or of a cell that is ok a warning; empty where all went well.
        seconds: Wall-clock seconds of the whole process.
    """

    name: str
    status: Status
    phase: str = ""
    message: str = ""
    seconds: float = 0.0

    @staticmethod
    def of(name: str, said: object) -> Outcome | None:
        """What a cell's ``outcome.json`` says; None where it has another form, as a plugin may have written it."""
        return _adapted(Outcome, name, said)


Kind = TypeVar("Kind", Progress, Outcome)


def _adapted(kind: type[Kind], name: str, said: object) -> Kind | None:
    if not isinstance(said, dict):
        return None
    try:
        return TypeAdapter(kind).validate_python({**said, "name": name})
    except ValidationError:
        return None
