"""The local executor believes a process no more than it has to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchbench.executors.local import Local
from benchbench.types import Outcome, Progress, Status, Task

# A process that leaves two files, is there for a while, and ends as it is told.
PROCESS = """
import json, os, sys, time
order = json.load(open(sys.argv[1]))
for name in ("progress", "outcome"):
    if order[name] is not None:
        with open(os.path.join(os.path.dirname(sys.argv[1]), name + ".json"), "w") as file:
            file.write(order[name])
time.sleep(order["seconds"])
exec(order["end"])
"""
RUBBISH = [
    "{]",
    "[]",
    "{}",
    "null",
    '{"phase": 3}',
    '{"status": []}',
    '{"status": "fine"}',
    '{"status": "ok"}x',
    "[" * 9999,
]


def run(folder: Path, orders: Sequence[dict[str, object]]) -> tuple[dict[str, Outcome], list[Progress]]:
    (folder / "process.py").write_text(PROCESS)
    tasks = []
    for number, order in enumerate(orders):
        place = folder / str(number)
        place.mkdir()
        everything = {"progress": None, "outcome": None, "seconds": 0.0, "end": "", **order}
        (place / "payload.json").write_text(json.dumps(everything))
        tasks.append(Task(str(number), "process", place / "payload.json", place, 60.0, {"PYTHONPATH": str(folder)}))
    seen: list[Progress] = []
    return {outcome.name: outcome for outcome in Local().run(tasks, 4, seen.append)}, seen


def test_rubbish_in_a_cells_files_costs_that_cell_alone(tmp_path: Path) -> None:
    good = {"outcome": '{"status": "ok", "phase": "done", "message": ""}', "progress": '{"phase": "fit", "step": 3}'}
    bad = [{"outcome": text, "progress": text, "seconds": 0.7} for text in RUBBISH]
    outcomes, seen = run(tmp_path, [*bad, {**good, "seconds": 0.7}])
    for number in range(len(bad)):
        outcome = outcomes[str(number)]
        assert (outcome.status, outcome.phase) == (Status.FAILED, "start")
        assert outcome.message == "exited with status 0 without saying how it went"
    last = str(len(bad))
    assert outcomes[last].status is Status.OK
    assert outcomes[last].seconds > 0.5  # measured, not believed
    assert Progress(last, "fit", 3) in seen and {progress.name for progress in seen} == {last}


@pytest.mark.parametrize(("number", "words"), [(11, "signal 11 (SIGSEGV)"), (40, "signal 40"), (64, "signal 64")])
def test_any_signal_may_end_a_cell(tmp_path: Path, number: int, words: str) -> None:
    end = f"import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), {number})"
    outcomes, _ = run(tmp_path, [{"end": end}])
    assert outcomes["0"].status is Status.FAILED
    assert words in outcomes["0"].message
