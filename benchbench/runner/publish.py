"""From a board to files: the exhibits are gathered, then every report writes its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchbench.config import BASELINE
from benchbench.downstream.labels import balanced_labels
from benchbench.leaderboard import Board, Dossier
from benchbench.leaderboard.dossier import ArmDetail
from benchbench.plan import CellState
from benchbench.runner.workspace import Workspace
from benchbench.store import Entry
from benchbench.store.files import load_array

GRID_LINES = 4

log = logging.getLogger(__name__)


def write_reports(
    work: Workspace, boards: Sequence[Board], states: Sequence[CellState], out: Path, command: str
) -> list[str]:
    """Let every installed report write its files; one that fails does not stop the others.

    Returns:
        Why reports failed, one line each; empty where all were written.
    """
    dossier = gather(work, boards, states, command)
    failed = []
    for name in work.registry.names("reports"):
        try:
            work.registry.get("reports", name).cls().write(dossier, out)
        except Exception as error:
            log.debug("report %s failed", name, exc_info=True)
            failed.append(f"report {name}: {type(error).__name__}: {error}")
    return failed


def gather(work: Workspace, boards: Sequence[Board], states: Sequence[CellState], command: str) -> Dossier:
    """Everything a report may show, from the store."""
    train = work.dataset.train
    wanted = balanced_labels(torch.ones(len(train.classes)), GRID_LINES * len(train.classes))
    grids: dict[str, dict[str, Tensor]] = {board.setting.name: {} for board in boards}
    for state in states:
        if state.cell.seed == work.benchmark.seeds[0] and (grid := _grid(state, wanted)) is not None:
            grids[state.cell.setting.name][state.cell.row] = grid
    return Dossier(
        boards=boards,
        manifest=_manifest(work, states),
        classes=train.classes,
        grids=grids,
        real=_pick(train.images, train.labels, wanted),
        details=arm_details(states),
        dimensions={
            result.extractor.name: entry.meta["dimensions"]
            for state in states
            for result, entry in state.stored
            if result.extractor is not None
        },
        command=command,
        margin=work.benchmark.protocol.margin,
        level=work.benchmark.protocol.level,
    )


def arm_details(states: Sequence[CellState]) -> list[ArmDetail]:
    """Confusion matrices and training curves, over the classifiers of all seeds."""
    found: dict[tuple[str, str, str, float | None], list[Entry]] = {}
    for state in states:
        for result, entry in state.stored:
            if result.arm is not None and "test" in entry.meta:
                key = (state.cell.setting.name, state.cell.row, result.arm.name, result.arm.ratio)
                found.setdefault(key, []).append(entry)
    return [
        ArmDetail(
            *key,
            np.sum([entry.meta["test"]["confusion"] for entry in entries], axis=0).tolist(),
            _mean_curve([entry.meta["curve"] for entry in entries]),
            len(entries),
        )
        for key, entries in found.items()
    ]


def _mean_curve(curves: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """The mean of curves of one length (those of one classifier and number of steps are); else the first."""
    if len({len(curve) for curve in curves}) > 1:
        return [list(point) for point in curves[0]]
    return np.mean(np.asarray(curves, dtype=np.float64), axis=0).tolist() if curves[0] else []


def _entry(state: CellState, stage: str) -> Entry | None:
    return next((entry for result, entry in state.stored if result.stage == stage), None)


def _grid(state: CellState, wanted: Tensor) -> Tensor | None:
    """The first samples of every class, in the order drawn: not chosen."""
    entry = _entry(state, "sample")
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
        entry = _entry(state, "fit")
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
        "cells": {
            state.cell.name: {f"{result.stage}/{result.name}": entry.key for result, entry in state.stored}
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
