"""Images labelled by a ``dataset.json``: the form that StyleGAN's and EDM's tools pack datasets in."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

from benchbench.datasets._labels import LARGEST_LABEL
from benchbench.errors import DataError

INDEX = "dataset.json"


def indexed_classes(read: Callable[[], bytes], images: Collection[str], who: str) -> dict[str, list[str]] | None:
    """The images of every class by ``{"labels": [["00000/img00000000.png", 3], ...]}``.

    That is the form that ``dataset_tool.py`` of StyleGAN2-ADA (Karras 2020) and EDM (Karras 2022) writes, as a zip or
    a folder, with the file names relative to the place of ``dataset.json``.

    Args:
        read: Gives the bytes of ``dataset.json``.
        images: Paths of all images, relative to its place.
        who: Named in errors.

    Returns:
        Paths in the order of ``images`` by class name: the label's number, padded with zeros so that their order is
        that of the numbers. A number below the largest that no image has is there with an empty list. None where the
        file has no key ``labels``, and so is some other ``dataset.json``.

    Raises:
        DataError: If it is no JSON, has no labels, or labels other images than there are.
    """
    try:
        found = json.loads(read())
    except Exception as error:  # a damaged member of a zip raises whatever its decoder likes
        raise DataError(f"{who} cannot be read ({type(error).__name__}: {error}); mend or pack it again") from error
    if not isinstance(found, dict) or "labels" not in found:
        return None
    labels = _labels(found["labels"], who)
    strange, unlabelled = sorted(labels.keys() - set(images)), sorted(set(images) - labels.keys())
    if strange:
        raise DataError(
            f"{who} labels {len(strange)} files that are not there or are no images ({', '.join(strange[:3])}), "
            "expected every image once; pack it again"
        )
    if unlabelled:
        raise DataError(
            f"{who} has no label of {len(unlabelled)} of {len(images)} images ({', '.join(unlabelled[:3])}), expected "
            "one label an image; unlabelled images cannot be benchmarked: remove them, or label them"
        )
    largest = max(labels.values(), default=-1)
    classes: dict[str, list[str]] = {_name(label, largest): [] for label in range(largest + 1)}
    for image in images:
        classes[_name(labels[image], largest)].append(image)
    return classes


def _name(label: int, largest: int) -> str:
    return str(label).zfill(len(str(largest)))


def _labels(found: object, who: str) -> dict[str, int]:
    """Label by file, of the value of the key ``labels``."""
    if not found:
        raise DataError(
            f"{who} has no labels ({json.dumps(found)}), expected [file, label] of every image; unlabelled images "
            "cannot be benchmarked: pack the dataset with its labels"
        )
    labels: dict[str, int] = {}
    for entry in found if isinstance(found, list) else [found]:
        match entry:
            case [str() as image, int() as label] if not isinstance(label, bool) and 0 <= label < LARGEST_LABEL:
                if labels.setdefault(image, label) != label:
                    raise DataError(f"{who} gives {image!r} the labels {labels[image]} and {label}, expected one")
            case _:
                raise DataError(
                    f"{who} has the label {json.dumps(entry)[:80]}, expected [file, label] with whole numbers counted "
                    f"from 0 and below {LARGEST_LABEL}"
                )
    return labels
