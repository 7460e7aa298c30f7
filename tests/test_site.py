"""The documentation site: it builds without a warning, holds all of the public face, and needs no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer

import benchbench as bb
from benchbench.cli import app

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built; a warning is an error (``strict``)."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280, env=env)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


class Page(HTMLParser):
    """What a page links to and loads, and its anchors."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])


def test_all_of_the_public_face_is_in_the_reference(site: Path) -> None:
    anchors = set().union(*(Page(file).anchors for file in (site / "reference").rglob("index.html")))
    homes = {name: getattr(bb, name) for name in bb.__all__}
    missing = [
        name
        for name, thing in homes.items()
        if not {f"benchbench.{name}", f"{getattr(thing, '__module__', '')}.{name}"} & anchors
    ]
    assert missing == []


def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    text = (site / "reference/commands/index.html").read_text()
    group = typer.main.get_command(app)
    assert len(group.commands) >= 14
    for name, command in group.commands.items():
        assert f'id="{name}"' in text
        for option in (word for parameter in command.params for word in parameter.opts if word.startswith("--")):
            assert option in text, f"{name} {option}"


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {file: Page(file) for file in site.rglob("*.html") if "reports" not in file.parts}
    assert len(pages) > 50
    broken = []
    for file, page in pages.items():
        for link in page.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link) or file.name == "404.html":
                continue
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{file.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for file in site.rglob("index.html"):
        assert [load for load in Page(file).loads if load.startswith(("http", "//"))] == [], file


def test_the_readme_shows_its_picture_and_its_reports(site: Path) -> None:
    home = Page(site / "index.html")
    assert (site / "reports/digits/figures/leaderboard.png").is_file()
    assert any(load.endswith("reports/digits/figures/leaderboard.png") for load in home.loads)
    assert any("reports/digits/leaderboard" in link for link in home.links)
