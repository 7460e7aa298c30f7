"""JSON with one item a line: small, and a change of one number is a change of one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping


def json_lines(head: Mapping[str, object], key: str, items: Iterable[object]) -> bytes:
    """``head`` and then ``key``: a list with one item a line.

    Args:
        head: The entries that come first, as JSON values; at least one.
        key: The list's name.
        items: JSON values.

    Raises:
        ValueError: If a number is not finite: such JSON is read by few.
    """
    opening = ",\n".join(f"{_compact(name)}: {_compact(value)}" for name, value in head.items())
    lines = ",\n".join(_compact(item) for item in items)
    return f"{{{opening},\n{_compact(key)}: [\n{lines}\n]}}\n".encode()


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
