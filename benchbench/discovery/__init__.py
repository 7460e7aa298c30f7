"""Finding plugins, and knowing what their source is."""

from benchbench.discovery.load import hooks_of, load_registry
from benchbench.discovery.registry import KINDS, Broken, Plugin, Registry
from benchbench.discovery.source import modules_digest, source_digest

__all__ = ["KINDS", "Broken", "Plugin", "Registry", "hooks_of", "load_registry", "modules_digest", "source_digest"]
