"""``benchbench publish``: an index of the reports, a branch that holds them, a dataset card."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.commands.options import HERE_REPORTS, Debug, Out
from benchbench.errors import RequestError

if TYPE_CHECKING:
    from benchbench.report._index import Published


def publish(
    benchmarks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BENCHMARK...]", help="Names below OUT; all unless given."),
    ] = None,
    out: Out = HERE_REPORTS,
    card: Annotated[
        Path | None, typer.Option("--card", help="Write a Hugging Face dataset folder of one benchmark here.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="Commit OUT to this git branch.")] = None,
    push: Annotated[str | None, typer.Option("--push", metavar="REMOTE", help="Push that branch there.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    debug: Debug = False,
) -> None:
    """Gather the reports into OUT/README.md, once all of them have been looked at.

    With --branch the folder is committed to a branch of its own, without touching the work tree; nothing is forced.
    """
    from benchbench.report._index import index_page, read_report
    from benchbench.store.files import write_atomic

    if push and not branch:
        raise RequestError("--push needs --branch: which branch shall be pushed")
    names = benchmarks or sorted(path.parent.name for path in out.glob("*/results.json"))
    if not names:
        raise RequestError(f"--out {out}: no report in it; run a benchmark first")
    reports = [read_report(out / name) for name in names]
    if card is not None and len(reports) != 1:
        raise RequestError(f"--card is of one benchmark, got {len(reports)}; name it")
    everything = {path.parent.name for path in out.glob("*/results.json")}
    listed = reports if set(names) == everything else [read_report(out / name) for name in sorted(everything)]
    page = index_page(listed).encode()
    index = out / "README.md"
    _say(dry_run, f"{index}: {len(listed)} report{'s' if len(listed) > 1 else ''}")
    if not dry_run:
        write_atomic(index, page)
    if card is not None:
        _card(reports[0], card, dry_run)
    if branch is not None:
        _branch(out, branch, push, dry_run)


def _say(dry_run: bool, text: str) -> None:
    typer.echo(f"would write {text}" if dry_run else text)


def _card(report: Published, folder: Path, dry_run: bool) -> None:
    """A folder that can be uploaded to the hub as it is."""
    from benchbench.api.folders import check_new
    from benchbench.report._index import dataset_card
    from benchbench.store.files import write_atomic

    check_new(folder, "--card")
    _say(dry_run, f"{folder}: a dataset card with the report of {report.benchmark}")
    if not dry_run:
        shutil.copytree(report.folder, folder, dirs_exist_ok=True)
        write_atomic(folder / "README.md", dataset_card(report).encode())


def _branch(out: Path, branch: str, remote: str | None, dry_run: bool) -> None:
    """Commit ``out`` to a branch through an index of its own; the work tree and its index stay as they are."""
    from tempfile import TemporaryDirectory

    top = Path(_git(out, "rev-parse", "--show-toplevel"))
    _git(top, "check-ref-format", "--branch", branch)
    current = subprocess.run(
        ["git", "-C", str(top), "symbolic-ref", "--quiet", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if branch == current:
        raise RequestError(f"--branch {branch} is checked out here; commit to it yourself, or name another one")
    where = out.resolve().relative_to(top.resolve()).as_posix()
    target = f" and pushed to {remote}" if remote else ""
    if dry_run:
        typer.echo(f"would commit {where} to branch {branch}{target}")
        return
    reference = f"refs/heads/{branch}"
    parent = subprocess.run(
        ["git", "-C", str(top), "rev-parse", "--verify", "--quiet", reference],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    with TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git(top, "add", "--force", "--", where, env=env)
        tree = _git(top, "write-tree", env=env)
    if parent and _git(top, "rev-parse", f"{parent}^{{tree}}") == tree:
        typer.echo(f"branch {branch} holds these reports already")
    else:
        before = ["-p", parent] if parent else []
        commit = _git(top, "commit-tree", tree, *before, "-m", "Reports")
        _git(top, "update-ref", reference, commit, parent or "0" * 40)
        typer.echo(f"{where} committed to branch {branch}")
    if remote:
        _git(top, "push", "--quiet", remote, f"{reference}:{reference}")
        typer.echo(f"branch {branch} pushed to {remote}")


def _git(folder: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """Git's answer.

    Raises:
        RequestError: With git's own words, if it refuses.
    """
    import os

    done = subprocess.run(
        ["git", "-C", str(folder), *words],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:300]
        raise RequestError(f"git {words[0]}: {said}")
    return done.stdout.strip()
