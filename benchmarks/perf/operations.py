"""How many operations a training step of every row of a benchmark file is made of.

Run: ``python benchmarks/perf/operations.py [benchmarks/cifar10.yaml]``. No time is measured: on a GPU every operation
is at least one kernel that the host has to launch, so their number says which rows the host holds up, whatever the
card, and where ``compute.compile`` has most to gain. Counted are the operations that torch dispatches, forward,
backward, optimizers and averages, in bf16 and NHWC as on a GPU; views and empty tensors are not. A GAN's is the mean
over a turn of both players.

Images are of 32x32 and batches of 4, networks as deep as in the file but narrow. That widths do not matter is asserted
in the same run, with networks of twice the width.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Mapping
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
NO_KERNEL = {"_unsafe_view", "empty", "empty_like", "new_empty", "new_empty_strided"}
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


class Counted:
    """A training step whose operations are counted, once the first turn has set up the optimizers."""

    def __init__(self, inner: bb.TrainStep, turn: int) -> None:
        self.inner, self.turn, self.operations = inner, turn, Operations()
        self.exact = getattr(inner, "exact", False)

    def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
        if index < self.turn:
            return self.inner.step(images, labels, index, total)
        with self.operations:
            return self.inner.step(images, labels, index, total)

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)


def operations(registry: Registry, kind: str, name: str, config: Mapping[str, Any], width: int) -> Counter[str] | None:
    """Those of one turn of steps; None where nothing is trained by :func:`benchbench.fit_loop`."""
    fields = registry.config_model(kind, name).model_fields
    narrow = {field: width for field in ("width", "discriminator_width") if field in fields}
    small = {"batch_size": BATCH} if "batch_size" in fields else {}
    model = registry.get(kind, name).cls(registry.config(kind, name, {**config, **narrow, **small}))
    turn = int(config.get("n_critic", 1))
    ctx = FitContext(0, torch.device("cpu"), bb.torch_generator(0), compute=Compute("bf16", channels_last=True))
    counted: list[Counted] = []
    plain = loop.fit_loop

    def counting(step: bb.TrainStep, train: Any, ctx: FitContext, **how: Any) -> Any:
        counted.append(Counted(step, turn))
        brief = FitContext(0, ctx.device, ctx.generator, budget=Budget(max_steps=2 * turn), compute=ctx.compute)
        return plain(counted[-1], train, brief, **how)

    data = mock_images(3, 32, 32, per_class=20)
    patches = [patch(f"{place}.fit_loop", counting) for place in LOOPS]
    for each in patches:
        each.start()
    try:
        model.fit(data, ctx) if kind == "generators" else model.train(data, 2 * turn, ctx)
    finally:
        for each in patches:
            each.stop()
    return Counter({name: count / turn for name, count in counted[0].operations.seen.items()}) if counted else None


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
        assert found == wider, f"{name}: got {wider - found} more operations in a wider network, expected as many"
        most = ", ".join(f"{math.ceil(count)} {operation}" for operation, count in found.most_common(MOST))
        print(f"{name}: {math.ceil(sum(found.values())):,} operations a step: {most}", flush=True)


if __name__ == "__main__":
    main()
