"""The content-addressed store of everything that was computed."""

from benchbench.store.keys import content_key, weights_digest
from benchbench.store.store import Entry, Store

__all__ = ["Entry", "Store", "content_key", "weights_digest"]
