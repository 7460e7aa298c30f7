"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 colour photographs, 32x32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchbench.datasets._published import Published, config_of
from benchbench.errors import DataError
from benchbench.hookspecs import hookimpl
from benchbench.types import DatasetSource, LabelledImages

SIZE = 32


class _Cifar(Published):
    """What both have in common.

    Attributes:
        batches: torchvision's folder of the published batches.
    """

    shape = (3, SIZE, SIZE)
    batches: ClassVar[str]

    def _published(self) -> Any:
        """The class of torchvision that knows the address and the checksums."""
        from torchvision import datasets  # a second, which other benchmarks should not pay for

        return datasets.CIFAR10 if len(self.counts["train"]) == 10 else datasets.CIFAR100

    def layout(self, data_dir: Path) -> Mapping[str, Sequence[Path]] | None:
        """One folder has both splits."""
        folder = data_dir / self.batches
        return {"train": [folder], "test": [folder]} if folder.is_dir() else None

    def read(self, files: Sequence[Path], split: str) -> LabelledImages:
        """Unpickled by torchvision, after it has compared every file's checksum."""
        (folder,) = files
        try:
            found = self._published()(str(folder.parent), train=split == "train", download=False)
        except (RuntimeError, EOFError, OSError) as error:
            raise DataError(
                f"dataset {self.name!r}: {folder} is damaged ({error}); remove that folder, then run again to have it "
                "fetched, or unpack the archive anew"
            ) from error
        images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        return LabelledImages(images, torch.tensor(found.targets), tuple(found.classes))

    def fetch(self, data_dir: Path) -> None:
        """The archive, unpacked."""
        self._published()(str(data_dir), train=True, download=True)

    def remedy(self, data_dir: Path) -> str:
        """The archive's name, address and checksum."""
        published = self._published()
        places = ", ".join(str(data_dir / folder) for folder in (self.batches, *self.folders))
        return (
            f"Looked in: {places}. Put {published.filename} (from {published.url}, MD5 {published.tgz_md5}) into "
            f"{data_dir} and unpack it there"
        )


class Cifar10(_Cifar):
    """CIFAR-10: ten classes, 5,000 training and 1,000 test images of each."""

    name = "cifar10"
    counts: ClassVar[Mapping[str, Sequence[int]]] = {"train": (5000,) * 10, "test": (1000,) * 10}
    batches = "cifar-10-batches-py"
    folders = ("cifar10", "cifar-10")
    Config = config_of(SIZE, train=5000, test=1000)


class Cifar100(_Cifar):
    """CIFAR-100: a hundred classes, 500 training and 100 test images of each."""

    name = "cifar100"
    counts: ClassVar[Mapping[str, Sequence[int]]] = {"train": (500,) * 100, "test": (100,) * 100}
    batches = "cifar-100-python"
    folders = ("cifar100", "cifar-100")
    Config = config_of(SIZE, train=500, test=100, val=50)


@hookimpl
def benchbench_datasets() -> Sequence[type[DatasetSource]]:
    """Bring CIFAR-10 and CIFAR-100."""
    return [Cifar10, Cifar100]
