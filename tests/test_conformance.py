"""Every shipped generator passes the conformance suite, and every rule finds out a generator that breaks it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import random
import re
import subprocess
import sys
from pathlib import Path

import benchbench_plugins
import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import benchbench as bb
from benchbench.discovery import load_registry
from benchbench.errors import PluginError
from benchbench.testing import common, conformance, failures, mock_images, suite
from benchbench.testing.conformance import rules_of
from benchbench.testing.generators import GeneratorTrial
from benchbench.testing.observing import global_random_state, global_seed, same

# Smaller networks for generators that have such fields: the rules do not depend on size.
SMALL = {"width": 8, "z_dim": 8, "latent": 8, "embedding": 4, "depth": 2, "batch_size": 16}


def shipped():
    """Every generator class that a module of the package brings through its hook."""
    for module in pkgutil.iter_modules(benchbench_plugins.__path__, "benchbench_plugins."):
        if not module.name.rpartition(".")[2].startswith("_"):
            yield from getattr(importlib.import_module(module.name), "benchbench_generators", list)()


def small_config(cls):
    return cls.Config(**{name: value for name, value in SMALL.items() if name in cls.Config.model_fields})


# Given images are tried with some in tests/test_score.py.
@pytest.mark.parametrize("cls", [cls for cls in shipped() if cls.name != "samples"], ids=lambda cls: cls.name)
def test_shipped_generators_conform(cls):
    findings = conformance(cls, small_config(cls))
    assert not failures(findings)
    passed = {finding.rule for finding in findings if finding.status == "passed"}
    assert {"fits", "is registered without heavy work"} <= passed and len(passed) >= 16


@pytest.mark.parametrize(
    "cls", [cls for cls in shipped() if "conditional" in cls.Config.model_fields], ids=lambda c: c.name
)
def test_shipped_generators_conform_unconditionally(cls):
    config = small_config(cls).model_copy(update={"conditional": False})
    findings = conformance(cls, config)
    assert not failures(findings)
    by_rule = {finding.rule: finding for finding in findings}
    assert by_rule["fits the images of one class"].status == "passed"


def test_shipped_names_are_unique():
    names = [cls.name for cls in shipped()]
    assert len(set(names)) == len(names) >= 5


# --- a small generator that conforms, and one way of breaking each rule -----------------------------------


class ToyStep:
    """Moves a mean image towards the batch's, with noise from the context's generator."""

    def __init__(self, model, generator):
        self.model = model
        self.generator = generator
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def noise(self, shape):
        return 0.1 * torch.randn(shape, generator=self.generator)

    def step(self, images, labels, index, total):
        out = self.model(labels)
        loss = (out - images + self.noise(images.shape)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def state_dict(self):
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


class ToyNetwork(nn.Module):
    """One image a class, standardised over the batch where ``norm`` is used in training mode."""

    def __init__(self, shape, num_classes):
        super().__init__()
        self.table = nn.Embedding(num_classes, int(np.prod(shape)))
        self.norm = nn.BatchNorm1d(int(np.prod(shape)))
        self.shape = shape

    def forward(self, labels):
        return self.norm(self.table(labels)).unflatten(1, self.shape)


class Toy(bb.Generator):
    """Conforms to every rule."""

    name = "toy"
    step_class = ToyStep

    class Config(bb.Config):
        steps: int = Field(20, ge=1, description="Optimizer steps.")

    def build(self, shape, num_classes):
        self.shape, self.num_classes = tuple(shape), num_classes
        with torch.random.fork_rng(devices=[]):
            self.model = ToyNetwork(self.shape, num_classes)

    def initialise(self, ctx):
        bb.init_weights(self.model, bb.torch_generator(ctx.seed, "init"))

    def fit(self, train, ctx):
        self.build(train.shape, len(train.classes))
        self.initialise(ctx)
        result = bb.fit_loop(
            self.step_class(self.model, ctx.generator), train, ctx, steps=self.config.steps, batch_size=8
        )
        return dict(result.losses)

    def draw(self, labels, generator):
        images = self.model.eval()(labels)
        return bb.to_uint8((images + 0.2 * torch.randn(images.shape, generator=generator)).clamp(-1, 1))

    def sample(self, labels, ctx):
        return bb.sample_in_blocks(labels, ctx, self.draw)

    def state_dict(self):
        return {"shape": list(self.shape), "num_classes": self.num_classes, "model": self.model.state_dict()}

    def load_state_dict(self, state):
        self.build(state["shape"], state["num_classes"])
        self.model.load_state_dict(state["model"])

    def bits_per_dim(self, data, ctx):
        with torch.inference_mode():
            errors = self.model.eval()(data.labels) - bb.to_float(data.images)
        return errors.double().square().flatten(1).mean(dim=1)


def test_the_toy_conforms():
    findings = conformance(Toy)
    assert not failures(findings)
    assert [finding.rule for finding in findings] == [rule.name for rule in rules_of(Toy)]
    skipped = {finding.rule for finding in findings if finding.status == "skipped"}
    assert skipped == {"fits the images of one class", "is registered without heavy work"}


class BadName(Toy):
    name = "Bad Name"


class BadRole(Toy):
    role = "judge"


class PeeksAtVal(Toy):
    fit_split = "val"


class Undocumented(Toy):
    class Config(bb.Config):
        steps: int = 20


class NoDefault(Toy):
    class Config(bb.Config):
        steps: int = Field(description="Optimizer steps.")


class NeedsArguments(Toy):
    def __init__(self, config):
        super().__init__(config)


class DrawsWhenMade(Toy):
    def __init__(self, config=None):
        super().__init__(config)
        torch.rand(1)


class Crashes(Toy):
    def fit(self, train, ctx):
        raise RuntimeError("boom")


class ReturnsText(Toy):
    def fit(self, train, ctx):
        super().fit(train, ctx)
        return {"verdict": "good"}


class RefusesForms(Toy):
    forms = ()

    def fit(self, train, ctx):
        if train.shape in self.forms:
            raise ValueError("mat1 and mat2 shapes cannot be multiplied")
        return super().fit(train, ctx)


class NoGray(RefusesForms):
    forms = ((1, 8, 8),)


class NoColour(RefusesForms):
    forms = ((3, 8, 8),)


class OneSizeOnly(RefusesForms):
    forms = ((3, 12, 12),)


class IgnoresSize(Toy):
    def sample(self, labels, ctx):
        return super().sample(labels, ctx)[:, :, :8, :8]


class Unconditional(Toy):
    conditional = False

    def draw(self, labels, generator):
        return super().draw(torch.zeros_like(labels), generator)


class NeedsEveryClass(Unconditional):
    def fit(self, train, ctx):
        if int(train.class_counts.min()) == 0:
            raise ValueError("empty class")
        return super().fit(train, ctx)


class FloatSamples(Toy):
    def sample(self, labels, ctx):
        return super().sample(labels, ctx).float() / 255


class TooMany(Toy):
    def sample(self, labels, ctx):
        return super().sample(torch.cat([labels, labels]), ctx)


class CastsUnitRange(Toy):
    def draw(self, labels, generator):
        return (super().draw(labels, generator).float() / 255).round().to(torch.uint8)


class GlobalNoise(Toy):
    def draw(self, labels, generator):
        images = super().draw(labels, generator)
        with torch.random.fork_rng(devices=[]):
            return images // 2 + torch.randint(0, 100, images.shape, dtype=torch.uint8)


class IgnoresSeed(Toy):
    def sample(self, labels, ctx):
        return super().sample(labels, bb.SampleContext(seed=0, device=ctx.device))


class WholeBatch(Toy):
    def sample(self, labels, ctx):
        noise = torch.randn((*self.shape, len(labels)), generator=bb.torch_generator(ctx.seed)).movedim(-1, 0)
        with torch.inference_mode():
            return bb.to_uint8((self.model.eval()(labels) + noise).clamp(-1, 1))


class TrainMode(Toy):
    def draw(self, labels, generator):
        self.model.eval = self.model.train
        return super().draw(labels, generator)


class CountsCalls(Toy):
    calls = 0

    def sample(self, labels, ctx):
        self.calls += 1
        return super().sample(labels, ctx)

    def state_dict(self):
        return {**super().state_dict(), "calls": self.calls}


class KeepsObjects(Toy):
    def state_dict(self):
        return {**super().state_dict(), "config": self.config}


class ForgetsTheNetwork(Toy):
    def load_state_dict(self, state):
        self.build(state["shape"], state["num_classes"])


class GlobalInit(Toy):
    def initialise(self, ctx):
        with torch.random.fork_rng(devices=[]):
            nn.init.normal_(self.model.table.weight)


class ForgetfulStep(ToyStep):
    """Its momentum is lost at a resumption."""

    def __init__(self, model, generator):
        super().__init__(model, generator)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def state_dict(self):
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state):
        self.model.load_state_dict(state["model"])


class LosesMomentum(Toy):
    step_class = ForgetfulStep


class OwnNoiseStep(ToyStep):
    """Its noise is from a generator that no checkpoint knows."""

    def __init__(self, model, generator):
        super().__init__(model, bb.torch_generator(0, "own"))


class OwnNoise(Toy):
    step_class = OwnNoiseStep


class SavesInVain(Toy):
    def fit(self, train, ctx):
        facts = super().fit(
            train, bb.FitContext(seed=ctx.seed, device=ctx.device, generator=ctx.generator, budget=ctx.budget)
        )
        if ctx.checkpoint.due() or ctx.checkpoint.due():
            pass
        ctx.checkpoint.save({"index": 1})
        return facts


class SeedsTorch(Toy):
    def fit(self, train, ctx):
        torch.manual_seed(ctx.seed)
        return super().fit(train, ctx)


class SeedsNumpy(Toy):
    def sample(self, labels, ctx):
        np.random.seed(ctx.seed)
        return super().sample(labels, ctx)


class DrawsFromRandom(Toy):
    def load_state_dict(self, state):
        random.random()
        super().load_state_dict(state)


class IgnoresBudget(Toy):
    def fit(self, train, ctx):
        free = bb.FitContext(seed=ctx.seed, device=ctx.device, generator=ctx.generator, deadline=ctx.deadline)
        return super().fit(train, free)


class NeverEnds(Toy):
    def fit(self, train, ctx):
        self.build(train.shape, len(train.classes))
        step = ToyStep(self.model, ctx.generator)
        while True:
            step.step(bb.to_float(train.images), train.labels, 0, 1)


class ReportsTooMuch(Toy):
    def fit(self, train, ctx):
        self.build(train.shape, len(train.classes))
        for step in range(self.config.steps):
            ctx.log("fit", step + 1, self.config.steps, {})


class IgnoresDeadline(Toy):
    def fit(self, train, ctx):
        late = bb.FitContext(
            seed=ctx.seed, device=ctx.device, generator=ctx.generator, budget=ctx.budget, checkpoint=ctx.checkpoint
        )
        return super().fit(train, late)


class ChangesImages(Toy):
    def fit(self, train, ctx):
        facts = super().fit(train, ctx)
        train.images[0] = 0
        return facts


class SortsLabels(Toy):
    def fit(self, train, ctx):
        facts = super().fit(train, ctx)
        train.labels.copy_(train.labels.sort().values)
        return facts


class SaysUnconditional(Toy):
    conditional = False


class IgnoresLabels(Toy):
    def draw(self, labels, generator):
        return super().draw(torch.zeros_like(labels), generator)


class KeepsTestImages(Toy):
    def bits_per_dim(self, data, ctx):
        self.scored = {"latest": [data]}
        return super().bits_per_dim(data, ctx)


class LearnsFromTestImages(Toy):
    def bits_per_dim(self, data, ctx):
        bits = super().bits_per_dim(data, ctx)
        self.model.norm.running_mean += bb.to_float(data.images).flatten(1).mean(dim=0)
        return bits


class MislabelledControl(Toy):
    role = "control"


class FloatLikelihood(Toy):
    def bits_per_dim(self, data, ctx):
        return super().bits_per_dim(data, ctx).float()


class BatchLikelihood(Toy):
    def bits_per_dim(self, data, ctx):
        bits = super().bits_per_dim(data, ctx)
        return bits - bits.mean()


# Each of these breaks the rule that it stands under, and no other.
BROKEN = {
    "declares itself well": [BadName, Undocumented],
    "is made from its defaults": [DrawsWhenMade],
    "declares a role that it may have": [BadRole, PeeksAtVal],
    "fits": [Crashes, ReturnsText, NeverEnds],
    "takes images of 1x8x8": [NoGray],
    "takes images of 3x8x8": [NoColour],
    "takes images of 3x12x12": [OneSizeOnly, IgnoresSize],
    "fits the images of one class": [NeedsEveryClass],
    "fits the same bits from the same seed": [GlobalInit],
    "goes on from a checkpoint to the same bits": [LosesMomentum, OwnNoise],
    "obeys budget.max_steps": [IgnoresBudget],
    "stops at the deadline": [IgnoresDeadline],
    "leaves its training images alone": [ChangesImages, SortsLabels],
    "leaves the global random state alone": [SeedsTorch, SeedsNumpy, DrawsFromRandom],
    "samples uint8 images, one a label": [FloatSamples, CastsUnitRange],
    "gives the same samples for the same seed": [GlobalNoise],
    "gives other samples for another seed": [IgnoresSeed],
    "makes sample i whatever is sampled beside it": [WholeBatch],
    "leaves itself as it is when sampling": [CountsCalls],
    "survives torch.save and torch.load(weights_only=True)": [KeepsObjects, ForgetsTheNetwork],
    "does with labels what it says": [SaysUnconditional, IgnoresLabels, MislabelledControl],
    "learns nothing from images that it scores": [KeepsTestImages],
    "gives one likelihood an image": [FloatLikelihood, BatchLikelihood],
}
# These break several.
ALSO_BROKEN = {
    NoDefault: "declares itself well",
    NeedsArguments: "is made from its defaults",
    SavesInVain: "goes on from a checkpoint to the same bits",
    ReportsTooMuch: "obeys budget.max_steps",
    TooMany: "samples uint8 images, one a label",
    TrainMode: "makes sample i whatever is sampled beside it",
    LearnsFromTestImages: "learns nothing from images that it scores",
}


def test_every_rule_has_a_generator_that_breaks_it():
    """That about registration is tried on files, below."""
    assert BROKEN.keys() | {"is registered without heavy work"} == {rule.name for rule in rules_of(Toy)}


def broken(cls):
    """The findings on a class that may do anything to the global state of the tests to come."""
    with global_seed(0):
        return [finding for finding in conformance(cls) if finding.status == "failed"]


@pytest.mark.parametrize(("rule", "cls"), [(rule, cls) for rule, classes in BROKEN.items() for cls in classes])
def test_a_broken_generator_is_found_out_by_that_rule_alone(rule, cls):
    (finding,) = broken(cls)
    assert finding.rule == rule
    assert finding.seen and finding.remedy
    assert str(finding) == f"failed: {rule}: {finding.seen}. To mend it: {finding.remedy}"


@pytest.mark.parametrize(("cls", "rule"), ALSO_BROKEN.items())
def test_a_generator_that_breaks_several_rules_is_found_out(cls, rule):
    assert rule in {finding.rule for finding in broken(cls)}


HOOK = """
import torch
import benchbench as bb
from benchbench_plugins.noise import Noise

{work}


class Heavy(Noise):
    name = "heavy"


@bb.hookimpl
def benchbench_generators():
    return [Heavy]
"""


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ("torch.manual_seed(0)", "importing it changed the global random state of torch"),
        ("torch.set_default_dtype(torch.float64)", "importing it changed torch's default dtype"),
        ("import pandas", r"importing it took \d\.\d s of processor time; it imports .*pandas"),
        ("import sys\nif 'pytest' not in sys.modules:\n    1 / 0", "importing it alone: ZeroDivisionError"),
        ("import os, sys\nif 'pytest' not in sys.modules:\n    os._exit(3)", "importing it alone: the process died"),
    ],
)
def test_work_at_import_is_found_out(tmp_path, monkeypatch, work, words):
    monkeypatch.setattr(common, "IMPORT_SECONDS", 0.1)
    file = tmp_path / "heavy.py"
    file.write_text(HOOK.format(work=work))
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    with global_seed(0):
        registry = load_registry([str(file)])
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    assert registry.broken == []
    found = {finding.rule: finding for finding in conformance(registry.get("generators", "heavy").cls)}
    finding = found["is registered without heavy work"]
    assert finding.status == "failed" and finding.remedy
    assert re.search(words, finding.seen)
    assert len(failures(found.values())) == 1


@pytest.mark.parametrize(
    ("cls", "rule", "words"),
    [
        (Crashes, "fits", "RuntimeError: boom"),
        (FloatSamples, "samples uint8 images, one a label", "dtype torch.float32, expected torch.uint8"),
        (IgnoresBudget, "obeys budget.max_steps", "took 20 optimizer steps with max_steps=1 and 20 with"),
        (NeverEnds, "fits", "still training after 768 optimizer steps with budget.max_steps=12"),
        (SeedsNumpy, "leaves the global random state alone", "sample changed the global state of numpy"),
        (SortsLabels, "leaves its training images alone", "labels were changed"),
        (SavesInVain, "goes on from a checkpoint to the same bits", "saved a checkpoint and never loaded it"),
    ],
)
def test_findings_say_what_was_seen(cls, rule, words):
    with global_seed(0):
        found = {finding.rule: finding.seen for finding in conformance(cls) if finding.status == "failed"}
    assert words in found[rule]


def test_what_cannot_be_tried_is_skipped_with_the_reason():
    found = {finding.rule: finding for finding in conformance(Crashes)}
    assert found["gives the same samples for the same seed"].status == "skipped"
    assert "does not fit" in found["gives the same samples for the same seed"].seen


def test_a_generator_may_decline_data():
    class ColourOnly(Toy):
        def fit(self, train, ctx):
            if train.shape[0] == 1:
                raise bb.UnsupportedDataError("colour images only")
            return super().fit(train, ctx)

    findings = {finding.rule: finding for finding in conformance(ColourOnly)}
    assert not failures(findings.values())
    assert findings["takes images of 1x8x8"].status == "skipped"
    assert findings["takes images of 1x8x8"].seen == "declined: colour images only"
    assert findings["takes images of 3x12x12"].status == "passed"

    class Never(Toy):
        def fit(self, train, ctx):
            raise bb.UnsupportedDataError("no")

    assert {finding.status for finding in conformance(Never)[4:]} == {"skipped"}


def test_the_suite_leaves_the_global_random_state_alone():
    before = global_random_state()
    conformance(Toy)
    assert same(before, global_random_state())


def test_a_config_is_used():
    findings = conformance(Toy, Toy.Config(steps=1))
    assert not failures(findings)
    assert GeneratorTrial(Toy, Toy.Config(steps=1)).run.optimizer_steps == 1


# --- as tests of pytest -----------------------------------------------------------------------------------

SUITE_FILE = """
from benchbench.testing import suite
from test_conformance import IgnoresSeed, Toy

test_toy = suite(Toy, Toy.Config(steps=3))
test_broken = suite(IgnoresSeed)
"""


def test_a_suite_is_one_test_a_rule(tmp_path):
    (tmp_path / "test_mine.py").write_text(SUITE_FILE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "COLUMNS": "300"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    count = len(rules_of(Toy))
    assert f"1 failed, {2 * count - 6} passed, 5 skipped" in done.stdout
    assert "PASSED test_mine.py::test_toy[fits-the-same-bits-from-the-same-seed]" in done.stdout
    remedy = "To mend it: derive all sampling noise from ctx.seed"
    line = f"Failed: gives other samples for another seed: seeds 1 and 2 gave the same samples. {remedy}"
    assert f"FAILED test_mine.py::test_broken[gives-other-samples-for-another-seed] - {line}" in done.stdout
    assert "Traceback" not in done.stdout and "site-packages" not in done.stdout


def test_what_is_no_plugin_has_no_suite():
    with pytest.raises(PluginError, match="got int, expected a class derived from one of Generator"):
        suite(int)


# --- mock images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 12, 9)])
def test_mock_images_tell_their_classes(channels, height, width):
    data = mock_images(channels, height, width, classes=4, per_class=20)
    assert data.shape == (channels, height, width) and data.class_counts.tolist() == [20] * 4
    other = mock_images(channels, height, width, classes=4, per_class=20, seed=1)
    assert not same(data.images, other.images)
    means = torch.stack([data.of_class(k).images.flatten(1).float().mean(0) for k in range(4)])
    nearest = torch.cdist(other.images.flatten(1).float(), means).argmin(dim=1)
    assert (nearest == other.labels).float().mean() > 0.9
    assert data.fingerprint == mock_images(channels, height, width, classes=4, per_class=20).fingerprint
