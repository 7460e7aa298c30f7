"""Do the metrics see what they should? Held-out real images are degraded step by step, and measured at each step.

Run: ``python benchmarks/validity.py [--cifar10 FOLDER] > docs/validity.md``; about five minutes on one core.
Digits come with scikit-learn, Fashion-MNIST is left out where it is not installed, and CIFAR-10 needs a folder of
zipped image folders, ``train-1.zip`` and ``test.zip``, each with ``CLASS/*.png`` in it.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from benchbench_plugins.blur import gaussian_blur
from benchbench_plugins.real_holdout import RealHoldout
from benchbench_plugins.train_copy import TrainCopy
from PIL import Image
from scipy.stats import spearmanr
from tabulate import tabulate
from torch import Tensor

from benchbench.datasets.digits import Digits
from benchbench.datasets.fashion_mnist import FashionMnist
from benchbench.errors import DataMissingError
from benchbench.features.domain import Domain
from benchbench.features.efficientnet_lite0 import EfficientnetLite0
from benchbench.metrics.fd_infinity import FrechetInfinity
from benchbench.metrics.frechet import FrechetDistance
from benchbench.metrics.kid import KernelDistance
from benchbench.metrics.memorization import Memorization
from benchbench.metrics.prdc import PrecisionRecall
from benchbench.seeding import derive_seed, numpy_generator, torch_generator
from benchbench.statistics import proportion_interval, t_interval
from benchbench.types import FeatureExtractor, FeatureSets, FitContext, Generator, LabelledImages, Output, SampleContext

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Features = npt.NDArray[np.float32]
Degrade = Callable[[Tensor, float], Tensor]
Choose = Callable[[Index, float, np.random.Generator], Index]

CPU = torch.device("cpu")
SEEDS = 5
MEMORIZATION_SEEDS = 10
JUDGED = 500  # samples whose share of copies is taken
FLAG_ABOVE = 0.05

# Subsets of KID: a fifth of the default, to save time.
METRICS = (FrechetDistance(), FrechetInfinity(), KernelDistance(KernelDistance.Config(subsets=20)), PrecisionRecall())
OUTPUTS = tuple(output for metric in METRICS for output in metric.outputs if output.higher_is_better is not None)


# --- degradations -------------------------------------------------------------------------------------------


def noisy(images: Tensor, std: float) -> Tensor:
    """With normal noise, the same one for every ``std``."""
    noise = torch.randn(images.shape, generator=torch_generator(0, "validity", "noise"))
    return (images + std * noise).round().clamp(0, 255).to(torch.uint8)


def as_jpeg(images: Tensor, quality: float) -> Tensor:
    """Packed as JPEG and unpacked."""
    unpacked = []
    for pixels in images.permute(0, 2, 3, 1).squeeze(-1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "jpeg", quality=int(quality))
        unpacked.append(np.atleast_3d(np.asarray(Image.open(file))))
    return torch.from_numpy(np.stack(unpacked)).permute(0, 3, 1, 2).contiguous()


def without_classes(labels: Index, share: float, rng: np.random.Generator) -> Index:
    """0.45 n of n images, of the classes that are kept: so many are left of half of the classes, and none repeats."""
    classes = rng.permutation(labels.max() + 1)
    dropped = classes[: round(share * len(classes))]
    left = rng.permutation(np.flatnonzero(~np.isin(labels, dropped)))
    return left[: int(0.45 * len(labels))]


def repeated(labels: Index, share: float, rng: np.random.Generator) -> Index:
    """n images, of which a ``share`` are distinct."""
    distinct = rng.permutation(len(labels))[: round(share * len(labels))]
    return np.resize(distinct, len(labels))


# The first level of each leaves images as they are.
PIXELS: dict[str, tuple[Degrade, tuple[float, ...]]] = {
    "noise, std (of 255)": (noisy, (0, 8, 16, 32, 64)),
    "blur, sigma (pixels)": (gaussian_blur, (0, 0.5, 0.75, 1.0, 1.5)),
    "JPEG, quality": (as_jpeg, (100, 75, 50, 25, 10)),
}
CHOICES: dict[str, tuple[Choose, tuple[float, ...]]] = {
    "share of classes dropped": (without_classes, (0, 0.1, 0.2, 0.3, 0.4, 0.5)),
    "share of images distinct": (repeated, (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)),
}


# --- data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """A dataset: images that the features are made from, and others, which are split anew for every seed."""

    name: str
    extractor: FeatureExtractor
    train: LabelledImages
    pool: LabelledImages

    def features(self, images: Tensor) -> Features:
        return self.extractor.extract(images, CPU)


def cases(cifar10: Path | None) -> Iterator[Case]:
    """The datasets that are on this machine."""
    digits = Digits().load(Path())
    yield fitted("digits (8x8)", Domain(), digits.train, joined(digits.val, digits.test))
    config = FashionMnist.Config(size=16, train_per_class=1000, val_per_class=100, test_per_class=100)
    try:
        fashion = FashionMnist(config).load(Path())
    except DataMissingError as error:
        print(f"left out: {error}", file=sys.stderr)
    else:
        yield fitted("Fashion-MNIST (16x16)", Domain(), fashion.train, joined(fashion.val, fashion.test))
    if cifar10 is not None:
        train, pool = zipped(cifar10 / "train-1.zip", every=2), zipped(cifar10 / "test.zip", every=5)
        yield fitted("CIFAR-10 (32x32)", EfficientnetLite0(), train, pool)


def fitted(name: str, extractor: FeatureExtractor, train: LabelledImages, pool: LabelledImages) -> Case:
    extractor.fit(train, FitContext(seed=0, device=CPU, generator=torch_generator(0, "validity", "features")))
    return Case(name, extractor, train, pool)


def joined(one: LabelledImages, other: LabelledImages) -> LabelledImages:
    return LabelledImages(torch.cat([one.images, other.images]), torch.cat([one.labels, other.labels]), one.classes)


def zipped(path: Path, every: int) -> LabelledImages:
    """Every so many images of a zipped image folder, in the order of their names."""
    with zipfile.ZipFile(path) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))[::every]
        pixels = [np.asarray(Image.open(io.BytesIO(file.read(name))).convert("RGB")) for name in names]
    classes = sorted({name.split("/")[0] for name in names})
    labels = torch.tensor([classes.index(name.split("/")[0]) for name in names])
    return LabelledImages(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(), labels, tuple(classes))


def halves(data: LabelledImages, seed: int) -> tuple[Index, Index]:
    """Two disjoint random halves, each with half of every class (of odd ones less one)."""
    rng, parts = numpy_generator(seed, "validity", "halves"), ([], [])
    for label in range(len(data.classes)):
        members = rng.permutation(np.flatnonzero(data.labels.numpy() == label))
        half = len(members) // 2
        parts[0].append(members[:half])
        parts[1].append(members[half : 2 * half])
    return np.concatenate(parts[0]), np.concatenate(parts[1])


# --- measuring ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ladder:
    """One degradation of one dataset.

    Attributes:
        name: As in ``PIXELS`` or ``CHOICES``.
        levels: The first one is none.
        values: ``(outputs, levels, seeds)``.
    """

    name: str
    levels: tuple[float, ...]
    values: Array


def ladders(case: Case) -> Iterator[Ladder]:
    """Every degradation."""
    plain = case.features(case.pool.images)
    for name, (degrade, levels) in PIXELS.items():
        changed = [plain, *(case.features(degrade(case.pool.images, level)) for level in levels[1:])]
        yield climb(case, name, levels, changed, lambda labels, level, rng: np.arange(len(labels)))
    for name, (choose, levels) in CHOICES.items():
        yield climb(case, name, levels, [plain] * len(levels), choose)


def climb(case: Case, name: str, levels: tuple[float, ...], features: Sequence[Features], choose: Choose) -> Ladder:
    """Each level against the same real images, with the same choices: only the level differs within a seed."""
    labels = case.pool.labels.numpy()
    values = np.empty((len(OUTPUTS), len(levels), SEEDS))
    for seed in range(SEEDS):
        real, held_out = halves(case.pool, seed)
        for i, level in enumerate(levels):
            kept = held_out[choose(labels[held_out], level, numpy_generator(seed, "validity", name))]
            sets = FeatureSets(features[0][real], features[i][kept], labels[real], labels[kept], len(case.pool.classes))
            values[:, i, seed] = measured(sets, seed)
    return Ladder(name, levels, values)


def measured(sets: FeatureSets, seed: int) -> list[float]:
    """One number for each of ``OUTPUTS``."""
    found = {}
    for metric in METRICS:
        found.update(metric.compute(sets, numpy_generator(seed, "validity", metric.name)))
    return [found[output.key] for output in OUTPUTS]


def memorized(case: Case, cls: type[Generator]) -> Array:
    """``memorized`` of a control, one a seed, each seed with its own half of the training images and of the others."""
    train_features, pool_features = case.features(case.train.images), case.features(case.pool.images)
    shares = []
    for seed in range(MEMORIZATION_SEEDS):
        train_half, _ = halves(case.train, seed)
        real, held_out = halves(case.pool, seed)
        split = case.train.take(torch.from_numpy(train_half))
        if cls.fit_split == "val":
            split = case.pool.take(torch.from_numpy(held_out))
        labels = case.pool.labels[held_out][torch.randperm(len(held_out), generator=torch_generator(seed))][:JUDGED]
        control = cls()
        control.fit(split, FitContext(seed=seed, device=CPU, generator=torch_generator(seed, "validity", "fit")))
        samples = control.sample(labels, SampleContext(derive_seed(seed, "validity", "sample"), CPU))
        sets = FeatureSets(
            pool_features[real],
            case.features(samples),
            case.pool.labels.numpy()[real],
            labels.numpy(),
            len(case.pool.classes),
            train=train_features[train_half],
        )
        shares.append(Memorization().compute(sets, numpy_generator(seed))["memorized"])
    return np.array(shares)


def flagged(share: float, count: int) -> bool:
    """Whether the share is above ``FLAG_ABOVE`` even at the lower end of its interval."""
    return proportion_interval(round(share * count), count).low > FLAG_ABOVE


# --- judging ------------------------------------------------------------------------------------------------

EVERY, MOSTLY, STILL, WRONG = (
    "worse with every level",
    "worse, not with every level",
    "unmoved",
    "better, the wrong way",
)


def verdict(output: Output, values: Array) -> str:
    """What ``values (levels, seeds)`` say of the degradation: one of the four words above.

    ``unmoved``: the 95 % interval of the change from the first level to the last, paired by seed, holds zero.
    """
    harm = -values if output.higher_is_better else values
    if (np.diff(harm.mean(axis=1)) > 0).all():
        return EVERY
    change = t_interval(harm[-1] - harm[0])
    if change.low > 0:
        return MOSTLY
    return WRONG if change.high < 0 else STILL


def correlation(output: Output, values: Array) -> float:
    """Spearman's between the level and its mean over seeds; 1 where each level looks worse than the one before."""
    means = values.mean(axis=1)
    if np.ptp(means) == 0:
        return float("nan")
    harm = -means if output.higher_is_better else means
    return float(spearmanr(np.arange(len(harm)), harm).statistic)


# --- the page -----------------------------------------------------------------------------------------------

MARKS = {EVERY: "strict", MOSTLY: "not strict", STILL: "unmoved", WRONG: "wrong way"}

HEAD = """\
# Do the metrics see what they should?

Written by [`benchmarks/validity.py`](../benchmarks/validity.py); do not edit. Again:

```sh
python benchmarks/validity.py{options} > docs/validity.md
```

Real images that no feature extractor was fitted on are split in two halves at random. One half stays as it is, the
other is degraded, and the two are compared, as a board compares real and synthetic images. A metric is fit for its
purpose if it gets worse with every level. Means over {seeds} splits; within a split only the level changes.

- **noise, blur, JPEG**: every image is changed.
- **share of classes dropped**: as many images at each level (0.45 n of n), of the classes that are left.
- **share of images distinct**: as many images at each level, some of them several times.

Below each degradation stands Spearman's rank correlation (rho) between the level and the mean, 1 where the metric gets
worse with each level, and one of: *strict* (rho = 1), *not strict* (worse in the end, but not with each level),
*unmoved* (the 95 % interval of the change from first to last level holds zero), *wrong way* (better in the end).

Two halves of one pool, with as many images of each class in both, are more alike than two independent samples. So
unbiased distances (KID, FD∞) start below zero where n is small. A recall that has come down to 0 cannot get worse.
"""

FLAG_TEXT = """\
## The memorization flag

The share of samples that lie as near to one training image as only 1 % of held-out real images do. The flag is raised
where the lower end of its 95 % interval (Clopper & Pearson) is above {above}. {seeds} seeds, each with its own half of
the training images and its own split of the others.
"""


def page(found: Mapping[Case, Sequence[Ladder]], options: str) -> str:
    """The whole page."""
    parts = [HEAD.format(options=options, seeds=SEEDS)]
    parts += ["## What is and is not monotone\n", *reading(found)]
    for case, measured_ladders in found.items():
        n = len(halves(case.pool, 0)[0])
        parts.append(
            f"## {case.name}\n\nFeatures `{case.extractor.name}`, n = {n} images a side.\n\n{table(measured_ladders)}\n"
        )
    parts.append(memorization_part(list(found)))
    return "\n".join(parts)


def table(measured_ladders: Sequence[Ladder]) -> str:
    """One dataset's numbers."""
    rows = []
    for ladder in measured_ladders:
        for i, level in enumerate(ladder.levels):
            means = (f"{value:.4g}" for value in ladder.values[:, i].mean(axis=-1))
            rows.append([ladder.name if i == 0 else "", f"{level:g}" if i else "none", *means])
        marks = (
            f"*{correlation(output, values):.2g}, {MARKS[verdict(output, values)]}*"
            for output, values in zip(OUTPUTS, ladder.values, strict=True)
        )
        rows.append(["", "*rho*", *marks])
    headers = [
        "degradation",
        "level",
        *(f"{output.label} {'↑' if output.higher_is_better else '↓'}" for output in OUTPUTS),
    ]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def reading(found: Mapping[Case, Sequence[Ladder]]) -> Iterator[str]:
    """The verdicts in words, by metric; those that never fail together."""
    flawless = [output.label for i, output in enumerate(OUTPUTS) if set(_verdicts(found, i).values()) == {EVERY}]
    if flawless:
        yield f"**{', '.join(flawless)}**: {EVERY} of every degradation, on every dataset.\n"
    for i, output in enumerate(OUTPUTS):
        if output.label in flawless:
            continue
        verdicts = _verdicts(found, i)
        yield f"**{output.label}**\n"
        for word in (EVERY, MOSTLY, STILL, WRONG):
            places = [
                _where(name, [case for n, case in verdicts if n == name and verdicts[n, case] == word], len(found))
                for name in (*PIXELS, *CHOICES)
            ]
            if any(places):
                yield f"- {word}: {', '.join(filter(None, places))}"
        yield ""


def _verdicts(found: Mapping[Case, Sequence[Ladder]], i: int) -> dict[tuple[str, str], str]:
    """What output ``i`` says, by degradation and dataset."""
    return {
        (ladder.name, case.name): verdict(OUTPUTS[i], ladder.values[i])
        for case, its_ladders in found.items()
        for ladder in its_ladders
    }


def _where(degradation: str, names: Sequence[str], of: int) -> str:
    """A degradation, and its datasets in brackets unless they are all; empty where there are none."""
    short = degradation.partition(",")[0]
    if not names or len(names) == of:
        return short if names else ""
    return f"{short} ({', '.join(name.partition(' ')[0] for name in names)})"


def memorization_part(found: Sequence[Case]) -> str:
    """The flag on the two controls that it must tell apart."""
    rows = []
    for case in found:
        for cls in (TrainCopy, RealHoldout):
            shares = memorized(case, cls)
            count = min(JUDGED, len(halves(case.pool, 0)[0]))
            flags = sum(flagged(share, count) for share in shares)
            rows.append(
                [
                    case.name,
                    f"`{cls.name}`",
                    count,
                    f"{shares.min():.3f}",
                    f"{shares.max():.3f}",
                    f"{flags} of {len(shares)}",
                ]
            )
    headers = ["dataset", "row", "samples", "memorized share, least", "most", "flag raised"]
    told = FLAG_TEXT.format(above=FLAG_ABOVE, seeds=MEMORIZATION_SEEDS)
    return f"{told}\n{tabulate(rows, headers, tablefmt='pipe', disable_numparse=True)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure degraded real images; prints a Markdown page.")
    parser.add_argument("--cifar10", type=Path, help="folder with train-1.zip and test.zip, zipped image folders")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    began, found = time.process_time(), {}
    for case in cases(chosen.cifar10):
        found[case] = list(ladders(case))
        print(f"{case.name}: after {time.process_time() - began:.0f} s of CPU time", file=sys.stderr)
    print(page(found, " --cifar10 FOLDER" if chosen.cifar10 else ""), end="")
    print(f"done after {time.process_time() - began:.0f} s of CPU time", file=sys.stderr)


if __name__ == "__main__":
    main()
