"""The absolute goals of docs/gpu.md: resnet9 to 94 % on CIFAR-10 in 5 s, and an FID of 50,000 samples in 15 s.

Run: ``python benchmarks/perf/gpu.py [--device cuda] [--data-dir data] [--steps 2300] [--images 50000] [--repeats 5]
[--threads 8]``. The goals are meant for an H100. Wall time; the device is waited for before a clock is read. Nothing is
asserted. ``--device cpu --steps 2 --images 40 --repeats 1`` tries it out on a CPU, in a few minutes.

FID, first, as it needs no data: uint8 images of noise, 32x32, in memory, against the features of as many others. Timed
are the samples' features, the moments of both sets and their distance, as the metric ``fd`` computes it: network on the
device, the rest on the processors, in so many threads. Without pytorch-fid's weights they are random ones, in whose
network every batch norm has the statistics of what it sees: else some channels are zero for all images, covariances are
singular, and moments take a slower way. Where they do so all the same, a line says it.

resnet9, with its defaults and the crops, flips and cutout of benchmarks/cifar10.yaml, in the arithmetic that a run
chooses for the device: a fit, the copy of the images to the device included, after a short one that is not timed. One
validation image a class is the fewest that the dataset sets aside; it is not looked at. Accuracy is that on the test
images.
``--images`` below 50,000 takes fewer of every class, for training and test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from inception import random_network
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

import benchbench as bb
from benchbench.datasets.cifar import Cifar10
from benchbench.downstream.arms import classifier_seed, evaluate
from benchbench.downstream.resnet9 import ResNet9Classifier
from benchbench.errors import BenchbenchError, DataMissingError
from benchbench.features._fid_inception import SIZE, FidInception
from benchbench.features.inception import DATA_DIR_VARIABLE, Inception
from benchbench.metrics.frechet import TRUSTED_PIVOT, Array, frechet_distance, moments
from benchbench.runner.environment import environment, usable_cpus
from benchbench.runner.workspace import pick_device
from benchbench.training.acceleration import resolve
from benchbench.types import Augmentation, Predictor
from benchbench.types.comparison import Features

IMAGES, STEPS, TEST_IMAGES = 50_000, 2300, 10_000
GOAL_ACCURACY, GOAL_SECONDS, GOAL_FID_SECONDS = 0.94, 5, 15
CLASSICAL = Augmentation(crop=0.125, flip=True, rotation=0, brightness=0, contrast=0, saturation=0, hue=0, cutout=0.25)
WARM_UP_STEPS, WARM_UP_SEED = 20, 1_000_000
SETTLING_IMAGES = 16  # whose maps have at least 64 pixels each
Done = TypeVar("Done")


def timed(device: torch.device, do: Callable[[], Done]) -> tuple[float, Done]:
    """Seconds until the device is done, and what came of it."""
    synchronize(device)
    began = time.perf_counter()
    done = do()
    synchronize(device)
    return time.perf_counter() - began, done


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def said(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def noise(count: int, seed: int) -> Tensor:
    """``uint8 (count, 3, 32, 32)``."""
    return torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def ruler(device: torch.device) -> tuple[Inception, str]:
    """Inception, and what weights it has: pytorch-fid's where they are found."""
    inception = Inception()
    try:
        inception.load_state_dict(inception.state_dict())  # the state names the file, which is looked for
        return inception, "pytorch-fid's weights"
    except DataMissingError:
        network = random_network().to(device)
        settle(network, bb.to_float(noise(SETTLING_IMAGES, seed=2).to(device)))
        inception.network = FidInception(network.cpu().state_dict())
        return inception, "random weights"


@torch.no_grad()
def settle(network: nn.Module, images: Tensor) -> None:
    """Give every batch norm the statistics of what it sees."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the average of all batches, which are one
    network.train()(nn.functional.interpolate(images, size=(SIZE, SIZE), mode="bilinear"))
    network.eval()


def both_moments(real: Features, samples: Features) -> tuple[Array, Array, Array, Array]:
    return *moments(real), *moments(samples)


def nearly_singular(factor: Array) -> bool:
    """Whether moments took the slower way; ``factor`` is triangular."""
    pivots = np.abs(np.diagonal(factor))
    return bool(pivots.min() <= TRUSTED_PIVOT * pivots.max())


def measure_fid(device: torch.device, count: int, repeats: int) -> None:
    inception, weights = ruler(device)
    real = inception.extract(noise(count, seed=0), device)  # at hand, as from the store; and the warm-up
    samples = noise(count, seed=1)
    parts: dict[str, list[float]] = {"features": [], "moments": [], "distance": []}
    for _ in range(repeats):
        extracting, features = timed(device, partial(inception.extract, samples, device))
        condensing, both = timed(device, partial(both_moments, real, features))
        comparing, distance = timed(device, partial(frechet_distance, *both))
        for name, seconds in zip(parts, (extracting, condensing, comparing), strict=True):
            parts[name].append(seconds)
    goal = f"goal {GOAL_FID_SECONDS} s" if count == IMAGES else f"the goal is for {IMAGES:,}"
    total = [sum(each) for each in zip(*parts.values(), strict=True)]
    print(f"FID of {count:,} samples, {weights}, median of {repeats}: {said(total)}; {goal}")
    print("  " + "; ".join(f"{name} {said(seconds)}" for name, seconds in parts.items()))
    print(f"  {count / statistics.median(parts['features']):.0f} images a second; the distance is {distance:.4g}")
    if count > real.shape[1] and (nearly_singular(both[1]) or nearly_singular(both[3])):
        print("  a covariance is nearly singular: moments took the slower way")
    sys.stdout.flush()


def train(data: bb.LabelledImages, number: int, device: torch.device, steps: int) -> Predictor:
    """As a run trains the classifier of its arm ``classical``, of seed ``number``."""
    seed = classifier_seed(number, 0)

    def change(images: Tensor, generator: torch.Generator) -> Tensor:
        return bb.augment(images, CLASSICAL, generator)

    generator = bb.torch_generator(seed, "fit", device=device)
    ctx = bb.FitContext(seed, device, generator, augment=change, compute=resolve(device))
    return ResNet9Classifier().train(data, steps, ctx)


def cifar10(data_dir: Path, images: int) -> bb.Dataset:
    """All but one training image a class, or so many; of test images as many, at most all."""
    of_class = max(1, images // 10)
    part = None if images >= IMAGES else of_class
    of_test = min(of_class, TEST_IMAGES // 10)
    config = Cifar10.Config(size=32, val_per_class=1, train_per_class=part, test_per_class=of_test)
    return Cifar10(config).load(data_dir)


def measure_resnet9(device: torch.device, data_dir: Path, images: int, steps: int, repeats: int) -> None:
    data = cifar10(data_dir, images)
    precision, batch = resolve(device).precision, ResNet9Classifier().config.batch_size
    what = f"{steps:,} steps of {batch} of {len(data.train):,} training images"
    print(f"resnet9, {what}, crops, flips and cutout, {precision}")
    train(data.train, WARM_UP_SEED, device, min(WARM_UP_STEPS, steps))
    seconds, accuracies = [], []
    for number in range(repeats):
        took, predictor = timed(device, partial(train, data.train, number, device, steps))
        seconds.append(took)
        accuracies.append(evaluate(predictor, data.test).accuracy)
        print(f"  seed {number}: {took:.2f} s, {percent(accuracies[-1])} of {len(data.test):,} test images", flush=True)
    reached = sum(accuracy >= GOAL_ACCURACY for accuracy in accuracies)
    whole = len(data.test) == TEST_IMAGES and images >= IMAGES
    goal = f"goal {percent(GOAL_ACCURACY)} in {GOAL_SECONDS} s" if whole else "the goal is for all images"
    print(f"  medians of {repeats}: {said(seconds)}, {percent(statistics.median(accuracies))};", end=" ")
    print(f"{percent(reached / repeats)} of runs at {percent(GOAL_ACCURACY)} or more; {goal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(8, usable_cpus()))  # 8 in the files for a GPU
    options = parser.parse_args()
    os.environ[DATA_DIR_VARIABLE] = str(options.data_dir.absolute())  # as a run does: weights may lie there, too
    torch.set_num_threads(options.threads)
    try:
        with threadpool_limits(options.threads):
            device = pick_device(options.device)
            print(f"{environment(device)['device']}, torch {torch.__version__}, {options.threads} threads", flush=True)
            measure_fid(device, options.images, options.repeats)
            measure_resnet9(device, options.data_dir, options.images, options.steps, options.repeats)
    except BenchbenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
