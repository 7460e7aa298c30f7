"""Whatever comes from outside gives a valid plan or a sentence: benchmark files, settings, names, saved generators.

The loaders' own tests do the same for images, zips, npz and parquet files. ``BENCHBENCH_EXAMPLES=8`` tries eight
times as many inputs.
"""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import benchbench as bb
from benchbench.config import Benchmark, load_benchmark
from benchbench.discovery import Registry, load_registry
from benchbench.errors import BenchbenchError, DataError
from benchbench.plan import expand
from benchbench.runner.workspace import check_class_names

WILD = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(250))
# One of everything that a benchmark file may say.
VALID: dict[str, Any] = {
    "name": "wild",
    "dataset": {"name": "digits", "config": {}},
    "generators": [
        {"name": "vae", "as": "vae_small", "config": {"latent": 4}, "generator_data": "full"},
        {"name": "dcgan", "labels": "per_class"},
        "noise",
    ],
    "seeds": [0, 1],
    "budget": {"max_steps": 5, "max_seconds": 3.5},
    "settings": {"fractions": [1.0, 0.5], "imbalance": [1, 10]},
    "protocol": {
        "features": [{"name": "domain", "config": {"steps": 30}}],
        "metrics": ["fd", {"name": "kid"}],
        "classifier": {"name": "cnn_small", "config": {"width": 8}},
        "classifier_steps": 20,
        "classifier_seeds": 2,
        "ratios": [0.5, 1],
        "classical": {"flip": True},
        "curve": [0.5],
        "rank_by": "lift",
        "margin": 0.01,
        "level": 0.95,
    },
    "limits": {"timeout": 10, "memory": 2, "threads": 1, "checkpoint_every": 5},
    "compute": {"precision": "f32"},
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["vae", "fd", "domain", "../..", "", "a" * 300, 10**400, "2026-01-01", "!!python/object:os.system"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of everything in a document."""
    below: list[tuple[str | int, ...]] = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        below += places(item, (*path, key))
    return below


def told(path: Path, registry: Registry, overrides: list[str] | None = None) -> Benchmark | None:
    """The checked benchmark with its cells, or None after a named error of at least a few words."""
    try:
        benchmark = load_benchmark(path, registry, overrides or [])
        assert expand(benchmark)
    except BenchbenchError as error:
        assert len(str(error)) > 10
        return None
    return benchmark


def test_the_file_itself_is_valid(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(yaml.safe_dump(VALID))
    assert told(path, registry) is not None


@WILD
@given(data=st.data())
def test_a_changed_file_gives_a_plan_or_a_sentence(tmp_path: Path, registry: Registry, data: st.DataObject) -> None:
    document = copy.deepcopy(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(places(document)))
        here: Any = document
        for part in where[:-1]:
            here = here[part]
        change = data.draw(st.sampled_from(["remove", "replace", "rename", "repeat"]))
        if change == "remove":
            del here[where[-1]]
        elif change == "rename" and isinstance(here, dict):
            here[data.draw(st.text(max_size=10))] = here.pop(where[-1])
        elif change == "repeat" and isinstance(here, list):
            here.append(copy.deepcopy(here[where[-1]]))
        else:
            here[where[-1]] = data.draw(ANYTHING)
        if not document:
            break
    path = tmp_path / "wild.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    told(path, registry)


@WILD
@given(position=st.integers(0, 5000), junk=st.binary(max_size=4), cut=st.integers(0, 4))
def test_a_damaged_file_gives_a_plan_or_a_sentence(
    tmp_path: Path, registry: Registry, position: int, junk: bytes, cut: int
) -> None:
    raw = yaml.safe_dump(VALID).encode()
    position %= len(raw)
    path = tmp_path / "wild.yaml"
    path.write_bytes(raw[:position] + junk + raw[position + cut :])
    told(path, registry)


@WILD
@given(override=st.text(max_size=30) | st.builds("{}={}".format, st.sampled_from(
    [".".join(map(str, path)) for path in places(VALID)]), ANYTHING))  # fmt: skip
def test_any_setting_gives_a_plan_or_a_sentence(tmp_path: Path, registry: Registry, override: str) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(yaml.safe_dump(VALID))
    told(path, registry, [override])


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a\n",
        "[" * 60,
        "- [" + "x, " * 25_000 + "]",
        "name: !!python/object/apply:os.system ['true']",
        "<<: {name: x}",
        "? [a, b]\n: c",
        "name: \x00",
        "name: .inf\nseeds: 1e999",
        "a: 0x" + "f" * 5000,
        "a: " + "9" * 5000,
        "seeds: 99999999999",
        "'': ''",
        "--- a\n--- b\n",
        "%YAML 9.9\n---\nname: x",
        "\ufeffname: x",
    ],
)
def test_known_tricks_are_a_sentence(tmp_path: Path, registry: Registry, text: str) -> None:
    path = tmp_path / "trick.yaml"
    path.write_text(text)
    assert told(path, registry) is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[2J", "\u202egnp.exe", "\ud800", "x" * 101, "a\x00"])
def test_a_class_name_that_could_hide_something_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="expected 1 to 100 letters"):
        check_class_names(["cat", name], "own")


def test_a_class_name_twice_is_refused_and_any_script_is_welcome() -> None:
    check_class_names(["кошка", "猫", "قط", "👩\u200d👧", "a|b<c>", "100 %"], "own")
    with pytest.raises(DataError, match="'cat' twice"):
        check_class_names(["cat", "dog", "cat"], "own")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    data = bb.LabelledImages(images, torch.arange(20) % 2, ("a", "b"))
    return bb.fit("cgan", data, max_steps=1, device="cpu", config={"width": 8}).save(
        tmp_path_factory.mktemp("saved") / "cgan"
    )


@settings(WILD, max_examples=examples(40))
@given(
    name=st.sampled_from(["generator.json", "weights.safetensors"]),
    part=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=4),
    cut=st.booleans(),
)
def test_a_damaged_generator_is_a_generator_or_a_sentence(
    tmp_path: Path, saved: Path, name: str, part: float, junk: bytes, cut: bool
) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    raw = (saved / name).read_bytes()
    position = int(part * len(raw))
    (folder / name).write_bytes(raw[:position] if cut else raw[:position] + junk + raw[position + len(junk) :])
    try:
        bb.load(folder)
    except BenchbenchError as error:
        assert len(str(error)) > 10


def test_nothing_unpickles_what_it_did_not_write() -> None:
    """``torch.load`` without ``weights_only`` and ``np.load`` with ``allow_pickle`` run what is in the file."""
    root = Path(__file__).resolve().parents[1]
    for path in [*root.glob("benchbench/**/*.py"), *root.glob("plugins/*.py")]:
        text = path.read_text()
        assert text.count("torch.load(") == text.count("weights_only=True"), path
        assert "allow_pickle=True" not in text, path
        assert "yaml.load(" not in text and "unsafe_load" not in text, path
        assert not any(call in text for call in ("os.system(", "shell=True", "eval(compile")), path
    assert os.sep == "/" or root.exists()
