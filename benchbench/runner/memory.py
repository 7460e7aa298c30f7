"""How much memory a cell's process may take, so that one that takes all fails alone."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

GIB = 2**30
# The kernel looks for a victim by this when memory runs out: a cell is to go before the run, or anything else.
CELL_BADNESS = 500
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def physical_bytes() -> int | None:
    """The machine's memory, or the control group's where it has less; None where the system does not tell."""
    found = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(path).read_text()))
    return min((size for size in found if size > 0), default=None)


def limit_memory(gib: float | None, *, on_gpu: bool = False) -> None:
    """Bound what this process and those it starts may allocate; beyond, allocation fails as ``MemoryError``.

    The bound is on private writable memory (``RLIMIT_DATA``), a process each. The address space would be no measure:
    libraries that are mapped, and never touched, take gigabytes of it. CUDA maps a device's memory in the same way as
    its own, so on a GPU there is no bound. Outside Linux there is none either.

    Args:
        gib: GiB, or None for all the memory that the machine has.
        on_gpu: Whether the cell works on a GPU.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(CELL_BADNESS))
    size = physical_bytes() if gib is None else int(gib * GIB)
    if size is None or on_gpu:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (size, hard))
