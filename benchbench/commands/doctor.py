"""``benchbench doctor``: what is here and what is missing, with the remedy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from benchbench.commands.options import HERE_DATA, HERE_RUNS, DataDir, Debug, Plugins, RunsDir

COLOURS = {"ok": None, "missing": "yellow", "broken": "red"}


def doctor(
    plugin: Plugins = [],  # noqa: B006
    data_dir: DataDir = HERE_DATA,
    runs_dir: RunsDir = HERE_RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    debug: Debug = False,
) -> None:
    """Say what is here and what is missing: packages, devices, folders, plugins, data, weights, each with its remedy.

    Exit status 0: nothing is broken (some data may be missing); 1: something is.
    """
    from benchbench.runner.doctor import examine_machine
    from benchbench.text import printable

    found = []
    topic = ""
    for finding in examine_machine(data_dir, runs_dir, plugin):
        found.append(finding)
        if as_json:
            continue
        if finding.topic != topic:
            topic = finding.topic
            typer.echo(topic)
        line = f"  {finding.state:<8} {printable(finding.name)}: {printable(finding.text)}"
        typer.secho(line, fg=COLOURS[finding.state])
    missing, broken = (sum(finding.state == state for finding in found) for state in ("missing", "broken"))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        typer.echo(f"{missing} missing: what needs none of that runs")
        typer.echo(f"{broken} broken: to be mended first" if broken else "nothing is broken")
    if broken:
        raise typer.Exit(1)
