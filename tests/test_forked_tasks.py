"""Tasks as processes: copies of one that has imported everything, or started anew; the same to whoever watches."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchbench.executors.local import Local
from benchbench.types import Outcome, Status, Task

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="copies are made under Linux alone")

CHORES = """
import json, os, signal, sys, time
from pathlib import Path

IMPORTED_BY = os.getpid()
PREPARED = []


def prepare():
    PREPARED.append(os.getpid())
    {prepare}


def main(payload):
    do = payload.parent.name
    said = dict(imported=IMPORTED_BY, prepared=PREPARED, pid=os.getpid(), session=os.getsid(0), argv=sys.argv[1:],
                slot=os.environ["BENCHBENCH_SLOT"], parent=int(os.environ["BENCHBENCH_PARENT"]) == os.getppid(),
                sockets=sum(os.readlink(f).startswith("socket") for f in Path("/proc/self/fd").iterdir() if f.exists()))
    (payload.parent / "said.json").write_text(json.dumps(said))
    print("it says", do)
    if do == "exits":
        os._exit(7)
    if do == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if do == "raises":
        raise RuntimeError("boom")
    if do == "hangs":
        time.sleep(600)
    if do == "orphans" and PREPARED:
        time.sleep(0.5)  # until it is known that this is there
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    (payload.parent / "outcome.json").write_text(json.dumps(dict(status="ok", phase="done", message="")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""


def tasks(folder: Path, names: Sequence[str], prepare: str = "pass", copied: bool = True) -> list[Task]:
    (folder / "chores.py").write_text(CHORES.format(prepare=prepare))
    env = {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)]), "OPENBLAS_NUM_THREADS": "1"}
    found = []
    for name in names:
        (folder / name).mkdir()
        (folder / name / "payload.json").write_text("{}")
        payload, limit = folder / name / "payload.json", 30.0 if name == "hangs" else None
        found.append(Task(name, "chores", payload, folder / name, limit, env, copied))
    return found


def ends(found: list[Task], jobs: int = 2) -> dict[str, Outcome]:
    return {one.name: one for one in Local().run(found, jobs, lambda _: None)}


def said(folder: Path, name: str) -> dict[str, object]:
    words: dict[str, object] = json.loads((folder / name / "said.json").read_text())
    return words


def test_copies_end_like_processes_that_were_started(tmp_path: Path) -> None:
    names = ("exits", "crashes", "raises", "fine", "well", "hangs")
    found = ends(tasks(tmp_path, names))
    assert {name: one.status for name, one in found.items()} == {
        "exits": Status.FAILED, "crashes": Status.FAILED, "raises": Status.FAILED, "fine": Status.OK,
        "well": Status.OK, "hangs": Status.TIMEOUT,
    }  # fmt: skip
    assert found["exits"].message == "exited with status 7 without saying how it went"
    assert found["crashes"].message == "died of signal 11 (SIGSEGV)"
    assert found["raises"].message == "exited with status 1 without saying how it went"
    assert "RuntimeError: boom" in (tmp_path / "raises/log.txt").read_text()
    told = [said(tmp_path, name) for name in names]
    assert len({one["imported"] for one in told}) == 1  # once for all of them
    assert all(one["prepared"] == [one["imported"]] for one in told)
    assert all(one["pid"] == one["session"] != one["imported"] for one in told)
    assert all(one["parent"] and one["sockets"] == 0 for one in told)
    assert {one["slot"] for one in told} == {"0", "1"}
    for name, one in zip(names, told, strict=True):
        assert one["argv"] == [str(tmp_path / name / "payload.json")]
        assert (tmp_path / name / "log.txt").read_text().startswith(f"it says {name}")
        with pytest.raises(ProcessLookupError):
            os.kill(int(str(one["pid"])), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(told[0]["imported"])), 0)


@pytest.mark.parametrize(
    "prepare",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "1 / 0",
        "exit(3)",
    ],
    ids=["threads", "raises", "exits"],
)
def test_what_cannot_be_copied_is_started(tmp_path: Path, prepare: str) -> None:
    found = ends(tasks(tmp_path, ("fine", "well"), prepare))
    assert {one.status for one in found.values()} == {Status.OK}
    assert all(said(tmp_path, name)["imported"] == said(tmp_path, name)["pid"] for name in found)


def test_tasks_may_ask_to_be_started(tmp_path: Path) -> None:
    found = ends(tasks(tmp_path, ("fine", "well"), copied=False))
    assert {one.status for one in found.values()} == {Status.OK}
    assert all(not said(tmp_path, name)["prepared"] for name in found)


def test_if_what_is_copied_dies_the_rest_is_started(tmp_path: Path) -> None:
    found = ends(tasks(tmp_path, ("orphans", "fine", "well")), jobs=1)
    assert found["orphans"].status is Status.FAILED
    assert found["orphans"].message.startswith("killed by signal 9")
    assert found["fine"].status is found["well"].status is Status.OK
    assert not said(tmp_path, "well")["prepared"]
    orphan, deadline = Path(f"/proc/{said(tmp_path, 'orphans')['pid']}/stat"), time.monotonic() + 10
    while (
        orphan.exists() and orphan.read_text().rpartition(")")[2].split()[0] != "Z"
    ):  # whoever adopted it will bury it
        assert time.monotonic() < deadline
        time.sleep(0.05)
