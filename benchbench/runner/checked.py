"""Whether reports on disk are those that the store gives."""

from __future__ import annotations

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
            if name not in found:
                faults.append(f"{folder / name} is missing")
            elif name not in expected:
                faults.append(f"{folder / name} does not come from the store")
            elif expected[name].read_bytes() != found[name].read_bytes():
                faults.append(f"{folder / name} differs from what the store gives")
    return faults


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
