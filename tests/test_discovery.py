"""Plugins: found through entry points and files; a broken one is listed and stops nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from conftest import TOY_GENERATOR, Bench

from benchbench.discovery import load_registry, modules_digest, source_digest
from benchbench.errors import PluginError


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_project_brings_its_own_through_entry_points() -> None:
    registry = load_registry()
    assert registry.broken == []
    assert {"dcgan", "cgan", "wgan_gp", "vae", "flow", "real_holdout", "train_copy", "noise"} <= set(
        registry.names("generators")
    )
    assert {"domain", "efficientnet_lite0", "inception"} <= set(registry.names("features"))
    assert {"fd", "fd_infinity", "kid", "prdc", "memorization", "authenticity", "data_copying"} <= set(
        registry.names("metrics")
    )
    assert registry.get("generators", "vae").source == "benchbench_plugins.vae"


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    registry = load_registry([write(tmp_path, "mine.py", TOY_GENERATOR)])
    plugin = registry.get("generators", "toy")
    assert plugin.source.endswith("mine.py")
    assert plugin.cls().config.weight == 0.5


BROKEN = {
    "raises.py": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "syntax.py": ("def (", "SyntaxError"),
    "exits.py": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "no_hook.py": ("x = 1", "implements no hook"),
    "misspelled.py": (
        "import benchbench as bb\n@bb.hookimpl\ndef benchbench_generator():\n    return []\n",
        "unknown hook 'benchbench_generator'",
    ),
    "wrong_arguments.py": (
        "import benchbench as bb\n@bb.hookimpl\ndef benchbench_generators(registry):\n    return []\n",
        "registry",
    ),
    "silent_metric.py": (
        "import benchbench as bb\nclass M(bb.Metric):\n    name = 'm'\n    def compute(self, sets, rng): ...\n"
        "@bb.hookimpl\ndef benchbench_metrics():\n    return [M]\n",
        "M.outputs is None, expected a tuple of benchbench.Output",
    ),
    "not_a_list.py": (
        "import benchbench as bb\n@bb.hookimpl\ndef benchbench_generators():\n    return 3\n",
        "benchbench_generators returned 3, expected a list of classes",
    ),
    "not_a_generator.py": (
        "import benchbench as bb\n@bb.hookimpl\ndef benchbench_generators():\n    return [int]\n",
        "expected classes derived from Generator",
    ),
    "abstract.py": (
        "import benchbench as bb\nclass G(bb.Generator):\n    name = 'g'\n"
        "@bb.hookimpl\ndef benchbench_generators():\n    return [G]\n",
        "G does not define fit, load_state_dict, sample, state_dict",
    ),
    "peeks.py": (
        TOY_GENERATOR.replace('name = "toy"', 'name = "peeks"\n    fit_split = "val"'),
        "asks for val images; only a control may see them",
    ),
    "required.py": (
        TOY_GENERATOR.replace("weight: float = 0.5", "weight: float"),
        "Toy.Config needs weight; give every field a default",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_and_stops_nobody(tmp_path: Path, name: str) -> None:
    text, error = BROKEN[name]
    good = write(tmp_path, "good.py", TOY_GENERATOR)
    bad = write(tmp_path, name, text)
    registry = load_registry([bad, good])
    assert registry.get("generators", "toy")
    (broken,) = registry.broken
    assert broken.source == bad
    assert error in broken.error


def test_two_plugins_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    first, second = write(tmp_path, "first.py", TOY_GENERATOR), write(tmp_path, "second.py", TOY_GENERATOR)
    registry = load_registry([first, second])
    with pytest.raises(PluginError, match=r"two generators are called 'toy': in .*first\.py and .*second\.py"):
        registry.get("generators", "toy")
    assert registry.get("generators", "noise")


def test_the_digest_follows_imports_within_the_package_and_ignores_comments(tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from benchbench.discovery import modules_digest
print(modules_digest("pack.gen"))
"""
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "gen.py").write_text("from . import nets\nx = nets.y\n")
    (package / "nets.py").write_text("y = 1\n")
    (package / "other.py").write_text("z = 1\n")

    def digest() -> str:
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
        return done.stdout

    before = digest()
    (package / "other.py").write_text("z = 2\n")
    (package / "nets.py").write_text('"""About."""\ny = 1  # one\n')
    assert digest() == before
    (package / "nets.py").write_text("y = 2\n")
    assert digest() != before


def test_a_files_digest_does_not_depend_on_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    registry = load_registry(
        [
            write(tmp_path / "a", "p.py", TOY_GENERATOR),
            write(tmp_path / "b", "p.py", TOY_GENERATOR.replace('"toy"', '"yot"')),
        ]
    )
    one = source_digest(registry.get("generators", "toy").cls)
    other = load_registry([write(tmp_path, "p.py", TOY_GENERATOR)]).get("generators", "toy")
    assert source_digest(other.cls) == one
    assert source_digest(registry.get("generators", "yot").cls) != one


def test_a_plugin_found_on_two_ways_is_one_plugin() -> None:
    registry = load_registry(["benchbench_plugins.noise"])
    assert registry.get("generators", "noise").source == "benchbench_plugins.noise"


def test_the_digest_follows_base_classes_into_other_packages(tmp_path: Path) -> None:
    derived = """
import benchbench as bb
from benchbench_plugins.noise import Noise

class Derived(Noise):
    name = "derived"

@bb.hookimpl
def benchbench_generators():
    return [Derived]
"""
    registry = load_registry([write(tmp_path, "derived.py", derived)])
    cls = registry.get("generators", "derived").cls
    assert source_digest(cls) not in (modules_digest(cls.__module__), modules_digest("benchbench_plugins.noise"))
    assert source_digest(cls) == modules_digest("benchbench_plugins.noise", cls.__module__)


def test_list_shows_broken_plugins(bench: Bench) -> None:
    (bench.folder / "bad.py").write_text("raise RuntimeError('boom')")
    done = bench("list", "generators", "--plugin", "bad.py", "--plugin", "toy.py", "--json")
    assert done.returncode == 0
    listed = json.loads(done.stdout)
    assert listed["broken"] == [{"source": "bad.py", "error": "RuntimeError: boom"}]
    assert {"toy", "vae"} <= {plugin["name"] for plugin in listed["plugins"]}


def test_a_plugin_that_was_asked_for_must_load(bench: Bench) -> None:
    (bench.folder / "bad.py").write_text("raise RuntimeError('boom')")
    done = bench("run", "toy.yaml", "--plugin", "bad.py")
    assert done.returncode == 2
    assert done.stderr.strip() == "benchbench: plugin bad.py was asked for and cannot be loaded: RuntimeError: boom"
    assert not (bench.folder / ".benchbench").exists()


PACKAGE = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "third-party"
version = "1.0"

[project.entry-points.benchbench]
third = "third_party_generator"

[tool.setuptools]
py-modules = ["third_party_generator"]
"""


@pytest.mark.slow
def test_an_installed_third_party_package_stands_in_a_leaderboard(bench: Bench) -> None:
    """Built and installed into an environment of its own, found through its entry point."""
    source = bench.folder / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(PACKAGE)
    (source / "third_party_generator.py").write_text(TOY_GENERATOR.replace('"toy"', '"third"'))
    environment = bench.folder / "env"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    site = next(environment.glob("lib/python*/site-packages"))
    # what is installed here is visible there: torch is not installed twice
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", str(source)], check=True, timeout=240)
    bench.edit(bench.file, "plugins: [toy.py]\n", "")
    bench.edit(bench.file, "name: toy  # a comment", "name: third")
    done = subprocess.run(
        [str(python), "-m", "benchbench.cli", "run", "toy.yaml"],
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=240,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "**third**" in (bench.folder / "reports/toy-board/leaderboard.md").read_text()
    outside = bench("list", "generators", "--json")
    assert "third" not in {plugin["name"] for plugin in json.loads(outside.stdout)["plugins"]}
