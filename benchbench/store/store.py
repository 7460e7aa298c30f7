"""Entries on disk, one folder a result, each checked against its own checksums when it is served."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchbench.store.files import read_json, sha256_file, write_atomic, write_json
from benchbench.store.keys import canonical, content_key

SCHEMA_VERSION = 1
HEADER = "entry.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A stored result.

    Attributes:
        key: Its content key.
        folder: Where its files lie.
        meta: Its small results and what was measured while it was made (JSON values).
    """

    key: str
    folder: Path
    meta: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """The path of one of its files."""
        return self.folder / name


# What a stage makes: its files' contents by name, and its meta.
Made = tuple[Mapping[str, bytes], Mapping[str, Any]]


class Store:
    """Results by content key under ``root/store``.

    Writing is atomic (a whole folder is renamed into place), reading verifies every file. Processes may
    share a store: a lock per key lets each result be made once.

    Args:
        root: The runs folder; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _folder(self, stage: str, key: str) -> Path:
        return self.root / "store" / stage / key[:2] / key

    def get(self, stage: str, key: str) -> Entry | None:
        """The entry, if it is there and whole; a damaged one is reported, and counts as missing."""
        folder = self._folder(stage, key)
        if not folder.exists():
            return None
        fault, header = _examine(folder, stage, key)
        if fault:
            log.warning("store: %s %s is damaged (%s); it will be computed again", stage, key[:12], fault)
            return None
        return Entry(key, folder, header["meta"])

    def meta(self, stage: str, key: str) -> Mapping[str, Any] | None:
        """The meta of an entry whose header is whole, whatever has become of its files; None where there is none."""
        fault, header = _header(self._folder(stage, key), stage, key)
        return None if fault else header["meta"]

    def get_or_make(self, stage: str, inputs: Mapping[str, Any], make: Callable[[], Made]) -> Entry:
        """Serve the entry for ``inputs``, or call ``make`` and keep what it gives.

        Args:
            stage: The stage's name.
            inputs: All that determines the result (JSON values).
            make: Computes the files and the meta. Called by one process at a time for a key.
        """
        key = content_key(stage, inputs)
        entry = self.get(stage, key)
        if entry is not None:
            return entry
        lock = self.root / "locks" / f"{key}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            entry = self.get(stage, key)  # another process may have made it while this one waited
            return entry if entry is not None else self._put(stage, key, inputs, make())

    def _put(self, stage: str, key: str, inputs: Mapping[str, Any], made: Made) -> Entry:
        files, meta = made
        folder = self._folder(stage, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
        try:
            for name, content in files.items():
                write_atomic(temporary / name, content)
            checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
            header = {
                "schema_version": SCHEMA_VERSION,
                "stage": stage,
                "key": key,
                "inputs": inputs,
                "files": checksums,
                "meta": meta,
            }
            write_json(temporary / HEADER, {**header, "sha256": _header_digest(header)})
            if folder.exists():  # only a damaged entry can stand here, as the lock is held
                shutil.rmtree(folder)
            temporary.chmod(0o755)  # mkdtemp makes folders that nobody else may read
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return Entry(key, folder, meta)


def _header_digest(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(header)).encode()).hexdigest()


def _header(folder: Path, stage: str, key: str) -> tuple[str, dict[str, Any]]:
    """What is wrong with an entry's header (empty if nothing), and what it says."""
    header = read_json(folder / HEADER)
    if not isinstance(header, dict) or "sha256" not in header:
        return "its header cannot be read", {}
    body = {name: value for name, value in header.items() if name != "sha256"}
    if _header_digest(body) != header["sha256"]:
        return "its header does not match its own checksum", {}
    if body["schema_version"] != SCHEMA_VERSION:
        return f"it has schema version {body['schema_version']}, this program reads {SCHEMA_VERSION}", {}
    if (body["stage"], body["key"]) != (stage, key):
        return "it belongs to another key", {}
    return "", body


def _examine(folder: Path, stage: str, key: str) -> tuple[str, dict[str, Any]]:
    """What is wrong with an entry (empty if nothing), and its header."""
    fault, header = _header(folder, stage, key)
    if fault:
        return fault, {}
    for name, checksum in header["files"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing", {}
        if sha256_file(path) != checksum:
            return f"{name} does not match its checksum", {}
    return "", header
