"""How a task's process comes about: started anew, or as a copy of one that has imported everything already."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from benchbench.types import PARENT_VARIABLE, Task

POLL_S = 0.01


class Process(Protocol):
    """What is common to both, as of :class:`subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """The return code, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The return code, once there is one.

        Raises:
            subprocess.TimeoutExpired: If that takes longer.
        """


def interpreter(
    words: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int, passed: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """A new ``python -m WORDS`` without input, in a session of its own.

    Args:
        words: A module, and what it is told.
        env: What its environment has beyond this process's.
        output: Where it writes, errors too.
        passed: File descriptors that it has under the same numbers.
    """
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **env},
        pass_fds=passed,
        start_new_session=True,
    )


def started(task: Task, env: Mapping[str, str]) -> Process:
    """A new interpreter: ``python -m MODULE PAYLOAD``."""
    env = {**task.env, **env, PARENT_VARIABLE: str(os.getpid())}
    with (task.folder / "log.txt").open("ab") as log:
        return interpreter([task.module, str(task.payload)], env, log)


class Copy:
    """A process that a :class:`Nursery` has forked.

    Args:
        pid: Its id.
        nursery: Which hears of its end.
    """

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self._code: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        """The return code, or None while it runs."""
        if self._code is None:
            self._code = self._nursery.status_of(self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The return code, once there is one."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began >= timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(POLL_S)
        return code


class Nursery:
    """A process without threads that has imported a module, and forks one copy of itself a task.

    Args:
        module: What it imports; must have ``prepare()`` and ``main(payload)``.
        env: Environment variables that it starts with: libraries read them when they are imported.
        folder: Where the tasks are; stands in its command line.
    """

    def __init__(self, module: str, env: Mapping[str, str], folder: Path) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            words = ["benchbench.executors._nursery", module, str(folder), str(theirs.fileno())]
            self._process = interpreter(words, env, subprocess.DEVNULL, [theirs.fileno()])
        self._received = b""
        self._status: dict[int, int] = {}
        try:
            self.usable = self._answer().get("ready") is True
        except BaseException:  # an interruption must leave nothing behind
            self.close()
            raise

    def copy(self, task: Task, env: Mapping[str, str]) -> Process | None:
        """A process for a task whose environment is that of this nursery and ``env``; None where it makes no more."""
        order = {"payload": str(task.payload), "log": str(task.folder / "log.txt"), "env": dict(env)}
        try:
            self._line.sendall(json.dumps(order).encode() + b"\n")
        except OSError:
            self.usable = False
            return None
        said = self._answer()
        self.usable = "pid" in said
        return Copy(int(str(said["pid"])), self) if self.usable else None

    def status_of(self, pid: int) -> int | None:
        """The return code of a copy, or None while it runs; one that nobody can ask any more was killed."""
        while (said := self._next(block=False)) is not None:
            if not said:
                self.usable = False
                return self._status.pop(pid, -signal.SIGKILL)
            self._status[said["pid"]] = said["status"]
        return self._status.pop(pid, None)

    def close(self) -> None:
        """End it; copies that still run end with it."""
        self._line.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _answer(self) -> Mapping[str, object]:
        """What it says next that is no end of a copy; empty if it is gone."""
        while True:
            said = self._next(block=True) or {}
            if "status" not in said:
                return said
            self._status[said["pid"]] = said["status"]

    def _next(self, *, block: bool) -> dict[str, int] | None:
        """One thing that it said; None if there is nothing yet, empty if it is gone."""
        while b"\n" not in self._received:
            try:
                more = self._line.recv(65536, 0 if block else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            except OSError:
                return {}
            if not more:
                return {}
            self._received += more
        text, _, self._received = self._received.partition(b"\n")
        found: dict[str, int] = json.loads(text)
        return found
