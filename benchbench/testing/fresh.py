"""What importing a plugin does, seen in a process that has imported the contracts and nothing else."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import IO


@dataclass(frozen=True)
class Import:
    """What was seen of one import.

    Attributes:
        seconds: Processor time.
        changed: What it changed for everybody: a global random state, torch's default dtype or threads, or that it
            started CUDA.
        packages: The packages from elsewhere that it brought in.
        error: What it raised; empty where it is fine.
    """

    seconds: float = 0.0
    changed: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    error: str = ""


def import_fresh(name: str, file: str | None) -> Import:
    """Import a module where nobody has imported it yet.

    Args:
        name: Its name.
        file: Its file, for a module that cannot be found by its name.
    """
    return _asked(name, file, tuple(sys.path))


@cache
def _asked(name: str, file: str | None, path: tuple[str, ...]) -> Import:
    asking, answering = _server()
    asking.write(json.dumps({"name": name, "file": file, "path": path}) + "\n")
    asking.flush()
    line = answering.readline()
    if not line:
        return Import(error="the process that imports died")
    seen = json.loads(line)
    return Import(seen["seconds"], tuple(seen["changed"]), tuple(seen["packages"]), seen["error"])


@cache
def _server() -> tuple[IO[str], IO[str]]:
    """The pipes to the process that imports; it ends with its input.

    Torch takes seconds, so one serves a whole session.
    """
    command = [sys.executable, "-m", "benchbench.testing.import_server"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    atexit.register(process.wait)
    atexit.register(process.stdin.close)  # called first
    return process.stdin, process.stdout
