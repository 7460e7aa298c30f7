"""What only a GPU can show. Skipped, by name, where there is none; run with ``pytest -m gpu -n 0``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from benchbench_plugins.cgan import Cgan
from benchbench_plugins.dcgan import Dcgan
from benchbench_plugins.flow import Flow
from benchbench_plugins.vae import Vae
from benchbench_plugins.wgan_gp import WganGp
from torch import Tensor

import benchbench as bb
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.testing import mock_images
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.training.acceleration import resolve
from benchbench.types import Budget, Compute, FitContext

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine shows no CUDA device"),
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
    losses = GENERATORS["cgan"].fit(DATA, context(compute=compute))
    assert all(abs(value) < 100 for value in losses.values())  # type: ignore[union-attr]


def test_a_fit_goes_on_from_a_checkpoint_on_the_gpu() -> None:
    checkpoint, generator = MemoryCheckpoint(due_at=30), GENERATORS["vae"]
    whole = generator.fit(DATA, context(checkpoint=checkpoint))
    resumed = generator.fit(DATA, context(checkpoint=checkpoint))
    assert resumed == pytest.approx(whole, rel=0.05)
