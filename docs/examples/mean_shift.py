"""A metric in one file: how far the mean of synthetic features lies from that of real ones, overall and by class."""

import numpy as np

import benchbench as bb


def mean_shift(real, synthetic):
    """Unbiased estimate of ``|E real - E synthetic|^2``: zero on average where the means agree, so it may be negative.

    Args:
        real: ``(n, d)``, n >= 2.
        synthetic: ``(m, d)``, m >= 2.

    Raises:
        DataError: If a set has fewer than 2 images.
    """
    fewest = min(len(real), len(synthetic))
    if fewest < 2:
        raise bb.DataError(f"mean_shift: got {fewest} images, expected at least 2 of every class; use more images")
    chance = sum(part.var(axis=0, ddof=1).sum() / len(part) for part in (real, synthetic))
    return float(((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2).sum() - chance)


class MeanShift(bb.Metric):
    """What a Fréchet distance begins with, without the bias that few images give it."""

    name = "mean_shift"
    outputs = (
        bb.Output("mean_shift", "Mean shift", higher_is_better=False, distance=True),
        bb.Output("mean_shift_of_class", "Mean shift of class", higher_is_better=False, per_class=True),
    )

    def compute(self, sets, rng):
        real, synthetic = sets.real.astype(np.float64), sets.synthetic.astype(np.float64)
        by_class = [
            mean_shift(real[sets.real_labels == label], synthetic[sets.synthetic_labels == label])
            for label in range(sets.classes)
        ]
        return {"mean_shift": mean_shift(real, synthetic), "mean_shift_of_class": by_class}


@bb.hookimpl
def benchbench_metrics():
    return [MeanShift]
