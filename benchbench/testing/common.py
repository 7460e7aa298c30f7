"""Rules for plugins of every kind."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

from pydantic import BaseModel

from benchbench.discovery import hooks_of
from benchbench.testing.fresh import import_fresh
from benchbench.testing.observing import UNUSUAL_SEED, NotApplicableError, global_seed
from benchbench.testing.rule import expect, rule
from benchbench.testing.trial import Trial

# Beyond torch and benchbench. A plugin is imported by every command and in every cell.
IMPORT_SECONDS = 2.0


@rule(
    object,
    "declares itself well",
    "set name (lower-case letters, digits and _) and Config (a bb.Config whose every field has a default and a "
    "description)",
)
def declares(trial: Trial[Any]) -> str:
    """Name and config are as the contract wants them."""
    name = getattr(trial.cls, "name", None)
    expect(isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None, f"name is {name!r}")
    config = getattr(trial.cls, "Config", None)
    if config is None:  # a report has none
        return f"{name!r}"
    expect(isinstance(config, type) and issubclass(config, BaseModel), f"Config is {config!r}")
    settings = config.model_config
    expect(
        settings.get("frozen") is True and settings.get("extra") == "forbid",
        f"Config has frozen={settings.get('frozen')} and extra={settings.get('extra')!r}",
    )
    for key, value in config.model_fields.items():
        expect(not value.is_required(), f"Config.{key} has no default")
        expect(bool(value.description), f"Config.{key} has no description")
    return f"{name!r} with {len(config.model_fields)} config fields"


@rule(object, "is made from its defaults", "keep __init__ to (self, config=None), and call super().__init__(config)")
def constructs(trial: Trial[Any]) -> str:
    """``P()``, ``P(P.Config())`` and the config under trial all work, and draw nothing from the global generators."""
    cls = trial.cls
    with global_seed(UNUSUAL_SEED) as changed:
        made = [cls(), *([cls(cls.Config()), trial.make()] if hasattr(cls, "Config") else [])]
        expect(not changed(), f"being made changed the global random state of {', '.join(changed())}")
    for one in made if hasattr(cls, "Config") else []:
        expect(isinstance(one.config, cls.Config), f"its config is a {type(one.config).__name__}")
    return "made"


@rule(
    object,
    "is registered without heavy work",
    "import what is large inside the method that needs it; build no network, read no file, and draw and seed nothing "
    "while the module is imported",
)
def registers(trial: Trial[Any]) -> str:
    """Its module is imported in a process of its own that has torch and the contracts, and nothing else."""
    name = trial.cls.__module__
    parents = [".".join(name.split(".")[: depth + 1]) for depth in range(name.count(".") + 1)]
    if name == "__main__" or not any(hooks_of(sys.modules[one]) for one in parents if one in sys.modules):
        raise NotApplicableError("its module implements no hook, so it is not registered")
    seen = import_fresh(name, getattr(importlib.import_module(name), "__file__", None))
    expect(not seen.error, f"importing it alone: {seen.error}")
    expect(not seen.changed, f"importing it changed {', '.join(seen.changed)}")
    brought = f"; it imports {', '.join(seen.packages)}" if seen.packages else ""
    expect(seen.seconds <= IMPORT_SECONDS, f"importing it took {seen.seconds:.1f} s of processor time{brought}")
    return f"imported in {seen.seconds:.2f} s of processor time{brought}"
