"""What the page says of one data setting."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from benchbench.leaderboard import Board, Dossier
from benchbench.report import _phrases as phrases
from benchbench.report import _tables as tables
from benchbench.report._numbers import escape, file_name

# The figures of a board.
PICTURES = ("leaderboard", "lift", "learning_curve")


@dataclass(frozen=True)
class Section:
    """One data setting, ready for the template; texts are Markdown, empty where there is nothing to say.

    Attributes:
        board: Its board.
        anchor: Its place in the page.
        figures: Where its figures lie, relative to the page, with a slash at the end.
        pictures: By name: its figures that were drawn, as paths relative to the page.
        verdicts: What to do, a paragraph each; the first is the verdict.
        worth: What synthetic images are worth.
        seeds: How means and intervals were made.
        table: The leaderboard.
        transfer: The transfer track's table.
        metrics: All metrics.
        real_arms: Arms of real images alone.
        arms: The other arms.
        costs: Seconds, memory, parameters.
        correlations: Of every metric with lift.
        order: What they come to.
        distrust: Why the board is not to be trusted; empty where it is.
        censored: Whether some worth lies beyond an end of the learning curve.
        copies: Which generators copy training images.
        dagger: What the mark at the leaderboard's Fréchet distances means.
        metrics_dagger: The same of all metrics.
        given: Which rows are images made elsewhere, and what follows from it.
        ranked: Whether there are ranks: of one seed there are none.
    """

    board: Board
    anchor: str
    figures: str
    pictures: Mapping[str, str]
    verdicts: tuple[str, ...]
    worth: str
    seeds: str
    table: str
    transfer: str
    metrics: str
    real_arms: str
    arms: str
    costs: str
    correlations: str
    order: str
    distrust: str
    censored: bool
    copies: str
    scale: str
    pairs: str
    dagger: str
    metrics_dagger: str
    given: str
    ranked: bool


def figures_folder(dossier: Dossier, board: Board) -> str:
    """Where a board's figures lie: those of the first board in ``figures/`` itself."""
    return "figures/" if board is dossier.board else f"figures/{file_name(board.setting.name)}/"


def section(dossier: Dossier, board: Board, figures: Collection[str]) -> Section:
    """Everything the page says of a board.

    Args:
        dossier: Its company.
        board: The board.
        figures: All figures that were drawn, as paths relative to the page.
    """
    where = figures_folder(dossier, board)
    return Section(
        board=board,
        anchor=f"setting-{file_name(board.setting.name)}",
        pictures={name: path for name in PICTURES if (path := f"{where}{name}.png") in figures},
        figures=where,
        verdicts=tuple(_verdicts(board)),
        worth=phrases.worth_sentence(board),
        seeds=phrases.seeds_sentence(dossier, board),
        table=tables.main_table(dossier, board),
        transfer=tables.transfer_table(dossier, board),
        metrics=tables.metrics_table(dossier, board),
        real_arms=tables.real_arms_table(dossier, board),
        arms=tables.arms_table(dossier, board),
        costs=tables.cost_table(dossier, board),
        correlations=tables.correlation_table(board),
        order=phrases.correlation_sentence(board.correlations) if board.correlations else "",
        distrust=phrases.reasons(board),
        censored=phrases.censored(board),
        copies=phrases.copies_sentence(board),
        scale=phrases.scale_sentence(board),
        pairs=tables.pairs_table(board),
        dagger=phrases.dagger_note(dossier, board.headline),
        metrics_dagger=phrases.dagger_note(dossier, board.metrics),
        given=phrases.given_note(board),
        ranked=len(board.seeds) > 1,
    )


def _verdicts(board: Board) -> list[str]:
    said = [f"**Verdict: {escape(board.verdict.text)}.**"]
    if board.beside_classical is not None:
        said.append(phrases.classical_sentence(board))
    if board.transfer is not None:
        seen = "generators that saw more of the training images than the classifier"
        said.append(f"Transfer track ({seen}): {escape(board.transfer.text)}.")
    return said
