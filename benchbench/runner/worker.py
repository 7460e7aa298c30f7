"""One cell's process: ``python -m benchbench.runner.worker PAYLOAD.json``."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchbench.config import Benchmark
from benchbench.discovery import load_registry
from benchbench.downstream.arms import Arm
from benchbench.errors import (
    BenchbenchError,
    CollapsedError,
    DivergedError,
    RequestError,
    TrainingHaltedError,
    UnsupportedDataError,
)
from benchbench.plan import Cell, expand, goal_key, take_digests
from benchbench.runner.followers import Followers
from benchbench.runner.memory import limit_memory
from benchbench.runner.progress import ProgressFile
from benchbench.runner.stages import Stages
from benchbench.runner.workspace import Workspace, assemble, load_dataset
from benchbench.store.files import read_json, write_json
from benchbench.text import printable
from benchbench.types import PARENT_VARIABLE, SLOT_VARIABLE, CellRun, Status

# Colours in a message are for a terminal, not for a report.
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What errors say for want of memory that have no type of their own: torch's on a CPU, CUDA's driver, its libraries.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


def payload(work: Workspace, cell: Cell) -> dict[str, Any]:
    """What a process needs to know to do one cell, as JSON values."""
    return {
        "benchmark": work.benchmark.model_dump(mode="json", by_alias=True),
        "cell": cell.name,
        "plugins": list(work.plugins),
        "device": work.device.type,
        "data_dir": str(work.data_dir.resolve()),
        "runs_dir": str(work.store.root.resolve()),
    }


def prepare() -> None:
    """What every cell does first, for all of them at once: installed plugins, and the digests of what is imported."""
    registry = load_registry()
    take_digests()
    for plugin in registry.all():
        with contextlib.suppress(Exception):  # whoever uses it will be told
            _ = plugin.digest


def main(path: Path) -> None:
    """Do the cell that a payload names and write ``outcome.json`` beside it; failures are outcomes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _end_with_parent()
    began = time.monotonic()
    progress = ProgressFile(path.parent / "progress.json")
    numbers: dict[str, float] = {}
    try:
        stages = _open(path, progress)
        _follow(stages, progress.followers, path.parent)
        failures: list[tuple[str, BaseException]] = list(_run(stages, progress, numbers))
    except BaseException as fault:
        failures = [(progress.phase, fault)]
    progress.followers.end(status_of(failures[0][1]) if failures else Status.OK, numbers)
    warnings = "; ".join(progress.followers.warnings)
    outcome: dict[str, Any] = {"status": Status.OK.value, "phase": "done", "message": warnings}
    for phase, error in failures:
        logging.error("%s failed\n%s", phase, "".join(traceback.format_exception(error)))
    if failures:
        phase, first = failures[0]
        outcome = {"status": status_of(first).value, "phase": phase, "message": one_line(first)}
    write_json(path.parent / "outcome.json", {**outcome, "seconds": time.monotonic() - began})


def _open(path: Path, progress: ProgressFile) -> Stages:
    order = read_json(path)
    if not isinstance(order, dict):
        raise RequestError(f"{path.name}: not a payload")
    benchmark = Benchmark.model_validate(order["benchmark"])
    limit_memory(benchmark.limits.memory, on_gpu=order["device"] == "cuda")
    registry = load_registry(order["plugins"])
    data_dir = Path(order["data_dir"])
    dataset = load_dataset(registry, benchmark.dataset, data_dir)
    device = _own_device(order["device"])
    runs_dir = Path(order["runs_dir"])
    work = assemble(benchmark, registry, dataset, device, data_dir, runs_dir, tuple(order["plugins"]))
    cell = next(cell for cell in expand(benchmark) if cell.name == order["cell"])
    torch.set_num_threads(benchmark.limits.threads)
    # Takes the digest of every source now, next to its import: a file may be edited while this process runs.
    goal_key(work.inputs, cell)
    return Stages(work, cell, progress)


def _follow(stages: Stages, followers: Followers, folder: Path) -> None:
    """Have the benchmark's loggers begin."""
    work, cell = stages.work, stages.cell
    config: dict[str, Any] = {}
    if cell.spec is not None:
        config = work.registry.config("generators", cell.spec.name, cell.spec.config).model_dump(mode="json")
    run = CellRun(
        benchmark=work.benchmark.name,
        name=cell.name,
        row=cell.row,
        generator=None if cell.spec is None else cell.spec.name,
        seed=cell.seed,
        setting=cell.setting.name,
        config=config,
        folder=folder,
        runs_dir=work.store.root,
    )
    followers.begin({spec.name: partial(work.make, "loggers", spec) for spec in work.benchmark.loggers}, run)


def _own_device(kind: str) -> torch.device:
    """The CPU, or the GPU of this process's slot: cells that run side by side take one GPU each."""
    if kind != "cuda":
        return torch.device(kind)
    return torch.device("cuda", int(os.environ.get(SLOT_VARIABLE, "0")) % max(1, torch.cuda.device_count()))


def _run(stages: Stages, progress: ProgressFile, numbers: dict[str, float]) -> Iterator[tuple[str, BaseException]]:
    """Do all that the cell owes; a metric or an arm that fails does not stop the others.

    Args:
        stages: The cell's.
        progress: Knows the phase.
        numbers: Takes what the loggers are told at the end: costs, and accuracies on validation images.
    """
    todo: list[Callable[[], object]] = []
    if stages.cell.spec is not None:
        fit = stages.fit()  # of which there may be samples already, from before it was damaged
        sample = stages.sample()  # without these there is nothing to score
        numbers["fit_seconds"] = fit.meta["seconds"]
        numbers["sampled_images_per_second"] = sample.meta["images_per_second"]
    inputs = stages.inputs
    if inputs.has_likelihood(stages.cell):
        todo.append(stages.likelihood)
    for extractor in inputs.protocol.features:
        todo += [partial(stages.metric, extractor, metric) for metric in inputs.metrics_in(extractor)]
    todo += [partial(_arm, stages, arm, numbers) for arm in inputs.arms(stages.cell)]
    for do in todo:
        try:
            do()
        except Exception as error:
            yield progress.phase, error


def _arm(stages: Stages, arm: Arm, numbers: dict[str, float]) -> None:
    evaluated = stages.arm(arm).meta
    if "val" in evaluated:
        numbers[f"val_accuracy {arm.label}"] = evaluated["val"]["accuracy"]


def status_of(error: BaseException) -> Status:
    """How a cell that raised this ended."""
    if isinstance(error, DivergedError):
        return Status.DIVERGED
    if isinstance(error, CollapsedError):
        return Status.COLLAPSED
    if isinstance(error, UnsupportedDataError):
        return Status.SKIPPED
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
        return Status.OUT_OF_MEMORY
    return Status.FAILED


def one_line(error: BaseException) -> str:
    """An error in one line of at most 500 characters; our own errors need no class name."""
    text = printable(ANSI.sub("", str(error)))[:500]
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{text}: the disk is full; free some space, then run it again with --retry-failed"
    if isinstance(error, TrainingHaltedError) and error.step:
        return f"step {error.step}: {text}"
    if status_of(error) is Status.OUT_OF_MEMORY:
        return f"{type(error).__name__}: {text}; lower the batch size, or raise limits.memory, with --retry-failed"
    return text if isinstance(error, BenchbenchError) else f"{type(error).__name__}: {text}"


def _end_with_parent() -> None:
    """Leave when the process that started this one is gone (also if it went while this one was importing)."""
    parent = int(os.environ.get(PARENT_VARIABLE, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
