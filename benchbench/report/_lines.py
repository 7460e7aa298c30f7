"""JSON with one item a line: small, and a change of one number is a change of one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping


def json_lines(head: Mapping[str, object], **lists: Iterable[object]) -> bytes:
    """``head`` and then lists with one item a line.

    Args:
        head: The entries that come first, as JSON values; at least one.
        lists: The lists by name, of JSON values.

    Raises:
        ValueError: If a number is not finite: such JSON is read by few.
    """
    parts = [f"{_compact(name)}: {_compact(value)}" for name, value in head.items()]
    for name, items in lists.items():
        lines = ",\n".join(_compact(item) for item in items)
        parts.append(f"{_compact(name)}: [\n{lines}\n]")
    return ("{" + ",\n".join(parts) + "}\n").encode()


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
