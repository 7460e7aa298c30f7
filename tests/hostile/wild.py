"""Inputs that nobody means well with, and what they must give: shared by the tests in this folder.

``BENCHBENCH_EXAMPLES=8`` tries eight times as many of them.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from benchbench.errors import BenchbenchError
from benchbench.store.files import array_bytes

WILD = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(80))
NAMES = st.text(max_size=30) | st.lists(
    st.sampled_from(
        ["|", "\\", "`", "<", ">", "\n", "\r", "\x1b[31m", "\u202e", "\u2028", "*", "_", "[", "](", "a", "=", "\x00",
         "&lt;", "-", "+", ".", "/", "..", "CON", " ", "\ud800", "#", "$", "~", "!", "é", "猫"]
    ),
    max_size=10,
).map("".join)  # fmt: skip
NUMBERS = st.integers(-2, 5) | st.sampled_from([2**31, 2**40, 2**63, 2**64, 10**30])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | NAMES | st.sampled_from(["a/0.png", "a/1.png", "b/0.png"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.just("labels"), inner, max_size=2),
    max_leaves=6,
)


def tried(what: Callable[[], object]) -> None:
    """Nothing but a result or a named error of at least a few words."""
    try:
        what()
    except BenchbenchError as error:
        assert len(str(error)) > 10


@st.composite
def mutated(draw: st.DrawFn, raw: bytes, start: int = 0) -> bytes:
    """Bytes flipped, put in, taken out, repeated or cut off, beyond ``start``."""
    changed = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(min(start, len(changed)), len(changed)))
        match draw(st.sampled_from(["flip", "flip", "word", "insert", "remove", "repeat", "cut"])):
            case "flip":
                changed[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "word":  # a length or an offset, as formats have them
                word = draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]))
                changed[place : place + 4] = word
            case "insert":
                changed[place:place] = draw(st.binary(min_size=1, max_size=6))
            case "remove":
                del changed[place : place + draw(st.integers(1, 20))]
            case "repeat":
                changed[place:place] = changed[place : place + 30]
            case "cut":
                del changed[place:]
    return bytes(changed)


IMAGES = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
LABELS = np.arange(12) % 3


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An npy file with any header."""
    text = header.encode("latin-1", "replace") + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + content


def array(values: Any) -> bytes:
    """The same as numpy writes it."""
    return array_bytes(np.asarray(values))


def zipped(files: Sequence[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with right checksums, whatever is in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, content in files:
            # As a ZipInfo: writestr fails on a name that is empty, or is once zipfile has cut it at a NUL.
            info = zipfile.ZipInfo(name) if isinstance(name, str) else name
            archive.writestr(info, content, method)
    return buffer.getvalue()


def picture(kind: str, mode: str = "RGB", size: int = 8) -> bytes:
    """An image file of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header, with a right checksum, says any size."""
    raw = bytearray(picture("PNG"))
    raw[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    return bytes(raw)


PICTURES = {
    (kind, mode): picture(kind, mode)
    for kind in ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "PCX", "ICO", "TGA")
    for mode in ("RGB", "L", "P")
    if (kind, mode) not in {("JPEG", "P"), ("WEBP", "P"), ("PPM", "P"), ("JPEG2000", "P")}
}
DTYPES = st.sampled_from(
    ["|u1", "<u1", "|b1", "<i8", ">i4", "<f8", "|O", "<U3", "|S0", "|V5", "<M8[s]", "x", "", "<U" + "9" * 20]
)
DESCR = (
    DTYPES.map(repr)
    | st.tuples(NAMES, DTYPES).map(lambda field: repr([field]))
    | st.sampled_from(
        ["[]", "[()]", "('<u1',)", "{'names': 1}", "[('a', '<u1', (2, 2))]", "None", "1", "('<u1', 2**9)"]
    )
)
SHAPE = st.lists(NUMBERS | st.sampled_from([12, 8, 3]), max_size=5).map(lambda shape: repr(tuple(shape)))
HEADERS = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}}}".format,
    DESCR, st.sampled_from(["False", "True", "1"]), SHAPE | st.sampled_from(["()", "(True,)", "(1.5,)", "None"]),
)  # fmt: skip
CONTENTS = st.sampled_from([*PICTURES.values(), b"", b"{}", b'{"labels": [["a/1.png", 0]]}', png_of(60_000, 1)])


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)
