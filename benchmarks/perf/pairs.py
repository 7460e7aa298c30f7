"""Side-by-side timing: two ways of doing one thing, in turn, in one process, compared pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Seconds of A over seconds of B, pair by pair.

    Attributes:
        ratios: One a pair.
        a: Median seconds of A.
        b: Median seconds of B.
    """

    ratios: tuple[float, ...]
    a: float
    b: float

    def __str__(self) -> str:
        low, high = min(self.ratios), max(self.ratios)
        return (
            f"{statistics.median(self.ratios):.4f} (min {low:.4f}, max {high:.4f}, {len(self.ratios)} pairs; "
            f"medians {self.a:.3f} s and {self.b:.3f} s)"
        )


def compare(
    a: Callable[[], object],
    b: Callable[[], object],
    pairs: int = 8,
    clock: Callable[[], float] = time.process_time,
) -> Ratio:
    """Time ``a`` and ``b`` in turn, the order rotating, after one uncounted run of each.

    Args:
        a: What is measured.
        b: What it is measured against.
        pairs: How often.
        clock: CPU time of this process by default: other processes' work does not count.
    """
    a(), b()
    seconds: dict[str, list[float]] = {"a": [], "b": []}
    for pair in range(pairs):
        for name, do in (("a", a), ("b", b)) if pair % 2 == 0 else (("b", b), ("a", a)):
            began = clock()
            do()
            seconds[name].append(clock() - began)
    ratios = tuple(x / y for x, y in zip(seconds["a"], seconds["b"], strict=True))
    return Ratio(ratios, statistics.median(seconds["a"]), statistics.median(seconds["b"]))
