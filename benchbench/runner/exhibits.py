"""What a report shows besides numbers, from the store: samples, their nearest training images, curves, confusions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchbench.config import PluginSpec
from benchbench.downstream.labels import balanced_labels
from benchbench.leaderboard.dossier import ArmDetail, FitDetail, Nearest
from benchbench.metrics._neighbours import nearest
from benchbench.plan import CellState
from benchbench.runner.workspace import Workspace
from benchbench.store import Entry, content_key
from benchbench.store.files import load_array
from benchbench.types import LabelledImages

GRID_LINES = 4
# The nearest of so many samples are looked for, and so many pairs are shown.
SEARCHED = 1000
PAIRS = 8


def entry_of(state: CellState, stage: str) -> Entry | None:
    """A cell's first stored entry of a stage."""
    return next((entry for result, entry in state.stored if result.stage == stage), None)


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


def fit_details(states: Sequence[CellState]) -> list[FitDetail]:
    """Training curves of the generators, with what was odd in them; entries of early versions have none."""
    found = ((state.cell, entry_of(state, "fit")) for state in states)
    return [
        FitDetail(cell.setting.name, cell.row, cell.seed, entry.meta.get("curve", []), entry.meta.get("notes", []))
        for cell, entry in found
        if entry is not None
    ]


def real_grid(train: LabelledImages) -> Tensor:
    """Real images as :func:`sample_grids` shows synthetic ones."""
    return _pick(train.images, train.labels, _wanted(train.classes))


def sample_grids(states: Sequence[CellState], classes: Sequence[str]) -> dict[str, dict[str, Tensor]]:
    """By setting and row: the first samples of every class, in the order drawn: not chosen."""
    grids: dict[str, dict[str, Tensor]] = {state.cell.setting.name: {} for state in states}
    for state in states:
        entry = entry_of(state, "sample")
        if entry is not None:
            samples = _samples(entry, classes)
            grids[state.cell.setting.name][state.cell.row] = _pick(samples.images, samples.labels, _wanted(classes))
    return grids


def nearest_samples(work: Workspace, states: Sequence[CellState]) -> dict[str, dict[str, Nearest]]:
    """By setting and row: the held-out samples that are nearest to a training image.

    Only of what is in the store: where training images were never taken into features, nothing is shown.
    """
    shown: dict[str, dict[str, Nearest]] = {state.cell.setting.name: {} for state in states}
    for state in states:
        pairs = _nearest(work, state)
        if pairs is not None:
            shown[state.cell.setting.name][state.cell.row] = pairs
    return shown


def _nearest(work: Workspace, state: CellState) -> Nearest | None:
    """Those of one cell, in the first features in which all that it takes is stored."""
    entry, cell = entry_of(state, "sample"), state.cell
    if entry is None:
        return None
    train = work.inputs.copied_from(cell)
    for spec in work.benchmark.protocol.features:
        n = work.inputs.metric_count
        samples = _features(work, spec, work.inputs.compared(cell), n)
        training = _features(work, spec, train.fingerprint, len(train))
        if samples is not None and training is not None and np.isfinite(samples).all() and np.isfinite(training).all():
            searched = samples[:SEARCHED]
            places, distances = nearest(searched, training, 1)
            order = np.argsort(distances[:, 0], kind="stable")[:PAIRS]
            held_out = work.inputs.sample_plan(cell).of_held_out(_samples(entry, train.classes))
            return Nearest(
                spec.name,
                held_out.images[torch.from_numpy(order)],
                train.images[torch.from_numpy(places[order, 0])],
                distances[order, 0].tolist(),
                len(searched),
            )
    return None


def _features(work: Workspace, spec: PluginSpec, images: str, n: int) -> npt.NDArray[np.float64] | None:
    """Stored features, or None where there are none."""
    weights = work.inputs.weights(spec, work.store)
    if weights is None:
        return None
    entry = work.store.get("features", content_key("features", work.inputs.features(images, n, spec, weights)))
    return None if entry is None else np.asarray(load_array(entry.file("features.npy")), dtype=np.float64)


def _samples(entry: Entry, classes: Sequence[str]) -> LabelledImages:
    """A cell's samples."""
    images, labels = load_array(entry.file("images.npy")), load_array(entry.file("labels.npy"))
    return LabelledImages(torch.from_numpy(images), torch.from_numpy(labels), tuple(classes))


def _wanted(classes: Sequence[str]) -> Tensor:
    """The labels of a grid: one of every class a line."""
    return balanced_labels(torch.ones(len(classes)), GRID_LINES * len(classes))


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
