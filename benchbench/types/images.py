"""Labelled images: the one form in which image data crosses a boundary."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from benchbench.errors import DataError


def check_images(images: Tensor, who: str) -> None:
    """Assert the boundary form of images: ``uint8 (N, C, H, W)`` with C of 1 or 3.

    Args:
        images: What was handed over.
        who: Named in the error as the one who handed it over.

    Raises:
        DataError: If the dtype, the number of axes or the number of channels is another one.
    """
    if not isinstance(images, Tensor):
        raise DataError(f"{who}: got {type(images).__name__}, expected a uint8 tensor (N, C, H, W)")
    if images.dtype != torch.uint8:
        raise DataError(
            f"{who}: got dtype {images.dtype}, expected torch.uint8 in 0..255; convert with benchbench.to_uint8"
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
        raise DataError(f"{who}: got shape {tuple(images.shape)}, expected (N, C, H, W) with C = 1 or 3")


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with one label each.

    Attributes:
        images: ``uint8 (N, C, H, W)``, 0..255, C = 1 or 3.
        labels: ``int64 (N,)``, each in ``0..len(classes)-1``.
        classes: The class names, by label.

    Raises:
        DataError: If a shape, dtype or label is out of its range.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_images(self.images, "LabelledImages")
        if self.labels.dtype != torch.int64 or self.labels.shape != (len(self.images),):
            raise DataError(
                f"LabelledImages: got labels {self.labels.dtype} {tuple(self.labels.shape)}, "
                f"expected torch.int64 ({len(self.images)},): one label an image"
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise DataError(
                f"LabelledImages: got labels {int(self.labels.min())}..{int(self.labels.max())}, "
                f"expected 0..{len(self.classes) - 1} for {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def class_counts(self) -> Tensor:
        """Images per class, ``int64 (K,)``."""
        return torch.bincount(self.labels, minlength=len(self.classes))

    def take(self, index: Tensor) -> LabelledImages:
        """The images at ``index`` (``int64 (n,)``, repeats allowed), in that order."""
        return LabelledImages(self.images[index], self.labels[index], self.classes)

    def of_class(self, label: int) -> LabelledImages:
        """All images of one class, in their order."""
        return self.take(torch.nonzero(self.labels == label).flatten())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of shape, pixels, labels and class names: what the data is, not where it lies."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        digest.update(self.images.contiguous().cpu().numpy().tobytes())
        digest.update(self.labels.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset with its three fixed splits.

    Attributes:
        name: As in the benchmark file.
        train: For generators and classifiers.
        val: For every choice (ratio, early stop, hyper-parameters). Carved from train.
        test: Read once, at the end.
    """

    name: str
    train: LabelledImages
    val: LabelledImages
    test: LabelledImages

    def __post_init__(self) -> None:
        forms = {(split.shape, split.classes) for split in (self.train, self.val, self.test)}
        if len(forms) != 1:
            raise DataError(f"dataset {self.name!r}: its splits differ in image shape or classes: {sorted(forms)}")
        for split_name in ("train", "val", "test"):
            counts = getattr(self, split_name).class_counts
            if int(counts.min()) == 0:
                empty = self.classes[int(counts.argmin())]
                raise DataError(f"dataset {self.name!r}: class {empty!r} has no image in {split_name}")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, by label."""
        return self.train.classes

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the three splits' fingerprints."""
        parts = (self.train.fingerprint, self.val.fingerprint, self.test.fingerprint)
        return hashlib.sha256("".join(parts).encode()).hexdigest()
