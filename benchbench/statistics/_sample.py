"""What every estimate does first: check the values, and measure their spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]

# A spread below so many times the rounding of the numbers themselves is rounding, not spread.
ROUNDING = 8 * float(np.finfo(np.float64).eps)


def as_sample(values: Sequence[float] | Array) -> Array:
    """``values`` as a float64 vector of at least one finite number."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) == 0 or not np.isfinite(sample).all():
        raise ValueError(f"interval: got {sample.tolist()}, expected at least one value, all finite")
    return sample


def spread_of(sample: Array) -> float:
    """Unbiased standard deviation, exactly zero for identical values (whose computed mean may be off by rounding)."""
    return 0.0 if np.ptp(sample) == 0 else float(sample.std(ddof=1))


def quantile(n: int, level: float) -> float:
    """The factor of a two-sided interval from n >= 2 values: ``t(n-1, (1+level)/2)``."""
    return float(stdtrit(n - 1, (1.0 + level) / 2.0))


def half_width(spread: float, n: int, level: float) -> float:
    """``t(n-1, (1+level)/2) s / sqrt(n)``, n >= 2."""
    return quantile(n, level) * spread / math.sqrt(n)


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"interval: got level {level}, expected one in (0, 1)")
