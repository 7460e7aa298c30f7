"""``results.parquet``: the rows of ``results.json`` for whoever has many reports to read; needs pyarrow."""

from __future__ import annotations

import importlib.util
import io
import logging
from collections.abc import Sequence
from pathlib import Path

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Dossier
from benchbench.report._frame import results_frame
from benchbench.report.results import head, records
from benchbench.store.files import write_atomic
from benchbench.types import Report

log = logging.getLogger(__name__)


class Parquet(Report):
    """The numbers in columns, with their dtypes."""

    name = "parquet"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``results.parquet``; without pyarrow, say so and write nothing.

        The same numbers give the same bytes as long as pandas and pyarrow are the same: both note their versions.
        """
        path = folder / "results.parquet"
        if importlib.util.find_spec("pyarrow") is None:
            path.unlink(missing_ok=True)  # one of another state of the store would lie beside the new results.json
            log.warning("results.parquet is left out: pyarrow is not installed; pip install 'benchbench[parquet]'")
            return []
        buffer = io.BytesIO()
        results_frame(records(dossier), head(dossier)).to_parquet(
            buffer, engine="pyarrow", compression="zstd", index=False
        )
        write_atomic(path, buffer.getvalue())
        return [path]


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the columns."""
    return [Parquet]
