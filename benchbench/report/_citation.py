"""How a report is cited."""

from __future__ import annotations

import re

from benchbench.leaderboard import Dossier
from benchbench.text import printable

# What would end the entry or the block of code that it stands in, and what LaTeX reads as a command.
MARKS = re.compile(r"[{}\\`]")
SPECIAL = re.compile(r"[_#$%&]")


def citation(dossier: Dossier) -> str:
    """A BibTeX entry; what stands in it pins the numbers down, and none of it is a date, which the store has not.

    Of names, what BibTeX or Markdown would take for one of their own marks is escaped or left out.
    """
    board, manifest = dossier.board, dossier.manifest
    made = sorted({_made_by(environment) for environment in manifest["environments"]})
    parts = [
        f"benchmark {board.benchmark}",
        f"protocol {manifest['protocol_fingerprint'][:16]}",
        f"data {manifest['dataset']['fingerprint'][:16]}",
        *(made or ["benchbench"]),
    ]
    return "\n".join(
        (
            f"@misc{{benchbench-{board.benchmark.replace('_', '-')},",
            f"  title = {{Should {_text(board.dataset)} be augmented? A benchbench report}},",
            f"  note = {{{_text(', '.join(parts))}}}",
            "}",
        )
    )


def _made_by(environment: dict[str, object]) -> str:
    packages, revision = environment.get("packages"), environment.get("revision")
    version = packages.get("benchbench", "") if isinstance(packages, dict) else ""
    return f"benchbench {version}".strip() + (f" (revision {revision})" if revision else "")


def _text(words: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", " ".join(MARKS.sub("", printable(words)).split()))
