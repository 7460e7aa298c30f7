"""The tutorial, from its first command to its last, as it stands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from torchvision.datasets import ImageFolder
from warm import command_line

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/tutorial.md").read_text()


def blocks(kind: str) -> list[str]:
    """The text of every fenced block of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(900)  # some twenty cells, one command after the other
def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (yaml,), (python,) = blocks("yaml"), blocks("python")
    (tmp_path / "first.yaml").write_text(yaml)
    shutil.copy(ROOT / "docs/examples/blend.py", tmp_path)
    env = {**os.environ, "COLUMNS": "200", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    said = {}
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    assert len(lines) == 9
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "benchbench"
        said[line] = done = command_line(words[1:], tmp_path, env, timeout=280)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    out = {line: done.stdout for line, done in said.items()}
    assert "10 cells computed, 0 served" in out["benchbench run first.yaml"]
    assert "5 cells computed, 10 served" in out["benchbench run first.yaml --seeds 3"]
    assert "2 cells computed, 10 served" in next(text for line, text in out.items() if "name=second" in line)
    page = (tmp_path / "reports/first-with-from_elsewhere/leaderboard.md").read_text()
    assert "Transfer track" in page and "Images made elsewhere" in page
    assert "not to be trusted" not in (tmp_path / "reports/first/leaderboard.md").read_text()
    folder = ImageFolder(str(tmp_path / "augmented"))
    assert len(folder) == len(pd.read_csv(tmp_path / "augmented/metadata.csv")) > 150
    done = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert re.search(r"vae +-?\d\.\d+ +\d\.\d+ +2", done.stdout), done.stdout
