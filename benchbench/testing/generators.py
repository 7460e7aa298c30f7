"""A generator under trial: fits and samples it on tiny data, watching what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchbench.errors import UnsupportedDataError
from benchbench.seeding import torch_generator
from benchbench.testing.mock import MemoryCheckpoint, mock_images
from benchbench.testing.observing import (
    UNUSUAL_SEED,
    NotApplicableError,
    RanOnError,
    counted_optimizer_steps,
    global_seed,
)
from benchbench.testing.trial import CPU, Trial
from benchbench.types import Budget, Checkpoint, FitContext, Generator, LabelledImages, NoCheckpoint, SampleContext

Form = tuple[int, int, int]

# (channels, height, width); the first one that it fits is used throughout.
FORMS: tuple[Form, ...] = ((1, 8, 8), (3, 8, 8), (3, 12, 12))
STEPS = 12
# Where it only matters whether it fits at all.
FEW_STEPS = 2

# More than one of the sampling blocks, and no multiple of one.
SAMPLES = 150


@dataclass(frozen=True)
class Run:
    """One fit and what was seen of it.

    Attributes:
        data: What it was fitted on, as ``fit`` left it.
        generator: The fitted one.
        facts: What ``fit`` returned.
        optimizer_steps: Steps of any torch optimizer.
        logged: (step, total) of every progress report.
        global_changed: Whose global random state it changed.
    """

    data: LabelledImages
    generator: Generator
    facts: Mapping[str, float] | None
    optimizer_steps: int
    logged: list[tuple[int, int]]
    global_changed: list[str]


class GeneratorTrial(Trial[Generator]):
    """Makes, fits and samples objects of one class with one config; what takes long is done once.

    Args:
        cls: The class.
        config: Its config; None is the default.
    """

    def __init__(self, cls: type[Generator], config: Any = None) -> None:
        super().__init__(cls, config)
        self.labels = torch.arange(SAMPLES) % 3
        self.errors: dict[Form, Exception] = {}

    def fit(
        self,
        data: LabelledImages,
        *,
        max_steps: int = STEPS,
        deadline: float | None = None,
        checkpoint: Checkpoint | None = None,
        seed_of_others: int = UNUSUAL_SEED,
    ) -> Run:
        """Fit a fresh object on ``data``, always with the same seed.

        Args:
            data: The training images.
            max_steps: Of the budget.
            deadline: As in the context.
            checkpoint: As in the context.
            seed_of_others: What the global generators are seeded with meanwhile.

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
        with global_seed(seed_of_others) as global_changed, counted_optimizer_steps(max_steps) as count:
            facts = generator.fit(data, ctx)
            touched = global_changed()
        return Run(data, generator, facts, count(), logged, touched)

    def sample(self, generator: Generator, labels: Tensor | None = None, seed: int = 1) -> Tensor:
        """``SAMPLES`` images, or one for each of ``labels``."""
        return generator.sample(self.labels if labels is None else labels, SampleContext(seed=seed, device=CPU))

    @cached_property
    def _first(self) -> tuple[Form, Run] | None:
        """The first form that it fits, and that fit; what it raised for others is kept in ``errors``."""
        for form in FORMS:
            try:
                return form, self.fit(mock_images(*form))
            except RanOnError as endless:
                self.errors[form] = endless
                return None
            except Exception as error:
                self.errors[form] = error
        return None

    def first_fit_error(self) -> Exception | None:
        """What it raised, where it fits no form at all; that it declines all of them is no error.

        Raises:
            NotApplicableError: If it declines all of them.
        """
        if self._first is not None:
            return None
        errors = [error for error in self.errors.values() if not isinstance(error, UnsupportedDataError)]
        if errors:
            return errors[0]
        raise NotApplicableError("every image form was declined: " + "; ".join(map(str, self.errors.values())))

    @property
    def form(self) -> Form:
        """The form that is used throughout.

        Raises:
            NotApplicableError: If it fits none.
        """
        if self._first is None:
            self.first_fit_error()
            raise NotApplicableError("not tried, since the generator does not fit")
        return self._first[0]

    @property
    def run(self) -> Run:
        """The first fit (see ``form`` for errors)."""
        _ = self.form
        assert self._first is not None
        return self._first[1]

    @cached_property
    def checkpoint(self) -> MemoryCheckpoint:
        """What ``again`` left half way."""
        return MemoryCheckpoint(due_at=STEPS // 2)

    @cached_property
    def again(self) -> Run:
        """The same fit with other global random states, and with a checkpoint."""
        return self.fit(self.data, checkpoint=self.checkpoint, seed_of_others=2)

    @cached_property
    def one_step(self) -> Run:
        """A fit with ``max_steps=1``."""
        return self.fit(self.data, max_steps=1)

    @property
    def data(self) -> LabelledImages:
        """A pristine copy of the data of the first fit (see ``form`` for errors)."""
        return mock_images(*self.form)

    def fit_form(self, form: Form) -> Generator:
        """Fitted on images of this form, if only for a few steps.

        Raises:
            Exception: Whatever ``fit`` raises.
        """
        _ = self.form
        if form in self.errors:
            raise self.errors[form]
        return self.run.generator if form == self.form else self.fit(mock_images(*form), max_steps=FEW_STEPS).generator
