"""C_T: whether synthetic images are closer to the training images than held-out real ones are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from benchbench.hookspecs import hookimpl
from benchbench.metrics._checks import finite_pair, finite_train
from benchbench.metrics._neighbours import distinct, nearest
from benchbench.types import Config as BaseConfig
from benchbench.types import FeatureSets, Metric, Output

Array = npt.NDArray[np.float64]
WHO = "C_T"


def mann_whitney_z(held_out: Array, synthetic: Array) -> float:
    """Mann-Whitney test as a z-score: below zero where ``synthetic (m,)`` tends to be smaller than ``held_out (n,)``.

    Normal approximation with ties counted half and the variance corrected for them, without correction for
    continuity. Zero where all values are one.
    """
    from scipy.stats import rankdata  # a second that only who asks for this metric pays

    n, m = len(held_out), len(synthetic)
    values = np.concatenate([synthetic, held_out])
    larger = rankdata(values)[:m].sum() - m * (m + 1) / 2  # pairs in which the synthetic one is
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    variance = n * m / 12 * (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
    return float((larger - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0


def cell_mean_z(
    held_out: Array,
    held_out_cells: npt.NDArray[np.integer],
    synthetic: Array,
    synthetic_cells: npt.NDArray[np.integer],
    cells: int,
    cell_images: int,
) -> float:
    """Mean of :func:`mann_whitney_z` over cells, weighted by their held-out images (Meehan 2020).

    Args:
        held_out: ``(n,)``, distances to the nearest training image.
        held_out_cells: ``(n,)``, in 0 ... ``cells`` - 1.
        synthetic: ``(m,)``.
        synthetic_cells: ``(m,)``.
        cells: How many cells there are.
        cell_images: Cells with fewer held-out or fewer synthetic images are left out; where all are, everything
            is one cell.
    """
    counts = np.bincount(held_out_cells, minlength=cells)
    enough = np.minimum(counts, np.bincount(synthetic_cells, minlength=cells)) >= cell_images
    if not enough.any():
        return mann_whitney_z(held_out, synthetic)
    kept = np.flatnonzero(enough)
    values = [mann_whitney_z(held_out[held_out_cells == cell], synthetic[synthetic_cells == cell]) for cell in kept]
    return float(np.average(values, weights=counts[kept]))


def data_copying(
    real: Array, synthetic: Array, train: Array, cells: int, cell_images: int, rng: np.random.Generator
) -> float:
    """C_T (Meehan, Chaudhuri & Dasgupta 2020): :func:`cell_mean_z` of distances to the nearest training image.

    Cells are the k-means clusters of the training images, so that copying in one region is not hidden by
    poor images in another. The nearest training image may be in another cell.

    Args:
        real: ``(n, d)``, held-out.
        synthetic: ``(m, d)``.
        train: ``(N, d)``.
        cells: Clusters, cut to the number of different training images.
        cell_images: See :func:`cell_mean_z`.
        rng: Seeds the clustering.

    Returns:
        In standard deviations, growing with the number of images: well below zero for copies, about zero
        for new images of the same distribution, well above for images that are far off.
    """
    different = distinct(train)
    cells = min(cells, len(different))
    from sklearn.cluster import KMeans  # as above

    clusters = KMeans(cells, n_init=1, random_state=int(rng.integers(2**31))).fit(different)
    return cell_mean_z(
        nearest(real, different, 1)[1][:, 0],
        clusters.predict(real),
        nearest(synthetic, different, 1)[1][:, 0],
        clusters.predict(synthetic),
        cells,
        cell_images,
    )


class DataCopying(Metric):
    """C_T: negative means data copying."""

    name = "data_copying"
    needs = frozenset({"train"})
    outputs = (Output("c_t", "C_T", higher_is_better=None),)

    class Config(BaseConfig):
        """Cells."""

        cells: int = Field(5, ge=1, description="Clusters of the training images that are judged apart.")
        cell_images: int = Field(10, ge=1, description="Held-out and synthetic images that a cell needs, each.")

    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """:func:`data_copying` with this config.

        Raises:
            DataError: If features are not finite.
        """
        real, synthetic = finite_pair(sets, WHO)
        train = finite_train(sets, WHO)
        return {"c_t": data_copying(real, synthetic, train, self.config.cells, self.config.cell_images, rng)}


@hookimpl
def benchbench_metrics() -> Sequence[type[Metric]]:
    """Bring C_T."""
    return [DataCopying]
