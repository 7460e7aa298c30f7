"""``benchbench ...`` in a process of its own that need not import torch first: it is forked off one that has.

Importing is most of what a short command costs. The server (multiprocessing's own) is started afresh, so it has neither
threads nor anything that tests have done; each command gets a copy of it, with its own folder, environment and output.
Where a command would start an interpreter for cells, it makes a copy of itself. (That cells start anew as they should
is for ``test_forked_tasks.py`` and the chaos test.)
"""

from __future__ import annotations

import functools
import importlib
import logging
import multiprocessing
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from multiprocessing import forkserver
from pathlib import Path
from typing import IO
from unittest import mock

import benchbench_plugins

SERVER = multiprocessing.get_context("forkserver")
# What commands import sooner or later. Installed modules alone: the server does not look into this folder.
SERVER.set_forkserver_preload(
    [
        *(f"benchbench.{name}" for name in ("cli", "runner.run", "api.augmented", "api.scored", "testing")),
        *(
            f"{package}.{module.name}"
            for package in (entry.value for entry in entry_points(group="benchbench") if "." in entry.value)
            for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
        ),
        *(f"benchbench_plugins.{module.name}" for module in pkgutil.iter_modules(benchbench_plugins.__path__)),
    ]
)


def command_line(
    words: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``benchbench WORDS`` in a folder, as ``subprocess.run`` would with captured text.

    Raises:
        subprocess.TimeoutExpired: After so many seconds; the process is killed.
    """
    _serving()
    with tempfile.TemporaryDirectory() as kept:
        said = [Path(kept) / name for name in ("out", "err")]
        process = SERVER.Process(target=_main, args=(list(words), str(folder), dict(env), list(map(str, said))))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["benchbench", *words], timeout)
        out, err = (path.read_text() if path.exists() else "" for path in said)
    return subprocess.CompletedProcess(["benchbench", *words], process.exitcode, out, err)


@functools.cache
def _serving() -> None:
    """Start the server. Its copies make copies of themselves, so none may have threads: libraries read this early."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    with mock.patch.dict(os.environ, dict.fromkeys(names, "1")):
        forkserver.ensure_running()


def _main(words: list[str], folder: str, env: dict[str, str], said: list[str]) -> None:
    """The command, in the copy."""
    from benchbench.cli import main
    from benchbench.executors import _processes

    for descriptor, path in enumerate(["/dev/null", *said]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path.insert(0, folder)  # as python -m has it
    sys.argv = ["benchbench", *words]
    if "cuda" not in words:  # CUDA is started in this process then, and cannot be in a copy of it
        mock.patch.object(_processes, "interpreter", _Copy).start()
    main()


class _Copy:
    """What :func:`benchbench.executors._processes.interpreter` gives, made of a copy of this process."""

    def __init__(
        self, words: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int, passed: Sequence[int] = ()
    ) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=_become, args=(words, env, output, passed))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        began = time.monotonic()
        while (code := self.poll()) is None:  # join() watches a pipe that the copy closes early
            if timeout is not None and time.monotonic() - began >= timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code

    def kill(self) -> None:
        self._process.kill()


def _become(words: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int, passed: Sequence[int]) -> None:
    """What a new interpreter would be, as far as it matters here."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    out = os.open(os.devnull, os.O_RDWR) if isinstance(output, int) else output.fileno()
    for descriptor in (1, 2):
        os.dup2(out, descriptor)
    highest = os.sysconf("SC_OPEN_MAX")
    for low, high in zip([2, *passed], [*passed, highest], strict=True):
        os.closerange(low + 1, high)
    os.environ.update(env)
    sys.path[:0] = env["PYTHONPATH"].split(os.pathsep)
    sys.argv = list(words)
    logging.root.handlers.clear()
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
