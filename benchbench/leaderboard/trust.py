"""Whether a board is to be trusted: its controls must come out where they belong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchbench.leaderboard.records import ByColumn, Column, RowInfo, finite
from benchbench.statistics import holm, paired_p_value


def distrust(infos: Sequence[RowInfo], distances: Sequence[Column], values: ByColumn, alpha: float) -> list[str]:
    """Why a board is not to be trusted; empty where nothing speaks against it.

    No generator may be better than a control that should come out best, nor worse than one that should come
    out worst: significantly so, by paired tests of the control against each generator, Holm-corrected; by the
    mean, where one seed allows no test. Controls are not compared with each other. A board without such
    controls, or whose controls failed, has nothing to be trusted by.
    controls, or whose controls failed, has nothing to be trusted by.

    Args:
        infos: The rows.
        distances: The columns in which controls are judged.
        values: By column and row, one value a seed.
        alpha: Probability of a false alarm a control and column.
    """
    reasons = [
        f"no control that must come out {place} stands in it (such as {example})"
        for place, example in (("best", "real_holdout"), ("worst", "noise"))
        if not any(info.expected == place for info in infos)
    ]
    generators = [info.name for info in infos if info.role == "generator"]
    for column in distances:
        scored = [name for name in generators if len(finite(values[column.key][name]))]
        for info in infos:
            if info.expected is None or not scored:
                continue
            if not len(finite(values[column.key][info.name])):
                reasons.append(f"{info.name} was not scored by {column.label}")
            elif _out_of_place(info, scored, column, values, alpha):
                reasons.append(f"{info.name} does not come out {info.expected} by {column.label}")
    return reasons


def _out_of_place(info: RowInfo, generators: Sequence[str], column: Column, values: ByColumn, alpha: float) -> bool:
    """Whether a generator is better than a control that should be best, or worse than one that should be worst."""
    sign = 1.0 if bool(column.higher_is_better) is (info.expected == "best") else -1.0
    own = values[column.key][info.name]
    tests, beyond = {}, {}
    for name in generators:
        other = values[column.key][name]
        both = np.isfinite(other) & np.isfinite(own)
        tests[name] = paired_p_value(other[both], own[both])
        beyond[name] = sign * finite(other).mean() > sign * finite(own).mean()
    adjusted = holm(tests)
    return any(beyond[name] and (np.isnan(p) or p <= alpha) for name, p in adjusted.items())
