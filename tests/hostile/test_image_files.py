"""Any image, any folder or zip of images and any dataset.json gives images or a sentence."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from wild import (
    CONTENTS,
    JSON,
    NAMES,
    NUMBERS,
    PICTURES,
    WILD,
    mutated,
    picture,
    png_of,
    tried,
    zipped,
)

from benchbench.datasets._folders import Place, read_image_folder
from benchbench.datasets._pixels import ImageFile, decode_images
from benchbench.datasets.imagefolder import ImageFolder
from benchbench.datasets.npz import Npz
from benchbench.datasets.parquet import Parquet
from benchbench.errors import BenchbenchError, DataError
from benchbench.runner.workspace import check_class_names

pytestmark = pytest.mark.usefixtures("own_cache")


def one_image(raw: bytes, size: int | None = None) -> torch.Tensor:
    return decode_images([ImageFile("x.png", lambda: raw)], "test", size)


@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize(
    "raw", [png_of(0, 8), png_of(8, 0), png_of(60_000, 60_000), png_of(2**31 - 1, 1), b"", b"GIF89a" + b"\0" * 7]
)
def test_images_of_no_size_or_any_size_are_a_sentence(raw: bytes, size: int | None) -> None:
    with pytest.raises(DataError, match=r"test: 1 of 1 images cannot be read: x\.png"):
        one_image(raw, size)


def test_no_program_is_run_to_decode_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("a program was to be run"))
    with pytest.raises(DataError, match="cannot identify image file"):
        one_image(picture("EPS"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "TGA", "PCX", "ICO"])
def test_the_formats_that_datasets_have_are_read(kind: str) -> None:
    raw = picture(kind, size=16)
    expected = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))
    assert np.array_equal(one_image(raw)[0].permute(1, 2, 0).numpy(), expected)


@settings(WILD, max_examples=examples(50))
@given(
    raw=st.sampled_from(list(PICTURES.values())).flatmap(mutated) | st.binary(max_size=60), size=st.none() | st.just(4)
)
def test_any_image_is_an_image_or_a_sentence(raw: bytes, size: int | None) -> None:
    tried(lambda: one_image(raw, size))


@pytest.mark.parametrize("source", [ImageFolder, Npz, Parquet])
@pytest.mark.parametrize("where", ["~nobody-is-called-this/x", "x" * 5000, "a\x00b", "\ud800", "/dev/null"])
def test_a_place_that_cannot_be_looked_at_is_a_sentence(tmp_path: Path, source: Any, where: str) -> None:
    with pytest.raises(BenchbenchError, match=f"dataset '{source.name}'|/dev/null"):
        source(source.Config(path=where)).load(tmp_path)


@settings(WILD, max_examples=examples(50))
@given(where=NAMES | st.text(alphabet="~/.ax\x00", max_size=8))
def test_any_place_gives_images_or_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # nor the whole of this user's
    (tmp_path / "data").mkdir(exist_ok=True)
    if not os.path.normpath(tmp_path / "data" / where).startswith(str(tmp_path)):
        where = where.lstrip("/.")  # no test reads the whole disk
    for source in (ImageFolder, Npz, Parquet):
        tried(lambda source=source: source(source.Config(path=where)).load(tmp_path / "data"))  # type: ignore[misc]


def test_a_large_file_in_a_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "x.png").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(DataError, match=r"1 of 1 images cannot be read: .*1099511627776 bytes"):
        read_image_folder([Place(tmp_path)], "test")
    (tmp_path / "a" / "x.png").rename(tmp_path / "dataset.json")
    with pytest.raises(DataError, match=r"dataset\.json cannot be read .*1099511627776 bytes"):
        read_image_folder([Place(tmp_path)], "test")


def understated(raw: bytes, size: int) -> bytes:
    """A zip of one member that says it is smaller than it is."""
    changed = bytearray(raw)
    for place in (22, changed.index(b"PK\x01\x02") + 24):
        changed[place : place + 4] = size.to_bytes(4, "little")
    return bytes(changed)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_understates_its_size_is_not_unpacked(tmp_path: Path, method: int) -> None:
    (tmp_path / "a.zip").write_bytes(understated(zipped([("a/x.png", bytes(2**26))], method), 100))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"images cannot be read|packed by method"):
            read_image_folder([Place(tmp_path / "a.zip")], "test")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("again", ["a/x.png", "a//x.png", "a/./x.png"])
def test_a_file_that_stands_twice_is_a_sentence(tmp_path: Path, again: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped([("a/x.png", picture("PNG")), (again, picture("PNG", "L"))]))
    with pytest.raises(DataError, match=r"a\.zip holds .*x\.png' twice"):
        read_image_folder([Place(tmp_path / "a.zip")], "test")


@pytest.mark.parametrize("start", [2**63, 2**62, 2**64 - 1])
def test_a_zip_directory_beyond_any_file_is_a_sentence(tmp_path: Path, start: int) -> None:
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, start, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    (tmp_path / "a.zip").write_bytes(end + locator + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0")
    with pytest.raises(DataError, match="is no whole zip"):
        read_image_folder([Place(tmp_path / "a.zip")], "test")


@pytest.mark.parametrize("depth", [*range(600, 1000, 8), 100_000])
def test_a_deep_dataset_json_is_a_sentence(tmp_path: Path, depth: int) -> None:
    index = '{"labels": [' + "[" * depth + "]" * depth + "]}"
    (tmp_path / "a.zip").write_bytes(zipped([("a/x.png", picture("PNG")), ("dataset.json", index.encode())]))
    with pytest.raises(DataError, match=r"cannot be read|has the label"):
        read_image_folder([Place(tmp_path / "a.zip")], "test")


def test_bytes_that_are_no_name_may_name_a_class_and_are_refused_later(tmp_path: Path) -> None:
    for kind in (b"\xff", b"ok"):
        folder = tmp_path / os.fsdecode(kind)
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.png").write_bytes(picture("PNG"))
    data = ImageFolder(ImageFolder.Config(path=str(tmp_path))).load(tmp_path)
    assert len(data.fingerprint) == 64
    with pytest.raises(DataError, match="letters that can be printed"):
        check_class_names(data.classes, "own")


MEMBERS = st.sampled_from(["a/1.png", "a/2.png", "b/1.png", "train/a/1.png", "test/a/1.png", "dataset.json", "x/"]) | (
    st.tuples(NAMES, st.sampled_from(["", "/1.png", ".png", "/", "\\..\\1.png"])).map("".join)
)


@settings(WILD, max_examples=examples(50))
@given(members=st.lists(st.tuples(MEMBERS, CONTENTS), max_size=6), method=st.sampled_from([0, 8, 12, 14]))
def test_a_zip_of_anything_gives_images_or_a_sentence(
    tmp_path: Path, members: list[tuple[str, bytes]], method: int
) -> None:
    names = [(name.encode("utf-8", "replace").decode(), content) for name, content in members]
    (tmp_path / "a.zip").write_bytes(zipped(names, method))
    tried(lambda: read_image_folder([Place(tmp_path / "a.zip")], "test", 4))
    tried(lambda: ImageFolder(ImageFolder.Config(path="a.zip", size=4)).load(tmp_path))


ZIPPED = zipped([(f"{kind}/{number}.png", picture("PNG")) for kind in "ab" for number in range(3)], zipfile.ZIP_STORED)


@settings(WILD, max_examples=examples(50))
@given(raw=mutated(ZIPPED) | mutated(ZIPPED, ZIPPED.index(b"PK\x01\x02")) | st.binary(max_size=60))
def test_any_zip_gives_images_or_a_sentence(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(raw)
    tried(lambda: read_image_folder([Place(tmp_path / "a.zip")], "test", 4))


ENTRIES = st.lists(st.tuples(st.sampled_from(["a/0.png", "a/1.png", "b/0.png"]) | JSON, NUMBERS | JSON), max_size=5)


@settings(WILD, max_examples=examples(50))
@given(index=JSON | ENTRIES.map(lambda labels: {"labels": labels}))
def test_any_dataset_json_gives_labels_or_a_sentence(tmp_path: Path, index: object) -> None:
    files = [(name, picture("PNG")) for name in ("a/0.png", "a/1.png", "b/0.png")]
    (tmp_path / "a.zip").write_bytes(zipped([*files, ("dataset.json", json.dumps(index).encode())]))
    tried(lambda: read_image_folder([Place(tmp_path / "a.zip")], "test"))
