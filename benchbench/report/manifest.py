"""``manifest.json``: what the numbers were measured on and from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchbench.hookspecs import hookimpl
from benchbench.leaderboard import Dossier
from benchbench.store.files import write_json
from benchbench.types import Report


class Manifest(Report):
    """Versions, hardware, seeds, dataset fingerprint, keys and revision."""

    name = "manifest"

    def write(self, dossier: Dossier, folder: Path) -> list[Path]:
        """Write ``manifest.json``."""
        write_json(folder / "manifest.json", {**dossier.manifest, "command": dossier.command})
        return [folder / "manifest.json"]


@hookimpl
def benchbench_reports() -> Sequence[type[Report]]:
    """Bring the manifest."""
    return [Manifest]
