"""Images decoded once: kept as one array under a key of what they were decoded from, and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchbench.store.files import array_bytes, load_array, read_json, write_atomic, write_json
from benchbench.types import LabelledImages

# Raised when decoding changes: what older versions left behind is then decoded again.
VERSION = 2

# Bytes of images above which a part of a dataset is kept as an array of its own; less is copied in no time.
LARGE = 2**24

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where decoded datasets are kept: ``benchbench`` in the user's cache folder (``$XDG_CACHE_HOME``)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "benchbench" / "datasets"


def decoded(identity: Mapping[str, Any], decode: Callable[[], LabelledImages]) -> LabelledImages:
    """What ``decode`` gives, from the cache where it was decoded before.

    Pixels are mapped, not read: processes that work side by side share one copy, and pages that nobody looks at
    cost nothing. They are checked against their checksum nevertheless. A damaged entry is decoded again; a
    cache that cannot be written costs the time of decoding and nothing else.

    Args:
        identity: JSON values that decide the result (digests of files, the size asked for).
        decode: Reads and decodes.

    Returns:
        The images, which must not be changed in place.
    """
    text = json.dumps({"version": VERSION, **identity}, sort_keys=True)
    entry = cache_folder() / hashlib.sha256(text.encode()).hexdigest()
    found = _read(entry)
    if found is not None:
        return found
    data = decode()
    try:
        _write(entry, data)
    except OSError as error:
        logger.warning("decoded images are not kept (%s): the next process decodes them again", error)
        return data
    return _read(entry) or data


def part(data: LabelledImages, index: Tensor, change: Change | None = None) -> LabelledImages:
    """The images at ``index``, without a copy of them in this process's memory where there would be a large one.

    Neighbours are a view. Others, where they are many, are copied into the cache once and mapped from there, so that
    processes side by side share them as they share the whole.

    Args:
        data: Images, not to be changed in place.
        index: ``int64 (n,)``, ascending, without repeats.
        change: What is done to the images that are taken, under a name that says it all; None leaves them.
    """
    if change is None and len(index) == len(data):
        return data
    if change is None and len(index) and int(index[-1] - index[0]) == len(index) - 1:
        span = slice(int(index[0]), int(index[-1]) + 1)
        return LabelledImages(data.images[span], data.labels[span], data.classes)

    def taken() -> LabelledImages:
        chosen = data.take(index)
        return chosen if change is None else replace(chosen, images=change.apply(chosen.images))

    if len(index) * math.prod(data.shape) <= LARGE:
        return taken()
    positions = hashlib.sha256(index.numpy().tobytes()).hexdigest()
    name = None if change is None else change.name
    return decoded({"part": data.fingerprint, "index": positions, "change": name}, taken)


@dataclass(frozen=True)
class Change:
    """A function of images ``uint8 (N, C, H, W)``, and a name that tells it from every other."""

    name: str
    apply: Callable[[Tensor], Tensor]


def _read(entry: Path) -> LabelledImages | None:
    """The images of an entry, or None where it is missing or is not what was written."""
    about = read_json(entry / "about.json")
    if not isinstance(about, dict):
        return None
    try:
        # Copy-on-write: torch wants writable memory, and a stray write stays within the process.
        pixels = np.load(entry / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = load_array(entry / "labels.npy")
        data = LabelledImages(torch.from_numpy(pixels), torch.from_numpy(labels), tuple(about["classes"]))
    except Exception:  # damage makes numpy raise whatever it stumbles on
        data = None
    if data is None or data.fingerprint != about.get("fingerprint"):
        logger.warning("the decoded images in %s are damaged: they are decoded again", entry)
        return None
    return data


def _write(entry: Path, data: LabelledImages) -> None:
    """Write an entry beside its place and rename it there: a reader sees all of it or nothing."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".new-"))
    try:
        write_atomic(beside / "images.npy", array_bytes(data.images.numpy()))
        write_atomic(beside / "labels.npy", array_bytes(data.labels.numpy()))
        write_json(beside / "about.json", {"classes": list(data.classes), "fingerprint": data.fingerprint})
        if entry.exists():  # damaged, or written meanwhile by another process
            shutil.rmtree(entry)
        beside.rename(entry)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
