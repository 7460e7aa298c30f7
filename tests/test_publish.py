"""Reports gathered, committed to a branch, and made a dataset card; looked at before anything is written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import Bench


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_index_links_every_report_with_its_verdict(finished: Bench) -> None:
    reports = finished.folder / "reports"
    done = finished("publish", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert not (reports / "README.md").exists()
    assert finished("publish").returncode == 0
    page = (reports / "README.md").read_text()
    assert "[toy-board](toy-board/leaderboard.md)" in page
    assert "undetermined, needs at least 2 seeds" in page
    assert "| 1,197 " in page
    first = page.encode()
    assert finished("publish").returncode == 0
    assert (reports / "README.md").read_bytes() == first


def test_a_report_that_does_not_hold_together_is_refused_before_anything_is_written(finished: Bench) -> None:
    reports = finished.folder / "reports"
    shutil.copytree(reports / "toy-board", reports / "other")
    manifest = json.loads((reports / "other/manifest.json").read_text())
    (reports / "other/manifest.json").write_text(json.dumps({**manifest, "protocol_fingerprint": "x"}))
    done = finished("publish")
    assert done.returncode == 2
    assert "results.json and manifest.json are of different runs" in done.stderr
    (reports / "other/leaderboard.md").unlink()
    assert "has no leaderboard.md" in finished("publish").stderr
    (reports / "other/leaderboard.md").write_text("")
    (reports / "other/results.json").write_text("[1]")
    assert "expected an object" in finished("publish").stderr
    assert not (reports / "README.md").exists()
    done = finished("publish", "--out", "nowhere")
    assert done.returncode == 2
    assert "no report in it" in done.stderr


def test_a_branch_gets_the_reports_and_nothing_else_is_touched(finished: Bench) -> None:
    folder = finished.folder
    remote = folder.parent / f"{folder.name}-remote.git"
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "t")
    git(folder, "config", "user.email", "t@t")
    git(folder, "add", "toy.yaml")
    git(folder, "commit", "-qm", "begin")
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    git(folder, "remote", "add", "origin", str(remote))
    before = git(folder, "status", "--porcelain", "--untracked-files=no")
    done = finished("publish", "--branch", "pages", "--push", "origin")
    assert done.returncode == 0, done.stderr
    assert git(folder, "status", "--porcelain", "--untracked-files=no") == before
    assert git(folder, "branch", "--show-current").strip() == "main"
    files = git(remote, "ls-tree", "-r", "--name-only", "pages").split()
    assert "reports/README.md" in files
    assert "reports/toy-board/index.html" in files
    assert all(name.startswith("reports/") for name in files)
    assert "holds these reports already" in finished("publish", "--branch", "pages").stdout
    done = finished("publish", "--branch", "main")
    assert done.returncode == 2
    assert "is checked out here" in done.stderr
    done = finished("publish", "--branch", "pages", "--push", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("benchbench: git push:")


def test_a_dataset_card_has_front_matter_and_the_report(finished: Bench) -> None:
    done = finished("publish", "toy-board", "--card", "card")
    assert done.returncode == 0, done.stderr
    _, front, body = (finished.folder / "card/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == "benchbench toy-board"
    assert body.strip() == (finished.folder / "reports/toy-board/leaderboard.md").read_text().strip()
    assert (finished.folder / "card/figures/leaderboard.png").is_file()
    assert finished("publish", "toy-board", "--card", "card").returncode == 2


@pytest.mark.parametrize("words", [("--push", "origin"), ("nobody",)])
def test_a_wrong_request_is_one_line(finished: Bench, words: tuple[str, ...]) -> None:
    done = finished("publish", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
