"""The other process of :mod:`benchbench.testing.fresh`: one line of JSON in, one line of JSON out.

Each module is imported in a fork, so that none finds what another has brought.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import sys
import time
from dataclasses import asdict

import torch

from benchbench.testing.fresh import Import
from benchbench.testing.observing import UNUSUAL_SEED, global_seed

# What any plugin may import at no cost of its own.
CONTRACTS = ("errors", "hookspecs", "networks", "seeding", "training", "types")


def main() -> None:
    """Answer until there is no more input."""
    for module in CONTRACTS:
        importlib.import_module(f"benchbench.{module}")
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is no answer
                seen = watched_import(**json.loads(line))
            os.write(writing, json.dumps(asdict(seen)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        print(answer or json.dumps(asdict(Import(error="the process died"))), flush=True)


def watched_import(name: str, file: str | None, path: list[str]) -> Import:
    """Import the module ``name`` (``file``, where there is none of that name), and watch."""
    sys.path[:] = path
    settings, packages = _settings(), _packages()
    began = time.process_time()
    with global_seed(UNUSUAL_SEED) as changed:
        try:
            _import(name, file)
        except BaseException as error:
            return Import(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
        touched = [f"the global random state of {one}" for one in changed()]
    seconds, after = time.process_time() - began, _settings()
    touched += [what for what, value in settings.items() if after[what] != value]
    brought = _packages() - packages - {name.partition(".")[0]}
    return Import(seconds, tuple(touched), tuple(sorted(brought)))


def _import(name: str, file: str | None) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name or file is None:
            raise
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def _packages() -> set[str]:
    """The public packages that are imported and do not come with Python."""
    names = {module.partition(".")[0] for module in sys.modules}
    return {name for name in names - sys.stdlib_module_names if not name.startswith("_")}


def _settings() -> dict[str, object]:
    """What counts for everybody in a process."""
    return {
        "whether CUDA is started": torch.cuda.is_initialized(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
