"""``benchbench new``: a small package with a plugin that passes ``benchbench check`` as it is."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from benchbench.commands.options import Debug
from benchbench.errors import RequestError

# By what people call it: the kind of plugin, and how it is put to use.
KINDS = {
    "generator": (
        "generators",
        "In a benchmark file it stands under `generators:` as `{name}`; a field of its `Config` is set by\n"
        "`{{name: {name}, config: {{steps: 2000}}}}`.",
    ),
}
# Names that the modules use themselves.
TAKEN_CLASSES = {"Network", "Step", "Field"}


def new(
    noun: Annotated[str, typer.Argument(metavar="KIND", help=f"One of: {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in benchmark files: lower-case letters, digits, _.")],
    out: Annotated[Path | None, typer.Option("--out", help="A new folder; benchbench-NAME here unless given.")] = None,
    debug: Debug = False,
) -> None:
    """Write a small installable package: a plugin that works, its tests and its README."""
    from benchbench.api.folders import check_new
    from benchbench.store.files import write_atomic

    if noun not in KINDS:
        raise RequestError(f"new: got {noun!r}, expected one of {', '.join(KINDS)}")
    _check_name(noun, name)
    folder = out or Path(_distribution(name))
    check_new(folder)
    files = package_files(noun, name)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / path, text.encode())
    typer.echo(f"{folder}: {', '.join(map(str, files))}")
    typer.echo(f"next: pip install -e {folder} && benchbench check {name} && pytest {folder}")


def package_files(noun: str, name: str) -> dict[Path, str]:
    """The files of the package, by their place in it.

    Args:
        noun: What people call the kind of plugin.
        name: A valid name.
    """
    from importlib.metadata import version

    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701  (what is written is no HTML)
        loader=PackageLoader("benchbench", "commands/templates"),
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    kind, use = KINDS[noun]
    module = _module(name)
    words = {
        "noun": noun,
        "kind": kind,
        "name": name,
        "cls": _class(noun, name),
        "module": module,
        "distribution": _distribution(name),
        "version": version("benchbench"),
        "use": use.format(name=name),
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        f"{module}.py": f"{noun}.py",
        f"tests/test_{name}.py": "test.py",
        "README.md": "README.md",
    }
    return {
        Path(place): environment.get_template(f"{template}.j2").render(words) for place, template in templates.items()
    }


def _check_name(noun: str, name: str) -> None:
    """Refuse a name that is none, or somebody's.

    Raises:
        RequestError: Saying which, and what would do.
    """
    from benchbench.discovery import load_registry

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f"; try {better!r}" if better else ""
        raise RequestError(
            f"new: got the name {name!r}, expected lower-case letters, digits and _, a letter first{hint}"
        )
    registry, (kind, _) = load_registry(), KINDS[noun]
    if name in registry.names(kind):
        source = next(plugin.source for plugin in registry.all() if (plugin.kind, plugin.name) == (kind, name))
        raise RequestError(f"new: the {noun} {name!r} is there already, in {source}; choose another name")
    if importlib.util.find_spec(_module(name)) is not None:
        raise RequestError(f"new: the module {_module(name)} is installed already; choose another name than {name!r}")


def _distribution(name: str) -> str:
    return f"benchbench-{name.replace('_', '-').rstrip('-')}"


def _module(name: str) -> str:
    return f"benchbench_{name}"


def _class(noun: str, name: str) -> str:
    """``my_gan`` to ``MyGan``."""
    cls = "".join(part.capitalize() for part in name.split("_"))
    return cls + noun.capitalize() if keyword.iskeyword(cls) or cls in TAKEN_CLASSES else cls
