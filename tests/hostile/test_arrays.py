"""Any npz, npy, parquet and IDX file and any damaged cache gives images or a sentence."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from wild import (
    CONTENTS,
    HEADERS,
    IMAGES,
    JSON,
    LABELS,
    PICTURES,
    WILD,
    Trap,
    array,
    mutated,
    npy,
    picture,
    tried,
    zipped,
)

from benchbench.datasets import _decoded
from benchbench.datasets._idx import idx_header, read_idx
from benchbench.datasets.npz import Npz
from benchbench.datasets.parquet import Parquet
from benchbench.errors import DataError
from benchbench.types import Dataset, LabelledImages

pytestmark = pytest.mark.usefixtures("own_cache")


def load_npz(folder: Path, raw: bytes) -> Dataset:
    (folder / "a.npz").write_bytes(raw)
    return Npz(Npz.Config(path="a.npz")).load(folder)


@pytest.mark.parametrize(
    "files",
    [
        {"images.npy": array(IMAGES), "labels.npy": b"no array"},
        {"images.npy": array(IMAGES), "labels.npy": npy("{'descr': (")},
        {"images.npy": array(IMAGES), "labels.npy": npy("{'descr': ('<u1',), 'fortran_order': False, 'shape': (1,)}")},
        {"images.npy": npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({2**50},)}}"), "labels.npy": b""},
        {"images.npy": npy("(" * 4000), "labels.npy": array(LABELS)},
        {
            "images.npy": array(IMAGES),
            "labels.npy": array(LABELS),
            "classes.npy": npy("{'descr': '<U1', 'fortran_order': False, 'shape': (3,)}", b"\xff" * 12),
        },
        {"images.npy": array(IMAGES), "labels.npy": array(LABELS), "classes.npy": b"cat, dog, emu"},
    ],
    ids=["text", "token", "descr", "memory", "nested", "letters", "classes"],
)
def test_arrays_that_are_none_are_a_sentence(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match="expected an npz file of plain arrays"):
        load_npz(tmp_path, zipped(list(files.items())))


def test_an_npy_file_that_is_also_a_zip_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected an npz file"):
        load_npz(tmp_path, array(IMAGES) + zipped([("images.npy", array(IMAGES)), ("labels.npy", array(LABELS))]))


def test_an_array_that_stands_twice_is_a_sentence(tmp_path: Path) -> None:
    files = [("images.npy", array(IMAGES)), ("labels.npy", array(LABELS)), ("labels.npy", array(LABELS[::-1]))]
    with pytest.raises(DataError, match=r"holds 'labels\.npy' twice"):
        load_npz(tmp_path, zipped(files))


def test_no_object_array_is_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(trap)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"cannot be read .*expected an npz file of plain arrays"):
        load_npz(tmp_path, zipped([("images.npy", array(IMAGES)), ("labels.npy", buffer.getvalue())]))
    assert not trap.exists()


ARRAYS = (
    st.builds(npy, HEADERS | st.text("'(){}[]:,ab1 #\\\n", max_size=30), st.binary(max_size=100),
              st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"]))
    | st.sampled_from([array(IMAGES), array(LABELS), array(["a", "b", "c"]), array(LABELS[:, None]), array(7), b""])
    | st.sampled_from([array(IMAGES), array(LABELS)]).flatmap(mutated)
)  # fmt: skip
KEYS = st.sampled_from(
    ["images.npy", "labels.npy", "classes.npy", "images", "train_images.npy", "train_labels.npy", "test_images.npy",
     "test_labels.npy", "arr_0.npy", "arr_1.npy", "../x.npy", ".npy", ""]
)  # fmt: skip


@settings(WILD, max_examples=examples(50))
@given(
    images=st.just(array(IMAGES)) | ARRAYS,
    labels=st.just(array(LABELS)) | ARRAYS,
    more=st.lists(st.tuples(KEYS, ARRAYS), max_size=3),
    method=st.sampled_from([0, 8, 12, 14]),
)
def test_any_arrays_give_images_or_a_sentence(
    tmp_path: Path, images: bytes, labels: bytes, more: list[tuple[str, bytes]], method: int
) -> None:
    raw = zipped([("images.npy", images), ("labels.npy", labels), *more], method)
    tried(lambda: load_npz(tmp_path, raw))


ARCHIVE = zipped([("images.npy", array(IMAGES)), ("labels.npy", array(LABELS))])


@settings(WILD, max_examples=examples(50))
@given(raw=mutated(ARCHIVE) | mutated(ARCHIVE, ARCHIVE.index(b"PK\x01\x02")) | st.binary(max_size=60))
def test_any_npz_file_gives_images_or_a_sentence(tmp_path: Path, raw: bytes) -> None:
    tried(lambda: load_npz(tmp_path, raw))


def parquet(metadata: bytes | None = None, image: Any = None) -> bytes:
    """A parquet file of twelve rows."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = image if image is not None else pa.array([{"bytes": picture("PNG"), "path": "x"}] * 12, kind)
    table = pa.table({"image": rows, "label": pa.array([row % 3 for row in range(12)])})
    buffer = io.BytesIO()
    pq.write_table(table if metadata is None else table.replace_schema_metadata({"huggingface": metadata}), buffer)
    return buffer.getvalue()


def load_parquet(folder: Path, raw: bytes) -> Dataset:
    (folder / "a.parquet").write_bytes(raw)
    return Parquet(Parquet.Config(path="a.parquet")).load(folder)


@pytest.mark.parametrize("depth", [500, 990, 100_000])
def test_deep_metadata_names_no_class(tmp_path: Path, depth: int) -> None:
    assert load_parquet(tmp_path, parquet(b"[" * depth + b"]" * depth)).classes == ("0", "1", "2")


def test_a_column_whose_name_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.parquet"):
        load_parquet(tmp_path, parquet().replace(b"image", b"im\xffge").replace(b"label", b"l\xffbel"))


@settings(WILD, max_examples=examples(50))
@given(data=st.data())
def test_any_parquet_file_gives_images_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    raw = parquet()
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    tried(lambda: load_parquet(tmp_path, data.draw(mutated(raw) | mutated(raw, footer))))


@settings(WILD, max_examples=examples(50))
@given(data=st.data())
def test_any_rows_and_metadata_of_parquet_give_images_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    pa = pytest.importorskip("pyarrow")
    contents = st.none() | CONTENTS | st.binary(max_size=20) | st.sampled_from(list(PICTURES.values())).flatmap(mutated)
    rows = [data.draw(contents) if data.draw(st.booleans()) else picture("PNG") for _ in range(12)]
    names = data.draw(st.none() | JSON)
    metadata = {"info": {"features": {"label": {"names": names}}}} if data.draw(st.booleans()) else names
    raw = parquet(json.dumps(metadata).encode(), pa.array(rows, pa.binary()))
    tried(lambda: load_parquet(tmp_path, raw))


IDX = idx_header((12, 8, 8)) + IMAGES[:, 0].tobytes()


@settings(WILD, max_examples=examples(40))
@given(raw=mutated(IDX) | mutated(gzip.compress(IDX)) | mutated(IDX).map(gzip.compress) | st.binary(max_size=40))
def test_any_idx_file_gives_an_array_or_a_sentence(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x").write_bytes(raw)
    tried(lambda: read_idx(tmp_path / "x", (12, 8, 8)))


@settings(WILD, max_examples=examples(40))
@given(name=st.sampled_from(["images.npy", "labels.npy", "about.json"]), data=st.data())
def test_a_damaged_cache_gives_the_same_images(tmp_path: Path, name: str, data: st.DataObject) -> None:
    made = LabelledImages(torch.from_numpy(IMAGES), torch.from_numpy(LABELS), ("a", "b", "c"))
    _decoded.decoded({"of": "test"}, lambda: made)
    (entry,) = [path for path in _decoded.cache_folder().iterdir() if not path.name.startswith(".")]
    raw = (entry / name).read_bytes()
    other = st.one_of(mutated(raw), HEADERS.map(npy), JSON.map(lambda value: json.dumps(value).encode()))
    (entry / name).write_bytes(data.draw(other))
    assert _decoded.decoded({"of": "test"}, lambda: made).fingerprint == made.fingerprint
