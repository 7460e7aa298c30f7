"""Any benchmark file and any setting gives a plan or a sentence."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from wild import (
    WILD,
)

from benchbench.config import Benchmark, load_benchmark
from benchbench.discovery import Registry, load_registry
from benchbench.errors import BenchbenchError
from benchbench.plan import expand

# One of everything that a benchmark file may say.
VALID: dict[str, Any] = {
    "name": "wild",
    "dataset": {"name": "digits", "config": {}},
    "generators": [
        {"name": "vae", "as": "vae_small", "config": {"latent": 4}, "generator_data": "full"},
        {"name": "dcgan", "labels": "per_class"},
        "noise",
    ],
    "seeds": [0, 1],
    "budget": {"max_steps": 5, "max_seconds": 3.5},
    "settings": {"fractions": [1.0, 0.5], "imbalance": [1, 10]},
    "protocol": {
        "features": [{"name": "domain", "config": {"steps": 30}}],
        "metrics": ["fd", {"name": "kid"}],
        "classifier": {"name": "cnn_small", "config": {"width": 8}},
        "classifier_steps": 20,
        "classifier_seeds": 2,
        "ratios": [0.5, 1],
        "classical": {"flip": True},
        "curve": [0.5],
        "rank_by": "lift",
        "margin": 0.01,
        "level": 0.95,
    },
    "limits": {"timeout": 10, "memory": 2, "threads": 1, "checkpoint_every": 5},
    "compute": {"precision": "f32"},
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["vae", "fd", "domain", "../..", "", "a" * 300, 10**400, "2026-01-01", "!!python/object:os.system"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
TOKENS = (
    *("name", "dataset", "generators", "seeds", "protocol", "plugins", "config", "digits", "noise", "vae", "fd", "a"),
    *(
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "? ",
        "<<",
        "&a ",
        "*a",
        "|",
        ">-",
        "#",
        "---",
    ),
    *("!!int ", "!!bool ", "!!set ", "!!omap ", "!!binary ", "!!timestamp ", "!!python/name:os.system ", "!x ", "%TAG"),
    *("1", "-1", "0x", "0b1", "1:2", "1e9", ".inf", ".nan", "~", "yes", "2026-13-99", "9" * 30, "'", '"', "\\u", "\t"),
    *("\x00", "\x1b[2J", "\u202e", "\ufeff", "\u2028", "é"),
)
YAML = st.lists(st.sampled_from(TOKENS), max_size=25).map("".join) | st.text(max_size=40)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of everything in a document."""
    below: list[tuple[str | int, ...]] = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        below += places(item, (*path, key))
    return below


def told(path: Path, registry: Registry, overrides: list[str] | None = None) -> Benchmark | None:
    """The checked benchmark with its cells, or None after a named error of at least a few words."""
    try:
        benchmark = load_benchmark(path, registry, overrides or [])
        assert expand(benchmark)
    except BenchbenchError as error:
        assert len(str(error)) > 10
        return None
    return benchmark


def test_the_file_itself_is_valid(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(yaml.safe_dump(VALID))
    assert told(path, registry) is not None


@WILD
@given(data=st.data())
def test_a_changed_file_gives_a_plan_or_a_sentence(tmp_path: Path, registry: Registry, data: st.DataObject) -> None:
    document = copy.deepcopy(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(places(document)))
        here: Any = document
        for part in where[:-1]:
            here = here[part]
        change = data.draw(st.sampled_from(["remove", "replace", "rename", "repeat"]))
        if change == "remove":
            del here[where[-1]]
        elif change == "rename" and isinstance(here, dict):
            here[data.draw(st.text(max_size=10))] = here.pop(where[-1])
        elif change == "repeat" and isinstance(here, list):
            here.append(copy.deepcopy(here[where[-1]]))
        else:
            here[where[-1]] = data.draw(ANYTHING)
        if not document:
            break
    path = tmp_path / "wild.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    told(path, registry)


@WILD
@given(position=st.integers(0, 5000), junk=st.binary(max_size=4), cut=st.integers(0, 4))
def test_a_damaged_file_gives_a_plan_or_a_sentence(
    tmp_path: Path, registry: Registry, position: int, junk: bytes, cut: int
) -> None:
    raw = yaml.safe_dump(VALID).encode()
    position %= len(raw)
    path = tmp_path / "wild.yaml"
    path.write_bytes(raw[:position] + junk + raw[position + cut :])
    told(path, registry)


@WILD
@given(override=st.text(max_size=30) | st.builds("{}={}".format, st.sampled_from(
    [".".join(map(str, path)) for path in places(VALID)]), ANYTHING))  # fmt: skip
def test_any_setting_gives_a_plan_or_a_sentence(tmp_path: Path, registry: Registry, override: str) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(yaml.safe_dump(VALID))
    told(path, registry, [override])


@settings(WILD, max_examples=examples(50))
@given(text=YAML)
def test_any_text_gives_a_plan_or_a_sentence(tmp_path: Path, registry: Registry, text: str) -> None:
    path = tmp_path / "wild.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    told(path, registry)


@settings(WILD, max_examples=examples(50))
@given(key=st.sampled_from(["name", "seeds[0]", "budget.max_steps", "generators[0].config"]) | YAML, value=YAML)
def test_any_yaml_as_a_setting_gives_a_plan_or_a_sentence(
    tmp_path: Path, registry: Registry, key: str, value: str
) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(yaml.safe_dump(VALID))
    told(path, registry, [f"{key}={value}"])


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a\n",
        "[" * 60,
        "- [" + "x, " * 25_000 + "]",
        "name: !!python/object/apply:os.system ['true']",
        "<<: {name: x}",
        "? [a, b]\n: c",
        "name: \x00",
        "name: .inf\nseeds: 1e999",
        "a: 0x" + "f" * 5000,
        "a: " + "9" * 5000,
        "seeds: 99999999999",
        "'': ''",
        "--- a\n--- b\n",
        "%YAML 9.9\n---\nname: x",
        "\ufeffname: x",
        # scalars that cannot be built, and endless plans
        "name: !!bool x",
        "name: !!timestamp x",
        "name: !!int ''",
        "name: !!float ''",
        "seeds: [0x" + "f" * 5000 + "]",
        "seeds: 1" + ":1" * 200_000,
        "base: {<<: {name: x}}",
        "generators: [" + ", ".join(f"{{name: noise, as: n{n}}}" for n in range(400)) + "]\nseeds: 1000\n"
        "name: x\ndataset: digits",
    ],
    ids=lambda text: text[:25],
)
def test_known_tricks_are_a_sentence(tmp_path: Path, registry: Registry, text: str) -> None:
    path = tmp_path / "trick.yaml"
    path.write_text(text)
    assert told(path, registry) is None


@pytest.mark.parametrize(
    "override",
    [
        "seeds.²=1",
        f"seeds[{'9' * 5000}]=1",
        "name=&a [*a]",
        "name=2026-99-99",
        "name=" + "[" * 3000,
        "seeds=" + "9" * 5000,
        "name=!!bool x",
        "name={a: 1, a: 2}",
        "budget={<<: {max_steps: 1}}",
        "name=" + "x" * 2_000_000,
    ],
    ids=lambda override: override[:20],
)
def test_settings_are_read_as_carefully_as_files(tmp_path: Path, registry: Registry, override: str) -> None:
    path = tmp_path / "valid.yaml"
    path.write_text(yaml.safe_dump(VALID))
    assert told(path, registry, [override]) is None


@pytest.mark.parametrize(
    "raw", [b"name: \xff", "name: x".encode("utf-16"), b"#" * 1_000_001], ids=["bytes", "utf16", "large"]
)
def test_what_is_no_text_or_too_much_is_a_sentence(tmp_path: Path, registry: Registry, raw: bytes) -> None:
    path = tmp_path / "trick.yaml"
    path.write_bytes(raw)
    assert told(path, registry) is None


def test_a_file_that_never_ends_is_a_sentence(registry: Registry) -> None:
    assert told(Path("/dev/zero"), registry) is None
