"""Precision, recall, density and coverage: fidelity and variety apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair
from benchbench.metrics._neighbours import squared_distances
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureSets, Metric, Output

Array = npt.NDArray[np.float64]


def squared_radii(features: Array, k: int) -> Array:
    """Squared distance from each row of ``features (n, d)`` to its k-th nearest other row, ``(n,)``; n > k.

    Every pair is measured once: a block's rows and its columns both learn from it.
    """
    nearest = np.full((len(features), k), np.inf)
    for rows, block in squared_distances(features, features, upper=True):
        count = rows.stop - rows.start
        block[np.arange(count), np.arange(count)] = np.inf
        nearest[rows] = _smallest(nearest[rows], block, k)
        later = slice(rows.stop, len(features))
        nearest[later] = _smallest(nearest[later], block[:, count:].T, k)
    return np.asarray(nearest[:, k - 1])


def _smallest(known: Array, further: Array, k: int) -> Array:
    """The ``k`` smallest of each row of ``known (r, k)`` and ``further (r, c)`` together, in order."""
    if further.shape[1] > k:
        further = np.partition(further, k - 1, axis=1)[:, :k]
    return np.asarray(np.sort(np.concatenate([known, further], axis=1), axis=1)[:, :k])


def inner_radii(features: Array, k: int) -> Array:
    """:func:`squared_radii` less what a distance may be off by rounding, ``(n,)``.

    Images on a rim (copies of other images, mostly) are outside of the ball, and must not slip in because their
    distance was rounded otherwise than the radius was.
    """
    radii = squared_radii(features, k)
    rounding = 4 * np.finfo(np.float64).eps * features.shape[1]
    return np.asarray(radii - rounding * ((features**2).sum(axis=1) + radii))


def prdc(real: Array, synthetic: Array, k: int) -> dict[str, float]:
    """Precision and recall (Kynkäänniemi 2019), density and coverage (Naeem 2020).

    A ball around an image reaches to its k-th nearest neighbour in its own set, rim excluded.

    Args:
        real: ``(n, d)``.
        synthetic: ``(m, d)``.
        k: Neighbours that make a ball, fewer than n and m.

    Returns:
        ``precision``: share of synthetic images in some real ball; ``recall``: share of real images in some
        synthetic ball; ``density``: real balls a synthetic image lies in, over k, about 1 where the sets are
        of one distribution, and not bounded by 1; ``coverage``: share of real balls with a synthetic image in them.

    Raises:
        DataError: If n <= k or m <= k.
    """
    if min(len(real), len(synthetic)) <= k:
        raise DataError(
            f"precision and recall: got {len(real)} real and {len(synthetic)} synthetic images, expected more than "
            f"{k} each; use more images or a smaller 'nearest_k'"
        )
    real_radii, synthetic_radii = inner_radii(real, k), inner_radii(synthetic, k)
    inside, balls = np.zeros(len(synthetic), dtype=bool), 0
    recalled, covered = np.empty(len(real), dtype=bool), np.empty(len(real), dtype=bool)
    for rows, block in squared_distances(real, synthetic):
        hits = block < real_radii[rows, None]
        inside |= hits.any(axis=0)
        balls += int(hits.sum())
        covered[rows] = hits.any(axis=1)
        recalled[rows] = (block < synthetic_radii).any(axis=1)
    return {
        "precision": float(inside.mean()),
        "recall": float(recalled.mean()),
        "density": balls / (k * len(synthetic)),
        "coverage": float(covered.mean()),
    }


class PrecisionRecall(Metric):
    """Precision, recall, density and coverage, from nearest neighbours in feature space."""

    name = "prdc"
    outputs = (
        Output("precision", "Precision", higher_is_better=True),
        Output("recall", "Recall", higher_is_better=True),
        Output("density", "Density", higher_is_better=True),
        Output("coverage", "Coverage", higher_is_better=True),
    )

    class Config(BaseConfig):
        """Neighbourhood."""

        nearest_k: int = Field(5, ge=1, description="Neighbours that make a ball.")

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`prdc` with this config.

        Raises:
            DataError: If features are not finite, or a set has no more than ``nearest_k`` images.
        """
        return prdc(*finite_pair(sets, "precision and recall"), self.config.nearest_k)


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring precision, recall, density and coverage."""
    return [PrecisionRecall]
