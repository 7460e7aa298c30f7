"""The mathematics and the wiring of the variational autoencoder."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from benchbench_plugins.vae import (
    CELL,
    SMALLEST_VARIANCE,
    Vae,
    VaeNetwork,
    discretised_gaussian_nll,
    gaussian_nll,
    kl_to_standard_normal,
    optimal_gaussian_nll,
)
from scipy import stats
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

import benchbench as bb

CPU = torch.device("cpu")
TINY = {"steps": 6, "batch_size": 8, "width": 8, "latent": 4, "embedding": 4}


def images(shape: tuple[int, int, int] = (1, 8, 8), count: int = 30, classes: int = 3) -> bb.LabelledImages:
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=bb.torch_generator(0, "images"))
    return bb.LabelledImages(pixels, torch.arange(count) % classes, tuple("abcdefgh"[:classes]))


def context(seed: int = 0, **more: Any) -> bb.FitContext:
    return bb.FitContext(seed=seed, device=CPU, generator=bb.torch_generator(seed, "fit"), **more)


def fitted(data: bb.LabelledImages | None = None, seed: int = 0, **config: Any) -> Vae:
    vae = Vae(Vae.Config(**{**TINY, **config}))
    vae.fit(data or images(), context(seed))
    return vae


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=bb.torch_generator(2, "inputs"), dtype=torch.float64)


def every_level() -> Tensor:
    """``(256, 1, 1, 1)``: each grey level once, as the networks see it."""
    return bb.to_float(torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1))


# Losses


def test_kl_is_that_of_torch_and_zero_at_the_prior() -> None:
    mean, log_variance = normal(5, 7), normal(5, 7) * 0.7
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros(5, 7).double(), torch.ones(5, 7).double()), 1)
    assert torch.allclose(kl_to_standard_normal(mean, log_variance), kl_divergence(posterior, prior))
    assert torch.equal(kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


def test_kl_of_one_unit_shift_is_half_a_nat() -> None:
    assert kl_to_standard_normal(torch.ones(1, 1), torch.zeros(1, 1)).item() == pytest.approx(0.5)


@pytest.mark.parametrize("sigma", [0.03, 0.5, 2.0])
def test_gaussian_nll_is_scipys(sigma: float) -> None:
    x, mean = normal(4, 1, 3, 3), normal(4, 1, 3, 3).flip(0)
    expected = -stats.norm(mean.numpy(), sigma).logpdf(x.numpy()).sum(axis=(1, 2, 3))
    assert gaussian_nll(x, mean, sigma).numpy() == pytest.approx(expected)


def test_optimal_nll_is_the_lowest_over_sigma() -> None:
    x, mean = normal(6, 1, 4, 4), normal(6, 1, 4, 4).flip(0) * 0.5
    best = float((x - mean).square().mean().sqrt())
    optimum = float(optimal_gaussian_nll(x, mean))
    assert optimum == pytest.approx(float(gaussian_nll(x, mean, best).mean()))
    assert all(float(gaussian_nll(x, mean, best * factor).mean()) > optimum for factor in (0.8, 0.99, 1.01, 1.2))


def test_optimal_nll_of_a_perfect_reconstruction_is_finite() -> None:
    x = normal(2, 1, 4, 4)
    expected = 8 * (math.log(2 * math.pi * SMALLEST_VARIANCE) + 1)
    assert float(optimal_gaussian_nll(x, x)) == pytest.approx(expected)


@pytest.mark.parametrize("sigma", [0.002, 0.05, 1.0])
@pytest.mark.parametrize("centre", [-1.0, -0.31, 0.0, 0.999])
def test_discretised_gaussian_is_a_probability(sigma: float, centre: float) -> None:
    nll = discretised_gaussian_nll(every_level(), torch.full((256, 1, 1, 1), centre), sigma)
    assert bool(nll.isfinite().all())
    assert float((-nll).exp().sum()) == pytest.approx(1.0, abs=1e-9)


def test_discretised_gaussian_is_scipys_and_keeps_its_tails() -> None:
    x, sigma = every_level(), 0.1
    nll = discretised_gaussian_nll(x, torch.full_like(x, -0.9), sigma).numpy()
    edges = (x.double().flatten().numpy()[:, None] + np.array([-0.5, 0.5]) * CELL + 0.9) / sigma
    edges[0, 0], edges[-1, 1] = -np.inf, np.inf
    body = slice(0, 60)
    expected = -np.log(stats.norm.cdf(edges[body, 1]) - stats.norm.cdf(edges[body, 0]))
    assert nll[body] == pytest.approx(expected, rel=1e-5)
    assert nll[255] == pytest.approx(-stats.norm.logsf(edges[255, 0]), rel=1e-5)


def test_discretised_gaussian_approaches_the_density_times_the_cell() -> None:
    x = every_level()[40:200]
    nll = discretised_gaussian_nll(x, torch.zeros_like(x), 0.5)
    assert torch.allclose(nll, gaussian_nll(x, torch.zeros_like(x), 0.5).double() - math.log(CELL), atol=1e-4)


# Network


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 7, 9)])
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes(shape: tuple[int, int, int], classes: int) -> None:
    network = VaeNetwork(shape, classes, latent=6, width=8, embedding=4)
    x, labels = torch.zeros(2, *shape), torch.tensor([0, 4])
    mean, log_variance = network.encode(x, labels)
    assert mean.shape == log_variance.shape == (2, 6)
    reconstruction, kl = network(x, labels, bb.torch_generator(0, "noise"))
    assert reconstruction.shape == x.shape and kl.shape == (2,)
    assert float(reconstruction.detach().abs().max()) <= 1


# The generator


def test_facts_are_finite_and_consistent() -> None:
    facts = Vae(Vae.Config(**TINY)).fit(images(), context())
    assert set(facts) == {"sigma", "train_elbo_bits_per_dim", "train_kl_nats"}
    # Uniform random pixels cost at least 8 bits; their standard deviation about any constant is at least 0.577.
    assert 0.5 < facts["sigma"] < 1.0
    assert 8.0 < facts["train_elbo_bits_per_dim"] < 10.0
    assert facts["train_kl_nats"] >= 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 7, 10), (3, 32, 32)])
@pytest.mark.parametrize("conditional", [True, False])
def test_samples_are_images_and_do_not_depend_on_n(shape: tuple[int, int, int], conditional: bool) -> None:
    vae = fitted(images(shape), conditional=conditional)
    labels, ctx = torch.arange(133) % 3, bb.SampleContext(3, CPU)
    x = vae.sample(labels, ctx)
    assert x.shape == (133, *shape) and x.dtype == torch.uint8
    assert torch.equal(x[:5], vae.sample(labels[:5], ctx))
    assert torch.equal(x, vae.sample(labels, ctx))
    assert not torch.equal(x, vae.sample(labels, bb.SampleContext(4, CPU)))
    assert vae.conditional is conditional
    assert torch.equal(x, vae.sample((labels + 1) % 3, ctx)) is not conditional


def test_sample_noise_adds_noise_of_sigma_to_the_mean() -> None:
    vae = fitted()
    vae.sigma = 0.1
    labels, ctx = torch.zeros(64, dtype=torch.int64), bb.SampleContext(0, CPU)
    mean = bb.to_float(vae.sample(labels, ctx))
    vae.config = vae.config.model_copy(update={"sample_noise": not vae.config.sample_noise})
    other = bb.to_float(vae.sample(labels, ctx))
    assert float((other - mean).std()) == pytest.approx(0.1, rel=0.05)


def test_state_survives_a_file_and_a_fresh_object() -> None:
    vae = fitted(sample_noise=True)
    torch.save(vae.state_dict(), buffer := io.BytesIO())
    buffer.seek(0)
    fresh = Vae(vae.config)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    labels, ctx = torch.arange(9) % 3, bb.SampleContext(0, CPU)
    assert torch.equal(fresh.sample(labels, ctx), vae.sample(labels, ctx))


class StopAt:
    """A checkpoint that saves once, at one step, through a file."""

    def __init__(self, step: int) -> None:
        self.left = step
        self.state: dict[str, Any] | None = None

    def load(self) -> dict[str, Any] | None:
        return self.state

    def due(self) -> bool:
        self.left -= 1
        return self.left == 0

    def save(self, state: dict[str, Any]) -> None:
        torch.save(state, buffer := io.BytesIO())
        buffer.seek(0)
        self.state = torch.load(buffer, weights_only=True)


def test_a_resumed_fit_is_the_uninterrupted_fit_bit_for_bit() -> None:
    data, checkpoint = images(), StopAt(3)
    whole, resumed = Vae(Vae.Config(**TINY)), Vae(Vae.Config(**TINY))
    whole.fit(data, context(checkpoint=checkpoint))
    assert checkpoint.state is not None and checkpoint.state["index"] == 3
    resumed.fit(data, context(checkpoint=checkpoint))
    assert whole.sigma == resumed.sigma
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_same_seed_same_weights_and_the_global_state_is_untouched() -> None:
    before = torch.get_rng_state()
    one = fitted(seed=1).network.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    two, other = fitted(seed=1).network.state_dict(), fitted(seed=2).network.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_short_fit_follows_labels_and_learns_sigma() -> None:
    """Pixels are a class's grey plus noise of standard deviation 10 / 127.5: sigma must come out at that."""
    labels = torch.arange(128) % 2
    noise = 10 * torch.randn(128, 1, 8, 8, generator=bb.torch_generator(0, "noise"))
    pixels = (60 + 130 * labels.view(-1, 1, 1, 1) + noise).round().clamp(0, 255).to(torch.uint8)
    vae = Vae(Vae.Config(**{**TINY, "steps": 500, "batch_size": 32, "learning_rate": 5e-3, "latent": 2}))
    facts = vae.fit(bb.LabelledImages(pixels, labels, ("dark", "bright")), context())
    x = vae.sample(labels, bb.SampleContext(0, CPU)).float().mean(dim=(1, 2, 3))
    # Only a shift of the right sign: part of the class stays in z, so samples from the prior mix the two greys.
    assert float(x[1::2].median()) - float(x[0::2].median()) > 40
    assert facts["sigma"] == pytest.approx(10 / 127.5, rel=0.1)
    # The entropy of the noise in grey levels: log2(10 sqrt(2 pi e)).
    entropy = math.log2(10 * math.sqrt(2 * math.pi * math.e))
    assert facts["train_elbo_bits_per_dim"] == pytest.approx(entropy, abs=0.25)
