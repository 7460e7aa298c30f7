"""Images decoded once: kept as one array under a key of what they were decoded from, and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchbench.errors import DataError
from benchbench.store.files import array_bytes, load_array, read_json, write_atomic, write_json
from benchbench.types import LabelledImages

# Raised when decoding changes: what older versions left behind is then decoded again.
VERSION = 1

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
        identity: JSON values that decide the result (digests of files, the size asked for), no paths.
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
    except (OSError, ValueError, KeyError, TypeError, DataError):
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
