"""The examples in docs/ run as they stand."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from PIL import Image
from pydantic import BaseModel
from warm import command_line

from benchbench.cli import app
from benchbench.config import load_benchmark
from benchbench.config.schema import Benchmark, BudgetSpec, ComputeSpec, GeneratorSpec, Limits, Protocol, SettingsSpec
from benchbench.discovery import load_registry
from benchbench.errors import DataError
from benchbench.features.inception import CPU_BATCH, GPU_BATCH, WEIGHTS_FILE, WEIGHTS_SHA256
from benchbench.plan import expand
from benchbench.training.classification import EVAL_BATCH
from benchbench.training.loop import CHECK_EVERY
from benchbench.training.sampling import BLOCK, GPU_BLOCK
from benchbench.types import Augmentation, FeatureSets, Status, Task

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
ARMS = ["real", "real_part", "classical", "oversampled", "synthetic", "mixed", "classical_mixed", "agreement"]


def example(name: str) -> ModuleType:
    """A module of docs/examples."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs/examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MEAN_SHIFT = example("mean_shift")


def benchbench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return command_line(words, folder, {**os.environ, "COLUMNS": "200"}, timeout=280)


@pytest.mark.slow
def test_the_examples_work_together_in_one_leaderboard(tmp_path: Path) -> None:
    """Generator, metric, extractor, classifier and report, each a file that is named."""
    words = ["run", str(ROOT / "docs/examples/blend.yaml"), "--seeds", "1"]
    for name in ("mean_shift", "pca", "linear", "answer"):
        words += ["--plugin", str(ROOT / f"docs/examples/{name}.py")]
    settings = [
        "metrics=[fd, mean_shift]",
        "features=[{name: domain, config: {steps: 200}}, {name: pca, config: {components: 8}}]",
    ]
    settings += ["classifier=linear", "classifier_steps=60", "curve=[]"]
    done = benchbench(tmp_path, *words, *(word for one in settings for word in ("--set", f"protocol.{one}")))
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "reports/blend/leaderboard.md").read_text()
    assert "**blend**" in page
    assert r"**blend\_light**" in page
    rows = json.loads((tmp_path / "reports/blend/results.json").read_text())["rows"]
    for features in ("domain", "pca"):
        shift = {row["generator"]: row["value"] for row in rows if row["metric"] == f"Mean shift[{features}]"}
        assert set(shift) == {"real", "blend", "blend_light", "real_holdout", "noise"}
        assert shift["noise"] > max(value for name, value in shift.items() if name != "noise")
        assert features == "pca" or shift["blend"] > shift["real_holdout"]
    of_class = [row["class_name"] for row in rows if row["metric"] == "Mean shift of class[domain]"]
    assert len(of_class) == 10 * len(shift) and len(set(of_class)) == 10
    whole = [row for row in rows if row["metric"] == "accuracy" and row["class_name"] is None]
    accuracy = {row["arm"]: row["value"] for row in whole if row["generator"] == "real"}
    assert 0.8 < accuracy["real"] < 1
    assert {row["classifier"] for row in rows if row["metric"] == "accuracy"} == {"linear"}
    answer = (tmp_path / "reports/blend/answer.txt").read_text().splitlines()
    assert answer[0] == "blend: digits, 1 seeds"
    verdict = json.loads((tmp_path / "reports/blend/results.json").read_text())["verdicts"][0]["text"]
    assert answer[1].endswith(f": {verdict}") and answer[-1].startswith("benchbench run ")


def test_the_example_executor_says_how_each_task_ended(tmp_path: Path) -> None:
    """One that says how it went, one that dies, one that takes too long."""
    code = {
        "fine": "import json, pathlib, sys; path = pathlib.Path(sys.argv[1]).parent / 'outcome.json'; "
        "path.write_text(json.dumps({'status': 'ok', 'phase': '', 'message': ''}))",
        "dies": "raise SystemExit(7)",
        "hangs": "import time; time.sleep(60)",
    }
    tasks = []
    for name, text in code.items():
        (tmp_path / f"task_{name}.py").write_text(text)
        folder = tmp_path / name
        env = {"PYTHONPATH": str(tmp_path)}
        tasks.append(Task(name, f"task_{name}", folder / "payload.json", folder, 2 if name == "hangs" else None, env))
    started: list[str] = []
    outcomes = list(example("in_order").InOrder().run(tasks, 3, lambda progress: started.append(progress.name)))
    assert started == list(code)
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [
        ("fine", Status.OK),
        ("dies", Status.FAILED),
        ("hangs", Status.TIMEOUT),
    ]
    assert outcomes[1].message == "exited with status 7 without saying how it went"


@pytest.mark.parametrize("file", sorted((ROOT / "docs/examples").glob("*.py")), ids=lambda path: path.stem)
def test_every_example_is_short_and_described(file: Path) -> None:
    """And the minimal generator, imports included, has at most 40 lines."""
    assert f"(examples/{file.name})" in (ROOT / "docs/plugins.md").read_text()
    assert len(file.read_text().splitlines()) <= (40 if file.stem == "blend" else 70)


def test_the_example_metric_estimates_the_squared_distance_of_means_without_bias() -> None:
    """Against the distance that is known, from few images, where the plain distance of means is far off."""
    rng = np.random.default_rng(0)
    n, m, d, shift, trials = 6, 9, 4, 0.5, 20_000
    real, synthetic = rng.normal(size=(trials, n, d)), rng.normal(shift, 2.0, (trials, m, d))
    found = np.array([MEAN_SHIFT.mean_shift(*pair) for pair in zip(real, synthetic, strict=True)])
    assert abs(found.mean() - d * shift**2) < 4 * found.std() / np.sqrt(trials)
    plain = ((real.mean(axis=1) - synthetic.mean(axis=1)) ** 2).sum(axis=1)
    assert plain.mean() > 2 * d * shift**2


def test_the_example_metric_looks_at_each_class_by_its_labels() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 50)
    real, synthetic = rng.normal(size=(100, 3)), rng.normal(size=(100, 3)) + 10.0 * labels[:, None]
    mixed = rng.permutation(100)
    sets = FeatureSets(real, synthetic[mixed], labels, labels[mixed], 2)
    values = MEAN_SHIFT.MeanShift().compute(sets, rng)
    assert values["mean_shift_of_class"] == [
        pytest.approx(MEAN_SHIFT.mean_shift(real[labels == label], synthetic[labels == label])) for label in (0, 1)
    ]
    assert abs(values["mean_shift_of_class"][0]) < 1 < 250 < values["mean_shift_of_class"][1]
    with pytest.raises(DataError, match="got 1 images, expected at least 2"):
        MEAN_SHIFT.MeanShift().compute(FeatureSets(real[:1], synthetic, labels[:1], labels, 2), rng)


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
    quick = ["--set", "budget.max_steps=5", "--set", "protocol.classifier_steps=20", "--set", "protocol.curve=[]"]
    quick += ["--set", "protocol.features=[{name: domain, config: {steps: 50}}]"]
    quick += ["--seeds", "1", "--set", "generators=[{name: vae, config: {width: 8}}, real_holdout, noise]"]
    done = benchbench(tmp_path, "run", str(example), *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "reports/my-images/manifest.json").read_text())
    assert manifest["dataset"]["image_shape"] == [3, 16, 16]
    assert manifest["dataset"]["classes"] == ["cat", "dog"]
    missing = benchbench(tmp_path, "run", str(example), "--data-dir", "nowhere")
    assert missing.returncode == 2
    assert "nowhere/my-images/train is missing" in missing.stderr


def test_readmes_own_images_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of several sizes, one folder a class; the budget alone is reduced."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for place, kind in enumerate(("rose", "tulip")):
        folder = tmp_path / "flowers" / kind
        folder.mkdir(parents=True)
        for index in range(30):
            pixels = rng.integers(0, 100, (36 + index % 3, 40, 3), dtype=np.uint8)
            pixels[..., place] += 120
            Image.fromarray(pixels).save(folder / f"{index}.jpg")
    text = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "flowers.yaml").write_text(text)
    quick = ["--set", "budget.max_steps=2", "--set", "protocol.classifier_steps=2", "--set", "protocol.curve=[]"]
    quick += ["--set", "protocol.features=[{name: domain, config: {steps: 10}}]", "--seeds", "1"]
    quick += ["--set", "generators=[{name: vae, config: {width: 8}}, real_holdout]"]
    done = benchbench(tmp_path, "run", "flowers.yaml", "--data-dir", ".", *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    dataset = json.loads((tmp_path / "reports/flowers/manifest.json").read_text())["dataset"]
    assert dataset["image_shape"] == [3, 32, 32]
    assert dataset["classes"] == ["rose", "tulip"]


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


def test_the_documented_benchmark_file_has_every_key() -> None:
    """Of the file, its blocks, a row and the augmentation."""
    text = (ROOT / "docs/benchmark-files.md").read_text().split("```yaml\n")[1].split("```")[0]
    data = yaml.safe_load(text)

    def keys(model: type[BaseModel]) -> set[str]:
        return {field.alias or name for name, field in model.model_fields.items()}

    assert set(data) == keys(Benchmark)
    for name, model in {"settings": SettingsSpec, "protocol": Protocol, "budget": BudgetSpec, "limits": Limits}.items():
        assert set(data[name]) == keys(model), name
    assert set(data["generators"][1]) == keys(GeneratorSpec)
    assert set(data["protocol"]["classical"]) == keys(Augmentation)


@pytest.mark.parametrize("kind", ["metrics", "datasets", "features"])
def test_every_shipped_plugin_is_in_the_benchmark_file_guide(kind: str) -> None:
    text = (ROOT / "docs/benchmark-files.md").read_text()
    missing = [name for name in load_registry().names(kind) if f"| `{name}` |" not in text]
    assert not missing


def test_the_protocol_speaks_of_every_arm_metric_output_and_control() -> None:
    text = (ROOT / "docs/protocol.md").read_text()
    registry = load_registry()
    controls = [name for name in registry.names("generators") if registry.is_control(name)]
    wanted = [f"(`{name}`)" for name in registry.names("metrics")] + [f"| `{name}` |" for name in (*ARMS, *controls)]
    assert [word for word in wanted if word not in text] == []


def test_the_readme_names_every_shipped_generator() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in load_registry().names("generators") if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    defined = {
        path: set(re.findall(r"^def (test_\w+)", path.read_text(), re.M)) for path in ROOT.rglob("tests/**/*.py")
    }
    text = page.read_text()
    for file, name in re.findall(r"\b(tests/[\w/]+\.py)(?:::(test_\w+))?", text):
        assert ROOT / file in defined, file
        assert not name or name in defined[ROOT / file], f"{file}::{name}"
    # named alone, as in a table whose rows have the file in common; elsewhere arrays and settings are called so, too
    for name in re.findall(r"`(test_\w+)`", text) if page.name == "reliability.md" else ():
        assert any(name in names for names in defined.values()), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_in_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", page.read_text())
    broken = []
    for target, anchor in links:
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}")
    assert not broken


def anchors(page: Path) -> set[str]:
    """Those of its headings, as a code host makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[str]:
    """Every ``benchbench ...`` of a page's shell blocks and tables."""
    text = page.read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]
    return [
        line for line in (*lines, *re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)) if "benchbench " in line
    ]


@pytest.mark.parametrize("line", dict.fromkeys(commands(ROOT / "docs/gpu.md")))
def test_a_command_of_the_gpu_page_would_run(line: str) -> None:
    """Its options are the command's, its file is valid with its settings, its rows are the file's."""
    before, _, rest = line.partition("benchbench ")
    assert before in ("", "timeout -s INT 1500 ")
    name, *words = shlex.split(rest)
    group: Any = typer.main.get_command(app)
    given = group.commands[name].make_context(name, words).params
    seeds = [f"seeds={given['seeds']}"] if given["seeds"] else []
    benchmark = load_benchmark(ROOT / given["benchmark"], load_registry(), [*given["setting"], *seeds])
    expand(benchmark, given.get("only", []))


def test_the_gpu_page_names_the_weights_and_every_switch() -> None:
    text = (ROOT / "docs/gpu.md").read_text()
    size = re.search(r"\(([\d,]+) bytes", (ROOT / "benchbench/features/inception.py").read_text())
    assert size is not None
    wanted = [WEIGHTS_FILE, WEIGHTS_SHA256, size[1], *(f"| `{name}` |" for name in ComputeSpec.model_fields)]
    assert [word for word in wanted if word not in text] == []
    for name, cells in {"cifar10": 30, "hkust": 15, "cifar10-literature": 9}.items():
        benchmark = load_benchmark(ROOT / f"benchmarks/{name}.yaml", load_registry())
        assert len(expand(benchmark)) == cells
        assert re.search(rf"benchmarks/{name}.yaml .*: {cells} cells", text)
    assert f"blocks of {GPU_BLOCK:,} ({BLOCK} on a CPU)" in text
    assert f"Inception sees {GPU_BATCH} images at a time ({CPU_BATCH} on a CPU), classifiers {EVAL_BATCH}" in text
    assert f"losses are read every {CHECK_EVERY} steps" in text


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_benchmark_is_valid(file: Path) -> None:
    registry = load_registry()
    assert load_benchmark(file, registry).name == file.stem
