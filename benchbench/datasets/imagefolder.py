"""One's own images: a folder or a zip with one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field

from benchbench.datasets._carve import SPLITS, Shares, carved
from benchbench.datasets._decoded import decoded
from benchbench.datasets._folders import folder_identity, read_image_folder
from benchbench.errors import DataError, DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.types import Dataset, DatasetSource, LabelledImages

# What people call the splits.
NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


class ImageFolder(DatasetSource):
    """``<class>/<image>``, divided class by class; or ``train/<class>/<image>``, ``test/...`` and perhaps ``val/...``.

    Each split may be a folder or a zip (``train.zip``). Where val is not given it is carved out of train.
    """

    name = "imagefolder"

    class Config(Shares):
        """Which folder, the size of the images, and how they are divided."""

        # a place, not a setting: left out of content keys, which take the images' fingerprint instead
        path: str = Field(
            "images", exclude=True, description="Folder or zip; relative to the data folder, or absolute."
        )
        size: int | None = Field(
            None, ge=4, le=1024, description="Crop to the central square and resize to this; None: as they are."
        )

    def load(self, data_dir: Path) -> Dataset:
        """Read, decode (once) and divide.

        Raises:
            DataMissingError: If there is no such folder or zip.
            DataError: If images cannot be read, differ in size, or splits differ in classes.
        """
        path = data_dir / Path(self.config.path).expanduser()
        if not path.exists():
            raise DataMissingError(
                f"dataset 'imagefolder': there is no {path}, expected a folder or a zip of <class>/<image>, or a "
                "folder with train and test of that form; give its place as the dataset's config key 'path', or say "
                "with --data-dir where it is"
            )
        places = _given(path)
        splits = {split: self._read(place, split if len(places) > 1 else "images") for split, place in places.items()}
        return carved(self.name, _same_classes(splits), self.config)

    def _read(self, place: Path, what: str) -> LabelledImages:
        size, who = self.config.size, f"dataset {self.name!r}, {what}"
        identity = {"imagefolder": folder_identity([place]), "size": size}
        return decoded(identity, lambda: read_image_folder([place], who, size))


def _given(path: Path) -> dict[str, Path]:
    """The place of every split that is given; one pool of images counts as train."""
    found = {}
    for split in SPLITS if path.is_dir() else ():
        places = [path / f"{name}{ending}" for name in NAMES[split] for ending in ("", ".zip")]
        there = [place for place in places if place.exists()]
        if there:
            found[split] = there[0]
    return found if {"train", "test"} <= found.keys() else {"train": path}


def _same_classes(splits: dict[str, LabelledImages]) -> dict[str, LabelledImages]:
    """The splits, once it is sure that each has every class.

    Raises:
        DataError: If one has not.
    """
    every = sorted({kind for data in splits.values() for kind in data.classes})
    for split, data in splits.items():
        missing = sorted(set(every) - set(data.classes))
        if missing:
            raise DataError(
                f"dataset 'imagefolder', {split}: has no image of {len(missing)} classes that other splits have "
                f"({', '.join(missing[:5])}), expected the same classes in all; add images or remove these folders"
            )
    if len({data.shape[0] for data in splits.values()}) == 1:
        return splits
    return {split: replace(data, images=_coloured(data.images)) for split, data in splits.items()}


def _coloured(images: torch.Tensor) -> torch.Tensor:
    """Grey images as colour ones, where another split has colour."""
    return images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1).contiguous()


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring image folders."""
    return [ImageFolder]
