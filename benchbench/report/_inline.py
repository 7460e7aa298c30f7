"""From the Markdown that this project writes to HTML: sentences, cells and tables; nothing that names could misuse."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

# An escaped mark stands for itself: it is hidden in the private-use area while the rest is read.
HIDDEN = 0xE000
ESCAPED = re.compile(r"\\([\\`*_\[\]|#~$])")
TOKENS = re.compile(
    r"\*\*(?P<strong>.+?)\*\*|\*(?P<em>.+?)\*|`(?P<code>[^`]*)`|\[(?P<text>[^\]]+)\]\((?P<link>#[^)]*)\)|(?P<br><br>)"
)
NUMBER = re.compile(r"^[≤≥]?\s*([+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)")


def inline(text: str) -> Markup:
    """A sentence or a cell as HTML: bold, emphasis, code, links within the page."""
    return _spans(ESCAPED.sub(lambda found: chr(HIDDEN + ord(found[1])), text))


def _spans(text: str) -> Markup:
    parts, end = [], 0
    for found in TOKENS.finditer(text):
        parts += [_plain(text[end : found.start()]), _span(found)]
        end = found.end()
    return Markup("").join([*parts, _plain(text[end:])])


def _span(found: re.Match[str]) -> Markup:
    if found["strong"]:
        return Markup("<strong>{}</strong>").format(_spans(found["strong"]))
    if found["em"]:
        return Markup("<em>{}</em>").format(_spans(found["em"]))
    if found["text"]:
        return Markup('<a href="{}">{}</a>').format(found["link"], _spans(found["text"]))
    return Markup("<br>") if found["br"] else Markup("<code>{}</code>").format(_plain(found["code"]))


def _plain(text: str) -> Markup:
    shown = re.sub("[\ue000-\ue07f]", lambda mark: chr(ord(mark[0]) - HIDDEN), text)
    return escape(shown.replace("&lt;", "<").replace("&gt;", ">"))


@dataclass(frozen=True)
class Cell:
    """A table's cell.

    Attributes:
        html: What it shows.
        value: The number that it begins with, as text that a program reads; empty where it shows none.
        name: Its text without marks.
    """

    html: Markup
    value: str
    name: str


@dataclass(frozen=True)
class Table:
    """A table read from Markdown.

    Attributes:
        headings: Of its columns.
        lines: Its lines, each as long as the headings.
    """

    headings: tuple[Cell, ...]
    lines: tuple[tuple[Cell, ...], ...]


def table(markdown: str) -> Table | None:
    """A pipe table; None where there is none.

    Args:
        markdown: As :func:`benchbench.report._tables.pipe_table` writes it.
    """
    lines = [_cells(line) for line in markdown.splitlines() if line.startswith("|")]
    return Table(lines[0], tuple(lines[2:])) if len(lines) > 2 else None


def _cells(line: str) -> tuple[Cell, ...]:
    hidden = ESCAPED.sub(lambda found: chr(HIDDEN + ord(found[1])), line)
    return tuple(_cell(part.strip()) for part in hidden.strip().strip("|").split("|"))


def _cell(text: str) -> Cell:
    html = _spans(text)
    name = html.striptags()
    number = NUMBER.match(name)
    return Cell(html, number[1].replace(",", "") if number else "", name)
