"""The Fréchet distance of two feature sets against pytorch-fid's, moments included.

Run: ``python benchmarks/perf/frechet.py [PAIRS]``. d = 2048, one thread, CPU time. Goals: 8 times as fast with 4,096
images, 13 times with 1,000, where both covariances are singular.

Ours is compared in the same run with a third way in float64, the nuclear norm of the product of the two centred
matrices, to 1e-9 of the distance. pytorch-fid's own error (the square root of a singular matrix) is printed.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from pairs import compare
from pytorch_fid.fid_score import calculate_frechet_distance
from threadpoolctl import threadpool_limits

from benchbench.metrics.frechet import frechet_distance, moments

DIMENSIONS = 2048


def features(count: int, seed: int) -> np.ndarray:
    """Positive and skewed with a falling spectrum, roughly as Inception's are."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((DIMENSIONS, DIMENSIONS)) / np.sqrt(np.arange(1, DIMENSIONS + 1))[:, None]
    hidden = np.random.default_rng(seed + 100).standard_normal((count, DIMENSIONS))
    return np.maximum(hidden @ mixing * 0.2 + 0.4, 0.0).astype(np.float32)


def ours(x: np.ndarray, y: np.ndarray) -> float:
    return frechet_distance(*moments(x), *moments(y))


def peer(x: np.ndarray, y: np.ndarray) -> float:
    return float(
        calculate_frechet_distance(x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False))
    )


def reference(x: np.ndarray, y: np.ndarray) -> float:
    """``|mu|^2 + tr A^T A + tr B^T B - 2 |A B^T|_*`` with A and B centred and divided by the root of n - 1."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    mean = x.mean(axis=0) - y.mean(axis=0)
    a, b = ((each - each.mean(axis=0)) / np.sqrt(len(each) - 1) for each in (x, y))
    nuclear = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(mean @ mean + (a**2).sum() + (b**2).sum() - 2.0 * nuclear)


def products(count: int) -> float:
    """CPU seconds of the matrix products alone: two covariances and one product of factors, as a bound from below."""
    x = np.random.default_rng(0).standard_normal((count, DIMENSIONS))
    square = np.random.default_rng(0).standard_normal((DIMENSIONS, DIMENSIONS))
    began = time.process_time()
    _ = x.T @ x, x.T @ x, square @ square
    return time.process_time() - began


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    for count, goal in ((4096, 8), (1000, 13)):
        x, y = features(count, 0), features(count, 1)
        true, got, theirs = reference(x, y), ours(x, y), peer(x, y)
        assert abs(got - true) <= 1e-9 * true, f"n = {count}: got {got!r}, expected {true!r}"
        ratio = compare(lambda x=x, y=y: peer(x, y), lambda x=x, y=y: ours(x, y), pairs=pairs)
        print(f"n = {count}: pytorch-fid / benchbench, CPU time: {ratio}; goal {goal}")
        errors = (abs(value - true) / true for value in (got, theirs))
        print("  relative errors: benchbench's {:.0e}, pytorch-fid's {:.0e};".format(*errors), end=" ")
        print(f"the matrix products alone take {products(count):.2f} s", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):  # CPU time counts what spinning threads waste
        main()
