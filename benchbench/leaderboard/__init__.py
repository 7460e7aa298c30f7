"""From records to leaderboards: intervals, ranks that are shared where rows can't be told apart, a verdict."""

from benchbench.leaderboard.board import Board, Correlation, Row, Rules, SettingInfo
from benchbench.leaderboard.build import build_board
from benchbench.leaderboard.dossier import Dossier
from benchbench.leaderboard.records import Column, Record, RowInfo
from benchbench.leaderboard.reproduction import Reproduction, reproduce
from benchbench.leaderboard.verdict import Verdict
from benchbench.leaderboard.worth import Worth

__all__ = [
    "Board",
    "Column",
    "Correlation",
    "Dossier",
    "Record",
    "Reproduction",
    "Row",
    "RowInfo",
    "Rules",
    "SettingInfo",
    "Verdict",
    "Worth",
    "build_board",
    "reproduce",
]
