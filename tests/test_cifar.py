"""CIFAR: the same dataset from the published batches, from folders and from zips; and the cache of decoded images."""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets as published

from benchbench.datasets import _decoded
from benchbench.datasets._decoded import Change, cache_folder, decoded, part
from benchbench.datasets.cifar import Cifar10, Cifar100
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Dataset, LabelledImages

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Six training and three test images a class stand in for the 5,000 and 1,000.
TRAIN, TEST = 6, 3


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def small(monkeypatch) -> dict[str, LabelledImages]:
    """A small CIFAR-10 of random images, in no order."""
    monkeypatch.setattr(Cifar10, "counts", {"train": (TRAIN,) * 10, "test": (TEST,) * 10})
    random = torch.Generator().manual_seed(0)
    made = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        images = torch.randint(256, (10 * count, 3, 32, 32), generator=random, dtype=torch.uint8)
        made[split] = LabelledImages(images, torch.arange(10).repeat(count), CLASSES)
    return made


def write_folder(folder: Path, data: LabelledImages, first: int = 0) -> None:
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        place = folder / CLASSES[label] / f"{number + first:05}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(place)


def write_zip(path: Path, data: LabelledImages, scratch: Path, first: int = 0) -> None:
    write_folder(scratch, data, first)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(scratch.rglob("*.png")):
            archive.write(file, file.relative_to(scratch))


def write_batches(folder: Path, small: dict[str, LabelledImages], monkeypatch) -> None:
    """The published form, with torchvision told the checksums of what stands there."""
    folder.mkdir(parents=True)

    def write(name: str, content: object) -> str:
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    halves = {"data_batch_1": small["train"].take(torch.arange(30)), "test_batch": small["test"]}
    halves["data_batch_2"] = small["train"].take(torch.arange(30, 60))
    sums = {
        name: write(name, {"data": data.images.reshape(len(data), -1).numpy(), "labels": data.labels.tolist()})
        for name, data in halves.items()
    }
    meta = {**published.CIFAR10.meta, "md5": write("batches.meta", {"label_names": list(CLASSES)})}
    monkeypatch.setattr(published.CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in (1, 2)])
    monkeypatch.setattr(published.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(published.CIFAR10, "meta", meta)


def load(data_dir: Path, **config: object) -> Dataset:
    return Cifar10(Cifar10.Config.model_validate({"val_per_class": 2, "download": False, **config})).load(data_dir)


def test_every_source_gives_the_same_dataset(small, tmp_path, monkeypatch):
    for split, data in small.items():
        write_folder(tmp_path / "folders" / "cifar10" / split, data)
    train = small["train"]
    write_zip(tmp_path / "zips" / "cifar-10" / "train-1.zip", train.take(torch.arange(20)), tmp_path / "a")
    write_zip(tmp_path / "zips" / "cifar-10" / "train-2.zip", train.take(torch.arange(20, 60)), tmp_path / "b", 100)
    write_zip(tmp_path / "zips" / "cifar-10" / "test.zip", small["test"], tmp_path / "c")
    write_batches(tmp_path / "batches" / "cifar-10-batches-py", small, monkeypatch)
    found = [load(tmp_path / source) for source in ("folders", "zips", "batches")]
    assert len({data.fingerprint for data in found}) == 1
    data = found[0]
    assert data.classes == CLASSES
    assert (len(data.train), len(data.val), len(data.test)) == (40, 20, 30)
    for split, parts in (("train", (data.train, data.val)), ("test", (data.test,))):
        here = {
            (image.numpy().tobytes(), int(label))
            for part in parts
            for image, label in zip(part.images, part.labels, strict=True)
        }
        there = zip(small[split].images, small[split].labels, strict=True)
        assert here == {(image.numpy().tobytes(), int(label)) for image, label in there}


@pytest.mark.parametrize("names", [("train1", "train2"), ("train_1", "train_2"), ("train", "train-more")])
def test_zips_in_parts_are_found_as_the_error_says(small, tmp_path, names):
    first, rest = (tmp_path / "cifar10" / f"{name}.zip" for name in names)
    write_zip(first, small["train"].take(torch.arange(20)), tmp_path / "a")
    write_zip(rest, small["train"].take(torch.arange(20, 60)), tmp_path / "b", 100)
    write_zip(tmp_path / "cifar10" / "test.zip", small["test"], tmp_path / "c")
    for other in ("training-notes", "trainset", "tests"):  # begin alike and are something else
        (tmp_path / "cifar10" / f"{other}.zip").write_bytes(b"no zip")
    assert [len(part) for part in splits(load(tmp_path))] == [40, 20, 30]


def splits(data: Dataset) -> tuple[LabelledImages, ...]:
    return data.train, data.val, data.test


@pytest.mark.parametrize("place", ["cifar10.zip", "cifar10/cifar10.zip", "cifar-10.zip", "cifar-10/cifar-10.zip"])
@pytest.mark.parametrize("wrapper", ["", "cifar"])
def test_one_zip_may_hold_both_splits(small, tmp_path, place, wrapper):
    for split, data in small.items():
        write_folder(tmp_path / "folders" / "cifar10" / wrapper / split, data)
    write_one_zip(tmp_path / "zip" / place, tmp_path / "folders" / "cifar10")
    if wrapper:  # a folder too many, which only a zip may have
        (tmp_path / "folders" / "cifar10" / wrapper).rename(tmp_path / "folders" / "cifar-10")
    assert load(tmp_path / "zip").fingerprint == load(tmp_path / "folders").fingerprint
    assert Cifar10().check(tmp_path / "zip") == f"as images, in {tmp_path / 'zip' / place}"


def write_one_zip(path: Path, folder: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))


def test_folders_come_before_one_zip_and_a_zip_without_splits_is_passed_over(small, tmp_path):
    write_zip(tmp_path / "cifar10.zip", small["test"], tmp_path / "a")
    with pytest.raises(DataMissingError, match=r"train1\.zip.* one cifar10\.zip that holds train/ and test/"):
        load(tmp_path)
    (tmp_path / "cifar10.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"dataset 'cifar10': .*cifar10\.zip is no whole zip"):
        load(tmp_path)
    for split, data in small.items():
        write_folder(tmp_path / "cifar10" / split, data)
    assert len(load(tmp_path).test) == 30


def test_the_published_batches_come_first(small, tmp_path, monkeypatch):
    write_folder(tmp_path / "cifar10" / "train", small["test"])  # would be refused
    write_folder(tmp_path / "cifar10" / "test", small["test"])
    write_batches(tmp_path / "cifar-10-batches-py", small, monkeypatch)
    assert len(load(tmp_path).test) == 30


def test_subsets_are_nested_balanced_and_resampled(small, tmp_path):
    for split, data in small.items():
        write_folder(tmp_path / "cifar10" / split, data)
    whole, less = load(tmp_path), load(tmp_path, train_per_class=1, test_per_class=2)
    assert less.train.class_counts.tolist() == [1] * 10
    assert less.test.class_counts.tolist() == [2] * 10
    assert less.val.fingerprint == whole.val.fingerprint
    assert {i.numpy().tobytes() for i in less.train.images} < {i.numpy().tobytes() for i in whole.train.images}
    assert load(tmp_path, size=16).train.shape == (3, 16, 16)


def test_a_part_of_it_is_refused(small, tmp_path):
    write_folder(tmp_path / "cifar10" / "train", small["train"])
    write_folder(tmp_path / "cifar10" / "test", small["train"])
    with pytest.raises(
        DataError, match=r"cifar10', test: got 10 classes of 6 to 6 images.*expected 10 of 3.*imagefolder"
    ):
        load(tmp_path)


def test_a_damaged_batch_is_refused_by_name(small, tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    write_batches(folder, small, monkeypatch)
    (folder / "data_batch_2").write_bytes(b"not what it was")
    with pytest.raises(DataError, match=r"cifar-10-batches-py is damaged .* remove that folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("source", "archive", "md5"),
    [
        (Cifar10, "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
        (Cifar100, "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
    ],
)
def test_missing_images_are_named_with_places_remedy_and_checksum(tmp_path, source, archive, md5):
    with pytest.raises(DataMissingError) as raised:
        source(source.Config(download=False)).load(tmp_path)
    for words in (archive, md5, str(tmp_path / source.name), "download: false", "--data-dir"):
        assert words in str(raised.value)


def test_a_failed_download_says_why(tmp_path, monkeypatch):
    def fail(*arguments: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(published.CIFAR10, "download", fail)
    with pytest.raises(DataMissingError, match=r"download failed: .*no route to host"):
        load(tmp_path, download=True)


def test_a_download_is_used(small, tmp_path, monkeypatch):
    def fetch(self: published.CIFAR10) -> None:
        write_batches(Path(self.root) / "cifar-10-batches-py", small, monkeypatch)

    monkeypatch.setattr(published.CIFAR10, "download", fetch)
    assert len(load(tmp_path / "new", download=True).test) == 30


def test_repeats_between_train_and_test_are_counted(small, tmp_path, caplog):
    for split, data in small.items():
        write_folder(tmp_path / "cifar10" / split, data)
    with caplog.at_level(logging.WARNING):
        load(tmp_path)
    assert not caplog.messages
    repeated = small["train"].take(torch.arange(10)), small["test"].take(torch.arange(10, 30))
    write_folder(tmp_path / "cifar10" / "test", repeated[0])  # the first ten files, one a class
    with caplog.at_level(logging.WARNING):
        data = load(tmp_path)
    counts = [re.search(r"(\d+) of 30 test images are also in (\w+)", line) for line in caplog.messages]
    assert sum(int(count[1]) for count in counts if count) == 10
    assert all(count and count[2] in ("train", "val") for count in counts)
    assert len(data.test) == 30


@pytest.mark.parametrize("source", [Cifar10, Cifar100])
def test_more_images_than_there_are_cannot_be_asked_for(source):
    with pytest.raises(ValueError, match="images a class"):
        source.Config(train_per_class=450 if source is Cifar100 else 4900, val_per_class=200)


def test_all_of_cifar10_is_balanced_unique_and_the_same_for_everyone():
    if not (SHARED / "cifar10" / "test.zip").is_file():
        pytest.skip(f"CIFAR-10 is not in {SHARED / 'cifar10'}")
    data = Cifar10(Cifar10.Config()).load(SHARED)
    assert data.classes == CLASSES
    assert data.fingerprint == "08abb20aca65219d88870ab92a2f6b37c64aa6d878a2fbf2eb7cbffe77ce82a6"
    assert [part.class_counts.tolist() for part in (data.train, data.val, data.test)] == [
        [4500] * 10,
        [500] * 10,
        [1000] * 10,
    ]
    pixels = torch.cat([data.train.images, data.val.images, data.test.images]).flatten(1).numpy()
    assert len(np.unique(pixels.view("V3072"))) == 60_000
    # the mean pixel that everyone normalises CIFAR-10's training images by
    train = torch.cat([data.train.images, data.val.images])
    mean = torch.stack([train[:, channel].double().mean() for channel in range(3)]) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)


def one(value: int = 7) -> LabelledImages:
    return LabelledImages(torch.full((4, 1, 8, 8), value, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), ("a", "b"))


def test_images_are_decoded_once(tmp_path):
    calls = []

    def decode() -> LabelledImages:
        calls.append(1)
        return one()

    first, second = decoded({"what": 1}, decode), decoded({"what": 1}, decode)
    assert len(calls) == 1
    assert first.fingerprint == second.fingerprint == one().fingerprint
    decoded({"what": 2}, decode)
    assert len(calls) == 2


def many(count: int = 40) -> LabelledImages:
    images = torch.arange(count * 64).reshape(count, 1, 8, 8).to(torch.uint8)
    return decoded(
        {"what": "many", "count": count}, lambda: LabelledImages(images, torch.arange(count) % 2, ("a", "b"))
    )


@pytest.mark.parametrize("span", [slice(None), slice(0, 7), slice(5, 40), slice(3, 4)])
def test_neighbours_are_a_view_of_the_mapped_whole(span):
    data = many()
    index = torch.arange(40)[span]
    found = part(data, index)
    assert found.fingerprint == data.take(index).fingerprint
    assert found.images.untyped_storage().data_ptr() == data.images.untyped_storage().data_ptr()


@pytest.mark.parametrize("change", [None, Change("halve", lambda images: images // 2)])
@pytest.mark.parametrize("large", [0, 2**24])
def test_a_part_is_what_take_gives_and_is_kept_where_it_is_large(monkeypatch, change, large):
    monkeypatch.setattr(_decoded, "LARGE", large)
    data, index = many(), torch.tensor([0, 2, 3, 39])
    before = len(list(cache_folder().iterdir()))
    for _ in range(2):
        found = part(data, index, change)
        expected = data.images[index] if change is None else data.images[index] // 2
        assert found.images.equal(expected) and found.labels.equal(data.labels[index])
    assert len(list(cache_folder().iterdir())) == before + (large == 0)
    other = part(data, torch.tensor([0, 2, 3, 38]), change)
    assert not other.images.equal(found.images)


def test_nothing_is_a_part():
    assert len(part(many(), torch.arange(0))) == 0


def test_a_stray_write_stays_out_of_the_cache():
    decoded({"what": 1}, one).images.zero_()
    assert decoded({"what": 1}, one).fingerprint == one().fingerprint


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "about.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_entry_is_decoded_again(name, damage, caplog):
    decoded({"what": 1}, one)
    (file,) = cache_folder().glob(f"*/{name}")
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.unlink()
    if damage != "remove":
        file.write_bytes(raw if damage == "flip" else raw[: len(raw) // 2])
    with caplog.at_level(logging.WARNING):
        found = decoded({"what": 1}, one)
    assert found.fingerprint == one().fingerprint
    assert decoded({"what": 1}, lambda: pytest.fail("it was not mended")).fingerprint == one().fingerprint


def test_a_cache_that_cannot_be_written_costs_time_only(monkeypatch, caplog):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_decoded, "write_atomic", full)
    with caplog.at_level(logging.WARNING):
        assert decoded({"what": 1}, one).fingerprint == one().fingerprint
    assert "No space left on device" in caplog.text
    assert not list(cache_folder().iterdir())
