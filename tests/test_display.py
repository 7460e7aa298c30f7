"""What the terminal shows of a run: few lines in a log, more or fewer where asked, a tree where it is alive."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchbench.runner import display
from benchbench.runner.display import LiveDisplay, PlainDisplay, Verbosity, make_display
from benchbench.runner.progress import Pace
from benchbench.types import Outcome, Progress, Status

ROWS = {"vae-seed0": "vae", "vae-seed1": "vae", "cgan-seed0": "cgan", "noise-seed0": "noise", "flow-seed0": "flow"}


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, color_system=None)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def run(verbosity: Verbosity) -> list[str]:
    """The lines about three cells, of which one fails."""
    where = console()
    with make_display(where, ROWS, verbosity) as shown:
        assert isinstance(shown, PlainDisplay)
        shown.progress(Progress("vae-seed0", "fit"))
        shown.progress(Progress("vae-seed0", "fit", 50, 100, {"loss": 0.5}, 10.0, 640.0, "/x/latest.png"))
        shown.progress(Progress("vae-seed0", "sample", thumbnail="/x/latest.png"))
        shown.ended(Outcome("vae-seed0", Status.OK, "done", "", 12.0))
        shown.ended(Outcome("cgan-seed0", Status.FAILED, "fit", "boom", 3.0))
        shown.ended(Outcome("noise-seed0", Status.OK, "done", "logger x was dropped", 1.0))
    return text(where).splitlines()


def test_a_log_gets_a_line_at_a_cells_begin_and_at_its_end() -> None:
    assert run(Verbosity.NORMAL) == [
        "vae-seed0: fit",
        "[1/5] vae-seed0: ok (12 s)",
        "[2/5] cgan-seed0: failed in fit: boom (3 s)",
        "[3/5] noise-seed0: ok: logger x was dropped (1 s)",
    ]


def test_quiet_is_what_went_wrong() -> None:
    assert run(Verbosity.QUIET) == [
        "[2/5] cgan-seed0: failed in fit: boom (3 s)",
        "[3/5] noise-seed0: ok: logger x was dropped (1 s)",
    ]


def test_verbose_is_every_phase_and_where_the_samples_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "VERBOSE_EVERY_S", 0.0)
    assert run(Verbosity.VERBOSE)[:4] == [
        "vae-seed0: fit",
        "vae-seed0: fit  step 50/100  loss 0.5  640 images/s  0:05 left",
        "vae-seed0: samples in /x/latest.png",
        "vae-seed0: sample",
    ]


def test_the_tree_shows_running_cells_with_all_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    thumbnail = str(tmp_path / "cells/latest.png")
    shown = make_display(console(terminal=True), ROWS)
    assert isinstance(shown, LiveDisplay)
    with shown:
        shown.ended(Outcome("vae-seed0", Status.FAILED, "fit", "boom", 3.0))
        shown.ended(Outcome("noise-seed0", Status.OK, "done", "", 1.0))
        shown.progress(Progress("vae-seed1", "fit", 50, 100, {"loss": 0.5}, 10.0, 640.0, thumbnail))
        drawn = console()
        drawn.print(shown._tree())
    lines = [line.rstrip() for line in text(drawn).splitlines()]
    assert lines[0].startswith("2 of 5 cells, 0:00 gone, about 0:0")
    assert lines[1:] == [
        "├── vae  1 failed, 1 running",
        "│   └── seed1  fit  step 50/100  loss 0.5  640 images/s  0:05 left",
        f"│       └── samples in {Path('cells/latest.png')}",
        "├── done: noise",
        "└── waiting: cgan, flow",
    ]


def test_the_tree_stays_small_however_many_cells_there_are() -> None:
    rows = {f"row{row}-seed{seed}": f"row{row}" for row in range(20) for seed in range(10)}
    shown = LiveDisplay(console(terminal=True), rows)
    shown.progress(Progress("row3-seed0", "fit"))
    drawn = console()
    drawn.print(shown._tree())
    assert len(text(drawn).splitlines()) <= 6


def test_verbose_on_a_terminal_is_a_line_a_phase() -> None:
    where = console(terminal=True)
    shown = LiveDisplay(where, ROWS, Verbosity.VERBOSE)
    for phase in ("fit", "fit", "sample"):
        shown.progress(Progress("vae-seed0", phase))
    assert text(where).count("vae-seed0: fit") == text(where).count("vae-seed0: sample") == 1


def test_the_pace_of_a_training_that_goes_on_is_not_that_of_all_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0, 120.0, 130.0])
    monkeypatch.setattr("benchbench.runner.progress.time.monotonic", lambda: next(clock))
    pace = Pace()
    assert pace.rate("fit", 1000) == 0.0
    assert pace.rate("fit", 1100) == 10.0
    assert pace.rate("classifier", 50) == 0.0, "another training"
    assert pace.rate("classifier", 100) == 5.0
