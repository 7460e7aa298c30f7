"""What a cell's process says while it works, in a file that others read."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from pathlib import Path

from benchbench.store.files import write_json

# Often enough to watch, seldom enough to cost nothing.
INTERVAL_S = 0.5


class ProgressFile:
    """Writes ``progress.json``, at most twice a second.

    Args:
        path: Where to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.phase = "start"
        self._began = time.monotonic()
        self._first_step = 0
        self._written = 0.0

    def enter(self, phase: str) -> None:
        """A new phase begins."""
        self.phase = phase
        self._restart(0)
        self._write({"phase": phase, "step": 0, "total": 0, "values": {}, "rate": 0.0})

    def step(self, part: str, step: int, total: int, values: Mapping[str, float]) -> None:
        """A step of training is done; in the form that :class:`FitContext.log` has."""
        if step < self._first_step:
            self._restart(step)
        now = time.monotonic()
        if now - self._written < INTERVAL_S and step < total:
            return
        rate = (step - self._first_step) / max(now - self._began, 1e-9)
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        phase = self.phase if part == self.phase else f"{self.phase}: {part}"
        self._write({"phase": phase, "step": step, "total": total, "values": finite, "rate": rate})

    def _restart(self, step: int) -> None:
        self._began = time.monotonic()
        self._first_step = step

    def _write(self, value: Mapping[str, object]) -> None:
        self._written = time.monotonic()
        with contextlib.suppress(OSError):  # a full disk costs the display, not the training
            write_json(self.path, value)
