"""Every error that benchbench raises on purpose.

An error says who complains, what was got, what was expected and what mends it. The command line prints
the message alone; a traceback needs ``--debug``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BenchbenchError(Exception):
    """Base of all errors a user may cause and can mend."""


class DataError(BenchbenchError):
    """Images or labels that do not have the promised shape, dtype or range."""


class DataMissingError(BenchbenchError):
    """A dataset or a weights file is not on this machine; the message says where to put it."""


class PluginError(BenchbenchError):
    """A plugin that cannot be loaded, registered, found or used."""


class RequestError(BenchbenchError):
    """The command itself asks for something that cannot be done (exit status 2)."""


class UnsupportedDataError(BenchbenchError):
    """A generator declines this dataset; its cell becomes ``skipped`` with this message."""


class TrainingHaltedError(BenchbenchError):
    """Training ended early because going on was pointless.

    Attributes:
        step: The optimizer step at which it was noticed.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class DivergedError(TrainingHaltedError):
    """A loss or a weight became NaN or infinite."""


class CollapsedError(TrainingHaltedError):
    """A generator produces (almost) one image, or misses whole classes."""


@dataclass(frozen=True)
class Problem:
    """One fault in a benchmark file.

    Attributes:
        source: The file's name as the user gave it, or ``--set`` / ``--only`` for an option.
        line: 1-based line, or None where the fault has no line.
        key: Dotted path of the offending key, e.g. ``generators[0].config.steps``.
        message: What was got and what was expected.
        hint: The remedy, e.g. ``did you mean 'seeds'?``; empty where there is none.
    """

    source: str
    line: int | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        tail = f" ({self.hint})" if self.hint else ""
        return f"{where}: {self.key}: {self.message}{tail}"


class BenchmarkFileError(RequestError):
    """A benchmark file with one or more problems, all of them listed.

    Attributes:
        problems: Every problem found, in file order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
