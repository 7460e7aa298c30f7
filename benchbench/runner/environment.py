"""What a result was measured on: hardware, versions, revision."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("benchbench", "torch", "torchvision", "numpy", "scipy", "scikit-learn")


def environment(device: torch.device) -> dict[str, object]:
    """Hardware, versions and source revision of this process, as JSON values."""
    return {
        "device": _gpu_name(device) if device.type == "cuda" else _cpu_name(),
        "cpus": usable_cpus(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "revision": _revision(),
    }


def usable_cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpu_name(device: torch.device) -> str:
    return f"{torch.cuda.get_device_name(device)} (CUDA {torch.version.cuda})"


def _cpu_name() -> str:
    """The processor's name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The git revision of the source, with ``+`` where it has uncommitted changes; None outside a checkout."""
    top = Path(__file__).resolve().parents[2]
    if not (top / ".git").exists():
        return None
    try:
        revision = _git(top, "rev-parse", "--short=12", "HEAD")
        return revision + (
            "+" if _git(top, "status", "--porcelain", "--untracked-files=no", "--", "benchbench", "plugins") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _git(top: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(top), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
