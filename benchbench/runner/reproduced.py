"""The published numbers of a benchmark file beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchbench.config import PluginSpec, PublishedNumber
from benchbench.leaderboard import Board, Reproduction, reproduce
from benchbench.runner.collect import output_label
from benchbench.runner.workspace import Workspace


def reproductions(work: Workspace, boards: Sequence[Board]) -> list[Reproduction]:
    """One line a published number, in the file's order, beside the board of all training images."""
    whole = next((board for board in boards if board.setting.whole), None)
    level = work.benchmark.protocol.level
    return [
        found
        for published in work.benchmark.published
        for claim in published.numbers
        for found in reproduce(whole, published.source, claim, _label(work, claim), level)
    ]


def _label(work: Workspace, claim: PublishedNumber) -> str:
    """What a metric's number is called in the records; empty for any other number."""
    if claim.features is None:
        return ""
    metrics = (plugin.cls for plugin in work.registry.all() if plugin.kind == "metrics")
    output = next(output for metric in metrics for output in metric.outputs if output.key == claim.number)
    return output_label(work, output, PluginSpec(name=claim.features))
