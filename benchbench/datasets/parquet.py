"""Datasets as Hugging Face keeps them: a folder of parquet files with encoded images and labels."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
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
SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?$")
NUMBER = re.compile(r"[0-9]{4}")

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
    if path.is_file():
        return {"train": _all_shards([path])}
    folder, there = _in_folder(path)
    found: dict[str, list[Path]] = {}
    for file in there:
        found.setdefault(_split_of(file, folder) or "others", []).append(file)
    others = found.pop("others", [])
    if not found:
        return {"train": _all_shards(there)}
    if "train" not in found:
        beside = f", besides files of no split ({_listed(others)})" if others else ""
        raise DataError(
            f"{folder}: has parquet files of {', '.join(found)}{beside}, expected some of train; fetch them"
        )
    if others:
        logger.warning("dataset 'parquet': left out are %d files of no split: %s", len(others), _listed(others))
    within = sorted(file for of_split in found.values() for file in of_split if file.parent != folder)
    for parent, files in groupby(within, key=lambda file: file.parent):
        _check_numbers(parent, [file.stem for file in files if NUMBER.fullmatch(file.stem)])
    return {split: _all_shards(found[split]) for split in NAMES if split in found}


def _split_of(file: Path, folder: Path) -> str | None:
    """The split that a file is called by, or the folder that it is in within the given one."""
    in_own = file.parent != folder
    word = file.parent.name.lower() if in_own else re.split(r"[-._]", file.stem.lower())[0]
    return next((split for split in NAMES if word in NAMES[split]), None)


def _of_config(folder: Path) -> Sequence[Path]:
    """The files of a folder, else those of the folders within it if one of them is called by a split."""
    if files := sorted(folder.glob("*.parquet")):
        return files
    deeper = sorted(file for file in folder.glob("*/*.parquet") if not hidden(file.parent.name))
    return deeper if any(_split_of(file, folder) for file in deeper) else []


def _in_folder(path: Path) -> tuple[Path, Sequence[Path]]:
    """The folder itself, ``data`` within it, or the only config's folder; and its files."""
    for folder in (path / "data", path):
        if files := _of_config(folder):
            return folder, files
    there = sorted(folder for folder in path.glob("*/") if not hidden(folder.name))
    configs = {folder: files for folder in there if (files := _of_config(folder))}
    if len(configs) == 1:
        return next(iter(configs.items()))
    if configs:
        raise DataError(
            f"dataset 'parquet': {path} has parquet files in {len(configs)} folders "
            f"({_listed([folder.name for folder in configs], 10)}), a config of the dataset each, expected one; say "
            f"which with the dataset's config key 'path', for example {next(iter(configs)).absolute()}"
        )
    deeper = sorted({file.parent for file in path.rglob("*.parquet")})
    hint = f"; there are some in {_listed(deeper)}" if deeper else ""
    raise DataMissingError(
        f"dataset 'parquet': no {path / 'data'}/*.parquet and no {path}/*.parquet, nor in a folder beside them{hint}; "
        "give the folder's place as the dataset's config key 'path', or say with --data-dir where it is"
    )


def _listed(things: Sequence[object], most: int = 3) -> str:
    return ", ".join(map(str, things[:most]))


def _all_shards(files: Sequence[Path]) -> Sequence[Path]:
    """The files, once it is sure that every part of ``-00000-of-00005`` is there once."""
    parts: dict[tuple[Path, int], list[int]] = {}
    for file in files:
        if shard := SHARD.search(file.stem):
            whole = file.with_name(file.stem[: shard.start()])
            parts.setdefault((whole, int(shard[2])), []).append(int(shard[1]))
    for (whole, count), numbers in parts.items():
        if len(numbers) != count or sorted(numbers) != list(range(count)):
            raise DataError(
                f"{whole}: got the parts {_listed(sorted(numbers), 10)} of {count}, from 0 on, expected each once; "
                "fetch what is missing, remove what is double"
            )
    return files


def _check_numbers(folder: Path, stems: Sequence[str]) -> None:
    """Be sure that none of 0000, 0001, ... is missing, as far as their numbers tell; 2019 is no such number."""
    missing = sorted({f"{number:04}" for number in range(int(max(stems, default="0")))} - set(stems))
    if missing and any(stem.startswith("0") for stem in stems):
        raise DataError(
            f"{folder}: has no part {_listed(missing, 10)}, but {max(stems)}, expected all from 0000 on; fetch what is "
            "missing, or rename the files if they are no parts"
        )


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring parquet files."""
    return [Parquet]
