"""Results as a table for pandas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import DataError
from benchbench.report.results import RESULTS_SCHEMA

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


def load_results(path: str | Path) -> pd.DataFrame:
    """The numbers of a report, one a line.

    ::

        frame = benchbench.load_results("reports/digits")
        lifts = frame[(frame.metric == "lift") & (frame.arm == "mixed") & frame.class_name.isna()]
        lifts.groupby(["generator", "ratio"]).value.agg(["mean", "std", "count"])

    Args:
        path: A report's folder, or its ``results.json``.

    Returns:
        A frame with the columns of :class:`benchbench.leaderboard.Record`, in their dtypes: ``generator`` (the row),
        ``seed``, ``setting``, ``metric``, ``value`` (NaN where the cell did not get so far), ``higher_is_better``,
        ``n``, ``status``, ``arm``, ``ratio``, ``classifier``, ``classifier_seed``, ``train_images`` and
        ``class_name``. ``frame.attrs`` holds ``benchmark`` and ``protocol_fingerprint``.

    Raises:
        DataError: If there is no such file, or it is of another schema version.
    """
    import pandas as pd

    path = Path(path)
    file = path / "results.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}; expected the folder of a report") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}; draw the report again") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != RESULTS_SCHEMA:
        raise DataError(f"{file}: got schema version {version!r}, this program reads {RESULTS_SCHEMA}")
    frame = pd.DataFrame(found["rows"], columns=list(COLUMNS)).astype(COLUMNS)
    frame.attrs.update(benchmark=found["benchmark"], protocol_fingerprint=found["protocol_fingerprint"])
    return frame
