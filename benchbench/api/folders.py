"""Images as a folder that torchvision's ``ImageFolder`` and Hugging Face's ``imagefolder`` load as it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from benchbench.errors import RequestError
from benchbench.report._numbers import file_name
from benchbench.store.files import write_atomic

METADATA = "metadata.csv"


def class_folders(classes: Sequence[str]) -> dict[str, str]:
    """A folder's name for every class: safe on any file system, and different for different classes."""
    return {name: file_name(name) for name in classes}


def check_new(folder: Path, option: str = "--out") -> None:
    """A folder that is to be written holds nothing yet.

    Raises:
        RequestError: If it does.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{option} {folder} is there already and not empty; name a new folder")


def write_png(path: Path, image: Tensor) -> None:
    """One image, ``uint8 (C, H, W)``, losslessly."""
    from PIL import Image

    array = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def write_metadata(folder: Path, lines: Iterable[Mapping[str, object]]) -> None:
    """``metadata.csv``: one line an image, the first column ``file_name``, as Hugging Face looks for it."""
    lines = list(lines)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_atomic(folder / METADATA, buffer.getvalue().encode())
