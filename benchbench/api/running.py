"""A benchmark from a program."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchbench.runner.run import Finished


def run(
    benchmark: str | Path,
    *,
    only: Sequence[str] = (),
    settings: Sequence[str] = (),
    plugins: Sequence[str] = (),
    device: str = "auto",
    jobs: int | None = None,
    data_dir: str | Path = "data",
    runs_dir: str | Path = ".benchbench",
    out: str | Path = "reports",
    retry_failed: bool = False,
    quiet: bool = False,
    loggers: Sequence[str] = (),
) -> Finished:
    """Run a benchmark as ``benchbench run`` does: what is stored is served, the rest computed, the reports written.

    ::

        done = benchbench.run("benchmarks/digits.yaml", settings=["seeds=1"])
        print(done.boards[0].verdict.text)

    Args:
        benchmark: The benchmark file.
        only: Rows to run; none means all.
        settings: ``KEY=VALUE``, as after ``--set``.
        plugins: Further plugin files or modules.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: Cells at a time; one a processor unless given.
        data_dir: Where datasets are looked for.
        runs_dir: Where results are kept.
        out: Reports go to ``OUT/<benchmark>``.
        retry_failed: Run cells again that failed before.
        quiet: Print nothing.
        loggers: Names of loggers that follow the cells, besides those of the file; as after ``--log``.

    Returns:
        The boards, the report's folder, and which cells failed.

    Raises:
        RequestError: If the request is wrong.
        DataMissingError: If images, weights or a package are not here.
    """
    from rich.console import Console

    from benchbench.runner.run import run_benchmark
    from benchbench.runner.workspace import open_workspace

    work = open_workspace(
        Path(benchmark),
        overrides=settings,
        plugins=plugins,
        device=device,
        data_dir=Path(data_dir),
        runs_dir=Path(runs_dir),
        loggers=loggers,
    )
    console = Console(file=io.StringIO()) if quiet else Console()
    folder = Path(out) / work.benchmark.name
    return run_benchmark(work, console, folder, only=only, jobs=jobs, retry_failed=retry_failed)
