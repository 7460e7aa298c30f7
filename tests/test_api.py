"""What a notebook and the commands around a fitted generator do: fit, sample, save, load, run, read results."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Bench
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torchvision.datasets import ImageFolder

import benchbench as bb
from benchbench.api.folders import check_new, write_png
from benchbench.datasets.digits import Digits
from benchbench.errors import BenchbenchError, RequestError
from benchbench.store.portable import pack, unpack

FEW = {"max_steps": 3, "device": "cpu"}


@pytest.fixture(scope="module")
def train() -> bb.LabelledImages:
    data = Digits().load(Path("data")).train
    return data.take(torch.arange(200))


@pytest.mark.parametrize(("name", "labels"), [("cgan", None), ("flow", None), ("vae", None), ("dcgan", "per_class")])
def test_a_saved_generator_draws_the_same_images(
    train: bb.LabelledImages, tmp_path: Path, name: str, labels: str | None
) -> None:
    fitted = bb.fit(name, train, labels=labels, seed=3, **FEW)
    before = fitted.sample({"zero": 2, "seven": 3}, seed=5, device="cpu")
    assert before.labels.tolist() == [0, 0, 7, 7, 7]
    again = bb.load(fitted.save(tmp_path / "kept"))
    after = again.sample([0, 0, 7, 7, 7], seed=5, device="cpu")
    assert torch.equal(before.images, after.images)
    assert not torch.equal(after.images, again.sample([0, 0, 7, 7, 7], seed=6, device="cpu").images)
    assert (again.recipe, again.facts) == (fitted.recipe, fitted.facts)
    tensors = load_file(tmp_path / "kept/weights.safetensors")
    assert sum(tensor.numel() for tensor in tensors.values()) >= fitted.generator.num_parameters() > 0


def test_a_control_that_keeps_its_images_comes_along(train: bb.LabelledImages, tmp_path: Path) -> None:
    fitted = bb.fit("train_copy", train, **FEW)
    again = bb.load(fitted.save(tmp_path / "kept"))
    assert torch.equal(fitted.sample([1, 2], device="cpu").images, again.sample([1, 2], device="cpu").images)


def test_the_fit_neither_changes_its_images_nor_the_global_state(train: bb.LabelledImages) -> None:
    before, state = train.fingerprint, torch.random.get_rng_state()
    bb.fit("cgan", train, **FEW)
    assert bb.LabelledImages(train.images, train.labels, train.classes).fingerprint == before
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda data: bb.fit("no_such", data), "no generator is called 'no_such'"),
        (lambda data: bb.fit("cgan", data, config={"z_dim": -1}), "cgan: z_dim"),
        (lambda data: bb.fit("dcgan", data), "labels='per_class'"),
        (lambda data: bb.fit("noise", data).sample({"cat": 1}), "no class is called 'cat'"),
        (lambda data: bb.fit("noise", data).sample([10]), "expected (n,) with values 0..9"),
        (lambda data: bb.load("nowhere"), "generator.json is missing"),
    ],
)
def test_a_wrong_request_is_a_sentence(train: bb.LabelledImages, how, told: str) -> None:
    with pytest.raises(BenchbenchError) as caught:
        how(train)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "this program reads 1"),
        ({"name": "no_such"}, "no generator is called"),
        ({"classes": "cat"}, "classes"),
        ({"state": {"tensor": "elsewhere"}}, "cannot be put together"),
        ({"state": {"pickle": "x"}}, "cannot be put together"),
        ({"state": {"dict": []}}, "do not fit cgan"),
        ({"evil": 1}, "evil"),
    ],
)
def test_a_damaged_description_is_a_sentence(
    train: bb.LabelledImages, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    folder = bb.fit("cgan", train, **FEW).save(tmp_path / "kept")
    path = folder / "generator.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BenchbenchError, match=told):
        bb.load(folder)


def test_damaged_weights_are_a_sentence(train: bb.LabelledImages, tmp_path: Path) -> None:
    folder = bb.fit("cgan", train, **FEW).save(tmp_path / "kept")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BenchbenchError, match="do not fit cgan"):
        bb.load(folder)
    (folder / "generator.json").write_text("{]")
    with pytest.raises(BenchbenchError, match="is not JSON"):
        bb.load(folder)


def test_the_documented_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs/reports.md").read_text()
    frame, fitted = (block.partition("```")[0] for block in page.split("```python\n")[1:])
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    exec(frame)
    monkeypatch.chdir(tmp_path)
    exec(fitted)
    assert (tmp_path / "vae/weights.safetensors").is_file()


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
STATES = st.recursive(
    PLAIN | st.lists(st.integers(-9, 9), max_size=3).map(torch.tensor),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(STATES)
@settings(max_examples=200, deadline=None)
def test_any_state_comes_back(state: object) -> None:
    tensors, tree = pack(state)
    assert same(unpack(tensors, json.loads(json.dumps(tree))), state)


def same(one: object, other: object) -> bool:
    if isinstance(other, torch.Tensor):
        return isinstance(one, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(other, dict):
        return isinstance(one, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, list):
        return isinstance(one, list) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_two_tensors_whose_paths_read_alike_stay_apart() -> None:
    state = {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}}
    tensors, tree = pack(state)
    assert len(tensors) == 2
    assert same(unpack(tensors, tree), state)


def test_results_as_a_frame(finished: Bench) -> None:
    frame = bb.load_results(finished.folder / "reports/toy-board")
    rows = finished.results()["rows"]
    assert len(frame) == len(rows)
    assert frame.attrs["benchmark"] == "toy-board"
    assert list(frame.columns) == list(rows[0])
    assert frame.seed.dtype == "int64"
    lift = frame[(frame.metric == "lift") & (frame.arm == "mixed") & (frame.generator == "toy")]
    (expected,) = [
        row["value"]
        for row in rows
        if (row["metric"], row["arm"], row["generator"], row["class_name"]) == ("lift", "mixed", "toy", None)
    ]
    assert lift.value.tolist() == [expected]
    file = finished.folder / "reports/toy-board/results.json"
    assert bb.load_results(file).equals(frame)
    file.write_text(file.read_text().replace('"schema_version": 2', '"schema_version": 3', 1).replace(
        '"schema_version":2', '"schema_version":3', 1))  # fmt: skip
    with pytest.raises(BenchbenchError, match="got schema version 3"):
        bb.load_results(file)
    with pytest.raises(BenchbenchError, match="expected the folder of a report"):
        bb.load_results(finished.folder / "nowhere.json")


def test_a_run_from_a_program_serves_what_is_stored(finished: Bench, monkeypatch, capsys) -> None:
    monkeypatch.chdir(finished.folder)
    done = bb.run("toy.yaml", quiet=True, device="cpu")
    assert (done.computed, done.failures) == (0, ())
    assert done.boards[0].verdict.kind == "undetermined"
    assert capsys.readouterr().out == ""


def test_a_run_gives_its_generator_back(finished: Bench) -> None:
    done = finished("sample", "toy.yaml", "toy", "--out", "more", "--n", "3", "--class", "four", "--class", "zero")
    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader((finished.folder / "more/metadata.csv").open()))
    assert [line["label"] for line in lines] == ["four"] * 3 + ["zero"] * 3
    assert {line["source"] for line in lines} == {"synthetic"}
    loaded = ImageFolder(finished.folder / "more")
    assert (loaded.classes, len(loaded)) == (["four", "zero"], 6)
    assert (finished.folder / "more" / lines[0]["file_name"]).is_file()

    done = finished("export", "toy.yaml", "toy", "--out", "kept")
    assert done.returncode == 0, done.stderr
    done = finished("sample", "kept", "toy", "--plugin", "toy.py", "--out", "again", "--n", "3", "--class", "four")
    assert done.returncode == 0, done.stderr
    first = lines[0]["file_name"]
    assert (finished.folder / "again" / first).read_bytes() == (finished.folder / "more" / first).read_bytes()

    for words, told in (
        (("sample", "toy.yaml", "toy", "--out", "more"), "name a new folder"),
        (("sample", "toy.yaml", "nobody", "--out", "x"), "has no row 'nobody'; it has toy, noise"),
        (("sample", "toy.yaml", "toy", "--seed", "9", "--out", "x"), "has no seed 9"),
        (("sample", "toy.yaml", "toy", "--class", "cat", "--out", "x"), "no class is called 'cat'"),
        (("export", "toy.yaml", "toy", "--out", "x", "--runs-dir", "empty"), "is not fitted"),
    ):
        done = finished(*words)
        assert done.returncode == 2
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (finished.folder / "x").exists()


def test_pngs_are_lossless(tmp_path: Path) -> None:
    image = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_png(tmp_path / "a/image.png", image)
    from PIL import Image

    assert (np.asarray(Image.open(tmp_path / "a/image.png")) == image.permute(1, 2, 0).numpy()).all()
    with pytest.raises(RequestError):
        check_new(tmp_path / "a")
