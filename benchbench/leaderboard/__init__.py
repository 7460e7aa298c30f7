"""From records to a leaderboard: intervals, ranks that are shared where rows can't be told apart, a verdict."""

from benchbench.leaderboard.board import Board, Row, build_board
from benchbench.leaderboard.dossier import Dossier
from benchbench.leaderboard.records import Column, Record, RowInfo
from benchbench.leaderboard.verdict import Verdict

__all__ = ["Board", "Column", "Dossier", "Record", "Row", "RowInfo", "Verdict", "build_board"]
