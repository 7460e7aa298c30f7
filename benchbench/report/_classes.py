"""Tables by class: accuracy, lift and whatever metrics give one number a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from benchbench.config import BASELINE
from benchbench.leaderboard import Board, Column, Dossier, Record, Row
from benchbench.leaderboard.records import RecordTable, finite
from benchbench.report._numbers import NOTHING, TOO_FEW, escape
from benchbench.report._phrases import dagger_note
from benchbench.report._tables import (
    FRECHET_BY_CLASS,
    FRECHET_OF_CLASS,
    accuracy_cell,
    pipe_table,
    row_name,
    too_few,
)


class ClassTables:
    """The tables by class of one board.

    Args:
        dossier: For class names, levels, dimensions and confusion matrices.
        board: Whose numbers.
    """

    def __init__(self, dossier: Dossier, board: Board) -> None:
        self.dossier = dossier
        self.board = board
        self._of_class = {name: RecordTable(_as_whole(board.records, name), board.seeds) for name in dossier.classes}
        self._images = _test_images(dossier)

    def lifts(self) -> str:
        """Accuracy after training on real images alone, and every generator's lift; empty where not measured."""
        rows = [row for row in self.board.of_role("generator") if row.ratio is not None]
        lines, level = [], self.dossier.level
        for place, (name, table) in enumerate(self._of_class.items()):
            images = self._images[place] if self._images else None
            real = table.by_seed(BASELINE, "accuracy", "real")
            line = [escape(name), accuracy_cell(level, "accuracy", real, images)]
            for row in rows:
                mixed = table.by_seed(row.info.name, "accuracy", "mixed", row.ratio)
                line.append(accuracy_cell(level, "lift", mixed - real, images))
            lines.append(line)
        headings = ["Class", "Real images alone %", *(f"{row_name(row, track=True)}, pts" for row in rows)]
        return pipe_table(headings, lines) if _anything(lines) else ""

    @property
    def labels(self) -> list[str]:
        """The metrics that give one number a class."""
        found = (one.metric for one in self.board.records if one.class_name is not None and one.arm is None)
        return list(dict.fromkeys(found))

    @property
    def dagger(self) -> str:
        """What the mark means at those that are Fréchet distances on too few images; empty where none is."""
        return dagger_note(self.dossier, [mean for label in self.labels if (mean := self._mean(label))])

    def metrics(self) -> list[str]:
        """A table for each of them; the floor first."""
        return [made for label in self.labels if (made := self._metric(label))]

    def too_few(self, label: str) -> bool:
        """Whether a metric by class is a Fréchet distance on fewer than 2d images a class."""
        mean = self._mean(label)
        return mean is not None and too_few(self.dossier, mean)

    def _mean(self, label: str) -> Column | None:
        """Of Fréchet distances by class the column of their mean, which knows its features."""
        means = (column for column in self.board.metrics if column.output == FRECHET_OF_CLASS)
        return next((column for column in means if label == f"{FRECHET_BY_CLASS}[{column.features}]"), None)

    def _metric(self, label: str) -> str:
        rows = [row for row in self.board.rows if self._has(row, label)]
        rows.sort(key=lambda row: row.info.role != "baseline")
        level = self.dossier.level
        lines = [
            [escape(name), *(accuracy_cell(level, label, table.by_seed(row.info.name, label), None) for row in rows)]
            for name, table in self._of_class.items()
        ]
        mark = f" {TOO_FEW}" if self.too_few(label) else ""
        names = ["floor" if row.info.name == BASELINE else row_name(row, track=True) for row in rows]
        return pipe_table([f"{escape(label)}{mark}", *names], lines)

    def _has(self, row: Row, label: str) -> bool:
        return any(len(finite(table.by_seed(row.info.name, label))) for table in self._of_class.values())


def _as_whole(records: Iterable[Record], name: str) -> list[Record]:
    """The records of one class as if there were no other."""
    return [replace(record, class_name=None) for record in records if record.class_name == name]


def _test_images(dossier: Dossier) -> list[int]:
    """Test images by class, from a confusion matrix; empty where there is none."""
    if not dossier.details:
        return []
    detail = dossier.details[0]
    return [int(total) // max(1, detail.classifiers) for total in np.sum(detail.confusion, axis=1)]


def _anything(lines: Sequence[Sequence[str]]) -> bool:
    return any(cell != NOTHING for line in lines for cell in line[1:])
