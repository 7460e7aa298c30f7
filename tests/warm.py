"""``benchbench ...`` in a process of its own that need not import torch first: it is forked off one that has.

Importing is most of what a short command costs. The server (multiprocessing's own) is started afresh, so it has neither
threads nor anything that tests have done; each command gets a copy of it, with its own folder, environment and output.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

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


def _main(words: list[str], folder: str, env: dict[str, str], said: list[str]) -> None:
    """The command, in the copy."""
    from benchbench.cli import main

    for descriptor, path in enumerate(["/dev/null", *said]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path.insert(0, folder)  # as python -m has it
    sys.argv = ["benchbench", *words]
    main()
