"""From a benchmark file to cells, and from cells to content keys."""

from benchbench.plan.cells import Cell, expand
from benchbench.plan.inputs import Result, StageInputs, take_digests
from benchbench.plan.settings import FULL, Setting, all_settings
from benchbench.plan.state import CellState, examine, goal_key, remember

__all__ = [
    "FULL",
    "Cell",
    "CellState",
    "Result",
    "Setting",
    "StageInputs",
    "all_settings",
    "examine",
    "expand",
    "goal_key",
    "remember",
    "take_digests",
]
