"""Residual players: shapes, classes, and what a residual block is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

import benchbench as bb
from benchbench.networks.residual import DownBlock, UpBlock


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 28, 20), (1, 5, 7)])
@pytest.mark.parametrize("classes", [None, 4])
def test_any_size_with_and_without_classes(shape: tuple[int, int, int], classes: int | None) -> None:
    labels = torch.arange(3) % 4
    made = bb.ResidualDecoder(6, shape, 8, classes)(normal(3, 6), labels)
    assert made.shape == (3, *shape) and float(made.detach().abs().max()) <= 1
    assert bb.ResidualCritic(shape, 8, classes)(made, labels).shape == (3,)


def test_an_up_block_in_the_order_of_the_paper() -> None:
    """Upsampling before the shortcut's convolution, as the papers have it, gives the same numbers."""
    block = UpBlock(4, (8, 8), lambda channels: nn.Identity())
    x = normal(2, 4, 4, 4)
    up = interpolate(x, scale_factor=2, mode="nearest")
    body = block.second(relu(block.first(interpolate(relu(x), scale_factor=2, mode="nearest"))))
    torch.testing.assert_close(block(x), body + block.shortcut(up))


@pytest.mark.parametrize(("channels", "first"), [(3, True), (3, False), (4, False)])
def test_a_down_block_in_the_order_of_the_paper(channels: int, first: bool) -> None:
    """Pooling after the shortcut's convolution, as the papers have it for all but the first, gives the same."""
    block = DownBlock(channels, 4, (8, 8), (4, 4), first=first)
    x = normal(2, channels, 8, 8)
    assert not isinstance(block.shortcut, nn.Identity)
    body = block.second(relu(block.first(x if first else relu(x))))
    torch.testing.assert_close(block(x), avg_pool2d(body, 2) + avg_pool2d(block.shortcut(x), 2))


def test_a_block_that_does_not_shrink_is_the_identity_plus_a_residual() -> None:
    block = DownBlock(4, 4, (8, 8), (8, 8))
    x = normal(2, 4, 8, 8)
    h = conv2d(relu(x), block.first.weight, block.first.bias, padding=1)
    h = conv2d(relu(h), block.second.weight, block.second.bias, padding=1)
    torch.testing.assert_close(block(x), x + h)


def test_the_class_reaches_both_players() -> None:
    decoder, critic = bb.ResidualDecoder(6, (3, 8, 8), 8, 3), bb.ResidualCritic((3, 8, 8), 8, 3)
    with torch.no_grad():
        for block in decoder.blocks:
            block.first_norm.shift.copy_(normal(3, 8))
    latents, (a, b) = normal(4, 6), (torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64))
    assert not torch.allclose(decoder.eval()(latents, a), decoder(latents, b))
    image = normal(4, 3, 8, 8)
    assert not torch.allclose(critic(image, a), critic(image, b))


def test_sizes_at_32_by_32_are_those_of_the_papers() -> None:
    """Four times four up to 32 in three blocks; down to 8 in two, and two blocks more."""
    assert len(bb.ResidualDecoder(128, (3, 32, 32), 16).blocks) == 3
    sizes = [block.size for block in bb.ResidualCritic((3, 32, 32), 16).blocks]
    assert sizes == [(16, 16), (8, 8), (8, 8), (8, 8)]
