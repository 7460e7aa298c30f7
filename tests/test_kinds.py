"""The conformance suite for plugins that are no generators: those that ship pass it, and each rule finds its break."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import benchbench as bb
from benchbench.datasets.digits import Digits
from benchbench.discovery import load_registry
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.errors import DataMissingError
from benchbench.features.domain import Domain
from benchbench.testing import conformance, failures
from benchbench.testing.conformance import rules_of
from benchbench.testing.observing import global_seed
from benchbench.types import Metric

METRICS = [plugin.cls for plugin in load_registry().all() if plugin.kind == "metrics"]
EXAMPLES = Path(__file__).parents[1] / "docs/examples"


def example(name: str, cls: str) -> type:
    """A class of docs/examples."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type = getattr(module, cls)
    return found


MeanShift, Linear, Pca = example("mean_shift", "MeanShift"), example("linear", "Linear"), example("pca", "Pca")


@pytest.mark.parametrize(
    "cls", [pytest.param(cls, id=cls.name) for cls in (*METRICS, MeanShift, CnnSmall, Linear, Domain, Pca, Digits)]
)
def test_plugins_that_ship_conform(cls: type) -> None:
    findings = conformance(cls)
    assert not failures(findings)
    assert sum(finding.status == "passed" for finding in findings) >= 6


class BadKey(MeanShift):
    outputs = (
        bb.Output("Mean Shift", "Mean shift", higher_is_better=False, distance=True),
        MeanShift.outputs[1],
    )

    def compute(self, sets, rng):
        values = super().compute(sets, rng)
        return {"Mean Shift": values.pop("mean_shift"), **values}


class Endless(MeanShift):
    def compute(self, sets, rng):
        return {**super().compute(sets, rng), "mean_shift_of_class": [1.0, 2.0, float("inf")]}


class OtherKeys(MeanShift):
    def compute(self, sets, rng):
        return {"mean_shift": super().compute(sets, rng)["mean_shift"]}


class Moody(MeanShift):
    def compute(self, sets, rng):
        values = super().compute(sets, rng)
        return {**values, "mean_shift_of_class": [value + random.Random().random() for value in [0.0, 0.0, 0.0]]}


class Centres(MeanShift):
    def compute(self, sets, rng):
        values = super().compute(sets, rng)
        sets.synthetic[:] -= sets.synthetic.mean(axis=0)
        return values


class SeedsNumpy(MeanShift):
    def compute(self, sets, rng):
        np.random.seed(0)
        return super().compute(sets, rng)


class WrongWayRound(MeanShift):
    outputs = (bb.Output("mean_shift", "Mean shift", higher_is_better=True, distance=True), MeanShift.outputs[1])


class OneStepMore(Linear):
    def train(self, train, steps, ctx):
        return super().train(train, steps + 1, ctx)


class Wrapped:
    """A predictor with another ``predict``."""

    def __init__(self, inner, change):
        self.inner, self.change = inner, change

    def predict(self, images):
        return self.change(self.inner.predict(images))

    def state_dict(self):
        return self.inner.state_dict()


class Changed(Linear):
    """Changes what it predicts, restored or not."""

    @staticmethod
    def change(out):
        return out

    def train(self, train, steps, ctx):
        return Wrapped(super().train(train, steps, ctx), self.change)

    def restore(self, state, device):
        return Wrapped(super().restore(state, device), self.change)


class GivesLogits(Changed):
    @staticmethod
    def change(out):
        return out.log()


class LooksAside(Changed):
    @staticmethod
    def change(out):
        return (out + out.mean(dim=0)) / 2


class DrawsWeights(Linear):
    def train(self, train, steps, ctx):
        noisy = train.images + torch.randint(0, 2, train.images.shape, generator=self.fresh()).byte()
        return super().train(bb.LabelledImages(noisy, train.labels, train.classes), steps, ctx)

    @staticmethod
    def fresh():
        return torch.Generator().manual_seed(random.SystemRandom().getrandbits(30))


class RestoresNothing(Linear):
    def restore(self, state, device):
        state["network"] = {name: torch.zeros_like(value) for name, value in state["network"].items()}
        return super().restore(state, device)


class NeverAugments(Linear):
    def train(self, train, steps, ctx):
        bare = bb.FitContext(seed=ctx.seed, device=ctx.device, generator=ctx.generator)
        return super().train(train, steps, bare)


class Fails(Linear):
    def train(self, train, steps, ctx):
        raise RuntimeError("boom")


class Blackens(Linear):
    def train(self, train, steps, ctx):
        predictor = super().train(train, steps, ctx)
        train.images[0] = 0
        return predictor


class SeedsTorch(Linear):
    def train(self, train, steps, ctx):
        torch.manual_seed(0)
        return super().train(train, steps, ctx)


class Doubles(Pca):
    def extract(self, images, device):
        return super().extract(images, device).astype(np.float64)


class Standardises(Pca):
    def extract(self, images, device):
        features = super().extract(images, device)
        return features - features.mean(axis=0)


class RandomAxes(Pca):
    def fit(self, train, ctx):
        super().fit(train, ctx)
        self.axes = self.axes * (1 + random.SystemRandom().random())


class ForgetsMean(Pca):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "mean": torch.zeros_like(state["mean"])})


class BadOdds(Pca):
    def probabilities(self, features):
        return features


class PcaBlackens(Pca):
    def fit(self, train, ctx):
        super().fit(train, ctx)
        train.images[0] = 0


class PcaSeeds(Pca):
    def extract(self, images, device):
        random.seed(0)
        return super().extract(images, device)


class NotADataset(Digits):
    def load(self, data_dir):
        return [1, 2, 3]


class Shuffles(Digits):
    def load(self, data_dir):
        dataset = super().load(data_dir)
        order = torch.randperm(len(dataset.train), generator=DrawsWeights.fresh())
        return bb.Dataset(dataset.name, dataset.train.take(order), dataset.val, dataset.test)


class Leaks(Digits):
    def load(self, data_dir):
        dataset = super().load(data_dir)
        return bb.Dataset(dataset.name, dataset.train, dataset.val, dataset.train)


class DigitsSeeds(Digits):
    def load(self, data_dir):
        torch.manual_seed(0)
        return super().load(data_dir)


# Each breaks the rule that it stands under.
BROKEN = {
    "declares its outputs": [BadKey],
    "gives one finite number for each output": [Endless, OtherKeys],
    "gives the same numbers for the same features": [Moody],
    "leaves its features alone": [Centres],
    "puts held-out real images before noise": [WrongWayRound],
    "trains": [Fails],
    "takes exactly the steps that it is asked for": [OneStepMore],
    "gives class probabilities": [GivesLogits],
    "predicts an image whatever stands beside it": [LooksAside],
    "trains the same bits from the same seed": [DrawsWeights],
    "survives torch.save and torch.load(weights_only=True)": [RestoresNothing, ForgetsMean],
    "augments every batch": [NeverAugments],
    "leaves its training images alone": [Blackens, PcaBlackens],
    "leaves the global random state alone": [SeedsNumpy, SeedsTorch, PcaSeeds, DigitsSeeds],
    "gives one vector an image": [Doubles],
    "extracts an image whatever stands beside it": [Standardises],
    "fits the same bits from the same seed": [RandomAxes],
    "gives probabilities of its features": [BadOdds],
    "loads three splits": [NotADataset],
    "loads the same images every time": [Shuffles],
    "keeps its splits apart": [Leaks],
}
# Without these nothing else can be tried, or it breaks other rules by its nature.
BREAK_MORE = {Fails, NotADataset}


@pytest.mark.parametrize(("rule", "cls"), [(rule, cls) for rule, classes in BROKEN.items() for cls in classes])
def test_a_broken_plugin_is_found_out(rule: str, cls: type) -> None:
    with global_seed(0):
        broken = [finding for finding in conformance(cls) if finding.status == "failed"]
    assert rule in {finding.rule for finding in broken}
    assert all(finding.seen and finding.remedy for finding in broken)
    if cls not in BREAK_MORE:
        assert len(broken) == 1, failures(broken)


def test_every_rule_of_every_kind_has_a_plugin_that_breaks_it() -> None:
    rules = {rule.name for cls in (Metric, Linear, Pca, Digits) for rule in rules_of(cls) if rule.kind is not object}
    assert rules == set(BROKEN)


def test_files_that_are_not_here_are_no_fault() -> None:
    class Elsewhere(Digits):
        def load(self, data_dir: Path) -> bb.Dataset:
            raise DataMissingError("elsewhere: data/x.bin is missing")

    found = {finding.rule: finding for finding in conformance(Elsewhere)}
    assert found["loads three splits"].status == "skipped"
    assert found["loads three splits"].seen == "elsewhere: data/x.bin is missing"
