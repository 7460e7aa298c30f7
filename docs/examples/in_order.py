"""An executor in one file: one cell after the other, in the order of the plan."""

import json
import os
import subprocess
import sys
import time

import benchbench as bb


class InOrder(bb.Executor):
    """For a machine that has memory for one cell only, whatever ``--jobs`` says; where to begin for a scheduler."""

    name = "in_order"

    def run(self, tasks, jobs, on_progress):
        for task in tasks:
            on_progress(bb.Progress(task.name, "start"))
            yield self._outcome(task)

    def _outcome(self, task):
        task.folder.mkdir(parents=True, exist_ok=True)
        said = task.folder / "outcome.json"
        said.unlink(missing_ok=True)  # that of an earlier run
        began = time.monotonic()
        with (task.folder / "log.txt").open("wb") as log:
            command = [sys.executable, "-m", task.module, str(task.payload)]
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            try:
                done = subprocess.run(command, **streams, env={**os.environ, **task.env}, timeout=task.timeout_s)
            except subprocess.TimeoutExpired:
                message = f"killed after {task.timeout_s:g} s; raise limits.timeout"
                return bb.Outcome(task.name, bb.Status.TIMEOUT, "", message, time.monotonic() - began)
        seconds = time.monotonic() - began
        if not said.is_file():
            message = f"exited with status {done.returncode} without saying how it went"
            return bb.Outcome(task.name, bb.Status.FAILED, "", message, seconds)
        found = json.loads(said.read_text(encoding="utf-8"))
        return bb.Outcome(task.name, bb.Status(found["status"]), found["phase"], found["message"], seconds)


@bb.hookimpl
def benchbench_executors():
    return [InOrder]
