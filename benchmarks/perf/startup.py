"""Start-up of ``benchbench --help`` against ``pytorch-fid --help`` and against Python itself.

Run: ``python benchmarks/perf/startup.py``. Whole processes, wall time, in turn. Our side must not import
torch, which is asserted.
"""

from __future__ import annotations

import subprocess
import sys
import time

from pairs import compare

OURS = [sys.executable, "-m", "benchbench.cli", "--help"]
PEER = [sys.executable, "-m", "pytorch_fid", "--help"]
NO_TORCH = """
import sys
from benchbench.cli import app
app(["--help"], standalone_mode=False)
assert "torch" not in sys.modules
"""
BARE = [sys.executable, "-c", "pass"]


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    run([sys.executable, "-c", NO_TORCH])
    for name, peer in (("pytorch-fid --help / benchbench --help", PEER), ("python -c pass / benchbench --help", BARE)):
        print(f"{name}, wall time: {compare(lambda p=peer: run(p), lambda: run(OURS), clock=time.perf_counter)}")


if __name__ == "__main__":
    main()
