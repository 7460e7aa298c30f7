"""The examples in docs/ run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from benchbench.config import load_benchmark
from benchbench.discovery import load_registry

ROOT = Path(__file__).parents[1]


def benchbench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchbench.cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.slow
def test_the_example_generator_stands_in_a_leaderboard(tmp_path: Path) -> None:
    example = ROOT / "docs/examples/blend.yaml"
    quick = ["--set", "protocol.classifier_steps=60", "--seeds", "1"]
    done = benchbench(tmp_path, "run", str(example), *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "reports/blend/leaderboard.md").read_text()
    assert "**blend**" in page
    assert r"**blend\_light**" in page


@pytest.mark.slow
def test_the_example_dataset_reads_a_folder_of_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for place, name in enumerate(("cat", "dog")):
            folder = tmp_path / "data/my-images" / part / name
            folder.mkdir(parents=True)
            for index in range(24):
                pixels = rng.integers(0, 100, (20, 14, 3), dtype=np.uint8)
                pixels[..., place] += 120
                Image.fromarray(pixels).save(folder / f"{index}.png")
    example = ROOT / "docs/examples/folder.yaml"
    quick = ["--set", "budget.max_steps=5", "--set", "protocol.classifier_steps=20", "--seeds", "1"]
    quick += ["--set", "generators=[{name: vae, config: {width: 8}}, real_holdout, noise]"]
    done = benchbench(tmp_path, "run", str(example), *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "reports/my-images/manifest.json").read_text())
    assert manifest["dataset"]["image_shape"] == [3, 16, 16]
    assert manifest["dataset"]["classes"] == ["cat", "dog"]
    missing = benchbench(tmp_path, "run", str(example), "--data-dir", "nowhere")
    assert missing.returncode == 2
    assert "nowhere/my-images/train is missing" in missing.stderr


def test_the_example_generator_conforms(tmp_path: Path) -> None:
    done = benchbench(tmp_path, "check", str(ROOT / "docs/examples/blend.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_check_fails_a_generator_that_breaks_a_rule(tmp_path: Path) -> None:
    text = (ROOT / "docs/examples/blend.py").read_text()
    (tmp_path / "bad.py").write_text(
        text.replace("def fit(self, train, ctx):", "def fit(self, train, ctx):\n        torch.rand(1)")
    )
    done = benchbench(tmp_path, "check", "bad.py")
    assert done.returncode == 1
    assert "failed" in done.stdout


def test_the_documented_benchmark_file_is_valid(tmp_path: Path) -> None:
    """The commented example in docs/benchmark-files.md, with every key; its values are the defaults."""
    text = (ROOT / "docs/benchmark-files.md").read_text().split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "all.yaml"
    path.write_text(text)
    registry = load_registry()
    documented = load_benchmark(path, registry)
    bare = {
        key: value for key, value in yaml.safe_load(text).items() if key in ("name", "dataset", "generators", "seeds")
    }
    path.write_text(yaml.safe_dump(bare))
    assert load_benchmark(path, registry) == documented


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_benchmark_is_valid(file: Path) -> None:
    registry = load_registry()
    assert load_benchmark(file, registry).name == file.stem
