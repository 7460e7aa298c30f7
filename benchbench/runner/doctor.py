"""What a run needs, found or missing: packages, devices, folders, plugins, data, weights.

What needs no plugin is looked at in this process, which imports nothing heavy. All else is looked at in one of its own
(``python -m benchbench.runner.doctor DATA_DIR PLUGIN...``), which says so line by line: whatever it stumbles over, a
broken torch or a plugin that ends the process, is named and stops nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from benchbench.discovery import Registry

State = Literal["ok", "missing", "broken"]

# Extras for people who develop benchbench itself.
FOR_DEVELOPERS = ("test", "docs")
# Below this a run of any size ends on a full disk.
LEAST_FREE = 2**30
# Seconds after which a plugin that is being imported is taken to hang.
PATIENCE_S = 180.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: ``packages``, ``devices``, ``folders``, ``plugins``, ``datasets``, ``features`` or ``loggers``.
        name: What.
        state: ``missing`` is what some benchmarks need, and others not; ``broken`` stands in the way of what is there.
        text: What was found; where it is not ``ok``, the remedy, too.
    """

    topic: str
    name: str
    state: State
    text: str


def examine_machine(data_dir: Path, runs_dir: Path, plugins: Sequence[str]) -> Iterator[Finding]:
    """Everything, as it is found.

    Args:
        data_dir: Where datasets are looked for.
        runs_dir: Where results would be kept.
        plugins: Further plugin files or modules.
    """
    yield from packages()
    yield from folders(data_dir, runs_dir)
    yield from _apart(data_dir, plugins)


def packages() -> Iterator[Finding]:
    """Python, what benchbench requires, and its extras."""
    yield Finding("packages", "python", "ok", sys.version.split()[0])
    yield Finding("packages", "benchbench", "ok", metadata.version("benchbench"))
    extras: dict[str, list[Requirement]] = {}
    for line in metadata.requires("benchbench") or []:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            fault = _fault(wanted)
            text = f"{fault}; pip install '{wanted.name}{wanted.specifier}'" if fault else metadata.version(wanted.name)
            yield Finding("packages", wanted.name, "broken" if fault else "ok", text)
            continue
        for extra in metadata.metadata("benchbench").get_all("Provides-Extra") or []:
            if extra not in FOR_DEVELOPERS and wanted.marker.evaluate({"extra": extra}):
                extras.setdefault(extra, []).append(wanted)
    for extra, requirements in extras.items():
        faults = [fault for wanted in requirements if (fault := _fault(wanted))]
        text = f"{', '.join(faults)}; pip install 'benchbench[{extra}]'" if faults else "installed"
        yield Finding("packages", f"benchbench[{extra}]", "missing" if faults else "ok", text)


def _fault(wanted: Requirement) -> str:
    """Why a requirement is not met; empty where it is."""
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"{wanted.name} is not installed"
    if not wanted.specifier.contains(version, prereleases=True):
        return f"{wanted.name} is {version}, expected {wanted.specifier}"
    return ""


def folders(data_dir: Path, runs_dir: Path) -> Iterator[Finding]:
    """Where data is looked for, and whether results can be written."""
    if data_dir.is_dir():
        yield Finding("folders", "--data-dir", "ok", str(data_dir))
    else:
        text = f"there is no {data_dir}; only datasets that need no files, or lie elsewhere, are found"
        yield Finding("folders", "--data-dir", "missing", text)
    there = runs_dir.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        text = f"{runs_dir} cannot be written to ({there}); name another folder"
        yield Finding("folders", "--runs-dir", "broken", text)
        return
    free = shutil.disk_usage(there).free
    text = f"{runs_dir}, {free / 2**30:.1f} GiB free"
    if free < LEAST_FREE:
        yield Finding("folders", "--runs-dir", "broken", f"{text}; free some space, or name another folder")
    else:
        yield Finding("folders", "--runs-dir", "ok", text)


def _apart(data_dir: Path, plugins: Sequence[str]) -> Iterator[Finding]:
    """What the other process finds; how it ended, if that was not of itself."""
    read, write = os.pipe()  # its standard output is where plugins print
    words = [sys.executable, "-m", "benchbench.runner.doctor", str(write), str(data_dir.absolute()), *plugins]
    env = {**os.environ, "BENCHBENCH_DATA_DIR": str(data_dir.absolute())}  # for plugins that look for weights there
    doing = ("devices", "torch")
    with tempfile.TemporaryFile() as errors, os.fdopen(read) as lines:
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=(write,), env=env, start_new_session=True
        )
        os.close(write)
        watch = _Watch(process)
        try:
            for line in lines:
                watch.again()
                said = json.loads(line)
                if "doing" in said:
                    doing = (said["doing"][0], said["doing"][1])
                else:
                    yield Finding(**said)
            watch.again()
            process.wait()
        finally:
            watch.end()
        if process.returncode:
            errors.seek(0)
            said_last = errors.read().decode(errors="replace").strip().splitlines()
            text = _end(process.returncode, watch.hung, said_last[-1][:300] if said_last else "")
            remedy = "mend or uninstall it"
            if doing[0] in ("devices", "plugins"):
                remedy += "; until then no command that loads plugins can work"
            yield Finding(*doing, "broken", f"{text}; {remedy}")


class _Watch:
    """Kills a process, and all that it has started, when it has said nothing for ``PATIENCE_S``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._timer: threading.Timer | None = None
        self.hung = False
        self.again()

    def again(self) -> None:
        """It has said something."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(PATIENCE_S, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def _give_up(self) -> None:
        self.hung = True
        self._kill()

    def end(self) -> None:
        """There is nothing left to wait for."""
        if self._timer is not None:
            self._timer.cancel()
        self._kill()
        self._process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _end(status: int, hung: bool, last: str) -> str:
    """How the other process ended."""
    if hung:
        return f"hangs (nothing for {PATIENCE_S:g} s)"
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"ended the process that looked at it ({how}{': ' + last if last else ''})"


class _Told:
    """Says line by line what is found, and before that what is looked at."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w", buffering=1)

    def doing(self, topic: str, name: str) -> None:
        """What is looked at next."""
        self._file.write(json.dumps({"doing": [topic, name]}) + "\n")

    def found(self, topic: str, name: str, state: State, text: str) -> None:
        """What was found."""
        self._file.write(json.dumps(asdict(Finding(topic, name, state, text))) + "\n")


def main(descriptor: int, data_dir: Path, plugins: Sequence[str]) -> None:
    """The other process."""
    told = _Told(descriptor)
    told.doing("packages", "torch")
    _devices(told)
    from benchbench.discovery import load_registry

    registry = load_registry(plugins, lambda source: told.doing("plugins", source))
    for broken in registry.broken:
        told.found("plugins", broken.source, "broken", broken.error)
    sound = sorted({(one.source, one.name) for one in registry.all()})
    told.found("plugins", "found", "ok", f"{len(sound)} in {len({source for source, _ in sound})} modules")
    for kind in ("datasets", "features", "loggers"):
        for name in registry.names(kind):
            told.doing(kind, name)
            _checked(told, kind, name, registry, [data_dir] if kind == "datasets" else [])


def _checked(told: _Told, topic: str, name: str, registry: Registry, words: Sequence[Path]) -> None:
    """Whether a plugin has what it needs, by itself."""
    from benchbench.errors import DataMissingError
    from benchbench.types import DatasetSource

    try:
        cls = registry.get(topic, name).cls
        text = cls().check(*words) or "nothing is missing"
        if topic == "datasets" and cls.check is DatasetSource.check:
            text = "does not say whether it needs files"
    except DataMissingError as missing:
        told.found(topic, name, "missing", str(missing))
    except Exception as error:
        told.found(topic, name, "broken", f"{type(error).__name__}: {error}")
    else:
        told.found(topic, name, "ok", str(text))


def _devices(told: _Told) -> None:
    """Processors and GPUs, as torch sees them."""
    import torch

    from benchbench.runner.environment import usable_cpus
    from benchbench.runner.memory import physical_bytes

    memory = physical_bytes()
    text = f"{usable_cpus()} processors" + (f", {memory / 2**30:.1f} GiB of memory" if memory else "")
    told.found("devices", "cpu", "ok", text)
    if not torch.cuda.is_available():
        why = "torch is built without CUDA" if torch.version.cuda is None else "torch sees no GPU or no driver"
        remedy = "training runs on the CPU; with a GPU: nvidia-smi must list it, and torch must be a CUDA build"
        told.found("devices", "cuda", "missing", f"{why}; {remedy}")
        return
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16"
        text = f"{about.name}, {about.total_memory / 2**30:.1f} GiB, CUDA {torch.version.cuda}, {bf16}"
        told.found("devices", f"cuda:{index}", "ok", text)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
