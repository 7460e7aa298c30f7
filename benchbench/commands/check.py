"""``benchbench check``: the conformance suite on the command line."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from benchbench.commands.options import Debug, Plugins
from benchbench.errors import RequestError


def check(
    target: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A plugin's name, or a plugin file.")],
    plugin: Plugins = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Run the conformance suite that every generator of the project passes too.

    Exit status 0: no rule is broken; 1: one is; 2: there is no such plugin.
    """
    import torch

    from benchbench.discovery import load_registry
    from benchbench.testing import conformance, has_rules

    torch.set_num_threads(1)  # as in a cell's process: with tiny images, more threads only cost

    extra = [*plugin, *([target] if target.endswith(".py") else [])]
    registry = load_registry(extra)
    for broken in registry.broken:
        if broken.source in extra:
            raise RequestError(f"check: {broken.source} cannot be loaded: {broken.error}")
    named = [one for one in registry.all() if target in (one.name, one.source)]
    if not named:
        registry.get("generators", target)
    failed = 0
    for one in named:
        if not has_rules(one.cls):
            typer.echo(f"{one.name}: there are no rules for {one.kind}")
            continue
        findings = conformance(one.cls)
        for finding in findings:
            failed += finding.status == "failed"
            tail = f": {finding.seen}" if finding.seen else ""
            remedy = f"; {finding.remedy}" if finding.status == "failed" else ""
            typer.echo(f"{one.name}: {finding.rule}: {finding.status}{tail}{remedy}")
        counts = Counter(finding.status for finding in findings)
        typer.echo(f"{one.name}: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    if failed:
        raise typer.Exit(1)
