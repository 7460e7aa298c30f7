"""Hugging Face's parquet folders: columns found, classes named, and every other form refused by name."""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchbench.datasets import _parquet, _pixels
from benchbench.datasets.parquet import Parquet
from benchbench.errors import DataError, DataMissingError
from benchbench.types import Dataset

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RANDOM = np.random.default_rng(0)
NAMES = ["cat", "dog", "emu"]


pytestmark = pytest.mark.usefixtures("own_cache")


def png(size: int = 8, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (size, size, 3), dtype=np.uint8)).convert(mode).save(buffer, "png")
    return buffer.getvalue()


def table(count: int = 12, names: list[str] | None = NAMES, **columns: Any) -> Any:
    """Rows as Hugging Face's ``datasets`` writes them; ``columns`` replace or join the usual two."""
    image = pa.array(
        [{"bytes": png(), "path": f"{row}.png"} for row in range(count)],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    held = {"image": image, "label": pa.array([row % 3 for row in range(count)], pa.int64()), **columns}
    found = pa.table({name: column for name, column in held.items() if column is not None})
    if names is None:
        return found
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write(path: Path, content: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, **options)
    return path


def load(path: Path, **config: object) -> Dataset:
    return Parquet(Parquet.Config.model_validate({"path": str(path), **config})).load(Path("nowhere"))


def pixels(content: Any) -> list[tuple[bytes, int]]:
    """Decoded here, a row at a time."""
    rows = zip(content.column("image").to_pylist(), content.column("label").to_pylist(), strict=True)
    return [
        (np.asarray(Image.open(io.BytesIO(image["bytes"]))).transpose(2, 0, 1).tobytes(), label)
        for image, label in rows
    ]


def held(*parts: Any) -> list[tuple[bytes, int]]:
    return [(i.numpy().tobytes(), label) for p in parts for i, label in zip(p.images, p.labels.tolist(), strict=True)]


@pytest.mark.parametrize("folder", ["data", "."])
@pytest.mark.parametrize("val", ["validation-00000-of-00001", "valid", None])
def test_splits_are_those_of_the_files_names(tmp_path, folder, val):
    parts = {"train-00000-of-00002": table(), "train-00001-of-00002": table(15), "test-00000-of-00001": table(6)}
    if val:
        parts[val] = table(9)
    for name, content in parts.items():
        write(tmp_path / folder / f"{name}.parquet", content, row_group_size=5)
    data = load(tmp_path)
    assert data.classes == ("cat", "dog", "emu")
    train = pixels(parts["train-00000-of-00002"]) + pixels(parts["train-00001-of-00002"])
    assert held(data.test) == pixels(parts["test-00000-of-00001"])
    if val:
        assert held(data.train) == train and held(data.val) == pixels(parts[val])
    else:
        assert sorted(held(data.train, data.val)) == sorted(train) and len(data.val) == 3


@pytest.mark.parametrize("name", ["images.parquet", "test.parquet"])
def test_one_file_is_a_pool(tmp_path, name):
    content = table(30, names=None)
    data = load(write(tmp_path / name, content))
    assert data.classes == ("0", "1", "2")
    assert sorted(held(data.train, data.val, data.test)) == sorted(pixels(content))
    assert [part.class_counts.tolist() for part in (data.train, data.val, data.test)] == [[6] * 3, [2] * 3, [2] * 3]


def test_images_are_decoded_once_and_again_when_the_file_changes(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", table())
    first = load(path).fingerprint
    with monkeypatch.context() as patch:
        patch.setattr(_parquet.ParquetImages, "images", lambda self: pytest.fail("decoded again"))
        assert load(path).fingerprint == first
    write(path, table())
    assert load(path).fingerprint != first


@pytest.mark.parametrize(
    ("columns", "config"),
    [
        ({"image": None, "img": True}, {}),
        ({"image": None, "picture": True}, {}),
        ({"image": None, "picture": True, "thumbnail": True}, {"image": "picture"}),
        ({"img": True}, {"image": "img"}),
        ({"label": None, "fine_label": False, "coarse_label": False}, {}),
        ({"label": None, "kind": False}, {}),
        ({"label": None, "kind": False, "row": False}, {"label": "kind"}),
    ],
)
def test_columns_are_found_or_named(tmp_path, columns, config):
    usual = table()
    content = table(
        **{
            name: None if images is None else usual.column("image" if images else "label")
            for name, images in columns.items()
        }
    )
    data = load(write(tmp_path / "a.parquet", content), **config)
    assert data.train.class_counts.tolist() == [2, 2, 2]


def test_images_may_be_plain_bytes(tmp_path):
    content = table()
    plain = pa.array([row["bytes"] for row in content.column("image").to_pylist()])
    same = load(write(tmp_path / "b.parquet", content.set_column(0, "image", plain))).fingerprint
    assert load(write(tmp_path / "a.parquet", content)).fingerprint == same


def test_size_crops_and_resizes(tmp_path):
    images = pa.array([{"bytes": png(9 + row), "path": None} for row in range(12)])
    path = write(tmp_path / "a.parquet", table(image=images))
    assert load(path, size=4).train.shape == (3, 4, 4)
    with pytest.raises(DataError, match=r"images of 12 sizes: .*'size' of 'imagefolder', 'parquet'"):
        load(path)


def struct(*values: bytes | None) -> Any:
    rows = [{"bytes": value, "path": "/etc/passwd"} for value in values]
    return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


GOOD = [png() for _ in range(11)]


@pytest.mark.parametrize(
    ("columns", "config", "words"),
    [
        ({"img": struct(*GOOD, png())}, {}, r"several \(image, img\) among image .*config key 'image'"),
        ({"labels": pa.array([0] * 12)}, {}, r"several \(label, labels\) among .*config key 'label'"),
        ({"image": None}, {}, r"the images stand in one column, called image or img; got none among label \(int64\)"),
        ({"label": None, "a": pa.array([0] * 12), "b": pa.array([1] * 12)}, {}, r"several \(a, b\)"),
        ({}, {"label": "kind"}, "called kind; got none among image"),
        ({}, {"label": "image"}, "'image', which is struct<.*expected .*whole numbers"),
        ({"label": pa.array(["cat"] * 12)}, {}, "'label', which is string"),
        ({"label": pa.array([None, *[0] * 11], pa.int64())}, {}, "1 of 12 labels are missing; unlabelled images"),
        ({"label": pa.array([-1] * 12)}, {}, r"got -1\.\.-1, .*unlabelled image"),
        ({"label": pa.array([7] * 12)}, {}, "names 3 different classes, but has labels up to 7"),
        ({"image": struct(*GOOD, None)}, {}, r"1 of 12 images cannot be read: .*row 11 of group 0 .*is not looked for"),
        ({"image": struct(*GOOD, b"?")}, {}, r"1 of 12 images cannot be read: .*row 11"),
        ({"image": struct(*GOOD, png()[:60])}, {}, "1 of 12 images cannot be read"),
    ],
)
def test_another_form_is_refused_by_name(tmp_path, columns, config, words):
    with pytest.raises(DataError, match=words):
        load(write(tmp_path / "a.parquet", table(**columns)), **config)


def test_an_empty_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="got no row in"):
        load(write(tmp_path / "a.parquet", table().slice(0, 0)))


def test_files_that_name_other_classes_are_refused(tmp_path):
    write(tmp_path / "train-0.parquet", table())
    write(tmp_path / "test-0.parquet", table(names=["dog", "cat", "emu"]))
    with pytest.raises(DataError, match=r"test-0\.parquet names other classes than .*train-0\.parquet"):
        load(tmp_path)


@pytest.mark.parametrize("checksum", ["", "-ea742e8cec99d6ca"])
def test_a_missing_part_is_named(tmp_path, checksum):
    write(tmp_path / f"train-00001-of-00003{checksum}.parquet", table())
    write(tmp_path / f"train-00002-of-00003{checksum}.parquet", table())
    with pytest.raises(DataError, match=r"got the parts 1, 2 of 3, .*fetch what is missing"):
        load(tmp_path)


def test_an_absurd_number_of_parts_is_named(tmp_path):
    write(tmp_path / f"train-00000-of-{10**18}.parquet", table())
    with pytest.raises(DataError, match=r"got the parts 0 of 1000000000000000000, "):
        load(tmp_path)


def test_a_part_of_another_time_is_named(tmp_path):
    for checksum in ("ea742e8cec99d6ca", "0d27a2b3e9d1f4c5"):
        write(tmp_path / f"train-00000-of-00002-{checksum}.parquet", table())
    with pytest.raises(DataError, match=r"got the parts 0, 0 of 2, .*remove what is double"):
        load(tmp_path)


def test_files_of_no_split_are_named_where_others_are(tmp_path, caplog):
    for name in ("train", "test", "extra"):
        write(tmp_path / f"{name}.parquet", table())
    with caplog.at_level(logging.WARNING):
        assert len(load(tmp_path).test) == 12
    assert "left out are 1 files of no split" in caplog.text and "extra.parquet" in caplog.text


def test_missing_places_and_splits_are_named(tmp_path):
    with pytest.raises(DataMissingError, match=r"no .*nowhere/parquet/data/\*\.parquet .*config key 'path'"):
        Parquet().load(Path("nowhere"))
    write(tmp_path / "main" / "plain_text" / "test-0.parquet", table())
    with pytest.raises(DataMissingError, match=r"there are some in .*plain_text"):
        load(tmp_path)
    for place in (tmp_path / "main", tmp_path / "main" / "plain_text"):
        with pytest.raises(DataError, match="plain_text: has parquet files of test, expected some of train"):
            load(place)


def test_the_folder_of_the_only_config_is_taken(tmp_path):
    """As huggingface.co/datasets/uoft-cs/cifar10 lies there."""
    parts = {"train": table(15), "test": table(6)}
    for split, content in parts.items():
        write(tmp_path / "plain_text" / f"{split}-00000-of-00001.parquet", content)
    write(tmp_path / ".cache" / "train.parquet", table())
    data = load(tmp_path)
    assert held(data.test) == pixels(parts["test"])
    assert sorted(held(data.train, data.val)) == sorted(pixels(parts["train"]))
    write(tmp_path / "other" / "train.parquet", table())
    write(tmp_path / "data" / "train.parquet", table())
    write(tmp_path / "data" / "test.parquet", table(9))
    assert len(load(tmp_path).test) == 9


@pytest.mark.parametrize("given", [".", "default"])
def test_splits_may_be_folders(tmp_path, caplog, given):
    """As Hugging Face's converter leaves them, in the branch refs/convert/parquet."""
    parts = {"train/0000": table(15), "train/0001": table(9), "test/0000": table(6), "test_b/some": table(3)}
    for name, content in parts.items():
        write(tmp_path / "default" / f"{name}.parquet", content)
    data = load(tmp_path / given)
    assert held(data.test) == pixels(parts["test/0000"])
    assert sorted(held(data.train, data.val)) == sorted(pixels(parts["train/0000"]) + pixels(parts["train/0001"]))
    assert "left out are 1 files of no split" in caplog.text and "test_b" in caplog.text
    (tmp_path / "default/train/0000.parquet").unlink()
    with pytest.raises(DataError, match=r"default/train: has no part 0000, but 0001, expected all .*or rename"):
        load(tmp_path / given)
    shutil.rmtree(tmp_path / "default/train")
    with pytest.raises(DataError, match=r"default: has .* of test, besides .*test_b.*expected some of train"):
        load(tmp_path / given)


def test_files_in_a_splits_folder_may_be_called_anything(tmp_path):
    parts = {"train/0000": table(15), "train/more": table(9), "test/test-00000-of-00001": table(6)}
    for name, content in parts.items():
        write(tmp_path / f"{name}.parquet", content)
    data = load(tmp_path)
    assert held(data.test) == pixels(parts["test/test-00000-of-00001"])
    assert len(data.train) + len(data.val) == 15 + 9


@pytest.mark.parametrize("folder", ["photos", "photos/train", "dev"])
def test_years_are_no_parts_and_the_given_folder_may_be_called_anything(tmp_path, folder):
    for year in (2019, 2021):
        write(tmp_path / folder / f"{year}.parquet", table())
    data = load(tmp_path / folder.partition("/")[0])
    assert sum(map(len, (data.train, data.val, data.test))) == 24
    alone = load(write(tmp_path / "train" / "0001.parquet", table()))
    assert sum(map(len, (alone.train, alone.val, alone.test))) == 12


def test_of_several_configs_one_is_to_be_named(tmp_path, monkeypatch):
    for config in ("cropped_digits", "full_numbers"):
        write(tmp_path / config / "train-00000-of-00001.parquet", table())
    monkeypatch.chdir(tmp_path.parent)  # what the error says to write is right from everywhere
    with pytest.raises(DataError, match=r"2 folders .*cropped_digits, full_numbers.*expected one.*'path'") as raised:
        Parquet(Parquet.Config(path=".")).load(Path(tmp_path.name))
    assert f"for example {tmp_path / 'cropped_digits'}" in str(raised.value)
    assert len(load(tmp_path / "cropped_digits").val) == 3


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", table())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataMissingError, match=r"pip install 'benchbench\[parquet\]'"):
        load(path)


@pytest.mark.parametrize(
    ("module", "bound", "words"),
    [
        (_parquet, "LARGEST_TOTAL", "declares .* bytes and 12 rows, expected at most 100"),
        (_parquet, "MOST_ROWS", "declares .* bytes and 12 rows"),
        (_parquet, "LARGEST_FILE", "12 of 12 images cannot be read: .*a file of .* bytes, expected at most"),
        (_pixels, "LARGEST_IMAGE", "12 of 12 images cannot be read: .*8 x 8 pixels, expected at most"),
    ],
)
def test_absurd_sizes_are_refused(tmp_path, monkeypatch, module, bound, words):
    monkeypatch.setattr(module, bound, 10 if bound != "LARGEST_TOTAL" else 100)
    with pytest.raises(DataError, match=words):
        load(write(tmp_path / "a.parquet", table()))


def original() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table(9), buffer)
    return buffer.getvalue()


def test_a_flipped_byte_is_found_where_the_file_has_checksums(tmp_path):
    path = write(tmp_path / "a.parquet", table(), write_page_checksum=True, compression="none")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"IDAT") + 20] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"12 of 12 images cannot be read: .*(checksum|CRC)"):
        load(path)


ORIGINAL = original()


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, len(ORIGINAL) - 1), value=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_gives_a_dataset_or_a_named_error(tmp_path, position, value, cut):
    raw = bytearray(ORIGINAL)
    raw[position] ^= value
    (tmp_path / "a.parquet").write_bytes(raw[:position] if cut else raw)
    try:
        assert isinstance(load(tmp_path / "a.parquet"), Dataset)
    except DataError as error:
        assert "parquet" in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), around=st.booleans())
def test_random_bytes_are_no_parquet_file(tmp_path, content, around):
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + content + b"PAR1" if around else content)
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load(tmp_path / "a.parquet")
