"""The controls: each has the one fault, or the one virtue, that it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchbench_plugins.blur import Blur, gaussian_blur
from benchbench_plugins.classical import Classical
from benchbench_plugins.mode_drop import ModeDrop
from benchbench_plugins.oversampling import Oversampling
from benchbench_plugins.real_holdout import RealHoldout
from benchbench_plugins.train_copy import TrainCopy
from scipy import ndimage, stats
from torch import Tensor

import benchbench as bb
from benchbench.datasets.digits import Digits
from benchbench.datasets.fashion_mnist import FashionMnist
from benchbench.features.domain import Domain
from benchbench.metrics.memorization import Memorization
from benchbench.statistics import proportion_interval
from benchbench.testing import conformance, failures

CPU = torch.device("cpu")
OFF: dict[str, Any] = dict.fromkeys(bb.Augmentation.model_fields, 0.0) | {"flip": False}


def data(counts: tuple[int, ...] = (5, 2, 9, 4), shape: tuple[int, int, int] = (1, 8, 8)) -> bb.LabelledImages:
    """No two images alike; the first pixel tells the class."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=bb.torch_generator(0, "order"))]
    images = torch.randint(0, 256, (len(labels), *shape), dtype=torch.uint8, generator=bb.torch_generator(0, "images"))
    images[:, :, 0, 0] = 10 * labels[:, None].to(torch.uint8)
    return bb.LabelledImages(images, labels, tuple("abcdefgh"[: len(counts)]))


def fitted(cls: type[bb.Generator], train: bb.LabelledImages, **config: Any) -> bb.Generator:
    generator = cls(cls.Config(**config))
    generator.fit(train, bb.FitContext(seed=0, device=CPU, generator=bb.torch_generator(0, "fit")))
    return generator


def draw(generator: bb.Generator, labels: Tensor, seed: int = 0) -> Tensor:
    return generator.sample(labels, bb.SampleContext(seed=seed, device=CPU))


def places(samples: Tensor, images: Tensor) -> list[int]:
    """Which of ``images`` each sample is."""
    numbers = {image.numpy().tobytes(): place for place, image in enumerate(images)}
    return [numbers[sample.numpy().tobytes()] for sample in samples]


def many(classes: int = 4, count: int = 400) -> Tensor:
    return torch.arange(count) % classes


@pytest.mark.parametrize("cls", [Blur, Classical, ModeDrop, Oversampling])
def test_they_are_controls_that_judge_no_board(cls: type[bb.Generator]) -> None:
    assert cls.role == "control" and cls.expected is None
    assert cls.fit_split == ("val" if cls in (Blur, ModeDrop) else "train")


# --- classical ----------------------------------------------------------------------------------------------


def test_classical_with_everything_off_is_a_copy_of_the_training_set() -> None:
    train = data()
    got = draw(fitted(Classical, train, **OFF), many())
    assert got.equal(draw(fitted(TrainCopy, train), many()))


def test_classical_changes_images_of_the_wanted_class() -> None:
    train = data()
    plain = draw(fitted(TrainCopy, train), many())
    only_light = draw(fitted(Classical, train, **{**OFF, "brightness": 0.5}), many())
    assert (only_light != plain).flatten(1).any(dim=1).float().mean() > 0.95
    for before, after in zip(plain.double().flatten(1), only_light.double().flatten(1), strict=True):
        unclipped = after < 255
        factor = (after[unclipped].sum() / before[unclipped].sum()).item()
        assert 0.49 <= factor <= 1.51
        assert (after - (before * factor).clamp(max=255)).abs().max() < 2


def test_classical_never_gives_one_image_twice_nor_the_same_to_two_seeds() -> None:
    control = fitted(Classical, data(shape=(3, 12, 12)))
    got = draw(control, many())
    assert len({image.numpy().tobytes() for image in got}) == len(got)
    assert not draw(control, many(), seed=1).equal(got)


def test_classicals_config_is_the_augmentation_of_the_benchmark_file() -> None:
    assert Classical.Config().model_dump() == bb.Augmentation().model_dump()
    assert isinstance(Classical().config, bb.Augmentation) and isinstance(Classical().config, bb.Config)


def test_no_labels_no_images() -> None:
    for cls in (Classical, Oversampling, Blur, ModeDrop):
        assert draw(fitted(cls, data()), torch.empty(0, dtype=torch.int64)).shape == (0, 1, 8, 8)


# --- oversampling -------------------------------------------------------------------------------------------


def test_oversampling_gives_exact_copies_of_the_wanted_class() -> None:
    train = data()
    labels = torch.tensor([3, 1, 1, 0, 2, 1])
    found = places(draw(fitted(Oversampling, train), labels), train.images)
    assert train.labels[found].equal(labels)


def test_oversampling_draws_every_image_of_a_class_evenly_and_with_replacement() -> None:
    train = data()
    found = np.array(places(draw(fitted(Oversampling, train), torch.full((1800,), 2)), train.images))
    counts = np.bincount(found, minlength=len(train))[train.labels.numpy() == 2]
    assert counts.sum() == 1800 and stats.chisquare(counts).pvalue > 1e-3
    repeats = (found[1:] == found[:-1]).sum()  # a draw without replacement would never repeat at once
    assert stats.binomtest(int(repeats), 1799, 1 / 9).pvalue > 1e-3


def test_oversampling_sample_i_does_not_depend_on_the_others() -> None:
    control = fitted(Oversampling, data())
    labels = many(count=300)
    got = draw(control, labels)
    shuffled = labels.clone()
    shuffled[:150] = labels[:150].flip(0)
    same = labels == shuffled
    assert draw(control, shuffled)[same].equal(got[same])


# --- blur ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(1, 8, 16), (3, 16, 14)])
def test_blur_is_scipys_gaussian_filter(sigma: float, shape: tuple[int, int, int]) -> None:
    images = data(shape=shape).images
    # "mirror" is torch's "reflect": the edge pixel is not repeated.
    reach = [min(int(np.ceil(3 * sigma)), size - 1) for size in shape[1:]]
    expected = ndimage.gaussian_filter(
        images.numpy().astype(float), (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, *reach)
    )
    assert np.abs(gaussian_blur(images, sigma).numpy() - expected).max() <= 0.51


@pytest.mark.parametrize("sigma", [0.01, 30.0])
def test_any_blur_works_on_any_size(sigma: float) -> None:
    for shape in ((1, 8, 8), (3, 5, 2), (1, 1, 1)):
        images = data(shape=shape).images
        got = gaussian_blur(images, sigma)
        assert got.shape == images.shape and got.dtype == torch.uint8
        assert sigma > 1 or got.equal(images)


def test_blur_gives_blurred_images_of_the_wanted_class() -> None:
    val = data()
    labels = many()
    blurred = gaussian_blur(val.images, 1.0)
    assert val.labels[places(draw(fitted(Blur, val), labels), blurred)].equal(labels)
    assert draw(fitted(Blur, val, sigma=0.01), labels).equal(draw(fitted(TrainCopy, val), labels))


# --- mode drop ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "kept"), [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4)])
def test_mode_drop_gives_real_images_of_the_first_half_of_the_classes(classes: int, kept: int) -> None:
    val = data((6,) * classes)
    labels = many(classes)
    found = places(draw(fitted(ModeDrop, val), labels), val.images)
    assert val.labels[found].equal(labels % kept)
    assert set(found) == set(torch.nonzero(val.labels < kept).flatten().tolist())


def test_a_control_may_mislabel_only_if_it_says_so() -> None:
    class Silent(ModeDrop):
        mislabels = False

    assert not failures(conformance(ModeDrop))
    (failure,) = failures(conformance(Silent))
    assert "does with labels what it says: 67% of a control's samples look like" in failure


# --- copies are told from the real thing --------------------------------------------------------------------


def small_digits() -> bb.Dataset:
    return Digits().load(Path())


def small_fashion() -> bb.Dataset:
    config = FashionMnist.Config(size=16, train_per_class=100, val_per_class=30, test_per_class=30)
    try:
        return FashionMnist(config).load(Path())
    except bb.DataMissingError:
        pytest.skip("Fashion-MNIST is not on this machine (Debian's package dataset-fashion-mnist)")


def half_of(images: bb.LabelledImages, seed: int) -> Tensor:
    """The numbers of a random half."""
    return torch.randperm(len(images), generator=bb.torch_generator(seed, "half"))[: len(images) // 2]


@pytest.mark.parametrize("load", [small_digits, small_fashion])
def test_the_memorization_flag_is_raised_by_a_copy_of_the_training_set_and_not_by_held_out_images(load: Any) -> None:
    dataset = load()
    domain = Domain(Domain.Config(steps=100, features=32, width=8))
    domain.fit(dataset.train, bb.FitContext(seed=0, device=CPU, generator=bb.torch_generator(0, "domain")))
    train_features = domain.extract(dataset.train.images, CPU)
    flags = dict.fromkeys((TrainCopy, RealHoldout), 0)
    for seed in range(10):
        seen = half_of(dataset.train, seed)
        for cls in flags:
            shown = dataset.train.take(seen) if cls.fit_split == "train" else dataset.val
            labels = dataset.val.labels[half_of(dataset.val, seed)]
            sets = bb.FeatureSets(
                real=domain.extract(dataset.test.images, CPU),
                synthetic=domain.extract(draw(fitted(cls, shown), labels, seed), CPU),
                real_labels=dataset.test.labels.numpy(),
                synthetic_labels=labels.numpy(),
                classes=10,
                train=train_features[seen.numpy()],
            )
            share = Memorization().compute(sets, bb.numpy_generator(seed))["memorized"]
            flags[cls] += proportion_interval(round(share * len(labels)), len(labels)).low > 0.05
    assert flags == {TrainCopy: 10, RealHoldout: 0}
