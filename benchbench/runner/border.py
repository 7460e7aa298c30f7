"""The border between the framework and plugins: what comes from a plugin is looked at before it is used or kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from benchbench.errors import CollapsedError, DataError
from benchbench.types import Metric
from benchbench.types.images import check_images

log = logging.getLogger(__name__)


def check_state(state: object, who: str) -> None:
    """What is stored must be readable without running code.

    Raises:
        DataError: If it holds anything but tensors, numbers, strings, lists and dicts.
    """
    if isinstance(state, Mapping):
        for name, value in state.items():
            check_state(value, f"{who}[{name!r}]")
    elif isinstance(state, list | tuple):
        for place, value in enumerate(state):
            check_state(value, f"{who}[{place}]")
    elif not isinstance(state, Tensor | str | bytes | int | float | None):
        raise DataError(
            f"{who}: state_dict holds a {type(state).__name__}, "
            "expected only tensors, numbers, strings, lists and dicts"
        )


def finite_facts(facts: Mapping[str, float]) -> dict[str, float]:
    """A generator's facts as finite numbers; others are reported and left out: a fit is not lost for them."""
    found = {name: float(value) for name, value in facts.items()}
    for name, value in found.items():
        if not np.isfinite(value):
            log.warning("the fit's fact %s is %s and is left out", name, value)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def check_samples(images: Tensor, n: int, shape: tuple[int, int, int], who: str) -> None:
    """What a generator gave is what was asked for.

    Raises:
        DataError: If dtype, count or shape is another one.
        CollapsedError: If all images are one and the same.
    """
    check_images(images, who)
    if tuple(images.shape) != (n, *shape):
        raise DataError(f"{who}: sample gave shape {tuple(images.shape)}, expected {(n, *shape)}: one image a label")
    if n > 1 and bool((images == images[:1]).all()):
        raise CollapsedError(f"{who}: all {n} samples are one and the same image", 0)


def check_values(values: object, metric: Metric, classes: int) -> dict[str, float | list[float]]:
    """What a metric gave is what it said it would give.

    Raises:
        DataError: If an output is missing, not finite, or not one number (or one a class).
    """
    if not isinstance(values, Mapping):
        raise DataError(f"metric {metric.name} gave a {type(values).__name__}, expected a mapping by output key")
    expected = {output.key for output in metric.outputs}
    if set(values) != expected:
        raise DataError(f"metric {metric.name} gave {sorted(values)}, expected {sorted(expected)}")
    return {
        output.key: _numbers(values[output.key], classes if output.per_class else None, f"{metric.name}: {output.key}")
        for output in metric.outputs
    }


def _numbers(value: object, classes: int | None, who: str) -> float | list[float]:
    found = np.asarray(value, dtype=np.float64)
    shape = () if classes is None else (classes,)
    if found.shape != shape or not np.isfinite(found).all():
        wanted = "one finite number" if classes is None else f"{classes} finite numbers, one a class"
        raise DataError(f"metric {who} is {value}, expected {wanted}")
    return float(found) if classes is None else found.tolist()
