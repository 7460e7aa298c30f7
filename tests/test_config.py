"""Benchmark files: every fault at once, with file, line, key and a hint; never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchbench.config import load_benchmark
from benchbench.discovery import Registry, load_registry
from benchbench.errors import BenchbenchError, BenchmarkFileError, RequestError

GOOD = """\
name: board
dataset: digits
generators: [noise, {name: dcgan, labels: per_class, as: dcgan-c}]
seeds: 3
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


Problems = Callable[..., list[str]]


@pytest.fixture
def problems(tmp_path: Path, registry: Registry) -> Problems:
    """Load a text and return its problems without the folder's name."""

    def load(text: str, *overrides: str) -> list[str]:
        path = tmp_path / "b.yaml"
        path.write_text(text)
        try:
            load_benchmark(path, registry, overrides)
        except BenchmarkFileError as error:
            return [str(problem).replace(f"{tmp_path}/", "") for problem in error.problems]
        return []

    return load


def test_a_good_file_with_its_shorthands(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(GOOD)
    benchmark = load_benchmark(path, registry)
    assert benchmark.seeds == [0, 1, 2]
    assert [spec.label for spec in benchmark.generators] == ["noise", "dcgan-c"]
    assert benchmark.dataset.name == "digits"
    assert benchmark.protocol.features[0].name == "domain"


def test_a_row_can_only_see_more_where_there_is_more_to_see(problems: Problems) -> None:
    row = "generators: [noise, {name: vae, generator_data: full}]"
    text = GOOD.replace("generators: [noise, {name: dcgan, labels: per_class, as: dcgan-c}]", row)
    (problem,) = problems(text)
    assert (
        "b.yaml:3: generators[1].generator_data: there are no images besides those that the classifier has" in problem
    )
    assert "settings: {fractions: [0.1]}" in problem
    assert problems(text + "settings: {fractions: [0.1, 1.0]}\n") == []
    assert problems(text + "settings: {imbalance: [10]}\n") == []
    control = text.replace("vae, generator_data", "noise, as: n, generator_data") + "settings: {fractions: [0.1]}\n"
    assert "noise is a control, which has no transfer track" in problems(control)[0]


def test_settings_are_checked(problems: Problems) -> None:
    assert "settings.fractions[0]: got 0" in problems(GOOD + "settings: {fractions: [0]}\n")[0]
    assert "settings.fractions[1]: got 1.5" in problems(GOOD + "settings: {fractions: [0.5, 1.5]}\n")[0]
    assert "settings.imbalance[0]: got 0.5" in problems(GOOD + "settings: {imbalance: [0.5]}\n")[0]
    assert (
        "settings.fractions: got 0.1: expected a list, such as [1.0]"
        in problems(GOOD + "settings: {fractions: 0.1}\n")[0]
    )
    assert "protocol.ratios: got []: expected at least one entry" in problems(GOOD + "protocol: {ratios: []}\n")[0]
    assert (
        "protocol.classical: got True: expected keys with values" in problems(GOOD + "protocol: {classical: on}\n")[0]
    )
    assert "did you mean 'fractions'" in problems(GOOD + "settings: {fraction: [0.5]}\n")[0]
    assert "protocol.classical.rotation: got 999" in problems(GOOD + "protocol: {classical: {rotation: 999}}\n")[0]
    assert problems(GOOD + "protocol: {classical: null, curve: [], classifier_seeds: 2}\n") == []


def test_all_faults_at_once_in_file_order(problems: Problems) -> None:
    text = """\
name: board
dataset: digit
generators:
  - nois
  - name: dcgan
    config: {wdth: 3}
  - name: vae
    labels: per_class
seeds: []
protocl: {}
budget: {max_steps: -1}
"""
    assert problems(text) == [
        "b.yaml:2: dataset: no dataset is called 'digit' (did you mean 'digits'?)",
        "b.yaml:4: generators[0]: no generator is called 'nois' (did you mean 'noise'?)",
        "b.yaml:6: generators[1].config.wdth: unknown key (did you mean 'width'?)",
        "b.yaml:8: generators[2].labels: vae is conditional and makes its own labels (leave this key out)",
        "b.yaml:9: seeds: got []: expected at least one entry",
        "b.yaml:10: protocl: unknown key (did you mean 'protocol'?)",
        "b.yaml:11: budget.max_steps: got -1: expected greater than or equal to 1",
    ]


def test_an_unconditional_generator_needs_labels(problems: Problems) -> None:
    (problem,) = problems("name: b\ndataset: digits\ngenerators: [dcgan]\nseeds: 1\n")
    assert problem.startswith("b.yaml:3: generators[0]: dcgan cannot be conditioned on labels")
    assert "labels: per_class" in problem
    assert "labels: pseudo_label" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "b.yaml: (top): got nothing"),
        ("- a\n", "b.yaml:1: (top): got a list"),
        ("name: [\n", "b.yaml:2: (syntax): not valid YAML"),
        ("name: a\nname: b\n", "b.yaml:2: name: stands twice, first in line 1"),
        ("a: &x [1]\nb: *x\n", "b.yaml:2: (syntax): got the alias *x"),
        ("name: !!python/object/apply:os.system [ls]\n", "b.yaml:1: name: got the tag tag:yaml.org,2002:python"),
        ("name: !!python/name:os.system\n", "b.yaml:1: name: cannot be read: could not determine a constructor"),
        ("a: " + "[" * 200 + "]" * 200, "b.yaml:1: (syntax): got more than 50 levels"),
        (GOOD.replace("board", "../../etc"), "b.yaml:1: name: got '../../etc': expected 1 to 64"),
        (GOOD.replace("seeds: 3", "seeds: [1, 1]"), "b.yaml:4: seeds: got [1, 1]: repeats [1]"),
        (GOOD + "protocol: {ratios: [.nan]}\n", "b.yaml:5: protocol.ratios[0]: got nan"),
        (
            GOOD + "protocol: {rank_by: lfit}\n",
            "b.yaml:5: protocol.rank_by: got 'lfit': expected one of lift, cas, fd, kid",
        ),
        (GOOD.replace("as: dcgan-c", "as: noise"), "b.yaml:3: generators[1]: a second row is called 'noise'"),
        (GOOD.replace("as: dcgan-c", "as: real"), "b.yaml:3: generators[1]: the row is called 'real', which is"),
    ],
)
def test_single_faults(problems: Problems, text: str, expected: str) -> None:
    found = problems(text)
    assert any(problem.startswith(expected) for problem in found), found


def test_overrides_are_checked_like_the_file(problems: Problems) -> None:
    assert problems(GOOD, "seeds=2", "generators[0].config={}", "budget.max_steps=10") == []
    assert problems(GOOD, "budget.max_stps=10") == ["--set: budget.max_stps: unknown key (did you mean 'max_steps'?)"]
    assert problems(GOOD, "fob.bar=1") == [
        "--set: fob: unknown key (known: budget, compute, dataset, generators, limits, loggers, name, plugins, "
        "protocol, published, seeds, settings)"
    ]
    assert problems(GOOD, "dataset.config.x=1") == ["--set: dataset.config.x: unknown key"]
    assert problems(GOOD, "generators[7].as=x") == ["--set: generators[7].as: no such place in the benchmark file"]
    assert problems(GOOD, "seeds") == ["--set: seeds: expected KEY=VALUE, e.g. budget.max_steps=100"]


def test_an_unreadable_file_is_one_line(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(RequestError, match="no such file"):
        load_benchmark(tmp_path / "none.yaml", registry)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="cannot be read"):
        load_benchmark(tmp_path / "binary.yaml", registry)
    (tmp_path / "huge.yaml").write_bytes(b"a" * 1_000_001)
    with pytest.raises(RequestError, match="at most 1000000"):
        load_benchmark(tmp_path / "huge.yaml", registry)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
KEYS = st.sampled_from(
    ["name", "dataset", "generators", "seeds", "protocol", "budget", "limits", "config", "labels", "as", "metrics",
     "features", "ratios", "max_steps", "rank_by", "noise", "plugins"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(KEYS, VALUES, max_size=7))
def test_any_file_gives_a_benchmark_or_a_named_error(
    tmp_path: Path, registry: Registry, data: dict[str, object]
) -> None:
    import yaml

    path = tmp_path / "wild.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    try:
        load_benchmark(path, registry)
    except BenchbenchError as error:
        assert str(error)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_benchmark_or_a_named_error(tmp_path: Path, registry: Registry, content: bytes) -> None:
    path = tmp_path / "wild.yaml"
    path.write_bytes(content)
    try:
        load_benchmark(path, registry)
    except BenchbenchError as error:
        assert str(error)


PUBLISHED = """\
published:
  - source: a paper
    numbers:
      - {row: real, number: real_to_real, value: 0.7}
      - {row: dcgan-c, number: synthetic_to_real, low: 0.1, high: 0.2}
      - {row: dcgan-c, number: fd, features: inception, value: 28.1, note: many samples}
      - {row: dcgan-c, number: fd_per_class, features: inception, low: 27.8, high: 73.2}
"""


def test_published_numbers_are_checked(problems: Problems) -> None:
    assert problems(GOOD + PUBLISHED) == []

    def one(entry: str) -> list[str]:
        return problems(GOOD + f"published:\n  - source: a paper\n    numbers:\n      - {{{entry}}}\n")

    at = "b.yaml:8: published[0].numbers[0]"
    assert one("row: dcgan, number: lift, value: 0.1") == [
        f"{at}.row: no row is called 'dcgan' (did you mean 'dcgan-c'?)"
    ]
    assert one("row: noise, number: synthetic_to_reel, value: 0.1") == [
        f"{at}.number: no number is called 'synthetic_to_reel' (did you mean 'synthetic_to_real'?)"
    ]
    assert one("row: noise, number: fd, features: incepton, value: 1") == [
        f"{at}.features: no features are called 'incepton' (did you mean 'inception'?)"
    ]
    assert "the row real has no lift (it has real_to_real" in one("row: real, number: lift, value: 0.1")[0]
    assert "the row noise has no real_to_real" in one("row: noise, number: real_to_real, value: 0.1")[0]
    assert "the features of kid are not named" in one("row: noise, number: kid, value: 0.1")[0]
    assert "lift is taken in no features" in one("row: noise, number: lift, features: domain, value: 0.1")[0]
    assert (
        "fd_per_class is a number a class (say low and high"
        in one("row: noise, number: fd_per_class, features: domain, value: 0.1")[0]
    )
    assert "expected a share in [0, 1]: 71.66 % is 0.7166" in one("row: real, number: real_to_real, value: 71.66")[0]
    for wrong in ("", ", low: 0.1", ", value: 0.1, low: 0.1, high: 0.2"):
        assert "expected either value, or low and high" in one(f"row: real, number: real_to_real{wrong}")[0]
    assert "expected low <= high" in one("row: real, number: real_to_real, low: 0.2, high: 0.1")[0]
    assert "value: got nan" in one("row: real, number: real_to_real, value: .nan")[0]
    assert one("row: real, number: real_to_real, valu: 0.1, low: 0, high: 1") == [
        f"{at}.valu: unknown key (did you mean 'value'?)"
    ]
    assert problems(GOOD + "published: {source: a}\n") == [
        "b.yaml:5: published: got {'source': 'a'}: expected a list, such as [1.0]"
    ]
