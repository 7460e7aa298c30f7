"""How a cell ended."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The end of a cell, as it stands in the leaderboard (DESIGN: failures are rows)."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    COLLAPSED = "collapsed"
    SKIPPED = "skipped"
