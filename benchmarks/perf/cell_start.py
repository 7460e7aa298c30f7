"""Cells as processes that are started anew against cells that are forked off one that has imported everything.

Run: ``python benchmarks/perf/cell_start.py [--pairs 8] [--cells 8]``. Cells without work, one at a time, each importing
what a real one imports; CPU time of all processes, that of the process which is copied included.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from pairs import compare

from benchbench.executors.local import Local
from benchbench.types import Status, Task

CELL = """
import json, sys
from pathlib import Path
from benchbench.discovery import load_registry
from benchbench.runner.worker import prepare

def main(payload):
    load_registry()
    (payload.parent / "outcome.json").write_text(json.dumps({"status": "ok", "phase": "done", "message": ""}))

if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def tasks(folder: Path, cells: int) -> list[Task]:
    """So many cells that have nothing to do."""
    (folder / "idle_cell.py").write_text(CELL)
    path = os.pathsep.join([str(folder), *(str(Path(place).resolve()) for place in sys.path if place)])
    env = {**dict.fromkeys(THREADS, "1"), "PYTHONPATH": path}
    found = []
    for number in range(cells):
        place = folder / str(number)
        place.mkdir()
        (place / "payload.json").write_text("{}")
        found.append(Task(str(number), "idle_cell", place / "payload.json", place, 120.0, env))
    return found


def cpu_seconds() -> float:
    """CPU time of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--cells", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        anew = tasks(Path(folder), arguments.cells)
        forked = [replace(task, copied=True) for task in anew]

        def run(which: list[Task]) -> None:
            ends = list(Local().run(which, 1, lambda _: None))
            assert [end.status for end in ends] == [Status.OK] * arguments.cells, ends

        ratio = compare(lambda: run(anew), lambda: run(forked), arguments.pairs, clock=cpu_seconds)
    print(f"{arguments.cells} cells without work, started anew / forked, CPU time of all processes: {ratio}")


if __name__ == "__main__":
    main()
