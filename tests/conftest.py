"""Shared fixtures: small benchmarks and plugins, written where a user would have them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from warm import command_line

# As in every cell's process: small tensors on a busy machine are much slower with more threads.
torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Tests are about a CPU wherever they run, but for those that are asked for with ``-m gpu``."""
    marks = str(config.option.markexpr).split()
    if "gpu" not in marks or "not" in marks:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def examples(usual: int) -> int:
    """How many inputs a property test tries: so many, times ``BENCHBENCH_EXAMPLES`` where that is set."""
    return usual * int(os.environ.get("BENCHBENCH_EXAMPLES", "1"))


TOY_GENERATOR = '''
"""A generator that blends pairs of training images of one class."""

import torch

import benchbench as bb


class Toy(bb.Generator):
    """Means of two training images."""

    name = "toy"

    class Config(bb.Config):
        """Nothing much."""

        weight: float = 0.5

    def fit(self, train, ctx):
        self.images, self.labels = train.images.clone(), train.labels.clone()
        return {"images_seen": float(len(train))}

    def sample(self, labels, ctx):
        def draw(block, generator):
            pairs = []
            for label in block.tolist():
                members = torch.nonzero(self.labels == label).flatten()
                pairs.append(members[torch.randint(len(members), (2,), generator=generator)])
            first, second = torch.stack(pairs).T
            weight = self.config.weight
            return (self.images[first] * weight + self.images[second] * (1 - weight)).round().to(torch.uint8)

        return bb.sample_in_blocks(labels, ctx, draw)

    def state_dict(self):
        return {"images": self.images, "labels": self.labels}

    def load_state_dict(self, state):
        self.images, self.labels = state["images"], state["labels"]


@bb.hookimpl
def benchbench_generators():
    return [Toy]
'''

# Small enough for a cell in a second or two; every stage is real.
TOY_BENCHMARK = """\
name: toy-board
dataset: digits
plugins: [toy.py]
generators:
  - name: toy  # a comment
  - noise
seeds: [0]
protocol:
  features: [{name: domain, config: {steps: 30}}]
  metrics: [fd]
  classical: null
  curve: [0.5]
  classifier_steps: 20
"""


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Decoded images are kept in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Bench:
    """A folder with a benchmark file and a plugin, and the command line run in it as a user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "toy.yaml"
        self.plugin = folder / "toy.py"
        self.file.write_text(TOY_BENCHMARK)
        self.plugin.write_text(TOY_GENERATOR)

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``benchbench WORDS`` in the folder."""
        return command_line(words, self.folder, {**os.environ, "COLUMNS": "200", **env}, timeout=240)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the benchmark and expect success."""
        done = self("run", "toy.yaml", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def plan(self, *words: str) -> dict[str, dict[str, Any]]:
        """The plan by cell."""
        done = self("plan", "toy.yaml", "--json", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return {line["cell"]: line for line in json.loads(done.stdout)}

    def results(self) -> dict[str, Any]:
        """``results.json``."""
        found: dict[str, Any] = json.loads((self.folder / "reports/toy-board/results.json").read_text())
        return found

    def edit(self, path: Path, old: str, new: str) -> None:
        """Replace a text that must be there."""
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh folder."""
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def finished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the toy benchmark has been run; copy it, do not change it."""
    bench = Bench(tmp_path_factory.mktemp("finished"))
    bench.run()
    return bench.folder


@pytest.fixture
def finished(bench: Bench, finished_store: Path) -> Bench:
    """A copy of a finished run."""
    shutil.copytree(finished_store, bench.folder, dirs_exist_ok=True)
    return bench
