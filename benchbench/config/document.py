"""A YAML file as plain values, with the line of every key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from benchbench.errors import BenchmarkFileError, Problem, RequestError

# A benchmark file is written by hand; anything beyond this is a mistake or an attack.
MAX_BYTES = 1_000_000
MAX_NODES = 20_000
MAX_DEPTH = 50
# Digits of a number: Python takes minutes over some of a million, and refuses to print those above 4300.
MAX_DIGITS = 400
# Of a list, in KEY of --set.
INDEX = re.compile(r"[0-9]{1,6}")

Path_ = tuple[str | int, ...]
OVERRIDE = "--set"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def dotted(path: Path_) -> str:
    """``("generators", 0, "config")`` as ``generators[0].config``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(top)"


@dataclass
class Document:
    """A parsed file.

    Attributes:
        source: The file's name as the user gave it.
        data: Its values.
        lines: The 1-based line of every key and list item, by path.
        overrides: Paths that came from ``--set``.
        problems: Faults found while reading: repeated keys.
    """

    source: str
    data: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    overrides: set[Path_] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path_, message: str, hint: str = "") -> Problem:
        """A problem at ``path``, or at the nearest path above it that has a line."""
        from_option = any(
            path[: len(override)] == override or (override[: len(path)] == path and path not in self.lines)
            for override in self.overrides
        )
        if path and from_option:
            return Problem(OVERRIDE, None, dotted(path), message, hint)
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return Problem(self.source, self.lines[path[:length]], dotted(path), message, hint)
        return Problem(self.source, None, dotted(path), message, hint)


def read_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Parse ``path`` without executing anything, then apply ``KEY=VALUE`` overrides.

    Raises:
        RequestError: If the file cannot be read or is too large.
        BenchmarkFileError: If it is not YAML, or an override is not ``KEY=VALUE``.
    """
    document = Document(str(path))
    _parse(_read_text(path), document)
    for override in overrides:
        _apply(document, override)
    return document


def _parse(text: str, document: Document) -> None:
    """Fill in values, lines and problems.

    Raises:
        BenchmarkFileError: If it is not YAML, or not of the kind that people write.
    """
    try:
        _check_events(text, document)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document.data = _Reader(document).value(root, ()) if root is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        message = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BenchmarkFileError([Problem(document.source, line, "(syntax)", f"not valid YAML: {message}")]) from None


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # not asked for its size: a device has none, and never ends
        if len(content) > MAX_BYTES:
            raise RequestError(f"{path}: got a larger file, expected a benchmark file of at most {MAX_BYTES} bytes")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file; a benchmark is a YAML file, e.g. benchmarks/digits.yaml") from None
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def _check_events(text: str, document: Document) -> None:
    """Refuse aliases (a few lines of them can unfold to gigabytes), deep nests and endless lists."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            raise BenchmarkFileError(
                [
                    Problem(
                        document.source,
                        line,
                        "(syntax)",
                        f"got the alias *{event.anchor}, expected none",
                        "write it out",
                    )
                ]
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            what = f"more than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            raise BenchmarkFileError(
                [Problem(document.source, line, "(syntax)", f"got {what}, expected a file for people")]
            )


class _Reader:
    """Turns YAML nodes into values and notes their lines."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constructor = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_TAGS:
            self.document.problems.append(self.document.problem(path, f"got the tag {node.tag}, expected plain values"))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path_) -> Any:
        try:
            if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
                raise ValueError(f"a number of {len(node.value)} letters, expected at most {MAX_DIGITS}")
            value = self.constructor.construct_object(node)
        except Exception as error:  # a tag whose value is not of its kind makes PyYAML raise whatever it stumbles on
            message = getattr(error, "problem", None) or f"expected a value of the kind {node.tag} ({error})"
            self.document.problems.append(self.document.problem(path, f"cannot be read: {message}"))
            return None
        if value is None or isinstance(value, str | int | float | bool):
            return value
        return str(node.value)  # dates and the like: benchmark files have none, so take the text

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            below = (*path, key)
            line = key_node.start_mark.line + 1
            if key in result:
                first = self.document.lines[below]
                self.document.problems.append(
                    Problem(self.document.source, line, dotted(below), f"stands twice, first in line {first}")
                )
                continue
            self.document.lines[below] = line
            result[key] = self.value(value_node, below)
        return result


def _apply(document: Document, override: str) -> None:
    """Set one value from ``KEY=VALUE``; KEY as in ``budget.max_steps`` or ``generators[0].config.steps``."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise BenchmarkFileError([Problem(OVERRIDE, None, override, "expected KEY=VALUE, e.g. budget.max_steps=100")])
    path: Path_ = tuple(
        int(part) if INDEX.fullmatch(part) else part for part in key.replace("]", "").replace("[", ".").split(".")
    )
    if len(text) > MAX_BYTES:
        message = f"got {len(text)} letters, expected at most {MAX_BYTES}"
        raise BenchmarkFileError([Problem(OVERRIDE, None, key, message)])
    given = Document(OVERRIDE)
    try:
        _parse(text, given)
        problems: Sequence[Problem] = given.problems
    except BenchmarkFileError as error:
        problems = error.problems
    document.problems += [replace(problem, line=None, key=key) for problem in problems]
    if problems:
        return  # told with all others
    if not _set(document.data, path, given.data):
        raise BenchmarkFileError([Problem(OVERRIDE, None, key, "no such place in the benchmark file")])
    document.overrides.add(path)


def _set(data: Any, path: Path_, value: Any) -> bool:
    """Set ``value`` at ``path``, making mappings on the way; False where the path does not fit the data."""
    here = data
    for part, following in pairwise(path):
        if _fits_list(here, part):
            if isinstance(here[part], str) and isinstance(following, str):
                here[part] = {"name": here[part]}  # a bare name is short for this
        elif isinstance(here, dict) and isinstance(part, str):
            if here.get(part) is None:
                here[part] = {}
            elif isinstance(here[part], str) and isinstance(following, str):
                here[part] = {"name": here[part]}
        else:
            return False
        here = here[part]
    last = path[-1]
    if not (_fits_list(here, last) or (isinstance(here, dict) and isinstance(last, str))):
        return False
    here[last] = value
    return True


def _fits_list(here: Any, part: str | int) -> bool:
    return isinstance(here, list) and isinstance(part, int) and part < len(here)
