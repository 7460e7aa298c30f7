"""Digests of source code: what a plugin computes is determined by its source and what that imports."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Contracts and plumbing: editing them does not change what a plugin computes from the same inputs.
_OWN_PACKAGE = "benchbench"


def source_digest(cls: type) -> str:
    """SHA-256 (hex) over the source that determines what ``cls`` computes.

    That is its module and those of its base classes, and every module of the same package that they
    import, directly or not; for modules inside benchbench, the same sub-package. The contracts in
    ``benchbench.types`` do not count, nor do comments, blank lines and docstrings.

    Args:
        cls: A plugin class, from an importable module or from a single file.
    """
    return modules_digest(*sorted({base.__module__ for base in cls.__mro__ if _counts(base.__module__)}))


@cache
def modules_digest(*names: str) -> str:
    """:func:`source_digest` of modules by name; a package stands for all its modules.

    Computed once a process, near the time when the modules are imported: a file that is edited while a
    process runs does not change what that process computes.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_closure(names)):
        digest.update(f"{name}\n".encode())
        digest.update(_normalised(path).encode())
    return digest.hexdigest()


def _counts(module: str) -> bool:
    """Whether a base class's module is somebody's code, and not a contract or the standard library."""
    return not module.startswith("benchbench.types") and module.partition(".")[0] not in sys.stdlib_module_names


def _closure(names: tuple[str, ...]) -> set[tuple[str, Path]]:
    """(name, file) of the named modules and of those they import from their own package."""
    found: dict[str, Path] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        path = _file_of(name)
        if name in found or path is None:
            continue
        found[name] = path
        if path.name == "__init__.py" and name in names:
            queue += [f"{name}.{file.stem}" for file in path.parent.glob("*.py") if file.stem != "__init__"]
        queue += [other for other in _imports(name, path) if _same_home(name, other)]
    return {(_stable_name(name), path) for name, path in found.items()}


def _stable_name(name: str) -> str:
    """A single-file plugin's module name carries a digest of its path, which must not reach a key."""
    return name.rpartition("__")[2] if name.startswith("benchbench_file__") else name


def _home(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == _OWN_PACKAGE else parts[0]


def _same_home(name: str, other: str) -> bool:
    home = _home(name)
    return other == home or other.startswith(f"{home}.")


def _file_of(name: str) -> Path | None:
    module = sys.modules.get(name)
    if module is not None:
        try:
            return Path(inspect.getfile(module))
        except TypeError:
            return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _normalised(path: Path) -> str:
    """The syntax tree without docstrings, as text; a file that does not parse counts byte by byte."""
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _imports(name: str, path: Path) -> Iterator[str]:
    """Names of all modules that a file may import, relative imports resolved."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:
        return
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")
                anchor = anchor[: len(anchor) - node.level + 1]
                base = ".".join([*anchor, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
