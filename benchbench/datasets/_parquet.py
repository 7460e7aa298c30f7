"""One parquet file of encoded images and labels: its columns found, its rows read a group at a time."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchbench.datasets._pixels import LARGEST_FILE, LARGEST_TOTAL, ImageFile
from benchbench.errors import DataError, DataMissingError

# Columns by the names that datasets give them.
IMAGES = ("image", "img")
LABELS = ("label", "labels", "fine_label")

# A column of equal labels packs into next to nothing, however long: a billion rows are an attack or a mistake.
MOST_ROWS = 2**27


class ParquetImages:
    """The images and labels of one file.

    Attributes:
        path: Of the file.
        image: Name of the column of images, ``struct<bytes: binary, ...>`` or ``binary``.
        label: Name of the column of labels, whole numbers.
        names: The class names by label from Hugging Face's ``ClassLabel``; None where the file has none.
    """

    def __init__(self, path: Path, image: str | None, label: str | None) -> None:
        """Read the file's footer and find its columns.

        Args:
            path: The file.
            image: The column's name; None finds it by its usual names, else by its type.
            label: The same for the labels.

        Raises:
            DataMissingError: If pyarrow is not installed.
            DataError: If it is no parquet file, is absurdly large, or has no such columns, or several.
        """
        self.path = path
        with self._faults():
            self._file = _pyarrow("pyarrow.parquet").ParquetFile(path, page_checksum_verification=True)
            schema = self._file.schema_arrow
            groups = [self._file.metadata.row_group(group) for group in range(self._file.num_row_groups)]
            self._rows: list[int] = [group.num_rows for group in groups]
            declared = sum(max(group.total_byte_size, 0) for group in groups)
        if declared > LARGEST_TOTAL or not 0 <= sum(self._rows) <= MOST_ROWS or min(self._rows, default=0) < 0:
            raise DataError(
                f"{path}: declares {declared} bytes and {sum(self._rows)} rows, expected at most {LARGEST_TOTAL} and "
                f"{MOST_ROWS}"
            )
        self.image = _column(schema, image, IMAGES, _holds_images, f"{path}: the images", "image")
        self.label = _column(schema, label, LABELS, _holds_labels, f"{path}: the labels", "label")
        self.names = _class_names(schema.metadata, self.label)

    def labels(self) -> npt.NDArray[Any]:
        """All labels ``(N,)``, whole numbers.

        Raises:
            DataError: If they cannot be read, or some are missing.
        """
        with self._faults():
            column = self._file.read(columns=[self.label]).column(0)
        if column.null_count or len(column) != sum(self._rows):
            raise DataError(
                f"{self.path}: {column.null_count} of {len(column)} labels are missing; unlabelled images cannot be "
                "benchmarked: remove these rows"
            )
        return np.asarray(column.to_numpy())

    def images(self) -> list[ImageFile]:
        """All images, in the order of the rows; read in that order, a group of rows is in memory at a time."""
        groups = _Groups(self._file, self.image)
        return [
            ImageFile(f"{self.path}, row {row} of group {group}", partial(groups.read, group, row))
            for group, rows in enumerate(self._rows)
            for row in range(rows)
        ]

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What a damaged file raises, by name."""
        try:
            yield
        except (OSError, ValueError, _pyarrow("pyarrow").ArrowException) as error:
            raise DataError(f"{self.path}: cannot be read as parquet ({error}); fetch it again") from error


class _Groups:
    """One column, of which the group of rows that was asked for last is kept."""

    def __init__(self, file: Any, column: str) -> None:
        self._file, self._column = file, column
        self._last: tuple[int, Any] | None = None

    def read(self, group: int, row: int) -> bytes:
        if self._last is None or self._last[0] != group:
            self._last = None  # freed before the next one is read
            self._last = group, self._file.read_row_group(group, columns=[self._column]).column(0)
        value = self._last[1][row].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise ValueError("the row holds no image; one that is named by a path is not looked for")
        if len(content) > LARGEST_FILE:
            raise ValueError(f"a file of {len(content)} bytes, expected at most {LARGEST_FILE}")
        return content


def _pyarrow(module: str) -> Any:
    """The module, an optional extra.

    Raises:
        DataMissingError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataMissingError(
            f"dataset 'parquet': pyarrow is not installed ({error}); pip install 'benchbench[parquet]'"
        ) from error


def _holds_images(kind: Any) -> bool:
    types = _pyarrow("pyarrow.types")
    if types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_images(kind.field(place).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _holds_labels(kind: Any) -> bool:
    return bool(_pyarrow("pyarrow.types").is_integer(kind))


def _column(
    schema: Any, wanted: str | None, usual: Sequence[str], fits: Callable[[Any], bool], who: str, key: str
) -> str:
    """The name of the one column that is meant."""
    held = ", ".join(f"{field.name} ({field.type})" for field in schema) or "no columns"
    if wanted is not None:
        found = [name for name in schema.names if name == wanted]
    else:
        found = [name for name in usual if name in schema.names] or [each.name for each in schema if fits(each.type)]
    if len(found) != 1 or schema.names.count(found[0]) != 1:
        seen = "none" if not found else f"several ({', '.join(found)})"
        raise DataError(
            f"{who} stand in one column, called {wanted or ' or '.join(usual)}; got {seen} among {held}; say which "
            f"with the dataset's config key {key!r}"
        )
    kind = schema.field(found[0]).type
    if not fits(kind):
        raise DataError(
            f"{who} are to stand in {found[0]!r}, which is {kind}; expected struct<bytes: binary, path: string> or "
            f"binary for images and whole numbers for labels; say which column with the dataset's config key {key!r}"
        )
    return str(found[0])


def _class_names(metadata: Mapping[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    """From what Hugging Face's ``datasets`` writes into the schema; anything else there says nothing."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    whole = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if whole else None
