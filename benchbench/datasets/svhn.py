"""SVHN: 99,289 house numbers' digits from street views, 32x32 colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from benchbench.datasets._published import Published, config_of
from benchbench.datasets.digits import CLASSES
from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.types import DatasetSource, LabelledImages

SIZE = 32
FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


class Svhn(Published):
    """SVHN, cropped digits (Netzer et al. 2011): 73,257 training and 26,032 test images; its ``extra`` is left out.

    Classes are unequal (a house number begins with 1 more often than with 9). Subsets are class-balanced: as many
    images of every class as the smallest one has, at most. The digit 0 has label 0, as torchvision has it; the files
    call it 10.
    """

    name = "svhn"
    shape = (3, SIZE, SIZE)
    kinds = CLASSES
    counts: ClassVar[Mapping[str, Sequence[int]]] = {
        "train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
    }
    folders = ("svhn",)
    # torchvision leaves the files in the data folder itself
    places = (".", "svhn", "SVHN")
    Config = config_of(SIZE, train=min(counts["train"]), test=min(counts["test"]))

    def _published(self) -> Any:
        """The class of torchvision that knows the addresses and the checksums."""
        from torchvision import datasets  # a second, which other benchmarks should not pay for

        return datasets.SVHN

    def layout(self, data_dir: Path) -> Mapping[str, Sequence[Path]] | None:
        """Both files in the first folder that has both."""
        for folder in self.places:
            files = {split: [data_dir / folder / name] for split, name in FILES.items()}
            if all(file.is_file() for (file,) in files.values()):
                return files
        return None

    def read(self, files: Sequence[Path], split: str) -> LabelledImages:
        """Read by torchvision with SciPy, after it has compared the file's checksum."""
        (path,) = files
        try:
            found = self._published()(str(path.parent), split=split, download=False)
        except (RuntimeError, OSError) as error:
            raise DataError(
                f"dataset {self.name!r}: {path} is damaged or is another file (expected MD5 {self._md5(split)}); "
                "remove it, then run again to have it fetched, or fetch it yourself"
            ) from error
        images = torch.from_numpy(np.ascontiguousarray(found.data))
        return LabelledImages(images, torch.from_numpy(found.labels), CLASSES)

    def fetch(self, data_dir: Path) -> None:
        """Both files."""
        for split in FILES:
            self._published()(str(data_dir), split=split, download=True)

    def remedy(self, data_dir: Path) -> str:
        """The files' names, addresses and checksums."""
        places = ", ".join(str(data_dir / folder) for folder in self.places)
        wanted = ", ".join(
            f"{name} (from {self._published().split_list[split][0]}, MD5 {self._md5(split)})"
            for split, name in FILES.items()
        )
        return f"Looked in: {places}. Put {wanted} into {data_dir}"

    def _md5(self, split: str) -> str:
        return str(self._published().split_list[split][2])


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring SVHN."""
    return [Svhn]
