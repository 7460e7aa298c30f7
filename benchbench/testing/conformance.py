"""The conformance suite: every rule tried on one generator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from benchbench.testing import fitting, sampling  # noqa: F401  (they bring the rules, in this order)
from benchbench.testing.rule import RULES, Rule
from benchbench.testing.trial import BrokenRuleError, NotApplicableError, Trial
from benchbench.types import Generator


@dataclass(frozen=True)
class Finding:
    """What became of one rule.

    Attributes:
        rule: The rule, as a sentence about the generator.
        status: ``passed``, ``failed`` or ``skipped``.
        seen: What was seen; why, where it was skipped.
        remedy: How to mend it; empty unless it failed.
    """

    rule: str
    status: Literal["passed", "failed", "skipped"]
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        tail = f". To mend it: {self.remedy}" if self.remedy else ""
        return f"{self.status}: {self.rule}: {self.seen}{tail}"


def conformance(generator_cls: type[Generator], config: Any = None) -> list[Finding]:
    """Try every rule on a generator: a few training steps on tiny images, on the CPU.

    Args:
        generator_cls: The class.
        config: Its config, for instance a smaller network; None is the default.

    Returns:
        One finding a rule, in order. Nothing is raised for a broken rule, whatever the generator raises.
    """
    trial = Trial(generator_cls, config)
    return [_find(rule, trial) for rule in RULES]


def failures(findings: Iterable[Finding]) -> list[str]:
    """The failed findings as text, for an assertion's message."""
    return [str(finding) for finding in findings if finding.status == "failed"]


def _find(rule: Rule, trial: Trial) -> Finding:
    """Try one rule."""
    try:
        return Finding(rule.name, "passed", rule.check(trial))
    except NotApplicableError as reason:
        return Finding(rule.name, "skipped", str(reason))
    except BrokenRuleError as broken:
        return Finding(rule.name, "failed", str(broken), rule.remedy)
    except Exception as error:
        return Finding(rule.name, "failed", f"{type(error).__name__}: {error}", rule.remedy)
