"""From a board to files: the exhibits are gathered, then every report writes its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchbench.config import BASELINE
from benchbench.leaderboard import Board, Dossier
from benchbench.plan import CellState
from benchbench.runner.exhibits import (
    arm_details,
    fit_details,
    nearest_samples,
    real_grid,
    sample_grids,
)
from benchbench.runner.reproduced import reproductions
from benchbench.runner.workspace import Workspace

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
            out.mkdir(parents=True, exist_ok=True)
            work.registry.get("reports", name).cls().write(dossier, out)
        except Exception as error:
            log.debug("report %s failed", name, exc_info=True)
            failed.append(f"report {name}: {type(error).__name__}: {error}")
    return failed


def gather(work: Workspace, boards: Sequence[Board], states: Sequence[CellState], command: str) -> Dossier:
    """Everything a report may show, from the store."""
    first = [state for state in states if state.cell.seed == work.benchmark.seeds[0]]
    return Dossier(
        boards=boards,
        manifest=_manifest(work, states),
        classes=work.dataset.classes,
        grids=sample_grids(first, work.dataset.classes),
        real=real_grid(work.dataset.train),
        details=arm_details(states),
        fits=fit_details(states),
        nearest=nearest_samples(work, first),
        dimensions={
            result.extractor.name: entry.meta["dimensions"]
            for state in states
            for result, entry in state.stored
            if result.extractor is not None
        },
        command=command,
        margin=work.benchmark.protocol.margin,
        level=work.benchmark.protocol.level,
        reproductions=reproductions(work, boards),
    )


def _manifest(work: Workspace, states: Sequence[CellState]) -> dict[str, Any]:
    """What the numbers come from."""
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
        "environments": environments(states),
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


def environments(states: Sequence[CellState]) -> list[object]:
    """Those that the numbers were measured in, as each noted it; stores of early versions noted only those of fits."""
    found: list[object] = []
    for state in states:
        for _, entry in state.stored:
            environment = entry.meta.get("environment")
            if environment is not None and environment not in found:
                found.append(environment)
    return found


def resolved(work: Workspace) -> dict[str, Any]:
    """The benchmark with every plugin's config written out, but for what only says where a file lies."""
    # Who looks on while it runs changes no number.
    benchmark = work.benchmark.model_dump(mode="json", by_alias=True, exclude={"loggers"})
    if not benchmark["published"]:  # it determines nothing: reports of files without it stay as they were written
        del benchmark["published"]
    benchmark["plugins"] = [Path(plugin).name for plugin in benchmark["plugins"]]
    protocol = benchmark["protocol"]
    named = [("datasets", benchmark["dataset"]), ("classifiers", protocol["classifier"])]
    for kind, specs in (("generators", benchmark["generators"]), *((k, protocol[k]) for k in ("features", "metrics"))):
        named += [(kind, spec) for spec in specs]
    for kind, spec in named:
        config = work.registry.config(kind, spec["name"], spec["config"])
        spec["config"] = config.model_dump(mode="json")
    return benchmark


def _used(work: Workspace) -> list[Any]:
    """The plugins that the benchmark names."""
    benchmark, protocol = work.benchmark, work.benchmark.protocol
    named = [("datasets", benchmark.dataset), ("classifiers", protocol.classifier)]
    named += [("generators", spec) for spec in benchmark.generators]
    named += [("features", spec) for spec in protocol.features] + [("metrics", spec) for spec in protocol.metrics]
    return [work.registry.get(kind, spec.name) for kind, spec in named]
