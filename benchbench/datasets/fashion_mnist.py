"""Fashion-MNIST: 70,000 real photographs of Zalando's articles, 28x28 grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator

from benchbench.datasets._idx import Bytes, idx_sha256, read_idx
from benchbench.datasets._per_class import Index, fits, resample, shuffled_by_class
from benchbench.errors import DataError, DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.types import Config as BaseConfig
from benchbench.types import Dataset, DatasetSource, LabelledImages

# As published, but for the "/top" of the first, which would not do as a folder's name.
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

SIZE = 28
TRAIN_PER_CLASS, TEST_PER_CLASS = 6000, 1000

# Shape and SHA-256 of each file as it is when unpacked. The packed ones differ from place to place.
FILES = {
    "train-images-idx3-ubyte": (
        (60000, SIZE, SIZE),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte": ((60000,), "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    "t10k-images-idx3-ubyte": (
        (10000, SIZE, SIZE),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte": ((10000,), "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
}
# Where torchvision leaves them, where a person may, and where Debian does.
FOLDERS = ("FashionMNIST/raw", "fashion-mnist", ".")
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")


class FashionMnist(DatasetSource):
    """Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): ten classes, 6,000 training and 1,000 test images of each.

    Subsets are class-balanced, drawn by a fixed seed, and nested: with one ``val_per_class``, val is the same and 500
    training images a class are among the 1,000 a class. Images keep the order they were published in.
    """

    name = "fashion_mnist"

    class Config(BaseConfig):
        """Size of the images and of the splits."""

        size: int = Field(SIZE, ge=4, le=SIZE, description="Height and width in pixels; smaller ones are resampled.")
        train_per_class: int | None = Field(
            None, ge=1, le=TRAIN_PER_CLASS, description="Training images a class; None takes all but val's."
        )
        val_per_class: int = Field(
            500, ge=1, lt=TRAIN_PER_CLASS, description="Validation images a class, carved from train."
        )
        test_per_class: int | None = Field(
            None, ge=1, le=TEST_PER_CLASS, description="Test images a class; None takes all."
        )

        @model_validator(mode="after")
        def _fits(self) -> Self:
            fits(self.train_per_class, self.val_per_class, TRAIN_PER_CLASS)
            return self

    def load(self, data_dir: Path) -> Dataset:
        """Read the four files from the first place that has them all.

        Raises:
            DataMissingError: If none has.
            DataError: If a file is damaged, or is not the one that was published.
        """
        images, labels, test_images, test_labels = _read(_find(data_dir))
        config = self.config
        order, test_order = (shuffled_by_class(each, len(CLASSES)) for each in (labels, test_labels))
        end = None if config.train_per_class is None else config.val_per_class + config.train_per_class
        return Dataset(
            self.name,
            train=_take(images, labels, order[:, config.val_per_class : end], config.size),
            val=_take(images, labels, order[:, : config.val_per_class], config.size),
            test=_take(test_images, test_labels, test_order[:, : config.test_per_class], config.size),
        )


def _find(data_dir: Path) -> dict[str, Path]:
    """The four files, by their name in ``FILES``, in the first folder that has them all, unpacked or packed."""
    folders = [*(data_dir / folder for folder in FOLDERS), SYSTEM_FOLDER]
    for folder in folders:
        found = {
            name: next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
            for name in FILES
        }
        paths = {name: path for name, path in found.items() if path is not None}
        if len(paths) == len(FILES):
            return paths
    digests = ", ".join(f"{name} {sha256}" for name, (_, sha256) in FILES.items())
    raise DataMissingError(
        f"dataset 'fashion_mnist': no folder has the four files {', '.join(FILES)} (each may end in .gz). Looked in: "
        f"{', '.join(str(folder) for folder in folders)}. Install Debian's package dataset-fashion-mnist, or let "
        f"torchvision.datasets.FashionMNIST('{data_dir}', download=True) put them there. SHA-256, unpacked: {digests}"
    )


def _read(paths: Mapping[str, Path]) -> list[Bytes]:
    """The four arrays in the order of ``FILES``, each compared with what was published."""
    arrays = []
    for name, (shape, sha256) in FILES.items():
        array = read_idx(paths[name], shape)
        found = idx_sha256(array)
        if found != sha256:
            raise DataError(
                f"{paths[name]}: got SHA-256 {found} once unpacked, expected Fashion-MNIST's {sha256}; "
                "it is damaged or of another dataset: fetch it again"
            )
        arrays.append(array)
    return arrays


def _take(images: Bytes, labels: Bytes, order: Index, size: int) -> LabelledImages:
    """The images at all positions in ``order``, in the order of publication."""
    index = np.sort(order, axis=None)
    pixels, classes = torch.from_numpy(images[index][:, None]), torch.from_numpy(labels[index].astype(np.int64))
    return LabelledImages(pixels if size == SIZE else resample(pixels, size), classes, CLASSES)


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring Fashion-MNIST."""
    return [FashionMnist]
