"""What only a GPU can show. Skipped, by name, where there is none; run with ``pytest -m gpu -n 0``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from benchbench_plugins.cgan import Cgan
from benchbench_plugins.dcgan import Dcgan
from benchbench_plugins.flow import Flow
from benchbench_plugins.vae import Vae
from benchbench_plugins.wgan_gp import WganGp
from conftest import Bench
from torch import Tensor

import benchbench as bb
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.downstream.cnn_strided import CnnStrided
from benchbench.downstream.resnet9 import ResNet9Classifier
from benchbench.features.domain import Domain
from benchbench.features.efficientnet_lite0 import EfficientnetLite0
from benchbench.testing import mock_images
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.training.acceleration import resolve
from benchbench.training.augmentation import augment
from benchbench.types import Augmentation, Budget, Compute, FitContext

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="no CUDA device is shown (pytest -m gpu -n 0 asks for one)"
    ),
]

GPU = torch.device("cuda")
DATA = mock_images(3, 16, 16, per_class=40)
GANS = {"steps": 60, "batch_size": 16, "width": 8, "discriminator_width": 8}
GENERATORS: dict[str, bb.Generator] = {
    "dcgan": Dcgan(Dcgan.Config(**GANS)),
    "dcgan-resnet": Dcgan(Dcgan.Config(**GANS, network="resnet", discriminator_norm="spectral", loss="hinge")),
    "cgan": Cgan(Cgan.Config(**GANS, n_critic=2, diff_augment=("color", "translation", "cutout"))),
    "wgan_gp": WganGp(WganGp.Config(**GANS, n_critic=2)),
    "vae": Vae(Vae.Config(steps=60, batch_size=16, width=8, latent=8)),
    "flow": Flow(Flow.Config(steps=60, batch_size=16, width=16, depth=2, scales=2)),
}


def context(device: torch.device = GPU, **changes: Any) -> FitContext:
    generator = bb.torch_generator(0, "fit", device=device)
    ctx = FitContext(seed=0, device=device, generator=generator, compute=resolve(device))
    return dataclasses.replace(ctx, **changes)


def sampling(device: torch.device = GPU) -> bb.SampleContext:
    return bb.SampleContext(seed=0, device=device)


class Unwaiting:
    """A training step in which waiting for the GPU is an error."""

    def __init__(self, inner: bb.TrainStep) -> None:
        self.inner = inner
        self.exact = getattr(inner, "exact", False)

    def step(self, *arguments: Any) -> Mapping[str, Tensor]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return self.inner.step(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)


def test_a_gpu_trains_in_bfloat16_where_it_can() -> None:
    expected = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    assert resolve(GPU) == Compute(expected, channels_last=True)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_step_never_waits_for_the_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bb.fit_loop
    for place in ("benchbench.training.fit_loop", "benchbench.training.gan.fit_loop"):
        monkeypatch.setattr(place, lambda step, *rest, **named: plain(Unwaiting(step), *rest, **named))
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
    assert again.sample(labels[:3], sampling(torch.device("cpu"))).shape == (3, 3, 16, 16)


def _to_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_cpu(item) for key, item in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value


@pytest.mark.parametrize(
    "compute",
    [
        Compute(),
        Compute("bf16", channels_last=True),
        Compute("bf16", channels_last=True, compile=True),
        Compute("bf16", channels_last=True, compile=True, cuda_graphs=True),
    ],
)
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


def test_a_fit_goes_on_from_a_checkpoint_on_the_gpu() -> None:
    checkpoint, generator = MemoryCheckpoint(due_at=30), GENERATORS["vae"]
    whole = generator.fit(DATA, context(checkpoint=checkpoint))
    resumed = generator.fit(DATA, context(checkpoint=checkpoint))
    assert resumed == pytest.approx(whole, rel=0.05)


CLASSIFIERS: dict[str, bb.Classifier] = {
    "cnn_small": CnnSmall(CnnSmall.Config(width=8)),
    "cnn_strided": CnnStrided(CnnStrided.Config(width=8, batch_size=16, learning_rate=1e-3)),
    "resnet9": ResNet9Classifier(ResNet9Classifier.Config(width=8, batch_size=64)),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_learns_on_the_gpu_and_says_the_same_on_the_cpu(name: str) -> None:
    predictor = CLASSIFIERS[name].train(DATA, 100, context())
    there = predictor.predict(DATA.images)
    assert (there.argmax(dim=1) == DATA.labels).float().mean() > 0.95
    state = {key: _to_cpu(value) for key, value in predictor.state_dict().items()}
    here = CLASSIFIERS[name].restore(state, torch.device("cpu")).predict(DATA.images)
    assert float((there - here).abs().max()) < 0.02  # convolutions there may round to 10 bits


def test_augmenting_a_batch_never_waits_for_the_gpu() -> None:
    images, random = DATA.images.to(GPU), bb.torch_generator(0, device=GPU)
    augment(images, Augmentation(), random)
    torch.cuda.set_sync_debug_mode("error")
    try:
        changed = augment(images, Augmentation(), random)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert changed.shape == images.shape and not torch.equal(changed, images)


@pytest.mark.parametrize("extractor", [Domain(Domain.Config(steps=100)), EfficientnetLite0(EfficientnetLite0.Config())])
def test_features_on_the_gpu_are_those_of_the_cpu(
    extractor: bb.FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # else products are rounded to 10 bits
    extractor.fit(DATA, context(compute=Compute()))
    there, here = (torch.from_numpy(extractor.extract(DATA.images, where)) for where in (GPU, torch.device("cpu")))
    assert float((there - here).norm() / here.norm()) < 0.01


def test_a_benchmark_runs_on_the_gpu_and_is_served_afterwards(bench: Bench) -> None:
    rows = "generators=[{name: cgan, config: {steps: 60, width: 8, discriminator_width: 8}}, noise]"
    done = bench.run("--device", "cuda", "--set", rows)
    assert "3 cells computed" in done.stdout
    manifest = json.loads((bench.folder / "reports/toy-board/manifest.json").read_text())
    assert all(one["device"].startswith(torch.cuda.get_device_name()) for one in manifest["environments"])
    assert "0 cells computed, 3 served" in bench.run("--device", "cuda", "--set", rows).stdout
