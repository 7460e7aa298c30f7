"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 colour photographs, 32x32."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from benchbench.datasets._decoded import decoded
from benchbench.datasets._folders import folder_identity, read_image_folder
from benchbench.datasets._per_class import Index, fits, resample, shuffled_by_class
from benchbench.errors import DataError, DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.types import Config as BaseConfig
from benchbench.types import Dataset, DatasetSource, LabelledImages

SIZE = 32
IMAGES = {"train": 50_000, "test": 10_000}


class _Cifar(DatasetSource):
    """What both have in common: where they are looked for, their order and their splits.

    Images are ordered by class and then by the SHA-256 of their pixels, so that the same photographs make the same
    dataset wherever they come from: the published batches' order is not known to an image folder.

    Attributes:
        num_classes: K.
        batches: torchvision's folder of the published batches.
        folders: Names that a folder of image folders or of zips may have.
    """

    num_classes: ClassVar[int]
    batches: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]

    def _published(self) -> Any:
        """The class of torchvision that knows the address and the checksums."""
        from torchvision import datasets  # a second, which other benchmarks should not pay for

        return datasets.CIFAR10 if self.num_classes == 10 else datasets.CIFAR100

    def load(self, data_dir: Path) -> Dataset:
        """From the published batches, else image folders or zips of them, else a download, in that order.

        Raises:
            DataMissingError: If neither is there and the download fails.
            DataError: If what is there is damaged or is another dataset.
        """
        train, test = self._splits(data_dir)
        config = self.config
        order = shuffled_by_class(train.labels.numpy(), self.num_classes)
        test_order = shuffled_by_class(test.labels.numpy(), self.num_classes)
        end = None if config.train_per_class is None else config.val_per_class + config.train_per_class
        return Dataset(
            self.name,
            train=_take(train, order[:, config.val_per_class : end], config.size),
            val=_take(train, order[:, : config.val_per_class], config.size),
            test=_take(test, test_order[:, : config.test_per_class], config.size),
        )

    def _splits(self, data_dir: Path) -> tuple[LabelledImages, LabelledImages]:
        """All training and all test images, in the order that is the same for everyone."""
        if not (data_dir / self.batches).is_dir():
            for folder in self.folders:
                places = {split: _places(data_dir / folder, split) for split in IMAGES}
                if all(places.values()):
                    return self._from_folders(places["train"], "train"), self._from_folders(places["test"], "test")
            self._download(data_dir)
        return self._from_batches(data_dir, "train"), self._from_batches(data_dir, "test")

    def _from_folders(self, places: Sequence[Path], split: str) -> LabelledImages:
        who = f"dataset {self.name!r}, {split}"
        return self._whole(split, folder_identity(places), lambda: read_image_folder(places, who))

    def _from_batches(self, data_dir: Path, split: str) -> LabelledImages:
        def decode() -> LabelledImages:
            try:  # unpickled by torchvision, after it has compared every file's checksum
                found = self._published()(str(data_dir), train=split == "train", download=False)
            except (RuntimeError, EOFError, OSError) as error:
                raise DataError(
                    f"dataset {self.name!r}: {data_dir / self.batches} is damaged ({error}); remove that folder, then "
                    "run again to have it fetched, or unpack the archive anew"
                ) from error
            images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
            return LabelledImages(images, torch.tensor(found.targets), tuple(found.classes))

        return self._whole(split, folder_identity([data_dir / self.batches]), decode)

    def _whole(self, split: str, source: object, decode: Callable[[], LabelledImages]) -> LabelledImages:
        """All images of a split, checked and in their order, decoded once."""

        def canonical() -> LabelledImages:
            data = decode()
            expected = IMAGES[split] // self.num_classes
            counts = data.class_counts.tolist()
            if data.shape != (3, SIZE, SIZE) or counts != [expected] * self.num_classes:
                raise DataError(
                    f"dataset {self.name!r}, {split}: got {len(counts)} classes of {min(counts)} to {max(counts)} "
                    f"images of shape {data.shape}, expected {self.num_classes} of {expected} of shape "
                    f"(3, {SIZE}, {SIZE}); for a part of it, or for your own images, use the dataset 'imagefolder'"
                )
            digests = [hashlib.sha256(image.numpy().tobytes()).digest() for image in data.images]
            order = sorted(range(len(data)), key=lambda i: (int(data.labels[i]), digests[i]))
            return data.take(torch.tensor(order))

        return decoded({"dataset": self.name, "split": split, "source": source}, canonical)

    def _download(self, data_dir: Path) -> None:
        """Let torchvision fetch and unpack the published archive."""
        published = self._published()
        reason = "the config says download: false"
        if self.config.download:
            try:
                data_dir.mkdir(parents=True, exist_ok=True)
                published(str(data_dir), train=True, download=True)
            except (OSError, RuntimeError) as error:
                reason = f"the download failed: {error}"
            else:
                return
        places = ", ".join(str(data_dir / folder) for folder in (self.batches, *self.folders))
        raise DataMissingError(
            f"dataset {self.name!r}: none of {places} has it, and {reason}. Put {published.filename} (from "
            f"{published.url}, MD5 {published.tgz_md5}) into {data_dir} and unpack it there; or put image folders or "
            f"zips of them, train*.zip and test.zip with <class>/<image>.png, into {data_dir / self.folders[0]}; or "
            "say with --data-dir where they are"
        )


class _Config(BaseConfig):
    """Size of the images and of the splits."""

    size: int = Field(SIZE, ge=4, le=SIZE, description="Height and width in pixels; smaller ones are resampled.")
    # Where the images come from is no part of what they are, so it stays out of content keys.
    download: bool = Field(True, exclude=True, description="Whether to fetch the images where they are missing.")


class Cifar10(_Cifar):
    """CIFAR-10: ten classes, 5,000 training and 1,000 test images of each.

    Subsets are class-balanced, drawn by a fixed seed, and nested for one ``val_per_class``.
    """

    name = "cifar10"
    num_classes = 10
    batches = "cifar-10-batches-py"
    folders = ("cifar10", "cifar-10")

    class Config(_Config):
        """Size of the images and of the splits."""

        train_per_class: int | None = Field(
            None, ge=1, le=5000, description="Training images a class; None takes all but val's."
        )
        val_per_class: int = Field(500, ge=1, lt=5000, description="Validation images a class, carved from train.")
        test_per_class: int | None = Field(None, ge=1, le=1000, description="Test images a class; None takes all.")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            fits(self.train_per_class, self.val_per_class, 5000)
            return self


class Cifar100(_Cifar):
    """CIFAR-100: a hundred classes, 500 training and 100 test images of each; subsets as for CIFAR-10."""

    name = "cifar100"
    num_classes = 100
    batches = "cifar-100-python"
    folders = ("cifar100", "cifar-100")

    class Config(_Config):
        """Size of the images and of the splits."""

        train_per_class: int | None = Field(
            None, ge=1, le=500, description="Training images a class; None takes all but val's."
        )
        val_per_class: int = Field(50, ge=1, lt=500, description="Validation images a class, carved from train.")
        test_per_class: int | None = Field(None, ge=1, le=100, description="Test images a class; None takes all.")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            fits(self.train_per_class, self.val_per_class, 500)
            return self


def _places(folder: Path, split: str) -> list[Path]:
    """The image folder of a split, or all its zips (``train.zip``, or ``train-1.zip`` and so on)."""
    if (folder / split).is_dir():
        return [folder / split]
    return sorted([*folder.glob(f"{split}.zip"), *folder.glob(f"{split}-*.zip")])


def _take(data: LabelledImages, order: Index, size: int) -> LabelledImages:
    """The images at all positions in ``order``, in the dataset's order."""
    part = data.take(torch.from_numpy(np.sort(order, axis=None)))
    return part if size == SIZE else LabelledImages(resample(part.images, size), part.labels, part.classes)


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring CIFAR-10 and CIFAR-100."""
    return [Cifar10, Cifar100]
