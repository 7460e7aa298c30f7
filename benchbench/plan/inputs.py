"""What determines each stage's result, and nothing else: the inputs of the content keys.

No path, timeout, executor, worker count, device or comment is in any of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from benchbench.config import Benchmark, PluginSpec
from benchbench.discovery import Registry, modules_digest
from benchbench.downstream.arms import Arm
from benchbench.downstream.sample_plan import SamplePlan, plan_samples
from benchbench.plan.cells import Cell
from benchbench.plan.settings import Setting
from benchbench.store import Entry, Store, content_key
from benchbench.types import Dataset, LabelledImages, LikelihoodModel, ProbabilityModel

Inputs = dict[str, Any]
# Modules whose source is in keys, plugins' own apart.
TRAINING_CODE = ("benchbench.training", "benchbench.networks", "benchbench.seeding")
LABELS_CODE = ("benchbench.downstream.labels",)
ARMS_CODE = ("benchbench.downstream.arms", "benchbench.downstream.sample_plan")


def take_digests() -> None:
    """Digest all code that is in keys now: it is kept, and no later edit of a file is seen by this process."""
    for names in (TRAINING_CODE, LABELS_CODE, ARMS_CODE):
        modules_digest(*names)


@dataclass(frozen=True)
class Result:
    """One stored result that a cell owes the leaderboard.

    Attributes:
        stage: ``fit``, ``sample``, ``metric``, ``arm``, …
        name: What it is within the cell, e.g. ``fd domain`` or ``mixed 1``.
        inputs: What determines it; None while something it depends on is not there yet.
        extractor: Of a metric.
        metric: Of a metric.
        arm: Of an arm.
    """

    stage: str
    name: str
    inputs: Inputs | None
    extractor: PluginSpec | None = None
    metric: PluginSpec | None = None
    arm: Arm | None = None

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
        # Looked up for every key of every cell.
        self._plugin = cache(self._plugin_of)
        self._subset = cache(self._subset_of)
        self._samples = cache(self._samples_of)

    @cached_property
    def _code(self) -> str:
        """The version of the training code: a digest of its source."""
        return modules_digest(*TRAINING_CODE)

    @cached_property
    def _labels_code(self) -> str:
        return modules_digest(*LABELS_CODE)

    @cached_property
    def _arms_code(self) -> str:
        return modules_digest(*ARMS_CODE)

    @cached_property
    def _precision(self) -> Inputs:
        """The precision of training where the file names one; ``auto`` leaves it to the device, which is in no key."""
        precision = self.benchmark.compute.precision
        return {} if precision == "auto" else {"precision": precision}

    def plugin(self, kind: str, spec: PluginSpec) -> Inputs:
        """Name, source and resolved config of a plugin: defaults written out, so they may change safely.

        A config field with ``exclude=True`` says where a file lies, and stays out.
        """
        return self._plugin(kind, spec.name, json.dumps(spec.config))

    def _plugin_of(self, kind: str, name: str, config: str) -> Inputs:
        checked = self.registry.config(kind, name, json.loads(config))
        source = self.registry.get(kind, name).digest
        return {"name": name, "source": source, "config": checked.model_dump(mode="json")}

    def _subset_of(self, setting: Setting, seed: int) -> LabelledImages:
        return setting.of(self.dataset.train, seed)

    def train(self, cell: Cell) -> LabelledImages:
        """The real training images of a cell: what its classifiers have."""
        setting = cell.setting
        return self._subset(setting, 0 if setting.whole else cell.seed)

    def shown(self, cell: Cell) -> LabelledImages:
        """The images that a cell's generator is fitted on; labels that it may not know are not yet replaced."""
        if cell.spec is None:
            return self.train(cell)
        if self.registry.get("generators", cell.spec.name).cls.fit_split == "val":
            return self.dataset.val
        return self.dataset.train if cell.spec.transfer else self.train(cell)

    def copied_from(self, cell: Cell) -> LabelledImages:
        """The training images that a copying generator would have copied: never those of ``val``."""
        return self.dataset.train if cell.spec is not None and cell.spec.transfer else self.train(cell)

    @property
    def metric_count(self) -> int:
        """Images on either side of every distance, the floor's too: the smaller of the two held-out splits."""
        return min(len(self.dataset.test), len(self.dataset.val))

    def _samples_of(self, setting: Setting, seed: int) -> SamplePlan:
        counts = self._subset(setting, seed).class_counts
        return plan_samples(counts, list(self.protocol.ratios), self.dataset.test.labels, self.metric_count)

    def sample_plan(self, cell: Cell) -> SamplePlan:
        """Which labels a cell samples, and what for."""
        return self._samples(cell.setting, 0 if cell.setting.whole else cell.seed)

    @property
    def protocol_fingerprint(self) -> str:
        """SHA-256 of everything that must agree for two boards to be comparable: data, protocol and its code."""
        protocol = self.protocol
        parts = {
            "dataset": self.dataset.fingerprint,
            "settings": self.benchmark.settings.model_dump(mode="json"),
            "extractors": [self.extractor(spec) for spec in protocol.features],
            "metrics": [self.plugin("metrics", spec) for spec in protocol.metrics],
            "classifier": self._classifier_inputs(),
            "classifier_seeds": protocol.classifier_seeds,
            "classical": self._classical,
            "ratios": protocol.ratios,
            "curve": protocol.curve,
            "arms_code": self._arms_code,
        }
        return content_key("protocol", parts)

    @property
    def _classical(self) -> Inputs | None:
        return None if self.protocol.classical is None else self.protocol.classical.model_dump(mode="json")

    def extractor(self, spec: PluginSpec) -> Inputs:
        """Fitting a feature extractor on all real training images: one ruler for all rows and settings."""
        return {**self.plugin("features", spec), "train": self.dataset.train.fingerprint, "code": self._code}

    def fit(self, cell: Cell) -> Inputs:
        """Fitting a generator on exactly the images it is shown."""
        spec = _spec(cell)
        inputs = {
            "generator": self.plugin("generators", spec),
            "shown": self.shown(cell).fingerprint,
            "generator_data": spec.generator_data,
            "seed": cell.seed,
            "budget": self.benchmark.budget.model_dump(mode="json"),
            "code": self._code,
            "labels": spec.labels,
            **self._precision,
        }
        if spec.labels is not None:
            inputs["labels_code"] = self._labels_code
        if spec.labels == "pseudo_label":
            inputs["labeller"] = self._classifier_inputs()
        if spec.generator_data == "unlabelled":
            inputs["guesser"] = content_key("classifier", self.real_classifier(cell, 0))
        return inputs

    def sample(self, cell: Cell) -> Inputs:
        """Drawing from a fitted generator."""
        labels = self.sample_plan(cell).labels
        return {
            "fit": content_key("fit", self.fit(cell)),
            "labels": hashlib.sha256(labels.numpy().tobytes()).hexdigest(),
            "seed": cell.seed,
        }

    def features(self, images: str, n: int, spec: PluginSpec, weights: str) -> Inputs:
        """Extracting features; ``images`` is a sample's key or a split's fingerprint, ``weights`` a digest."""
        extractor = self.plugin("features", spec)
        return {
            "images": images,
            "n": n,
            "extractor": extractor,
            "weights": weights,
            "code": self._code,
            "arms_code": self._arms_code,
        }

    def metrics_in(self, extractor: PluginSpec) -> list[PluginSpec]:
        """The metrics that can be taken in these features."""
        cls = self.registry.get("features", extractor.name).cls
        offers_probabilities = issubclass(cls, ProbabilityModel)
        return [
            spec
            for spec in self.protocol.metrics
            if offers_probabilities or "probabilities" not in self.registry.get("metrics", spec.name).cls.needs
        ]

    def metric(self, cell: Cell, extractor: PluginSpec, metric: PluginSpec, weights: str) -> Inputs:
        """Comparing n test images with n held-out samples; for the baseline, with n validation images.

        The baseline's is the floor: what two sets of real images differ by.
        """
        n = self.metric_count
        inputs = {
            "metric": self.plugin("metrics", metric),
            "real": content_key("features", self.features(self.dataset.test.fingerprint, n, extractor, weights)),
            "other": content_key("features", self.features(self.compared(cell), n, extractor, weights)),
            "seed": cell.seed,
        }
        needs = self.registry.get("metrics", metric.name).cls.needs
        if "train" in needs:
            train = self.copied_from(cell)
            train_features = self.features(train.fingerprint, len(train), extractor, weights)
            inputs["train"] = content_key("features", train_features)
        if "drawn" in needs and cell.spec is not None:
            drawn = self.features(self.compared(cell), len(self.sample_plan(cell).labels), extractor, weights)
            inputs["drawn"] = content_key("features", drawn)
        return inputs

    def compared(self, cell: Cell) -> str:
        """The key or fingerprint of the images that a cell compares with the test images."""
        if cell.spec is None:
            return self.dataset.val.fingerprint
        return content_key("sample", self.sample(cell))

    def likelihood(self, cell: Cell) -> Inputs:
        """Bits per dimension of the test images under a fitted generator, where it can say."""
        fit_key = content_key("fit", self.fit(cell))
        return {"fit": fit_key, "images": self.dataset.test.fingerprint, "seed": cell.seed}

    def has_likelihood(self, cell: Cell) -> bool:
        """Whether the cell's generator may have an exact likelihood: not where labels come from a wrapper."""
        if cell.spec is None or cell.spec.labels is not None:
            return False
        return issubclass(self.registry.get("generators", cell.spec.name).cls, LikelihoodModel)

    def _classifier_inputs(self) -> Inputs:
        steps = self.protocol.classifier_steps
        return {**self.plugin("classifiers", self.protocol.classifier), "steps": steps, **self._precision}

    def real_classifier(self, cell: Cell, replicate: int) -> Inputs:
        """Training the downstream classifier on the cell's real training images."""
        return {
            "classifier": self._classifier_inputs(),
            "train": self.train(cell).fingerprint,
            "seed": cell.seed,
            "replicate": replicate,
            "code": self._code,
        }

    def arm(self, cell: Cell, arm: Arm) -> Inputs:
        """Training (or, for ``agreement``, taking) a classifier and evaluating it."""
        inputs = {
            "arm": arm.name,
            "ratio": arm.ratio,
            "sample": None if cell.spec is None else content_key("sample", self.sample(cell)),
            "classifier": content_key("classifier", self.real_classifier(cell, arm.replicate)),
            "val": self.dataset.val.fingerprint,
            "test": self.dataset.test.fingerprint,
            "code": self._arms_code,
        }
        return {**inputs, "classical": self._classical} if arm.augmented else inputs

    def arms(self, cell: Cell) -> Iterator[Arm]:
        """The arms of a cell, replicate by replicate."""
        for replicate in range(self.protocol.classifier_seeds):
            yield from self._baseline_arms(cell, replicate) if cell.spec is None else self._arms(cell, replicate)

    def _baseline_arms(self, cell: Cell, replicate: int) -> Iterator[Arm]:
        yield Arm("real", replicate=replicate)
        if self.protocol.classical is not None:
            yield Arm("classical", replicate=replicate)
        counts = self.train(cell).class_counts
        if int(counts.min()) < int(counts.max()):  # else it is the real arm
            yield Arm("oversampled", replicate=replicate)
        for part in self.protocol.curve:
            yield Arm("real_part", part, replicate)

    def _arms(self, cell: Cell, replicate: int) -> Iterator[Arm]:
        yield Arm("synthetic", replicate=replicate)
        yield Arm("agreement", replicate=replicate)
        control = self.registry.get("generators", _spec(cell).name).cls.role == "control"
        for ratio in self.protocol.ratios:
            yield Arm("mixed", ratio, replicate)
            if self.protocol.classical is not None and not control:
                yield Arm("classical_mixed", ratio, replicate)

    def results(self, cell: Cell, store: Store) -> Iterator[Result]:
        """All results of a cell that the leaderboard is made from, in the order they come about."""
        if cell.spec is not None:
            yield Result("fit", "fit", self.fit(cell))
            yield Result("sample", "sample", self.sample(cell))
        if self.has_likelihood(cell):
            yield Result("likelihood", "likelihood", self.likelihood(cell))
        for extractor in self.protocol.features:
            weights = self.weights(extractor, store)
            for metric in self.metrics_in(extractor):
                inputs = self.metric(cell, extractor, metric, weights) if weights else None
                name = f"{metric.name} {extractor.name}"
                yield Result("metric", name, inputs, extractor=extractor, metric=metric)
        for arm in self.arms(cell):
            yield Result("arm", arm.label, self.arm(cell, arm), arm=arm)

    def weights(self, extractor: PluginSpec, store: Store) -> str | None:
        """The digest of a fitted extractor's weights, or None if it is not fitted yet."""
        entry: Entry | None = store.get("extractor", content_key("extractor", self.extractor(extractor)))
        return None if entry is None else str(entry.meta["weights"])


def _spec(cell: Cell) -> Any:
    if cell.spec is None:
        raise ValueError("the baseline has no generator")
    return cell.spec
