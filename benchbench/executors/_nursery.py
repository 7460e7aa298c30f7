"""A process that has imported what tasks need and forks one for each: importing torch takes seconds of every one.

``python -m benchbench.executors._nursery MODULE FOLDER FD`` talks JSON lines over the socket ``FD``. It says ``ready``
once it has imported ``MODULE`` and called its ``prepare()``; is told ``payload`` and ``log`` of a task, and ``env``,
what its environment has beyond this process's; answers with the process id; and says ``pid`` and ``status`` (a return
code as of :mod:`subprocess`) when that has ended. It ends when the other side hangs up. ``FOLDER`` only stands in the
command line, for people who look at a list of processes.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchbench.types import PARENT_VARIABLE

THREADS = Path("/proc/self/task")


def main(name: str, line: socket.socket) -> None:
    """Serve until the other side hangs up; in a forked process: do its task and return."""
    try:
        module = importlib.import_module(name)
        module.prepare()
    except BaseException:  # the tasks' own processes will say it in their logs
        _say(line, ready=False)
        return
    # A lock that another thread holds at the moment of a fork stays locked in the copy for ever.
    alone = len(list(THREADS.iterdir())) == 1
    _say(line, ready=alone)
    if alone:
        gc.freeze()  # what is here stays: collections in the copies need not touch, and so copy, all its pages
        _serve(module, line)


def _serve(module: ModuleType, line: socket.socket) -> None:
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    while True:
        ready, _, _ = select.select([line, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            for pid, status in _ended():
                _say(line, pid=pid, status=status)
        if line in ready:
            order = _order(line)
            if order is None:
                return
            pid = _fork()
            if pid == 0:
                for end in (line, woken, wakes):
                    end.close()
                _become(order)
                module.main(Path(order["payload"]))
                return
            _say(line, pid=pid)


def _order(line: socket.socket) -> dict[str, Any] | None:
    """The next task; None if the other side has hung up. There is never more than one that waits for its answer."""
    text = b""
    while not text.endswith(b"\n"):
        more = line.recv(65536)
        if not more:
            return None
        text += more
    order: dict[str, Any] = json.loads(text)
    return order


def _fork() -> int:
    """As ``os.fork``; the copy has a session, and so a process group, of its own before this returns."""
    waits, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(tells)
    if pid != 0:
        os.read(waits, 1)  # ends when the copy has closed its end, too
    os.close(waits)
    return pid


def _become(order: dict[str, Any]) -> None:
    """Make a copy look like a process that was started for this task alone."""
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.environ.update(order["env"], **{PARENT_VARIABLE: str(os.getppid())})
    sys.argv = [sys.argv[1], order["payload"]]


def _ended() -> list[tuple[int, int]]:
    """Process id and return code of the tasks that have ended, what they left behind not counted."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _say(line: socket.socket, **words: object) -> None:
    line.sendall(json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], socket.socket(fileno=int(sys.argv[3])))
