"""One's own images from folders and zips: read the same, refused by name, and never leading out of the archive."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchbench.datasets import _folders, _pixels
from benchbench.datasets._folders import Place, read_image_folder
from benchbench.datasets._zips import inner_path
from benchbench.datasets.imagefolder import ImageFolder
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Dataset

RANDOM = np.random.default_rng(0)


pytestmark = pytest.mark.usefixtures("own_cache")


def png(width: int = 8, height: int = 8, mode: str = "RGB") -> bytes:
    image = Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8))
    image = image.convert("I").convert(mode) if mode.startswith("I") else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def pool(count: int = 6, classes: tuple[str, ...] = ("cat", "dog")) -> dict[str, bytes]:
    return {f"{kind}/{number}.png": png() for kind in classes for number in range(count)}


def as_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
    return folder


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def load(path: Path, **config: object) -> Dataset:
    return ImageFolder(ImageFolder.Config.model_validate({"path": str(path), **config})).load(Path("nowhere"))


def test_a_folder_a_zip_and_a_wrapped_zip_are_the_same_dataset(tmp_path):
    files = pool()
    places = [
        as_folder(tmp_path / "folder", files),
        as_zip(tmp_path / "plain.zip", files),
        as_zip(tmp_path / "wrapped.zip", {f"pets/{name}": content for name, content in files.items()}),
    ]
    found = [load(place) for place in places]
    assert len({data.fingerprint for data in found}) == 1
    assert found[0].classes == ("cat", "dog")
    pixels = {np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1).tobytes() for content in files.values()}
    parts = (found[0].train, found[0].val, found[0].test)
    assert {image.numpy().tobytes() for part in parts for image in part.images} == pixels
    assert [part.class_counts.tolist() for part in parts] == [[4, 4], [1, 1], [1, 1]]


def test_splits_are_taken_as_they_are(tmp_path):
    as_folder(tmp_path, {f"train/{name}": content for name, content in pool(5).items()})
    as_folder(tmp_path, {f"valid/{name}": content for name, content in pool(2).items()})
    as_zip(tmp_path / "test.zip", pool(3))
    data = load(tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 4, 6]


def test_a_missing_val_is_carved_out_of_train(tmp_path):
    as_folder(
        tmp_path, {f"{split}/{name}": content for split in ("train", "test") for name, content in pool(5).items()}
    )
    data = load(tmp_path, val_share=0.4)
    assert [len(part) for part in (data.train, data.val, data.test)] == [6, 4, 10]


def test_what_is_no_image_is_passed_over(tmp_path):
    clutter = {"cat/.hidden.png": b"?", "cat/notes.txt": b"?", "__MACOSX/cat/1.png": b"?", ".git/x/1.png": b"?"}
    assert load(as_zip(tmp_path / "a.zip", pool() | clutter)).classes == ("cat", "dog")
    assert load(as_folder(tmp_path / "b", pool() | {k: v for k, v in clutter.items() if k[0] != "_"})).classes == (
        "cat",
        "dog",
    )


@pytest.mark.parametrize(("modes", "channels"), [(("L", "1"), 1), (("L", "RGB"), 3), (("P", "RGBA"), 3), (("LA",), 1)])
def test_channels_follow_the_images(tmp_path, modes, channels):
    files = {f"a/{number}.png": png(mode=modes[number % len(modes)]) for number in range(4)}
    assert read_image_folder([Place(as_folder(tmp_path, files))], "test").shape == (channels, 8, 8)


def test_grey_and_colour_splits_meet_in_colour(tmp_path):
    as_folder(tmp_path, {f"train/{name}": content for name, content in pool(5).items()})
    as_folder(tmp_path, {f"test/{kind}/{n}.png": png(mode="L") for kind in ("cat", "dog") for n in range(2)})
    assert load(tmp_path).test.shape == (3, 8, 8)


def test_size_crops_to_the_central_square_and_resizes(tmp_path):
    image = np.zeros((8, 16, 3), dtype=np.uint8)
    image[:, 4:12] = 200  # the central square
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    folder = as_folder(tmp_path, {"a/1.png": buffer.getvalue(), "a/2.png": png(9, 20)})
    found = read_image_folder([Place(folder)], "test", 4)
    assert found.shape == (3, 4, 4)
    assert found.images[0].eq(200).all()


def in_splits(*splits: str, count: int = 5) -> dict[str, bytes]:
    return {f"{split}/{name}": content for split in splits for name, content in pool(count).items()}


@pytest.mark.parametrize("wrapper", ["", "pets/"])
@pytest.mark.parametrize("splits", [("train", "test"), ("training", "valid", "testing"), ("train", "val")])
def test_splits_within_one_zip_are_those_of_the_same_directory(tmp_path, wrapper, splits):
    files = in_splits(*splits)
    folder = as_folder(tmp_path / "folder", files)
    zipped = as_zip(tmp_path / "a.zip", {f"{wrapper}{name}": content for name, content in files.items()})
    assert load(zipped).classes == load(folder).classes == ("cat", "dog")
    assert load(zipped).fingerprint == load(folder).fingerprint


@pytest.mark.parametrize("pack", [as_folder, as_zip])
@pytest.mark.parametrize("clutter", ["emu/", "emu/notes.txt", "emu/.hidden.png"])
def test_a_class_without_images_is_named(tmp_path, pack, clutter):
    place = pack(tmp_path / "own.zip", pool() | {clutter: b""})
    with pytest.raises(DataError, match=r"no image of the classes \['emu'\]"):
        load(place)


@pytest.mark.parametrize("pack", [as_folder, as_zip])
def test_a_class_without_images_in_a_split_is_named(tmp_path, pack):
    place = pack(tmp_path / "own.zip", in_splits("train", "test") | {"test/emu/notes.txt": b""})
    with pytest.raises(DataError, match=r"test: got no image of the classes \['emu'\]"):
        load(place)


@pytest.mark.parametrize("pack", [as_folder, as_zip])
@pytest.mark.parametrize("classes", [("train", "test"), ("train", "test", "bus"), ("train", "val")])
def test_classes_called_like_splits_are_named_with_both_readings(tmp_path, pack, classes):
    place = pack(tmp_path / "own.zip", pool(6, classes))
    with pytest.raises(DataError, match=r"directly in 'train'.*train/<class>/<image>.*class.*rename"):
        load(place)


def huge_header() -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""
    content = bytearray(png())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(content)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"notes.txt": b"?"}, "got no image"),
        (pool() | {"emu/notes.txt": b"?"}, r"no image of the classes \['emu'\]"),
        (pool() | {"cat/x.png": png(9, 7)}, r"images of 2 sizes: 8x8 \(12, as .*9x7 \(1, as .*x\.png\).*'size'"),
        (pool() | {"cat/x.png": png()[:60], "dog/y.png": b""}, r"2 of 14 images cannot be read: .*x\.png .*y\.png"),
        (pool() | {"cat/x.png": huge_header()}, r"1 of 13 images cannot be read"),
        (pool() | {"cat/x.png": png(mode="I;16")}, "more than 8 bits"),
        (pool(2), r"2 of 2 classes have too few images .*'cat' 2"),
    ],
)
def test_faults_are_named(tmp_path, files, words):
    with pytest.raises(DataError, match=words):
        load(as_folder(tmp_path / "own", files))


def test_splits_with_other_classes_are_refused(tmp_path):
    as_folder(tmp_path, {f"train/{name}": content for name, content in pool(4, ("cat", "dog", "emu")).items()})
    as_folder(tmp_path, {f"test/{name}": content for name, content in pool(2).items()})
    with pytest.raises(DataError, match=r"test: has no image of 1 classes .*\(emu\)"):
        load(tmp_path)


def test_a_missing_place_is_named_with_the_layout(tmp_path):
    with pytest.raises(DataMissingError, match=r"there is no .*images, expected .*<class>/<image>.*--data-dir"):
        ImageFolder(ImageFolder.Config()).load(tmp_path)


@pytest.mark.parametrize(
    "name", ["../cat/1.png", "cat/../../1.png", "/cat/1.png", "C:/cat/1.png", "..", "cat\\..\\..\\1.png"]
)
def test_zips_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="a path that leads out of it"):
        load(as_zip(tmp_path / "a.zip", pool() | {name: png()}))


def test_links_in_zips_are_refused(tmp_path):
    path = as_zip(tmp_path / "a.zip", pool())
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("cat/link.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=r"holds a link, 'cat/link\.png'"):
        load(path)


def test_a_member_without_a_name_is_passed_over(tmp_path):
    path = as_zip(tmp_path / "a.zip", pool())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"?")
    assert load(path).classes == ("cat", "dog")


def test_encrypted_files_in_zips_are_refused(tmp_path):
    path = as_zip(tmp_path / "a.zip", pool())
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory's entry of the first file
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.zip holds an encrypted file, 'cat/0\.png'"):
        load(path)


@pytest.mark.parametrize("kept", [0, 1, 30, 500, -1, -30])
def test_a_truncated_zip_is_refused(tmp_path, kept):
    (tmp_path / "a.zip").write_bytes(ORIGINAL[:kept])
    with pytest.raises(DataError, match=r"dataset 'imagefolder'.*a\.zip is no whole zip.*fetch or pack it again"):
        load(tmp_path / "a.zip")


@given(content=st.binary(max_size=400), start=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02"]))
def test_random_bytes_are_no_zip(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "random.zip"
    path.write_bytes(start + content)
    with pytest.raises(DataError):
        load(path)


@pytest.mark.parametrize("pack", [as_folder, as_zip])
def test_carved_splits_share_no_image_and_lose_none(tmp_path, pack):
    data = load(pack(tmp_path / "own.zip", pool(20)), val_share=0.2, test_share=0.3)
    parts = [{image.numpy().tobytes() for image in part.images} for part in (data.train, data.val, data.test)]
    assert [len(part) for part in parts] == [20, 8, 12]
    assert len(set.union(*parts)) == 40


def test_repeats_between_splits_are_counted_in_a_warning(tmp_path, caplog):
    files = in_splits("train", "val", "test")
    files |= {f"test/{name}": files[f"train/{name}"] for name in ("cat/1.png", "dog/1.png", "dog/2.png")}
    files["val/cat/0.png"] = files["test/cat/4.png"]
    with caplog.at_level(logging.WARNING):
        load(as_folder(tmp_path / "own", files))
    counts = [re.search(r"(\d+) of (\d+) (\w+) images are also in (\w+)", line) for line in caplog.messages]
    assert [count and count.groups() for count in counts] == [("3", "10", "test", "train"), ("1", "10", "test", "val")]


# --- labelled by dataset.json, as StyleGAN's and EDM's tools pack them ----------------------------------------------


def edm(count: int = 24, kinds: int = 12, **instead: object) -> dict[str, bytes]:
    """As dataset_tool.py writes it; twelve classes, so that 10 comes after 9 and not after 1."""
    names = [f"{number // 10:05}/img{number:08}.png" for number in range(count)]
    labels = [[name, number % kinds] for number, name in enumerate(names)]
    index = {"labels": labels, **instead}
    return {name: png() for name in names} | {"dataset.json": json.dumps(index).encode()}


@pytest.mark.parametrize("pack", [as_folder, as_zip])
def test_labels_are_those_of_dataset_json(tmp_path, pack):
    files = edm()
    data = read_image_folder([Place(pack(tmp_path / "edm.zip", files))], "test")
    assert data.classes == tuple(f"{label:02}" for label in range(12))
    label_of = dict(json.loads(files.pop("dataset.json"))["labels"])
    expected = {(np.asarray(Image.open(io.BytesIO(raw))).tobytes(), label_of[name]) for name, raw in files.items()}
    found = zip(data.images.permute(0, 2, 3, 1).numpy(), data.labels.tolist(), strict=True)
    assert {(image.tobytes(), label) for image, label in found} == expected


def test_splits_may_each_have_their_dataset_json(tmp_path):
    as_zip(tmp_path / "train.zip", edm(60))
    as_folder(tmp_path / "test", edm(24))
    data = load(tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == [48, 12, 24]


@pytest.mark.parametrize("pack", [as_folder, as_zip])
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, r"has no labels \(null\).*unlabelled images cannot be benchmarked"),
        ([], r"has no labels \(\[\]\)"),
        ([["00000/img00000000.png", 0]], r"no label of 23 of 24 images \(00000/img00000001\.png"),
        ([["../x.png", 0]], r"labels 1 files that are not there or are no images \(\.\./x\.png\)"),
        ([["00000/img00000000.png", [0.0, 1.0]]], r"has the label \[.*expected \[file, label\] with whole numbers"),
        ([["00000/img00000000.png", -1]], "whole numbers counted from 0"),
        ([["00000/img00000000.png", True]], "whole numbers counted from 0"),
        ([["00000/img00000000.png", 10**12]], "below 100000"),
        ([["00000/img00000000.png", 0], ["00000/img00000000.png", 1]], "the labels 0 and 1, expected one"),
        ({"00000/img00000000.png": 0}, "has the label"),
    ],
)
def test_a_dataset_json_that_does_not_label_every_image_is_refused(tmp_path, pack, labels, words):
    with pytest.raises(DataError, match=words):
        load(pack(tmp_path / "edm.zip", edm(labels=labels)))


def test_a_class_that_dataset_json_never_gives_is_named(tmp_path):
    files = edm(8, 2)
    labels = [[name, 0 if label == 0 else 3] for name, label in json.loads(files["dataset.json"])["labels"]]
    with pytest.raises(DataError, match=r"no image of the classes \['1', '2'\]"):
        load(as_zip(tmp_path / "edm.zip", files | {"dataset.json": json.dumps({"labels": labels}).encode()}))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_dataset_json_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"dataset\.json cannot be read"):
        load(as_zip(tmp_path / "edm.zip", edm() | {"dataset.json": content}))


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"name": "pets"}'])
def test_another_dataset_json_is_passed_over(tmp_path, content):
    assert load(as_zip(tmp_path / "a.zip", pool() | {"dataset.json": content})).classes == ("cat", "dog")
    splits = in_splits("train", "test") | {"dataset.json": content}
    assert load(as_folder(tmp_path / "own", splits)).classes == ("cat", "dog")


@pytest.mark.parametrize(("bound", "words"), [("LARGEST_FILE", "a file of"), ("LARGEST_TOTAL", "declares")])
def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch, bound, words):
    monkeypatch.setattr(_folders, bound, 100)
    with pytest.raises(DataError, match=words):
        load(as_zip(tmp_path / "a.zip", pool()))


def test_images_that_fill_the_memory_are_refused(tmp_path, monkeypatch):
    folder = as_folder(tmp_path / "own", pool())
    monkeypatch.setattr(_pixels, "LARGEST_TOTAL", 8 * 8 * 3 * 5)
    with pytest.raises(DataError, match="the images take over 960 bytes; set the config key 'size'"):
        load(folder)


def test_identity_follows_the_content_and_not_the_place(tmp_path):
    files = pool()
    one, two = as_zip(tmp_path / "a.zip", files), tmp_path / "elsewhere" / "b.zip"
    two.parent.mkdir()
    two.write_bytes(one.read_bytes())
    assert Place(one).identity() == Place(two).identity()
    folder = as_folder(tmp_path / "c", files)
    before = Place(folder).identity()
    (folder / "cat" / "0.png").write_bytes(png(20, 20))
    assert Place(folder).identity() != before


def test_a_changed_folder_is_read_again(tmp_path):
    folder = as_folder(tmp_path / "own", pool())
    before = load(folder).fingerprint
    as_folder(folder, {"cat/new.png": png()})
    assert load(folder).fingerprint != before


@settings(max_examples=examples(400), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(1, 255), cut=st.booleans(), whole=st.booleans())
def test_damaged_zips_and_images_give_a_dataset_or_a_named_error(tmp_path, position, value, cut, whole):
    raw = bytearray(ORIGINAL if whole else ONE)
    position %= len(raw)
    raw[position] ^= value
    damaged = bytes(raw[:position] if cut else raw)
    place = tmp_path / "a.zip"
    if whole:
        place.write_bytes(damaged)
    else:
        as_zip(place, {**SMALL, "cat/0.png": damaged})
    with contextlib.suppress(DataError):
        read_image_folder([Place(place)], "test")


SMALL = pool(3)
ONE = SMALL["cat/0.png"]


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in SMALL.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ORIGINAL = _zipped()


@settings(max_examples=examples(200))
@given(name=st.text(alphabet="ab./", max_size=12).filter(lambda name: not name.startswith("/")))
def test_paths_in_zips_are_what_pathlib_makes_of_them(name):
    assert inner_path(name) == ("" if PurePosixPath(name) == PurePosixPath() else str(PurePosixPath(name)))


def test_what_is_decoded_is_looked_through_once(tmp_path, monkeypatch):
    """Every cell of a run does so: a zip with splits in it is not listed for each of them."""
    path = as_zip(tmp_path / "a.zip", {f"{split}/{k}": v for split in ("train", "test") for k, v in pool().items()})
    first, opened, real = load(path), [], _folders.open_zip
    monkeypatch.setattr(_folders, "open_zip", lambda *given: opened.append(given[0]) or real(*given))
    assert load(path).fingerprint == first.fingerprint and opened == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_split_that_may_not_be_read_is_named(tmp_path):
    as_folder(tmp_path, {f"{split}/{k}": v for split in ("train", "test") for k, v in pool().items()})
    (tmp_path / "test").chmod(0)
    with pytest.raises(DataError, match="test cannot be looked through"):
        load(tmp_path)
