"""Sentences made of numbers. Names in them are escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchbench.leaderboard import Board, Column, Correlation, Dossier, Row, Worth
from benchbench.leaderboard.build import TREATMENTS
from benchbench.leaderboard.trust import COPIED_SHARE
from benchbench.leaderboard.verdict import describe
from benchbench.report._numbers import TOO_FEW, escape, readable, worth_words
from benchbench.report._tables import FRECHET_OF_CLASS, too_few


def distrust(boards: Sequence[Board]) -> list[str]:
    """What stands before all verdicts where a board is not to be trusted: a line each, one if all say the same."""
    if len(boards) == 1:
        return [f"**This board is not to be trusted:** {reasons(boards[0])}."] if boards[0].warnings else []
    if boards[0].warnings and len({board.warnings for board in boards}) == 1:
        return [f"**None of these boards is to be trusted:** {reasons(boards[0])}."]
    return [
        f"**The board of {escape(board.setting.text)} is not to be trusted:** {reasons(board)}."
        for board in boards
        if board.warnings
    ]


def reasons(board: Board) -> str:
    """Why a board is not to be trusted; empty where it is."""
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
        said.append(_added(f"with {whose} added, the {real:,} real ones", row.worth_added, real))
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _alone(images: str, worth: Worth | None) -> list[str]:
    if worth is None:
        return []
    if not readable(worth):
        return [f"what {images} alone are worth cannot be read off from {worth.n} seeds"]
    return [f"{images} alone train as well as {worth_words(worth)} real ones"]


def _added(images: str, worth: Worth, real: int) -> str:
    if not readable(worth):
        return f"{images} are worth a number that cannot be read off from {worth.n} seeds"
    if worth.above and round(worth.value if math.isnan(worth.low) else worth.low) < real:
        # "At least" fewer than there are says nothing.
        return f"{images} are worth a number that cannot be read off: in some seeds it lies beyond their curve"
    return f"{images} are worth {worth_words(worth)} real ones in all"


def scale_sentence(board: Board) -> str:
    """What the best and the worst that could be added give, by which the generators' lifts are to be read."""
    said = [
        f"{'held-out real images' if row.info.expected == 'best' else 'noise'} ({escape(row.info.name)}) "
        f"{escape(describe(row.values['lift']))}"
        for row in board.of_role("control")
        if row.info.expected in ("best", "worst") and "lift" in row.values
    ]
    return f"For scale, what adding other images gives: {'; '.join(sorted(said))}." if said else ""


def copies_sentence(board: Board) -> str:
    """Which generators the memorization flag is up on; empty where it was not measured."""
    rows = [row for row in board.of_role("generator") if row.memorizes is not None]
    flagged = [escape(row.info.name) for row in rows if row.memorizes]
    if not rows:
        return ""
    if not flagged:
        return "The memorization flag is up on no generator; no flag is no proof of privacy."
    whose = "its samples" if len(flagged) == 1 else "the samples of each"
    return (
        f"The memorization flag is up on {', '.join(flagged)}: significantly more than {100 * COPIED_SHARE:g} % of "
        f"{whose} lie as near to single training images as copies do."
    )


def classical_sentence(board: Board) -> str:
    """The verdict where real images are augmented classically, and what that gives by itself; empty if not measured."""
    if board.beside_classical is None:
        return ""
    alone = next((row.values.get("lift") for row in board.rows if row.info.name == TREATMENTS["classical"]), None)
    tail = "" if alone is None else f"; classical augmentation alone: {describe(alone)}"
    return f"Beside classical augmentation: {escape(board.beside_classical.text)}{escape(tail)}."


def dagger_note(dossier: Dossier, columns: Sequence[Column]) -> str:
    """What the mark at Fréchet distances on too few images means; empty where none of the columns bears it."""
    by_class = [column.output == FRECHET_OF_CLASS for column in columns if too_few(dossier, column)]
    if not by_class:
        return ""
    who = "n, the number of images of a class," if all(by_class) else "n"
    if any(by_class) and not all(by_class):
        who = "n (of a distance by class: the number of images of a class)"
    return f"{TOO_FEW} {who} is below 2d: such a Fréchet distance is mostly bias."


def given_note(board: Board) -> str:
    """Which rows are images that were made elsewhere, and what follows from it; empty where there are none."""
    names = [escape(row.info.name) for row in board.rows if row.info.given]
    if not names:
        return ""
    guessed = any(row.info.given and row.info.labels == "pseudo_label" for row in board.rows)
    labels = " `pseudo_label`: they came without labels, and a classifier of the real images gave them some."
    return (
        f"Images made elsewhere, not fitted here: {', '.join(names)}. Every seed has the same ones in another order, "
        "so the intervals hold no variation of training; what they cost, and which images their models have seen, is "
        f"not known here.{labels if guessed else ''}"
    )


def censored(board: Board) -> bool:
    """Whether some worth of the leaderboard lies beyond an end of the learning curve."""
    found = [row.worth_alone for row in board.rows if row.worth_alone is not None]
    return any(worth.below or worth.above or not readable(worth) for worth in found)


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
        return f"One seed: no intervals, no tests and no ranks, so the order says nothing yet.{subset}"
    return (
        f"Mean ± half-width of the {100 * dossier.level:g} % Student t interval over {len(board.seeds)} seeds "
        f"({', '.join(map(str, board.seeds))}); in parentheses the rank within the column. A rank is one plus the "
        "number of generators that are significantly better (paired t-tests over seeds, Holm-corrected over all "
        "pairs): at rank 1, none is. A shared rank does not prove equality. Intervals and tests speak of seeds, on "
        "this one set of test images; where seeds agree to the last image, an accuracy is given the spread that "
        f"rounding to whole images has.{subset}"
    )
