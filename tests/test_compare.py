"""Two reports side by side: tests against scipy, refusals by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Bench
from scipy import stats

from benchbench.api.compared import compare
from benchbench.errors import DataError, RequestError

# Every field of a record.
COLUMNS = (
    "generator", "seed", "setting", "metric", "value", "higher_is_better", "n", "status", "arm", "ratio", "classifier",
    "classifier_seed", "train_images", "class_name",
)  # fmt: skip
GENERATORS = [{"name": "a", "config": {}}]


def report(folder: Path, values: dict[str, dict[int, float]], **manifest: Any) -> Path:
    folder.mkdir()
    rows = [
        dict.fromkeys(COLUMNS)
        | {"generator": row, "seed": seed, "setting": "full", "metric": "FD", "value": value,
           "higher_is_better": False, "status": "ok"}
        for row, seeds in values.items()
        for seed, value in seeds.items()
    ]  # fmt: skip
    head = {"schema_version": 2, "benchmark": "b", "protocol_fingerprint": "p", "verdicts": []}
    (folder / "results.json").write_text(json.dumps({**head, "rows": rows}))
    whole = {
        "protocol_fingerprint": "p",
        "dataset": {"fingerprint": "d"},
        "benchmark": {
            "protocol": {"classifier_steps": 600},
            "settings": {},
            "generators": [{"name": "a", "config": {}}],
        },
        "plugins": {},
        "environments": [{"device": "one"}],
    }
    (folder / "manifest.json").write_text(json.dumps({**whole, **manifest}))
    return folder


FIRST = {0: 1.0, 1: 1.2, 2: 0.9, 3: 1.1}


def test_the_same_seeds_are_compared_one_by_one(tmp_path: Path) -> None:
    second = {seed: value - 0.5 + 0.01 * seed for seed, value in FIRST.items()}
    found = compare(report(tmp_path / "a", {"x": FIRST}), report(tmp_path / "b", {"x": second}))
    (change,) = found.changes
    expected = stats.ttest_rel(list(second.values()), list(FIRST.values()))
    assert change.p_value == pytest.approx(expected.pvalue)
    assert change.difference.low == pytest.approx(expected.confidence_interval().low)
    assert (change.paired, change.seeds, change.beyond_noise, change.better) == (True, 4, True, True)
    assert found.settings == {}


def test_other_seeds_are_compared_by_means(tmp_path: Path) -> None:
    second = {seed + 10: value + 0.8 for seed, value in FIRST.items()}
    (change,) = compare(report(tmp_path / "a", {"x": FIRST}), report(tmp_path / "b", {"x": second})).changes
    expected = stats.ttest_ind(list(second.values()), list(FIRST.values()), equal_var=False)
    assert change.p_value == pytest.approx(expected.pvalue)
    assert (change.difference.low, change.difference.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert (change.paired, change.better) == (False, False)


def test_many_comparisons_are_corrected_and_noise_is_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"row{place}" for place in range(40)]
    runs = [{name: dict(enumerate(rng.normal(size=5))) for name in names} for _ in range(2)]
    found = compare(report(tmp_path / "a", runs[0]), report(tmp_path / "b", runs[1]))
    raw = [stats.ttest_rel(list(runs[1][n].values()), list(runs[0][n].values())).pvalue for n in names]
    assert min(raw) < 0.05
    assert not [change for change in found.changes if change.beyond_noise]
    assert min(change.p_value for change in found.changes) == pytest.approx(min(1.0, 40 * min(raw)))


def test_what_changed_is_told_by_field_and_rows_may_be_called_otherwise(tmp_path: Path) -> None:
    a = report(tmp_path / "a", {"x": FIRST, "gone": FIRST})
    wider = [{"name": "a", "config": {"w": 2}}]
    b = report(
        tmp_path / "b",
        {"y": FIRST, "new": FIRST},
        environments=[{"device": "two"}],
        benchmark={
            "protocol": {"classifier_steps": 600},
            "settings": {},
            "generators": wider,
        },
    )
    found = compare(a, b, {"x": "y"})
    assert found.settings["environments.0.device"] == ("one", "two")
    assert found.settings["benchmark.generators.a.config.w"] == (None, 2)
    assert set(found.only) == {("gone", str(a)), ("new", str(b))}
    (change,) = found.changes
    assert (change.row, change.difference.mean, change.beyond_noise) == ("x", 0.0, False)
    with pytest.raises(RequestError, match="has no row 'z'"):
        compare(a, b, {"x": "z"})


def test_unlike_protocols_are_refused_by_field(tmp_path: Path) -> None:
    a = report(tmp_path / "a", {"x": FIRST})
    other = {"protocol": {"classifier_steps": 300}, "settings": {}, "generators": []}
    b = report(tmp_path / "b", {"x": FIRST}, protocol_fingerprint="q", benchmark=other, dataset={"fingerprint": "e"})
    with pytest.raises(RequestError, match=r"the images \(dataset.fingerprint\), protocol.classifier_steps"):
        compare(a, b)
    (b / "manifest.json").write_text("{]")
    with pytest.raises(DataError, match="cannot be read"):
        compare(a, b)


def test_a_report_compared_with_itself(finished: Bench) -> None:
    done = finished("compare", "reports/toy-board", "reports/toy-board")
    assert done.returncode == 0, done.stderr
    assert "with one seed none can be told from noise" in done.stdout
    told = json.loads(finished("compare", "reports/toy-board", "reports/toy-board", "--json").stdout)
    assert told["settings"] == {}
    assert {change["difference"]["mean"] for change in told["changes"]} == {0.0}
    assert {"lift mixed 1", "FD[domain]", "accuracy synthetic"} <= {change["metric"] for change in told["changes"]}
    done = finished("compare", "reports/toy-board", "nowhere")
    assert done.returncode == 2
    assert "expected the folder of a report" in done.stderr
