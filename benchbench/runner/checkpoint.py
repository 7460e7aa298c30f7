"""Training state on disk, so that an interrupted fit goes on where it was."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from benchbench.store.files import load_state, sha256_file, state_bytes, write_atomic

log = logging.getLogger(__name__)


class FileCheckpoint:
    """One file, replaced atomically, with its checksum beside it.

    Args:
        path: Named after the fit's content key, so that it never serves another fit.
        interval_s: Seconds between saves.
    """

    def __init__(self, path: Path, interval_s: float = 30.0) -> None:
        self.path = path
        self.interval_s = interval_s
        self._saved = time.monotonic()
        self._began = time.monotonic()
        self._before = 0.0

    def seconds_before(self) -> float:
        """Training seconds that went into the last saved state, 0 where there is none."""
        state = self._read()
        self._before = float(state["seconds"]) if state else 0.0
        return self._before

    @property
    def _sum(self) -> Path:
        return self.path.with_suffix(".sha256")

    def load(self) -> dict[str, Any] | None:
        """The last state, or None where there is none or it is not whole."""
        kept = self._read()
        return None if kept is None else dict(kept["state"])

    def _read(self) -> dict[str, Any] | None:
        if not self.path.is_file():
            return None
        try:
            if self._sum.read_text() != sha256_file(self.path):
                raise ValueError("it does not match its checksum")
            return load_state(self.path)
        except Exception as error:
            log.warning("the checkpoint %s cannot be used (%s); training starts anew", self.path.name, error)
            return None

    def due(self) -> bool:
        """Whether the interval has gone by."""
        return time.monotonic() - self._saved >= self.interval_s

    def save(self, state: dict[str, Any]) -> None:
        """Replace the last state. A disk that is full costs the checkpoint, not the training."""
        try:
            self._sum.unlink(missing_ok=True)
            seconds = self._before + time.monotonic() - self._began
            write_atomic(self.path, state_bytes({"state": state, "seconds": seconds}))
            write_atomic(self._sum, sha256_file(self.path).encode())
        except OSError as error:
            log.warning("no checkpoint was saved: %s", error)
        self._saved = time.monotonic()

    def clear(self) -> None:
        """Remove it: the fit is stored."""
        self.path.unlink(missing_ok=True)
        self._sum.unlink(missing_ok=True)
