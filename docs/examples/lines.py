"""A logger of one's own: every cell's numbers as JSON lines, which any other tool can read."""

import json
from collections.abc import Mapping, Sequence

import benchbench as bb


class Lines(bb.Logger):
    """Writes ``lines.jsonl`` into the folder of every cell."""

    name = "lines"

    def begin(self, cell: bb.CellRun) -> None:
        # Appending: a cell that goes on after an interruption begins again here.
        self.file = (cell.folder / "lines.jsonl").open("a", encoding="utf-8")
        self._write(event="begin", cell=cell.name, row=cell.row, seed=cell.seed, config=dict(cell.config))

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        self._write(event="log", phase=phase, step=step, **values)

    def end(self, status: bb.Status, numbers: Mapping[str, float]) -> None:
        self._write(event="end", status=status.value, **numbers)
        self.file.close()

    def _write(self, **what: object) -> None:
        self.file.write(json.dumps(what) + "\n")
        self.file.flush()


@bb.hookimpl
def benchbench_loggers() -> Sequence[type[bb.Logger]]:
    return [Lines]
