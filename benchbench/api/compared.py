"""Two reports side by side: what changed in their settings, and in their numbers beyond noise."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.api.frames import load_results
from benchbench.errors import DataError, RequestError
from benchbench.statistics import Interval, holm, paired_p_value, t_interval

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
# What a comparison rests on: two boards that differ in it answer different questions.
PROTOCOL = ("protocol", "settings")
# Costs are a machine's and a day's; they are no result.
COSTS = ("fit_seconds", "sample_seconds", "images_per_second", "peak_memory_bytes", "parameters")


@dataclass(frozen=True)
class Change:
    """A number of two runs.

    Attributes:
        setting: The data setting.
        row: The row, as it is called in the first run.
        metric: As in ``results.json``, with arm and ratio.
        before: Mean of the first run.
        after: Mean of the second run.
        difference: Second minus first, with its interval; NaN ends where there are too few seeds.
        seeds: Seeds that it rests on.
        paired: Whether they are the same seeds in both.
        p_value: Adjusted for all numbers compared; NaN where there are too few seeds.
        better: Whether the second run is better; None where neither way is better, or nothing is beyond noise.
    """

    setting: str
    row: str
    metric: str
    before: float
    after: float
    difference: Interval
    seeds: int
    paired: bool
    p_value: float
    better: bool | None

    @property
    def beyond_noise(self) -> bool:
        """Whether it is significant at 5 %, corrected for the number of comparisons."""
        return self.p_value <= 1 - LEVEL


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        settings: By field: its value in the first and in the second run.
        changes: Of every number that both have.
        only: Rows that only one run has, with which.
    """

    settings: Mapping[str, tuple[Any, Any]]
    changes: tuple[Change, ...]
    only: tuple[tuple[str, str], ...]


def compare(first: Path, second: Path, rows: Mapping[str, str] | None = None) -> Comparison:
    """Compare two reports.

    Differences are taken seed by seed where both runs have the same seeds (t-test on differences), else between means
    (Welch's t-test); p-values are corrected for the number of comparisons (Holm).

    Args:
        first: A report's folder.
        second: Another's.
        rows: What rows of the first are called in the second, where that is something else.

    Raises:
        RequestError: If the two do not measure the same, naming the fields; or a row is unknown.
        DataError: If a report cannot be read.
    """
    manifests = [_manifest(folder) for folder in (first, second)]
    unlike = _unlike(*manifests)
    if unlike:
        raise RequestError(f"{first} and {second} do not measure the same: they differ in {', '.join(unlike)}")
    frames = [load_results(folder) for folder in (first, second)]
    renamed = dict(rows or {})
    known = [set(frame.generator) for frame in frames]
    for before, after in renamed.items():
        for name, there, where in ((before, known[0], first), (after, known[1], second)):
            if name not in there:
                raise RequestError(f"--rows: {where} has no row {name!r}; it has {', '.join(sorted(there))}")
    groups = [_groups(frame) for frame in frames]
    pairs = {key: groups[1].get((key[0], renamed.get(key[1], key[1]), *key[2:])) for key in groups[0]}
    both = {key: (groups[0][key], values) for key, values in pairs.items() if values is not None}
    tested = {key: _test(*values) for key, values in both.items()}
    adjusted = holm({key: p for key, (_, p, _) in tested.items()})
    better = _directions(frames[0])
    return Comparison(
        dict(_changed(*manifests)),
        tuple(_change(key, both[key], tested[key], adjusted[key], better) for key in both),
        tuple(_only(known, renamed, (str(first), str(second)))),
    )


Key = tuple[str, str, str]
BySeed = dict[int, float]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}; expected the folder of a report") from error
    if not isinstance(found, dict) or "protocol_fingerprint" not in found:
        raise DataError(f"{path} is no manifest; draw the report again")
    return found


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The fields that make two boards incomparable; empty where their protocols are one."""
    if first["protocol_fingerprint"] == second["protocol_fingerprint"]:
        return []
    found = []
    if first["dataset"]["fingerprint"] != second["dataset"]["fingerprint"]:
        found.append("the images (dataset.fingerprint)")
    flat = [_flat({part: one["benchmark"].get(part) for part in PROTOCOL}) for one in (first, second)]
    found += sorted(key for key in {*flat[0], *flat[1]} if flat[0].get(key) != flat[1].get(key))
    sources = [one.get("plugins", {}) for one in (first, second)]
    kinds = ("features/", "metrics/", "classifiers/")
    found += sorted(
        f"the source of {name}"
        for name in {*sources[0], *sources[1]}
        if name.startswith(kinds) and sources[0].get(name) != sources[1].get(name)
    )
    return found or ["the protocol's code (protocol_fingerprint)"]


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Fields of benchmark, plugins and environments that differ."""
    flat = [
        _flat({"benchmark": one["benchmark"], "plugins": one.get("plugins"), "environments": one["environments"]})
        for one in (first, second)
    ]
    for key in sorted({*flat[0], *flat[1]}):
        values = flat[0].get(key), flat[1].get(key)
        if values[0] != values[1]:
            yield key, values


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by dotted path; entries of lists that have a name go by it."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [
            (str(item.get("as") or item.get("name") or place) if isinstance(item, dict) else str(place), item)
            for place, item in enumerate(value)
        ]
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= _flat(item, f"{path}.{key}" if path else key)
    return found


def _groups(frame: pd.DataFrame) -> dict[Key, BySeed]:
    """By setting, row and quantity, one value a seed; classifiers of one cell are averaged."""
    whole = frame[frame.class_name.isna() & frame.value.notna() & ~frame.metric.isin(COSTS)]
    found: dict[Key, dict[int, list[float]]] = {}
    for one in whole.itertuples():
        arm = "" if not isinstance(one.arm, str) else f" {one.arm}"
        ratio = "" if math.isnan(float(str(one.ratio))) else f" {float(str(one.ratio)):g}"
        key = (str(one.setting), str(one.generator), f"{one.metric}{arm}{ratio}")
        found.setdefault(key, {}).setdefault(int(str(one.seed)), []).append(float(str(one.value)))
    return {key: {seed: sum(v) / len(v) for seed, v in seeds.items()} for key, seeds in found.items()}


def _directions(frame: pd.DataFrame) -> dict[str, bool]:
    """By metric, whether higher is better; those that are neither good nor bad are left out."""
    known = frame[frame.higher_is_better.notna()]
    return dict(zip(known.metric.astype(str), known.higher_is_better.astype(bool), strict=True))


def _test(before: BySeed, after: BySeed) -> tuple[Interval, float, bool]:
    """Difference with its interval, p-value, and whether it is taken seed by seed."""
    shared = sorted(set(before) & set(after))
    if len(shared) >= 2 or (shared and len(before) == len(after) == len(shared)):
        first, second = [before[seed] for seed in shared], [after[seed] for seed in shared]
        differences = [b - a for a, b in zip(first, second, strict=True)]
        return t_interval(differences, LEVEL), paired_p_value(second, first), True
    return _welch(list(before.values()), list(after.values()))


def _welch(before: list[float], after: list[float]) -> tuple[Interval, float, bool]:
    import numpy as np
    from scipy import stats

    mean = float(np.mean(after) - np.mean(before))
    if min(len(before), len(after)) < 2:
        return Interval(mean, math.nan, math.nan, min(len(before), len(after)), LEVEL), math.nan, False
    result = stats.ttest_ind(after, before, equal_var=False)
    ends = result.confidence_interval(LEVEL)
    count = min(len(before), len(after))
    if math.isnan(result.pvalue):  # neither run varies
        return Interval(mean, mean, mean, count, LEVEL), 1.0 if mean == 0 else 0.0, False
    return Interval(mean, float(ends.low), float(ends.high), count, LEVEL), float(result.pvalue), False


def _change(
    key: Key,
    values: tuple[BySeed, BySeed],
    test: tuple[Interval, float, bool],
    p_value: float,
    better: Mapping[str, bool],
) -> Change:
    before, after = values
    difference, _, paired = test
    if paired:
        shared = set(before) & set(after)
        before, after = ({seed: one[seed] for seed in shared} for one in values)
    up = better.get(key[2].partition(" ")[0])
    beyond = p_value <= 1 - LEVEL
    return Change(
        *key,
        before=sum(before.values()) / len(before),
        after=sum(after.values()) / len(after),
        difference=difference,
        seeds=difference.n,
        paired=paired,
        p_value=p_value,
        better=None if up is None or not beyond else (difference.mean > 0) is up,
    )


def _only(known: list[set[str]], renamed: Mapping[str, str], names: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Rows that stand in one run alone."""
    for row in sorted(known[0]):
        if renamed.get(row, row) not in known[1]:
            yield row, names[0]
    for row in sorted(known[1] - {renamed.get(row, row) for row in known[0]}):
        yield row, names[1]
