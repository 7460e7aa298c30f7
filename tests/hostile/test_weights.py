"""Any saved generator and any weights give what they are or a sentence, and nothing is unpickled."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from wild import (
    WILD,
    Trap,
    mutated,
    tried,
    zipped,
)

import benchbench as bb
from benchbench.errors import BenchbenchError, DataError
from benchbench.features._weights import load_weights


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    data = bb.LabelledImages(images, torch.arange(20) % 2, ("a", "b"))
    return bb.fit("cgan", data, max_steps=1, device="cpu", config={"width": 8}).save(
        tmp_path_factory.mktemp("saved") / "cgan"
    )


def test_a_config_that_no_generator_has_is_a_sentence(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "cgan"))
    text = (folder / "generator.json").read_text()
    (folder / "generator.json").write_text(text.replace('"conv"', '"co v"'))
    with pytest.raises(DataError, match=r"generator\.json: config: network: Input should be 'conv' or 'resnet'"):
        bb.load(folder)


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


def test_no_weights_are_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    weights = tmp_path / "weights.pth"
    for raw in (pickle.dumps(Trap(trap)), zipped([("archive/data.pkl", pickle.dumps(Trap(trap)))]), b"", b"junk"):
        weights.write_bytes(raw)
        with pytest.raises(DataError, match=r"weights\.pth"):
            load_weights(weights, hashlib.sha256(raw).hexdigest())
    assert not trap.exists()


@settings(WILD, max_examples=examples(60))
@given(raw=st.binary(max_size=60) | mutated(zipped([("archive/data.pkl", pickle.dumps({"a": 1}))])))
def test_any_weights_are_weights_or_a_sentence(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(raw)
    tried(lambda: load_weights(tmp_path / "weights.pth", hashlib.sha256(raw).hexdigest()))


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
