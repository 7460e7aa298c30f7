"""Datasets as Hugging Face keeps them: a folder of parquet files with encoded images and labels."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field
from torch import Tensor

from benchbench.datasets._carve import Shares, carved
from benchbench.datasets._decoded import decoded
from benchbench.datasets._folders import hidden
from benchbench.datasets._labels import checked_labels, class_names
from benchbench.datasets._parquet import IMAGES, LABELS, ParquetImages
from benchbench.datasets._pixels import decode_images
from benchbench.datasets._places import own_images, place
from benchbench.errors import DataError, DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.store.files import sha256_file
from benchbench.types import Dataset, DatasetSource, LabelledImages

# What the names of a split's files begin with, or what the folder that holds them is called.
NAMES = {"train": ("train", "training"), "val": ("validation", "valid", "val", "dev"), "test": ("test", "testing")}

# Parts of a split: -00000-of-00002, in some with a checksum after it; 0000, 0001, ... in a folder of its own.
SHARD = re.compile(r"-\d+-of-(\d+)(-[0-9a-f]{16})?$")
NUMBER = re.compile(r"\d{4,}")

logger = logging.getLogger(__name__)

Files = Sequence[ParquetImages]


class Parquet(DatasetSource):
    """Files ``train-*.parquet``, ``test-*.parquet``, ``validation-*.parquet`` in a folder, or in one within it.

    That one is ``data``, or is called by the dataset's config as Hugging Face has it (``plain_text``, ``cifar100``).
    There may also be a folder a split, as in what Hugging Face converts (``default/train/0000.parquet``).
    They have a column of images as Hugging Face's ``Image`` feature stores them (``struct<bytes, path>``, the bytes a
    PNG or JPEG file) or of such bytes alone, and one of labels, whole numbers from 0; the classes' names are those of
    the ``ClassLabel`` feature where there is one. What is missing of val and test is carved out of train; one file, or
    files of other names, are one pool. Images keep the order of the rows. Paths in a file are never followed.
    """

    name = "parquet"

    class Config(Shares):
        """Which files and columns, the size of the images, and how they are divided."""

        # a place, not a setting: left out of content keys, which take the images' fingerprint instead
        path: str = Field(
            "parquet", exclude=True, description="Folder or file; relative to the data folder, or absolute."
        )
        image: str | None = Field(None, description=f"Column of the images; None finds {' or '.join(IMAGES)}.")
        label: str | None = Field(None, description=f"Column of the labels; None finds {' or '.join(LABELS)}.")
        size: int | None = Field(
            None, ge=4, le=1024, description="Crop to the central square and resize to this; None: as they are."
        )

    def check(self, data_dir: Path) -> str:
        """Which images is for the config to say."""
        return own_images(self.config.path)

    def load(self, data_dir: Path) -> Dataset:
        """Read, decode (once) and divide.

        Raises:
            DataMissingError: If there is no such folder or file, or pyarrow is not installed.
            DataError: If files or images cannot be read, images differ in size, or a column is not found.
        """
        path = place(data_dir, self.config.path, "dataset 'parquet'")
        image, label = self.config.image, self.config.label
        files = {split: [ParquetImages(each, image, label) for each in paths] for split, paths in _given(path).items()}
        names = _same_names([each for of_split in files.values() for each in of_split])
        labels = {
            split: checked_labels(np.concatenate([each.labels() for each in of_split]), f"{path}, {split} labels")
            for split, of_split in files.items()
        }
        classes = class_names(names, labels.values(), str(path))
        splits = {split: self._read(files[split], split, labels[split], classes) for split in files}
        return carved(self.name, splits, self.config)

    def _read(self, files: Files, split: str, labels: Tensor, classes: tuple[str, ...]) -> LabelledImages:
        who, size = f"dataset {self.name!r}, {split}", self.config.size
        identity = [[sha256_file(file.path), file.image, file.label] for file in files]

        def decode() -> LabelledImages:
            images = [image for file in files for image in file.images()]
            if not images:
                raise DataError(f"{who}: got no row in {files[0].path}, expected images; fetch it again")
            return LabelledImages(decode_images(images, who, size), labels, classes)

        return decoded({"parquet": identity, "classes": classes, "size": size}, decode)


def _same_names(files: Files) -> tuple[str, ...] | None:
    """The names of the classes, once it is sure that all files agree on them."""
    for file in files:
        if file.names != files[0].names:
            raise DataError(
                f"{file.path} names other classes than {files[0].path}, expected the same; fetch them again"
            )
    return files[0].names


def _given(path: Path) -> Mapping[str, Sequence[Path]]:
    """The files of every split that is given; one pool of images counts as train."""
    there = [path] if path.is_file() else _in_folder(path)
    found: dict[str, list[Path]] = {}
    for file in there:
        found.setdefault(_split_of(file) or "others", []).append(file)
    others = found.pop("others", [])
    if not found or path.is_file():
        return {"train": _all_shards(there)}
    if "train" not in found:
        folder = there[0].parent.parent if any(map(_of_split_folder, there)) else there[0].parent
        raise DataError(f"{folder}: has parquet files of {', '.join(found)}, expected some of train; fetch them")
    if others:
        logger.warning("dataset 'parquet': left out are %d files of no split: %s", len(others), _listed(others))
    return {split: _all_shards(found[split]) for split in NAMES if split in found}


def _split_of(file: Path) -> str | None:
    """The split that a file, or the folder of a numbered one, is called by."""
    word = file.parent.name.lower() if NUMBER.fullmatch(file.stem) else re.split(r"[-._]", file.stem.lower())[0]
    return next((split for split in NAMES if word in NAMES[split]), None)


def _of_split_folder(file: Path) -> bool:
    """Whether it is a numbered file in a folder that is called by a split."""
    return NUMBER.fullmatch(file.stem) is not None and _split_of(file) is not None


def _of_config(folder: Path) -> Sequence[Path]:
    """The files of a folder, else those of the folders within it if some are splits."""
    if files := sorted(folder.glob("*.parquet")):
        return files
    deeper = sorted(file for file in folder.glob("*/*.parquet") if NUMBER.fullmatch(file.stem))
    return deeper if any(map(_of_split_folder, deeper)) else []


def _in_folder(path: Path) -> Sequence[Path]:
    """The files of a folder, of ``data`` within it, or of the only config's folder."""
    for folder in (path / "data", path):
        if files := _of_config(folder):
            return files
    configs = sorted(folder for folder in path.glob("*/") if not hidden(folder.name) and _of_config(folder))
    if len(configs) == 1:
        return _of_config(configs[0])
    if configs:
        raise DataError(
            f"dataset 'parquet': {path} has parquet files in {len(configs)} folders "
            f"({', '.join(folder.name for folder in configs[:10])}), a config of the dataset each, expected one; say "
            f"which with the dataset's config key 'path', for example {configs[0].absolute()}"
        )
    deeper = sorted({file.parent for file in path.rglob("*.parquet")})
    hint = f"; there are some in {_listed(deeper)}" if deeper else ""
    raise DataMissingError(
        f"dataset 'parquet': no {path / 'data'}/*.parquet and no {path}/*.parquet, nor in a folder beside them{hint}; "
        "give the folder's place as the dataset's config key 'path', or say with --data-dir where it is"
    )


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:3]))


def _all_shards(files: Sequence[Path]) -> Sequence[Path]:
    """The files, once it is sure that none of ``-00000-of-00005`` is missing."""
    for file in files:
        if shard := SHARD.search(file.stem):
            alike = [each for each in files if re.sub(SHARD, "", each.stem) == re.sub(SHARD, "", file.stem)]
            if len(alike) != int(shard[1]):
                raise DataError(
                    f"{file}: got {len(alike)} of {int(shard[1])} parts of it, expected all; fetch the others"
                )
    numbers = sorted(int(file.stem) for file in files if _of_split_folder(file))
    if numbers != list(range(len(numbers))):
        raise DataError(
            f"{files[0].parent}: got the parts {', '.join(map(str, numbers[:10]))}, expected 0 to {numbers[-1]}; fetch "
            "the others"
        )
    return files


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring parquet files."""
    return [Parquet]
