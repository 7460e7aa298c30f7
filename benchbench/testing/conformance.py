"""The conformance suite: every rule tried on one plugin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from benchbench.errors import PluginError
from benchbench.testing import common, fitting, sampling  # noqa: F401  (they bring the rules, in this order)
from benchbench.testing.classifiers import ClassifierTrial
from benchbench.testing.datasets import DatasetTrial
from benchbench.testing.extractors import ExtractorTrial
from benchbench.testing.generators import GeneratorTrial
from benchbench.testing.metrics import MetricTrial
from benchbench.testing.observing import BrokenRuleError, NotApplicableError
from benchbench.testing.rule import RULES, Rule
from benchbench.testing.trial import Trial
from benchbench.types import Classifier, DatasetSource, FeatureExtractor, Generator, Metric

# By contract: what a class of that kind is tried with.
TRIALS: dict[type, type[Trial[Any]]] = {
    Generator: GeneratorTrial,
    DatasetSource: DatasetTrial,
    FeatureExtractor: ExtractorTrial,
    Metric: MetricTrial,
    Classifier: ClassifierTrial,
}


@dataclass(frozen=True)
class Finding:
    """What became of one rule.

    Attributes:
        rule: The rule, as a sentence about the plugin.
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


def conformance(cls: type, config: Any = None) -> list[Finding]:
    """Try every rule on a plugin: tiny data, a few steps, on the CPU.

    Args:
        cls: The class.
        config: Its config, for instance a smaller network; None is the default.

    Returns:
        One finding a rule, in order. Nothing is raised for a broken rule, whatever the plugin raises.

    Raises:
        PluginError: If the class is of no kind that has rules.
    """
    trial = _trial(cls, config)
    return [_find(rule, trial) for rule in rules_of(cls)]


def failures(findings: Iterable[Finding]) -> list[str]:
    """The failed findings as text, for an assertion's message."""
    return [str(finding) for finding in findings if finding.status == "failed"]


def has_rules(cls: type) -> bool:
    """Whether plugins of this kind can be tried."""
    return issubclass(cls, tuple(TRIALS))


def rules_of(cls: type) -> list[Rule]:
    """The rules for a class, in order."""
    return [rule for rule in RULES if issubclass(cls, rule.kind)]


def suite(cls: type, config: Any = None) -> Callable[..., None]:
    """A test function for pytest with one case a rule.

    A whole test file::

        from benchbench.testing import suite
        from my_package import MyGenerator

        test_my_generator = suite(MyGenerator)

    Args:
        cls: The class.
        config: Its config; None is the default.

    Returns:
        To be kept under a name that pytest collects. A case fails with what was seen and how to mend it, and is
        skipped where a rule cannot be tried.

    Raises:
        PluginError: If the class is of no kind that has rules.
    """
    import pytest

    trial = _trial(cls, config)  # of all cases: what takes long is done once

    def case(rule: Rule) -> None:
        finding = _find(rule, trial)
        if finding.status == "failed":
            pytest.fail(str(finding).removeprefix("failed: "), pytrace=False)
        if finding.status == "skipped":
            pytest.skip(finding.seen)

    case.__doc__ = f"{cls.__name__} keeps every rule of the conformance suite."
    return pytest.mark.parametrize("rule", [pytest.param(rule, id=_slug(rule.name)) for rule in rules_of(cls)])(case)


def _slug(name: str) -> str:
    """A rule's name as one word, for pytest's command line."""
    return re.sub(r"\W+", "-", name).strip("-")


def _trial(cls: type, config: Any) -> Trial[Any]:
    """The class, ready to be tried."""
    for kind, trial in TRIALS.items():
        if issubclass(cls, kind):
            return trial(cls, config)
    kinds = ", ".join(kind.__name__ for kind in TRIALS)
    raise PluginError(f"conformance: got {cls.__name__}, expected a class derived from one of {kinds}")


def _find(rule: Rule, trial: Trial[Any]) -> Finding:
    """Try one rule."""
    try:
        return Finding(rule.name, "passed", rule.check(trial))
    except NotApplicableError as reason:
        return Finding(rule.name, "skipped", str(reason))
    except BrokenRuleError as broken:
        return Finding(rule.name, "failed", str(broken), rule.remedy)
    except Exception as error:
        return Finding(rule.name, "failed", f"{type(error).__name__}: {error}", rule.remedy)
