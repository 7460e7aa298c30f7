"""How many operations a training step of every row of a benchmark file is made of.

Run: ``python benchmarks/perf/operations.py [benchmarks/cifar10.yaml]``. No time is measured: on a GPU every operation
is at least one kernel that the host has to launch, so their number says which rows the host holds up, whatever the
card, and where ``compute.compile`` has most to gain. Counted are the operations that torch dispatches, forward,
backward, optimizers, averages and what the loop does around a step, in bf16 and NHWC; views and empty tensors are not.
A GAN's is the mean over a turn of both players; the classifier's is without augmentation.

Images are of 32x32 and batches of 4, networks as deep as in the file but narrow. That widths do not matter is asserted
in the same run, with networks of twice the width.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import benchbench as bb
from benchbench.config import load_benchmark
from benchbench.discovery import Registry, load_registry
from benchbench.testing import mock_images
from benchbench.training import loop
from benchbench.types import Budget, Compute, FitContext

BATCH, WIDTHS, MOST = 4, (8, 16), 6
NO_KERNEL = {"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
LOOPS = ("benchbench.training", "benchbench.training.gan", "benchbench.downstream._network_classifier")


class Operations(TorchDispatchMode):
    """Counts what computes or copies something."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        of_a_view = any(each.alias_info and not each.alias_info.is_write for each in operation._schema.arguments)
        name = operation.overloadpacket.__name__
        if not of_a_view and name not in NO_KERNEL and not operation.name().startswith("profiler::"):
            self.seen[name] += 1
        return result


def operations(registry: Registry, kind: str, name: str, given: Mapping[str, Any], width: int) -> Counter[str] | None:
    """Those of a training step, the mean over one turn; None where nothing is trained by ``fit_loop``.

    From one batch being asked for to the next: what the loop does around the step is counted, too.
    """
    fields = registry.config_model(kind, name).model_fields
    narrow = {field: width for field in ("width", "discriminator_width") if field in fields}
    small = {"batch_size": BATCH} if "batch_size" in fields else {}
    config = registry.config(kind, name, {**given, **narrow, **small})
    model = registry.get(kind, name).cls(config)
    turn = int(getattr(config, "n_critic", 1))
    counted, asked = Operations(), 0

    class Counting(loop.BatchPlan):
        def batch(self, step: int) -> Tensor:
            nonlocal asked
            asked += 1
            if asked == 2 + turn:  # one for the health watch; then a turn that sets up the optimizers
                counted.__enter__()
            return super().batch(step)

    def counting(*arguments: Any, **named: Any) -> Any:
        try:
            return plain(*arguments, **named)
        finally:
            if asked >= 2 + turn:
                counted.__exit__(None, None, None)

    plain, data = loop.fit_loop, mock_images(3, 32, 32, per_class=20)
    budget, compute = Budget(max_steps=2 * turn), Compute("bf16", channels_last=True)
    ctx = FitContext(0, torch.device("cpu"), bb.torch_generator(0), budget=budget, compute=compute)
    with ExitStack() as stack:
        for place in LOOPS:
            stack.enter_context(patch(f"{place}.fit_loop", counting))
        stack.enter_context(patch.object(loop, "BatchPlan", Counting))
        stack.enter_context(patch.object(loop, "_look", lambda *_: None))  # once in fifty steps
        model.fit(data, ctx) if kind == "generators" else model.train(data, 2 * turn, ctx)
    return Counter({name: count / turn for name, count in counted.seen.items()}) if asked else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", type=Path, nargs="?", default=Path("benchmarks/cifar10.yaml"))
    options = parser.parse_args()
    registry = load_registry()
    benchmark = load_benchmark(options.benchmark, registry)
    rows = [("generators", row.name, row.config) for row in benchmark.generators]
    classifier = benchmark.protocol.classifier
    for kind, name, config in [*rows, ("classifiers", classifier.name, classifier.config)]:
        found, wider = (operations(registry, kind, name, config, width) for width in WIDTHS)
        if found is None:
            continue
        assert found == wider, f"{name}: got {found} and in a wider network {wider}, expected as many"
        most = ", ".join(f"{math.ceil(count)} {operation}" for operation, count in found.most_common(MOST))
        print(f"{name}: {math.ceil(sum(found.values())):,} operations a step: {most}", flush=True)


if __name__ == "__main__":
    main()
