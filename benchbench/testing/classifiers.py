"""A classifier under trial, and the rules for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from benchbench.errors import UnsupportedDataError
from benchbench.seeding import torch_generator
from benchbench.testing.mock import mock_images
from benchbench.testing.observing import (
    UNUSUAL_SEED,
    NotApplicableError,
    counted_optimizer_steps,
    global_seed,
    same,
)
from benchbench.testing.rule import expect, expect_untouched, through_disk
from benchbench.testing.rule import rule as rule_of
from benchbench.testing.trial import CPU, Trial
from benchbench.types import Classifier, FitContext, LabelledImages, Predictor

rule = partial(rule_of, Classifier)

# (channels, height, width); the first that is not declined is used.
FORMS = ((1, 8, 8), (3, 16, 16), (3, 32, 32))
STEPS = 2
# Largest difference of two probabilities that are called the same, where batches of other sizes are multiplied.
CLOSE = 1e-4


@dataclass(frozen=True)
class Run:
    """One training and what was seen of it.

    Attributes:
        data: What it was trained on, as ``train`` left it.
        predictor: What it returned.
        optimizer_steps: Steps of any torch optimizer.
        global_changed: Whose global random state it changed.
    """

    data: LabelledImages
    predictor: Predictor
    optimizer_steps: int
    global_changed: list[str]


class ClassifierTrial(Trial[Classifier]):
    """Trains a classifier for a few steps; what takes long is done once."""

    def train(
        self,
        data: LabelledImages,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        seed_of_others: int = UNUSUAL_SEED,
    ) -> Run:
        """``STEPS`` steps, always from the same seed."""
        ctx = FitContext(seed=0, device=CPU, generator=torch_generator(0, "train"), augment=augment)
        with global_seed(seed_of_others) as changed, counted_optimizer_steps(STEPS) as count:
            predictor = self.make().train(data, STEPS, ctx)
            return Run(data, predictor, count(), changed())

    @cached_property
    def run(self) -> Run:
        """The first training that is not declined.

        Raises:
            NotApplicableError: If all are.
        """
        refusals = []
        for form in FORMS:
            try:
                return self.train(mock_images(*form))
            except UnsupportedDataError as refusal:
                refusals.append(str(refusal))
        raise NotApplicableError("every image form was declined: " + "; ".join(refusals))

    @cached_property
    def again(self) -> tuple[Run, int]:
        """The same training once more, with an augmentation that changes nothing, and how often that was called."""
        calls = 0

        def augment(images: Tensor, generator: torch.Generator) -> Tensor:
            nonlocal calls
            calls += 1
            return images

        run = self.train(self.data, augment, seed_of_others=2)
        return run, calls

    @property
    def data(self) -> LabelledImages:
        """A pristine copy of the data of the first training."""
        return mock_images(*self.run.data.shape)


@rule("trains", "see the exception; decline images that cannot be taken with bb.UnsupportedDataError")
def trains(trial: ClassifierTrial) -> str:
    """A few steps."""
    run = trial.run
    return f"{len(run.data)} images of {run.data.shape}, {run.optimizer_steps} optimizer steps"


@rule(
    "takes exactly the steps that it is asked for",
    "train with bb.fit_loop(..., steps=steps): arms compare at the same number of optimizer steps",
)
def exact_steps(trial: ClassifierTrial) -> str:
    """By the steps of torch's optimizers."""
    taken = trial.run.optimizer_steps
    if taken == 0:
        raise NotApplicableError("it takes no torch optimizer steps")
    expect(taken == STEPS, f"took {taken} optimizer steps where {STEPS} were asked for")
    return f"{taken} of {STEPS}"


@rule("gives class probabilities", "return float32 (N, K) on the CPU, rows summing to 1: logits.softmax(dim=1).cpu()")
def probabilities(trial: ClassifierTrial) -> str:
    """Shape, dtype, place and sum."""
    out = trial.run.predictor.predict(trial.data.images)
    form, expected = (tuple(out.shape), out.dtype), ((len(trial.data), len(trial.data.classes)), torch.float32)
    expect(form == expected, f"predict gave {form}, expected {expected}")
    expect(out.device == CPU, f"predictions are on {out.device}")
    expect(bool((out >= 0).all()), "some probabilities are negative or NaN")
    off = float((out.sum(dim=1) - 1).abs().max())
    expect(off < CLOSE, f"the probabilities of an image sum to 1 with an error of {off:.2g}")
    return f"{expected[0]} {out.dtype}"


@rule("predicts an image whatever stands beside it", "predict in evaluation mode")
def beside(trial: ClassifierTrial) -> str:
    """The first 5 alone, and among all."""
    predict, images = trial.run.predictor.predict, trial.data.images
    apart = float((predict(images)[:5] - predict(images[:5])).abs().max())
    expect(apart < CLOSE, f"the first 5 images alone have probabilities that differ by {apart:.2g}")
    return "the same"


@rule(
    "trains the same bits from the same seed",
    "draw the initial weights from bb.torch_generator(ctx.seed, ...) and all other noise from ctx.generator",
)
def retrain(trial: ClassifierTrial) -> str:
    """Whatever the global generators' state; the second time with an augmentation that changes nothing."""
    images, (again, _) = trial.data.images, trial.again
    expect(same(trial.run.predictor.predict(images), again.predictor.predict(images)), "trained twice, it differs")
    return "identical"


@rule(
    "survives torch.save and torch.load(weights_only=True)",
    "put all that restore needs into the predictor's state_dict, as tensors, numbers, strings, lists and dicts",
)
def round_trip(trial: ClassifierTrial) -> str:
    """A fresh object restores a predictor that predicts the same."""
    predictor, images = trial.run.predictor, trial.data.images
    restored = trial.make().restore(through_disk(predictor.state_dict()), CPU)
    expect(same(predictor.predict(images), restored.predict(images)), "the restored one predicts otherwise")
    return "identical"


@rule("augments every batch", "train with bb.fit_loop, or call ctx.augment(images, generator) on every batch")
def augments(trial: ClassifierTrial) -> str:
    """``ctx.augment`` is called at every step."""
    _, calls = trial.again
    expect(calls >= STEPS, f"called ctx.augment {calls} times in {STEPS} steps")
    return f"{calls} times in {STEPS} steps"


@rule("leaves its training images alone", "clone before changing in place; bb.to_float makes a copy")
def training_data(trial: ClassifierTrial) -> str:
    """Pixels and labels are the same after ``train``."""
    expect_untouched(trial.run.data, trial.data)
    return "unchanged"


@rule(
    "leaves the global random state alone",
    "use torch.Generator objects only; make networks under torch.random.fork_rng(devices=[])",
)
def global_state(trial: ClassifierTrial) -> str:
    """Of torch, numpy and Python, when it trains, predicts and restores."""
    changed = trial.run.global_changed
    expect(not changed, f"train changed the global state of {', '.join(changed)}")
    predictor, fresh = trial.run.predictor, trial.make()
    with global_seed(UNUSUAL_SEED) as now:
        predictor.predict(trial.data.images)
        expect(not now(), f"predict changed the global state of {', '.join(now())}")
        fresh.restore(predictor.state_dict(), CPU)
        expect(not now(), f"restore changed the global state of {', '.join(now())}")
    return "unchanged"
