"""``results.json``: every number, one tidy row each, and ``leaderboard.csv``: the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Board, Dossier, Row, Worth
from benchbench.report._lines import json_lines
from benchbench.report._reproduction import reproduction_line
from benchbench.store.files import write_atomic
from benchbench.types import Report

if TYPE_CHECKING:
    import pandas as pd

RESULTS_SCHEMA = 2


class Results(Report):
    """The numbers for machines."""

    name = "results"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``results.json`` and ``leaderboard.csv``."""
        published = {"published": map(reproduction_line, dossier.reproductions)} if dossier.reproductions else {}
        write_atomic(folder / "results.json", json_lines(head(dossier), **published, rows=records(dossier)))
        write_atomic(folder / "leaderboard.csv", leaderboard_frame(dossier.boards).to_csv(index=False).encode())
        return [folder / "results.json", folder / "leaderboard.csv"]


def head(dossier: Dossier) -> dict[str, Any]:
    """What stands above the rows: whose numbers they are, and what follows from them."""
    return {
        "schema_version": RESULTS_SCHEMA,
        "benchmark": dossier.board.benchmark,
        "protocol_fingerprint": dossier.manifest["protocol_fingerprint"],
        "verdicts": [
            {"setting": board.setting.name, "train_images": board.setting.train_images, **asdict(board.verdict)}
            for board in dossier.boards
        ],
    }


def records(dossier: Dossier) -> Iterator[dict[str, Any]]:
    """The rows: every number of every board."""
    return (asdict(record) for board in dossier.boards for record in board.records)


def leaderboard_frame(boards: Sequence[Board]) -> pd.DataFrame:
    """One line a data setting and row; a column that one setting lacks is empty there. Ranks are whole numbers."""
    import pandas as pd

    frame = pd.DataFrame([_line(board, row) for board in boards for row in board.rows])
    ranked = [column.key for board in boards for column in board.columns if column.higher_is_better is not None]
    return frame.astype({f"{key}_rank": "Int64" for key in ranked})


def _line(board: Board, row: Row) -> dict[str, object]:
    """What the row is; for every column its mean, interval, n and (where ranked) rank; last what it is worth."""
    line: dict[str, object] = {
        "setting": board.setting.name,
        "row": row.info.name,
        "generator": row.info.generator,
        "role": row.info.role,
        "track": row.info.track,
        "labels": row.info.labels,
        "ratio": row.ratio,
        "classical_ratio": row.classical_ratio,
        "memorizes": row.memorizes,
        "pareto": row.pareto,
        "failed_cells": len(row.info.failures),
    }
    for column in board.columns:
        interval = row.values.get(column.key)
        line[column.key] = None if interval is None else interval.mean
        line[f"{column.key}_low"] = None if interval is None or math.isnan(interval.low) else interval.low
        line[f"{column.key}_high"] = None if interval is None or math.isnan(interval.high) else interval.high
        line[f"{column.key}_n"] = 0 if interval is None else interval.n
        if column.higher_is_better is not None:
            line[f"{column.key}_rank"] = row.ranks.get(column.key)
    return {**line, **_worth("worth_alone", row.worth_alone), **_worth("worth_added", row.worth_added)}


def _worth(key: str, worth: Worth | None) -> dict[str, object]:
    """In real images, with the interval and on which side of the learning curve a seed lies."""
    fields = ("low", "high", "below", "above")
    if worth is None:
        return dict.fromkeys((key, *(f"{key}_{field}" for field in fields)))
    return {key: worth.value, **{f"{key}_{field}": getattr(worth, field) for field in fields}}


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the results."""
    return [Results]
