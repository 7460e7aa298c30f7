"""Sentences made of numbers. Names in them are escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchbench.leaderboard import Board, Correlation, Dossier, Row, Worth
from benchbench.report._numbers import escape, worth_words


def distrust(boards: Sequence[Board]) -> list[str]:
    """What stands before all verdicts where a board is not to be trusted: a line each, one if all say the same."""
    if len(boards) == 1:
        return [f"**This board is not to be trusted:** {_reasons(boards[0])}."] if boards[0].warnings else []
    if boards[0].warnings and len({board.warnings for board in boards}) == 1:
        return [f"**None of these boards is to be trusted:** {_reasons(boards[0])}."]
    return [
        f"**The board of {escape(board.setting.text)} is not to be trusted:** {_reasons(board)}."
        for board in boards
        if board.warnings
    ]


def _reasons(board: Board) -> str:
    return "; ".join(map(escape, board.warnings))


def foremost(board: Board) -> Row | None:
    """The strict generator that the verdict speaks of; else the first one."""
    rows = board.of_track("strict")
    return next((row for row in rows if row.info.name == board.verdict.row), rows[0] if rows else None)


def worth_sentence(board: Board) -> str:
    """What the foremost generator's images are worth in real ones; empty where it was not measured."""
    row = foremost(board)
    if row is None:
        return ""
    name, real = row.info.name, board.setting.train_images
    alone, added = _trained(board, name, "synthetic", None), _trained(board, name, "mixed", row.ratio) - real
    images = f"{alone:,} synthetic images of {escape(name)}"
    said = _alone(images, row.worth_alone)
    if row.worth_added is not None:
        whose = f"{added:,} of them" if said else f"{added:,} synthetic images of {escape(name)}"
        said.append(_added(f"with {whose} added, the {real:,} real ones", row.worth_added))
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _alone(images: str, worth: Worth | None) -> list[str]:
    if worth is None:
        return []
    if worth.below and worth.above:
        return [f"what {images} alone are worth cannot be read off, seeds lie beyond both ends of the learning curve"]
    return [f"{images} alone train as well as {worth_words(worth)} real ones"]


def _added(images: str, worth: Worth) -> str:
    if worth.below and worth.above:
        return f"{images} are worth a number that cannot be read off, seeds lie beyond both ends of the learning curve"
    return f"{images} are worth {worth_words(worth)} real ones in all"


def copies_sentence(board: Board) -> str:
    """Which generators the memorization flag is up on; empty where it was not measured."""
    rows = [row for row in board.of_role("generator") if row.memorizes is not None]
    flagged = [escape(row.info.name) for row in rows if row.memorizes]
    if not rows:
        return ""
    if not flagged:
        return "No generator is seen to copy training images."
    return f"The memorization flag is up on {', '.join(flagged)}: among the samples are copies of training images."


def censored(board: Board) -> bool:
    """Whether some worth lies beyond an end of the learning curve."""
    found = [worth for row in board.rows for worth in (row.worth_alone, row.worth_added) if worth is not None]
    return any(worth.below or worth.above for worth in found)


def _trained(board: Board, name: str, arm: str, ratio: float | None) -> int:
    """Images in an arm's training set; as many as the real ones (or twice as many) where no record says."""
    for record in board.records:
        if (record.generator, record.arm, record.ratio) == (name, arm, ratio) and record.train_images is not None:
            return record.train_images
    return board.setting.train_images * (1 if arm == "synthetic" else 2)


def correlation_sentence(correlations: Sequence[Correlation]) -> str:
    """What the correlations of metrics with lift come to."""
    tested = [one for one in correlations if math.isfinite(one.rho.low)]
    if not tested:
        return "On fewer than four generators that differ there are no intervals: these numbers show nothing yet."
    sides = {
        "the better by it, the higher the lift": [one for one in tested if one.rho.low > 0],
        "the better by it, the lower the lift": [one for one in tested if one.rho.high < 0],
    }
    shown = [f"{escape(one.column.label)} ({what})" for what, found in sides.items() for one in found]
    if not shown:
        most = max(one.rho.n for one in tested)
        which = "The interval does not exclude" if len(tested) == 1 else f"None of the {len(tested)} intervals excludes"
        return f"{which} zero: on {most} generators no metric is shown to order them as lift does, or the other way."
    rest = len(tested) - len(shown)
    tail = f"; for {rest} of {len(tested)} metrics it does not" if rest else ""
    return f"The interval excludes zero for {', '.join(shown)}{tail}. Intervals are not widened for their number."


def seeds_sentence(dossier: Dossier, board: Board) -> str:
    """How the means and intervals were made."""
    subset = "" if board.setting.whole else " Each seed has its own subset of the training images."
    if len(board.seeds) == 1:
        return f"One seed: no intervals and no tests, so ranks say nothing yet.{subset}"
    return (
        f"Mean ± half-width of the {100 * dossier.level:g} % Student t interval over {len(board.seeds)} seeds "
        f"({', '.join(map(str, board.seeds))}); in parentheses the rank within the column. A rank is one plus the "
        "number of generators that are significantly better (paired t-tests over seeds, Holm-corrected over all "
        "pairs), so rows that cannot be told apart from the best share rank 1. Intervals and tests speak of seeds, on "
        f"this one set of test images.{subset}"
    )
