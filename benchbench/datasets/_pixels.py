"""Image files to one tensor: decoded by Pillow, bounded, and every fault named."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from benchbench.errors import DataError

# Bounds beyond which a file is an attack or a mistake: bytes of one file, pixels of one image, bytes of all together.
LARGEST_FILE = 2**26
LARGEST_IMAGE = 64_000_000
LARGEST_TOTAL = 2**33

# What Pillow may take a file for, whatever its name: what datasets hold. Others bring old decoders that nobody needs,
# and EPS has Ghostscript run what is in the file.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "TGA", "PCX", "ICO")

GREY = {"1", "L", "LA"}

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageFile:
    """One image that is not read yet: its name for people, and its bytes on demand."""

    name: str
    read: Callable[[], bytes]


def read_file(path: Path) -> bytes:
    """The bytes of an image file or of what describes some.

    Raises:
        ValueError: If there are more than ``LARGEST_FILE``, which is known before they are read.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(f"a file of {size} bytes, expected at most {LARGEST_FILE}")
    with path.open("rb") as file:
        return file.read(LARGEST_FILE)


def decode_images(files: Sequence[ImageFile], who: str, size: int | None) -> torch.Tensor:
    """All images as one tensor; those that cannot be read are collected and named together.

    Grey images give one channel, unless there are colour images among them; palettes and transparency become RGB.

    Args:
        files: At least one; read in this order, one at a time.
        who: Named in errors.
        size: Every image is cropped to its central square and resized (Lanczos) to this height and width; None
            takes images as they are, and they must then have one size.

    Returns:
        ``uint8 (N, C, H, W)`` in the order of ``files``, C = 1 or 3.

    Raises:
        DataError: If some cannot be read, they differ in size, or they are absurdly large.
    """
    images, faults, total = [], [], 0
    for file in files:
        try:
            images.append(_pixels(file.read, size))
            total += images[-1].nbytes
        except _BadImageError as error:
            faults.append(f"{file.name} ({error})")
        if total > LARGEST_TOTAL:  # before memory is full
            raise DataError(f"{who}: the images take over {LARGEST_TOTAL} bytes; set the config key 'size'")
    if faults:
        raise DataError(
            f"{who}: {len(faults)} of {len(files)} images cannot be read: {'; '.join(faults[:3])}; mend or remove them"
        )
    _same_size(files, images, who)
    if len({image.ndim for image in images}) > 1:
        images = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2) for image in images]
    stacked = np.stack(images)
    return torch.from_numpy(stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2).copy())


class _BadImageError(Exception):
    """One image that cannot be used, and why."""


def _pixels(read: Callable[[], bytes], size: int | None) -> Pixels:
    """One image, ``uint8 (H, W)`` where it is grey, ``(H, W, 3)`` where it is not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a damaged EXIF block, say, which nobody needs
            image = Image.open(io.BytesIO(read()), formats=FORMATS)
            if image.width * image.height > LARGEST_IMAGE:  # known from the header, before anything is decoded
                raise _BadImageError(f"{image.width} x {image.height} pixels, expected at most {LARGEST_IMAGE}")
            if image.mode.startswith(("I", "F")):
                raise _BadImageError(f"more than 8 bits a pixel (mode {image.mode}); convert it to 8 bits on purpose")
            plain: Image.Image = image.convert("L" if image.mode in GREY else "RGB")
    except _BadImageError:
        raise
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise _BadImageError(f"{type(error).__name__}: {error}") from error
    if size is not None and plain.size != (size, size):
        side = min(plain.size)
        left, top = (plain.width - side) // 2, (plain.height - side) // 2
        # Cropped first: the kernel would else reach over the square's rim.
        square = plain.crop((left, top, left + side, top + side))
        plain = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(plain)


def _same_size(files: Sequence[ImageFile], images: Sequence[Pixels], who: str) -> None:
    sizes = Counter(image.shape[:2] for image in images)
    if len(sizes) == 1:
        return
    example = {image.shape[:2]: file.name for file, image in zip(files, images, strict=True)}
    listed = ", ".join(f"{w}x{h} ({n}, as {example[h, w]})" for (h, w), n in sizes.most_common(3))
    raise DataError(
        f"{who}: got images of {len(sizes)} sizes: {listed}; expected one; the config key 'size' of 'imagefolder', "
        "'parquet' and 'samples' (of score: --size) crops and resizes them"
    )
