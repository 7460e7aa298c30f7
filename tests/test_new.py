"""``benchbench new``: what it writes is installed, found, conforms and passes its own tests, unedited."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchbench.cli import app
from benchbench.commands.new import KINDS, package_files
from benchbench.errors import RequestError

# One process for all: torch takes long to import.
IN_THE_ENVIRONMENT = """
import sys
import pytest
from typer.testing import CliRunner
from benchbench.cli import app

for noun_and_name in sys.argv[1:]:
    kind, name, folder = noun_and_name.split("=")
    listed = CliRunner().invoke(app, ["list", kind, "--json"])
    assert f'"name": "{name}"' in listed.output, listed.output
    checked = CliRunner().invoke(app, ["check", name])
    assert checked.exit_code == 0, checked.output
    print(checked.output)
    assert pytest.main(["-q", "-p", "no:cacheprovider", folder]) == 0
"""


def new(*words: str) -> str:
    """Its output."""
    done = CliRunner().invoke(app, ["new", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A Python in which what is installed here is visible, and what is installed there stays there."""
    folder = tmp_path / "env"
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_new_packages_are_installed_found_and_conform_unedited(tmp_path: Path, environment: Path) -> None:
    folders = {noun: tmp_path / f"pack-{noun}" for noun in KINDS}
    for noun, folder in folders.items():
        output = new(noun, f"my_{noun}", "--out", str(folder))
        assert f"next: pip install -e {folder} && benchbench check my_{noun}" in output
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, *offline, *map(str, folders.values())], check=True, timeout=240)
    wanted = [f"{KINDS[noun][0]}=my_{noun}={folder}" for noun, folder in folders.items()]
    done = subprocess.run(
        [str(environment), "-c", IN_THE_ENVIRONMENT, *wanted],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for noun in KINDS:
        assert f"my_{noun}: is registered without heavy work: passed" in done.stdout


@pytest.mark.parametrize("noun", KINDS)
def test_what_is_written_is_tidy(tmp_path: Path, noun: str) -> None:
    """By ruff's own defaults: the package has no settings of its own for it."""
    new(noun, "mine", "--out", str(tmp_path / "package"))
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", "."]
        tidy = subprocess.run(ruff, cwd=tmp_path / "package", capture_output=True, text=True)
        assert tidy.returncode == 0, tidy.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generatr", "mine"], "new: got 'generatr', expected one of generator"),
        (
            ["generator", "My-Gan"],
            "new: got the name 'My-Gan', expected lower-case letters, digits and _, a letter first; try 'my_gan'",
        ),
        (
            ["generator", "vae"],
            "new: the generator 'vae' is there already, in benchbench_plugins.vae; choose another name",
        ),
        (
            ["generator", "plugins"],
            "new: the module benchbench_plugins is installed already; choose another name than 'plugins'",
        ),
        (["generator", "mine", "--out", "full"], "--out full is there already and not empty; name a new folder"),
    ],
)
def test_new_refuses_what_would_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(RequestError) as refusal:
        new(*words)
    assert str(refusal.value).startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_new_writes_here_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    new("generator", "tiny_model")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    inside = ("README.md", "benchbench_tiny_model.py", "pyproject.toml", "tests/test_tiny_model.py")
    assert files == {f"benchbench-tiny-model/{name}" for name in inside}


@pytest.mark.parametrize(
    ("noun", "name", "cls"),
    [("generator", "none", "NoneGenerator"), ("generator", "step", "StepGenerator"), ("generator", "a__b", "AB")],
)
def test_any_name_makes_a_module_that_compiles(noun: str, name: str, cls: str) -> None:
    files = package_files(noun, name)
    text = files[Path(f"benchbench_{name}.py")]
    compile(text, name, "exec")
    assert f"\nclass {cls}(" in text and f'name = "{name}"' in text
