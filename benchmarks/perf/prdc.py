"""Precision, recall, density and coverage of two feature sets against the ``prdc`` package: CPU time and memory.

Run: ``python benchmarks/perf/prdc.py [--images 10000] [--dimensions 1280] [--pairs 8]``. Normal float32 features, the
synthetic ones narrower and shifted, 5 neighbours, one thread, CPU time. Goals: 4 times as fast, in
a quarter of the memory.

All four values must be equal to 4 digits in the same run. Peak memory is that of a process of its own for each side:
its largest resident size less what it was with the features made and everything imported. ``prdc`` asks for eight
worker threads; CPU time counts all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

# This script is called as the peer is, and Python puts a script's own folder first: the peer is looked up without it.
HERE = sys.path.pop(0)
from prdc import compute_prdc  # noqa: E402

sys.path.insert(0, HERE)
import numpy as np  # noqa: E402
from pairs import compare  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from benchbench.metrics.prdc import prdc  # noqa: E402

NEAREST = 5


def features(images: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """A falling spectrum, as real features have: with equal variances all distances would be nearly one."""
    scale = 1.0 / np.sqrt(np.arange(1, dimensions + 1))
    real, synthetic = np.random.default_rng(0).standard_normal((2, images, dimensions), dtype=np.float32) * scale
    return real.astype(np.float32), (synthetic * 0.9 + 0.3 * scale).astype(np.float32)


def ours(real: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    return prdc(real, synthetic, NEAREST)


def peer(real: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return compute_prdc(real, synthetic, NEAREST)


def peak(side: str, images: int, dimensions: int) -> float:
    """MiB that one call adds to the largest resident size of a process of its own."""
    command = [sys.executable, __file__, "--images", str(images), "--dimensions", str(dimensions), "--peak", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def resident(what: str) -> float:
    """MiB of this process: ``VmRSS``, what it is now, or ``VmHWM``, the largest so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(what))) / 2**10


def measure_peak(side: str, images: int, dimensions: int) -> None:
    real, synthetic = features(images, dimensions)
    few = slice(0, 50)
    call = {"ours": ours, "peer": peer}[side]
    call(real[few], synthetic[few])  # imports and pools that come with the first call
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far: that of making the features
    before = resident("VmRSS")
    call(real, synthetic)
    print(resident("VmHWM") - before)


def products(images: int, dimensions: int) -> float:
    """CPU seconds of two products of all with all in float32: one is for the halves of both sets with themselves."""
    x = np.random.default_rng(0).standard_normal((images, dimensions), dtype=np.float32)
    part = x[: max(1, images // 5)].copy()
    _ = part @ part.T
    began = time.process_time()
    _ = part @ x.T
    return (time.process_time() - began) * 2 * images / len(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--dimensions", type=int, default=1280)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--peak", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = options.images, options.dimensions
    if options.peak:
        measure_peak(options.peak, *size)
        return
    theirs, our_own = peak("peer", *size), peak("ours", *size)
    real, synthetic = features(*size)
    results = {}

    def run_ours() -> None:
        results["ours"] = ours(real, synthetic)

    def run_peer() -> None:
        results["peer"] = peer(real, synthetic)

    ratio = compare(run_peer, run_ours, pairs=options.pairs)
    print(f"{size[0]} x {size[0]} images, d = {size[1]}: prdc / benchbench, CPU time: {ratio}; goal 4")
    print("  " + ", ".join(f"{name} {value:.4f}" for name, value in results["ours"].items()), end="; ")
    print(f"the matrix products alone take {products(*size):.2f} s", flush=True)
    for name, value in results["ours"].items():
        expected = float(results["peer"][name])
        assert abs(value - expected) <= 5e-5 * max(abs(expected), 1.0), f"{name}: got {value}, expected {expected}"
    print(f"  peak memory: prdc {theirs:.0f} MiB, benchbench {our_own:.0f} MiB", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):  # CPU time counts what spinning threads waste
        main()
