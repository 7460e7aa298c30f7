"""Results as a table for pandas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import DataError
from benchbench.report._frame import results_frame
from benchbench.report.results import RESULTS_SCHEMA

if TYPE_CHECKING:
    import pandas as pd


def load_results(path: str | Path) -> pd.DataFrame:
    """The numbers of a report, one a line.

    ::

        frame = benchbench.load_results("reports/digits")
        lifts = frame[(frame.metric == "lift") & (frame.arm == "mixed") & frame.class_name.isna()]
        lifts.groupby(["generator", "ratio"]).value.agg(["mean", "std", "count"])

    Args:
        path: A report's folder, or its ``results.json`` or ``results.parquet``. Of a folder the JSON is read.

    Returns:
        A frame with the columns of :class:`benchbench.leaderboard.Record`, in their dtypes: ``generator`` (the row),
        ``seed``, ``setting``, ``metric``, ``value`` (NaN where the cell did not get so far), ``higher_is_better``,
        ``n``, ``status``, ``arm``, ``ratio``, ``classifier``, ``classifier_seed``, ``train_images`` and
        ``class_name``. ``frame.attrs`` holds ``schema_version``, ``benchmark`` and ``protocol_fingerprint``.

    Raises:
        DataError: If there is no such file, it cannot be read, or it is of another schema version.
    """
    path = Path(path)
    file = path / "results.json" if path.is_dir() else path
    if file.suffix == ".parquet":
        frame = _columns(file)
        _check_version(file, frame.attrs.get("schema_version"))
        return frame
    found = _json(file)
    _check_version(file, found.get("schema_version") if isinstance(found, dict) else None)
    return results_frame(found["rows"], found)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}; expected the folder of a report") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}; draw the report again") from error


def _columns(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(file, engine="pyarrow")
    except ImportError as error:
        raise DataError(f"{file}: reading it needs pyarrow: pip install 'benchbench[parquet]'") from error
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}; expected the folder of a report") from error
    except ValueError as error:  # pyarrow's own errors are of this kind
        raise DataError(f"{file} is not Parquet: {error}; draw the report again") from error


def _check_version(file: Path, version: object) -> None:
    if version != RESULTS_SCHEMA:
        raise DataError(f"{file}: got schema version {version!r}, this program reads {RESULTS_SCHEMA}")
