"""A metric under trial, on made-up features, and the rules for it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

from benchbench.testing.observing import UNUSUAL_SEED, NotApplicableError, global_seed, same
from benchbench.testing.rule import expect
from benchbench.testing.rule import rule as rule_of
from benchbench.testing.trial import Trial
from benchbench.types import FeatureSets, Metric

rule = partial(rule_of, Metric)

IMAGES, DIMENSIONS, CLASSES = 240, 6, 3
Values = Mapping[str, float | Sequence[float]]


class MetricTrial(Trial[Metric]):
    """Computes a metric of features that need no image."""

    def sets(self, noise: bool = False) -> FeatureSets:
        """Real features and others of the same distribution, or noise that is far from it; always the same ones."""
        rng = np.random.default_rng(0)
        labels = np.arange(IMAGES) % CLASSES
        centres = 3 * rng.normal(size=(CLASSES, DIMENSIONS))

        def draw() -> Any:
            return (centres[labels] + rng.normal(size=(IMAGES, DIMENSIONS))).astype(np.float32)

        real, synthetic, train, more = draw(), draw(), draw(), draw()
        if noise:
            synthetic = (20 + 5 * rng.normal(size=synthetic.shape)).astype(np.float32)
        likely = np.exp(-np.square(synthetic[:, None] - centres).sum(axis=2, dtype=np.float64) / 20) + 1e-6
        needs = self.cls.needs
        further: dict[str, Any] = {}
        if "train" in needs:
            further |= {"train": train, "train_labels": labels.copy()}
        if "drawn" in needs:
            both = synthetic if noise else np.concatenate([more, synthetic])
            further |= {"drawn": both, "drawn_labels": np.resize(labels, len(both))}
        if "probabilities" in needs:
            further["probabilities"] = (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)
        return FeatureSets(real, synthetic, labels.copy(), labels.copy(), CLASSES, **further)

    def compute(self, sets: FeatureSets) -> Values:
        """By a fresh object, from the same random numbers every time."""
        return self.make().compute(sets, np.random.default_rng(1))


@rule(
    "declares its outputs",
    "give every bb.Output a key (lower-case letters, digits and _) and a label, and a distance a direction and one "
    "number for all classes",
)
def declares_outputs(trial: MetricTrial) -> str:
    """Keys, labels, and what a distance must be."""
    for output in trial.cls.outputs:
        expect(re.fullmatch(r"[a-z][a-z0-9_]*", output.key) is not None, f"an output's key is {output.key!r}")
        expect(bool(output.label.strip()), f"the label of {output.key} is {output.label!r}")
        if output.distance:
            expect(output.higher_is_better is not None, f"{output.key} is a distance and has no direction")
            expect(not output.per_class, f"{output.key} is a distance and has one number a class")
    return ", ".join(output.key for output in trial.cls.outputs)


@rule(
    "gives one finite number for each output",
    "return {key: number}, and a sequence of one number a class where the output has per_class; what it needs besides "
    "the two sets stands in needs",
)
def finite(trial: MetricTrial) -> str:
    """One number a key, finite."""
    values, outputs = trial.compute(trial.sets()), trial.cls.outputs
    expect(isinstance(values, Mapping), f"compute returned a {type(values).__name__}")
    expected = sorted(output.key for output in outputs)
    expect(sorted(values) == expected, f"compute gave {sorted(values)}, expected {expected}")
    for output in outputs:
        numbers: Any = values[output.key] if output.per_class else [values[output.key]]
        count = CLASSES if output.per_class else 1
        good = len(numbers) == count and all(math.isfinite(number) for number in numbers)
        expect(good, f"{output.key} is {values[output.key]!r}, expected {count} finite numbers")
    return ", ".join(f"{output.key} {values[output.key]:.3g}" for output in outputs if not output.per_class)


@rule("gives the same numbers for the same features", "draw from rng only, and keep nothing between calls")
def repeats(trial: MetricTrial) -> str:
    """Whatever the global generators' state."""
    with global_seed(1):
        one = trial.compute(trial.sets())
    with global_seed(2):
        two = trial.compute(trial.sets())
    different = [key for key in one if not same(_plain(one[key]), _plain(two.get(key)))]
    expect(not different, f"computed twice, {', '.join(different)} came out different")
    return "identical"


@rule("leaves its features alone", "copy before changing in place; astype(np.float64) makes a copy")
def features_alone(trial: MetricTrial) -> str:
    """All arrays are the same afterwards."""
    given, pristine = trial.sets(), trial.sets()
    trial.compute(given)
    names = [field.name for field in fields(FeatureSets)]
    changed = [name for name in names if not same(getattr(given, name), getattr(pristine, name))]
    expect(not changed, f"compute changed {', '.join(changed)}")
    return "unchanged"


@rule("leaves the global random state alone", "draw from rng, and hand it on as random_state or seed")
def global_state(trial: MetricTrial) -> str:
    """Of torch, numpy and Python."""
    with global_seed(UNUSUAL_SEED) as changed:
        trial.compute(trial.sets())
        expect(not changed(), f"compute changed the global state of {', '.join(changed())}")
    return "unchanged"


@rule(
    "puts held-out real images before noise",
    "see that higher_is_better is the right way round; where the number does not tell real images from noise, "
    "distance = False",
)
def orders(trial: MetricTrial) -> str:
    """By every output that is called a distance: the board's controls are judged by it."""
    distances = [output for output in trial.cls.outputs if output.distance]
    if not distances:
        raise NotApplicableError("none of its outputs is called a distance")
    real, noise = trial.compute(trial.sets()), trial.compute(trial.sets(noise=True))
    for output in distances:
        good, bad = float(real[output.key]), float(noise[output.key])  # type: ignore[arg-type]
        right = good > bad if output.higher_is_better else good < bad
        expect(right, f"{output.key} of real images is {good:.3g} and of noise {bad:.3g}")
    return "by " + ", ".join(output.key for output in distances)


def _plain(value: Any) -> Any:
    """A number or a sequence of numbers as a list."""
    return np.atleast_1d(np.asarray(value, dtype=np.float64)).tolist()
