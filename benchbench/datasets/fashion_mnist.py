"""Fashion-MNIST: 70,000 real photographs of Zalando's articles, 28x28 grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchbench.datasets._mnist_family import SIZE, MnistFamily
from benchbench.datasets._published import config_of
from benchbench.hookspecs import hookimpl
from benchbench.types import DatasetSource


class FashionMnist(MnistFamily):
    """Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): ten classes, 6,000 training and 1,000 test images of each.

    Images keep the order they were published in.
    """

    name = "fashion_mnist"
    torchvision = "FashionMNIST"
    title = "Fashion-MNIST"
    # As published, but for the "/top" of the first, which would not do as a folder's name.
    kinds = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    counts: ClassVar[Mapping[str, Sequence[int]]] = {"train": (6000,) * 10, "test": (1000,) * 10}
    keeps_order = True
    folders = ("fashion_mnist", "fashion-mnist")
    places = ("fashion-mnist", ".")
    system = (Path("/usr/share/datasets/fashion-mnist"), "dataset-fashion-mnist")
    sha256: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
    Config = config_of(SIZE, train=6000, test=1000)


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring Fashion-MNIST."""
    return [FashionMnist]
