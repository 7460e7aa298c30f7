"""One's own images from npz files, and how splits are carved out."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchbench.datasets import npz
from benchbench.datasets._carve import Shares, carved
from benchbench.datasets.npz import Npz
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Dataset, LabelledImages

RANDOM = np.random.default_rng(0)


def some(count: int, *shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def load(path: Path, **config: object) -> Dataset:
    return Npz(Npz.Config.model_validate({"path": str(path), **config})).load(Path("nowhere"))


pytestmark = pytest.mark.usefixtures("own_cache")

IMAGES = some(40, 3, 8, 8)
LABELS = np.arange(40) % 4


@pytest.mark.parametrize(
    "images", [IMAGES, IMAGES.transpose(0, 2, 3, 1), IMAGES[:, 0], IMAGES[:, :1], IMAGES[:, 0, :, :, None]]
)
def test_every_layout_gives_the_same_images(tmp_path, images):
    data = load(write(tmp_path / "a.npz", images=images, labels=LABELS))
    channels = 3 if images.ndim == 4 and 1 not in images.shape else 1
    assert data.train.shape == (channels, 8, 8)
    found = {i.numpy().tobytes() for part in (data.train, data.val, data.test) for i in part.images}
    assert found == {i.tobytes() for i in IMAGES[:, :channels]}


def test_a_pool_is_divided_class_by_class_always_the_same_way(tmp_path):
    path = write(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    data = load(path, val_share=0.2, test_share=0.3)
    assert [part.class_counts.tolist() for part in (data.train, data.val, data.test)] == [[5] * 4, [2] * 4, [3] * 4]
    assert load(path, val_share=0.2, test_share=0.3).fingerprint == data.fingerprint


def test_given_splits_are_taken_and_only_val_is_carved(tmp_path):
    arrays = {"train_images": IMAGES[:32], "train_labels": LABELS[:32, None], "test_images": IMAGES[32:]}
    data = load(write(tmp_path / "a.npz", **arrays, test_labels=LABELS[32:], classes=np.array(["a", "b", "c", "d"])))
    assert data.classes == ("a", "b", "c", "d")
    assert data.test.images.numpy().tobytes() == IMAGES[32:].tobytes()
    assert (len(data.train), len(data.val)) == (28, 4)


@pytest.mark.parametrize("encode", [str, str.encode])
def test_names_may_be_bytes_or_text(tmp_path, encode):
    names = np.array([encode(name) for name in ("a", "b", "c", "\u00e9")])
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS, classes=names)
    assert load(tmp_path / "a.npz").classes == ("a", "b", "c", "\u00e9")


def test_arrays_without_names_will_do(tmp_path):
    np.savez(tmp_path / "a.npz", IMAGES, LABELS)
    assert load(tmp_path / "a.npz").classes == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": IMAGES}, "no array 'labels'"),
        ({"pictures": IMAGES, "labels": LABELS}, "has no array 'arr_0'; it has labels, pictures"),
        ({"images": IMAGES / 255, "labels": LABELS}, "got float64, expected uint8"),
        ({"images": IMAGES[:, :2], "labels": LABELS}, r"got shape \(40, 2, 8, 8\)"),
        ({"images": IMAGES[:, 0, 0], "labels": LABELS}, r"got shape \(40, 8\)"),
        ({"images": IMAGES, "labels": LABELS / 2}, "expected whole numbers"),
        ({"images": IMAGES, "labels": LABELS - 1}, r"got -1\.\.2"),
        ({"images": IMAGES, "labels": np.eye(4, dtype=int)[LABELS]}, "expected one label an image"),
        ({"images": IMAGES, "labels": LABELS[:9]}, "one label an image"),
        ({"images": IMAGES, "labels": np.array(LABELS, dtype=object)}, "cannot be read .*an array of object"),
        ({"images": IMAGES, "labels": LABELS * 2}, r"too few images to be in every split \('1' 0, "),
        ({"images": IMAGES, "labels": LABELS, "classes": np.array(["a", "b"])}, "names 2 different classes"),
        ({"train_images": IMAGES, "train_labels": LABELS}, "has train images, expected train_images and test_images"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "shape"),
    ],
)
def test_another_form_is_refused_by_name(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words):
        load(write(tmp_path / "a.npz", **arrays))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataMissingError, match=r"there is no file .*images\.npz"):
        Npz(Npz.Config()).load(tmp_path)


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 4000), value=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_gives_a_dataset_or_a_named_error(tmp_path, position, value, cut):
    path = write(tmp_path / "a.npz", images=IMAGES[:12], labels=LABELS[:12])
    raw = bytearray(path.read_bytes())
    position %= len(raw)
    raw[position] ^= value
    path.write_bytes(raw[:position] if cut else raw)
    with contextlib.suppress(DataError):
        assert isinstance(load(path), Dataset)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), start=st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04"]))
def test_random_bytes_are_no_npz_file(tmp_path, content, start):
    (tmp_path / "a.npz").write_bytes(start + content)
    with pytest.raises(DataError, match=r"is no whole zip .*expected an npz file|cannot be read"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_it_is_unpacked_once(tmp_path, monkeypatch, save):
    save(tmp_path / "a.npz", train_images=IMAGES, train_labels=LABELS, test_images=IMAGES[:8], test_labels=LABELS[:8])
    calls = []
    read = npz._read
    monkeypatch.setattr(npz, "_read", lambda path: calls.append(path) or read(path))
    first, second = load(tmp_path / "a.npz"), load(tmp_path / "a.npz")
    assert first.fingerprint == second.fingerprint and len(calls) == 1
    save(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    assert load(tmp_path / "a.npz").fingerprint != first.fingerprint


@given(st.lists(st.integers(3, 30), min_size=1, max_size=5), st.floats(0.01, 0.49), st.floats(0.01, 0.49))
def test_carving_loses_and_repeats_no_image_and_leaves_every_class_in_every_split(counts, val, test):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    images = torch.arange(len(labels)).to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    pool = LabelledImages(images, labels, tuple(str(label) for label in range(len(counts))))
    data = carved("own", {"train": pool}, Shares(val_share=val, test_share=test))
    parts = (data.train, data.val, data.test)
    assert sorted(torch.cat([part.images[:, 0, 0, 0] for part in parts]).tolist()) == list(range(len(labels)))
    assert all(int(part.class_counts.min()) >= 1 for part in parts)
    assert all(part.images[:, 0, 0, 0].diff().ge(0).all() for part in parts)


def test_too_small_classes_are_named():
    pool = LabelledImages(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, 0, 1, 1]), ("a", "b"))
    with pytest.raises(DataError, match=r"1 of 2 classes .*\('b' 2\), expected at least 3 each"):
        carved("own", {"train": pool}, Shares())


def test_images_in_two_splits_are_counted(caplog):
    pool = LabelledImages(torch.from_numpy(IMAGES), torch.from_numpy(LABELS), ("a", "b", "c", "d"))
    with caplog.at_level(logging.WARNING):
        carved(
            "own", {"train": pool, "val": pool.take(torch.arange(8, 12)), "test": pool.take(torch.arange(4))}, Shares()
        )
    assert "4 of 4 test images are also in train" in caplog.text
