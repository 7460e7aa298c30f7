"""What determines each stage's result, and nothing else: the inputs of the content keys.

No path, timeout, executor, worker count, device or comment is in any of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchbench.config import Benchmark, PluginSpec
from benchbench.discovery import Registry, modules_digest
from benchbench.downstream.labels import balanced_labels
from benchbench.plan.cells import Cell
from benchbench.store import Entry, Store, content_key
from benchbench.types import Dataset

Inputs = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One stored result that a cell owes the leaderboard.

    Attributes:
        stage: ``fit``, ``sample``, ``metric``, ``arm``, …
        name: What it is within the cell, e.g. ``fd domain`` or ``mixed 1``.
        inputs: What determines it; None while something it depends on is not there yet.
    """

    stage: str
    name: str
    inputs: Inputs | None

    @property
    def key(self) -> str | None:
        """Its content key, or None."""
        return None if self.inputs is None else content_key(self.stage, self.inputs)


class StageInputs:
    """Computes the inputs of every stage of a benchmark.

    Args:
        benchmark: The checked file.
        registry: Where its names point.
        dataset: Its images.
    """

    def __init__(self, benchmark: Benchmark, registry: Registry, dataset: Dataset) -> None:
        self.benchmark = benchmark
        self.registry = registry
        self.dataset = dataset
        self.protocol = benchmark.protocol

    @cached_property
    def _code(self) -> str:
        """The version of the training code: a digest of its source."""
        return modules_digest("benchbench.training", "benchbench.networks", "benchbench.seeding")

    @cached_property
    def _labels_code(self) -> str:
        return modules_digest("benchbench.downstream.labels")

    @cached_property
    def _arms_code(self) -> str:
        return modules_digest("benchbench.downstream.arms")

    def plugin(self, kind: str, spec: PluginSpec) -> Inputs:
        """Name, source and resolved config of a plugin: defaults written out, so they may change safely.

        A config field with ``exclude=True`` says where a file lies, and stays out.
        """
        plugin = self.registry.get(kind, spec.name)
        config = self.registry.config_model(kind, spec.name).model_validate(spec.config)
        return {"name": spec.name, "source": plugin.digest, "config": config.model_dump(mode="json")}

    @property
    def sample_count(self) -> int:
        """Synthetic images a cell draws: enough for the largest arm."""
        return math.ceil(max(1.0, *self.protocol.ratios) * len(self.dataset.train))

    @property
    def metric_count(self) -> int:
        """Images on either side of every distance, the floor's too: as many as there are of all that is compared."""
        return min(len(self.dataset.test), len(self.dataset.val), self.sample_count)

    @cached_property
    def labels_digest(self) -> str:
        """SHA-256 of the labels that every cell samples."""
        labels = balanced_labels(self.dataset.train.class_counts, self.sample_count)
        return hashlib.sha256(labels.numpy().tobytes()).hexdigest()

    @property
    def protocol_fingerprint(self) -> str:
        """SHA-256 of everything that must agree for two boards to be comparable: data, protocol and its code."""
        protocol = self.protocol
        parts = {
            "dataset": self.dataset.fingerprint,
            "extractors": [self.extractor(spec) for spec in protocol.features],
            "metrics": [self.plugin("metrics", spec) for spec in protocol.metrics],
            "classifier": self._classifier_inputs(),
            "ratios": protocol.ratios,
            "arms_code": self._arms_code,
        }
        return content_key("protocol", parts)

    def extractor(self, spec: PluginSpec) -> Inputs:
        """Fitting a feature extractor on the real training images."""
        return {**self.plugin("features", spec), "train": self.dataset.train.fingerprint, "code": self._code}

    def fit(self, cell: Cell) -> Inputs:
        """Fitting a generator."""
        spec = _spec(cell)
        inputs = {
            "generator": self.plugin("generators", spec),
            "dataset": self.dataset.fingerprint,
            "setting": cell.setting,
            "seed": cell.seed,
            "budget": self.benchmark.budget.model_dump(mode="json"),
            "code": self._code,
            "labels": spec.labels,
        }
        if spec.labels is not None:
            inputs["labels_code"] = self._labels_code
        if spec.labels == "pseudo_label":
            inputs["labeller"] = self._classifier_inputs()
        return inputs

    def sample(self, cell: Cell) -> Inputs:
        """Drawing from a fitted generator."""
        return {
            "fit": content_key("fit", self.fit(cell)),
            "n": self.sample_count,
            "labels": self.labels_digest,
            "seed": cell.seed,
        }

    def features(self, images: str, n: int, spec: PluginSpec, weights: str) -> Inputs:
        """Extracting features; ``images`` is a sample's key or a split's fingerprint, ``weights`` a digest."""
        extractor = self.plugin("features", spec)
        return {"images": images, "n": n, "extractor": extractor, "weights": weights, "code": self._code}

    def metric(self, cell: Cell, extractor: PluginSpec, metric: PluginSpec, weights: str) -> Inputs:
        """A distance between n test images and n samples; for the baseline, n validation images.

        The baseline's is the floor: what two sets of real images differ by.
        """
        n = self.metric_count
        return {
            "metric": self.plugin("metrics", metric),
            "real": content_key("features", self.features(self.dataset.test.fingerprint, n, extractor, weights)),
            "other": content_key("features", self.features(self.compared(cell), n, extractor, weights)),
            "seed": cell.seed,
        }

    def compared(self, cell: Cell) -> str:
        """The key or fingerprint of the images that a cell compares with the test images."""
        if cell.spec is None:
            return self.dataset.val.fingerprint
        return content_key("sample", self.sample(cell))

    def likelihood(self, cell: Cell) -> Inputs:
        """Bits per dimension of the test images under a fitted generator, where it can say."""
        fit_key = content_key("fit", self.fit(cell))
        return {"fit": fit_key, "images": self.dataset.test.fingerprint, "seed": cell.seed}

    def _classifier_inputs(self) -> Inputs:
        return {**self.plugin("classifiers", self.protocol.classifier), "steps": self.protocol.classifier_steps}

    def real_classifier(self, seed: int) -> Inputs:
        """Training the downstream classifier on the real training images."""
        return {
            "classifier": self._classifier_inputs(),
            "train": self.dataset.train.fingerprint,
            "seed": seed,
            "code": self._code,
        }

    def arm(self, cell: Cell, arm: str, ratio: float | None) -> Inputs:
        """Training (or, for ``agreement``, taking) a classifier and evaluating it."""
        return {
            "arm": arm,
            "ratio": ratio,
            "sample": None if cell.spec is None else content_key("sample", self.sample(cell)),
            "classifier": content_key("classifier", self.real_classifier(cell.seed)),
            "dataset": self.dataset.fingerprint,
            "code": self._arms_code,
        }

    def arms(self, cell: Cell) -> Iterator[tuple[str, float | None]]:
        """The arms of a cell: name and ratio."""
        if cell.spec is None:
            yield "real", None
            return
        yield "synthetic", None
        for ratio in self.protocol.ratios:
            yield "mixed", ratio
        yield "agreement", None

    def results(self, cell: Cell, store: Store) -> Iterator[Result]:
        """All results of a cell that the leaderboard is made from, in the order they come about."""
        if cell.spec is not None:
            yield Result("fit", "fit", self.fit(cell))
            yield Result("sample", "sample", self.sample(cell))
            yield Result("likelihood", "likelihood", self.likelihood(cell))
        for extractor in self.protocol.features:
            weights = self.weights(extractor, store)
            for metric in self.protocol.metrics:
                inputs = self.metric(cell, extractor, metric, weights) if weights else None
                yield Result("metric", f"{metric.name} {extractor.name}", inputs)
        for arm, ratio in self.arms(cell):
            yield Result("arm", arm_name(arm, ratio), self.arm(cell, arm, ratio))

    def weights(self, extractor: PluginSpec, store: Store) -> str | None:
        """The digest of a fitted extractor's weights, or None if it is not fitted yet."""
        entry: Entry | None = store.get("extractor", content_key("extractor", self.extractor(extractor)))
        return None if entry is None else str(entry.meta["weights"])


def arm_name(arm: str, ratio: float | None) -> str:
    """``mixed 0.5``, or the arm alone where it has no ratio."""
    return arm if ratio is None else f"{arm} {ratio:g}"


def _spec(cell: Cell) -> Any:
    if cell.spec is None:
        raise ValueError("the baseline has no generator")
    return cell.spec
