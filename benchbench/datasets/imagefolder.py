"""One's own images: a folder or a zip with one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field

from benchbench.datasets._carve import SPLITS, Shares, carved
from benchbench.datasets._decoded import decoded
from benchbench.datasets._folders import Contents, Place, contents, folder_of, read_image_folder
from benchbench.datasets._places import own_images, place
from benchbench.errors import DataError, DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.types import Dataset, DatasetSource, LabelledImages

# What people call the splits.
NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


class ImageFolder(DatasetSource):
    """``<class>/<image>``, divided class by class; or ``train/<class>/<image>``, ``test/...`` and perhaps ``val/...``.

    Either may be a directory or a zip, and in a directory each split may be a zip (``train.zip``). What is missing of
    val and test is carved out of train. Where there is a ``dataset.json`` as StyleGAN and EDM have it, labels are its.
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

    def check(self, data_dir: Path) -> str:
        """Which images is for the config to say."""
        return own_images(self.config.path)

    def load(self, data_dir: Path) -> Dataset:
        """Read, decode (once) and divide.

        Raises:
            DataMissingError: If there is no such folder or zip.
            DataError: If images cannot be read, differ in size, or splits differ in classes.
        """
        path = place(data_dir, self.config.path, "dataset 'imagefolder'")
        if not (path.is_dir() or path.is_file()):
            raise DataMissingError(
                f"dataset 'imagefolder': there is no {path}, expected a folder or a zip of <class>/<image>, or a "
                "folder with train and test of that form; give its place as the dataset's config key 'path', or say "
                "with --data-dir where it is"
            )
        places = _given(path)
        splits = {split: self._read(where, split if len(places) > 1 else "images") for split, where in places.items()}
        return carved(self.name, _same_classes(splits), self.config)

    def _read(self, where: Place, what: str) -> LabelledImages:
        size, who = self.config.size, f"dataset {self.name!r}, {what}"
        identity = {"imagefolder": where.identity(), "size": size}
        return decoded(identity, lambda: read_image_folder([where], who, size))


def _given(path: Path) -> dict[str, Place]:
    """The place of every split that is given; one pool of images counts as train.

    Raises:
        DataError: If folders may be splits or classes.
    """
    who = "dataset 'imagefolder'"
    held = contents(Place(path), who)
    if held.indexed is not None:
        return {"train": Place(path)}
    found = {split: where for split in SPLITS if (where := _split(path, held, split)) is not None}
    folders = {folder for folder in held.folders if any(folder in NAMES[split] for split in found)}
    # train without val and test is a class beside others, and all there is where nothing stands beside it
    if "train" not in found or (len(found) == 1 and folders != set(held.folders)):
        return {"train": Place(path)}
    loose = [split for split, where in found.items() if _loose(where, held, who)]
    if not loose:
        return found
    if len(found) == 1:  # one folder of images: one class
        return {"train": Place(path)}
    raise DataError(
        f"{who}: {path} has folders called like splits ({', '.join(sorted(folders)) or 'as zips'}), with images "
        f"directly in {', '.join(map(repr, loose))}. As splits they need one folder a class, train/<class>/<image>; as "
        "classes they need other names: move the images into class folders, or rename the folders"
    )


def _loose(where: Place, held: Contents, who: str) -> bool:
    """Whether a split's images stand in no folder; where what holds the split tells, it is not looked through anew."""
    name = where.inside or where.path.name
    within = [image for image in held.images if image.startswith(f"{name}/")]
    if within and not any(folder_of(image) == name for image in within):
        return False
    return contents(where, who).loose


def _split(path: Path, held: Contents, split: str) -> Place | None:
    """Where the images of a split are, under the first of its names that is there; in a directory also as a zip."""
    for name in NAMES[split]:
        if name in held.folders:
            return Place(path, name) if path.is_file() else Place(path / name)
        if (path / f"{name}.zip").is_file():
            return Place(path / f"{name}.zip")
    return None


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
                f"({', '.join(missing[:5])}), expected the same classes in all; add images or remove these folders (or "
                "rename folders called like splits that are meant as classes)"
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
