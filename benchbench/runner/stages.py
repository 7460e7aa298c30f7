"""The stages of a cell: fit, sample, features, metrics, likelihood, arms. Each is stored under its key."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchbench.config import PluginSpec
from benchbench.downstream.arms import evaluate, mixed_arm, synthetic_arm
from benchbench.downstream.labels import balanced_labels, balanced_subset, labelled
from benchbench.errors import CollapsedError, DataError
from benchbench.plan import Cell
from benchbench.runner.checkpoint import FileCheckpoint
from benchbench.runner.environment import environment
from benchbench.runner.progress import ProgressFile
from benchbench.runner.workspace import Workspace
from benchbench.seeding import derive_seed, numpy_generator, torch_generator
from benchbench.store import Entry, content_key, weights_digest
from benchbench.store.files import array_bytes, load_array, load_state, state_bytes
from benchbench.store.store import Made
from benchbench.types import (
    Budget,
    Classifier,
    FeatureExtractor,
    FitContext,
    Generator,
    LabelledImages,
    LikelihoodModel,
    Predictor,
    SampleContext,
)
from benchbench.types.images import check_images
from benchbench.types.plugins import Features

log = logging.getLogger(__name__)

# The extractor's context seed: one ruler for all rows.
RULER_SEED = 0


class Stages:
    """Computes a cell's results, or takes them from the store.

    Args:
        work: The benchmark with its plugins, images and store.
        cell: The cell.
        progress: Told of every phase and step.
    """

    def __init__(self, work: Workspace, cell: Cell, progress: ProgressFile) -> None:
        self.work = work
        self.cell = cell
        self.progress = progress
        self.inputs = work.inputs
        self.store = work.store
        self.train = work.dataset.train
        self._extractors: dict[str, tuple[FeatureExtractor, str]] = {}

    def _context(self, seed: int, **extra: Any) -> FitContext:
        device = self.work.device
        generator = torch_generator(seed, "fit", device=device)
        return FitContext(seed, device, generator, log=self.progress.step, **extra)

    def _classifier(self) -> Classifier:
        classifier: Classifier = self.work.make("classifiers", self.inputs.protocol.classifier)
        return classifier

    def _generator(self) -> Generator:
        """The cell's generator, unfitted, in a form that honours labels."""
        spec = self.cell.spec
        assert spec is not None
        cls = self.work.registry.get("generators", spec.name).cls
        config = self.work.registry.config_model("generators", spec.name).model_validate(spec.config)
        return labelled(cls, config, spec.labels, self._classifier(), self.inputs.protocol.classifier_steps)

    def fit(self) -> Entry:
        """Fit the generator on the training images (a control may ask for ``val``)."""
        inputs = self.inputs.fit(self.cell)
        checkpoint = FileCheckpoint(self.store.root / "checkpoints" / f"{content_key('fit', inputs)}.pt")
        entry = self.store.get_or_make("fit", inputs, lambda: self._fit(checkpoint))
        checkpoint.clear()
        return entry

    def _fit(self, checkpoint: FileCheckpoint) -> Made:
        self.progress.enter("fit")
        spec = self.cell.spec
        assert spec is not None
        cls = self.work.registry.get("generators", spec.name).cls
        data = self.work.dataset.val if cls.fit_split == "val" else self.train
        own = LabelledImages(data.images.clone(), data.labels.clone(), data.classes)  # a plugin may scribble on it
        budget = Budget(**self.inputs.benchmark.budget.model_dump())
        before = checkpoint.seconds_before()
        deadline = None if budget.max_seconds is None else time.monotonic() + budget.max_seconds - before
        generator = self._generator()
        context = self._context(self.cell.seed, budget=budget, deadline=deadline, checkpoint=checkpoint)
        began = time.perf_counter()
        facts = generator.fit(own, context)
        self._synchronize()
        state = generator.state_dict()
        check_state(state, self.cell.row)
        meta = {
            "seconds": before + time.perf_counter() - began,
            "facts": _numbers(facts or {}),
            "parameters": generator.num_parameters(),
            "peak_memory_bytes": self._peak_memory(),
            "environment": environment(self.work.device),
        }
        return {"state.pt": state_bytes(state)}, meta

    def _fitted(self) -> Generator:
        """The generator restored from the store: what samples is what was saved."""
        generator = self._generator()
        generator.load_state_dict(load_state(self.fit().file("state.pt")))
        return generator

    def sample(self) -> Entry:
        """Draw the cell's samples."""
        return self.store.get_or_make("sample", self.inputs.sample(self.cell), self._sample)

    def _sample(self) -> Made:
        generator = self._fitted()
        self.progress.enter("sample")
        labels = balanced_labels(self.train.class_counts, self.inputs.sample_count)
        began = time.perf_counter()
        images = generator.sample(labels.clone(), SampleContext(self._sampling_seed, self.work.device))
        self._synchronize()
        seconds = time.perf_counter() - began
        check_samples(images, len(labels), self.train.shape, self.cell.row)
        meta = {"seconds": seconds, "images_per_second": len(labels) / max(seconds, 1e-9)}
        return {"images.npy": array_bytes(images.numpy()), "labels.npy": array_bytes(labels.numpy())}, meta

    @property
    def _sampling_seed(self) -> int:
        return derive_seed(self.cell.seed, "sample")

    def samples(self) -> LabelledImages:
        """The cell's samples."""
        entry = self.sample()
        images, labels = load_array(entry.file("images.npy")), load_array(entry.file("labels.npy"))
        return LabelledImages(torch.from_numpy(images), torch.from_numpy(labels), self.train.classes)

    def extractor(self, spec: PluginSpec) -> tuple[FeatureExtractor, str]:
        """A ready extractor and the digest of its weights."""
        if spec.name not in self._extractors:
            extractor: FeatureExtractor = self.work.make("features", spec)

            def make() -> Made:
                self.progress.enter(f"features {spec.name}")
                extractor.fit(self.train, self._context(RULER_SEED))
                state = extractor.state_dict()
                return {"state.pt": state_bytes(state)}, {"weights": weights_digest(state)}

            entry = self.store.get_or_make("extractor", self.inputs.extractor(spec), make)
            extractor.load_state_dict(load_state(entry.file("state.pt")))
            self._extractors[spec.name] = (extractor, str(entry.meta["weights"]))
        return self._extractors[spec.name]

    def _features(self, images: Callable[[], Tensor], key: str, n: int, spec: PluginSpec) -> Features:
        extractor, weights = self.extractor(spec)

        def make() -> Made:
            self.progress.enter(f"features {spec.name}")
            return {"features.npy": array_bytes(extractor.extract(images(), self.work.device))}, {}

        entry = self.store.get_or_make("features", self.inputs.features(key, n, spec, weights), make)
        return np.asarray(load_array(entry.file("features.npy")), dtype=np.float32)

    def metric(self, extractor: PluginSpec, metric: PluginSpec) -> Entry:
        """One distance in one feature space, on the same number of real and synthetic images."""
        _, weights = self.extractor(extractor)

        def make() -> Made:
            n, test = self.inputs.metric_count, self.work.dataset.test
            real = self._features(lambda: _subset(test, n), test.fingerprint, n, extractor)
            other = self._features(self._compared, self.inputs.compared(self.cell), n, extractor)
            self.progress.enter(f"{metric.name} {extractor.name}")
            rng = numpy_generator(self.cell.seed, "metric", metric.name, extractor.name)
            value = float(self.work.make("metrics", metric).compute(real, other, rng))
            if not np.isfinite(value):
                raise DataError(f"metric {metric.name} gave {value}, expected a finite number")
            return {}, {"value": value, "n": n}

        return self.store.get_or_make("metric", self.inputs.metric(self.cell, extractor, metric, weights), make)

    def _compared(self) -> Tensor:
        """The images whose distance to the test images is taken (the baseline's give the floor)."""
        n = self.inputs.metric_count
        return _subset(self.work.dataset.val, n) if self.cell.spec is None else self.samples().images[:n]

    def likelihood(self) -> Entry:
        """Bits per dimension of the test images, where the generator has an exact likelihood."""

        def make() -> Made:
            generator = self._fitted()
            if not isinstance(generator, LikelihoodModel):
                return {}, {"bits_per_dim": None}
            self.progress.enter("likelihood")
            context = SampleContext(derive_seed(self.cell.seed, "likelihood"), self.work.device)
            bits = generator.bits_per_dim(self.work.dataset.test, context)
            return {}, {"bits_per_dim": float(bits.double().mean())}

        return self.store.get_or_make("likelihood", self.inputs.likelihood(self.cell), make)

    def real_classifier(self) -> Predictor:
        """The classifier trained on the real images, shared by all rows of a seed."""

        def make() -> Made:
            self.progress.enter("classifier real")
            return {"state.pt": state_bytes(self._train_classifier(self.train).state_dict())}, {}

        entry = self.store.get_or_make("classifier", self.inputs.real_classifier(self.cell.seed), make)
        return self._classifier().restore(load_state(entry.file("state.pt")), self.work.device)

    def _train_classifier(self, data: LabelledImages) -> Predictor:
        """Same seed, so same initialisation; same number of steps, whatever the arm."""
        return self._classifier().train(data, self.inputs.protocol.classifier_steps, self._context(self.cell.seed))

    def arm(self, arm: str, ratio: float | None) -> Entry:
        """Train on the arm's images and evaluate on ``val`` and ``test``.

        ``agreement`` is the other way round: the real classifier on synthetic images. One minus its accuracy
        is the label noise of the synthetic set, as far as that classifier can tell.
        """

        def make() -> Made:
            if arm == "agreement":
                return {}, {"synthetic": asdict(evaluate(self.real_classifier(), self.samples()))}
            predictor = self._arm_classifier(arm, ratio)
            dataset = self.work.dataset
            return {}, {
                "val": asdict(evaluate(predictor, dataset.val)),
                "test": asdict(evaluate(predictor, dataset.test)),
            }

        return self.store.get_or_make("arm", self.inputs.arm(self.cell, arm, ratio), make)

    def _arm_classifier(self, arm: str, ratio: float | None) -> Predictor:
        if arm == "real":
            return self.real_classifier()
        samples = self.samples()
        self.progress.enter(f"classifier {arm}")
        if ratio is None:
            return self._train_classifier(synthetic_arm(self.train, samples))
        return self._train_classifier(mixed_arm(self.train, samples, ratio))

    def _synchronize(self) -> None:
        """Wait for the device, so that a measured time is the work's."""
        if self.work.device.type == "cuda":
            torch.cuda.synchronize(self.work.device)

    def _peak_memory(self) -> int:
        """Bytes: of the device where it is a GPU, else the process's largest resident set."""
        if self.work.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.work.device))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)


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


def _numbers(facts: Mapping[str, float]) -> dict[str, float]:
    """A generator's facts as finite numbers; others are reported and left out: a fit is not lost for them."""
    found = {name: float(value) for name, value in facts.items()}
    for name, value in found.items():
        if not np.isfinite(value):
            log.warning("the fit's fact %s is %s and is left out", name, value)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _subset(data: LabelledImages, n: int) -> Tensor:
    """``n`` of the images, in the classes' proportions."""
    return data.images[balanced_subset(data.labels, len(data.classes), n)]


def check_samples(images: Tensor, n: int, shape: tuple[int, int, int], who: str) -> None:
    """The border: what a generator gave is what was asked for.

    Raises:
        DataError: If dtype, count or shape is another one.
        CollapsedError: If all images are one and the same.
    """
    check_images(images, who)
    if tuple(images.shape) != (n, *shape):
        raise DataError(f"{who}: sample gave shape {tuple(images.shape)}, expected {(n, *shape)}: one image a label")
    if n > 1 and bool((images == images[:1]).all()):
        raise CollapsedError(f"{who}: all {n} samples are one and the same image", 0)
