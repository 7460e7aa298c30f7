"""Image folders, one folder a class, as directories or zips: read strictly, with nothing unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from benchbench.errors import DataError
from benchbench.store.files import sha256_file
from benchbench.types import LabelledImages

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}

# Bounds beyond which a file is an attack or a mistake: bytes of one file, pixels of one image, bytes of all together.
LARGEST_FILE = 2**26
LARGEST_IMAGE = 64_000_000
LARGEST_TOTAL = 2**33

Pixels = npt.NDArray[np.uint8]

GREY = {"1", "L", "LA"}


@dataclass(frozen=True)
class _File:
    """One image that is not read yet: its class, its name for people, and its bytes on demand."""

    kind: str
    name: str
    read: Callable[[], bytes]


def read_image_folder(places: Sequence[Path], who: str, size: int | None = None) -> LabelledImages:
    """Read ``<class>/<any depth>/<image>`` from every place, a directory or a zip.

    Grey images give one channel, unless there are colour images among them; palettes and transparency become RGB.

    Args:
        places: Merged; a class may stand in several.
        who: Named in errors.
        size: Every image is cropped to its central square and resized (Lanczos) to this height and width; None
            takes images as they are, and they must then have one size.

    Returns:
        Classes by name; images by class, place and path.

    Raises:
        DataError: If there is none, some cannot be read, they differ in size, a class is empty, or a zip holds
            what no image folder does (links, absolute paths, ``..``, absurd sizes).
    """
    files = [file for place in places for file in _files(place, who)]
    classes = sorted({file.kind for file in files})
    empty = [kind for kind in classes if not any(file.kind == kind and file.name for file in files)]
    files = [file for file in files if file.name]
    if not files:
        raise DataError(
            f"{who}: got no image in {', '.join(map(str, places))}, expected <class>/<image> with one of the endings "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    if empty:
        raise DataError(
            f"{who}: got no image of the classes {empty[:5]}, expected some in every folder; remove empty ones"
        )
    files.sort(key=lambda file: file.kind)  # stable: place and path stay in order within a class
    images = _decode(files, who, size)
    labels = torch.tensor([classes.index(file.kind) for file in files])
    return LabelledImages(images, labels, tuple(classes))


def folder_identity(places: Sequence[Path]) -> list[str]:
    """What changes when an image changes: a digest a place, of a zip's bytes or of a directory's listing.

    Args:
        places: Directories and zips.

    Returns:
        SHA-256 (hex) each; of a directory over relative paths, sizes and times of change.
    """
    identity = []
    for place in places:
        if place.is_file():
            identity.append(sha256_file(place))
            continue
        listing = [
            (path.relative_to(place).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(place.rglob("*"))
            if path.is_file()
        ]
        identity.append(hashlib.sha256(json.dumps(listing).encode()).hexdigest())
    return identity


def _files(place: Path, who: str) -> Iterator[_File]:
    """The images of one place by path; a class folder without any gives one entry without a name."""
    yield from _of_zip(place, who) if place.is_file() else _of_directory(place)


def _of_directory(place: Path) -> Iterator[_File]:
    for folder in sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_image(path.relative_to(place))]
        yield from (_File(folder.name, str(path), path.read_bytes) for path in found)
        if not found:
            yield _File(folder.name, "", bytes)


def _of_zip(place: Path, who: str) -> Iterator[_File]:
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{who}: {place} is no whole zip ({error}); fetch or pack it again") from error
    # Not is_dir(): Python 3.11's fails on a member without a name, which a damaged zip may have.
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    for member in members:
        _check_member(member, place, who)
    total = sum(member.file_size for member in members)
    if total > LARGEST_TOTAL:
        raise DataError(f"{who}: {place} declares {total} bytes, expected at most {LARGEST_TOTAL}")
    paths = {name: PurePosixPath(name) for name in sorted(member.filename for member in members)}
    kept = [name for name, path in paths.items() if _is_image(path) and len(path.parts) > 1]
    # A folder that only wraps the class folders, as many programs that pack zips leave one, is no class.
    wrapped = len({paths[name].parts[0] for name in kept}) == 1 and all(len(paths[name].parts) > 2 for name in kept)
    for name in kept:
        yield _File(paths[name].parts[int(wrapped)], f"{place}/{name}", partial(archive.read, name))


def _check_member(member: zipfile.ZipInfo, place: Path, who: str) -> None:
    """Refuse what no program that packs images writes."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    fault = None
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
        fault = "a path that leads out of it"
    elif stat.S_ISLNK(member.external_attr >> 16):
        fault = "a link"
    elif member.flag_bits & 1:
        fault = "an encrypted file"
    elif member.file_size > LARGEST_FILE:
        fault = f"a file of {member.file_size} bytes (at most {LARGEST_FILE} are expected)"
    if fault:
        raise DataError(f"{who}: {place} holds {fault}, {member.filename!r}; expected <class>/<image> and nothing else")


def _is_image(path: PurePath) -> bool:
    """Whether the name says so; hidden files and folders, and those of other systems, are passed over."""
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _decode(files: Sequence[_File], who: str, size: int | None) -> torch.Tensor:
    """All images as one tensor; those that cannot be read are collected and named together."""
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
            image = Image.open(io.BytesIO(read()))
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


def _same_size(files: Sequence[_File], images: Sequence[Pixels], who: str) -> None:
    sizes = Counter(image.shape[:2] for image in images)
    if len(sizes) == 1:
        return
    example = {image.shape[:2]: file.name for file, image in zip(files, images, strict=True)}
    listed = ", ".join(f"{w}x{h} ({n}, as {example[h, w]})" for (h, w), n in sizes.most_common(3))
    raise DataError(
        f"{who}: got images of {len(sizes)} sizes: {listed}; expected one; the config key 'size' of the dataset "
        "'imagefolder' crops and resizes them"
    )
