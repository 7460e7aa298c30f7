"""Whether a board is to be trusted: its controls must come out where they belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchbench.leaderboard.records import ByColumn, Column, RowInfo, Values, finite
from benchbench.statistics import holm, paired_p_value, proportion_interval

# Of a generator that copies nothing, about one sample in a hundred counts as copied; at five in a hundred,
# beyond doubt, it is said to memorize.
COPIED_SHARE = 0.05


def distrust(
    infos: Sequence[RowInfo],
    distances: Sequence[Column],
    values: ByColumn,
    memorizes: Mapping[str, bool],
    alpha: float,
) -> list[str]:
    """Why a board is not to be trusted; empty where nothing speaks against it.

    No generator may be better than a control that should come out best, nor worse than one that should come
    out worst: significantly so, by paired tests of the control against each generator, Holm-corrected; by the
    mean, where one seed allows no test. Controls are not compared with each other. The memorization flag must
    be up on a control that copies, and down on one that gives back held-out images. A board without such
    controls, or whose controls failed, has nothing to be trusted by.

    Args:
        infos: The rows.
        distances: The columns in which controls are judged.
        values: By column and row, one value a seed.
        memorizes: The memorization flag by row, where it was measured.
        alpha: Probability of a false alarm a control and column.
    """
    reasons = [
        f"no control that must come out {place} stands in it (such as {example})"
        for place, example in (("best", "real_holdout"), ("worst", "noise"))
        if not any(info.expected == place for info in infos)
    ]
    if not distances:
        reasons.append("no distance was measured by which controls could be judged")
    # A generator that was shown more than the board's classifiers may well come nearer than the held-out control.
    generators = [info.name for info in infos if info.role == "generator" and info.track == "strict"]
    for column in distances:
        scored = [name for name in generators if len(finite(values[column.key][name]))]
        for info in infos:
            if info.expected not in ("best", "worst") or not scored:
                continue
            if not len(finite(values[column.key][info.name])):
                reasons.append(f"{info.name} was not scored by {column.label}")
            elif beyond := _beyond(info, scored, column, values, alpha):
                how = "better" if info.expected == "best" else "worse"
                reasons.append(
                    f"{info.name} does not come out {info.expected} by {column.label} ({how}: {', '.join(beyond)})"
                )
    return reasons + _wrong_flags(infos, memorizes)


def _wrong_flags(infos: Sequence[RowInfo], memorizes: Mapping[str, bool]) -> list[str]:
    """Controls on which the memorization flag stands wrong."""
    reasons = []
    for info in infos:
        flag = memorizes.get(info.name)
        if info.expected == "copied" and flag is False:
            reasons.append(f"the memorization flag does not see that {info.name} copies the training images")
        if info.expected == "best" and flag is True:
            reasons.append(f"the memorization flag takes the held-out images of {info.name} for copies")
    return reasons


def copies(shares: Values, images: int, level: float) -> bool:
    """The memorization flag: whether the share of copied samples is beyond doubt above :data:`COPIED_SHARE`.

    Args:
        shares: ``(seeds,)``: share of samples that are much nearer to one training image than to any other.
        images: Samples a seed.
        level: Confidence of the interval whose lower end is compared, in (0, 1).
    """
    copied = int(np.rint(shares * images).sum())
    return proportion_interval(copied, images * len(shares), level).low > COPIED_SHARE


def _beyond(info: RowInfo, generators: Sequence[str], column: Column, values: ByColumn, alpha: float) -> list[str]:
    """The generators that are better than a control that should be best, or worse than one that should be worst."""
    sign = 1.0 if bool(column.higher_is_better) is (info.expected == "best") else -1.0
    own = values[column.key][info.name]
    tests, beyond = {}, {}
    for name in generators:
        other = values[column.key][name]
        both = np.isfinite(other) & np.isfinite(own)
        tests[name] = paired_p_value(other[both], own[both])
        beyond[name] = bool(both.any()) and sign * other[both].mean() > sign * own[both].mean()
    adjusted = holm(tests)
    one_seed = len(finite(own)) == 1
    return [name for name, p in adjusted.items() if beyond[name] and (p <= alpha or (np.isnan(p) and one_seed))]
