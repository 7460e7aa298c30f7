"""The augmented dataset: written where the verdict says so, from what was measured, by a rule that is told."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Bench
from PIL import Image
from torchvision.datasets import ImageFolder

from benchbench.api import augmented
from benchbench.api.augmented import Rule, choose, write_augmented
from benchbench.api.stored import cell_of
from benchbench.errors import RequestError
from benchbench.leaderboard import Board, Verdict
from benchbench.plan import CellState
from benchbench.runner.collect import collect_boards
from benchbench.runner.progress import ProgressFile
from benchbench.runner.stages import Stages
from benchbench.runner.workspace import Workspace, open_workspace


@pytest.fixture
def work(finished: Bench) -> Workspace:
    return open_workspace(
        finished.file, overrides=[], plugins=[], device="cpu", data_dir=Path("data"),
        runs_dir=finished.folder / ".benchbench",
    )  # fmt: skip


@pytest.fixture
def progress(tmp_path: Path) -> ProgressFile:
    return ProgressFile(tmp_path / "progress.json")


def lines_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metadata.csv").open()))


def test_without_a_verdict_for_it_nothing_is_written(finished: Bench) -> None:
    done = finished("augment", "toy.yaml", "--out", "more")
    assert done.returncode == 2
    assert "the verdict is not to augment so: undetermined" in done.stderr
    assert "--anyway" in done.stderr
    assert not (finished.folder / "more").exists()


def test_the_folder_holds_the_real_images_and_the_measured_samples(
    work: Workspace, progress: ProgressFile, tmp_path: Path
) -> None:
    choice = choose(work, anyway=True)
    assert (choice.row, choice.ratio) == ("toy", 1.0)
    everything = Rule(agreed=False, new=False)
    done = write_augmented(work, choice, everything, tmp_path / "more", progress)
    assert (done.real, done.synthetic, done.wanted, done.refused) == (1197, 1197, 1197, 0)
    loaded = ImageFolder(tmp_path / "more")
    assert (len(loaded), sorted(loaded.classes)) == (2394, sorted(work.dataset.classes))
    lines = lines_of(tmp_path / "more")
    assert len(lines) == 2394
    assert Counter(line["source"] for line in lines) == {"real": 1197, "synthetic": 1197}
    assert all((tmp_path / "more" / line["file_name"]).is_file() for line in lines)
    stages = Stages(work, cell_of(work, "toy"), progress)
    expected = stages.plan.filling(stages.samples, 1.0)
    synthetic = [line for line in lines if line["source"] == "synthetic"]
    for line, image, label in list(zip(synthetic, expected.images, expected.labels, strict=True))[::100]:
        written = np.asarray(Image.open(tmp_path / "more" / line["file_name"]))
        assert (written == image[0].numpy()).all()
        assert line["label"] == work.dataset.classes[int(label)]
        assert (line["generator"], line["seed"], line["draw"]) == ("toy", "0", "0")
        assert 0 <= float(line["label_confidence"]) <= 1
        assert line["nearest_distance"] == ""
    page = (tmp_path / "more/README.md").read_text()
    assert "The samples are those whose lift was measured." in page
    assert choice.board.verdict.text in page


def test_the_rule_holds_and_refused_samples_are_drawn_anew(
    work: Workspace, progress: ProgressFile, tmp_path: Path
) -> None:
    rule = Rule(confidence=0.2)
    done = write_augmented(work, choose(work, anyway=True), rule, tmp_path / "more", progress)
    assert done.refused > 0
    synthetic = [line for line in lines_of(tmp_path / "more") if line["source"] == "synthetic"]
    assert len(synthetic) == done.synthetic <= done.wanted
    assert all(float(line["label_confidence"]) >= 0.2 for line in synthetic)
    assert all(float(line["nearest_distance"]) > 0 for line in synthetic)
    assert {"0", "1"} <= {line["draw"] for line in synthetic}
    predictor, _ = Stages(work, cell_of(work, "toy"), progress).real_classifier(0)
    for line in synthetic[:: len(synthetic) // 20]:
        image = torch.from_numpy(np.array(Image.open(tmp_path / "more" / line["file_name"])))[None, None]
        assert work.dataset.classes[int(predictor.predict(image).argmax())] == line["label"]


def test_copies_are_refused_and_a_rule_that_takes_nothing_is_told(
    finished: Bench, work: Workspace, progress: ProgressFile, tmp_path: Path
) -> None:
    stages = Stages(work, cell_of(work, "toy"), progress)
    judge = augmented._Judge(stages, Rule(agreed=False))
    assert not judge.of(stages.train.take(torch.arange(50)), 0).taken.any(), "training images are copies of themselves"
    assert judge.of(work.dataset.test.take(torch.arange(100)), 0).taken.mean() > 0.9
    done = finished("augment", "toy.yaml", "--out", "none", "--anyway", "--min-confidence", "1")
    assert done.returncode == 0, done.stderr
    assert "the rule refused too many: 0 of 1197 wanted samples; loosen it" in done.stderr
    assert {line["source"] for line in lines_of(finished.folder / "none")} == {"real"}


def test_what_the_verdict_says_needs_no_leave(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def boards(here: Workspace, states: list[CellState]) -> list[Board]:
        verdict = Verdict("augment", "augment with toy", "toy")
        return [replace(board, verdict=verdict) for board in collect_boards(here, states)]

    monkeypatch.setattr(augmented, "collect_boards", boards)
    assert choose(work, anyway=False).row == "toy"
    for wrong, told in (
        ({"row": "nobody"}, "expected one of toy"),
        ({"ratio": 3.0}, "expected one that was measured: 1"),
        ({"setting": "x"}, "no setting 'x'"),
    ):
        with pytest.raises(RequestError, match=told):
            choose(work, anyway=True, **wrong)  # type: ignore[arg-type]
