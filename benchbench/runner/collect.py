"""From the store to records: everything a plan's cells have measured so far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchbench.config import PluginSpec
from benchbench.leaderboard import Board, Column, Record, RowInfo, build_board
from benchbench.plan import Cell, CellState, Result
from benchbench.runner.workspace import Workspace
from benchbench.types import Outcome, Status

# An absolute path's folders, up to its last part.
FOLDERS = re.compile(r"(?<![\w.~])/(?:[^\s/'\":,;]+/)+")


def collect_board(work: Workspace, states: Sequence[CellState]) -> Board:
    """The board of all results that are stored; cells that failed leave gaps and are listed."""
    protocol = work.benchmark.protocol
    records = [record for state in states for record in _records(work, state)]
    return build_board(
        benchmark=work.benchmark.name,
        dataset=work.dataset.name,
        seeds=work.benchmark.seeds,
        infos=_infos(work, states),
        records=[*records, *_lifts(records)],
        distances=distance_columns(work),
        rank_by=_rank_key(work),
        margin=protocol.margin,
        level=protocol.level,
    )


def _rank_key(work: Workspace) -> str:
    """The key of the column that orders the rows."""
    protocol = work.benchmark.protocol
    for metric in protocol.metrics:
        if metric.name == protocol.rank_by:
            return distance_label(work, metric, protocol.features[0])
    return protocol.rank_by


def distance_columns(work: Workspace) -> list[Column]:
    """One column a metric and feature space; the main features' come first."""
    protocol = work.benchmark.protocol
    columns = []
    for extractor in protocol.features:
        for metric in protocol.metrics:
            cls = work.registry.get("metrics", metric.name).cls
            label = distance_label(work, metric, extractor)
            columns.append(Column(label, label, cls.higher_is_better, label))
    return columns


def distance_label(work: Workspace, metric: PluginSpec, extractor: PluginSpec) -> str:
    """``FD[domain]``; ``FID`` in Inception features and only there."""
    proper = work.registry.get("features", extractor.name).cls.proper_names
    plain = work.registry.get("metrics", metric.name).cls.label
    return str(proper.get(metric.name, f"{plain}[{extractor.name}]"))


def without_places(work: Workspace, text: str) -> str:
    """``text`` without the folders of this machine: reports are published."""
    for place, name in ((work.data_dir, "DATA_DIR"), (work.store.root, "RUNS_DIR")):
        text = text.replace(str(place.resolve()), name)
    return FOLDERS.sub(".../", text)


def _infos(work: Workspace, states: Sequence[CellState]) -> list[RowInfo]:
    """One info a row, in the order of the benchmark file."""
    rows: dict[str, Cell] = {state.cell.row: state.cell for state in states}
    failures: dict[str, list[Outcome]] = {row: [] for row in rows}
    waiting = dict.fromkeys(rows, 0)
    for state in states:
        if state.failure is not None and not state.done:
            said = replace(state.failure, message=without_places(work, state.failure.message))
            failures[state.cell.row].append(said)
        elif not state.done:
            waiting[state.cell.row] += 1
    infos = []
    for row, cell in rows.items():
        lost = tuple(failures[row])
        if cell.spec is None:
            infos.append(RowInfo(row, "", "baseline", "", failures=lost, waiting=waiting[row]))
            continue
        cls = work.registry.get("generators", cell.spec.name).cls
        labels = cell.spec.labels or "own"
        infos.append(RowInfo(row, cell.spec.name, cls.role, labels, cls.expected, lost, waiting[row]))
    return infos


def _records(work: Workspace, state: CellState) -> Iterator[Record]:
    """All numbers of one cell; a cell that did not end ok says so in a record of its own."""
    cell = state.cell
    status = Status.OK if state.done else state.failure.status if state.failure else Status.SKIPPED
    base: dict[str, Any] = {"generator": cell.row, "seed": cell.seed, "setting": cell.setting, "status": status}
    for result, reason in state.results:
        if reason or result.key is None:
            continue
        entry = work.store.get(result.stage, result.key)
        if entry is not None:
            yield from _of_result(work, result, entry.meta, base)
    if status is not Status.OK:
        yield Record(**base, metric="status", value=None)


def _of_result(work: Workspace, result: Result, meta: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[Record]:
    """The records of one stored result."""
    if result.stage == "fit":
        yield Record(**base, metric="fit_seconds", value=meta["seconds"], higher_is_better=False)
        yield Record(**base, metric="peak_memory_bytes", value=meta["peak_memory_bytes"], higher_is_better=False)
        yield Record(**base, metric="parameters", value=meta["parameters"])
        for name, value in meta["facts"].items():
            yield Record(**base, metric=f"fit/{name}", value=value)
    elif result.stage == "sample":
        yield Record(**base, metric="images_per_second", value=meta["images_per_second"], higher_is_better=True)
    elif result.stage == "likelihood" and meta["bits_per_dim"] is not None:
        n = len(work.dataset.test)
        yield Record(**base, metric="bits_per_dim", value=meta["bits_per_dim"], higher_is_better=False, n=n)
    elif result.stage == "metric":
        yield _distance_record(work, result.name, meta, base)
    elif result.stage == "arm":
        yield from _arm_records(work, result, meta, base)


def _distance_record(work: Workspace, name: str, meta: Mapping[str, Any], base: Mapping[str, Any]) -> Record:
    metric_name, extractor_name = name.split(" ")
    metric = next(spec for spec in work.benchmark.protocol.metrics if spec.name == metric_name)
    extractor = next(spec for spec in work.benchmark.protocol.features if spec.name == extractor_name)
    better = work.registry.get("metrics", metric_name).cls.higher_is_better
    label = distance_label(work, metric, extractor)
    return Record(**base, metric=label, value=meta["value"], higher_is_better=better, n=meta["n"])


def _arm_records(work: Workspace, result: Result, meta: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[Record]:
    assert result.inputs is not None
    arm, ratio = result.inputs["arm"], result.inputs["ratio"]
    classifier = work.benchmark.protocol.classifier.name
    if arm == "agreement":
        noise = 1.0 - meta["synthetic"]["accuracy"]
        yield Record(
            **base,
            metric="label_noise",
            value=noise,
            higher_is_better=False,
            n=work.inputs.sample_count,
            classifier=classifier,
        )
        return
    where = {**base, "higher_is_better": True, "arm": arm, "ratio": ratio, "classifier": classifier}
    yield Record(**where, metric="accuracy", value=meta["test"]["accuracy"], n=len(work.dataset.test))
    yield Record(**where, metric="val_accuracy", value=meta["val"]["accuracy"], n=len(work.dataset.val))


def _lifts(records: Sequence[Record]) -> Iterator[Record]:
    """Accuracy of each mixed arm minus the real arm's, same seed and setting."""
    real = {
        (record.seed, record.setting): record.value
        for record in records
        if record.metric == "accuracy" and record.arm == "real"
    }
    for record in records:
        before = real.get((record.seed, record.setting))
        if record.metric == "accuracy" and record.arm == "mixed" and record.value is not None and before is not None:
            yield Record(**{**vars(record), "metric": "lift", "value": record.value - before})
