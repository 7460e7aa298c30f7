"""One's own images from an npz file of arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from benchbench.datasets._carve import SPLITS, Shares, carved
from benchbench.datasets._decoded import decoded
from benchbench.datasets._labels import checked_labels, class_names, unlabelled
from benchbench.datasets._places import own_images, place
from benchbench.datasets._zips import open_zip, read_member
from benchbench.errors import DataError, DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.store.files import read_array, sha256_file
from benchbench.types import Dataset, DatasetSource, LabelledImages

# Unpacked bytes that an archive may declare: 64 GiB is no dataset that fits this framework's memory.
LARGEST = 2**36

EXPECTED = "an npz file of plain arrays"

Arrays = Mapping[str, npt.NDArray[Any]]


class Npz(DatasetSource):
    """Arrays ``images`` and ``labels``, divided class by class; or ``train_images``, ``train_labels`` and so on.

    The second form is MedMNIST's (Yang 2023): ``train_``, ``test_`` and perhaps ``val_``, which is else carved out of
    train. Images are ``uint8 (N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``, C = 1 or 3; labels are whole numbers
    ``(N,)`` or ``(N, 1)`` from 0. ``arr_0`` and ``arr_1`` may stand for ``images`` and ``labels``. An array ``classes``
    of strings, where there is one, names the classes.
    """

    name = "npz"

    class Config(Shares):
        """Which file, and how it is divided."""

        # a place, not a setting: left out of content keys, which take the images' fingerprint instead
        path: str = Field("images.npz", exclude=True, description="The file; relative to the data folder, or absolute.")

    def check(self, data_dir: Path) -> str:
        """Which images is for the config to say."""
        return own_images(self.config.path)

    def load(self, data_dir: Path) -> Dataset:
        """Read the arrays and divide them.

        Raises:
            DataMissingError: If there is no such file.
            DataError: If it is no npz file, holds objects, or its arrays are of another form.
        """
        path = place(data_dir, self.config.path, "dataset 'npz'")
        if not path.is_file():
            raise DataMissingError(
                f"dataset 'npz': there is no file {path}; give its place as the dataset's config key 'path', or say "
                "with --data-dir where it is"
            )
        with _opened(path) as archive:
            keys = _keys(_held(archive), path)
        whole = cache(lambda: _splits(_read(path), keys, path))  # unpacked at most once, for all splits together
        digest = sha256_file(path)

        def split_of(split: str) -> LabelledImages:
            return decoded({"npz": digest, "split": split}, lambda: whole()[split])

        return carved(self.name, {split: split_of(split) for split in keys}, self.config)


def has_labels(path: Path) -> bool:
    """Whether a file that is not divided has labels beside its images (see :func:`read_arrays`)."""
    with _opened(path, f"samples {path.name}") as archive:
        held = _held(archive)
    return _whole(held)[1] in held


def read_arrays(path: Path, labelled: bool) -> LabelledImages:
    """All images of a file that is not divided, as models' samples are handed on.

    Args:
        path: The file; its arrays are called as :class:`Npz` says.
        labelled: Whether it must have labels. If not, all images are of one class, ``unlabelled``.

    Returns:
        The images; classes that the file does not name are ``#0``, ``#1``, ...

    Raises:
        DataError: If it is no npz file, holds objects, or its arrays are of another form.
    """
    arrays = _read(path)
    of_images, of_labels = _whole(arrays)
    for key in (of_images, of_labels) if labelled else (of_images,):
        if key not in arrays:
            raise _no_such_array(path, key, arrays)
    if labelled:
        data = _splits(arrays, {"all": (of_images, of_labels)}, path)["all"]
        return data if "classes" in arrays else replace(data, classes=tuple(f"#{name}" for name in data.classes))
    return unlabelled(_images(arrays[of_images], f"{path}: {of_images}"))


def _whole(held: Collection[str]) -> tuple[str, str]:
    """The names of images and labels that are not divided."""
    return ("images", "labels") if "images" in held else ("arr_0", "arr_1")


def _opened(path: Path, who: str = "dataset 'npz'") -> zipfile.ZipFile:
    return open_zip(path, who, EXPECTED, LARGEST, LARGEST)


def _held(archive: zipfile.ZipFile) -> list[str]:
    """The names of its arrays, as ``numpy.load`` has them."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _read(path: Path) -> Arrays:
    """All arrays of the file; nothing is unpickled, and nothing is unpacked beyond what the file declares."""
    with _opened(path) as archive:
        try:
            return {name: read_array(read_member(archive, f"{name}.npy")) for name in _held(archive)}
        except Exception as error:  # a damaged member makes zipfile raise whatever it stumbles on
            raise _no_arrays(path, error) from error


def _no_arrays(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: cannot be read ({error}), expected {EXPECTED}; write it with "
        "numpy.savez_compressed(path, images=images, labels=labels)"
    )


def _names(arrays: Arrays, path: Path) -> list[str] | None:
    """The classes by label, where the file names them."""
    try:
        names = arrays["classes"].ravel().tolist() if "classes" in arrays else None
        return names and [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    except Exception as error:  # four bytes that are no letter: a ValueError or a SystemError
        raise _no_arrays(path, error) from error


def _splits(arrays: Arrays, keys: Mapping[str, tuple[str, str]], path: Path) -> dict[str, LabelledImages]:
    """The splits, by the names of their images and labels."""
    labels = {
        split: checked_labels(arrays[of_labels], f"{path}: {of_labels}") for split, (_, of_labels) in keys.items()
    }
    classes = class_names(_names(arrays, path), labels.values(), str(path))
    return {
        split: LabelledImages(_images(arrays[of_images], f"{path}: {of_images}"), labels[split], classes)
        for split, (of_images, _) in keys.items()
    }


def _keys(held: Collection[str], path: Path) -> dict[str, tuple[str, str]]:
    """The names of the arrays of the splits that the file has, or of all of it as ``train`` alone."""
    named = {split: (f"{split}_images", f"{split}_labels") for split in SPLITS}
    found = {split: keys for split, keys in named.items() if any(key in held for key in keys)}
    if not found:
        found = {"train": _whole(held)}
    elif not {"train", "test"} <= found.keys():
        raise DataError(f"{path}: has {', '.join(found)} images, expected train_images and test_images at least")
    for key in (key for keys in found.values() for key in keys):
        if key not in held:
            raise _no_such_array(path, key, held)
    return found


def _no_such_array(path: Path, key: str, held: Collection[str]) -> DataError:
    listed = ", ".join(sorted(held)) or "nothing"
    return DataError(f"{path}: has no array {key!r}; it has {listed}; expected 'images' and 'labels'")


def _images(array: npt.NDArray[Any], who: str) -> torch.Tensor:
    """``uint8 (N, C, H, W)``, from any of the three layouts."""
    if array.dtype != np.uint8:
        raise DataError(f"{who}: got {array.dtype}, expected uint8 in 0..255; convert it on purpose, knowing its range")
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or 0 in array.shape:
        raise DataError(f"{who}: got shape {array.shape}, expected (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3")
    return torch.from_numpy(np.ascontiguousarray(array))


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring npz files."""
    return [Npz]
