"""The stages of a cell: fit, sample, features, metrics, likelihood, arms. Each is stored under its key."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchbench.config import PluginSpec
from benchbench.downstream.arms import Arm, Evaluation, classifier_seed, evaluate, training_set
from benchbench.downstream.labels import labelled
from benchbench.downstream.sample_plan import compared
from benchbench.errors import DataError
from benchbench.plan import Cell
from benchbench.runner.border import check_samples, check_state, check_values, finite_facts
from benchbench.runner.checkpoint import FileCheckpoint
from benchbench.runner.environment import environment
from benchbench.runner.progress import ProgressFile
from benchbench.runner.workspace import Workspace
from benchbench.seeding import derive_seed, numpy_generator, torch_generator
from benchbench.store import Entry, content_key, weights_digest
from benchbench.store.files import array_bytes, load_array, load_state, state_bytes
from benchbench.store.store import Made
from benchbench.training import augment
from benchbench.training.acceleration import resolve
from benchbench.types import (
    Budget,
    Classifier,
    Compute,
    FeatureExtractor,
    FeatureSets,
    FitContext,
    Generator,
    LabelledImages,
    LikelihoodModel,
    Metric,
    Predictor,
    ProbabilityModel,
    SampleContext,
)
from benchbench.types.comparison import Features

# The extractor's context: one ruler, to all digits, for all rows, whatever they are trained in.
RULER_SEED, RULER_COMPUTE = 0, Compute()


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
        self.train = work.inputs.train(cell)
        self.plan = work.inputs.sample_plan(cell)
        self._extractors: dict[str, tuple[FeatureExtractor, str]] = {}

    def _context(self, seed: int, **extra: Any) -> FitContext:
        device = self.work.device
        generator = torch_generator(seed, "fit", device=device)
        return FitContext(seed, device, generator, **{"log": self.progress.step, "compute": self._compute, **extra})

    def _images_a_step(self, kind: str, spec: PluginSpec) -> int:
        """Training images that a step takes, where the config says so, as those of all shipped plugins do."""
        config = self.work.registry.config(kind, spec.name, spec.config)
        size = getattr(config, "batch_size", 0)
        return size if isinstance(size, int) else 0

    def _enter_classifier(self, arm: str) -> None:
        self.progress.enter(f"classifier {arm}", self._images_a_step("classifiers", self.inputs.protocol.classifier))

    @cached_property
    def _compute(self) -> Compute:
        wanted = self.inputs.benchmark.compute
        return resolve(
            self.work.device,
            precision=wanted.precision,
            channels_last=wanted.channels_last,
            compiled=wanted.compile,
            cuda_graphs=wanted.cuda_graphs,
        )

    @cached_property
    def _environment(self) -> dict[str, object]:
        """Asked for once: it asks git, which takes longer than many a stage."""
        return environment(self.work.device)

    def _kept(
        self,
        stage: str,
        inputs: Mapping[str, Any],
        make: Callable[[], Made],
        compute: Compute | None = None,
        began: float | None = None,
    ) -> Entry:
        """The stored entry, or a new one, which notes how it came about.

        That is its environment, as a later revision may compute some anew; and how long it took with all that had to
        be made for it, which a plan says before it is made again.

        Args:
            stage: The stage's name.
            inputs: All that determines the result.
            make: Computes it.
            compute: How its network was trained, where not as the cell's own.
            began: When its work began by the clock ``time.perf_counter``, if before this call.
        """

        def noted() -> Made:
            start = time.perf_counter() if began is None else began
            files, meta = make()
            where = {**self._environment, "compute": asdict(compute or self._compute)}
            return files, {**meta, "stage_seconds": time.perf_counter() - start, "environment": where}

        return self.store.get_or_make(stage, inputs, noted)

    def _classifier(self) -> Classifier:
        classifier: Classifier = self.work.make("classifiers", self.inputs.protocol.classifier)
        return classifier

    def _generator(self) -> Generator:
        """The cell's generator, unfitted, in a form that honours labels."""
        spec = self.cell.spec
        assert spec is not None
        cls = self.work.registry.get("generators", spec.name).cls
        config = self.work.registry.config("generators", spec.name, spec.config)
        return labelled(cls, config, spec.labels, self._classifier(), self.inputs.protocol.classifier_steps)

    def fit(self) -> Entry:
        """Fit the generator on the training images (a control may ask for ``val``)."""
        inputs = self.inputs.fit(self.cell)
        kind = self.work.device.type  # random states of one kind of device cannot be set on another
        path = self.store.root / "checkpoints" / f"{content_key('fit', inputs)}{'' if kind == 'cpu' else f'.{kind}'}.pt"
        checkpoint = FileCheckpoint(path, self.inputs.benchmark.limits.checkpoint_every)
        entry = self._kept("fit", inputs, lambda: self._fit(checkpoint))
        checkpoint.clear()
        return entry

    def _shown(self) -> LabelledImages:
        """What the generator is fitted on. Labels that it may not know are guessed by the real arm's classifier."""
        shown = self.inputs.shown(self.cell)
        if self.cell.spec is None or self.cell.spec.generator_data != "unlabelled":
            return shown
        labels = self.real_classifier(0)[0].predict(shown.images).argmax(dim=1)
        known = self.cell.setting.index(shown, self.cell.seed)
        labels[known] = shown.labels[known]
        return replace(shown, labels=labels)

    def _fit(self, checkpoint: FileCheckpoint) -> Made:
        data = self._shown()
        assert self.cell.spec is not None
        self.progress.enter("fit", self._images_a_step("generators", self.cell.spec))
        own = LabelledImages(data.images.clone(), data.labels.clone(), data.classes)  # a plugin may scribble on it
        budget = Budget(**self.inputs.benchmark.budget.model_dump())
        before = checkpoint.seconds_before()
        deadline = None if budget.max_seconds is None else time.monotonic() + budget.max_seconds - before
        generator = self._generator()
        curve: list[dict[str, float]] = []
        notes: list[dict[str, int | str]] = []

        def log(phase: str, step: int, total: int, values: Mapping[str, float]) -> None:
            self.progress.step(phase, step, total, values)
            curve.append({"step": step, **{name: float(value) for name, value in values.items()}})

        def note(step: int, kind: str, message: str) -> None:
            notes.append({"step": step, "kind": kind, "message": message})

        context = self._context(
            self.cell.seed,
            budget=budget,
            deadline=deadline,
            checkpoint=checkpoint,
            log=log,
            note=note,
            show=self.progress.show,
        )
        self._warm_up()
        began = time.perf_counter()
        facts = generator.fit(own, context)
        self._synchronize()
        state = generator.state_dict()
        check_state(state, self.cell.row)
        meta = {
            "seconds": before + time.perf_counter() - began,
            "facts": finite_facts(facts or {}),
            "parameters": generator.num_parameters(),
            "peak_memory_bytes": self._peak_memory(),
            "curve": curve,
            "notes": notes,
        }
        return {"state.pt": state_bytes(state)}, meta

    def _fitted(self) -> Generator:
        """The generator restored from the store: what samples is what was saved."""
        generator = self._generator()
        generator.load_state_dict(load_state(self.fit().file("state.pt")))
        return generator

    def sample(self) -> Entry:
        """Draw the cell's samples."""
        return self._kept("sample", self.inputs.sample(self.cell), self._sample)

    def _sample(self) -> Made:
        generator = self._fitted()
        self.progress.enter("sample")
        labels = self.plan.labels
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

    @cached_property
    def samples(self) -> LabelledImages:
        """The cell's samples; read, and checked against their checksum, once for all metrics and arms."""
        entry = self.sample()
        images, labels = load_array(entry.file("images.npy")), load_array(entry.file("labels.npy"))
        return LabelledImages(torch.from_numpy(images), torch.from_numpy(labels), self.train.classes)

    def extractor(self, spec: PluginSpec) -> tuple[FeatureExtractor, str]:
        """A ready extractor and the digest of its weights."""
        if spec.name not in self._extractors:
            extractor: FeatureExtractor = self.work.make("features", spec)

            def make() -> Made:
                self.progress.enter(f"features {spec.name}", self._images_a_step("features", spec))
                extractor.fit(self.work.dataset.train, self._context(RULER_SEED, compute=RULER_COMPUTE))
                state = extractor.state_dict()
                return {"state.pt": state_bytes(state)}, {"weights": weights_digest(state)}

            entry = self._kept("extractor", self.inputs.extractor(spec), make, compute=RULER_COMPUTE)
            extractor.load_state_dict(load_state(entry.file("state.pt")))
            self._extractors[spec.name] = (extractor, str(entry.meta["weights"]))
        return self._extractors[spec.name]

    def _features(self, images: Tensor, key: str, n: int, spec: PluginSpec) -> Features:
        extractor, weights = self.extractor(spec)

        def make() -> Made:
            self.progress.enter(f"features {spec.name}")
            return {"features.npy": array_bytes(extractor.extract(images, self.work.device))}, {}

        entry = self._kept("features", self.inputs.features(key, n, spec, weights), make)
        return np.asarray(load_array(entry.file("features.npy")), dtype=np.float32)

    def metric(self, extractor: PluginSpec, metric: PluginSpec) -> Entry:
        """One metric in one feature space, on the same number of real and synthetic images."""
        began = time.perf_counter()
        _, weights = self.extractor(extractor)

        def make() -> Made:
            instance: Metric = self.work.make("metrics", metric)
            sets = self._feature_sets(extractor, instance)
            self.progress.enter(f"{metric.name} {extractor.name}")
            rng = numpy_generator(self.cell.seed, "metric", metric.name, extractor.name)
            values = check_values(instance.compute(sets, rng), instance, sets.classes)
            compared = sets.synthetic if sets.drawn is None else sets.drawn
            return {}, {"values": values, "n": len(compared), "dimensions": sets.real.shape[1]}

        return self._kept("metric", self.inputs.metric(self.cell, extractor, metric, weights), make, began=began)

    def _feature_sets(self, spec: PluginSpec, metric: Metric) -> FeatureSets:
        """What the metric compares; further sets only where it needs them."""
        n, test = self.inputs.metric_count, self.work.dataset.test
        extractor, _ = self.extractor(spec)
        real = compared(test, n)
        other = self.held_out_samples if self.cell.spec is not None else compared(self.work.dataset.val, n)
        synthetic = self._features(other.images, self.inputs.compared(self.cell), n, spec)
        further: dict[str, Any] = {}
        if "train" in metric.needs:
            copied = self.inputs.copied_from(self.cell)
            train = self._features(copied.images, copied.fingerprint, len(copied), spec)
            further |= {"train": train, "train_labels": copied.labels.numpy()}
        if "drawn" in metric.needs:
            further |= self._drawn(spec) or {"drawn": synthetic, "drawn_labels": other.labels.numpy()}
        if "probabilities" in metric.needs:
            assert isinstance(extractor, ProbabilityModel)
            further["probabilities"] = extractor.probabilities(synthetic)
        return FeatureSets(
            real=self._features(real.images, test.fingerprint, n, spec),
            synthetic=synthetic,
            real_labels=real.labels.numpy(),
            synthetic_labels=other.labels.numpy(),
            classes=len(test.classes),
            **further,
        )

    def _drawn(self, spec: PluginSpec) -> dict[str, Any]:
        """Features of all samples and their labels; nothing for the real images' row."""
        if self.cell.spec is None:
            return {}
        features = self._features(self.samples.images, self.inputs.compared(self.cell), len(self.samples), spec)
        return {"drawn": features, "drawn_labels": self.samples.labels.numpy()}

    @cached_property
    def held_out_samples(self) -> LabelledImages:
        """The samples that no arm is trained on."""
        return self.plan.of_held_out(self.samples)

    def likelihood(self) -> Entry:
        """Bits per dimension of the test images; of generators that have an exact likelihood alone."""

        def make() -> Made:
            generator = self._fitted()
            assert isinstance(generator, LikelihoodModel)
            self.progress.enter("likelihood")
            context = SampleContext(derive_seed(self.cell.seed, "likelihood"), self.work.device)
            bits = generator.bits_per_dim(self.work.dataset.test, context)
            return {}, {"bits_per_dim": float(bits.double().mean())}

        return self._kept("likelihood", self.inputs.likelihood(self.cell), make)

    def real_classifier(self, replicate: int) -> tuple[Predictor, list[list[float]]]:
        """The classifier trained on the real images, shared by all rows of a seed and setting; its loss by step."""

        def make() -> Made:
            self._enter_classifier("real")
            predictor, curve = self._train_classifier(self.train, Arm("real", replicate=replicate))
            return {"state.pt": state_bytes(predictor.state_dict())}, {"curve": curve}

        entry = self._kept("classifier", self.inputs.real_classifier(self.cell, replicate), make)
        return self._classifier().restore(load_state(entry.file("state.pt")), self.work.device), entry.meta["curve"]

    def _train_classifier(self, data: LabelledImages, arm: Arm) -> tuple[Predictor, list[list[float]]]:
        """Same seed, so same initialisation; same number of steps, whatever the arm; with the loss by step."""
        seed = classifier_seed(self.cell.seed, arm.replicate)
        curve: list[list[float]] = []
        changed = 0

        def change(images: Tensor, generator: torch.Generator) -> Tensor:
            nonlocal changed
            changed += 1
            assert self.inputs.protocol.classical is not None
            return augment(images, self.inputs.protocol.classical, generator)

        def log(phase: str, step: int, total: int, values: Mapping[str, float]) -> None:
            self.progress.step(phase, step, total, values)
            curve.append([step, *map(float, values.values())])

        context = replace(self._context(seed), log=log, augment=change if arm.augmented else None)
        predictor = self._classifier().train(data, self.inputs.protocol.classifier_steps, context)
        if arm.augmented and not changed:
            name = self.inputs.protocol.classifier.name
            raise DataError(
                f"classifier {name} never called ctx.augment, so its arm {arm.name} is not augmented; train it through "
                "bb.fit_loop, or say classical: null under protocol"
            )
        return predictor, curve

    def arm(self, arm: Arm) -> Entry:
        """Train on the arm's images and evaluate on ``val``, ``test`` and, of a generator, its held-out samples.

        ``agreement`` is the other way round: the real classifier on synthetic images. One minus its accuracy
        is the label noise of the synthetic set, as far as that classifier can tell.
        """

        def make() -> Made:
            if arm.name == "agreement":
                predictor, _ = self.real_classifier(arm.replicate)
                return {}, {"synthetic": asdict(evaluate(predictor, self.held_out_samples))}
            if arm.name == "real":
                predictor, curve = self.real_classifier(arm.replicate)
            else:
                samples = None if self.cell.spec is None else self.samples
                data = training_set(arm, self.train, samples, self.plan, self.cell.seed)
                self._enter_classifier(arm.name)
                predictor, curve = self._train_classifier(data, arm)
            return {}, {**self._evaluations(predictor), "curve": curve}

        return self._kept("arm", self.inputs.arm(self.cell, arm), make)

    def _evaluations(self, predictor: Predictor) -> dict[str, Any]:
        tested = {"val": self.work.dataset.val, "test": self.work.dataset.test}
        if self.cell.spec is not None:
            tested["synthetic"] = self.held_out_samples
        results: dict[str, Evaluation] = {name: evaluate(predictor, data) for name, data in tested.items()}
        return {name: asdict(result) for name, result in results.items()}

    def _warm_up(self) -> None:
        """Start the device, and forget how much memory others took: neither is the fit's."""
        if self.work.device.type == "cuda":
            torch.zeros(1, device=self.work.device)
            self._synchronize()
            torch.cuda.reset_peak_memory_stats(self.work.device)

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
