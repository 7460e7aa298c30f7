"""The Inception Score: sure of every image, and of all classes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import rel_entr

from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureSets, Metric, Output

Array = npt.NDArray[np.float64]
WHO = "Inception Score"


def inception_scores(probabilities: Array, splits: int, rng: np.random.Generator) -> Array:
    """``exp`` of the mean ``KL(p(y|x) || p(y))`` in each split (Salimans 2016, section 4).

    Args:
        probabilities: ``(m, K)``, rows summing to 1.
        splits: How many parts of nearly equal size; p(y) is the mean within a part.
        rng: Shuffles the images before they are parted.

    Returns:
        ``(splits,)``, each between 1 and K, and no more than a part's images.

    Raises:
        DataError: If a part would have fewer than 2 images.
    """
    count = len(probabilities)
    if count < 2 * splits:
        raise DataError(
            f"{WHO}: got {count} synthetic images for {splits} splits, expected at least {2 * splits}; "
            "use more images or fewer 'splits'"
        )
    shuffled = probabilities[rng.permutation(count)]
    parts = [shuffled[i * count // splits : (i + 1) * count // splits] for i in range(splits)]
    return np.array([np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in parts])


class InceptionScore(Metric):
    """Inception Score, of the extractor's own classifier. It never looks at real images."""

    name = "inception_score"
    needs = frozenset({"probabilities"})
    outputs = (
        Output("inception_score", "IS", higher_is_better=True),
        Output("inception_score_std", "IS, std over splits", higher_is_better=None),
    )

    class Config(BaseConfig):
        """Parting."""

        splits: int = Field(10, ge=1, description="Parts over which the score is averaged.")

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """Mean and standard deviation (divided by the count) of :func:`inception_scores`.

        Raises:
            DataError: If there are no probabilities, they are not such, or images are too few.
        """
        if sets.probabilities is None:
            raise DataError(f"{WHO}: got no class probabilities, expected them; these features have no classifier")
        probabilities = finite(sets.probabilities, WHO, "synthetic images")
        if (probabilities < 0).any() or not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):
            raise DataError(f"{WHO}: got class probabilities that are negative or do not sum to 1; expected a softmax")
        scores = inception_scores(probabilities, self.config.splits, rng)
        return {"inception_score": float(scores.mean()), "inception_score_std": float(scores.std())}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring the Inception Score."""
    return [InceptionScore]
