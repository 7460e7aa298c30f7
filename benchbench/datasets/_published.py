"""Published datasets: looked for in one order, checked, split the same way for everyone."""

from __future__ import annotations

import hashlib
import http.client
import logging
import socket
import tarfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field, create_model, model_validator

from benchbench.datasets._decoded import Change, decoded, part
from benchbench.datasets._folders import Place, contents, read_image_folder
from benchbench.datasets._per_class import Index, fits, resample, shuffled_by_class
from benchbench.datasets._repeats import warn_of_repeats
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Config, Dataset, DatasetSource, LabelledImages

# Seconds that a server may be silent before a download is given up.
PATIENCE = 15.0

logger = logging.getLogger(__name__)

# By split: the published files, or the folder they are in; and image folders or zips.
Files = Mapping[str, Sequence[Path]]
Places = Mapping[str, Sequence[Place]]


class PublishedConfig(Config):
    """Size of the images and of the splits.

    Attributes:
        smallest: Training images of the dataset's smallest class.
    """

    size: int
    train_per_class: int | None
    val_per_class: int
    test_per_class: int | None
    smallest: ClassVar[int]
    # Where the images come from is no part of what they are, so it stays out of content keys.
    download: bool = Field(True, exclude=True, description="Whether to fetch the images where they are missing.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        fits(self.train_per_class, self.val_per_class, self.smallest)
        return self


def config_of(size: int, train: int, test: int, val: int = 500) -> type[PublishedConfig]:
    """The config of a dataset by what it has.

    Args:
        size: Height and width in pixels.
        train: Training images of its smallest class.
        test: Test images of its smallest class.
        val: Default of ``val_per_class``.
    """
    smaller = Field(size, ge=4, le=size, description="Height and width in pixels; smaller ones are resampled.")
    of_train = Field(None, ge=1, le=train, description="Training images a class; None takes all but val's.")
    of_val = Field(val, ge=1, lt=train, description="Validation images a class, carved from train.")
    of_test = Field(None, ge=1, le=test, description="Test images a class; None takes all.")
    model = create_model(
        "Config",
        __base__=PublishedConfig,
        __doc__="Size of the images and of the splits.",
        __module__=__name__,
        size=(int, smaller),
        train_per_class=(int | None, of_train),
        val_per_class=(int, of_val),
        test_per_class=(int | None, of_test),
    )
    model.smallest = train
    return model


class Published(DatasetSource):
    """A dataset that everyone means the same images by.

    It is looked for in torchvision's layout, then as image folders or zips of them, then where a package of the system
    puts it; else it is downloaded by torchvision. Images are ordered by class and then by the SHA-256 of their pixels,
    so that the same images make the same dataset wherever they come from: the published order is not known to an image
    folder. Subsets are class-balanced, drawn by a fixed seed, and nested for one ``val_per_class``.

    Attributes:
        shape: (C, H, W).
        counts: Images of every class by split, ``train`` and ``test``.
        folders: Names that a folder of image folders or of zips may have below the data folder.
        kinds: The class names by label; None takes the source's, sorted.
        keeps_order: Whether images in torchvision's layout stay in their published order, whatever folders give.
    """

    shape: ClassVar[tuple[int, int, int]]
    counts: ClassVar[Mapping[str, Sequence[int]]]
    folders: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[str, ...] | None] = None
    keeps_order: ClassVar[bool] = False

    @abstractmethod
    def layout(self, data_dir: Path) -> Files | None:
        """The published files of ``train`` and of ``test``, or the folder they are in; None unless all are there."""

    def installed(self) -> Files | None:
        """The same from a package of the system, where one has them."""
        return None

    @abstractmethod
    def read(self, files: Sequence[Path], split: str) -> LabelledImages:
        """The images of a split from what ``layout`` gave for it.

        Raises:
            DataError: If a file is damaged, or is not what was published.
        """

    @abstractmethod
    def fetch(self, data_dir: Path) -> None:
        """Have torchvision download what ``layout`` then finds."""

    @abstractmethod
    def remedy(self, data_dir: Path) -> str:
        """Where the files were looked for, where to get them, where to put them, and their checksums."""

    def check(self, data_dir: Path) -> str:
        """Where the files or folders are that ``load`` would read."""
        files, places = self._found(data_dir)
        if files is not None:
            return f"as published, in {files['train'][0].parent}"
        if places is not None:
            first = places["train"][0]
            return f"as images, in {first.path if first.inside else first.path.parent}"
        raise self._missing(data_dir, "nothing was fetched yet (a run tries to)")

    def load(self, data_dir: Path) -> Dataset:
        """From torchvision's layout, else image folders or zips of them, else the system's package, else a download.

        Raises:
            DataMissingError: If none is there and the download fails.
            DataError: If what is there is damaged or is another dataset.
        """
        whole = self._whole(data_dir)
        config, classes = self.config, len(self.counts["train"])
        order = {split: shuffled_by_class(data.labels.numpy(), classes) for split, data in whole.items()}
        end = None if config.train_per_class is None else config.val_per_class + config.train_per_class
        data = Dataset(
            self.name,
            train=self._cut(whole["train"], [each[config.val_per_class : end] for each in order["train"]]),
            val=self._cut(whole["train"], [each[: config.val_per_class] for each in order["train"]]),
            test=self._cut(whole["test"], [each[: config.test_per_class] for each in order["test"]]),
        )
        if config.size == self.shape[-1]:  # smaller ones may be alike though the images are not
            splits = {"train": data.train, "val": data.val, "test": data.test}
            warn_of_repeats(self.name, splits, "they were published so: keep it in mind")
        return data

    def _cut(self, data: LabelledImages, order: Sequence[Index]) -> LabelledImages:
        """The images at all positions in ``order``, in the dataset's order and at the size asked for."""
        size = self.config.size
        change = None if size == self.shape[-1] else Change(f"resample {size}", lambda images: resample(images, size))
        return part(data, torch.from_numpy(np.sort(np.concatenate(order))), change)

    def _whole(self, data_dir: Path) -> dict[str, LabelledImages]:
        """All images by split, checked and in their order, decoded once."""
        files, places = self._found(data_dir)
        if places is not None:
            return {split: self._of_folders(places[split], split) for split in places}
        if files is None:
            self._download(data_dir)
            files = self.layout(data_dir)
        if files is None:
            raise DataMissingError(f"dataset {self.name!r}: the download is not whole. {self.remedy(data_dir)}")
        return {split: self._of_layout(files[split], split) for split in files}

    def _found(self, data_dir: Path) -> tuple[Files | None, Places | None]:
        """What is there: published files or image folders, whichever comes first; two Nones where nothing is."""
        if (files := self.layout(data_dir)) is not None:
            return files, None
        if (places := self._folders(data_dir)) is not None:
            return None, places
        return self.installed(), None

    def _folders(self, data_dir: Path) -> Places | None:
        """The image folders or zips of every split, in the first folder or zip that has them all."""
        for name in self.folders:
            folder = data_dir / name
            places = {split: _places(folder, split) for split in self.counts}
            if all(places.values()):
                return places
            for one in (data_dir / f"{name}.zip", folder / f"{name}.zip"):
                if one.is_file() and self.counts.keys() <= set(contents(Place(one), f"dataset {self.name!r}").folders):
                    return {split: [Place(one, split)] for split in self.counts}
        return None

    def _of_layout(self, files: Sequence[Path], split: str) -> LabelledImages:
        identity = [Place(file).identity() for file in files]

        def decode() -> LabelledImages:
            data = self._checked(self.read(files, split), split)
            return data if self.keeps_order else _canonical(data)

        return decoded({"dataset": self.name, "split": split, "layout": identity}, decode)

    def _of_folders(self, places: Sequence[Place], split: str) -> LabelledImages:
        if self.keeps_order:
            logger.warning(
                "dataset %r: image folders do not tell the order it was published in, so its subsets and val are not "
                "those that its published files give; compare with no results on them",
                self.name,
            )

        def decode() -> LabelledImages:
            data = read_image_folder(places, f"dataset {self.name!r}, {split}")
            return _canonical(self._checked(self._named(data, split), split))

        identity = [place.identity() for place in places]
        return decoded({"dataset": self.name, "split": split, "folders": identity}, decode)

    def _named(self, data: LabelledImages, split: str) -> LabelledImages:
        """Labels by the dataset's class names, or by their numbers, instead of by the sorted names of folders."""
        if self.kinds is None:
            return data
        numbers = tuple(str(label) for label in range(len(self.kinds)))
        for names in (self.kinds, numbers):
            if set(names) == set(data.classes):
                label = torch.tensor([names.index(kind) for kind in data.classes])
                return LabelledImages(data.images, label[data.labels], self.kinds)
        raise DataError(
            f"dataset {self.name!r}, {split}: got the classes {', '.join(data.classes[:10])}, expected "
            f"{', '.join(self.kinds)}, or 0 to {len(self.kinds) - 1}; for your own images use the dataset 'imagefolder'"
        )

    def _checked(self, data: LabelledImages, split: str) -> LabelledImages:
        expected, counts = list(self.counts[split]), data.class_counts.tolist()
        if data.shape != self.shape or counts != expected:
            raise DataError(
                f"dataset {self.name!r}, {split}: got {len(counts)} classes of {min(counts)} to {max(counts)} "
                f"images of shape {data.shape}, expected {len(expected)} of {_range(expected)} of shape "
                f"{self.shape}; for a part of it, or for your own images, use the dataset 'imagefolder'"
            )
        return data

    def _download(self, data_dir: Path) -> None:
        """Let torchvision fetch it, which shows its progress."""
        reason = "the config says download: false"
        if self.config.download:
            try:
                data_dir.mkdir(parents=True, exist_ok=True)
                with _impatient():
                    self.fetch(data_dir)
            except (OSError, EOFError, RuntimeError, http.client.HTTPException, tarfile.TarError) as error:
                reason = f"the download failed: {' '.join(str(error).split())}"
            else:
                return
        raise self._missing(data_dir, reason)

    def _missing(self, data_dir: Path, reason: str) -> DataMissingError:
        name = self.folders[0]
        return DataMissingError(
            f"dataset {self.name!r}: it was not found, and {reason}. {self.remedy(data_dir)}; or put image folders "
            "train and test with <class>/<image>.png, or zips of them, train.zip (in parts: train1.zip, train2.zip and "
            f"so on) and test.zip, or one {name}.zip that holds train/ and test/, into {data_dir / name}; or say with "
            "--data-dir where they are"
        )


@contextmanager
def _impatient() -> Iterator[None]:
    """Sockets that give up: torchvision's downloads would wait for a silent server for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _canonical(data: LabelledImages) -> LabelledImages:
    """By class, then by the SHA-256 of the pixels."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in data.images.numpy()]
    order = sorted(range(len(data)), key=lambda i: (int(data.labels[i]), digests[i]))
    return data.take(torch.tensor(order))


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _places(folder: Path, split: str) -> list[Place]:
    """The image folder of a split, or all its zips: ``train.zip``, or ``train1.zip``, ``train-1.zip`` and so on."""
    if (folder / split).is_dir():
        return [Place(folder / split)]
    # no letter may follow: training-notes.zip is something else
    return [Place(path) for path in sorted([*folder.glob(f"{split}.zip"), *folder.glob(f"{split}[-_0-9]*.zip")])]
