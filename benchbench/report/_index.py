"""An index of finished reports, and a dataset card of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.errors import RequestError
from benchbench.report._numbers import escape
from benchbench.report._tables import pipe_table
from benchbench.report.results import RESULTS_SCHEMA

NEEDED = ("results.json", "manifest.json", "leaderboard.md")
# What a card's front matter may hold unquoted; anything else is quoted by JSON, which YAML reads.
TAGS = ("benchmark", "generative-models", "data-augmentation")


@dataclass(frozen=True)
class Published:
    """A report that stands.

    Attributes:
        folder: Where.
        benchmark: Its name.
        verdicts: By setting, as in ``results.json``.
        manifest: As in ``manifest.json``.
    """

    folder: Path
    benchmark: str
    verdicts: Sequence[dict[str, Any]]
    manifest: dict[str, Any]


def read_report(folder: Path) -> Published:
    """A report's head, once it has been looked at.

    Raises:
        RequestError: If a file is missing, cannot be read, or does not belong to the others.
    """
    for name in NEEDED:
        if not (folder / name).is_file():
            raise RequestError(f"{folder} has no {name}; write the report with benchbench report")
    results, manifest = _json(folder / "results.json"), _json(folder / "manifest.json")
    version = results.get("schema_version")
    if version != RESULTS_SCHEMA:
        raise RequestError(f"{folder}/results.json: got schema version {version!r}, expected {RESULTS_SCHEMA}")
    if "verdicts" not in results:
        raise RequestError(f"{folder}/results.json holds no verdict; draw it again with benchbench report")
    if results["protocol_fingerprint"] != manifest["protocol_fingerprint"]:
        raise RequestError(f"{folder}: results.json and manifest.json are of different runs; draw the report again")
    if not results["rows"]:
        raise RequestError(f"{folder} holds no number; run the benchmark first")
    return Published(folder, str(results["benchmark"]), results["verdicts"], manifest)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path}: got a {type(found).__name__}, expected an object")
    return found


def index_page(reports: Sequence[Published]) -> str:
    """``reports/README.md``: a line a report and setting."""
    lines = [
        [
            f"[{escape(one.benchmark)}]({one.folder.name}/leaderboard.md)" if place == 0 else "",
            escape(one.manifest["dataset"]["name"]) if place == 0 else "",
            f"{verdict['train_images']:,}",
            f"**{escape(verdict['text'])}**",
            _hardware(one) if place == 0 else "",
        ]
        for one in reports
        for place, verdict in enumerate(one.verdicts)
    ]
    headings = ["Benchmark", "Dataset", "Real images", "Verdict", "Measured on"]
    about = (
        "Each folder holds `leaderboard.md`, `index.html` (the same with more, for a browser), `results.json` (every "
        "number), `leaderboard.csv`, `details.json` and `manifest.json` (versions, hardware, seeds, checksums)."
    )
    return f"# Reports\n\n{pipe_table(headings, lines)}\n\n{about}\n"


def _hardware(one: Published) -> str:
    """Devices, with the revision that measured."""
    found = [
        f"{escape(each['device'])}{', revision ' + escape(each['revision']) if each.get('revision') else ''}"
        for each in one.manifest["environments"]
    ]
    return "; ".join(dict.fromkeys(found))


def dataset_card(one: Published) -> str:
    """``README.md`` of a dataset on the Hugging Face hub that holds a report: front matter, then the leaderboard."""
    leaderboard = (one.folder / "leaderboard.md").read_text(encoding="utf-8")
    front = [
        "---",
        f"pretty_name: {json.dumps(f'benchbench {one.benchmark}')}",
        f"tags: {json.dumps(list(TAGS))}",
        "configs:",
        "- config_name: default",
        '  data_files: "leaderboard.csv"',
        "---",
    ]
    return "\n".join(front) + "\n\n" + leaderboard
