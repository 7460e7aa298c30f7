"""Precision, recall, density and coverage: fidelity and variety apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import checked_pair
from benchbench.metrics._distances import Floats
from benchbench.metrics._neighbours import closer, squared_radii
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureSets, Metric, Output


def prdc(real: Floats, synthetic: Floats, k: int) -> dict[str, float]:
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
    inside, balls = np.zeros(len(synthetic), dtype=bool), 0
    recalled, covered = np.empty(len(real), dtype=bool), np.empty(len(real), dtype=bool)
    radii = squared_radii(real, k), squared_radii(synthetic, k)
    for rows, in_real, in_synthetic in closer(real, synthetic, *radii):
        inside |= in_real.any(axis=0)
        balls += int(np.count_nonzero(in_real))
        covered[rows] = in_real.any(axis=1)
        recalled[rows] = in_synthetic.any(axis=1)
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
        return prdc(*checked_pair(sets, "precision and recall"), self.config.nearest_k)


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring precision, recall, density and coverage."""
    return [PrecisionRecall]
