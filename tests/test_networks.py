"""Networks reach any size, and their weights come from the generator given."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchbench.networks import Downsampler, SmallCnn, Upsampler, init_weights, size_ladder
from benchbench.seeding import torch_generator

SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 7, 13), (1, 5, 4), (3, 4, 4), (1, 3, 2), (3, 17, 1)]


def construct(network_class, *args, **kwargs):
    with torch.random.fork_rng(devices=[]):
        return network_class(*args, **kwargs)


@given(st.integers(1, 300), st.integers(1, 300))
def test_ladder_halves_to_the_smallest(height, width):
    ladder = size_ladder(height, width)
    assert ladder[0] == (height, width) and max(ladder[-1]) <= 4
    for (tall, wide), (short, narrow) in itertools.pairwise(ladder):
        assert max(tall, wide) > 4 and (short, narrow) == (-(-tall // 2), -(-wide // 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_downsampler_takes_any_size(shape):
    network = construct(Downsampler, shape, width=2)
    assert network(torch.zeros(3, *shape)).shape == (3, network.out_features)


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d])
@pytest.mark.parametrize("shape", SHAPES)
def test_upsampler_reaches_any_size(shape, norm):
    network = construct(Upsampler, 5, shape, width=2, norm=norm)
    assert network(torch.zeros(3, 5)).shape == (3, *shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_small_cnn_takes_any_size(shape):
    network = construct(SmallCnn, shape, num_classes=7, width=2, features=6)
    assert network(torch.zeros(3, *shape)).shape == (3, 7)
    assert network.features(torch.zeros(3, *shape)).shape == (3, 6)


def test_upsampler_hands_the_condition_to_every_norm():
    asked = []

    class Conditional(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.channels = channels

        def forward(self, x, condition):
            asked.append((x.shape[1] == self.channels, condition))
            return x

    network = construct(Upsampler, 5, (3, 16, 16), width=2, norm=Conditional)
    network(torch.zeros(1, 5), condition="c")
    assert asked == [(True, "c")] * 3


def test_initial_weights_repeat_and_leave_the_global_state_alone():
    network = construct(SmallCnn, (1, 8, 8), 3, 2, 4)
    twin = construct(SmallCnn, (1, 8, 8), 3, 2, 4)
    before = torch.get_rng_state()
    init_weights(network, torch_generator(1, "init"))
    init_weights(twin, torch_generator(1, "init"))
    assert torch.get_rng_state().equal(before)
    assert all(a.equal(b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))
    init_weights(twin, torch_generator(2, "init"))
    assert not network.head.weight.equal(twin.head.weight)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: nn.Linear(100, 400), 100),
        (lambda: nn.Conv2d(20, 200, 3), 180),
        (lambda: nn.Conv2d(64, 400, 3, groups=8), 72),
        (lambda: nn.ConvTranspose2d(50, 100, 4, stride=2), 200),
        (lambda: nn.Embedding(100, 100), 1),
    ],
)
def test_he_initialisation_keeps_the_variance(layer, fan_in):
    module = construct(layer)
    init_weights(module, torch_generator(0, "init"))
    assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.03)
    assert getattr(module, "bias", None) is None or not module.bias.any()
    init_weights(module, torch_generator(0, "init"), std=0.02)
    assert module.weight.std().item() == pytest.approx(0.02, rel=0.03)


def test_initialisation_leaves_norms_alone():
    norm = nn.BatchNorm2d(3)
    norm.weight.data.fill_(0.7)
    init_weights(nn.Sequential(norm), torch_generator(0, "init"))
    assert (norm.weight == 0.7).all()
