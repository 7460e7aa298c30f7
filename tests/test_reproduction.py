"""Published numbers beside measured ones: looked up, subtracted, and told apart from what was not measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Bench
from test_report import FEW, HOSTILE, board, dossier

from benchbench.config import Published, PublishedNumber
from benchbench.config.published import OF_A_GENERATOR, OF_THE_BASELINE, SHARES
from benchbench.leaderboard import Reproduction, reproduce
from benchbench.leaderboard.reproduction import COLUMNS, METRICS
from benchbench.report import html, markdown
from benchbench.report._inline import table
from benchbench.report._reproduction import TITLES, reproduction_note, reproduction_tables
from benchbench.report.results import Results
from benchbench.runner.reproduced import reproductions

BOARD = board()


def found(label: str = "", **claim: Any) -> Reproduction:
    """The only line of a claim."""
    (one,) = reproduce(BOARD, "s", PublishedNumber(**claim), label, 0.95)
    return one


def test_every_number_that_may_be_named_is_known_to_the_board_and_the_report() -> None:
    for number in (*OF_THE_BASELINE, *OF_A_GENERATOR):
        assert COLUMNS.get(number, number) in METRICS
        assert number in TITLES
    assert {METRICS[COLUMNS.get(number, number)] for number in SHARES} == {
        "accuracy", "accuracy_on_synthetic", "accuracy_on_mixed", "lift", "label_noise",
    }  # fmt: skip


def test_the_difference_is_measured_minus_published_with_the_measured_interval() -> None:
    one = found(row="good", number="synthetic_to_real", value=0.5)
    (row,) = (row for row in BOARD.rows if row.info.name == "good")
    assert one.measured == row.values["cas"]
    assert one.difference is not None
    assert one.difference.mean == pytest.approx(row.values["cas"].mean - 0.5)
    assert one.difference.half_width == pytest.approx(row.values["cas"].half_width)
    real = found(row="real", number="real_to_real", value=0.7)
    assert real.measured is not None and real.measured.mean == pytest.approx(BOARD.real_accuracy)
    fd = found("FD[x]", row="good", number="fd", features="x", value=1.0)
    assert fd.measured == row.values["FD[x]"]
    assert fd.metric == "FD[x]"


def test_a_range_is_compared_by_its_nearer_end() -> None:
    inside = found(row="good", number="synthetic_to_real", low=0.1, high=0.9)
    assert inside.measured is not None and inside.difference is None
    mean = inside.measured.mean
    for low, high, expected in ((0.0, 0.1, mean - 0.1), (0.95, 0.99, mean - 0.95)):
        outside = found(row="good", number="synthetic_to_real", low=low, high=high)
        assert outside.difference is not None and outside.difference.mean == pytest.approx(expected)


def test_a_number_a_class_gives_the_smallest_and_the_largest_of_the_classes_seed_by_seed() -> None:
    claim = PublishedNumber(row="good", number="fd_per_class", features="x", low=0.5, high=3.0)
    smallest, largest = reproduce(BOARD, "s", claim, "FD per class[x]", 0.95)
    records = [r for r in BOARD.records if (r.generator, r.metric) == ("good", "FD per class[x]")]
    by_seed = [[r.value for r in records if r.seed == seed and r.value is not None] for seed in BOARD.seeds]
    assert smallest.measured is not None and smallest.difference is not None
    assert smallest.measured.mean == pytest.approx(sum(map(min, by_seed)) / 3)
    assert smallest.difference.mean == pytest.approx(smallest.measured.mean - 0.5)
    assert largest.difference is not None and largest.measured is not None
    assert largest.measured.mean == pytest.approx(sum(map(max, by_seed)) / 3)
    assert largest.difference.mean == pytest.approx(largest.measured.mean - 3.0)
    assert (smallest.which, largest.which) == ("smallest", "largest")


def test_what_was_not_measured_says_so() -> None:
    claims = [
        PublishedNumber(row="dead", number="lift", value=0.1),
        PublishedNumber(row="good", number="fd", features="inception", value=20),
        PublishedNumber(row="gone", number="mixed_to_mixed", value=0.1),
    ]
    for claim, label in zip(claims, ("", "FID", ""), strict=True):
        (one,) = reproduce(BOARD, "s", claim, label, 0.95)
        assert one.measured is None and one.difference is None
    (nowhere,) = reproduce(None, "s", claims[1], "FID", 0.95)
    assert nowhere.measured is None
    what = replace(dossier(BOARD), reproductions=[nowhere])
    ((_, text),) = reproduction_tables(what)
    assert "not measured" in text
    assert "FID" in text


def rich() -> Any:
    """A dossier with arms, a metric, a range, hostile text and a row of mixed images."""
    claims = {
        "a paper": [
            ("", {"row": "real", "number": "real_to_real", "value": 0.7166}),
            ("", {"row": "good", "number": "synthetic_to_real", "value": 0.1359, "note": "a | <b> [x](y)"}),
            ("", {"row": "good", "number": "mixed_to_mixed", "value": 0.8546}),
            ("FD per class[x]", {"row": "good", "number": "fd_per_class", "features": "x", "low": 0.5, "high": 3}),
        ],
        "<script>alert(1)</script>": [("FD[x]", {"row": HOSTILE[0], "number": "fd", "features": "x", "value": 28.95})],
    }
    lines = [
        one
        for source, numbers in claims.items()
        for label, claim in numbers
        for one in reproduce(BOARD, source, PublishedNumber(**claim), label, 0.95)
    ]
    return replace(dossier(BOARD), reproductions=lines)


def test_both_pages_show_published_beside_measured() -> None:
    what = rich()
    tables = reproduction_tables(what)
    assert [len(read.lines) for _, text in tables if (read := table(text))] == [5, 1]
    first = tables[0][1]
    assert "| 71.66 " in first and "| 13.59 " in first and "| 85.46 " in first
    assert "CAS" in first and r"a \| &lt;b&gt; \[x\](y)" in first
    assert "**+" in first  # CAS is far above 13.59 % in all seeds
    assert "| 300 real " in first and "300 real and 300 synthetic" in first
    page, text = html.render(what), markdown.render(what, {"figures/leaderboard.png"})
    assert "<script>alert" not in page + text
    assert "100 of either a class" in first and "†" not in text.split("## Published")[1].split("##")[0]
    crowded = replace(what, dimensions={"x": 151})
    ((_, marked), (_, second)) = reproduction_tables(crowded)
    assert marked.count("†") == 2 and second.count("†") == 1
    assert "† measured on fewer than 2d images" in reproduction_note(crowded)
    assert "Published beside measured" in page and "## Published beside measured" in text
    assert first in text
    plain = dossier(BOARD)
    assert "Published" not in html.render(plain) + markdown.render(plain, {"figures/leaderboard.png"})


def test_the_note_says_that_mixed_to_mixed_is_tested_on_synthetic_images_and_on_how_many() -> None:
    what = rich()
    note = reproduction_note(what)
    assert "mixed→mixed of good is tested on synthetic images too: on 300 real test images and on 300 samples" in note
    assert "weighted 1 to 1 as in its training set" in note
    assert "mixed→mixed" not in reproduction_note(replace(what, reproductions=what.reproductions[:2]))


def test_results_json_holds_them_without_nan(tmp_path: Path) -> None:
    single = board(seeds=(0,))
    lines = reproduce(single, "s", PublishedNumber(row="good", number="synthetic_to_real", value=0.5), "", 0.95)
    Results().write(replace(dossier(single), reproductions=lines), tmp_path)
    (line,) = json.loads((tmp_path / "results.json").read_text())["published"]
    assert line["published_low"] == line["published_high"] == 0.5
    assert line["measured_low"] is None and line["n"] == 1
    assert line["difference"] == pytest.approx(line["measured"] - 0.5)
    assert lines[0].measured is not None and math.isnan(lines[0].measured.low)
    Results().write(dossier(single), tmp_path)
    assert "published" not in json.loads((tmp_path / "results.json").read_text())


def test_only_the_board_of_all_training_images_is_compared() -> None:
    block = Published(source="s", numbers=[PublishedNumber(row="good", number="lift", value=0.1)])
    work: Any = SimpleNamespace(benchmark=SimpleNamespace(published=[block], protocol=SimpleNamespace(level=0.95)))
    (few,) = reproductions(work, [board(FEW)])
    assert few.measured is None
    (whole,) = reproductions(work, [board(FEW), BOARD])
    assert whole.measured is not None


def test_a_block_in_the_file_stands_in_the_reports_and_changes_no_result(finished: Bench) -> None:
    before = finished.results()
    block = "published: [{source: p, numbers: [{row: toy, number: synthetic_to_real, value: 0.5}]}]\n"
    finished.file.write_text(finished.file.read_text() + block)
    assert {line["state"] for line in finished.plan().values()} == {"cached"}
    done = finished("report", "toy.yaml")
    assert done.returncode == 0, done.stderr
    after = finished.results()
    assert after["protocol_fingerprint"] == before["protocol_fingerprint"]
    assert after["rows"] == before["rows"]
    (line,) = after["published"]
    cas = [
        row
        for row in after["rows"]
        if (row["generator"], row["metric"], row["arm"]) == ("toy", "accuracy", "synthetic")
    ]
    assert line["measured"] == pytest.approx(next(row["value"] for row in cas if row["class_name"] is None))
    manifest = json.loads((finished.folder / "reports/toy-board/manifest.json").read_text())
    assert manifest["benchmark"]["published"][0]["source"] == "p"
