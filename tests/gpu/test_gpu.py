"""What only a GPU can show. Skipped, by name, where there is none; run with ``pytest -m gpu -n 0``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from benchbench_plugins.vae import Vae
from conftest import Bench
from models import CLASSIFIERS, DATA, GENERATORS, Watched
from test_features import random_inception_weights
from torch import Tensor

import benchbench as bb
from benchbench.datasets.digits import Digits
from benchbench.downstream.arms import evaluate
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.downstream.labels import labelled
from benchbench.features._fid_inception import FidInception
from benchbench.features.domain import Domain
from benchbench.features.efficientnet_lite0 import EfficientnetLite0
from benchbench.features.inception import Inception
from benchbench.metrics.frechet import frechet_distance, moments
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.training.acceleration import resolve
from benchbench.training.augmentation import augment
from benchbench.training.batches import BatchPlan
from benchbench.types import Augmentation, Budget, Compute, FitContext

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="no CUDA device is shown (pytest -m gpu -n 0 asks for one)"
    ),
]

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def context(device: torch.device = GPU, **changes: Any) -> FitContext:
    seed = changes.get("seed", 0)
    generator = bb.torch_generator(seed, "fit", device=device)
    ctx = FitContext(seed=seed, device=device, generator=generator, compute=resolve(device))
    return dataclasses.replace(ctx, **changes)


def sampling(device: torch.device = GPU) -> bb.SampleContext:
    return bb.SampleContext(seed=0, device=device)


@contextmanager
def never_waiting() -> Iterator[None]:
    """Waiting for the GPU is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_gpu_trains_in_bfloat16_where_it_can() -> None:
    expected = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    assert resolve(GPU) == Compute(expected, channels_last=True)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_step_never_waits_for_the_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bb.fit_loop
    for place in ("benchbench.training.fit_loop", "benchbench.training.gan.fit_loop"):
        monkeypatch.setattr(place, lambda step, *rest, **named: plain(Watched(step, never_waiting), *rest, **named))
    generator = GENERATORS[name]
    generator.fit(DATA, context(budget=Budget(max_steps=10)))


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_fits_and_samples_and_goes_back_to_the_cpu(name: str) -> None:
    generator = GENERATORS[name]
    facts = generator.fit(DATA, context())
    assert all(torch.isfinite(torch.tensor(value)) for value in (facts or {}).values())
    labels = torch.arange(1500) % 3
    many, few = generator.sample(labels, sampling()), generator.sample(labels[:100], sampling())
    assert many.device.type == "cpu" and many.dtype == torch.uint8
    assert torch.equal(many[:100], few)
    again = type(generator)(generator.config)
    again.load_state_dict({key: _to_cpu(value) for key, value in generator.state_dict().items()})
    assert again.sample(labels[:3], sampling(CPU)).shape == (3, 3, 16, 16)


def _to_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_cpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_cpu(item) for item in value]
    return value.cpu() if isinstance(value, Tensor) else value


def without_labels(labels: str) -> bb.Generator:
    """A VAE that knows no classes, and gets its labels in that way."""
    config = Vae.Config(steps=150, batch_size=16, width=8, latent=2, conditional=False, learning_rate=3e-3)
    return labelled(Vae, config, labels, CLASSIFIERS["cnn_small"], 100)


@pytest.mark.parametrize("way", ["per_class", "pseudo_label"])
def test_a_generator_without_labels_gets_them_on_the_gpu(way: str) -> None:
    generator, labels = without_labels(way), torch.arange(900) % 3
    generator.fit(DATA, context())
    images = generator.sample(labels, sampling())
    means = torch.stack([DATA.of_class(label).images.float().mean(dim=0) for label in range(3)])
    nearest = torch.cdist(images.float().flatten(1), means.flatten(1)).argmin(dim=1)
    assert (nearest == labels).float().mean() > 0.45  # by chance a third; on a CPU 0.58 was the least of eight
    again = without_labels(way)
    again.load_state_dict(_to_cpu(generator.state_dict()))
    assert again.sample(labels, sampling(CPU)).shape == images.shape


COMPUTES = [
    Compute(),
    Compute("bf16", channels_last=True),
    Compute("bf16", channels_last=True, compile=True),
    Compute("bf16", channels_last=True, compile=True, cuda_graphs=True),
]


@pytest.mark.parametrize("compute", COMPUTES)
def test_every_switch_trains_a_classifier_as_well(compute: Compute) -> None:
    predictor = CnnSmall(CnnSmall.Config(width=8)).train(DATA, 100, context(compute=compute))
    accuracy = (predictor.predict(DATA.images).argmax(dim=1) == DATA.labels).float().mean()
    assert accuracy > 0.95


@pytest.mark.parametrize("compiled", [False, True])
def test_a_compiled_gan_trains(compiled: bool) -> None:
    compute = Compute("bf16", channels_last=True, compile=compiled, cuda_graphs=compiled)
    states = []
    for steps in (1, 60):
        losses = GENERATORS["cgan"].fit(DATA, context(compute=compute, budget=Budget(max_steps=steps)))
        assert all(abs(value) < 100 for value in (losses or {}).values())
        states.append(GENERATORS["cgan"].state_dict()["network"])
    stuck = [
        key for key, value in states[0].items() if value.is_floating_point() and torch.equal(value, states[1][key])
    ]
    assert not stuck


@pytest.mark.parametrize("name", ["vae", "wgan_gp", "flow"])
def test_a_compiled_generator_trains_as_a_plain_one(name: str) -> None:
    plain, compiled = (
        GENERATORS[name].fit(DATA, context(compute=compute, budget=Budget(max_steps=20))) or {}
        for compute in (COMPUTES[1], COMPUTES[-1])
    )
    if name == "wgan_gp":  # what a game leads to, rounding decides
        assert all(abs(value) < 100 for value in (*plain.values(), *compiled.values()))
    else:
        assert compiled == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("way", [None, "per_class"])
def test_a_fit_goes_on_from_a_checkpoint_on_the_gpu(way: str | None) -> None:
    """Of one model a class, in the second class."""
    generator, due = (without_labels(way), 150 + 30) if way else (GENERATORS["vae"], 30)
    checkpoint = MemoryCheckpoint(due)
    whole = generator.fit(DATA, context(checkpoint=checkpoint))
    assert checkpoint.saved is not None
    resumed = generator.fit(DATA, context(checkpoint=checkpoint))
    assert resumed == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_learns_on_the_gpu_and_says_the_same_on_the_cpu(name: str) -> None:
    predictor = CLASSIFIERS[name].train(DATA, 100, context())
    there = predictor.predict(DATA.images)
    assert (there.argmax(dim=1) == DATA.labels).float().mean() > 0.95
    state = {key: _to_cpu(value) for key, value in predictor.state_dict().items()}
    here = CLASSIFIERS[name].restore(state, CPU).predict(DATA.images)
    assert float((there - here).abs().max()) < 0.02  # convolutions there may round to 10 bits


def accuracy(classifier: bb.Classifier, ctx: FitContext) -> float:
    data = Digits().load(Path())
    return evaluate(classifier.train(data.train, 150, ctx), data.test).accuracy


def bits_per_dim(generator: bb.Generator, ctx: FitContext) -> float:
    return float((generator.fit(Digits().load(Path()).train, ctx) or {})["train_elbo_bits_per_dim"])


@pytest.mark.parametrize(
    ("measure", "model", "tolerance"),
    [
        (accuracy, CLASSIFIERS["cnn_small"], 0.02),
        (accuracy, CLASSIFIERS["resnet9"], 0.02),
        (bits_per_dim, Vae(Vae.Config(steps=150, batch_size=64, width=8, latent=8)), 0.02),
    ],
)
def test_bfloat16_learns_as_well_as_float32(
    measure: Callable[[Any, FitContext], float], model: Any, tolerance: float
) -> None:
    exact, rounded = (
        mean(measure(model, context(compute=compute, seed=seed)) for seed in range(5)) for compute in COMPUTES[:2]
    )
    assert abs(rounded - exact) < tolerance


def test_augmenting_a_batch_never_waits_for_the_gpu() -> None:
    images, random = DATA.images.to(GPU), bb.torch_generator(0, device=GPU)
    augment(images, Augmentation(), random)
    with never_waiting():
        changed = augment(images, Augmentation(), random)
    assert changed.shape == images.shape and not torch.equal(changed, images)


def test_the_order_of_a_new_epoch_is_not_waited_for() -> None:
    plan, expected = (BatchPlan(count=50, batch_size=16, seed=0, device=device) for device in (GPU, CPU))
    plan.batch(0)
    with never_waiting():
        batches = [plan.batch(step) for step in range(1, 9)]  # past the ends of two epochs
    assert all(batch.device.type == GPU.type for batch in batches)
    assert all(torch.equal(batch.cpu(), expected.batch(step)) for step, batch in enumerate(batches, start=1))


@pytest.mark.parametrize("extractor", [Domain(Domain.Config(steps=100)), EfficientnetLite0(EfficientnetLite0.Config())])
def test_features_on_the_gpu_are_those_of_the_cpu(
    extractor: bb.FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # else products are rounded to 10 bits
    extractor.fit(DATA, context(compute=Compute()))
    there, here = (torch.from_numpy(extractor.extract(DATA.images, where)) for where in (GPU, CPU))
    assert float((there - here).norm() / here.norm()) < 0.01


def test_inceptions_distance_on_the_gpu_is_that_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """In convolutions whose products are rounded to 10 bits, as they are unless torch is told otherwise."""
    extractor = Inception()
    extractor.network = FidInception(random_inception_weights(monkeypatch))
    images = torch.cat([DATA.of_class(label).images[:8] for label in (0, 1)])
    there, here = (extractor.extract(images, where) for where in (GPU, CPU))
    assert np.linalg.norm(there - here) / np.linalg.norm(here) < 1e-2
    far, near = (frechet_distance(*moments(each[:8]), *moments(each[8:])) for each in (there, here))
    assert far == pytest.approx(near, rel=2e-2)


def test_a_benchmark_runs_on_the_gpu_and_is_served_afterwards(bench: Bench) -> None:
    rows = "generators=[{name: cgan, config: {steps: 60, width: 8, discriminator_width: 8}}, noise]"
    done = bench.run("--device", "cuda", "--set", rows)
    assert "3 cells computed" in done.stdout
    manifest = json.loads((bench.folder / "reports/toy-board/manifest.json").read_text())
    assert all(one["device"].startswith(torch.cuda.get_device_name()) for one in manifest["environments"])
    assert "0 cells computed, 3 served" in bench.run("--device", "cuda", "--set", rows).stdout
