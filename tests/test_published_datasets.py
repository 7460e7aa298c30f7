"""MNIST, SVHN and what all published datasets share: sources that agree, unequal classes, downloads that fail."""

from __future__ import annotations

import gzip
import hashlib
import logging
import socket
import time
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from torchvision import datasets as published

from benchbench.datasets import _mnist_family, _published
from benchbench.datasets._idx import idx_header, idx_sha256
from benchbench.datasets._mnist_family import FILES, MnistFamily
from benchbench.datasets._published import Published
from benchbench.datasets.cifar import Cifar10, Cifar100
from benchbench.datasets.digits import CLASSES
from benchbench.datasets.fashion_mnist import FashionMnist
from benchbench.datasets.mnist import Mnist
from benchbench.datasets.svhn import Svhn
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Dataset, LabelledImages

EVERY = [Mnist, FashionMnist, Svhn, Cifar10, Cifar100]

# Unequal classes, as MNIST's and SVHN's are.
COUNTS = {"train": (4, 9, 5, 5, 6, 3, 4, 5, 7, 8), "test": (2, 3, 2, 4, 2, 2, 3, 2, 2, 5)}


pytestmark = pytest.mark.usefixtures("own_cache")


def some(source: type[Published]) -> dict[str, LabelledImages]:
    """Random images in the source's shape, in no order."""
    random = torch.Generator().manual_seed(0)
    made = {}
    for split, counts in COUNTS.items():
        labels = torch.repeat_interleave(torch.arange(10), torch.tensor(counts))
        labels = labels[torch.randperm(len(labels), generator=random)]
        images = torch.randint(256, (len(labels), *source.shape), generator=random, dtype=torch.uint8)
        made[split] = LabelledImages(images, labels, CLASSES)
    return made


@pytest.fixture(params=[Mnist, FashionMnist])
def idx(request, monkeypatch) -> type[MnistFamily]:
    return small_idx(request.param, monkeypatch)


def small_idx(source: type[MnistFamily], monkeypatch) -> type[MnistFamily]:
    """The source, made to expect the few images that ``some`` gives."""
    monkeypatch.setattr(source, "counts", COUNTS)
    monkeypatch.setattr(source, "system", None)
    monkeypatch.setattr(_mnist_family, "IMAGES", {split: sum(counts) for split, counts in COUNTS.items()})
    sums = {name: idx_sha256(array) for name, array in arrays(some(source)).items()}
    monkeypatch.setattr(source, "sha256", sums)
    return source


def arrays(made: dict[str, LabelledImages]) -> dict[str, np.ndarray]:
    found = {}
    for split, (images, labels) in FILES.items():
        found[images] = made[split].images[:, 0].numpy()
        found[labels] = made[split].labels.numpy().astype(np.uint8)
    return found


def write_idx(folder: Path, made: dict[str, LabelledImages], pack: bool) -> None:
    folder.mkdir(parents=True)
    for name, array in arrays(made).items():
        raw = idx_header(array.shape) + array.tobytes()
        (folder / f"{name}{'.gz' if pack else ''}").write_bytes(gzip.compress(raw) if pack else raw)


def write_mat(folder: Path, made: dict[str, LabelledImages], monkeypatch) -> None:
    """As published: (H, W, C, N), and the digit 0 called 10; torchvision is told the checksums of what stands there."""
    folder.mkdir(parents=True)
    listed = {}
    for split, data in made.items():
        labels = torch.where(data.labels == 0, 10, data.labels).to(torch.uint8)[:, None].numpy()
        path = folder / f"{split}_32x32.mat"
        scipy.io.savemat(path, {"X": data.images.permute(2, 3, 1, 0).numpy(), "y": labels})
        listed[split] = [f"http://nowhere/{path.name}", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(published.SVHN, "split_list", listed)


def write_folders(folder: Path, made: dict[str, LabelledImages], names: tuple[str, ...]) -> None:
    for split, data in made.items():
        for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
            place = folder / split / names[label] / f"{number:03}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(place)


def load(source: type[Published], data_dir: Path, **config: object) -> Dataset:
    return source(source.Config.model_validate({"val_per_class": 1, "download": False, **config})).load(data_dir)


def held(*parts: LabelledImages) -> set[tuple[bytes, int]]:
    return {(i.numpy().tobytes(), label) for p in parts for i, label in zip(p.images, p.labels.tolist(), strict=True)}


def check(data: Dataset, made: dict[str, LabelledImages]) -> None:
    assert held(data.train, data.val) == held(made["train"])
    assert held(data.test) == held(made["test"])
    assert data.val.class_counts.tolist() == [1] * 10
    assert data.train.class_counts.tolist() == [count - 1 for count in COUNTS["train"]]


@pytest.mark.parametrize("pack", [True, False])
def test_idx_files_give_their_images_and_labels(idx, tmp_path, pack):
    write_idx(tmp_path / idx.torchvision / "raw", some(idx), pack)
    data = load(idx, tmp_path)
    assert data.classes == idx.kinds
    check(data, some(idx))


def test_mnist_is_torchvisions_and_the_same_from_every_source(tmp_path, monkeypatch):
    source, made = small_idx(Mnist, monkeypatch), some(Mnist)
    write_idx(tmp_path / "raw" / "MNIST" / "raw", made, pack=False)
    theirs = published.MNIST(str(tmp_path / "raw"), train=False)
    data = load(source, tmp_path / "raw")
    assert held(data.test) == held(LabelledImages(theirs.data[:, None], theirs.targets, CLASSES))
    for names in (CLASSES, tuple("0123456789")):
        write_folders(tmp_path / names[0] / "mnist", made, names)
        assert load(source, tmp_path / names[0]).fingerprint == data.fingerprint


def test_fashion_mnist_is_not_taken_for_the_mnist_that_lies_in_the_data_folder(tmp_path, monkeypatch):
    source, made = small_idx(FashionMnist, monkeypatch), some(FashionMnist)
    others = {
        split: LabelledImages(255 - data.images, data.labels.flip(0), CLASSES) for split, data in some(Mnist).items()
    }
    write_idx(tmp_path / "data", others, pack=False)
    with pytest.raises(DataMissingError, match="it was not found"):
        load(source, tmp_path / "data")
    write_folders(tmp_path / "data" / "fashion_mnist", made, source.kinds)
    check(load(source, tmp_path / "data"), made)


def test_what_the_system_has_comes_after_ones_own_folders(tmp_path, monkeypatch):
    source, made = small_idx(FashionMnist, monkeypatch), some(FashionMnist)
    system = tmp_path / "system"
    write_idx(system, made, pack=True)
    monkeypatch.setattr(source, "system", (system, "dataset-fashion-mnist"))
    assert source().check(tmp_path) == f"as published, in {system}"
    check(load(source, tmp_path), made)
    write_folders(tmp_path / "fashion_mnist", made, source.kinds)
    assert source().check(tmp_path) == f"as images, in {tmp_path / 'fashion_mnist'}"
    check(load(source, tmp_path), made)


def test_fashion_mnist_from_folders_says_that_its_order_is_another(tmp_path, monkeypatch, caplog):
    source = small_idx(FashionMnist, monkeypatch)
    write_folders(tmp_path / "fashion_mnist", some(source), FashionMnist.kinds)
    with caplog.at_level(logging.WARNING):
        data = load(source, tmp_path)
    check(data, some(source))
    assert data.classes == FashionMnist.kinds
    assert "do not tell the order it was published in" in caplog.text


def test_folders_of_other_classes_are_refused(tmp_path, monkeypatch):
    source = small_idx(Mnist, monkeypatch)
    write_folders(tmp_path / "mnist", some(source), tuple("abcdefghij"))
    with pytest.raises(DataError, match=r"'mnist', train: got the classes a, b, .* expected zero, one, .* or 0 to 9"):
        load(source, tmp_path)


def test_svhn_is_torchvisions_and_the_same_from_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(Svhn, "counts", COUNTS)
    made = some(Svhn)
    write_mat(tmp_path / "mat", made, monkeypatch)
    data = load(Svhn, tmp_path / "mat")
    check(data, made)
    theirs = published.SVHN(str(tmp_path / "mat"), split="test")
    assert held(data.test) == held(
        LabelledImages(torch.from_numpy(theirs.data), torch.from_numpy(theirs.labels), CLASSES)
    )
    write_folders(tmp_path / "folders" / "svhn", made, CLASSES)
    assert load(Svhn, tmp_path / "folders").fingerprint == data.fingerprint
    (tmp_path / "mat" / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file, of somebody else")
    with pytest.raises(DataError, match=r"train_32x32\.mat is damaged or is another file \(expected MD5 \w{32}\)"):
        load(Svhn, tmp_path / "mat")


def test_subsets_of_unequal_classes_are_balanced_and_nested(tmp_path, monkeypatch):
    source = small_idx(Mnist, monkeypatch)
    write_idx(tmp_path / "MNIST" / "raw", some(source), pack=True)
    whole, less = load(source, tmp_path), load(source, tmp_path, train_per_class=2, test_per_class=1)
    assert less.train.class_counts.tolist() == [2] * 10 and less.test.class_counts.tolist() == [1] * 10
    assert held(less.train) < held(whole.train) and less.val.fingerprint == whole.val.fingerprint
    assert load(source, tmp_path, size=14).test.shape == (1, 14, 14)


@pytest.mark.parametrize("source", EVERY)
def test_no_more_can_be_asked_for_than_the_smallest_class_has(source):
    train, test = min(source.counts["train"]), min(source.counts["test"])
    source.Config(train_per_class=train - 1, val_per_class=1, test_per_class=test, size=source.shape[-1])
    for wrong in (
        {"train_per_class": train, "val_per_class": 1},
        {"test_per_class": test + 1},
        {"size": source.shape[-1] + 1},
        {"val_per_class": train},
    ):
        with pytest.raises(ValueError, match=r"less than|images a class"):
            source.Config(**wrong)
    assert "download" not in source.Config().model_dump()


def test_published_sizes_add_up():
    assert {source.name: {split: sum(n) for split, n in source.counts.items()} for source in EVERY} == {
        "mnist": {"train": 60_000, "test": 10_000},
        "fashion_mnist": {"train": 60_000, "test": 10_000},
        "svhn": {"train": 73_257, "test": 26_032},
        "cifar10": {"train": 50_000, "test": 10_000},
        "cifar100": {"train": 50_000, "test": 10_000},
    }


# --- downloads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch):
    def fail(*arguments: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", fail)


@pytest.mark.parametrize("source", EVERY)
def test_a_failed_download_names_reason_place_remedy_and_checksum(source, tmp_path, monkeypatch, offline):
    if source is FashionMnist:
        monkeypatch.setattr(source, "system", (tmp_path / "system", "dataset-fashion-mnist"))
    with pytest.raises(DataMissingError) as raised:
        source().load(tmp_path)
    text = str(raised.value)
    assert text.startswith(f"dataset {source.name!r}: it was not found, and the download failed: ")
    assert "no route to host" in text and "\n" not in text
    sums = getattr(source, "sha256", {}).values() or (
        [entry[2] for split, entry in published.SVHN.split_list.items() if split != "extra"]
        if source is Svhn
        else [source()._published().tgz_md5]
    )
    for words in (*sums, str(tmp_path / source.folders[0]), "<class>/<image>.png", "--data-dir"):
        assert words in text


def test_a_download_is_used(idx, tmp_path, monkeypatch):
    def fetch(self: published.MNIST) -> None:
        write_idx(Path(self.raw_folder), some(idx), pack=False)

    monkeypatch.setattr(getattr(published, idx.torchvision), "download", fetch)
    check(load(idx, tmp_path / "new", download=True), some(idx))


def test_a_download_that_is_not_whole_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Mnist, "fetch", lambda self, data_dir: None)
    with pytest.raises(DataMissingError, match=r"'mnist': the download is not whole\. No folder has its four files"):
        load(Mnist, tmp_path, download=True)


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    """A real one, on this machine, that accepts and never answers."""
    monkeypatch.setattr(_published, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(published.MNIST, "mirrors", [address])
        before, start = socket.getdefaulttimeout(), time.monotonic()
        with pytest.raises(DataMissingError, match=r"download failed: .*timed out"):
            load(Mnist, tmp_path, download=True)
    assert time.monotonic() - start < 20
    assert socket.getdefaulttimeout() == before
