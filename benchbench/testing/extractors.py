"""A feature extractor under trial, and the rules for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch

from benchbench.errors import DataMissingError, UnsupportedDataError
from benchbench.seeding import torch_generator
from benchbench.testing.mock import mock_images
from benchbench.testing.observing import UNUSUAL_SEED, NotApplicableError, global_seed, same
from benchbench.testing.rule import expect, expect_untouched, through_disk
from benchbench.testing.rule import rule as rule_of
from benchbench.testing.trial import CPU, Trial
from benchbench.types import Budget, FeatureExtractor, FitContext, LabelledImages
from benchbench.types.comparison import Features
from benchbench.types.plugins import ProbabilityModel

rule = partial(rule_of, FeatureExtractor)

FORM = (3, 16, 16)
STEPS = 12
# Largest difference of features that are called the same, in units of their spread.
CLOSE = 1e-3


@dataclass(frozen=True)
class Run:
    """One fit and what was seen of it.

    Attributes:
        data: What it was fitted on, as ``fit`` left it.
        extractor: The fitted one.
        global_changed: Whose global random state it changed.
    """

    data: LabelledImages
    extractor: FeatureExtractor
    global_changed: list[str]


class ExtractorTrial(Trial[FeatureExtractor]):
    """Fits an extractor on tiny images; what takes long is done once."""

    def fit(self, seed_of_others: int = UNUSUAL_SEED) -> Run:
        """Fit a fresh object, always with the same seed.

        Raises:
            NotApplicableError: If it declines, or its weights are not on this machine.
        """
        data, extractor = mock_images(*FORM), self.make()
        ctx = FitContext(seed=0, device=CPU, generator=torch_generator(0, "fit"), budget=Budget(max_steps=STEPS))
        try:
            with global_seed(seed_of_others) as changed:
                extractor.check()
                extractor.fit(data, ctx)
                return Run(data, extractor, changed())
        except (DataMissingError, UnsupportedDataError) as refusal:
            raise NotApplicableError(f"declined: {refusal}") from refusal

    @cached_property
    def run(self) -> Run:
        """The first fit."""
        return self.fit()

    @cached_property
    def images(self) -> torch.Tensor:
        """Others than it was fitted on."""
        return mock_images(*FORM, seed=1).images

    @cached_property
    def features(self) -> Features:
        """Of ``images``."""
        return self.run.extractor.extract(self.images, CPU)

    def apart(self, one: Features, two: Features) -> float:
        """The largest difference, in units of the features' spread."""
        return float(np.abs(one - two).max() / max(float(self.features.std()), 1e-12))


@rule("gives one vector an image", "return a numpy array float32 (N, d), finite, from extract")
def vectors(trial: ExtractorTrial) -> str:
    """Form and finiteness, and that images differ."""
    features, count = trial.features, len(trial.images)
    expect(isinstance(features, np.ndarray), f"extract returned a {type(features).__name__}")
    good = features.ndim == 2 and len(features) == count and features.dtype == np.float32
    expect(good, f"extract gave {features.dtype} {features.shape}, expected float32 ({count}, d)")
    expect(bool(np.isfinite(features).all()), "extract gave NaN or infinite values")
    expect(bool((features != features[:1]).any()), "all images have the same features")
    return f"float32 {features.shape}"


@rule("extracts an image whatever stands beside it", "extract in evaluation mode")
def beside(trial: ExtractorTrial) -> str:
    """The first 5 alone, and among all."""
    few = trial.run.extractor.extract(trial.images[:5], CPU)
    apart = trial.apart(trial.features[:5], few)
    expect(apart < CLOSE, f"the first 5 images alone have features that differ by {apart:.2g} of their spread")
    return "the same"


@rule("fits the same bits from the same seed", "draw from ctx.generator or bb.torch_generator(ctx.seed, ...)")
def refit(trial: ExtractorTrial) -> str:
    """Whatever the global generators' state."""
    again = trial.fit(seed_of_others=2).extractor.extract(trial.images, CPU)
    expect(same(trial.features, again), "fitted twice, it differs")
    return "identical"


@rule(
    "survives torch.save and torch.load(weights_only=True)",
    "put all that extract needs into state_dict, as tensors, numbers, strings, lists and dicts",
)
def round_trip(trial: ExtractorTrial) -> str:
    """A fresh object with the loaded state extracts the same."""
    restored = trial.make()
    restored.load_state_dict(through_disk(trial.run.extractor.state_dict()))
    expect(same(trial.features, restored.extract(trial.images, CPU)), "the restored one extracts otherwise")
    return "identical"


@rule("gives probabilities of its features", "return float32 (N, K), rows summing to 1, from what extract gave")
def probabilities(trial: ExtractorTrial) -> str:
    """If it has a classifier on top."""
    extractor = trial.run.extractor
    if not isinstance(extractor, ProbabilityModel):
        raise NotApplicableError("it has no probabilities")
    out = extractor.probabilities(trial.features)
    good = out.ndim == 2 and len(out) == len(trial.features) and out.dtype == np.float32
    expect(good, f"probabilities gave {out.dtype} {out.shape}, expected float32 ({len(trial.features)}, K)")
    off = float(np.abs(out.sum(axis=1) - 1).max())
    expect(bool((out >= 0).all()) and off < 1e-4, f"a row is negative, or sums to 1 with an error of {off:.2g}")
    return f"float32 {out.shape}"


@rule("leaves its training images alone", "clone before changing in place; bb.to_float makes a copy")
def training_data(trial: ExtractorTrial) -> str:
    """Pixels and labels are the same after ``fit``."""
    expect_untouched(trial.run.data, mock_images(*FORM))
    return "unchanged"


@rule(
    "leaves the global random state alone",
    "use torch.Generator objects only; make networks under torch.random.fork_rng(devices=[])",
)
def global_state(trial: ExtractorTrial) -> str:
    """Of torch, numpy and Python, when it is fitted and when it extracts."""
    changed = trial.run.global_changed
    expect(not changed, f"fit changed the global state of {', '.join(changed)}")
    with global_seed(UNUSUAL_SEED) as now:
        trial.run.extractor.extract(trial.images, CPU)
        expect(not now(), f"extract changed the global state of {', '.join(now())}")
    return "unchanged"
