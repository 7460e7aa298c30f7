"""Kills a run with SIGKILL at random moments, again and again, and looks whether the numbers come out the same.

``python tests/chaos/kill.py --kills 100``, on a busy machine with ``--only vae --within 30``: fewer cells, and kills
in the first half minute of a run, which goes on where the one before it was killed.

Every other kill is of the runner alone, whose cells leave by themselves while the next run is already starting; the
rest are of the runner and all its cells at once. Whenever a run gets to its end, its ``results.json`` must be that of
a run that was never interrupted, bit for bit but for measured times; then everything is removed and it begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BENCHMARK = """\
name: chaos
dataset: digits
generators:
  - vae
  - name: dcgan
    labels: pseudo_label
  - noise
seeds: [0]
budget: {max_steps: 150}
protocol:
  features: [{name: domain, config: {steps: 30}}]
  metrics: [fd, memorization]
  classical: null
  curve: [0.5]
  classifier_steps: 20
limits: {checkpoint_every: 0.3}
"""
# What a clock or the machine decides.
MEASURED = ("fit_seconds", "sample_seconds", "images_per_second", "peak_memory_bytes")


@dataclass
class Tally:
    """What happened.

    Attributes:
        kills: Kills in all.
        phases: Kills by what cells were doing.
        finishes: Runs that got to their end after at least one kill.
        resumed: Fits that went on from a checkpoint.
    """

    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    finishes: int = 0
    resumed: int = 0

    def line(self) -> str:
        """All of it, for people."""
        spread = ", ".join(f"{count} in {phase}" for phase, count in self.phases.most_common())
        return (
            f"{self.kills} kills (cells at work: {spread}; {self.resumed} times with a checkpoint there); "
            f"{self.finishes} runs got to their end, each with the numbers of the run that was never killed"
        )


def start(folder: Path, only: Sequence[str]) -> subprocess.Popen[bytes]:
    """The command, as a user would give it, in a process group of its own."""
    rows = [word for row in only for word in ("--only", row)]
    return subprocess.Popen(
        [sys.executable, "-m", "benchbench.cli", "run", "chaos.yaml", "--jobs", "2", *rows],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr.txt").open("ab"),
        start_new_session=True,
    )


def cells_of(folder: Path) -> list[int]:
    """Process ids of the cells at work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "benchbench.runner.worker" in words and str(folder.resolve()) in words:
            found.append(int(path.parent.name))
    return found


def kill(runner: subprocess.Popen[bytes], folder: Path, everything: bool) -> None:
    """SIGKILL to the runner, and with ``everything`` to its cells too."""
    victims = cells_of(folder) if everything else []
    os.killpg(runner.pid, signal.SIGKILL)
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    runner.wait()


def results(folder: Path) -> list[dict[str, Any]]:
    """The numbers that no clock decides."""
    rows = json.loads((folder / "reports/chaos/results.json").read_text())["rows"]
    return [row for row in rows if row["metric"] not in MEASURED]


def phases(folder: Path) -> list[str]:
    """What the cells said that they were doing."""
    found = []
    for path in (folder / ".benchbench/cells").glob("*/*/progress.json"):
        if not (path.parent / "outcome.json").exists():
            try:
                found.append(str(json.loads(path.read_text())["phase"]).split(" ")[0])
            except (OSError, ValueError):
                continue
    return found or ["runner"]


def chaos(folder: Path, kills: int, seed: int, only: Sequence[str] = (), within: float | None = None) -> Tally:
    """Kill until there were so many kills and a run has got to its end after the last one.

    Args:
        folder: An empty folder.
        kills: How many.
        seed: Of the moments.
        only: Rows of the benchmark to keep, beside the baseline; none means all.
        within: Seconds after the start of a run in which it is killed; None for what the calm run took.

    Raises:
        AssertionError: If numbers differ, or a run fails.
    """
    chance, tally = random.Random(seed), Tally()
    calm, wild = folder / "calm", folder / "wild"
    for place in (calm, wild):
        place.mkdir(parents=True)
        (place / "chaos.yaml").write_text(BENCHMARK)
    began = time.monotonic()
    assert start(calm, only).wait() == 0, (calm / "stderr.txt").read_text()
    duration = time.monotonic() - began
    expected = results(calm)
    while True:
        runner = start(wild, only)
        if tally.kills < kills:
            try:
                status = runner.wait(chance.uniform(0.0, within or duration))
            except subprocess.TimeoutExpired:
                tally.phases.update(phases(wild))
                tally.resumed += sum(1 for _ in (wild / ".benchbench/checkpoints").glob("*.sha256"))
                kill(runner, wild, everything=tally.kills % 2 == 0)
                tally.kills += 1
                print(tally.line(), f"({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
                continue
        else:
            status = runner.wait()
        assert status == 0, (wild / "stderr.txt").read_text()
        assert results(wild) == expected, f"other numbers after {tally.kills} kills"
        assert (wild / "reports/chaos/leaderboard.md").is_file()
        tally.finishes += 1
        if tally.kills >= kills:
            return tally
        shutil.rmtree(wild / ".benchbench")
        shutil.rmtree(wild / "reports")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, help="seconds after a start in which a run is killed")
    parser.add_argument("--only", action="append", default=[], help="a row to keep; may be repeated")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(chaos(Path(folder), arguments.kills, arguments.seed, arguments.only, arguments.within).line())


if __name__ == "__main__":
    main()
