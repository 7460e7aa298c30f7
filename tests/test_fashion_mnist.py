"""Fashion-MNIST: found, verified, carved the same way for everyone; and the format it is published in."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from benchbench.datasets import _per_class as per_class
from benchbench.datasets._idx import idx_header, idx_sha256, read_idx
from benchbench.datasets._mnist_family import FILES, IMAGES
from benchbench.datasets._per_class import resample
from benchbench.datasets.fashion_mnist import FashionMnist
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Dataset

CLASSES = FashionMnist.kinds
assert FashionMnist.system is not None
SYSTEM = FashionMnist.system[0]
NAMES = [name for names in FILES.values() for name in names]
CORRECT = {
    name: shape
    for split, names in FILES.items()
    for name, shape in zip(names, ((IMAGES[split], 28, 28), (IMAGES[split],)), strict=True)
}


def load(data_dir: Path, **config: object) -> Dataset:
    return FashionMnist(FashionMnist.Config(**{"download": False, **config})).load(data_dir)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder without the files, on a machine that has them."""
    if not SYSTEM.is_dir():
        pytest.skip(f"Fashion-MNIST is not in {SYSTEM} (Debian's package dataset-fashion-mnist)")
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def whole(here: Path) -> Dataset:
    return load(here)


# --- the format ---------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    """An IDX file by struct, as the format's page at MNIST's site describes it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def some(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0, 2, 2)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_are_read_packed_or_not_whatever_their_name(tmp_path, shape, pack):
    path = tmp_path / "any"
    path.write_bytes(pack(idx(some(shape))))
    got = read_idx(path, shape)
    assert got.dtype == np.uint8 and got.shape == shape and (got == some(shape)).all()


def test_idx_digest_is_that_of_the_unpacked_file():
    assert idx_sha256(some((3, 4, 5))) == hashlib.sha256(idx(some((3, 4, 5)))).hexdigest()


GOOD = idx(some((3, 4)))
FAULTS = {
    "empty": (b"", "begins with nothing, expected 00 00 08 02"),
    "cut header": (GOOD[:9], "begins with 00 00 08 02 00 00 00 03 00, expected"),
    "cut": (GOOD[:-1], "got only 11 bytes after the header, expected 12"),
    "long": (GOOD + b"x", "got more bytes after the header, expected 12"),
    "floats": (b"\0\0\x0d\2" + GOOD[4:], "begins with 00 00 0d 02"),
    "three axes": (b"\0\0\x08\3" + GOOD[4:], "begins with 00 00 08 03"),
    "huge": (GOOD[:4] + b"\xff" * 8, r"expected 00 00 08 02 00 00 00 03 00 00 00 04 \(IDX, unsigned bytes"),
    "text": (b"<html>404</html>", "begins with 3c 68 74 6d"),
    "cut gzip": (gzip.compress(GOOD)[:-9], "got a damaged gzip file"),
    "gzip header only": (gzip.compress(GOOD)[:5], "got a damaged gzip file"),
    "gzip sum": (gzip.compress(GOOD)[:-8] + b"\0" * 8, "got a damaged gzip file"),
    "gzip stream": (gzip.compress(GOOD)[:10] + b"\xff" * 20, "got a damaged gzip file"),
    "gzip bomb": (gzip.compress(GOOD + bytes(10**6)), "got more bytes after the header, expected 12"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_file_is_refused_by_name(tmp_path, name):
    path = tmp_path / "images.idx"
    path.write_bytes(FAULTS[name][0])
    with pytest.raises(DataError, match=FAULTS[name][1]) as caught:
        read_idx(path, (3, 4))
    assert str(caught.value).startswith(str(path)) and "fetch" in str(caught.value)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.booleans())
def test_no_flipped_byte_of_header_or_gzip_passes(tmp_path_factory, position, flip, packed):
    path = tmp_path_factory.getbasetemp() / "flipped.idx"
    broken = bytearray(gzip.compress(GOOD, mtime=0) if packed else GOOD)
    position = 12 + position % 20 if packed else position
    broken[position] ^= flip
    path.write_bytes(bytes(broken))
    if not packed and position >= len(idx_header((3, 4))):
        assert (read_idx(path, (3, 4)) != some((3, 4))).sum() == 1  # the dataset's SHA-256 finds this one out
        return
    with pytest.raises(DataError):
        read_idx(path, (3, 4))


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\0\0\x08\x02"]))
def test_random_bytes_are_no_idx_file(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "random.idx"
    path.write_bytes(start + content)
    if start + content != GOOD:
        with pytest.raises(DataError):
            read_idx(path, (3, 4))


# --- finding and verifying ----------------------------------------------------------------------------------


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.setattr(FashionMnist, "system", (tmp_path / "system", "dataset-fashion-mnist"))
    return tmp_path


def test_missing_files_are_named_with_places_remedies_and_checksums(nowhere):
    with pytest.raises(DataMissingError) as caught:
        load(nowhere)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(
        "dataset 'fashion_mnist': it was not found, and the config says download"
    )
    for name, sha256 in FashionMnist.sha256.items():
        assert name in text and sha256 in text
    for folder in ("FashionMNIST/raw", "fashion-mnist", "system"):
        assert str(nowhere / folder) in text
    assert "dataset-fashion-mnist" in text and "download=True" in text


def test_another_dataset_of_the_same_form_is_refused(nowhere):
    write_others(nowhere / "fashion-mnist")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: got SHA-256 \w{64} once unpacked, expected Fashion"):
        load(nowhere)


def write_others(folder: Path) -> None:
    """Sound files of the right names and sizes."""
    folder.mkdir(exist_ok=True)
    for name, shape in CORRECT.items():
        (folder / name).write_bytes(idx_header(shape) + bytes(int(np.prod(shape))))


@pytest.mark.parametrize("damaged", [False, True])
def test_another_datasets_files_in_the_data_folder_itself_are_passed_over(nowhere, damaged):
    write_others(nowhere)
    if damaged:
        (nowhere / NAMES[-1]).write_bytes(b"")
    for ask in (load, FashionMnist().check):
        with pytest.raises(DataMissingError, match=rf"Passed over are those in {nowhere}: .*-labels-idx1-ubyte"):
            ask(nowhere)


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "fashion-mnist", "."])
def test_places_are_tried_in_order_and_only_if_they_have_all_files(nowhere, here, folder):
    place = nowhere / folder
    place.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (place / f"{name}.gz").symlink_to(SYSTEM / f"{name}.gz")
    if folder != "FashionMNIST/raw":  # an earlier place with three of the four does not count
        (nowhere / "FashionMNIST/raw").mkdir(parents=True)
        for name in NAMES[:3]:
            (nowhere / "FashionMNIST/raw" / name).write_bytes(b"")
    source = FashionMnist(FashionMnist.Config(download=False))
    assert source.layout(nowhere) == {split: [place / f"{name}.gz" for name in names] for split, names in FILES.items()}
    (place / "t10k-labels-idx1-ubyte").write_bytes(gzip.decompress((SYSTEM / "t10k-labels-idx1-ubyte.gz").read_bytes()))
    assert source.layout(nowhere)["test"][1].suffix == ""
    assert [len(part) for part in splits(load(nowhere, train_per_class=3, val_per_class=2, test_per_class=1))] == [
        30,
        20,
        10,
    ]


def test_it_is_torchvisions(here, whole, tmp_path):
    torchvision = pytest.importorskip("torchvision")
    raw = tmp_path / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    for name in NAMES:
        (raw / name).write_bytes(gzip.decompress((SYSTEM / f"{name}.gz").read_bytes()))
    theirs = torchvision.datasets.FashionMNIST(str(tmp_path), train=False, download=False)
    assert whole.test.images[:, 0].equal(theirs.data) and whole.test.labels.equal(theirs.targets)
    named = [name.lower().removesuffix("/top") for name in theirs.classes]
    assert list(CLASSES) == named
    rows = [part.images.flatten(1).numpy() for part in (whole.train, whole.val)]
    train = torchvision.datasets.FashionMNIST(str(tmp_path), train=True, download=False).data.flatten(1).numpy()
    assert sorted(row.tobytes() for part in rows for row in part) == sorted(row.tobytes() for row in train)


# --- splits -------------------------------------------------------------------------------------------------


def splits(data: Dataset):
    return data.train, data.val, data.test


def rows(part) -> list[bytes]:
    return [
        row.tobytes() + bytes([label]) for row, label in zip(part.images.numpy(), part.labels.tolist(), strict=True)
    ]


def test_splits_have_their_sizes_and_are_balanced(whole):
    assert [len(part) for part in splits(whole)] == [55000, 5000, 10000]
    assert whole.train.shape == (1, 28, 28) and whole.classes == CLASSES
    for part in splits(whole):
        assert set(part.class_counts.tolist()) == {len(part) // 10}


def test_the_dataset_is_the_same_for_everyone(whole):
    assert whole.fingerprint == "30d6c8c1a33463b8850cdaebaabc3dbf22676e32435f65dcda2c2fb65727ca6f"


def test_subsets_are_nested_with_the_same_val(here, whole):
    few = load(here, train_per_class=50, test_per_class=20)
    more = load(here, train_per_class=100, test_per_class=50)
    assert few.val.fingerprint == more.val.fingerprint == whole.val.fingerprint
    for smaller, larger in ((few, more), (more, whole)):
        for name in ("train", "test"):
            one, other = rows(getattr(smaller, name)), rows(getattr(larger, name))
            assert set(one) <= set(other)
            kept = set(one)
            assert [row for row in other if row in kept] == one  # in the same order
    assert set(few.train.class_counts.tolist()) == {50} and set(few.test.class_counts.tolist()) == {20}


def test_val_is_no_part_of_train(here):
    data = load(here, train_per_class=5000, val_per_class=1000)
    train, val = rows(data.train), rows(data.val)
    everything = load(here, val_per_class=1)
    assert sorted(train + val) == sorted(rows(everything.train) + rows(everything.val))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"size": 29}, "less than or equal to 28"),
        ({"train_per_class": 5501}, "train_per_class [+] val_per_class is 6001, but there are 6000 images a class"),
        ({"val_per_class": 6000}, "less than 6000"),
        ({"test_per_class": 1001}, "less than or equal to 1000"),
        ({"train_per_class": 0}, "greater than or equal to 1"),
    ],
)
def test_impossible_sizes_are_refused(config, words):
    with pytest.raises(ValidationError, match=words):
        FashionMnist.Config(**config)


# --- other sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 8, 14, 16, 27])
def test_resampling_is_that_of_pil(size):
    images = torch.from_numpy(some((6, 1, 28, 28)))
    got = resample(images, size)
    assert got.shape == (6, 1, size, size) and got.dtype == torch.uint8
    for image, small in zip(images, got, strict=True):
        as_floats = Image.fromarray(image[0].numpy().astype(np.float32))
        expected = np.asarray(as_floats.resize((size, size), Image.Resampling.BILINEAR))
        assert np.abs(small[0].numpy() - expected).max() <= 0.501


def test_resampling_keeps_flat_images_and_does_not_depend_on_blocks(monkeypatch):
    flat = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    assert resample(flat, 16).equal(flat[:, :, :16, :16])
    images = torch.from_numpy(some((50, 1, 28, 28)))
    whole = resample(images, 16)
    monkeypatch.setattr(per_class, "BLOCK", 7)
    assert resample(images, 16).equal(whole)


def test_small_images_are_the_large_ones_resampled(here, whole):
    small = load(here, size=16)
    assert small.train.shape == (1, 16, 16)
    assert small.test.images[:100].equal(resample(whole.test.images[:100], 16))
    assert small.train.labels.equal(whole.train.labels)
