"""From the store to records: everything a plan's cells have measured so far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchbench.config import BASELINE, PluginSpec
from benchbench.downstream.arms import Arm, part_of
from benchbench.downstream.sample_plan import fill_total
from benchbench.errors import RequestError
from benchbench.leaderboard import Board, Column, Record, RowInfo, Rules, SettingInfo, build_board
from benchbench.leaderboard.worth import LearningCurve
from benchbench.plan import Cell, CellState, Result, Setting, all_settings
from benchbench.runner.workspace import Workspace
from benchbench.types import Outcome, Output, Status

# An absolute path's folders, up to its last part.
FOLDERS = re.compile(r"(?<![\w.~])/(?:[^\s/'\":,;]+/)+")

# Arms whose accuracies are recorded class by class too; those of the others are in the confusion matrices.
BY_CLASS = ("real", "synthetic", "mixed")

# What an arm's lift is measured from.
BASES = {"mixed": "real", "classical": "real", "oversampled": "real", "classical_mixed": "classical"}


def collect_boards(work: Workspace, states: Sequence[CellState]) -> list[Board]:
    """One board a data setting, of all results that are stored; cells that failed leave gaps and are listed."""
    protocol = work.benchmark.protocol
    settings = [
        setting
        for setting in all_settings(work.benchmark.settings)
        if any(state.cell.setting == setting for state in states)
    ]
    here = {setting: [state for state in states if state.cell.setting == setting] for setting in settings}
    records = {setting: [record for state in here[setting] for record in _records(work, state)] for setting in here}
    return [
        build_board(
            benchmark=work.benchmark.name,
            dataset=work.dataset.name,
            setting=_setting_info(work, setting),
            seeds=work.benchmark.seeds,
            infos=_infos(work, here[setting]),
            records=[*records[setting], *_lifts(records[setting])],
            metrics=metric_columns(work),
            curves=_curves(
                [record for other in settings if other.imbalance == setting.imbalance for record in records[other]]
            ),
            rules=Rules(_rank_key(work), protocol.margin, protocol.level),
        )
        for setting in settings
    ]


def _setting_info(work: Workspace, setting: Setting) -> SettingInfo:
    images = len(setting.index(work.dataset.train, work.benchmark.seeds[0]))
    return SettingInfo(setting.name, setting.text, images, setting.whole, setting.imbalance)


def _curves(records: Sequence[Record]) -> dict[int, LearningCurve]:
    """By seed, what real images alone give: the parts of every setting and the whole of it."""
    points: dict[int, list[tuple[int, float]]] = {}
    for record in records:
        real = record.generator == BASELINE and record.arm in ("real", "real_part")
        if real and record.metric == "accuracy" and record.class_name is None:
            assert record.value is not None
            assert record.train_images is not None
            points.setdefault(record.seed, []).append((record.train_images, record.value))
    return {
        seed: LearningCurve.measured(*zip(*found, strict=True))
        for seed, found in points.items()
        if len({count for count, _ in found}) > 1
    }


def check_columns(work: Workspace) -> None:
    """Find out, before anything is computed, whether a board can be made of what it will consist of.

    Raises:
        RequestError: If two metrics give their numbers one name, or rows are to be ordered by what has no order.
    """
    columns = metric_columns(work)
    names = [column.key for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestError(f"protocol.metrics: two metrics give a number called {twice[0]}; leave one of them out")
    key = _rank_key(work)
    if key not in ("lift", "cas") and not any(c.key == key and c.higher_is_better is not None for c in columns):
        raise RequestError(
            f"protocol.rank_by: {key} orders no rows: it has no better or worse, or is not to be had in the main "
            "features; say lift, cas or another metric"
        )


def _rank_key(work: Workspace) -> str:
    """The key of the column that orders the rows."""
    protocol = work.benchmark.protocol
    for metric in protocol.metrics:
        if metric.name == protocol.rank_by:
            main = work.registry.get("metrics", metric.name).cls.outputs[0]
            return output_label(work, main, protocol.features[0])
    return protocol.rank_by


def metric_columns(work: Workspace) -> list[Column]:
    """One column a feature space, metric and output that is one number; the main features' come first."""
    columns = []
    for extractor in work.benchmark.protocol.features:
        for metric in work.inputs.metrics_in(extractor):
            for output in work.registry.get("metrics", metric.name).cls.outputs:
                label = output_label(work, output, extractor)
                if not output.per_class:
                    better, distance = output.higher_is_better, output.distance
                    columns.append(Column(label, label, better, label, None, output.key, extractor.name, distance))
    return columns


def output_label(work: Workspace, output: Output, extractor: PluginSpec) -> str:
    """``FD[domain]``; ``FID`` in Inception features and only there."""
    proper = work.registry.get("features", extractor.name).cls.proper_names
    return str(proper.get(output.key, f"{output.label}[{extractor.name}]"))


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
        shown, given = cell.spec.generator_data, _is_given(work, cell)
        infos.append(RowInfo(row, cell.spec.name, cls.role, labels, cls.expected, lost, waiting[row], shown, given))
    return infos


def _records(work: Workspace, state: CellState) -> Iterator[Record]:
    """All numbers of one cell; a cell that failed says so in a record of its own, one not run yet is silent."""
    cell = state.cell
    status = state.failure.status if state.failure is not None and not state.done else Status.OK
    base: dict[str, Any] = {"generator": cell.row, "seed": cell.seed, "setting": cell.setting.name, "status": status}
    for result, entry in state.stored:
        yield from _of_result(work, cell, result, entry.meta, base)
    if status is not Status.OK:
        yield Record(**base, metric="status", value=None)


def _of_result(
    work: Workspace, cell: Cell, result: Result, meta: Mapping[str, Any], base: Mapping[str, Any]
) -> Iterator[Record]:
    """The records of one stored result."""
    if result.stage in ("fit", "sample") and _is_given(work, cell):
        return  # reading files is no cost of the model that made the images
    if result.stage == "fit":
        yield Record(**base, metric="fit_seconds", value=meta["seconds"], higher_is_better=False)
        yield Record(**base, metric="peak_memory_bytes", value=meta["peak_memory_bytes"], higher_is_better=False)
        yield Record(**base, metric="parameters", value=meta["parameters"])
        for name, value in meta["facts"].items():
            yield Record(**base, metric=f"fit/{name}", value=value)
    elif result.stage == "sample":
        yield Record(**base, metric="sample_seconds", value=meta["seconds"], higher_is_better=False)
        yield Record(**base, metric="images_per_second", value=meta["images_per_second"], higher_is_better=True)
    elif result.stage == "likelihood":
        n = len(work.dataset.test)
        yield Record(**base, metric="bits_per_dim", value=meta["bits_per_dim"], higher_is_better=False, n=n)
    elif result.stage == "metric":
        yield from _metric_records(work, result, meta, base)
    elif result.arm is not None:
        yield from _arm_records(work, cell, result.arm, meta, base)


def _metric_records(
    work: Workspace, result: Result, meta: Mapping[str, Any], base: Mapping[str, Any]
) -> Iterator[Record]:
    assert result.metric is not None
    assert result.extractor is not None
    for output in work.registry.get("metrics", result.metric.name).cls.outputs:
        label = output_label(work, output, result.extractor)
        value = meta["values"][output.key]
        where = {**base, "metric": label, "higher_is_better": output.higher_is_better, "n": meta["n"]}
        if not output.per_class:
            yield Record(**where, value=value)
            continue
        for name, of_class in zip(work.dataset.classes, value, strict=True):
            yield Record(**{**where, "n": None}, value=of_class, class_name=name)


def _arm_records(
    work: Workspace, cell: Cell, arm: Arm, meta: Mapping[str, Any], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Accuracies on ``test``, ``val`` and synthetic images, of single classes on ``test``."""
    where = {**base, "classifier": work.benchmark.protocol.classifier.name, "classifier_seed": arm.replicate}
    if arm.name == "agreement":
        agreed, n = meta["synthetic"]["accuracy"], work.inputs.metric_count
        yield Record(**where, metric="label_noise", value=1.0 - agreed, higher_is_better=False, n=n)
        yield Record(**where, metric="accuracy_on_synthetic", value=agreed, n=n, arm="real")
        return
    where |= {"arm": arm.name, "ratio": arm.ratio, "train_images": train_images(work, cell, arm)}
    n = len(work.dataset.test)
    accuracy = meta["test"]["accuracy"]
    yield Record(**where, metric="accuracy", value=accuracy, higher_is_better=True, n=n)
    yield Record(
        **where, metric="val_accuracy", value=meta["val"]["accuracy"], higher_is_better=True, n=len(work.dataset.val)
    )
    if arm.name in BY_CLASS and not _is_control(work, cell):
        for name, of_class in zip(work.dataset.classes, meta["test"]["per_class"], strict=True):
            yield Record(**where, metric="accuracy", value=of_class, higher_is_better=True, class_name=name)
    if "synthetic" in meta and not arm.augmented:
        own, held_out = meta["synthetic"]["accuracy"], work.inputs.metric_count
        yield Record(**where, metric="accuracy_on_synthetic", value=own, n=held_out)
        if arm.ratio is not None:
            mixed = (accuracy + arm.ratio * own) / (1 + arm.ratio)
            yield Record(**where, metric="accuracy_on_mixed", value=mixed, n=n + held_out)


def _is_control(work: Workspace, cell: Cell) -> bool:
    return cell.spec is not None and work.registry.is_control(cell.spec.name)


def _is_given(work: Workspace, cell: Cell) -> bool:
    return cell.spec is not None and work.registry.is_given(cell.spec.name)


def train_images(work: Workspace, cell: Cell, arm: Arm) -> int:
    """Images in an arm's training set."""
    real = work.inputs.train(cell)
    if arm.mixed:
        assert arm.ratio is not None
        return len(real) + fill_total(real.class_counts, arm.ratio)
    if arm.name == "real_part":
        assert arm.ratio is not None
        return len(part_of(real, arm.ratio, cell.seed))
    return int(real.class_counts.max()) * len(real.classes) if arm.name == "oversampled" else len(real)


def _lifts(records: Sequence[Record]) -> Iterator[Record]:
    """What an arm's accuracy is above that of its base: same seed, same classifier seed, same data."""
    accuracies = [record for record in records if record.metric == "accuracy" and record.class_name is None]
    base = {
        (record.arm, record.seed, record.classifier_seed): record.value
        for record in accuracies
        if record.generator == BASELINE and record.arm in BASES.values()
    }
    for record in accuracies:
        before = base.get((BASES.get(record.arm or "", ""), record.seed, record.classifier_seed))
        if record.value is not None and before is not None:
            yield replace(record, metric="lift", value=record.value - before)
