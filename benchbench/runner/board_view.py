"""The board in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchbench.leaderboard import Board, Row
from benchbench.leaderboard.verdict import percent


def print_board(console: Console, board: Board) -> None:
    """Rank, main distances, CAS and lift of every row, then the verdict."""
    ranked = board.headline
    table = Table("rank", "row", *(escape(column.label) for column in ranked), box=None)
    for row in board.rows:
        rank = row.ranks.get(board.rank_by) if len(board.seeds) > 1 else None  # one seed tells nothing apart
        table.add_row(
            "" if rank is None else str(rank), escape(_name(row)), *(_cell(row, column.key) for column in ranked)
        )
    console.print(table)
    console.print(f"{board.setting.text}:", markup=False, highlight=False)
    for warning in board.warnings:
        console.print(f"not to be trusted: {warning}", style="red", markup=False)
    console.print(f"verdict: {board.verdict.text}", markup=False, highlight=False, soft_wrap=True)
    for row in board.of_role("generator"):
        if row.memorizes:
            console.print(f"copies: the memorization flag is up on {row.info.name}", style="red", markup=False)
    for name, verdict in (("beside classical augmentation", board.beside_classical), ("transfer", board.transfer)):
        if verdict is not None:
            console.print(f"{name}: {verdict.text}", markup=False, highlight=False, soft_wrap=True)


def _name(row: Row) -> str:
    """With what sets it apart from the rows that are ranked together."""
    if row.info.role == "control":
        return f"{row.info.name} (control)"
    return f"{row.info.name} (transfer)" if row.info.track == "transfer" else row.info.name


def _cell(row: Row, key: str) -> str:
    interval = row.values.get(key)
    if interval is None:
        return "-"
    if key.startswith("lift"):
        return percent(interval.mean)
    if key == "cas":
        return f"{100 * interval.mean:.1f} %"
    return f"{interval.mean:.4g}"
