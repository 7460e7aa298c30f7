"""What a rule is, and what rules are written with."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchbench.testing.observing import BrokenRuleError, same
from benchbench.types import LabelledImages

Check = TypeVar("Check", bound=Callable[[Any], str])


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        kind: The contract it belongs to: ``Generator``, ``Metric``, ...; ``object`` for all.
        name: What the plugin does, as the end of a sentence about it.
        remedy: How a break of it is usually mended.
        check: Tries it on a trial. Returns what it saw, or raises ``BrokenRuleError`` with what it saw, or
            ``NotApplicableError`` with the reason.
    """

    kind: type
    name: str
    remedy: str
    check: Callable[[Any], str]


RULES: list[Rule] = []


def rule(kind: type, name: str, remedy: str) -> Callable[[Check], Check]:
    """Make the decorated check a rule for plugins of one kind."""

    def keep(check: Check) -> Check:
        RULES.append(Rule(kind, name, remedy, check))
        return check

    return keep


def expect(condition: bool, seen: str) -> None:
    """Raise ``BrokenRuleError(seen)`` unless ``condition``."""
    if not condition:
        raise BrokenRuleError(seen)


def expect_equal(one: Tensor, two: Tensor, what: str) -> None:
    """Raise ``BrokenRuleError`` unless two sets of samples are the same."""
    expect(one.shape == two.shape, f"{what}: shapes {tuple(one.shape)} and {tuple(two.shape)}")
    differing = torch.nonzero((one != two).flatten(1).any(dim=1)).flatten().tolist()
    if differing:
        raise BrokenRuleError(f"{what}: {len(differing)} of {len(one)} samples differ, the first at {differing[0]}")


def expect_untouched(given: LabelledImages, pristine: LabelledImages) -> None:
    """Raise ``BrokenRuleError`` unless pixels and labels that a plugin was handed are still as they were."""
    changed = [name for name in ("images", "labels") if not same(getattr(given, name), getattr(pristine, name))]
    expect(not changed, f"{' and '.join(changed)} were changed")


def through_disk(state: Any) -> Any:
    """``state`` after ``torch.save`` and ``torch.load(weights_only=True)``."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
