"""Whether reports on disk are those that the store gives."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from benchbench.runner.run import report_benchmark
from benchbench.runner.workspace import Workspace


def differences(work: Workspace, folder: Path, command: str) -> list[str]:
    """What a folder of reports lacks, has otherwise, or has beyond what the store gives; nothing of it is changed.

    Args:
        work: The benchmark, whose results are stored.
        folder: ``OUT/<benchmark>``.
        command: The command line that stands in the reports.

    Returns:
        One line a file; empty where the folder follows from the store.
    """
    with tempfile.TemporaryDirectory() as place:
        fresh = Path(place) / work.benchmark.name
        faults = list(report_benchmark(work, fresh, command=command).faults)
        expected, found = _files(fresh), _files(folder)
        for name in sorted({*expected, *found}):
            if name.endswith(".parquet") and importlib.util.find_spec("pyarrow") is None:
                continue  # this machine can neither write nor read it
            if name not in found:
                faults.append(f"{folder / name} is missing")
            elif name not in expected:
                faults.append(f"{folder / name} does not come from the store")
            elif not _same(expected[name], found[name]):
                faults.append(f"{folder / name} differs from what the store gives")
    return faults


def _same(expected: Path, found: Path) -> bool:
    """Byte by byte; of Parquet, whose bytes name the versions of what wrote them, the table and what stands in it."""
    if expected.read_bytes() == found.read_bytes():
        return True
    if expected.suffix != ".parquet":
        return False
    import pandas as pd

    try:
        one, other = pd.read_parquet(expected), pd.read_parquet(found)
    except (OSError, ValueError):
        return False
    return one.equals(other) and one.attrs == other.attrs


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
