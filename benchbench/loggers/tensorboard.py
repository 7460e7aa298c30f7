"""Cells in TensorBoard; needs the package ``tensorboard``."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor

from benchbench.errors import DataMissingError
from benchbench.hookspecs import hookimpl
from benchbench.types import CellRun, Logger, Status
from benchbench.types import Config as BaseConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
FLUSH_S = 10


class TensorBoard(Logger):
    """Losses, samples and costs of every cell, in ``<runs folder>/tensorboard/<benchmark>/<cell>``.

    A cell that goes on after an interruption writes another file of events into the same folder.
    """

    name = "tensorboard"

    class Config(BaseConfig):
        """What is written."""

        images: bool = Field(True, description="Samples too, not only numbers.")

    def check(self) -> None:
        """Look for the package."""
        if importlib.util.find_spec("tensorboard") is None:
            raise DataMissingError(
                "logger tensorboard: the package tensorboard is not installed; pip install 'benchbench[tensorboard]'"
            )

    def begin(self, cell: CellRun) -> None:
        """Open a file of events and say what the cell is."""
        from torch.utils.tensorboard import SummaryWriter

        folder = cell.runs_dir / FOLDER / cell.benchmark / cell.name
        self.writer: SummaryWriter = SummaryWriter(str(folder), flush_secs=FLUSH_S)
        about = {"row": cell.row, "generator": cell.generator, "seed": cell.seed, "setting": cell.setting}
        told = json.dumps({**about, "config": dict(cell.config)}, indent=4)
        self.writer.add_text("cell", "    " + told.replace("\n", "\n    "))  # indented: a code block in Markdown

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """A scalar a loss, under the phase's name."""
        for name, value in values.items():
            self.writer.add_scalar(f"{phase}/{name}", value, step)

    def show(self, phase: str, step: int, images: Tensor) -> None:
        """The samples side by side."""
        if self.config.images:
            from torchvision.utils import make_grid

            self.writer.add_image(f"{phase}/samples", make_grid(images), step)

    def end(self, status: Status, numbers: Mapping[str, float]) -> None:
        """What the cell cost and how well its classifiers do on validation images."""
        for name, value in numbers.items():
            self.writer.add_scalar(f"end/{name}", value)
        self.writer.add_text("status", status.value)
        self.writer.close()


@hookimpl
def benchbench_loggers() -> Sequence[type[Logger]]:
    """Bring the logger."""
    return [TensorBoard]
