"""Rules about what a generator is and how it fits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import BaseModel

from benchbench.errors import UnsupportedDataError
from benchbench.testing.mock import MemoryCheckpoint, mock_images
from benchbench.testing.rule import expect, expect_equal, rule
from benchbench.testing.trial import (
    FORMS,
    STEPS,
    NotApplicableError,
    Trial,
    global_random_state,
    global_seed,
    same,
)

# A generator that seeds the global generators is seen only if they do not have its seed already.
UNUSUAL_SEED = 918273


@rule(
    "declares itself well",
    "set name (lower-case letters, digits and _), role ('generator' or 'control') and Config (a bb.Config whose "
    "every field has a default and a description); only a control may set fit_split = 'val'",
)
def declares(trial: Trial) -> str:
    """Name, role, split and config are as the contract wants them."""
    cls = trial.cls
    name = getattr(cls, "name", None)
    expect(isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None, f"name is {name!r}")
    expect(cls.role in ("generator", "control"), f"role is {cls.role!r}")
    allowed = ("train", "val") if cls.role == "control" else ("train",)
    expect(cls.fit_split in allowed, f"fit_split is {cls.fit_split!r} of a {cls.role}")
    config = cls.Config
    expect(isinstance(config, type) and issubclass(config, BaseModel), f"Config is {config!r}")
    settings = config.model_config
    expect(
        settings.get("frozen") is True and settings.get("extra") == "forbid",
        f"Config has frozen={settings.get('frozen')} and extra={settings.get('extra')!r}",
    )
    for key, value in config.model_fields.items():
        expect(not value.is_required(), f"Config.{key} has no default")
        expect(bool(value.description), f"Config.{key} has no description")
    return f"{name!r}, a {cls.role} with {len(config.model_fields)} config fields"


@rule("is made from its defaults", "keep __init__ to (self, config=None), and call super().__init__(config)")
def constructs(trial: Trial) -> str:
    """``G()``, ``G(G.Config())`` and the config under trial all work and seed nothing."""
    cls = trial.cls
    for made in (cls(), cls(cls.Config()), trial.make()):
        expect(isinstance(made.config, cls.Config), f"its config is a {type(made.config).__name__}")
    return "made"


@rule("fits", "see the exception; decline data that cannot be modelled with bb.UnsupportedDataError")
def fits(trial: Trial) -> str:
    """A few steps on the first form that is supported; facts are named numbers."""
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


def _takes(form: tuple[int, int, int]) -> None:
    """The rule for one image form."""
    label = "x".join(map(str, form))

    @rule(
        f"takes images of {label}",
        "build networks from train.shape (bb.size_ladder, bb.Upsampler and bb.Downsampler take any size), or raise "
        "bb.UnsupportedDataError in fit",
    )
    def takes(trial: Trial) -> str:
        data = mock_images(*form)
        try:
            generator = trial.fit(data).generator
        except UnsupportedDataError as refusal:
            raise NotApplicableError(f"declined: {refusal}") from refusal
        shape = tuple(trial.sample(generator, trial.labels[:5]).shape)
        expect(shape == (5, *form), f"5 samples have shape {shape}, expected {(5, *form)}")
        return f"fitted and sampled {label}"


for _form in FORMS:
    _takes(_form)


@rule(
    "fits the images of one class",
    "do not expect every class of train.classes in train.labels: an unconditional generator may be fitted once a class",
)
def fits_one_class(trial: Trial) -> str:
    """As in the per-class protocol, which is for unconditional generators."""
    if trial.run.generator.conditional:
        raise NotApplicableError("it is conditional, and fitted on all classes at once")
    data = trial.data.of_class(1)
    images = trial.sample(trial.fit(data).generator, torch.ones(5, dtype=torch.int64))
    expect(len(images) == 5, f"5 labels gave {len(images)} samples")
    return f"fitted {len(data)} images of class 1"


@rule(
    "fits the same bits from the same seed",
    "draw initial weights from bb.torch_generator(ctx.seed, ...) (bb.init_weights does) and all other noise from "
    "ctx.generator",
)
def refit(trial: Trial) -> str:
    """Whatever the global generators' state."""
    with global_seed(1):
        one = trial.fit(trial.data).generator
    with global_seed(2):
        two = trial.fit(trial.data).generator
    expect_equal(trial.sample(one), trial.sample(two), "fitted twice with one seed")
    return "identical"


@rule(
    "goes on from a checkpoint to the same bits",
    "use bb.fit_loop, whose checkpoints hold the random state; put everything the next step depends on into the "
    "TrainStep's state_dict: networks, optimizers, averages, counters",
)
def resume(trial: Trial) -> str:
    """Half the steps, then the rest in a fresh object, are all the steps."""
    checkpoint = MemoryCheckpoint(due_at=STEPS // 2)
    whole = trial.fit(trial.data, checkpoint=checkpoint)
    if checkpoint.saved is None:
        raise NotApplicableError("it never saved a checkpoint")
    expect_equal(trial.sample(trial.run.generator), trial.sample(whole.generator), "without and with checkpoints")
    checkpoint.loads = 0
    with global_seed(4):
        resumed = trial.fit(trial.data, checkpoint=checkpoint)
    expect(checkpoint.loads > 0, "it saved a checkpoint and never loaded it")
    expect_equal(trial.sample(whole.generator), trial.sample(resumed.generator), "uninterrupted and resumed")
    return f"identical, resumed with {resumed.optimizer_steps} of {whole.optimizer_steps} optimizer steps to go"


@rule("obeys budget.max_steps", "train with bb.fit_loop, or take ctx.budget.steps(config.steps) steps")
def max_steps(trial: Trial) -> str:
    """By its progress reports, and by the steps of its optimizers."""
    one, three = (trial.fit(trial.data, max_steps=count) for count in (1, 3))
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
def deadline(trial: Trial) -> str:
    """With the deadline past, it takes no more than one step, and can still sample."""
    one = trial.fit(trial.data, max_steps=1)
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
def training_data(trial: Trial) -> str:
    """Pixels and labels are the same after ``fit`` and ``sample``."""
    data = trial.data
    generator = trial.fit(data).generator
    trial.sample(generator)
    pristine = trial.data
    for name in ("images", "labels"):
        expect(same(getattr(data, name), getattr(pristine, name)), f"{name} were changed")
    return "unchanged"


@rule(
    "leaves the global random state alone",
    "use torch.Generator objects only; make networks under torch.random.fork_rng(devices=[]) and draw their weights "
    "with bb.init_weights; no numpy.random or random functions without a generator of their own",
)
def global_state(trial: Trial) -> str:
    """Of torch, numpy and Python, when it is made, fitted, sampled and restored."""
    data = trial.data
    stages: dict[str, Callable[[], Any]] = {
        "being made": trial.make,
        "fit": lambda: trial.fit(data),
        "sample": lambda: trial.sample(trial.run.generator),
        "load_state_dict": lambda: trial.make().load_state_dict(trial.run.generator.state_dict()),
    }
    for stage, act in stages.items():
        with global_seed(UNUSUAL_SEED):
            before = global_random_state()
            act()
            after = global_random_state()
        changed = [key for key in before if not same(before[key], after[key])]
        expect(not changed, f"{stage} changed the global state of {', '.join(changed)}")
    return "unchanged"
