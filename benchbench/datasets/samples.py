"""Images that a model has made somewhere else: read from a folder, a zip or an npz file, with or without labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from benchbench.datasets._decoded import decoded
from benchbench.datasets._folders import Contents, Place, contents, read_image_folder
from benchbench.datasets._labels import unlabelled
from benchbench.datasets._pixels import ImageFile, decode_images
from benchbench.datasets._places import place
from benchbench.datasets.npz import has_labels, read_arrays
from benchbench.errors import DataError, DataMissingError, UnsupportedDataError
from benchbench.types import LabelledImages

# A class that is called by its number alone.
NUMBER = re.compile(r"#?[0-9]{1,6}")
# Files that hold images.
ARCHIVES = (".npz", ".zip")
FORMS = "a folder or zip of <class>/<image>, a folder or zip of images, or an npz file with 'images'"


@dataclass(frozen=True, eq=False)
class Samples:
    """Images from anywhere.

    Attributes:
        data: The images, their labels and the names of their classes; without labels all are of one class.
        labelled: Whether they have labels.
    """

    data: LabelledImages
    labelled: bool

    def fitted_to(self, shape: tuple[int, int, int], classes: tuple[str, ...], who: str) -> LabelledImages:
        """The same images in a dataset's form: its channels, and where they have labels its classes.

        Classes are told by name; where the names are no names but numbers, or folders are called by numbers and the
        dataset has no classes of these names, by number from 0. Grey becomes RGB by repetition,
        and RGB becomes grey where its channels agree; nothing else is changed.

        Args:
            shape: (C, H, W) of the dataset's images.
            classes: The dataset's classes.
            who: Named in errors.

        Raises:
            UnsupportedDataError: If the images have another size, or colours where the dataset has none.
            DataError: If a class is none of the dataset's.
        """
        images = _in_channels(self.data.images, shape[0])
        if tuple(images.shape[1:]) != shape:
            raise UnsupportedDataError(
                f"{who}: got images of (C, H, W) {self.data.shape}, expected {shape}, as the dataset's are; resize "
                "them; of image files, the config key 'size' (of score: --size) does, which is then part of what is "
                "measured"
            )
        labels = self._labels(classes, who) if self.labelled else self.data.labels
        return LabelledImages(images, labels, classes)

    def _labels(self, classes: tuple[str, ...], who: str) -> Tensor:
        own = self.data.classes
        places = {name: label for label, name in enumerate(classes)}
        if not set(own) <= set(places) and all(NUMBER.fullmatch(name) for name in own):
            places = {name: label for name in own if (label := int(name.lstrip("#"))) < len(classes)}
        strange = [name for name in own if name not in places]
        if strange:
            from_one = {int(name.lstrip("#")) for name in own if NUMBER.fullmatch(name)} == set(
                range(1, len(classes) + 1)
            )
            raise DataError(
                f"{who}: of {len(own)} classes, {len(strange)} not in the dataset ({', '.join(strange[:5])}), "
                f"expected {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}, or their numbers from 0; "
                + ("they seem to be numbered from 1: subtract 1" if from_one else "rename them")
                + ", or have the labels ignored (labelled: false; of score: --ignore-labels)"
            )
        return torch.tensor([places[name] for name in own])[self.data.labels]


def _in_channels(images: Tensor, channels: int) -> Tensor:
    """``images`` with so many channels, where nothing is lost by it; else as they are."""
    if images.shape[1] == 1 and channels == 3:
        return images.expand(-1, 3, -1, -1)
    if images.shape[1] == 3 and channels == 1 and bool((images == images[:, :1]).all()):
        return images[:, :1]
    return images


def samples_place(path: str | Path) -> Path:
    """Where samples are.

    Raises:
        DataMissingError: If there is no such file or folder.
        DataError: If a file is of a kind that is not read.
    """
    given = place(Path(), str(path), "samples")
    if not (given.is_file() or given.is_dir()):
        raise DataMissingError(f"samples: there is no {path}, expected {FORMS}")
    if given.is_file() and given.suffix.lower() not in ARCHIVES:
        raise DataError(f"samples: got the file {path}, expected {FORMS}; make one of these of it")
    return given


def read_samples(path: str | Path, size: int | None = None, labelled: bool | None = None) -> Samples:
    """Read a model's samples; decoded once, and kept as datasets are.

    Args:
        path: ``<class>/<image>`` or images alone, as a folder or a zip, perhaps with a ``dataset.json``; or an npz
            file with ``images`` and perhaps ``labels``, or ``arr_0`` and perhaps ``arr_1``, as the ADM suite has it.
            One folder of images is no class, but images without labels.
        size: Image files are cropped to their central square and resized to this; None: as they are.
        labelled: Whether their labels are taken; None: if there are some.

    Raises:
        DataMissingError: If there is no such file or folder.
        DataError: If it holds no images, cannot be read, or has no labels although they are asked for.
    """
    given = samples_place(path)
    try:
        identity = Place(given).identity()
    except OSError as error:
        raise DataError(f"samples: {path} cannot be looked through ({error}); mend or move it") from error
    return _read(given.resolve(), tuple(identity), size, labelled)


@lru_cache(maxsize=8)
def _read(path: Path, identity: tuple[str, ...], size: int | None, labelled: bool | None) -> Samples:
    """As long as the files are the same, they are read once a process."""
    who = f"samples {path.name}"
    if path.is_file() and path.suffix.lower() == ".npz":
        if size is not None:
            raise DataError(f"{who}: got the config key 'size', which is for image files; resize the arrays beforehand")
        if labelled is None:
            labelled = has_labels(path)
        decode = partial(read_arrays, path, labelled)
    else:
        held = contents(Place(path), who)
        if labelled is None:
            _no_strays(held, who)
            labelled = held.indexed is not None or len(held.classes) > 1
        numbered = held.indexed is not None
        decode = partial(_of_classes, path, numbered, who, size) if labelled else partial(_alone, held, who, size)
    return Samples(decoded({"samples": list(identity), "size": size, "labelled": labelled}, decode), labelled)


def _of_classes(path: Path, numbered: bool, who: str, size: int | None) -> LabelledImages:
    """Images by the folders that they are in, or by a ``dataset.json``, whose classes are ``#0``, ``#1``, ..."""
    data = read_image_folder([Place(path)], who, size)
    return replace(data, classes=tuple(f"#{int(name)}" for name in data.classes)) if numbered else data


def _alone(held: Contents, who: str, size: int | None) -> LabelledImages:
    """All images of a place, in the order of their paths, whatever folders they are in; labels are 0."""
    files = [ImageFile(name, held.images[name]) for name in sorted(held.images)]
    if not files:
        raise DataError(f"{who}: got no image, expected {FORMS}")
    return unlabelled(decode_images(files, who, size))


def _no_strays(held: Contents, who: str) -> None:
    """Images beside class folders would be passed over.

    Raises:
        DataError: If there are some.
    """
    strays = [name for name in held.images if "/" not in name]
    if held.indexed is None and strays and len(strays) < len(held.images):
        raise DataError(
            f"{who}: {len(strays)} of {len(held.images)} images are in no folder ({', '.join(strays[:3])}), expected "
            "all of them in class folders, or none; move them, or have the labels ignored (labelled: false; of score: "
            "--ignore-labels)"
        )
