"""A cell's loggers: one that raises is dropped with a warning, and the cell goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from benchbench.text import printable
from benchbench.types import CellRun, Logger, Status

log = logging.getLogger(__name__)


class Followers:
    """Hands on to every logger what a cell tells.

    Attributes:
        warnings: Why loggers were dropped, a line each.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._following: dict[str, Logger] = {}

    def begin(self, loggers: Mapping[str, Callable[[], Logger]], cell: CellRun) -> None:
        """Make every logger and have it begin.

        Args:
            loggers: By name, how it is made.
            cell: What they follow.
        """
        for name, make in loggers.items():
            self._try(name, partial(self._start, name, make, cell))

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a training at a step."""
        self._each(lambda logger: logger.log(phase, step, dict(values)))

    def show(self, phase: str, step: int, images: Tensor) -> None:
        """Samples, ``uint8 (n, C, H, W)`` on the CPU."""
        self._each(lambda logger: logger.show(phase, step, images.clone()))

    def end(self, status: Status, numbers: Mapping[str, float]) -> None:
        """The cell has ended."""
        self._each(lambda logger: logger.end(status, dict(numbers)))
        self._following.clear()

    def _start(self, name: str, make: Callable[[], Logger], cell: CellRun) -> None:
        logger = make()
        logger.begin(cell)
        self._following[name] = logger

    def _each(self, tell: Callable[[Logger], None]) -> None:
        for name, logger in list(self._following.items()):
            self._try(name, partial(tell, logger))

    def _try(self, name: str, do: Callable[[], None]) -> None:
        try:
            do()
        except (Exception, SystemExit) as error:
            self._following.pop(name, None)
            text = printable(f"{type(error).__name__}: {error}")[:300]
            self.warnings.append(f"logger {name} was dropped: {text}")
            log.warning("%s; the cell goes on without it", self.warnings[-1], exc_info=True)
