"""Zips from strangers: looked through before anything is unpacked, and unpacked no further than they say."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from benchbench.errors import DataError

# What programs write by themselves. The others unpack a few bytes to gigabytes before anyone can count them.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def open_zip(path: Path, who: str, expected: str, largest_file: int, largest_total: int) -> zipfile.ZipFile:
    """The zip, once none of its members is what no program that packs a dataset writes.

    Args:
        path: The file.
        who: Named in errors.
        expected: What is to be in it, for errors.
        largest_file: Bytes that one member may declare.
        largest_total: Bytes that all of them together may.

    Raises:
        DataError: If it is no whole zip, or holds links, encrypted or absurdly large files, paths that lead out of it,
            or a path twice, of which programs unpack now the first and now the last.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":  # zipfile also takes a zip that is glued to the end of another file
                raise zipfile.BadZipFile("it does not begin as one")
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged one makes zipfile raise whatever it stumbles on
        raise DataError(
            f"{who}: {path} is no whole zip ({error}), expected {expected}; fetch or pack it again"
        ) from error
    seen: set[str] = set()
    for member in archive.infolist():
        fault = _fault(member, largest_file)
        if fault:
            raise DataError(f"{who}: {path} holds {fault}, {member.filename!r}; expected {expected} and nothing else")
        name = inner_path(member.filename)
        if name in seen and not member.filename.endswith("/"):
            raise DataError(f"{who}: {path} holds {member.filename!r} twice, expected every file once; pack it again")
        seen.add(name)
    packed, size = sum(member.compress_size for member in archive.infolist()), path.stat().st_size
    if packed > size:  # the same bytes, for several files or beyond the end
        raise DataError(f"{who}: {path} declares {packed} packed bytes in {size}; fetch or pack it again")
    total = sum(member.file_size for member in archive.infolist())
    if total > largest_total:
        raise DataError(f"{who}: {path} declares {total} bytes, expected at most {largest_total}")
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes, no more than it declares; that it ends there and is whole, ``zipfile`` checks.

    Raises:
        Exception: Whatever ``zipfile`` raises of a damaged one.
    """
    member = archive.getinfo(name)
    with archive.open(member) as file:
        # With a number: without one, all that is packed is unpacked, and then cut to what the member declares.
        return file.read(member.file_size + 1)


def inner_path(name: str) -> str:
    """A member's name as ``PurePosixPath`` would write it, in a tenth of the time: zips hold tens of thousands.

    Of a relative name, that is; the root itself is the empty string.
    """
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _fault(member: zipfile.ZipInfo, largest_file: int) -> str | None:
    """What is wrong with a member by its entry in the directory."""
    name = member.filename.replace("\\", "/")
    parts = inner_path(name).split("/")
    if name.startswith("/") or ".." in parts or ":" in parts[0]:
        return "a path that leads out of it"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link"
    if member.flag_bits & 1:
        return "an encrypted file"
    if member.file_size > largest_file:
        return f"a file of {member.file_size} bytes (at most {largest_file} are expected)"
    if member.compress_type not in METHODS:
        return f"a file packed by method {member.compress_type} (stored or deflated ones are expected)"
    return None
