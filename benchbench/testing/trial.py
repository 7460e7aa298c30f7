"""A generator under trial: fits and samples it on tiny data, watching what it does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchbench.errors import UnsupportedDataError
from benchbench.seeding import torch_generator
from benchbench.testing.mock import mock_images
from benchbench.types import Budget, Checkpoint, FitContext, Generator, LabelledImages, NoCheckpoint, SampleContext

CPU = torch.device("cpu")

# (channels, height, width); the first one supported is used throughout.
FORMS = ((1, 8, 8), (3, 8, 8), (1, 12, 12), (3, 12, 12))
STEPS = 12

# More than one of the sampling blocks, and no multiple of one.
SAMPLES = 150

# A generator may take several optimizer steps a step (a critic's, for one), but not without end.
OPTIMIZER_STEPS_A_STEP = 64


class BrokenRuleError(Exception):
    """The rule is broken; the message says what was seen."""


class NotApplicableError(Exception):
    """The rule cannot be tried; the message says why."""


class RanOnError(BrokenRuleError):
    """Training did not stop."""


@dataclass(frozen=True)
class Run:
    """One fit and what was seen of it.

    Attributes:
        generator: The fitted one.
        facts: What ``fit`` returned.
        optimizer_steps: Steps of any torch optimizer.
        logged: (step, total) of every progress report.
    """

    generator: Generator
    facts: Mapping[str, float] | None
    optimizer_steps: int
    logged: list[tuple[int, int]] = field(default_factory=list)


class Trial:
    """Makes, fits and samples objects of one class with one config.

    Args:
        generator_cls: The class.
        config: Its config; None is the default.
    """

    def __init__(self, generator_cls: type[Generator], config: Any = None) -> None:
        self.cls = generator_cls
        self.config = config
        self.labels = torch.arange(SAMPLES) % 3
        self._run: Run | None = None
        self._error: Exception | None = None

    def make(self) -> Generator:
        """A fresh object."""
        return self.cls() if self.config is None else self.cls(self.config)

    def fit(
        self,
        data: LabelledImages,
        *,
        max_steps: int = STEPS,
        deadline: float | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Run:
        """Fit a fresh object on ``data``, always with the same seed.

        Raises:
            RanOnError: If it takes optimizer steps without end.
        """
        logged: list[tuple[int, int]] = []
        ctx = FitContext(
            seed=0,
            device=CPU,
            generator=torch_generator(0, "fit"),
            budget=Budget(max_steps=max_steps),
            deadline=deadline,
            log=lambda phase, step, total, values: logged.append((step, total)),
            checkpoint=checkpoint or NoCheckpoint(),
        )
        generator = self.make()
        with _counted_optimizer_steps(max_steps * OPTIMIZER_STEPS_A_STEP, max_steps) as count:
            facts = generator.fit(data, ctx)
        return Run(generator, facts, count(), logged)

    def sample(self, generator: Generator, labels: Tensor | None = None, seed: int = 1) -> Tensor:
        """``SAMPLES`` images, or one for each of ``labels``."""
        return generator.sample(self.labels if labels is None else labels, SampleContext(seed=seed, device=CPU))

    @cached_property
    def form(self) -> tuple[int, int, int]:
        """The first of ``FORMS`` that is not declined; found by the first fit, which is kept as ``run``.

        Raises:
            NotApplicableError: If all are.
        """
        refusals = []
        for form in FORMS:
            try:
                self._run = self.fit(mock_images(*form))
            except UnsupportedDataError as refusal:
                refusals.append(str(refusal))
            except Exception as error:
                self._error = error
                return form
            else:
                return form
        raise NotApplicableError("every image form was declined: " + "; ".join(refusals))

    @property
    def data(self) -> LabelledImages:
        """A pristine copy of the data of the first fit."""
        return mock_images(*self.form)

    @property
    def run(self) -> Run:
        """The first fit.

        Raises:
            NotApplicableError: If it failed.
        """
        self.first_fit_error()
        if self._run is None:
            raise NotApplicableError("not tried, since the generator does not fit")
        return self._run

    def first_fit_error(self) -> Exception | None:
        """What the first fit raised, or None."""
        _ = self.form  # which fits
        return self._error


@contextmanager
def _counted_optimizer_steps(limit: int, max_steps: int) -> Iterator[Any]:
    """Yield a function that tells how many steps all torch optimizers took; end a fit that takes over ``limit``."""
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps > limit:
            raise RanOnError(f"still training after {limit} optimizer steps with budget.max_steps={max_steps}")

    handle = register_optimizer_step_post_hook(count)
    try:
        yield lambda: steps
    finally:
        handle.remove()


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python, and put them back afterwards."""
    before = global_random_state()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before["torch"])
        np.random.set_state(before["numpy"])
        random.setstate(before["random"])


def global_random_state() -> dict[str, Any]:
    """The states of the three global generators."""
    return {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "random": random.getstate()}


def same(a: Any, b: Any) -> bool:
    """Whether two nests of tensors, arrays, numbers, lists and dicts are equal, NaN being equal to itself."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return (
            a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a.cpu().numpy(), b.cpu().numpy(), _floats(a))
        )
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
    return bool(a == b or (a != a and b != b))


def _floats(tensor: Tensor) -> bool:
    return tensor.is_floating_point()
