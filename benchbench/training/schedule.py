"""Learning-rate schedules, as pure functions of the step."""

from __future__ import annotations

import math


def warmup_cosine(index: int, total: int, warmup: float = 0.1) -> float:
    """Fraction of the peak learning rate at step ``index`` of ``total``.

    Args:
        index: 0-based step.
        total: Steps planned.
        warmup: Fraction of them over which the rate rises linearly; then it falls a half cosine to zero.

    Returns:
        A number in (0, 1].
    """
    warm = max(1, int(total * warmup))
    if index < warm:
        return (index + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (index - warm) / max(1, total - warm)))
