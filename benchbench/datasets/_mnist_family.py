"""What the datasets in MNIST's form have in common: four IDX files, and torchvision's classes for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from benchbench.datasets._idx import idx_sha256, read_idx
from benchbench.datasets._published import Files, Published
from benchbench.errors import DataError
from benchbench.types import LabelledImages

SIZE = 28
IMAGES = {"train": 60_000, "test": 10_000}

# images and labels
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MnistFamily(Published):
    """A dataset of four IDX files, each of which may end in ``.gz``.

    Attributes:
        torchvision: Its class's name there, and of the folder where that leaves the files (in ``raw``).
        title: Its name for people.
        sha256: Of each file as it is when unpacked. The packed ones differ from place to place.
        places: Folders below the data folder where a person may put the files.
        system: A folder where a package of the system puts them, and the package; None where there is none.
    """

    shape = (1, SIZE, SIZE)
    torchvision: ClassVar[str]
    title: ClassVar[str]
    sha256: ClassVar[Mapping[str, str]]
    places: ClassVar[tuple[str, ...]]
    system: ClassVar[tuple[Path, str] | None] = None

    def layout(self, data_dir: Path) -> Files | None:
        """The files, unpacked or packed, in the first folder that has all four.

        In the data folder itself they may be of another dataset, which calls its files the same, and are passed over.
        """
        for folder in self._folders_of_files(data_dir):
            files = _whole(folder)
            if files is not None and (folder != data_dir or self._owns(files)):
                return files
        return None

    def installed(self) -> Files | None:
        """What the system's package brought."""
        return None if self.system is None else _whole(self.system[0])

    def _owns(self, files: Files) -> bool:
        """Whether they are this dataset's, by the smallest: ``check`` asks this, and is to read no images."""
        _, path = files["test"]
        try:
            labels = read_idx(path, (IMAGES["test"],))
        except (DataError, OSError):
            return False
        return idx_sha256(labels) == self.sha256[FILES["test"][1]]

    def read(self, files: Sequence[Path], split: str) -> LabelledImages:
        """Images and labels, each file compared with what was published."""
        shapes = (IMAGES[split], SIZE, SIZE), (IMAGES[split],)
        arrays = [read_idx(path, shape) for path, shape in zip(files, shapes, strict=True)]
        for path, name, array in zip(files, FILES[split], arrays, strict=True):
            if (found := idx_sha256(array)) != self.sha256[name]:
                raise DataError(
                    f"{path}: got SHA-256 {found} once unpacked, expected {self.title}'s {self.sha256[name]}; "
                    "it is damaged or of another dataset: fetch it again"
                )
        images, labels = arrays
        assert self.kinds is not None
        # copied: the arrays are read-only views of files' bytes
        return LabelledImages(
            torch.from_numpy(images[:, None].copy()), torch.from_numpy(labels.astype(np.int64)), self.kinds
        )

    def fetch(self, data_dir: Path) -> None:
        """All four files, unpacked."""
        from torchvision import datasets  # a second, which other benchmarks should not pay for

        source: Any = getattr(datasets, self.torchvision)
        source(str(data_dir), download=True)

    def remedy(self, data_dir: Path) -> str:
        """The files' names and checksums."""
        system = [] if self.system is None else [self.system[0]]
        places = ", ".join(str(folder) for folder in [*self._folders_of_files(data_dir), *system])
        package = "" if self.system is None else f" install Debian's package {self.system[1]},"
        digests = ", ".join(f"{name} {sha256}" for name, sha256 in self.sha256.items())
        return (
            f"No folder has its four files {', '.join(self.sha256)} (each may end in .gz). Looked in: {places}. "
            f"{self._passed_over(data_dir)}Put them into one of these,{package} or let torchvision.datasets."
            f"{self.torchvision}('{data_dir}', download=True) put them there (SHA-256, unpacked: {digests})"
        )

    def _passed_over(self, data_dir: Path) -> str:
        """A sentence on files of these names that ``layout`` did not take."""
        files = _whole(data_dir) if data_dir in self._folders_of_files(data_dir) else None
        if files is None or self._owns(files):
            return ""
        return f"Passed over are those in {data_dir}: {files['test'][1].name} is not {self.title}'s. "

    def _folders_of_files(self, data_dir: Path) -> list[Path]:
        return [data_dir / folder for folder in (f"{self.torchvision}/raw", *self.places)]


def _whole(folder: Path) -> Files | None:
    """The four files in a folder, if all are there."""
    found = {split: [_there(folder / name) for name in names] for split, names in FILES.items()}
    whole = {split: [path for path in paths if path is not None] for split, paths in found.items()}
    return whole if all(len(paths) == 2 for paths in whole.values()) else None


def _there(path: Path) -> Path | None:
    """The file, unpacked or packed."""
    return next((each for each in (path, path.with_name(f"{path.name}.gz")) if each.is_file()), None)
