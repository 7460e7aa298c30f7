"""Every file of a finished store damaged, one at a time: what is damaged is computed again, the rest is served."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import Bench

from benchbench.runner.collect import collect_boards
from benchbench.runner.plan_view import plan_lines
from benchbench.runner.run import plan_cells
from benchbench.runner.watch import look
from benchbench.runner.workspace import Workspace, open_workspace

MEASURED = ("fit_seconds", "sample_seconds", "images_per_second", "peak_memory_bytes")


def flipped(content: bytes, chance: random.Random) -> bytes:
    """One byte another one, anywhere."""
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
    return bytes(changed)


def truncated(content: bytes, chance: random.Random) -> bytes:
    """Cut anywhere, at times to nothing."""
    return content[: chance.randrange(len(content))]


def opened(bench: Bench) -> Workspace:
    runs = bench.folder / ".benchbench"
    return open_workspace(
        bench.file, overrides=[], plugins=[], device="cpu", data_dir=bench.folder / "data", runs_dir=runs
    )


def numbers(work: Workspace) -> set[str]:
    """Every number that a report of what is stored would show."""
    boards = collect_boards(work, plan_cells(work))
    records = (record for board in boards for record in board.records if record.value is not None)
    return {json.dumps(asdict(record), sort_keys=True) for record in records}


@pytest.mark.parametrize("harm", [flipped, truncated])
def test_no_damaged_file_gives_a_wrong_number_or_takes_others_with_it(
    finished: Bench, harm: Callable[[bytes, random.Random], bytes]
) -> None:
    work, chance = opened(finished), random.Random(0)
    everything = numbers(work)
    files = sorted(path for path in (finished.folder / ".benchbench").rglob("*") if path.is_file())
    files = [path for path in files if path.stat().st_size and path.suffix != ".lock"]
    assert len(files) > 40
    noticed = 0
    for path in files:
        content = path.read_bytes()
        path.write_bytes(harm(content, chance))
        states = plan_cells(work)
        found = numbers(work)
        if "store" in path.parts:
            served = {entry.key for state in states for _, entry in state.stored}
            noticed += path.parent.name not in served
        path.write_bytes(content)
        assert found <= everything, path
        lost = [json.loads(line) for line in everything - found]
        shared = {"extractor", "classifier", "features"} & set(path.parts)
        # A lift is lost with what it is taken against; else only numbers of the row that the damaged result belongs to.
        assert shared or len({line["generator"] for line in lost if line["metric"] != "lift"}) <= 1, path
    assert noticed > 20
    assert numbers(work) == everything


RUBBISH = [
    [],
    3,
    None,
    {},
    {"status": "oj"},
    {"status": []},
    {"seconds": "long"},
    {"cells": 1},
    {"pid": -1},
    [["a", 1]],
]


def test_rubbish_in_the_notes_of_a_run_changes_no_number(finished: Bench) -> None:
    """The files that no result depends on: how cells ended, what determined them, who is at work."""
    work = opened(finished)
    everything = numbers(work)
    notes = sorted((finished.folder / ".benchbench/cells").rglob("*.json"))
    assert {path.name for path in notes} >= {"outcome.json", "inputs.json", "run.json", "progress.json"}
    kept = {path: json.loads(path.read_text()) for path in notes}
    for rubbish in RUBBISH:
        for path, said in kept.items():
            # of its own form but for one value, where both are objects
            mixed = isinstance(said, dict) and isinstance(rubbish, dict) and bool(rubbish)
            path.write_text(json.dumps({**said, **rubbish} if mixed else rubbish))
        look(work.store.root, work.benchmark.name)
        assert {line.state for line in plan_lines(work, [])} == {"cached"}
    assert numbers(work) == everything


def test_damage_in_several_places_is_mended_by_the_next_run(finished: Bench) -> None:
    chance = random.Random(1)
    before = [row for row in finished.results()["rows"] if row["metric"] not in MEASURED]
    files = sorted(path for path in (finished.folder / ".benchbench/store").rglob("*") if path.is_file())
    for path in chance.sample(files, 6):
        path.write_bytes(flipped(path.read_bytes(), chance))
    done = finished("run", "toy.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert [row for row in finished.results()["rows"] if row["metric"] not in MEASURED] == before


@pytest.mark.parametrize("name", ["toy-board", "locks"])
def test_a_file_where_a_folder_should_be_is_one_line(finished: Bench, name: str) -> None:
    runs = finished.folder / "other"
    runs.mkdir()
    place = runs / "cells" / name if name == "toy-board" else runs / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("in the way")
    done = finished("run", "toy.yaml", "--runs-dir", "other")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stdout + done.stderr


def test_the_cache_of_images_is_checked_too(finished: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import numpy as np

    from benchbench.datasets.npz import Npz

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=np.arange(40) % 4)

    def load() -> str:
        return Npz(Npz.Config(path=str(tmp_path / "own.npz"))).load(tmp_path).fingerprint

    before, chance = load(), random.Random(2)
    for path in sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file()):
        content = path.read_bytes()
        if content:
            path.write_bytes(flipped(content, chance))
            assert load() == before, path
            path.write_bytes(truncated(content, chance))
            assert load() == before, path
