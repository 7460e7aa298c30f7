"""The answer to the question: augment or not, with what, how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchbench.statistics import Interval, seeds_to_decide, t_interval

Lifts = npt.NDArray[np.float64]

# Beyond this an estimate from a few seeds is no plan.
MANY_SEEDS = 50


@dataclass(frozen=True)
class Verdict:
    """What to do.

    Attributes:
        kind: ``augment``, ``no_effect``, ``harmful`` or ``undetermined``.
        text: One sentence.
        row: The row it speaks of, where it speaks of one.
    """

    kind: Literal["augment", "no_effect", "harmful", "undetermined"]
    text: str
    row: str | None = None


def percent(value: float) -> str:
    """A difference of accuracies in percentage points, signed."""
    return f"{100 * value:+.2f}".replace("-0.00", "+0.00")


def describe(interval: Interval) -> str:
    """``+0.42 [-0.10, +0.94] points, n = 3``."""
    ends = f"[{percent(interval.low)}, {percent(interval.high)}]" if interval.n > 1 else "[no interval]"
    return f"{percent(interval.mean)} {ends} points, n = {interval.n}"


def decide(
    lifts: Mapping[str, Lifts],
    ratios: Mapping[str, float],
    margin: float,
    level: float,
    least_spread: float = 0.0,
    tries: int = 1,
) -> Verdict:
    """Decide from each generator's lift at its ratio.

    To say that one of m generators helps, its interval is widened to level ``1 - (1 - level) / (m * tries)``
    (Bonferroni), since the best of several looks good by chance: of several generators, and of several ratios,
    whose choice on ``val`` is made with the very classifiers that are then tested. To say that augmenting has no
    effect, no plain interval may reach above the margin, which needs no correction (all must hold), and one
    widened interval must not reach below it. A generator that does harm does not stand in the way of that. To say
    that all do harm, every plain interval must lie below zero: again all must hold, which needs no correction.

    Args:
        lifts: By row, one lift a seed, finite; rows without any are left out by the caller.
        ratios: By row, synthetic images a real one.
        margin: Differences in accuracy below this do not matter.
        level: Confidence, in (0, 1).
        least_spread: The least standard deviation a lift can be said to have, from the number of test images.
        tries: Ratios among which each row's was chosen.
    """
    if not lifts:
        return Verdict("undetermined", "undetermined: no generator has been scored yet")

    def called(what: str, row: str) -> str:
        """Its name with its standing; "best" of one alone would read like praise."""
        return f"{what}, {row}," if len(lifts) > 1 else row

    tests = len(lifts) * tries
    wide = {row: t_interval(values, 1 - (1 - level) / tests, least_spread) for row, values in lifts.items()}
    plain = {row: t_interval(values, level, least_spread) for row, values in lifts.items()}
    # One seed says too little to be held out as the best, where another row has more.
    best = max(plain, key=lambda row: (plain[row].n > 1, plain[row].mean))
    harmless = [row for row in wide if -margin <= wide[row].low]
    if harmless and all(interval.high <= margin for interval in plain.values()):
        best = max(harmless, key=lambda row: plain[row].mean)
        text = f"no effect (within ±{100 * margin:g} points): {called('the best', best)} gives {describe(plain[best])}"
        return Verdict("no_effect", text, best)
    helping = [row for row in wide if wide[row].low > 0]
    if helping:
        best = max(helping, key=lambda row: wide[row].mean)
        return Verdict("augment", f"augment with {best} at ratio {ratios[best]:g}: {describe(plain[best])}", best)
    if all(interval.high < 0 for interval in plain.values()):
        return Verdict("harmful", f"harmful: {called('even the best', best)} gives {describe(plain[best])}", best)
    more = _seeds_wanted(lifts, plain, margin, level, least_spread, tests)
    gives = describe(plain[best])
    if plain[best].low > 0:  # it looks decided, and is not
        gives += f"; as the best of {tests} tries [{percent(wide[best].low)}, {percent(wide[best].high)}]"
    return Verdict("undetermined", f"undetermined, {more}: {called('the best so far', best)} gives {gives}", best)


def _seeds_wanted(
    lifts: Mapping[str, Lifts],
    plain: Mapping[str, Interval],
    margin: float,
    level: float,
    least_spread: float,
    tests: int,
) -> str:
    """How many more seeds would decide it.

    Where the best row seems to help, those that it takes to be sure of it; else those that it takes for every
    row that may still matter, which are those not clearly below the margin.
    """
    best = max(plain, key=lambda row: (plain[row].n > 1, plain[row].mean))
    open_rows = [best] if plain[best].mean > margin else [row for row in lifts if not plain[row].high < -margin]
    needed = [seeds_to_decide(lifts[row], margin, level, least_spread=least_spread, rows=tests) for row in open_rows]
    known = [count for count in needed if count is not None]
    if len(known) < len(needed):
        return "needs at least 2 seeds"
    more = max([1, *known])
    return (
        f"needs about {more} more seed{'s' if more > 1 else ''}"
        if more <= MANY_SEEDS
        else f"needs more than {MANY_SEEDS} more seeds"
    )
