"""The hooks. A plugin implements one or more of them, each returning the classes it brings.

A whole plugin::

    import benchbench as bb

    class Mean(bb.Generator):
        name = "mean"
        ...

    @bb.hookimpl
    def benchbench_generators():
        return [Mean]
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from benchbench.types import (
    Classifier,
    DatasetSource,
    Executor,
    FeatureExtractor,
    Generator,
    Logger,
    Metric,
    Report,
)

PROJECT = "benchbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def benchbench_generators() -> Sequence[type[Generator]]:  # type: ignore[empty-body]
    """Generators: classes that fit on labelled images and sample new ones."""


@hookspec
def benchbench_datasets() -> Sequence[type[DatasetSource]]:  # type: ignore[empty-body]
    """Datasets: classes that load three splits."""


@hookspec
def benchbench_features() -> Sequence[type[FeatureExtractor]]:  # type: ignore[empty-body]
    """Feature extractors: classes that turn images into vectors."""


@hookspec
def benchbench_metrics() -> Sequence[type[Metric]]:  # type: ignore[empty-body]
    """Metrics: classes that compare real with synthetic features."""


@hookspec
def benchbench_classifiers() -> Sequence[type[Classifier]]:  # type: ignore[empty-body]
    """Downstream classifiers."""


@hookspec
def benchbench_reports() -> Sequence[type[Report]]:  # type: ignore[empty-body]
    """Reports: classes that write a finished board in one form."""


@hookspec
def benchbench_executors() -> Sequence[type[Executor]]:  # type: ignore[empty-body]
    """Executors: classes that run cells as independent processes."""


@hookspec
def benchbench_loggers() -> Sequence[type[Logger]]:  # type: ignore[empty-body]
    """Loggers: classes that follow cells while they run."""
