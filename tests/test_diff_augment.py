"""Differentiable augmentation against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import benchbench as bb
from benchbench.training import diff_augment as module
from benchbench.training.diff_augment import diff_augment

ALL = ("color", "translation", "cutout")


def noise(count: int = 6, channels: int = 3, height: int = 12, width: int = 16) -> Tensor:
    return torch.rand(count, channels, height, width, generator=bb.torch_generator(1)) * 2 - 1


def changed(images: Tensor, *policy: str, seed: int = 0) -> Tensor:
    return diff_augment(images, policy, bb.torch_generator(seed, "diff"))  # type: ignore[arg-type]


def test_no_policy_changes_nothing_and_draws_nothing() -> None:
    generator, images = bb.torch_generator(0), noise()
    before = generator.get_state()
    assert diff_augment(images, (), generator) is images
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", [("color",), ("translation",), ("cutout",), ALL])
def test_shape_and_determinism(policy: tuple[str, ...], channels: int) -> None:
    images = noise(channels=channels)
    out = changed(images, *policy)
    assert out.shape == images.shape and out.dtype == images.dtype and torch.isfinite(out).all()
    assert torch.equal(out, changed(images, *policy)) and not torch.equal(out, changed(images, *policy, seed=1))


def test_colour_is_one_affine_map_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """On grey images saturation does nothing: x becomes m + c (x - m) + b, with the paper's ranges of b and c."""
    images = noise(count=400, channels=1)
    out = changed(images, "color")
    mean = images.mean(dim=(1, 2, 3))
    shift = out.mean(dim=(1, 2, 3)) - mean
    factor = out.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    expected = (images - mean[:, None, None, None]) * factor[:, None, None, None] + (mean + shift)[:, None, None, None]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    for drawn, low, high in ((shift, -0.5, 0.5), (factor, 0.5, 1.5)):
        assert low <= drawn.min() < low + 0.05 and high - 0.05 < drawn.max() <= high + 1e-5
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.05)


def test_saturation_scales_the_distance_from_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BRIGHTNESS", 0.0)
    monkeypatch.setattr(module, "CONTRAST", 0.0)
    images = noise(count=400)
    out = changed(images, "color")
    torch.testing.assert_close(out.mean(dim=1), images.mean(dim=1), rtol=1e-4, atol=1e-5)
    chroma, before = (x - x.mean(dim=1, keepdim=True) for x in (out, images))
    factor = (chroma * before).sum(dim=(1, 2, 3)) / before.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(chroma, before * factor[:, None, None, None], rtol=1e-3, atol=1e-5)
    assert factor.min() >= 0 and factor.max() <= 2 + 1e-5 and factor.mean() == pytest.approx(1.0, abs=0.1)


def test_translation_is_a_shift_by_whole_pixels_into_zeros() -> None:
    images, seen = noise(count=300), set()
    out = changed(images, "translation")
    for image, moved in zip(images, out, strict=True):
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(shifted(image, down, right), moved)
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert seen == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}  # an eighth of 12 and of 16


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """By slices, in the slowest and plainest way."""
    out = torch.zeros_like(image)
    height, width = image.shape[1:]
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                out[:, row, column] = image[:, row - down, column - right]
    return out


@pytest.mark.parametrize("size", [(12, 16), (9, 7)])
def test_cutout_is_a_rectangle_of_half_the_sides_cut_at_the_rim(size: tuple[int, int]) -> None:
    height, width = size
    holes = changed(torch.ones(500, 2, height, width), "cutout") == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    whole = 0
    for hole in holes[:, 0]:
        rows, columns = hole.any(dim=1).nonzero().flatten(), hole.any(dim=0).nonzero().flatten()
        assert hole.sum() == len(rows) * len(columns)  # a full rectangle
        assert len(rows) == rows[-1] - rows[0] + 1 and len(columns) == columns[-1] - columns[0] + 1
        whole += int(len(rows) == int(height / 2 + 0.5) and len(columns) == int(width / 2 + 0.5))
    assert whole > 100
    assert holes.any(dim=0).all()  # any pixel may be hit


def test_gradients_are_those_of_finite_differences() -> None:
    images = noise(count=2, height=8, width=8).double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: changed(x, *ALL), (images,))
