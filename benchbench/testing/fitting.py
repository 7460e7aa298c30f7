"""Rules about what a generator is and how it fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from benchbench.errors import UnsupportedDataError
from benchbench.testing.generators import FEW_STEPS, FORMS, Form, GeneratorTrial
from benchbench.testing.observing import UNUSUAL_SEED, NotApplicableError, global_seed, same
from benchbench.testing.rule import expect, expect_equal, expect_untouched
from benchbench.testing.rule import rule as rule_of
from benchbench.types import Generator

rule = partial(rule_of, Generator)


@rule(
    "declares a role that it may have",
    "set role to 'generator' or 'control'; only a control may set fit_split = 'val' or expected",
)
def role(trial: GeneratorTrial) -> str:
    """Role and split are as the contract wants them."""
    cls = trial.cls
    expect(cls.role in ("generator", "control"), f"role is {cls.role!r}")
    control = cls.role == "control"
    expect(cls.fit_split in (("train", "val") if control else ("train",)), f"fit_split is {cls.fit_split!r}")
    expected = (None, "best", "worst", "copied") if control else (None,)
    expect(cls.expected in expected, f"expected is {cls.expected!r}, of a {cls.role}")
    return f"a {cls.role} that is fitted on {cls.fit_split}"


@rule("fits", "see the exception; decline data that cannot be modelled with bb.UnsupportedDataError")
def fits(trial: GeneratorTrial) -> str:
    """A few steps on the first form that it fits; facts are named numbers."""
    error = trial.first_fit_error()
    if error is not None:
        raise error
    data, run = trial.data, trial.run
    facts = run.facts
    good = facts is None or (
        isinstance(facts, Mapping) and all(isinstance(k, str) and isinstance(v, int | float) for k, v in facts.items())
    )
    expect(good, f"fit returned {facts!r}, expected None or a dict of numbers by name")
    expect(isinstance(run.generator.conditional, bool), f"conditional is {run.generator.conditional!r}")
    return f"{len(data)} images of {data.shape}, {run.optimizer_steps} optimizer steps, facts {sorted(facts or ())}"


def _takes(form: Form) -> None:
    """The rule for one image form."""
    label = "x".join(map(str, form))

    @rule(
        f"takes images of {label}",
        "build networks from train.shape (bb.size_ladder, bb.Upsampler and bb.Downsampler take any size), or raise "
        "bb.UnsupportedDataError in fit",
    )
    def takes(trial: GeneratorTrial) -> str:
        try:
            generator = trial.fit_form(form)
        except UnsupportedDataError as refusal:
            raise NotApplicableError(f"declined: {refusal}") from refusal
        shape = tuple(trial.sample(generator, trial.labels[:5]).shape)
        expect(shape[1:] == form, f"samples have shape {shape}, expected {(5, *form)}")
        return f"fitted and sampled {label}"


for _form in FORMS:
    _takes(_form)


@rule(
    "fits the images of one class",
    "do not expect every class of train.classes in train.labels: an unconditional generator may be fitted once a class",
)
def fits_one_class(trial: GeneratorTrial) -> str:
    """As in the per-class protocol, which is for unconditional generators."""
    if trial.run.generator.conditional:
        raise NotApplicableError("it is conditional, and fitted on all classes at once")
    data = trial.data.of_class(1)
    images = trial.sample(trial.fit(data, max_steps=FEW_STEPS).generator, torch.ones(5, dtype=torch.int64))
    return f"fitted {len(data)} images of class 1, sampled {len(images)}"


@rule(
    "fits the same bits from the same seed",
    "draw initial weights from bb.torch_generator(ctx.seed, ...) (bb.init_weights does) and all other noise from "
    "ctx.generator",
)
def refit(trial: GeneratorTrial) -> str:
    """Whatever the global generators' state."""
    one, two = trial.sample(trial.run.generator), trial.sample(trial.again.generator)
    if not same(one, two):  # which may be the checkpoint's fault, and another rule's matter
        two = trial.sample(trial.fit(trial.data, seed_of_others=2).generator)
    expect_equal(one, two, "fitted twice with one seed")
    return "identical"


@rule(
    "goes on from a checkpoint to the same bits",
    "use bb.fit_loop, whose checkpoints hold the random state; put everything the next step depends on into the "
    "TrainStep's state_dict: networks, optimizers, averages, counters",
)
def resume(trial: GeneratorTrial) -> str:
    """Half the steps, then the rest in a fresh object, are all the steps."""
    whole, checkpoint = trial.again, trial.checkpoint
    if checkpoint.saved is None:
        raise NotApplicableError("it never saved a checkpoint")
    checkpoint.loads = 0
    resumed = trial.fit(trial.data, checkpoint=checkpoint, seed_of_others=2)
    expect(checkpoint.loads > 0, "it saved a checkpoint and never loaded it")
    images = trial.sample(whole.generator)
    expect_equal(images, trial.sample(resumed.generator), "uninterrupted and resumed")
    if not same(images, trial.sample(trial.run.generator)):  # which may be the global generators' fault
        bare = trial.fit(trial.data, seed_of_others=2)
        expect_equal(trial.sample(bare.generator), images, "without and with checkpoints")
    return f"identical, resumed with {resumed.optimizer_steps} of {whole.optimizer_steps} optimizer steps to go"


@rule("obeys budget.max_steps", "train with bb.fit_loop, or take ctx.budget.steps(config.steps) steps")
def max_steps(trial: GeneratorTrial) -> str:
    """By its progress reports, and by the steps of its optimizers."""
    one, three = trial.one_step, trial.fit(trial.data, max_steps=3)
    beyond = max((step for step, _ in three.logged), default=0)
    expect(beyond <= 3, f"reported step {beyond} with budget.max_steps=3")
    if three.optimizer_steps == 0:
        if not three.logged:
            raise NotApplicableError("it takes no torch optimizer steps and reports none")
        return f"reported {beyond} steps with max_steps=3"
    per_step = one.optimizer_steps
    alike = three.optimizer_steps == per_step > 1 and getattr(trial.config, "steps", None) != 1
    expect(
        three.optimizer_steps <= 3 * per_step and not alike,
        f"took {per_step} optimizer steps with max_steps=1 and {three.optimizer_steps} with max_steps=3",
    )
    return f"{per_step} optimizer steps with max_steps=1, {three.optimizer_steps} with max_steps=3"


@rule("stops at the deadline", "train with bb.fit_loop, or compare time.monotonic() with ctx.deadline at every step")
def deadline(trial: GeneratorTrial) -> str:
    """With the deadline past, it takes no more than one step, and can still sample."""
    one = trial.one_step
    if one.optimizer_steps == 0:
        raise NotApplicableError("it takes no torch optimizer steps")
    late = trial.fit(trial.data, deadline=time.monotonic() - 1.0)
    expect(
        late.optimizer_steps <= one.optimizer_steps,
        f"took {late.optimizer_steps} optimizer steps after the deadline, where a step takes {one.optimizer_steps}",
    )
    expect(len(trial.sample(late.generator)) == len(trial.labels), "cannot sample after an early stop")
    return f"{late.optimizer_steps} optimizer steps after the deadline"


@rule("leaves its training images alone", "clone before changing in place; bb.to_float makes a copy")
def training_data(trial: GeneratorTrial) -> str:
    """Pixels and labels are the same after ``fit`` and ``sample``."""
    trial.sample(trial.run.generator)
    expect_untouched(trial.run.data, trial.data)
    return "unchanged"


@rule(
    "leaves the global random state alone",
    "use torch.Generator objects only; make networks under torch.random.fork_rng(devices=[]) and draw their weights "
    "with bb.init_weights; no numpy.random or random functions without a generator of their own",
)
def global_state(trial: GeneratorTrial) -> str:
    """Of torch, numpy and Python, when it is fitted, sampled and restored."""
    changed = trial.run.global_changed
    expect(not changed, f"fit changed the global state of {', '.join(changed)}")
    generator, fresh = trial.run.generator, trial.make()
    acts: dict[str, Callable[[], Any]] = {
        "sample": lambda: trial.sample(generator),
        "load_state_dict": lambda: fresh.load_state_dict(generator.state_dict()),
    }
    for name, act in acts.items():
        with global_seed(UNUSUAL_SEED) as changed_by:
            act()
            expect(not changed_by(), f"{name} changed the global state of {', '.join(changed_by())}")
    return "unchanged"
