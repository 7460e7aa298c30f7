"""The rows of ``results.json`` as a table for pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Column and dtype, in order; what they mean is told in benchbench.leaderboard.Record and docs/reports.md.
COLUMNS = {
    "generator": "string",
    "seed": "int64",
    "setting": "string",
    "metric": "string",
    "value": "float64",
    "higher_is_better": "boolean",
    "n": "Int64",
    "status": "string",
    "arm": "string",
    "ratio": "float64",
    "classifier": "string",
    "classifier_seed": "Int64",
    "train_images": "Int64",
    "class_name": "string",
}


def results_frame(rows: Iterable[Mapping[str, Any]], head: Mapping[str, Any]) -> pd.DataFrame:
    """A line a row, in the columns and dtypes of :data:`COLUMNS`.

    Args:
        rows: The ``rows`` of ``results.json``.
        head: What stands above them; the schema version, the benchmark's name and the protocol's fingerprint are kept
            in the frame's ``attrs``.
    """
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
    frame.attrs.update({key: head[key] for key in ("schema_version", "benchmark", "protocol_fingerprint")})
    return frame
