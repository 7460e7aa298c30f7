"""Classical augmentation: each change against another implementation, one image at a time; its draws; its promises."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats
from torch import Tensor
from torchvision.transforms import functional as tv

import benchbench as bb
from benchbench.errors import DataError
from benchbench.testing.observing import global_random_state, same
from benchbench.training.augmentation import DRAWS, LUMA, _colours, augment

OFF: dict[str, Any] = dict.fromkeys(bb.Augmentation.model_fields, 0.0) | {"flip": False}
SHAPES = [(1, 8, 8), (3, 12, 9), (1, 16, 16), (3, 7, 10)]


def only(**how: Any) -> bb.Augmentation:
    return bb.Augmentation(**{**OFF, **how})


def pixels(count: int = 40, shape: tuple[int, int, int] = (3, 12, 9), low: int = 0, high: int = 256) -> Tensor:
    generator = bb.torch_generator(0, "pixels")
    return torch.randint(low, high, (count, *shape), dtype=torch.uint8, generator=generator)


def smooth(count: int = 20, shape: tuple[int, int, int] = (3, 12, 12)) -> Tensor:
    """Images without sharp edges: ways of interpolating agree on them."""
    rough = pixels(count, shape).numpy().astype(float)
    return torch.from_numpy(ndimage.gaussian_filter(rough, (0, 0, 2, 2)).round().astype(np.uint8))


def run(images: Tensor, how: bb.Augmentation, seed: int = 0) -> Tensor:
    return augment(images, how, bb.torch_generator(seed, "augment"))


def draws(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The numbers that image by image decide: as documented, ``len(DRAWS)`` uniform ones an image."""
    table = torch.rand(count, len(DRAWS), generator=bb.torch_generator(seed, "augment")).numpy().astype(np.float64)
    return dict(zip(DRAWS, table.T, strict=True))


def off_by(one: Tensor, two: Tensor) -> int:
    return int((one.int() - two.int()).abs().max())


# --- each change alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_with_everything_off_images_come_back_bit_for_bit(shape: tuple[int, int, int]) -> None:
    images = pixels(shape=shape)
    assert run(images, only()).equal(images)


@pytest.mark.parametrize("shape", SHAPES)
def test_flip_mirrors_half_of_the_images_exactly(shape: tuple[int, int, int]) -> None:
    images = pixels(shape=shape)
    mirrored = draws(len(images))["flip"] < 0.5
    expected = torch.stack([tv.hflip(x) if yes else x for x, yes in zip(images, mirrored, strict=True)])
    assert run(images, only(flip=True)).equal(expected)
    assert 10 <= mirrored.sum() <= 30


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("crop", [0.125, 0.3, 0.5])
def test_crop_is_padding_with_edges_and_cutting_out(shape: tuple[int, int, int], crop: float) -> None:
    images, drawn = pixels(shape=shape), draws(40)
    _, height, width = shape
    most_y, most_x = int(crop * height), int(crop * width)
    expected = []
    for i, image in enumerate(images):
        right = int(drawn["shift_x"][i] * (2 * most_x + 1)) - most_x
        down = int(drawn["shift_y"][i] * (2 * most_y + 1)) - most_y
        padded = tv.pad(image, [most_x, most_y], padding_mode="edge")
        expected.append(tv.crop(padded, most_y - down, most_x - right, height, width))
    assert run(images, only(crop=crop)).equal(torch.stack(expected))


@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 9, 14), (3, 16, 11)])
@pytest.mark.parametrize("degrees", [15.0, 180.0])
def test_rotation_is_torchvisions_inside_and_scipys_everywhere(shape: tuple[int, int, int], degrees: float) -> None:
    images = smooth(shape=shape)
    angles = degrees * (2 * draws(len(images))["rotation"] - 1)
    got = run(images, only(rotation=degrees))
    centre = (np.array(shape[1:]) - 1) / 2
    y, x = np.indices(shape[1:])
    inside = np.hypot(y - centre[0], x - centre[1]) < min(shape[1:]) / 2 - 1
    for image, angle, turned in zip(images, angles, got, strict=True):
        theirs = tv.rotate(image.float(), -float(angle), tv.InterpolationMode.BILINEAR)
        assert (turned - theirs).abs().numpy()[:, inside].max() <= 1.0
        t = math.radians(angle)
        inverse = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        for plane, expected in zip(turned.numpy(), image.numpy().astype(float), strict=True):
            by_scipy = ndimage.affine_transform(expected, inverse, centre - inverse @ centre, order=1, mode="nearest")
            assert np.abs(plane - by_scipy).max() <= 0.51


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cutout", [0.25, 0.5, 1.0])
def test_cutout_makes_one_square_grey_and_nothing_else(shape: tuple[int, int, int], cutout: float) -> None:
    images, drawn = pixels(shape=shape, low=200), draws(40)
    _, height, width = shape
    expected = images.clone()
    for image, x, y in zip(expected, drawn["cut_x"], drawn["cut_y"], strict=True):
        tall, wide = int(cutout * height), int(cutout * width)
        top, left = int(y * (height - tall + 1)), int(x * (width - wide + 1))
        image[:, top : top + tall, left : left + wide] = 128  # 127.5, rounded to even
    assert run(images, only(cutout=cutout)).equal(expected)


def test_a_square_may_lie_anywhere_within_the_image() -> None:
    grey = run(pixels(3000, (1, 8, 8), low=200), only(cutout=0.5)) == 128
    corners = {tuple(torch.nonzero(each)[0].tolist()) for each in grey[:, 0]}
    assert corners == {(y, x) for y in range(5) for x in range(5)}


def test_quarter_turns_are_exact() -> None:
    from benchbench.training import augmentation

    image = pixels(1, (3, 8, 8)).float()
    drawn = {name: torch.full((1,), 0.5) for name in DRAWS} | {"rotation": torch.ones(1)}
    turned = augmentation._warp(image, only(rotation=90), drawn)
    assert turned.round().equal(torch.rot90(image, -1, (2, 3)))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 9)])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("strength", [0.2, 0.9])
def test_colour_factors_are_torchvisions(shape: tuple[int, int, int], name: str, strength: float) -> None:
    images = pixels(shape=shape)
    adjust = getattr(tv, f"adjust_{name}")
    factors = 1 + strength * (2 * draws(len(images))[name] - 1)
    expected = torch.stack([adjust(x.float() / 255, float(f)) * 255 for x, f in zip(images, factors, strict=True)])
    # torchvision's luma weights have four digits and add up to 0.9999
    assert (run(images, only(**{name: strength})) - expected).abs().max() < 0.51 + 0.05


def test_hue_turns_the_chroma_plane() -> None:
    images = pixels()
    got = run(images, only(hue=0.3)).double().numpy()
    angles = 2 * math.pi * 0.3 * (2 * draws(len(images))["hue"] - 1)
    for image, angle, turned in zip(images.numpy().astype(float), angles, got, strict=True):
        red, _, blue = image
        luma = np.tensordot([0.299, 0.587, 0.114], image, 1)
        i = 0.74 * (red - luma) - 0.27 * (blue - luma)
        q = 0.48 * (red - luma) + 0.41 * (blue - luma)
        turn = (i + 1j * q) * np.exp(-1j * angle)
        red, blue = luma + np.linalg.solve(
            [[0.74, -0.27], [0.48, 0.41]], [turn.real.ravel(), turn.imag.ravel()]
        ).reshape(2, *luma.shape)
        green = (luma - 0.299 * red - 0.114 * blue) / 0.587
        assert np.abs(turned - np.stack([red, green, blue]).clip(0, 255)).max() < 0.51


def test_hue_keeps_luma_and_saturation_where_nothing_is_clipped() -> None:
    images = pixels(low=110, high=140)
    got = run(images, only(hue=0.5))
    weights = torch.tensor(LUMA)[:, None, None]
    luma = [(weights * x).sum(dim=1) for x in (images, got)]
    assert (luma[0] - luma[1]).abs().max() < 0.51
    assert off_by(images, got) > 10
    strength = [[math.hypot(*colorsys.rgb_to_yiq(*rgb)[1:]) for rgb in x[:, :, 0, 0].tolist()] for x in (images, got)]
    assert np.abs(np.subtract(*strength)).max() < 1


def test_hue_turns_the_way_that_torchvisions_does() -> None:
    colour = torch.tensor([170, 100, 90], dtype=torch.uint8).view(1, 3, 1, 1).expand(60, 3, 4, 4)
    shift = 0.05 * (2 * draws(60)["hue"] - 1)
    hues = [colorsys.rgb_to_hsv(*rgb)[0] for rgb in run(colour, only(hue=0.05))[:, :, 0, 0].tolist()]
    start = colorsys.rgb_to_hsv(170, 100, 90)[0]
    moved = (np.array(hues) - start + 0.5) % 1 - 0.5
    theirs = [colorsys.rgb_to_hsv(*tv.adjust_hue(colour[:1] / 255, float(s))[0, :, 0, 0].tolist())[0] for s in shift]
    expected = (np.array(theirs) - start + 0.5) % 1 - 0.5
    assert np.abs(expected).max() > 0.04
    assert stats.spearmanr(moved, expected).statistic > 0.98
    assert np.abs(moved).max() < 0.12


def test_saturation_and_hue_leave_grey_as_it_is() -> None:
    grey = pixels(shape=(1, 8, 8))
    how = only(saturation=0.9, hue=0.5)
    assert run(grey, how).equal(grey)
    assert run(grey.expand(-1, 3, -1, -1), how).equal(grey.expand(-1, 3, -1, -1))
    assert run(grey, bb.Augmentation()).equal(run(grey, bb.Augmentation(saturation=0, hue=0)))


# --- all together -----------------------------------------------------------------------------------------


def test_geometry_comes_before_colour_and_is_mirror_turn_shift() -> None:
    images, drawn = smooth(shape=(1, 12, 12)), draws(20)
    how = only(flip=True, crop=0.25, rotation=40, brightness=0.3, contrast=0.4)
    got = run(images, how)
    for i, image in enumerate(images):
        plane = image[0].numpy().astype(float)
        plane = plane[:, ::-1] if drawn["flip"][i] < 0.5 else plane
        t = math.radians(40 * (2 * drawn["rotation"][i] - 1))
        inverse = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        down, right = (int(drawn[f"shift_{axis}"][i] * 7) - 3 for axis in "yx")
        offset = 5.5 - inverse @ np.array([5.5 + down, 5.5 + right])
        plane = ndimage.affine_transform(plane, inverse, offset, order=1, mode="nearest")
        plane = plane * (1 + 0.3 * (2 * drawn["brightness"][i] - 1))
        contrast = 1 + 0.4 * (2 * drawn["contrast"][i] - 1)
        plane = contrast * plane + (1 - contrast) * plane.mean()
        assert np.abs(got[i, 0].numpy() - plane.clip(0, 255)).max() < 0.52


@given(
    st.sampled_from(SHAPES),
    st.builds(
        bb.Augmentation,
        flip=st.booleans(),
        crop=st.floats(0, 0.5),
        rotation=st.floats(0, 180),
        brightness=st.floats(0, 0.99),
        contrast=st.floats(0, 0.99),
        saturation=st.floats(0, 0.99),
        hue=st.floats(0, 0.5),
    ),
    st.integers(0, 99),
)
def test_whatever_is_asked_for_the_form_stays_and_image_i_is_its_own(
    shape: tuple[int, int, int], how: bb.Augmentation, seed: int
) -> None:
    images = pixels(9, shape)
    before = images.clone()
    got = run(images, how, seed)
    assert got.dtype == torch.uint8 and got.shape == images.shape
    assert images.equal(before)
    assert run(images, how, seed).equal(got)
    assert run(images[:4], how, seed).equal(got[:4])
    others = torch.cat([images[:4], 255 - images[4:]])
    assert run(others, how, seed)[:4].equal(got[:4])


@pytest.mark.parametrize("value", [0, 93, 255])
def test_geometry_keeps_a_constant_image(value: int) -> None:
    images = torch.full((20, 3, 9, 12), value, dtype=torch.uint8)
    assert run(images, only(flip=True, crop=0.5, rotation=180)).equal(images)


def test_the_result_is_no_view_of_the_images() -> None:
    images = pixels()
    run(images, only()).zero_()
    assert int(images.max()) > 0


# --- draws ------------------------------------------------------------------------------------------------


def test_images_draw_on_their_own_and_seeds_differ() -> None:
    one = pixels(1, (3, 16, 16)).expand(50, -1, -1, -1)
    got = run(one, bb.Augmentation())
    assert len({x.numpy().tobytes() for x in got}) == 50
    assert not run(one, bb.Augmentation(), seed=1).equal(got)


def test_randomness_comes_from_the_generator_alone() -> None:
    before = global_random_state()
    run(pixels(), bb.Augmentation())
    assert same(before, global_random_state())


def test_as_many_numbers_are_drawn_whatever_is_on() -> None:
    after = []
    for how in (only(), only(flip=True), bb.Augmentation()):
        generator = bb.torch_generator(0, "augment")
        augment(pixels(), how, generator)
        after.append(torch.rand(1, generator=generator).item())
    assert len(set(after)) == 1


def test_draws_spread_evenly_over_what_is_allowed() -> None:
    count = 4000
    # A bright column shows the shift to either side, a flat image the brightness factor.
    column = torch.zeros(count, 1, 1, 16, dtype=torch.uint8)
    column[..., 8] = 200
    shifts = run(column, only(crop=0.125))[:, 0, 0].int().argmax(dim=1) - 8
    counts = torch.bincount(shifts + 2, minlength=5)
    assert len(counts) == 5 and stats.chisquare(counts.numpy()).pvalue > 1e-3
    flat = torch.full((count, 1, 2, 2), 100, dtype=torch.uint8)
    factors = run(flat, only(brightness=0.2))[:, 0, 0, 0].double().numpy() / 100
    assert factors.min() >= 0.8 and factors.max() <= 1.2
    assert abs(factors.mean() - 1) < 4 * 0.4 / math.sqrt(12 * count)
    assert factors.std() == pytest.approx(0.4 / math.sqrt(12), rel=0.05)
    half = torch.zeros(count, 1, 1, 2, dtype=torch.uint8)
    half[..., 1] = 255
    mirrored = int((run(half, only(flip=True))[..., 0] == 255).sum())
    assert stats.binomtest(mirrored, count).pvalue > 1e-3


# --- what is refused --------------------------------------------------------------------------------------


def test_an_empty_batch_stays_empty() -> None:
    assert run(pixels(0), bb.Augmentation()).shape == (0, 3, 12, 9)


def test_floats_are_refused() -> None:
    with pytest.raises(DataError, match=r"augment: got dtype torch\.float32, expected torch\.uint8"):
        run(pixels().float(), bb.Augmentation())


def test_whoever_asks_first_its_constants_serve_all() -> None:
    _colours.cache_clear()
    with torch.inference_mode():
        expected = run(pixels(), bb.Augmentation())
    assert run(pixels(), bb.Augmentation()).equal(expected)
    assert not any(constant.is_inference() for constant in _colours(torch.device("cpu")))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_works_on_a_gpu() -> None:
    images = pixels().cuda()
    got = augment(images, bb.Augmentation(), bb.torch_generator(0, "augment", device=images.device))
    assert got.device == images.device and got.shape == images.shape
    assert augment(images, only(), bb.torch_generator(0, device=images.device)).equal(images)
