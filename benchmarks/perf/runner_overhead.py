"""What the runner adds to the bare training loop: progress file, checkpoints, store, checksums.

Run: ``python benchmarks/perf/runner_overhead.py``. Goal: a ratio below 1.02.

Both sides fit the same generator on the same images with the same seed, so they must end at the same
weights; that is asserted. A process's start (the imports) is not in the ratio and is printed beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from pairs import compare

from benchbench.plan import expand
from benchbench.runner.progress import ProgressFile
from benchbench.runner.stages import Stages
from benchbench.runner.workspace import Workspace, open_workspace
from benchbench.seeding import torch_generator
from benchbench.store import weights_digest
from benchbench.store.files import load_state
from benchbench.types import FitContext

BENCHMARK = """\
name: overhead
dataset: digits
generators: [{name: flow, config: {levels: 17, width: 32, steps: STEPS}}]
seeds: [0]
"""
STEPS = 300


def workspace(folder: Path, runs: Path) -> Workspace:
    path = folder / "overhead.yaml"
    path.write_text(BENCHMARK.replace("STEPS", str(STEPS)))
    return open_workspace(path, overrides=[], plugins=[], device="cpu", data_dir=folder, runs_dir=runs)


def main() -> None:
    torch.set_num_threads(1)
    digests = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = iter(range(1000))

        def through_the_runner() -> None:
            work = workspace(folder, folder / f"runs{next(count)}")
            cell = next(cell for cell in expand(work.benchmark) if cell.spec)
            entry = Stages(work, cell, ProgressFile(folder / "progress.json")).fit()
            digests.add(weights_digest(load_state(entry.file("state.pt"))))

        ready = workspace(folder, folder / "none")
        spec = ready.benchmark.generators[0]

        def bare() -> None:
            generator = ready.make("generators", spec)
            generator.fit(ready.dataset.train, FitContext(0, torch.device("cpu"), torch_generator(0, "fit")))
            digests.add(weights_digest(generator.state_dict()))

        ratio = compare(through_the_runner, bare)
    assert len(digests) == 1, "the runner and the bare loop ended at different weights"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import benchbench.runner.worker"], check=True)
    print(f"fit of {STEPS} steps, runner / bare loop, CPU time: {ratio}")
    print(f"a cell's process, start to ready: {time.perf_counter() - began:.2f} s of wall time, once a cell")


if __name__ == "__main__":
    main()
