"""The mathematics and the wiring of the flow."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from benchbench_plugins.flow import (
    Flow,
    bits_per_dim,
    dequantise,
    from_levels,
    from_logit,
    log_likelihood,
    quantise,
    to_levels,
    to_logit,
)
from torch import Tensor

import benchbench as bb
from benchbench.networks.invertible import ActNorm, AffineCoupling, ClassNorm, Invertible, InvertibleConv, Squeeze
from benchbench.types import LikelihoodModel

CPU = torch.device("cpu")
TINY = {"steps": 6, "batch_size": 8, "width": 8, "depth": 2, "scales": 2}


def images(shape: tuple[int, int, int] = (1, 8, 8), count: int = 30, classes: int = 3) -> bb.LabelledImages:
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=bb.torch_generator(0, "images"))
    return bb.LabelledImages(pixels, torch.arange(count) % classes, tuple("abcdefgh"[:classes]))


def context(seed: int = 0, **more: Any) -> bb.FitContext:
    return bb.FitContext(seed=seed, device=CPU, generator=bb.torch_generator(seed, "fit"), **more)


def fitted(data: bb.LabelledImages | None = None, seed: int = 0, **config: Any) -> Flow:
    flow = Flow(Flow.Config(**{**TINY, **config}))
    flow.fit(data or images(), context(seed))
    return flow


def shaken(module: torch.nn.Module, dtype: torch.dtype = torch.float64, scale: float = 0.1) -> Any:
    """``module`` away from its identity-like initialisation, all weights from one seed."""
    generator = bb.torch_generator(1, "shake")
    for part in module.modules():
        if isinstance(part, Invertible):
            part.reset(generator)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return module.to(dtype)


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=bb.torch_generator(2, "inputs"), dtype=dtype)


LAYERS = {
    "squeeze": (lambda: Squeeze(), (2, 4, 4)),
    "actnorm": (lambda: ActNorm(3), (3, 2, 2)),
    "convolution": (lambda: InvertibleConv(4), (4, 2, 3)),
    "coupling of a small map": (lambda: AffineCoupling((3, 2, 2), 8, 5), (3, 2, 2)),
    "coupling of a large map": (lambda: AffineCoupling((3, 4, 6), 8, 5), (3, 4, 6)),
    "unconditional coupling": (lambda: AffineCoupling((2, 2, 2), 8, 0), (2, 2, 2)),
    "class norm": (lambda: ClassNorm(7, 5), (7,)),
    "one scale": (lambda: bb.MultiScaleFlow((1, 4, 4), 1, 2, 8, 5), (1, 4, 4)),
    "three scales": (lambda: bb.MultiScaleFlow((1, 8, 8), 3, 2, 8, 5), (1, 8, 8)),
    "colour, oblong": (lambda: bb.MultiScaleFlow((3, 4, 8), 2, 2, 8, 5), (3, 4, 8)),
}


# Invertibility and determinants


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_inverse_of_forward_is_the_identity_both_ways(name: str, dtype: torch.dtype, tolerance: float) -> None:
    factory, shape = LAYERS[name]
    layer = shaken(factory(), dtype, scale=0.1 if dtype is torch.float64 else 0.05)
    x, labels = normal(6, *shape, dtype=dtype), torch.arange(6) % 5
    y, _ = layer(x, labels)
    assert (layer.inverse(y, labels) - x).abs().max() < tolerance
    assert (layer(layer.inverse(y, labels), labels)[0] - y).abs().max() < tolerance
    if name != "squeeze":
        assert (y.flatten() - x.flatten()).abs().max() > 0.01


@pytest.mark.parametrize("name", LAYERS)
def test_log_determinant_is_that_of_the_jacobian(name: str) -> None:
    factory, shape = LAYERS[name]
    layer = shaken(factory())
    x, labels = normal(2, *shape), torch.tensor([3, 1])
    _, log_det = layer(x, labels)
    for row in range(2):

        def one(flat: Tensor, row: int = row) -> Tensor:
            return layer(flat.view(1, *shape), labels[row : row + 1])[0].flatten()

        jacobian = torch.autograd.functional.jacobian(one, x[row].flatten())
        expected = torch.linalg.slogdet(jacobian).logabsdet
        assert log_det[row].item() == pytest.approx(float(expected), abs=1e-9)


def test_actnorm_makes_its_first_batch_standard() -> None:
    layer, x = ActNorm(3).double(), 5 + 3 * normal(20, 3, 4, 4)
    layer.adapt(x)
    variance, mean = torch.var_mean(layer(x)[0], dim=(0, 2, 3), correction=0)
    assert torch.allclose(mean, torch.zeros(3).double(), atol=1e-12)
    assert torch.allclose(variance, torch.ones(3).double())


def test_convolution_starts_as_a_rotation() -> None:
    layer = InvertibleConv(6).double()
    layer.reset(bb.torch_generator(0, "rotation"))
    weight = layer.weight()
    assert torch.allclose(weight @ weight.T, torch.eye(6).double(), atol=1e-6)
    assert float(layer(normal(1, 6, 2, 2))[1]) == pytest.approx(0.0, abs=1e-6)


def test_adapt_standardises_what_every_actnorm_hands_on() -> None:
    flow = bb.MultiScaleFlow((1, 8, 8), 2, 2, 8, 0).double()
    flow.reset(bb.torch_generator(0, "init"))
    x = 3 + 2 * normal(64, 1, 8, 8)
    flow.adapt(x)
    assert float(flow(x)[0].std()) == pytest.approx(1.0, abs=0.1)


# Dequantisation and bits/dim


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 32, 100, 255, 256])
def test_every_level_survives_the_round_trip(levels: int) -> None:
    level = torch.arange(levels, dtype=torch.float32).repeat(50)
    pixels = bb.to_uint8(from_levels(level, levels).view(-1, 1, 1, 1))
    expected = (level.double() * 255 / (levels - 1)).round()
    assert torch.equal(pixels.flatten().double(), expected)
    again = to_levels(bb.to_float(pixels), levels)
    assert torch.equal(again.flatten(), level)
    x = dequantise(again, levels, bb.torch_generator(0, "noise"))
    assert float(x.min()) >= 0 and float(x.max()) < 1
    assert torch.equal(quantise(x, levels).flatten(), level)


def test_the_largest_noise_stays_in_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randint", lambda low, high, shape, **_: torch.full(shape, high - 1))
    for levels in (17, 200, 256):
        level = torch.arange(levels, dtype=torch.float32)
        assert torch.equal(quantise(dequantise(level, levels, torch.Generator()), levels), level)


def test_dequantised_points_are_uniform_in_their_cell() -> None:
    x = dequantise(torch.full((200_000,), 3.0), 10, bb.torch_generator(0, "noise")).double() * 10 - 3
    assert float(x.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(x.var()) == pytest.approx(1 / 12, abs=0.001)


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.2])
def test_logit_transform_inverts_and_its_determinant_is_its_slope(alpha: float) -> None:
    x = torch.linspace(0, 1, 24).double().view(2, 1, 3, 4).requires_grad_()
    y, log_det = to_logit(x, alpha)
    assert torch.allclose(from_logit(y, alpha), x, atol=1e-12)
    slope = torch.autograd.grad(y.sum(), x)[0]
    assert torch.allclose(log_det, slope.log().flatten(1).sum(1))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_uniform_density_costs_log2_levels(levels: int) -> None:
    assert bits_per_dim(torch.zeros(1), 64, levels).item() == pytest.approx(math.log2(levels))


def test_identity_flow_has_the_closed_form_of_a_normal_density() -> None:
    """With zero weights and no logit, x - 1/2 is the code: E log p = -D/2 (log 2 pi + 1/12) for uniform levels."""
    flow = bb.MultiScaleFlow((1, 2, 2), 1, 1, 4, 0).double()
    for module in flow.modules():
        if isinstance(module, AffineCoupling):
            module.reset(bb.torch_generator(0, "init"))  # last layer zero: the identity
    levels, random = 16, bb.torch_generator(0, "levels")
    level = torch.randint(0, levels, (50_000, 1, 2, 2), generator=random).double()
    x = dequantise(level, levels, random)
    bits = bits_per_dim(log_likelihood(flow, x, None, 0.0), 4, levels).mean()
    expected = math.log2(levels) + 0.5 * (math.log(2 * math.pi) + 1 / 12) / math.log(2)
    assert float(bits.detach()) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("label", [0, 2])
def test_density_integrates_to_one(label: int) -> None:
    """Importance sampling: E_q[p / q] = 1 for points x whose logit is normal with a wider spread than the flow's."""
    flow, alpha = shaken(bb.MultiScaleFlow((1, 2, 2), 1, 2, 8, 3)), 1e-9
    y = 2 * normal(200_000, 1, 2, 2)
    x = from_logit(y, alpha)
    log_q = torch.distributions.Normal(0.0, 2.0).log_prob(y).flatten(1).sum(1) + to_logit(x, alpha)[1]
    with torch.no_grad():
        ratio = (log_likelihood(flow, x, torch.full((len(x),), label), alpha) - log_q).exp()
    error = float(ratio.std()) / len(x) ** 0.5
    assert error < 0.02
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * error)


# The generator


def test_it_is_a_likelihood_model_and_reports_bits_per_dim() -> None:
    data, flow = images(), Flow(Flow.Config(**TINY))
    facts = flow.fit(data, context())
    assert isinstance(flow, LikelihoodModel)
    bits = flow.bits_per_dim(data, bb.SampleContext(0, CPU))
    assert bits.dtype == torch.float64 and bits.shape == (30,)
    assert facts["train_bits_per_dim"] == pytest.approx(float(bits.mean()), abs=0.2)
    # Uniform random pixels can't be coded in fewer than 8 bits, up to the memory of so few steps.
    assert 7.5 < float(bits.mean()) < 12


def test_bits_per_dim_of_an_image_does_not_depend_on_how_many_are_asked_for() -> None:
    data, flow = images(count=140), fitted()
    ctx = bb.SampleContext(5, CPU)
    everything = flow.bits_per_dim(data, ctx)
    assert torch.equal(everything[:7], flow.bits_per_dim(data.take(torch.arange(7)), ctx))
    assert torch.equal(everything[:131], flow.bits_per_dim(data.take(torch.arange(131)), ctx))
    assert not torch.equal(everything, flow.bits_per_dim(data, bb.SampleContext(6, CPU)))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 6, 10), (3, 16, 16)])
@pytest.mark.parametrize("conditional", [True, False])
def test_samples_are_images_on_the_levels_and_do_not_depend_on_n(
    shape: tuple[int, int, int], conditional: bool
) -> None:
    flow = fitted(images(shape), conditional=conditional, levels=17)
    labels = torch.arange(133) % 3
    ctx = bb.SampleContext(3, CPU)
    x = flow.sample(labels, ctx)
    assert x.shape == (133, *shape) and x.dtype == torch.uint8
    assert {int(value) for value in x.unique()} <= {round(level * 255 / 16) for level in range(17)}
    assert torch.equal(x[:5], flow.sample(labels[:5], ctx))
    assert torch.equal(x, flow.sample(labels, ctx))
    assert flow.conditional is conditional
    assert torch.equal(x, flow.sample((labels + 1) % 3, ctx)) is not conditional


def test_odd_sides_are_declined_with_a_remedy() -> None:
    with pytest.raises(bb.UnsupportedDataError, match=r"flow: got images of 7x8 .* expected even sides.* resize"):
        Flow().fit(images((1, 7, 8)), context())


def test_state_survives_a_file_and_a_fresh_object() -> None:
    flow = fitted()
    torch.save(flow.state_dict(), buffer := io.BytesIO())
    buffer.seek(0)
    fresh = Flow(flow.config)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    labels, ctx = torch.arange(9) % 3, bb.SampleContext(0, CPU)
    assert torch.equal(fresh.sample(labels, ctx), flow.sample(labels, ctx))
    assert torch.equal(fresh.bits_per_dim(images(), ctx), flow.bits_per_dim(images(), ctx))


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
    whole, resumed = Flow(Flow.Config(**TINY)), Flow(Flow.Config(**TINY))
    whole.fit(data, context(checkpoint=checkpoint))
    assert checkpoint.state is not None and checkpoint.state["index"] == 3
    resumed.fit(data, context(checkpoint=checkpoint))
    for name, value in whole.flow.state_dict().items():
        assert torch.equal(value, resumed.flow.state_dict()[name]), name


def test_same_seed_same_weights_and_the_global_state_is_untouched() -> None:
    before = torch.get_rng_state()
    one = fitted(seed=1).flow.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    two, other = fitted(seed=1).flow.state_dict(), fitted(seed=2).flow.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_short_fit_honours_labels_and_beats_the_uniform_code() -> None:
    pixels = torch.randint(0, 60, (64, 1, 4, 4), generator=bb.torch_generator(0, "dark"))
    labels = torch.arange(64) % 2
    pixels = (pixels + 190 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    data = bb.LabelledImages(pixels, labels, ("dark", "bright"))
    flow = fitted(data, steps=150, batch_size=32, scales=1, learning_rate=5e-3)
    x = flow.sample(torch.arange(64) % 2, bb.SampleContext(0, CPU)).float().mean(dim=(1, 2, 3))
    assert float(x[0::2].median()) < 90 and float(x[1::2].median()) > 165
    bits = flow.bits_per_dim(data, bb.SampleContext(0, CPU))
    assert float(bits.mean()) < 6.8  # log2(60) = 5.9 of at most 8
    wrong = bb.LabelledImages(pixels, 1 - labels, data.classes)
    assert float(flow.bits_per_dim(wrong, bb.SampleContext(0, CPU)).mean()) > float(bits.mean()) + 1


def test_temperature_narrows_the_samples() -> None:
    flow = fitted()
    labels, ctx = torch.zeros(64, dtype=torch.int64), bb.SampleContext(0, CPU)
    wide = flow.sample(labels, ctx).double().std(0).mean()
    flow.config = flow.config.model_copy(update={"temperature": 0.3})
    assert float(flow.sample(labels, ctx).double().std(0).mean()) < 0.7 * float(wide)
