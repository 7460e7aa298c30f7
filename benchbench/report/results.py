"""``results.json``: every number, one tidy row each, and ``leaderboard.csv``: the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Board, Dossier
from benchbench.store.files import write_atomic, write_json
from benchbench.types import Report

if TYPE_CHECKING:
    import pandas as pd

RESULTS_SCHEMA = 1


class Results(Report):
    """The numbers for machines."""

    name = "results"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``results.json`` and ``leaderboard.csv``."""
        results = {
            "schema_version": RESULTS_SCHEMA,
            "benchmark": dossier.board.benchmark,
            "protocol_fingerprint": dossier.manifest["protocol_fingerprint"],
            "rows": [asdict(record) for record in dossier.board.records],
        }
        write_json(folder / "results.json", results)
        write_atomic(folder / "leaderboard.csv", leaderboard_frame(dossier.board).to_csv(index=False).encode())
        return [folder / "results.json", folder / "leaderboard.csv"]


def leaderboard_frame(board: Board) -> pd.DataFrame:
    """One line a row; for every column its mean, interval, n and (where ranked) rank."""
    import pandas as pd

    lines = []
    for row in board.rows:
        line: dict[str, object] = {
            "row": row.info.name,
            "generator": row.info.generator,
            "role": row.info.role,
            "labels": row.info.labels,
            "ratio": row.ratio,
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
        lines.append(line)
    return pd.DataFrame(lines)


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the results."""
    return [Results]
