"""Hooks of mkdocs: what the site shows besides the pages of this folder.

README is the home page. Pages link to source files and to reports as a code host shows them; here these files become
pages or are copied. The page of commands is made of their own help.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Files at the top that are pages, by their place in the site.
TOP = {"index.md": ROOT / "README.md", "changelog.md": ROOT / "CHANGELOG.md"}
COMMANDS = "reference/commands.md"
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".md": "markdown"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and files that lie outside of the folder."""
    for place, path in TOP.items():
        _add(files, File.generated(config, place, content=path.read_text()))
    for path in sorted((ROOT / "reports").rglob("*")):
        if path.is_file():
            place = path.relative_to(ROOT).as_posix()
            _add(files, File.generated(config, place, abs_src_path=str(path)))
    _add(files, File.generated(config, COMMANDS, content=_commands()))
    pages = [(path, path.read_text()) for path in (*TOP.values(), *sorted(DOCS.rglob("*.md")))]
    wanted = {target for path, text in pages for link, _ in LINK.findall(text) if (target := _target(path, link))}
    for folder in [path for path in wanted if path.is_dir()]:
        wanted |= {path for path in folder.iterdir() if path.suffix in LANGUAGES}
    for path in sorted(wanted):
        place = _place(path)
        if files.get_file_from_path(place) is None:
            _add(files, File.generated(config, place, content=_listing(path) if path.is_dir() else _source(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Links as they are on a code host, turned to where the files are in the site."""
    here = page.file.src_uri
    path = TOP.get(here, ROOT / here if here.startswith("reports/") else DOCS / here)

    def turned(match: re.Match[str]) -> str:
        target = _target(path, match[1])
        if target is None:
            return match[0]
        relative = os.path.relpath(_place(target), Path(here).parent)
        return f"]({relative}{match[2] or ''})"

    return LINK.sub(turned, markdown)


def on_page_content(html: str, page: Page, config: Any, files: Files) -> str:
    """What docstrings say in reStructuredText: roles, and the colons before a block of code."""
    html = re.sub(r":(?:class|func|meth|mod|attr):<code>~?([^<]*)</code>", r"<code>\1</code>", html)
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>")


def _add(files: Files, file: File) -> None:
    if files.get_file_from_path(file.src_uri) is None:
        files.append(file)


def _target(page: Path, link: str) -> Path | None:
    """The file or folder that a link of a page means; None where there is none, which mkdocs then says."""
    path = (page.parent / link).resolve()
    return path if path.is_relative_to(ROOT) and path.exists() else None


def _place(path: Path) -> str:
    """Where a file or folder of the repository is in the site."""
    for place, top in TOP.items():
        if path == top:
            return place
    if path.is_dir():
        return f"source/{path.relative_to(ROOT).as_posix()}/index.md"
    if path.is_relative_to(DOCS) and path.suffix == ".md":
        return path.relative_to(DOCS).as_posix()
    if path.is_relative_to(ROOT / "reports"):
        return path.relative_to(ROOT).as_posix()
    return f"source/{path.relative_to(ROOT).as_posix()}.md"


def _source(path: Path) -> str:
    """A page with a file's text."""
    name = path.relative_to(ROOT).as_posix()
    return f"# `{name}`\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text()}\n````\n"


def _listing(path: Path) -> str:
    """A page with what a folder holds."""
    lines = [f"# `{path.relative_to(ROOT).as_posix()}/`", ""]
    for file in sorted(path.iterdir()):
        if file.suffix in LANGUAGES and not file.name.startswith("_"):
            doc = re.match(r'"""(.+?)(?:"""|$)', file.read_text(), re.MULTILINE)
            lines.append(f"- [`{file.name}`]({file.name}.md)" + (f": {doc[1]}" if doc else ""))
    return "\n".join(lines) + "\n"


def _commands() -> str:
    """Every command's help, as the command line prints it."""
    import typer

    from benchbench.cli import app

    group: Any = typer.main.get_command(app)
    pages = ["# Commands", "", "As `benchbench COMMAND --help` prints it."]
    for name, command in sorted(group.commands.items()):
        with command.make_context(f"benchbench {name}", [], resilient_parsing=True) as context:
            pages += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(pages) + "\n"
