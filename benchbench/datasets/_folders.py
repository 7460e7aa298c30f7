"""Image folders, one folder a class, as directories or zips: read strictly, with nothing unpacked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import torch

from benchbench.datasets._edm import INDEX, indexed_classes
from benchbench.datasets._pixels import LARGEST_FILE, LARGEST_TOTAL, ImageFile, decode_images, read_file
from benchbench.datasets._zips import inner_path, open_zip, read_member
from benchbench.errors import DataError
from benchbench.store.files import sha256_file
from benchbench.types import LabelledImages

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

Read = Callable[[], bytes]
# folders, images by path, and dataset.json, as in Contents
_Listing = tuple[Sequence[str], Mapping[str, Read], Read | None]


@dataclass(frozen=True)
class Place:
    """Where an image folder is: a directory, a zip, or a folder within a zip.

    Attributes:
        path: Of the directory or zip.
        inside: The folder within the zip, relative to what is left when a folder that only wraps others is taken off.
    """

    path: Path
    inside: str = ""

    def __str__(self) -> str:
        return f"{self.path}/{self.inside}" if self.inside else str(self.path)

    def identity(self) -> list[str]:
        """What changes when an image changes: the SHA-256 (hex) of a zip's bytes, or of a directory and its listing.

        A directory's is taken over its place and over its files' relative paths, sizes and times of change: two
        directories may agree in all of these but the first.
        """
        if self.path.is_file():
            return [sha256_file(self.path), self.inside]
        place = str(self.path.resolve())
        listing = [
            (path.relative_to(self.path).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
            for path in _files_below(self.path)
        ]
        return [hashlib.sha256(json.dumps([place, listing]).encode()).hexdigest(), self.inside]


@dataclass(frozen=True)
class Contents:
    """What a place holds, by name alone; hidden files and folders are passed over.

    Attributes:
        folders: Names of its folders, not of those within them.
        images: Every image's bytes on demand, by its path relative to the place, with slashes.
        indexed: The paths of every class by a ``dataset.json``; None where folders are the classes.
    """

    folders: Sequence[str]
    images: Mapping[str, Read]
    indexed: Mapping[str, Sequence[str]] | None

    @property
    def classes(self) -> Mapping[str, Sequence[str]]:
        """The paths of every class's images; of a class without any an empty list."""
        if self.indexed is not None:
            return self.indexed
        of_folder: dict[str, list[str]] = {folder: [] for folder in self.folders}
        for name in self.images:
            folder, slash, _ = name.partition("/")
            if slash:
                of_folder[folder].append(name)
        return of_folder

    @property
    def loose(self) -> bool:
        """Whether there are images and all stand in no folder, although their labels are to come from folders."""
        return self.indexed is None and bool(self.images) and all("/" not in name for name in self.images)


def read_image_folder(places: Sequence[Place], who: str, size: int | None = None) -> LabelledImages:
    """Read ``<class>/<any depth>/<image>`` from every place, or images labelled by a ``dataset.json``.

    Args:
        places: Merged; a class may stand in several.
        who: Named in errors.
        size: See :func:`benchbench.datasets._pixels.decode_images`.

    Returns:
        Classes by name; images by class, place and path.

    Raises:
        DataError: If there is none, some cannot be read, they differ in size, a class is empty, or a zip holds
            what no image folder does (links, absolute paths, ``..``, absurd sizes).
    """
    found: dict[str, list[ImageFile]] = {}
    for place in places:
        held = contents(place, who)
        for kind, names in held.classes.items():
            files = [ImageFile(f"{place}/{name}", held.images[name]) for name in names]
            found.setdefault(kind, []).extend(files)
    classes = sorted(found)
    if not any(found.values()):
        raise DataError(
            f"{who}: got no image in {', '.join(map(str, places))}, expected <class>/<image> with one of the endings "
            f"{' '.join(SUFFIXES)}"
        )
    empty = [kind for kind in classes if not found[kind]]
    if empty:
        raise DataError(
            f"{who}: got no image of the classes {empty[:5]}, expected some in every folder; remove empty ones"
        )
    images = decode_images([file for kind in classes for file in found[kind]], who, size)
    labels = torch.tensor([label for label, kind in enumerate(classes) for _ in found[kind]])
    return LabelledImages(images, labels, tuple(classes))


def contents(place: Place, who: str) -> Contents:
    """What a place holds.

    Raises:
        DataError: If it cannot be looked through, is a zip that is damaged or holds what no image folder does, or has
            a ``dataset.json`` that does not label every image.
    """
    try:
        folders, images, index = _of_zip(place, who) if place.path.is_file() else _of_directory(place.path)
    except OSError as error:
        raise DataError(f"{who}: {place} cannot be looked through ({error}); mend or move it") from error
    indexed = None if index is None else indexed_classes(index, images, f"{who}: {place}/{INDEX}")
    return Contents(folders, images, indexed)


def _files_below(place: Path) -> list[Path]:
    """All files. A link to a folder counts as one: a directory is the user's own, unlike a zip."""
    there = sorted(path for path in place.iterdir() if not hidden(path.name))
    files = [path for path in there if path.is_file()]
    return files + [path for each in there if each.is_dir() for path in sorted(each.rglob("*")) if path.is_file()]


def _of_directory(place: Path) -> _Listing:
    folders = sorted(path for path in place.iterdir() if not hidden(path.name) and path.is_dir())
    files = {path.relative_to(place).as_posix(): path for path in _files_below(place)}
    images = {name: partial(read_file, path) for name, path in files.items() if _is_image(name)}
    index = place / INDEX
    return [folder.name for folder in folders], images, partial(read_file, index) if index.is_file() else None


def _of_zip(place: Place, who: str) -> _Listing:
    archive = open_zip(place.path, who, "<class>/<image>", LARGEST_FILE, LARGEST_TOTAL)
    names = sorted({member.filename for member in archive.infolist() if member.filename.strip("/")})
    # Not is_dir(): Python 3.11's fails on a member without a name, which a damaged zip may have.
    files = {name: inner_path(name) for name in names if not name.endswith("/")}
    folders = {PurePosixPath(name) for name in names if name.endswith("/")}
    # the set within: tens of thousands of files share a few folders
    for parent in map(PurePosixPath, {folder_of(path) for path in files.values()}):
        folders |= {parent, *parent.parents}
    root = _wrapper(files.values(), folders) / place.inside
    start = "" if root == PurePosixPath() else f"{root}/"
    inside = {
        path.removeprefix(start): partial(read_member, archive, name)
        for name, path in files.items()
        if path.startswith(start)
    }
    images = {path: read for path, read in inside.items() if _is_image(path)}
    return [path.name for path in _visible(folders, root)], images, inside.get(INDEX)


def _wrapper(files: Collection[str], folders: set[PurePosixPath]) -> PurePosixPath:
    """The folder that only wraps the others, as many programs that pack zips leave one; else the root."""
    root = PurePosixPath()
    tops = _visible(folders, root)
    if len(tops) != 1 or INDEX in files:
        return root
    [top] = tops
    holds_images = any(folder_of(path) == str(top) and _is_image(path) for path in files)
    holds_folders = any(path.parent == top for path in folders)
    return top if (holds_folders and not holds_images) or f"{top}/{INDEX}" in files else root


def _visible(folders: set[PurePosixPath], root: PurePosixPath) -> list[PurePosixPath]:
    """The folders in ``root``, not those within them; hidden ones are left out."""
    return sorted(path for path in folders if path.parent == root != path and not hidden(path.name))


def folder_of(path: str) -> str:
    """The folder that a file is in, of relative paths with slashes; empty for the root."""
    return path.rpartition("/")[0]


def hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is left there by another system (``__MACOSX``)."""
    return name.startswith((".", "__"))


def _is_image(path: str) -> bool:
    """Whether a relative path says so, with slashes, and nothing on the way to it is hidden."""
    return path.lower().endswith(SUFFIXES) and not any(map(hidden, path.split("/")))
