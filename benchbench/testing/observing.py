"""Watching what code does to the world around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

# A generator may take several optimizer steps a step (a critic's, for one), but not without end.
OPTIMIZER_STEPS_A_STEP = 64
# Code that seeds the global generators is seen only if they do not have its seed already.
UNUSUAL_SEED = 918273


class BrokenRuleError(Exception):
    """The rule is broken; the message says what was seen."""


class NotApplicableError(Exception):
    """The rule cannot be tried; the message says why."""


class RanOnError(BrokenRuleError):
    """Training did not stop."""


@contextmanager
def counted_optimizer_steps(max_steps: int) -> Iterator[Callable[[], int]]:
    """Yield a function that tells how many steps all torch optimizers took.

    Raises:
        RanOnError: In the optimizer, when it takes many more than ``max_steps`` steps may need.
    """
    steps, limit = 0, max_steps * OPTIMIZER_STEPS_A_STEP

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
def global_seed(seed: int) -> Iterator[Callable[[], list[str]]]:
    """Seed the global generators of torch, numpy and Python, and put them back afterwards.

    Yields:
        A function that tells whose state is no longer that of the seed: none, ``torch``, ``numpy``, ``random``.
    """
    before = global_random_state()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    seeded = global_random_state()

    def changed() -> list[str]:
        now = global_random_state()
        return [name for name in seeded if not same(seeded[name], now[name])]

    try:
        yield changed
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
        nan = a.is_floating_point()
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a.cpu().numpy(), b.cpu().numpy(), nan)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
    return bool(a == b or (a != a and b != b))


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Keys whose values are not the same in both."""
    return sorted(key for key in before.keys() | after.keys() if not same(before.get(key), after.get(key)))
