"""MNIST: 70,000 handwritten digits, 28x28 grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from benchbench.datasets._mnist_family import SIZE, MnistFamily
from benchbench.datasets._published import config_of
from benchbench.datasets.digits import CLASSES
from benchbench.hookspecs import hookimpl
from benchbench.types import DatasetSource


class Mnist(MnistFamily):
    """MNIST (LeCun, Bottou, Bengio & Haffner 1998): 60,000 training and 10,000 test images, classes not quite equal.

    Subsets are class-balanced: as many images of every class as the smallest one has, at most.
    """

    name = "mnist"
    torchvision = title = "MNIST"
    kinds = CLASSES
    counts: ClassVar[Mapping[str, Sequence[int]]] = {
        "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    }
    folders = ("mnist",)
    places = ("mnist",)
    sha256: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    Config = config_of(SIZE, train=min(counts["train"]), test=min(counts["test"]))


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring MNIST."""
    return [Mnist]
