"""From a board to files: the exhibits are gathered, then every report writes its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchbench.config import BASELINE
from benchbench.downstream.labels import balanced_labels
from benchbench.leaderboard import Board, Dossier
from benchbench.plan import CellState
from benchbench.runner.workspace import Workspace
from benchbench.store import Entry
from benchbench.store.files import load_array

GRID_LINES = 4

log = logging.getLogger(__name__)


def write_reports(work: Workspace, board: Board, states: Sequence[CellState], out: Path, command: str) -> list[str]:
    """Let every installed report write its files; one that fails does not stop the others.

    Returns:
        Why reports failed, one line each; empty where all were written.
    """
    dossier = gather(work, board, states, command)
    failed = []
    for name in work.registry.names("reports"):
        try:
            work.registry.get("reports", name).cls().write(dossier, out)
        except Exception as error:
            log.debug("report %s failed", name, exc_info=True)
            failed.append(f"report {name}: {type(error).__name__}: {error}")
    return failed


def gather(work: Workspace, board: Board, states: Sequence[CellState], command: str) -> Dossier:
    """Everything a report may show, from the store."""
    first = work.benchmark.seeds[0]
    train = work.dataset.train
    wanted = balanced_labels(torch.ones(len(train.classes)), GRID_LINES * len(train.classes))
    grids = {
        state.cell.row: grid
        for state in states
        if state.cell.seed == first and (grid := _grid(work, state, wanted)) is not None
    }
    floors = {
        column.key: row.values[column.key].mean
        for row in board.of_role("baseline")
        for column in board.distances
        if column.key in row.values
    }
    return Dossier(
        board=board,
        manifest=_manifest(work, states),
        classes=train.classes,
        grids=grids,
        real=_pick(train.images, train.labels, wanted),
        command=command,
        margin=work.benchmark.protocol.margin,
        level=work.benchmark.protocol.level,
        floors=floors,
    )


def _entry(work: Workspace, state: CellState, stage: str) -> Entry | None:
    for result, reason in state.results:
        if result.stage == stage and not reason and result.key is not None:
            return work.store.get(stage, result.key)
    return None


def _grid(work: Workspace, state: CellState, wanted: Tensor) -> Tensor | None:
    """The first samples of every class, in the order drawn: not chosen."""
    entry = _entry(work, state, "sample")
    if entry is None:
        return None
    images = torch.from_numpy(load_array(entry.file("images.npy")))
    return _pick(images, torch.from_numpy(load_array(entry.file("labels.npy"))), wanted)


def _pick(images: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """The first images whose labels are ``wanted``, in that order; the last of a class is repeated if too few."""
    members = {label: torch.nonzero(labels == label).flatten() for label in wanted.unique().tolist()}
    used = dict.fromkeys(members, 0)
    index = []
    for label in wanted.tolist():
        places = members[label]
        index.append(int(places[min(used[label], len(places) - 1)]))
        used[label] += 1
    return images[torch.tensor(index)]


def _manifest(work: Workspace, states: Sequence[CellState]) -> dict[str, Any]:
    """What the numbers come from. The environments are those that cells were measured in, as they noted it."""
    environments: list[object] = []
    for state in states:
        entry = _entry(work, state, "fit")
        if entry is not None and entry.meta["environment"] not in environments:
            environments.append(entry.meta["environment"])
    dataset = work.dataset
    return {
        "benchmark": resolved(work),
        "protocol_fingerprint": work.inputs.protocol_fingerprint,
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "image_shape": list(dataset.train.shape),
            **{split: len(getattr(dataset, split)) for split in ("train", "val", "test")},
        },
        "environments": environments,
        "extractors": {spec.name: work.inputs.weights(spec, work.store) for spec in work.benchmark.protocol.features},
        "plugins": {
            f"{plugin.kind}/{plugin.name}": {"source": Path(plugin.source).name, "sha256": plugin.digest}
            for plugin in _used(work)
        },
        "images_per_distance": work.inputs.metric_count,
        "samples_per_cell": work.inputs.sample_count,
        "cells": {
            state.cell.name: {
                f"{result.stage}/{result.name}": result.key for result, reason in state.results if not reason
            }
            for state in states
        },
        "baseline": BASELINE,
    }


def resolved(work: Workspace) -> dict[str, Any]:
    """The benchmark with every plugin's config written out, but for what only says where a file lies."""
    benchmark = work.benchmark.model_dump(mode="json", by_alias=True)
    benchmark["plugins"] = [Path(plugin).name for plugin in benchmark["plugins"]]
    protocol = benchmark["protocol"]
    named = [("datasets", benchmark["dataset"]), ("classifiers", protocol["classifier"])]
    for kind, specs in (("generators", benchmark["generators"]), *((k, protocol[k]) for k in ("features", "metrics"))):
        named += [(kind, spec) for spec in specs]
    for kind, spec in named:
        config = work.registry.config_model(kind, spec["name"]).model_validate(spec["config"])
        spec["config"] = config.model_dump(mode="json")
    return benchmark


def _used(work: Workspace) -> list[Any]:
    """The plugins that the benchmark names."""
    benchmark, protocol = work.benchmark, work.benchmark.protocol
    named = [("datasets", benchmark.dataset), ("classifiers", protocol.classifier)]
    named += [("generators", spec) for spec in benchmark.generators]
    named += [("features", spec) for spec in protocol.features] + [("metrics", spec) for spec in protocol.metrics]
    return [work.registry.get(kind, spec.name) for kind, spec in named]
