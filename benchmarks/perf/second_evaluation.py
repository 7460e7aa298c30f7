"""A row's metrics where the real images' features are stored already, against the first evaluation, which makes them.

Run: ``python benchmarks/perf/second_evaluation.py [--pairs 8]``. Digits (300 real test and 1,197 training images, 300
samples), EfficientNet-Lite0 features, one thread, CPU time. Goal: twice as fast, with the metrics that a benchmark file
has by default. With the Fréchet distance alone, which looks at as many real images as samples, two is the bound.

Both sides take the path of a cell, from a store that holds the fitted extractor and the samples; each run has a store
of its own, copied before it is timed. What the metrics say must be the same to the last bit. The samples' own features,
which no store can hold, are timed alone: the least that an evaluation can take.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from pairs import compare

from benchbench.plan import Cell, expand
from benchbench.runner.progress import ProgressFile
from benchbench.runner.stages import Stages
from benchbench.runner.workspace import open_workspace

BENCHMARK = """\
name: second
dataset: digits
generators: [noise, blur]
seeds: [0]
protocol: {features: [efficientnet_lite0], metrics: [METRICS]}
"""
ALL, ALONE = "fd, kid, prdc, memorization", "fd"


def stages(folder: Path, runs: Path, row: str, metrics: str) -> Stages:
    path = folder / "second.yaml"
    path.write_text(BENCHMARK.replace("METRICS", metrics))
    work = open_workspace(path, overrides=[], plugins=[], device="cpu", data_dir=folder, runs_dir=runs)
    cell: Cell = next(cell for cell in expand(work.benchmark) if cell.row == row)
    return Stages(work, cell, ProgressFile(folder / "progress.json"))


def evaluate(ready: Stages) -> str:
    """All metrics of a cell, as text that tells floats apart to the last bit."""
    protocol = ready.inputs.protocol
    found = {spec.name: ready.metric(protocol.features[0], spec).meta["values"] for spec in protocol.metrics}
    return json.dumps(found)


def stores(folder: Path, base: Path, name: str, row: str, metrics: str, count: int) -> Iterator[Stages]:
    """So many copies of a store, each with the stages of one cell, ready."""
    made = []
    for place in range(count):
        copy = folder / f"{name}{place}"
        shutil.copytree(base, copy)
        made.append(stages(folder, copy, row, metrics))
    return iter(made)


def measure(folder: Path, metrics: str, goal: str, pairs: int) -> None:
    cold, warm = folder / "cold", folder / "warm"
    for row in ("noise", "blur"):
        ready = stages(folder, cold, row, metrics)
        extractor, _ = ready.extractor(ready.inputs.protocol.features[0])
        ready.sample()
    samples = ready.held_out_samples.images
    shutil.copytree(cold, warm)
    evaluate(stages(folder, warm, "noise", metrics))  # leaves the real images' features behind
    first = stores(folder, cold, "first", "blur", metrics, pairs + 1)
    second = stores(folder, warm, "second", "blur", metrics, pairs + 1)
    said: dict[str, set[str]] = {"first": set(), "second": set()}
    ratio = compare(
        lambda: said["first"].add(evaluate(next(first))), lambda: said["second"].add(evaluate(next(second))), pairs
    )
    assert said["first"] == said["second"], f"the two differ: {said}"
    assert len(said["first"]) == 1, f"runs differ: {said}"
    began = time.process_time()
    extractor.extract(samples, torch.device("cpu"))
    least = time.process_time() - began
    print(f"{metrics}: first / second evaluation, CPU time: {ratio}, same bits; {goal}")
    print(f"  the features of the {len(samples)} samples alone take {least:.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    options = parser.parse_args()
    for metrics, goal in ((ALL, "goal 2"), (ALONE, "bound 2")):
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), metrics, goal, options.pairs)


if __name__ == "__main__":
    torch.set_num_threads(1)  # CPU time counts what spinning threads waste
    main()
