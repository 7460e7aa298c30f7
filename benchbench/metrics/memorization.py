"""How many synthetic images are (near) copies of a training image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair, finite_train
from benchbench.metrics._neighbours import distinct, nearest
from benchbench.types import FeatureSets, Metric, Output

Array = npt.NDArray[np.float64]
WHO = "memorized share"

# The share of honest images that are called copies.
FALSE_ALARMS = 0.01


def neighbour_ratios(images: Array, train: Array) -> Array:
    """Distance to the nearest over that to the second nearest training image, ``(n,)`` in [0, 1].

    Zero on a copy, near one where several training images are as far. A training image that occurs twice
    counts once: its copy would be as near to both, and pass for something new.

    Args:
        images: ``(n, d)``.
        train: ``(N, d)``.

    Raises:
        DataError: If fewer than 2 training images differ.
    """
    different = distinct(train)
    if len(different) < 2:
        raise DataError(f"{WHO}: got {len(different)} different training images of {len(train)}, expected at least 2")
    first, second = nearest(images, different, 2)[1].T
    ratios: Array = np.divide(first, second, out=np.zeros_like(first), where=second > 0)
    return ratios


def low_quantile(values: Array, share: float) -> float:
    """A bound that one more draw from where ``values (n,)``, all >= 0, come from stays below with chance ``share``.

    The next draw is equally likely to fall into each of the n + 1 gaps between the sorted values; the bound
    goes linearly between them. Below the smallest it goes down to zero, not to that value as a
    usual quantile does: with 30 values that would let in 1 of 31. So ``share`` is not exceeded by chance,
    and exact copies, at zero, are still at or below the bound.
    """
    ladder = np.concatenate([[0.0], np.sort(values)])
    return float(np.interp(share * (len(values) + 1), np.arange(len(ladder)), ladder))


def memorized_share(synthetic_ratios: Array, held_out_ratios: Array) -> float:
    """Share of synthetic images whose ratio is as low as that of the lowest 1 % of held-out real images.

    About 0.01 or less where nothing is copied and 1 for a copy of the training set. Where more than 1 % of the
    held-out images are themselves copies of training images, their own share is what honest images come to.
    """
    return float((synthetic_ratios <= low_quantile(held_out_ratios, FALSE_ALARMS)).mean())


class Memorization(Metric):
    """The share of copies, judged by held-out real images, and the median ratio behind it."""

    name = "memorization"
    needs = frozenset({"train"})
    outputs = (
        Output("memorized", "Memorized share", higher_is_better=False),
        Output("nn_ratio", "NN ratio, median", higher_is_better=None),
    )

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`memorized_share` of :func:`neighbour_ratios`.

        Raises:
            DataError: If features are not finite, or fewer than 2 training images differ.
        """
        real, synthetic = finite_pair(sets, WHO)
        train = finite_train(sets, WHO)
        ratios = neighbour_ratios(synthetic, train)
        return {
            "memorized": memorized_share(ratios, neighbour_ratios(real, train)),
            "nn_ratio": float(np.median(ratios)),
        }


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the memorized share."""
    return [Memorization]
