"""Loggers follow cells, cost only themselves when they break, and change no result."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Bench
from test_docs import ROOT

import benchbench as bb
from benchbench.config import Benchmark
from benchbench.discovery import load_registry
from benchbench.errors import RequestError
from benchbench.loggers import tensorboard
from benchbench.loggers.tensorboard import TensorBoard
from benchbench.runner.followers import Followers
from benchbench.runner.progress import ProgressFile
from benchbench.runner.publish import resolved
from benchbench.runner.workspace import _with_loggers, open_workspace
from benchbench.types import CellRun, Logger, Status

BREAKING = """
import benchbench as bb

class Breaking(bb.Logger):
    name = "breaking"
    def begin(self, cell):
        pass
    def log(self, phase, step, values):
        raise RuntimeError("the server is gone")

@bb.hookimpl
def benchbench_loggers():
    return [Breaking]
"""


def cell(folder: Path) -> CellRun:
    return CellRun("b", "vae-seed0", "vae", "vae", 0, "full", {"width": 8}, folder, folder)


def events(folder: Path) -> Any:
    """What TensorBoard itself reads in a folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return found


class Spy(Logger):
    name = "spy"

    def __init__(self, config: object = None, fail: BaseException | None = None) -> None:
        super().__init__(config)
        self.fail = fail
        self.told: list[tuple[Any, ...]] = []

    def begin(self, cell: CellRun) -> None:
        self.told.append(("begin", cell.name))

    def log(self, phase: str, step: int, values: Any) -> None:
        self.told.append(("log", phase, step, dict(values)))
        values["loss"] = -1.0
        if self.fail is not None:
            raise self.fail

    def show(self, phase: str, step: int, images: torch.Tensor) -> None:
        self.told.append(("show", step, images.dtype, tuple(images.shape), int(images.max())))
        images.zero_()

    def end(self, status: Status, numbers: Any) -> None:
        self.told.append(("end", status, dict(numbers)))


@pytest.mark.parametrize("fault", [RuntimeError("no\nserver"), SystemExit(3)])
def test_one_that_raises_is_dropped_and_the_others_hear_all(tmp_path: Path, fault: BaseException) -> None:
    broken, whole = Spy(fail=fault), Spy()
    followers = Followers()

    def cannot() -> Logger:
        raise ValueError("no account")

    followers.begin({"cannot": cannot, "broken": lambda: broken, "whole": lambda: whole}, cell(tmp_path))
    for step in (1, 2):
        followers.log("fit", step, {"loss": 0.5})
    images = torch.full((3, 1, 4, 4), 7, dtype=torch.uint8)
    followers.show("fit", 2, images)
    assert int(images.min()) == 7, "a logger has its own copy"
    followers.end(Status.OK, {"fit_seconds": 1.0})
    assert [one[0] for one in broken.told] == ["begin", "log"]
    assert whole.told[1:3] == [("log", "fit", 1, {"loss": 0.5}), ("log", "fit", 2, {"loss": 0.5})]
    assert whole.told[3:] == [("show", 2, torch.uint8, (3, 1, 4, 4), 7), ("end", Status.OK, {"fit_seconds": 1.0})]
    assert followers.warnings == [
        "logger cannot was dropped: ValueError: no account",
        f"logger broken was dropped: {type(fault).__name__}: {' '.join(str(fault).split())}",
    ]


def test_progress_tells_loggers_and_leaves_a_thumbnail(tmp_path: Path) -> None:
    spy = Spy()
    progress = ProgressFile(tmp_path / "progress.json")
    progress.followers.begin({"spy": lambda: spy}, cell(tmp_path))
    progress.enter("fit", 64)
    progress.step("fit", 1000, 2000, {"loss": 1.0, "other": math.nan})  # goes on after an interruption
    progress.show(1000, torch.rand(5, 3, 8, 8) * 2 - 1)
    progress.step("fit", 2000, 2000, {"loss": 0.5})
    assert spy.told[1] == ("log", "fit", 1000, {"loss": 1.0}), "what is not finite is left out; no speed is known yet"
    assert spy.told[2][:2] == ("show", 1000)
    said = json.loads((tmp_path / "progress.json").read_text())
    assert said["rate"] > 0
    assert said["images_per_second"] == spy.told[3][3]["images_per_second"] == 64 * said["rate"]
    assert said["values"] == {"loss": 0.5}
    assert Path(said["thumbnail"]).read_bytes().startswith(b"\x89PNG")
    progress.enter("sample")
    assert json.loads((tmp_path / "progress.json").read_text())["thumbnail"] == said["thumbnail"]


def test_tensorboard_reads_what_was_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    logger = TensorBoard()
    logger.begin(cell(tmp_path))
    for step, loss in ((50, 2.0), (100, 1.0)):
        logger.log("fit", step, {"loss": loss})
    logger.show("fit", 100, torch.zeros(4, 1, 8, 8, dtype=torch.uint8))
    logger.end(Status.OK, {"fit_seconds": 3.0})
    found = events(tmp_path / "tensorboard/b/vae-seed0")
    assert [(one.step, one.value) for one in found.Scalars("fit/loss")] == [(50, 2.0), (100, 1.0)]
    assert found.Scalars("end/fit_seconds")[0].value == 3.0
    assert [one.step for one in found.Images("fit/samples")] == [100]


def test_without_its_package_tensorboard_says_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bb.DataMissingError, match=r"not installed; pip install 'benchbench\[tensorboard\]'"):
        TensorBoard().check()


def test_chosen_in_the_file_and_by_the_option_and_in_no_report(bench: Bench) -> None:
    work = open_workspace(
        bench.file,
        overrides=["loggers=[{name: tensorboard, config: {images: false}}]"],
        plugins=[str(ROOT / "docs/examples/lines.py")],
        device="cpu",
        data_dir=bench.folder / "data",
        runs_dir=bench.folder / ".benchbench",
        loggers=["lines", "tensorboard"],
    )
    specs = [(spec.name, spec.config) for spec in work.benchmark.loggers]
    assert specs == [("tensorboard", {"images": False}), ("lines", {})]
    assert "loggers" not in resolved(work)


def test_an_unknown_one_is_an_error_with_a_hint() -> None:
    raw = {"name": "b", "dataset": "digits", "generators": ["noise"], "seeds": 1}
    with pytest.raises(RequestError, match="--log: no logger is called 'tensorbord'; did you mean 'tensorboard'"):
        _with_loggers(Benchmark.model_validate(raw), load_registry(), ["tensorbord"])


@pytest.mark.slow
def test_a_run_with_loggers_good_and_bad(finished: Bench) -> None:
    """The example and TensorBoard hear of a new seed; the broken one is a warning; what was stored stays served."""
    pytest.importorskip("tensorboard")
    (finished.folder / "breaking.py").write_text(BREAKING)
    loggers = ["--log", "tensorboard", "--log", "lines", "--log", "breaking"]
    plugins = ["--plugin", str(ROOT / "docs/examples/lines.py"), "--plugin", "breaking.py"]
    done = finished.run(*loggers, *plugins, "--seeds", "2", "--only", "toy")
    assert "2 cells computed, 2 served" in done.stdout, "loggers are in no content key"
    assert "toy-seed1: ok: logger breaking was dropped: RuntimeError: the server is gone" in done.stdout
    folder = finished.folder / ".benchbench/cells/toy-board"
    lines = [json.loads(line) for line in (folder / "toy-seed1/lines.jsonl").read_text().splitlines()]
    begin = {"event": "begin", "cell": "toy-seed1", "row": "toy", "seed": 1, "config": {"weight": 0.5}}
    assert lines[0] == begin
    trained = [line for line in lines if line["event"] == "log"]
    assert {line["phase"] for line in trained} >= {"classifier synthetic: classifier"}
    assert all(line["step"] in (20, 30) and math.isfinite(line["loss"]) for line in trained)
    last = lines[-1]
    assert (last["event"], last["status"]) == ("end", "ok")
    assert {"fit_seconds", "val_accuracy synthetic", "val_accuracy mixed 1"} <= set(last)
    assert not any("test" in name for name in last)
    found = events(finished.folder / ".benchbench/tensorboard/toy-board/toy-seed1")
    (point,) = found.Scalars("classifier synthetic: classifier/loss")
    assert point.value == pytest.approx(next(x["loss"] for x in trained if x["phase"].startswith("classifier syn")))
    manifest = json.loads((finished.folder / "reports/toy-board/manifest.json").read_text())
    assert "loggers" not in manifest["benchmark"]
    assert not any("logger" in name for name in manifest["plugins"])
