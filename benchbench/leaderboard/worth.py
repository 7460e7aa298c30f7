"""What an accuracy is worth in real images, read off the learning curve of real data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError
from benchbench.statistics import t_interval

Array = npt.NDArray[np.float64]
Side = Literal["below", "within", "above"]


@dataclass(frozen=True)
class Equivalent:
    """A number of real images.

    Attributes:
        images: The number, above 0; at a censored end, that end.
        side: ``below``: fewer than ``images``; ``above``: more; ``within``: as many.
    """

    images: float
    side: Side


@dataclass(frozen=True)
class Worth:
    """What accuracies are worth in real images, over seeds.

    Attributes:
        low: Lower end of the interval, in images; 0 where ``below``, or below all curves; NaN where n = 1.
        value: Geometric mean over seeds, in images: at most so many where ``below``, at least where ``above``.
        high: Upper end; infinite where ``above``, or above all curves; NaN where n = 1.
        n: How many seeds.
        level: Confidence level, in (0, 1).
        below: Some seed's accuracy lies below its curve.
        above: Some seed's accuracy lies above its curve.
    """

    low: float
    value: float
    high: float
    n: int
    level: float
    below: bool
    above: bool


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy by number of real training images, never falling, linear in the number's logarithm between points.

    Made by :meth:`measured`. Between two points a true curve that bends lies above this one, so that the number of
    images read off is too large: of an error that falls as ``k^-0.5`` by up to 3 % for points a factor 2 apart,
    17 % for 5 and 38 % for 10. Measure points a factor 2 apart or less.

    Attributes:
        counts: Real images, ``(p,)``, rising, above 0.
        accuracies: ``(p,)``, not falling.
    """

    counts: Array
    accuracies: Array

    @classmethod
    def measured(cls, counts: Sequence[float] | Array, accuracies: Sequence[float] | Array) -> LearningCurve:
        """The curve through measured accuracies, made monotone by isotonic regression (least squares).

        More images do not hurt: where measured accuracies fall, by noise, they are pooled to their mean.

        Args:
            counts: Real images, ``(p,)``, above 0, in any order; a repeated one counts with its mean accuracy,
                weighted by how often it was measured.
            accuracies: ``(p,)``, in the same order.

        Raises:
            DataError: If lengths differ, there is no point, a value is not finite, or a count is not above 0.
        """
        from scipy.optimize import isotonic_regression  # a moment that no cell should pay for

        at, measured = np.asarray(counts, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
        if at.ndim != 1 or at.shape != measured.shape or not len(at):
            raise DataError(
                f"learning curve: got {at.shape} counts and {measured.shape} accuracies, expected one accuracy a count"
            )
        if not (np.isfinite(at).all() and np.isfinite(measured).all() and (at > 0).all()):
            raise DataError(
                f"learning curve: got counts {at.tolist()} and accuracies {measured.tolist()}, "
                "expected finite numbers and counts above 0; leave out what was not measured"
            )
        unique, which, times = np.unique(at, return_inverse=True, return_counts=True)
        means = np.bincount(which, weights=measured) / times
        return cls(unique, np.asarray(isotonic_regression(means, weights=times).x, dtype=np.float64))

    def accuracy(self, count: float) -> float:
        """Accuracy with ``count`` real images; beyond the ends, that of the end."""
        return float(np.interp(math.log(count), np.log(self.counts), self.accuracies))

    def images(self, accuracy: float) -> Equivalent:
        """The smallest number of real images whose accuracy is at least ``accuracy``.

        Below the first point or above the last nothing is known of the curve: the number is that end's, and the
        result says on which side of it the truth lies.
        """
        after = int(np.searchsorted(self.accuracies, accuracy, side="left"))
        if after == len(self.counts):
            return Equivalent(float(self.counts[-1]), "above")
        if after == 0:
            return Equivalent(float(self.counts[0]), "within" if accuracy == self.accuracies[0] else "below")
        low, high = self.accuracies[after - 1], self.accuracies[after]  # low < accuracy <= high
        first, second = math.log(self.counts[after - 1]), math.log(self.counts[after])
        return Equivalent(math.exp(first + (second - first) * float((accuracy - low) / (high - low))), "within")


def worth(curves: Mapping[int, LearningCurve], accuracies: Mapping[int, float], level: float = 0.95) -> Worth:
    """What the accuracies of an arm are worth in real images: geometric mean and Student t interval over seeds.

    Each seed's accuracy is read off the same seed's curve, so that what makes a seed easy or hard for both
    cancels. Mean and interval are those of the logarithm of the number of images.

    A seed whose accuracy lies below or above its curve is censored. It counts as the curve's end, and the flag is
    set: with ``above`` the value can only be too small ("at least") and there is no upper end, with ``below``
    it can only be too large ("at most") and there is no lower one. With both, only the flags are to be believed.
    The remaining end is a guide, since the spread of what was cut off is not known. An end that lies beyond all
    that was measured is open too: 0 or infinite.

    Args:
        curves: By seed.
        accuracies: By seed. A seed without a curve, or with NaN, is left out.
        level: Confidence level, in (0, 1).

    Raises:
        DataError: If no seed has both.
        ValueError: If ``level`` is out of its range.
    """
    seeds = [seed for seed in curves if not math.isnan(accuracies.get(seed, math.nan))]
    if not seeds:
        raise DataError(
            f"worth: got curves of seeds {sorted(curves)} and accuracies of seeds {sorted(accuracies)}, "
            "expected a seed with both; measure the real arm's learning curve on the seeds of the generators"
        )
    found = [curves[seed].images(accuracies[seed]) for seed in seeds]
    interval = t_interval([math.log(one.images) for one in found], level)
    below, above = (any(one.side == side for one in found) for side in ("below", "above"))
    low, high = math.exp(interval.low), _exp(interval.high)
    if len(seeds) > 1:
        first = min(float(curves[seed].counts[0]) for seed in seeds)
        last = max(float(curves[seed].counts[-1]) for seed in seeds)
        low, high = 0.0 if below or low < first else low, math.inf if above or high > last else high
    return Worth(low, math.exp(interval.mean), high, len(seeds), level, below, above)


def _exp(value: float) -> float:
    """``exp`` that is infinite where it overflows, as the upper end over two unlike seeds may."""
    return math.inf if value > 700.0 else math.exp(value)
