"""``benchbench compare``: two runs, two versions of a generator, two machines."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.commands.options import Debug
from benchbench.errors import RequestError

if TYPE_CHECKING:
    from benchbench.api.compared import Change

Report = Annotated[Path, typer.Argument(help="The folder of a report.")]


def compare(
    first: Report,
    second: Report,
    rows: Annotated[
        list[str], typer.Option("--rows", metavar="A=B", help="Compare row A of the first with row B of the second.")
    ] = [],  # noqa: B006
    everything: Annotated[bool, typer.Option("--all", help="Also numbers that cannot be told apart.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Say what changed between two reports, in settings and in numbers, and what of it is beyond noise.

    Reports of unlike protocols are refused, naming the fields (exit status 2).
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from benchbench.api.compared import compare as compared

    names = dict(_pair(text) for text in rows)
    found = compared(first, second, names)
    if as_json:
        said = {"settings": found.settings, "changes": [asdict(one) for one in found.changes], "only": found.only}
        typer.echo(json.dumps(_finite(said), indent=2))
        return
    console = Console()
    for field, (before, after) in found.settings.items():
        line = f"{field}: {_short(before)} -> {_short(after)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for row, where in found.only:
        console.print(f"{row}: only in {where}", markup=False, highlight=False, soft_wrap=True)
    beyond = [one for one in found.changes if one.beyond_noise]
    shown = found.changes if everything else beyond
    table = Table("setting", "row", "number", "first", "second", "difference", "p", box=None)
    for one in shown:
        style = None if one.better is None else "green" if one.better else "red"
        table.add_row(*map(escape, (one.setting, one.row, one.metric, *_numbers(one))), style=style)
    if shown:
        console.print(table)
    console.print(_summary(found.changes, len(beyond)), markup=False, highlight=False, soft_wrap=True)


def _pair(text: str) -> tuple[str, str]:
    first, equals, second = text.partition("=")
    if not (first and equals and second):
        raise RequestError(f"--rows: got {text!r}, expected A=B")
    return first, second


def _summary(changes: tuple[Change, ...], beyond: int) -> str:
    """How many numbers were compared, how, and how many differ."""
    tested = [one for one in changes if not math.isnan(one.p_value)]
    if not tested:
        return f"{len(changes)} numbers compared; with one seed none can be told from noise"
    paired = sum(one.paired for one in tested)
    how = "seed by seed" if paired == len(tested) else "by means" if not paired else "seed by seed or by means"
    return f"{len(tested)} numbers compared {how}: {beyond} differ beyond noise (5 %, Holm-corrected)"


def _numbers(one: Change) -> tuple[str, str, str, str]:
    difference = f"{one.difference.mean:+.4g}"
    if math.isfinite(one.difference.low):
        difference += f" [{one.difference.low:+.4g}, {one.difference.high:+.4g}]"
    p_value = "-" if math.isnan(one.p_value) else f"{one.p_value:.3f}" if one.p_value >= 0.001 else "< 0.001"
    return f"{one.before:.4g}", f"{one.after:.4g}", difference, p_value


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
