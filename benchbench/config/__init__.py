"""Benchmark files: read, checked and turned into plain values."""

from benchbench.config.check import Catalog, load_benchmark
from benchbench.config.published import Published, PublishedNumber
from benchbench.config.schema import (
    BASELINE,
    Benchmark,
    BudgetSpec,
    GeneratorSpec,
    Limits,
    PluginSpec,
    Protocol,
    SettingsSpec,
)

__all__ = [
    "BASELINE",
    "Benchmark",
    "BudgetSpec",
    "Catalog",
    "GeneratorSpec",
    "Limits",
    "PluginSpec",
    "Protocol",
    "Published",
    "PublishedNumber",
    "SettingsSpec",
    "load_benchmark",
]
