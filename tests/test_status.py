"""Where a run is, seen from another terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Bench

from benchbench.runner.watch import announce, look, runs_in
from benchbench.store.files import write_json


def outcome(folder: Path, name: str, seconds: float, status: str = "ok") -> None:
    write_json(
        folder / name / "outcome.json",
        {
            "name": name,
            "status": status,
            "phase": "fit",
            "message": "boom" if status != "ok" else "",
            "seconds": seconds,
        },
    )


def test_what_the_files_say(tmp_path: Path) -> None:
    folder = tmp_path / "cells" / "b"
    (folder / "a-seed3").mkdir(parents=True)
    write_json(folder / "a-seed3/progress.json", {"phase": "old", "step": 1, "total": 2, "values": {}, "rate": 0.0})
    os.utime(folder / "a-seed3/progress.json", (1, 1))  # of an earlier run
    cells = ["a-seed0", "a-seed1", "a-seed2", "a-seed3", "b-seed0"]
    announce(folder, cells, 2)
    outcome(folder, "a-seed0", 10.0)
    outcome(folder, "b-seed0", 40.0, "timeout")
    write_json(
        folder / "a-seed1/progress.json", {"phase": "fit", "step": 5, "total": 9, "values": {"loss": 1.0}, "rate": 2}
    )
    seen = look(tmp_path, "b")
    assert seen is not None
    assert seen.alive
    assert (seen.total, seen.jobs, len(seen.ended), seen.waiting) == (5, 2, 2, ("a-seed2", "a-seed3"))
    assert [one.name for one in seen.failed] == ["b-seed0"]
    ((progress, silent),) = seen.running
    assert (progress.name, progress.phase, progress.seconds_left) == ("a-seed1", "fit", 2.0)
    assert silent < 60
    assert seen.seconds_left == pytest.approx((10 + 10 + 5) / 2), "two cells of row a wait, one is half done"
    assert runs_in(tmp_path) == ["b"]
    assert look(tmp_path, "c") is None


def test_a_run_whose_process_is_gone_has_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "cells" / "b"
    announce(folder, ["a-seed0", "a-seed1"], 1)
    outcome(folder, "a-seed0", 10.0)
    said = json.loads((folder / "run.json").read_text())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_json(folder / "run.json", {**said, "pid": gone.pid})
    seen = look(tmp_path, "b")
    assert seen is not None
    assert not seen.alive
    assert seen.seconds_left is None


def test_it_is_told_while_a_run_is_at_work_and_afterwards(bench: Bench) -> None:
    bench.edit(bench.plugin, "self.images, self.labels", "import time; time.sleep(20); self.images, self.labels")
    done = bench("status")
    assert done.returncode == 2
    assert "no run in .benchbench" in done.stderr
    runner = subprocess.Popen(
        [sys.executable, "-m", "benchbench.cli", "run", "toy.yaml"],
        cwd=bench.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            seen = look(bench.folder / ".benchbench", "toy-board")
            if seen and any(progress.phase == "fit" for progress, _ in seen.running):
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        done = bench("status")
        assert done.returncode == 0, done.stderr
        assert "toy-board: running;" in done.stdout
        assert "of 3 cells done" in done.stdout
        assert "toy-seed0" in done.stdout
    finally:
        runner.kill()
        runner.wait()
    done = bench("status", "toy.yaml", "--json")
    told = json.loads(done.stdout)
    assert (told["alive"], told["total"]) == (False, 3)
    assert "stopped before its end" in bench("status", "toy-board").stdout
    done = bench("status", "other")
    assert done.returncode == 2
    assert "no run of other" in done.stderr
