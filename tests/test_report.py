"""The report: what stands in the page, the tables, the files and the figures, of records made up here."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape as escape_html
from matplotlib.text import Annotation

from benchbench.leaderboard import Board, Column, Correlation, Dossier, Record, RowInfo, Rules, SettingInfo, build_board
from benchbench.leaderboard.dossier import ArmDetail, FitDetail
from benchbench.leaderboard.verdict import describe
from benchbench.leaderboard.worth import LearningCurve, Worth
from benchbench.metrics.fd_per_class import FrechetPerClass
from benchbench.report import html, markdown
from benchbench.report._citation import citation
from benchbench.report._classes import ClassTables
from benchbench.report._curve_figure import curve_figure, learning_curve, spread
from benchbench.report._draw import NAME_WIDTH, limits, row_label
from benchbench.report._lines import json_lines
from benchbench.report._numbers import escape, file_name, number, with_spread, worth_number, worth_words
from benchbench.report._phrases import correlation_sentence, dagger_note
from benchbench.report._tables import FRECHET_BY_CLASS, FRECHET_OF_CLASS
from benchbench.report.details import Details
from benchbench.report.manifest import Manifest
from benchbench.report.markdown import Markdown
from benchbench.report.results import Results, leaderboard_frame
from benchbench.statistics import Interval, t_interval
from benchbench.types import Outcome, Status

FD = Column("FD[x]", "FD[x]", False, "FD[x]", None, "fd", "x", True)
RECALL = Column("Recall[x]", "Recall[x]", True, "Recall[x]", None, "recall", "x", False)
COPIED = Column("Memorized share[x]", "Memorized share[x]", False, "Memorized share[x]", None, "memorized", "x", False)
OF_CLASS = Column(
    "FD per class, mean[x]", "FD per class, mean[x]", False, "FD per class, mean[x]", None, "fd_class_mean", "x"
)
METRICS = (FD, RECALL, COPIED, OF_CLASS)
CLASSES = ("cat", "a|dog", "<b>")
HOSTILE = ("a|b", "<script>", "[x](y)")
FULL = SettingInfo("full", "all training images", 600, True)
FEW = SettingInfo("fraction-0.2", "20 % of the training images", 120, False)
TEST_IMAGES = 300
CONFUSION = [[90, 10, 0], [0, 100, 0], [5, 5, 90]]


def wave(seed: int, row: str) -> float:
    """A small deviation, another one for every seed and row."""
    return 0.004 * math.sin(1 + 3.7 * seed + sum(map(ord, row)))


def scored(setting: str, row: str, seed: int, quality: float, ratios: Sequence[float]) -> list[Record]:
    """All that is measured of a generator."""
    base: dict[str, Any] = {"generator": row, "seed": seed, "setting": setting}
    off = wave(seed, row)
    values = {FD: 2.0 - quality + off, RECALL: quality, COPIED: 0.9 if row == "good" else 0.01, OF_CLASS: 3.0 + off}
    found = [
        Record(**base, metric=column.metric, value=value, higher_is_better=column.higher_is_better, n=TEST_IMAGES)
        for column, value in values.items()
    ]
    found += [
        Record(**base, metric="FD per class[x]", value=1.0 + k + off, class_name=name) for k, name in enumerate(CLASSES)
    ]
    for metric, value in {
        "fit_seconds": 12.34,
        "sample_seconds": 0.5,
        "peak_memory_bytes": 3 * 2**20,
        "parameters": 1234567,
    }.items():
        found.append(Record(**base, metric=metric, value=value))
    found.append(Record(**base, metric="label_noise", value=0.125, n=TEST_IMAGES))
    alone = {**base, "n": TEST_IMAGES, "arm": "synthetic", "train_images": 600}
    found.append(Record(**alone, metric="accuracy", value=0.5 + 0.3 * quality + off))
    found.append(Record(**alone, metric="accuracy_on_synthetic", value=0.95))
    for ratio in ratios:
        mixed = {**base, "arm": "mixed", "ratio": ratio, "train_images": 600 + round(600 * ratio)}
        lift = 0.05 * quality * ratio + off
        found.append(Record(**mixed, metric="accuracy", value=0.8 + lift, n=TEST_IMAGES))
        found.append(Record(**mixed, metric="val_accuracy", value=0.8 + lift, n=TEST_IMAGES))
        found.append(Record(**mixed, metric="lift", value=lift, n=TEST_IMAGES))
        found += [
            Record(**mixed, metric="accuracy", value=0.8 + lift + k / 100, class_name=name)
            for k, name in enumerate(CLASSES)
        ]
    classical = {**base, "arm": "classical_mixed", "ratio": ratios[0]}
    found.append(Record(**classical, metric="lift", value=0.001 + off / 10, n=TEST_IMAGES))
    found.append(Record(**classical, metric="val_accuracy", value=0.8, n=TEST_IMAGES))
    return found


def baseline(setting: SettingInfo, seed: int) -> list[Record]:
    """Real images alone: whole, in part, and treated."""
    base: dict[str, Any] = {"generator": "real", "seed": seed, "setting": setting.name}
    found = [
        Record(**base, metric=column.metric, value=0.25, higher_is_better=column.higher_is_better, n=TEST_IMAGES)
        for column in METRICS
    ]
    real = setting.train_images
    for arm, ratio, images, value in (
        ("real", None, real, 0.8),
        ("real_part", 0.25, real // 4, 0.6),
        ("real_part", 0.5, real // 2, 0.7),
        ("classical", None, real, 0.82),
    ):
        where = {**base, "arm": arm, "ratio": ratio, "train_images": images, "n": TEST_IMAGES}
        found.append(Record(**where, metric="accuracy", value=value + wave(seed, arm)))
    found.append(Record(**base, metric="lift", arm="classical", value=0.02, n=TEST_IMAGES))
    found += [Record(**base, metric="accuracy", arm="real", value=0.8, class_name=name) for name in CLASSES]
    return found


LOST = Outcome("dead-seed0", Status.FAILED, "fit", "boom | <b> [here](there)")
QUALITY = {"good": 0.9, "fair": 0.6, "poor": 0.3, HOSTILE[0]: 0.5, HOSTILE[1]: 0.4, HOSTILE[2]: 0.2}


def infos(transfer: bool, rows: Sequence[str] = tuple(QUALITY)) -> list[RowInfo]:
    found = [RowInfo("real", "", "baseline", "")]
    found += [RowInfo(name, name, "generator", "own") for name in rows]
    found += [
        RowInfo("dead", "dead", "generator", "own", failures=(LOST,), waiting=1),
        RowInfo("holdout", "real_holdout", "control", "own", expected="best"),
        RowInfo("noise", "noise", "control", "own", expected="worst"),
    ]
    return found + ([RowInfo("seer", "good", "generator", "own", generator_data="full")] if transfer else [])


def board(
    setting: SettingInfo = FULL,
    seeds: Sequence[int] = (0, 1, 2),
    transfer: bool = False,
    ratios: Sequence[float] = (1.0,),
    rows: Sequence[str] = tuple(QUALITY),
) -> Board:
    quality = {**{row: QUALITY[row] for row in rows}, "holdout": 1.5, "noise": -30.0}
    quality |= {"seer": 0.95} if transfer else {}
    records = [record for seed in seeds for record in baseline(setting, seed)]
    for row, value in quality.items():
        for seed in seeds:
            records += scored(setting.name, row, seed, value, ratios)
    records = [
        record if record.generator != "noise" or record.metric != "accuracy" else replace(record, value=0.1)
        for record in records
    ]
    curve = LearningCurve.measured([150, 300, 600], [0.6, 0.7, 0.8])
    return build_board(
        benchmark="b_d",
        dataset="d",
        setting=setting,
        seeds=seeds,
        infos=infos(transfer, rows),
        records=records,
        metrics=METRICS,
        curves=dict.fromkeys(seeds, curve),
        rules=Rules("lift", 0.01, 0.95),
    )


NOTES = [{"step": 150, "kind": "low_variety", "message": "samples differ by 2 of 255"}]


def dossier(*boards: Board, images: int = 300, dimensions: int = 20) -> Dossier:
    made = boards or (board(),)
    grid = torch.arange(3 * 2 * 4 * 4, dtype=torch.uint8).reshape(6, 1, 4, 4)
    return Dossier(
        boards=made,
        manifest={
            "benchmark": {
                "protocol": {
                    "classifier": {"name": "cnn_small", "config": {}},
                    "classifier_steps": 600,
                    "ratios": sorted({r.ratio for one in made for r in one.records if r.arm == "mixed" and r.ratio}),
                }
            },
            "protocol_fingerprint": "f" * 64,
            "dataset": {
                "name": "d", "fingerprint": "e" * 64, "classes": list(CLASSES), "image_shape": [1, 4, 4],
                "train": 600, "val": 300, "test": 300,
            },
            "environments": [
                {"device": "cpu", "cpus": 2, "threads": 1, "system": "Linux", "python": "3.11",
                 "packages": {"torch": "2"}, "revision": None}
            ],
            "extractors": {"x": None},
            "images_per_distance": images,
        },
        classes=CLASSES,
        grids={one.setting.name: {"good": grid, HOSTILE[1]: grid} for one in made},
        real=grid,
        details=[ArmDetail("full", "real", "real", None, CONFUSION, [[20.0, 0.123456789]], 1)],
        fits=[FitDetail("full", "good", 0, [{"step": 50, "loss": 0.123456789}], [])],
        nearest={},
        dimensions={"x": dimensions},
        command="benchbench run b.yaml",
        margin=0.01,
        level=0.95,
    )  # fmt: skip


def page(what: Dossier, figures: Sequence[str] = ()) -> str:
    settings = [
        f"figures/{'' if one is what.board else file_name(one.setting.name) + '/'}leaderboard.png"
        for one in what.boards
    ]
    return markdown.render(what, {*settings, *figures})


def part(text: str, heading: str) -> str:
    """From a heading to the next one of its level or above."""
    level = heading.split(" ")[0]
    after = text.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"\n#{{2,{len(level)}}} ", after, maxsplit=1)[0]


def cells(line: str) -> list[str]:
    """Of a line of a Markdown table; an escaped bar parts nothing."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def tables(text: str) -> list[dict[str, dict[str, str]]]:
    """All tables of a page: by the text of the second column where the first is the rank, else of the first."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        lines = block.splitlines()
        head = cells(lines[0])
        body = [dict(zip(head, cells(line), strict=True)) for line in lines[2:]]
        key = head[1] if head[0] == "Rank" else head[0]
        found.append({line[key]: line for line in body})
    return found


def value_of(made: Board, row: str, key: str) -> Interval:
    return next(one.values[key] for one in made.rows if one.info.name == row)


# --- The page: its first screen -----------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_the_first_line_after_the_title_is_the_verdict(seeds: tuple[int, ...]) -> None:
    made = board(seeds=seeds)
    lines = page(dossier(made)).splitlines()
    assert lines[0] == r"# b\_d"
    assert lines[2] == f"**Verdict: {escape(made.verdict.text)}.**"
    assert made.verdict.kind == ("undetermined" if len(seeds) == 1 else "augment")
    assert lines[4].startswith("Beside classical augmentation: ")
    assert ("One seed: no intervals, no tests and no ranks" in "\n".join(lines)) is (len(seeds) == 1)


def test_one_seed_ranks_nothing() -> None:
    one, three = page(dossier(board(seeds=(0,)))), page(dossier(board()))
    assert "| Rank " in three
    assert "In parentheses the rank" in three
    assert re.search(r"\d \(\d\) ", three)
    assert "| Rank " not in one
    assert "In parentheses the rank" not in one
    assert not re.search(r"\d \(\d\) ", one)


def test_beside_the_verdict_on_classical_augmentation_stands_what_that_gives_alone() -> None:
    made = board()
    lift = value_of(made, "real, classical augmentation", "lift")
    said = f"; classical augmentation alone: {escape(describe(lift))}."
    line = next(one for one in page(dossier(made)).splitlines() if one.startswith("Beside classical augmentation: "))
    assert line.endswith(said)
    assert "+2.00" in said
    rows = tuple(row for row in made.rows if row.info.name != "real, classical augmentation")
    assert "classical augmentation alone:" not in page(dossier(replace(made, rows=rows)))


def test_a_board_that_is_not_to_be_trusted_says_so_before_its_verdict() -> None:
    made = replace(board(), warnings=("h|o does not come out best by FD[x]",))
    lines = page(dossier(made)).splitlines()
    assert lines[2] == r"**This board is not to be trusted:** h\|o does not come out best by FD\[x\]."
    assert lines[4].startswith("**Verdict: ")


def test_several_settings_begin_with_a_table_of_verdicts() -> None:
    first, second = board(), board(FEW, transfer=True)
    text = page(dossier(first, second))
    assert text.splitlines()[2].startswith("| Data ")
    full, few = tables(text)[0].values()
    assert full["Data"] == "[all training images](#setting-full)"
    assert full["Real images"] == "600"
    assert few["Verdict"] == f"**{escape(second.verdict.text)}**"
    assert few["Beside classical augmentation"] == escape(second.beside_classical.text)  # type: ignore[union-attr]
    assert few["Transfer track"] == escape(second.transfer.text)  # type: ignore[union-attr]
    assert full["Transfer track"] == "-"
    for name, made in (("setting-full", first), ("setting-fraction-0.2", second)):
        section = text.split(f'<a name="{name}"></a>')[1].splitlines()
        assert section[4] == f"**Verdict: {escape(made.verdict.text)}.**"


def test_among_several_settings_the_one_that_is_not_to_be_trusted_is_named() -> None:
    bad = replace(board(FEW), warnings=("no holdout",))
    text = page(dossier(board(), bad))
    assert text.splitlines()[2] == "**The board of 20 % of the training images is not to be trusted:** no holdout."
    both = page(dossier(replace(board(), warnings=("no holdout",)), bad))
    assert both.splitlines()[2] == "**None of these boards is to be trusted:** no holdout."


def test_a_subset_is_said_to_be_another_one_for_each_seed() -> None:
    said = "Each seed has its own subset of the training images."
    assert said not in page(dossier(board()))
    assert said in page(dossier(board(FEW)))


def test_the_worth_is_told_in_a_sentence() -> None:
    made = board()
    row = made.rows[0]
    assert row.info.name == "good"
    assert row.worth_alone is not None
    worth = row.worth_alone
    images = f"about {worth.value:,.0f} [{worth.low:,.0f}, {worth.high:,.0f}]"
    text = page(dossier(made))
    assert f"**Worth.** 600 synthetic images of good alone train as well as {images} real ones; " in text
    assert "with 600 of them added, the 600 real ones are worth at least 600 real ones in all." in text
    assert tables(text)[0]["**good**"]["Worth alone, real images"] == images.removeprefix("about ")


def test_copies_are_told_on_the_first_screen() -> None:
    text = page(dossier(board()))
    said = "significantly more than 5 % of its samples lie as near to single training images as copies do."
    assert f"**Copies.** The memorization flag is up on good: {said}" in text
    assert "is significantly above 5 %; no flag is no proof of privacy." in part(text, "## What the columns say")
    honest = page(dossier(board(rows=("fair",))))
    assert "**Copies.** The memorization flag is up on no generator; no flag is no proof of privacy." in honest
    table = tables(text)[0]
    assert (table["**good**"]["Copies?"], table["**fair**"]["Copies?"], table["**dead**"]["Copies?"]) == (
        "yes",
        "no",
        "-",
    )


# --- The tables -----------------------------------------------------------------------------------------------


def test_numbers_in_the_table_are_those_of_the_records() -> None:
    made = board()
    line = tables(page(dossier(made)))[0]["**fair**"]
    mean = value_of(made, "fair", "FD[x]").mean
    measured = {r.seed: r.value for r in made.records if (r.generator, r.metric) == ("fair", "FD[x]")}
    assert mean == pytest.approx(sum(value or 0.0 for value in measured.values()) / 3)
    half = value_of(made, "fair", "FD[x]").half_width
    (fd,) = (cell for head, cell in line.items() if head.startswith(r"FD\[x\]"))
    assert re.fullmatch(rf"{mean:.3f} ± {half:.3f} \(\d\)", fd)
    lifts = [r.value for r in made.records if (r.generator, r.metric, r.arm) == ("fair", "lift", "mixed")]
    assert line["Lift, pts ↑"].startswith(f"{100 * np.mean(lifts):+.2f} ± ")
    assert line["Label noise %"].startswith("12.5 ± ")
    assert line["Seeds"] == "3"


def test_the_floor_stands_beside_every_distance() -> None:
    heads = tables(page(dossier(board())))[0]["**good**"]
    assert r"FD\[x\] ↓<br>(floor 0.250)" in heads


def test_the_transfer_track_has_a_table_of_its_own() -> None:
    text = page(dossier(board(FEW, transfer=True)))
    main, transfer = tables(text)[0], tables(part(text, "## Transfer track"))[0]
    assert "**good**" in main
    assert not any("seer" in name for name in main)
    assert list(transfer) == ["**seer**"]
    assert transfer["**seer**"]["Saw"] == "full"
    assert transfer["**seer**"]["Rank"] == "1"
    assert "## Transfer track" not in page(dossier(board()))
    others = tables(text)[2:]
    assert not any("**seer**" in table for table in others)
    assert any("**seer** (transfer)" in table for table in others)


@pytest.mark.parametrize(
    ("images", "dimensions", "marked", "of_class"),
    [(300, 151, True, True), (300, 150, False, True), (300, 50, False, False)],
)
def test_a_frechet_distance_on_too_few_images_is_marked(
    images: int, dimensions: int, marked: bool, of_class: bool
) -> None:
    """300 images of three classes: 100 of each."""
    text = page(dossier(board(), images=images, dimensions=dimensions))
    assert any(head.startswith(r"FD\[x\] †") for head in tables(text)[0]["**good**"]) is marked
    assert ("\n† n is below 2d" in text) is marked
    metrics = tables(part(text, "## All metrics"))[0]["**good**"]
    assert (r"FD per class, mean\[x\] † ↓" in metrics) is of_class
    assert (r"FD per class, mean\[x\] ↓" in metrics) is not of_class
    assert not any("†" in head for head in metrics if head.startswith("Recall"))
    assert (r"| FD per class\[x\] †" in text) is of_class
    assert ("†" in text) is (marked or of_class)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((FD, RECALL), "† n is below 2d:"),
        ((OF_CLASS,), "† n, the number of images of a class, is below 2d:"),
        ((FD, OF_CLASS), "† n (of a distance by class: the number of images of a class) is below 2d:"),
        ((RECALL,), ""),
    ],
)
def test_the_note_says_which_images_are_too_few(columns: Sequence[Column], said: str) -> None:
    note = dagger_note(dossier(dimensions=200), columns)
    assert note.startswith(said)
    assert bool(note) is bool(said)
    assert dagger_note(dossier(dimensions=50), columns) == ""


def test_a_board_ranked_by_the_distance_by_class_says_of_which_images_there_are_too_few() -> None:
    what = dossier(replace(board(), rank_by=OF_CLASS.key), images=300, dimensions=100)
    text = page(what)
    first = text.split("## All metrics")[0]
    assert any(head.startswith(r"FD per class, mean\[x\] †") for head in tables(text)[0]["**good**"])
    assert "\n† n, the number of images of a class, is below 2d" in first
    assert "\n† n is below 2d" not in first


def test_distances_by_class_are_known_by_their_mean() -> None:
    """The features of another column that ends alike, or a plugin's own number by class, get no mark."""
    assert {FRECHET_OF_CLASS, "fd_per_class"} == {output.key for output in FrechetPerClass.outputs}
    assert FrechetPerClass.outputs[1].label == FRECHET_BY_CLASS
    found = ClassTables(dossier(dimensions=200), board())
    assert found.too_few("FD per class[x]")
    assert not found.too_few("FD of mine by class[x]")
    assert not found.too_few("FD per class[other[x]")


def test_a_ratio_is_written_without_digits_that_say_nothing() -> None:
    assert "; here only 1 was run." in page(dossier(board()))
    assert "validation split (of controls it is the smallest) from 0.5, 1." in page(dossier(board(ratios=(0.5, 1.0))))


def test_the_floor_is_not_called_a_bound() -> None:
    said = "no generator can be expected markedly below it; the floor is itself one draw."
    assert said in part(page(dossier()), "## What the columns say")


def test_all_metrics_begin_with_the_floor() -> None:
    made = board()
    table = tables(part(page(dossier(made)), "## All metrics"))[0]
    assert next(iter(table)) == "floor: real images"
    assert table["floor: real images"][r"FD\[x\] ↓"] == "0.250", "nothing random is in it"
    heads = {"Row", r"FD\[x\] ↓", r"Recall\[x\] ↑", r"Memorized share\[x\] ↓", r"FD per class, mean\[x\] ↓"}
    assert set(table["**good**"]) == heads
    assert table["*noise* (control)"][r"FD\[x\] ↓"].startswith("32.0 ± 0.")


def test_arms_stand_at_every_ratio_and_the_chosen_one_is_bold() -> None:
    made = board(ratios=(0.5, 1.0))
    real, arms = tables(part(page(dossier(made)), "## Arms"))
    accuracy = t_interval([0.8 + wave(seed, "real") for seed in (0, 1, 2)])
    assert real["real→real"]["Accuracy %"].startswith(f"{100 * accuracy.mean:.1f} ± ")
    assert real["real→real"]["Lift, pts"] == "-"
    assert real["classical augmentation→real"]["Lift, pts"].startswith("+2.00 ± ")
    good = arms["**good**"]
    for ratio, bold in ((0.5, ""), (1.0, "**")):
        mean = np.mean([0.8 + 0.05 * 0.9 * ratio + wave(seed, "good") for seed in (0, 1, 2)])
        cell = good[f"mixed→real, ratio {ratio:g}, %"]
        assert cell.startswith(f"{bold}{100 * mean:.1f} ± ")
        assert cell.endswith(bold)
        assert cell.count("**") == (2 if bold else 0)
    assert good["synthetic→synthetic %"].startswith("95.0")
    assert arms["**dead**"]["synthetic→real (CAS) %"] == "-"


def test_costs_have_units_and_the_pareto_mark() -> None:
    costs = tables(part(page(dossier(board())), "## Cost"))[0]
    good = costs["**good**"]
    assert good["Fit s"] == "12.3"
    assert good["Peak memory MiB"] == "3"
    assert good["Parameters"] == "1,234,567"
    marks = {name: line["Pareto"] for name, line in costs.items()}
    assert [name for name, mark in marks.items() if mark == "yes"] == ["**good**"], (
        "all cost the same: the best lift wins"
    )
    made = board()
    unknown = tuple(replace(row, pareto=None) for row in made.rows)
    costs = tables(part(page(dossier(replace(made, rows=unknown))), "## Cost"))[0]
    assert {line["Pareto"] for line in costs.values()} == {"-"}


def test_correlations_are_sorted_by_strength() -> None:
    made = board()
    text = part(page(dossier(made)), "## Does the metric predict lift?")
    table = tables(text)[0]
    strengths = [abs(float(line["Spearman's rho with lift"].split(" ")[0])) for line in table.values()]
    assert len(strengths) > 1
    assert strengths == sorted(strengths, reverse=True)
    assert table[r"FD\[x\]"]["Spearman's rho with lift"].startswith("+1.00 [")
    assert "The interval excludes zero for" in text


def interval(mean: float, low: float, high: float, n: int = 6) -> Interval:
    return Interval(mean, low, high, n, 0.95)


@pytest.mark.parametrize(
    ("rhos", "said"),
    [
        (
            [interval(0.2, -0.6, 0.8), interval(-0.3, -0.8, 0.5)],
            "None of the 2 intervals excludes zero: on 6 generators",
        ),
        ([interval(0.2, -0.6, 0.8)], "The interval does not exclude zero"),
        (
            [interval(0.9, 0.4, 1.0), interval(0, -1, 1)],
            r"zero for FD\[x\] (the better by it, the higher the lift); for 1 of 2",
        ),
        ([interval(-0.9, -1.0, -0.4)], r"zero for FD\[x\] (the better by it, the lower the lift)."),
        ([interval(1.0, math.nan, math.nan, 3)], "On fewer than four generators"),
        ([interval(math.nan, math.nan, math.nan)], "On fewer than four generators"),
    ],
)
def test_the_sentence_about_correlations_follows_the_intervals(rhos: list[Interval], said: str) -> None:
    assert said in correlation_sentence([Correlation(FD, rho) for rho in rhos])


def test_lifts_by_class_are_paired_differences() -> None:
    made = board()
    text = part(page(dossier(made)), "## By class")
    lifts, distances = tables(text)
    mean = np.mean([0.05 * 0.6 + wave(seed, "fair") + 2 / 100 for seed in (0, 1, 2)])
    assert list(lifts) == ["cat", r"a\|dog", "&lt;b&gt;"]
    assert lifts["&lt;b&gt;"]["**fair**, pts"].startswith(f"{100 * mean:+.2f} ± ")
    assert lifts["cat"]["Real images alone %"].startswith("80.0 ± ")
    third = np.mean([3.0 + wave(seed, "fair") for seed in (0, 1, 2)])
    assert distances["&lt;b&gt;"]["**fair**"].startswith(f"{third:.3f} ± ")


def test_failures_of_all_settings_are_listed() -> None:
    text = part(page(dossier(board(), board(FEW))), "## Failures")
    lines = [line for line in text.splitlines() if line.startswith("| dead-seed0 |")]
    assert lines == [rf"| dead-seed0 | failed | fit | {escape(LOST.message)} |"] * 2
    assert tables(page(dossier(board())))[0]["**dead**"]["Seeds"] == "0 of 3, 1 failed, 1 not run"


def test_the_seeds_are_those_of_the_number_that_ranks() -> None:
    made = board()
    lost = [
        record
        for record in made.records
        if (record.generator, record.arm, record.seed) != ("fair", "mixed", 1) or record.metric == "val_accuracy"
    ]
    again = build_board(
        benchmark="b", dataset="d", setting=FULL, seeds=(0, 1, 2), infos=infos(False), metrics=METRICS, curves={},
        records=lost, rules=Rules("lift", 0.01, 0.95),
    )  # fmt: skip
    table = tables(page(dossier(again)))[0]
    assert value_of(again, "fair", "FD[x]").n == 3
    assert (table["**fair**"]["Seeds"], table["**good**"]["Seeds"]) == ("2 of 3", "3")
    assert table["real images alone"]["Seeds"] == "3"


def test_nothing_from_data_or_plugins_becomes_markup() -> None:
    text = page(dossier(board(FEW, transfer=True), board(FULL)))
    assert "<script" not in text
    assert "<b>" not in text
    assert "[x](y)" not in text
    assert "[here](there)" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(cells(line)) for line in table.splitlines()}) == 1, "a bar in a name parts no cell"
    assert r"**a\|b**" in tables(text)[1]


@pytest.mark.parametrize("kept", ["nothing", "failures", "no metric", "no arm"])
def test_a_page_can_be_made_of_whatever_there_is(kept: str) -> None:
    made = board()
    keep = {
        "nothing": lambda record: False,
        "failures": lambda record: record.generator == "dead",
        "no metric": lambda record: "[" not in record.metric,
        "no arm": lambda record: "[" in record.metric,
    }[kept]
    poor = build_board(
        benchmark="b", dataset="d", setting=FULL, seeds=(0, 1), infos=infos(True), metrics=METRICS, curves={},
        records=[record for record in made.records if keep(record)], rules=Rules("lift", 0.01, 0.95),
    )  # fmt: skip
    bare = replace(dossier(poor), grids={}, details=[], dimensions={})
    text = page(bare)
    assert "**Verdict: " in text.splitlines()[4 if poor.warnings else 2]
    assert "**dead**" in text
    assert ("## All metrics" in text) is (kept == "no arm")
    assert ("## Arms" in text) is (kept == "no metric")
    assert "**Worth.**" not in text


# --- Numbers and names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("lift", -0.00001, "+0.00"), ("lift", 0.0123, "+1.23"), ("accuracy", 0.98765, "98.8"), ("FD[x]", 12.34, "12.3"),
        ("FD[x]", 1.2345, "1.234"), ("FD[x]", -0.0004, "-4.0e-04"), ("FD[x]", 0.0, "0.000"),
        ("label_noise", -0.0, "0.0"), ("peak_memory_bytes", 2**21, "2"), ("parameters", 1e6, "1,000,000"),
    ],
)  # fmt: skip
def test_numbers_have_the_digits_of_their_kind(metric: str, value: float, text: str) -> None:
    assert number(metric, value) == text


def test_mean_and_half_width_have_the_same_digits() -> None:
    assert with_spread("FD[x]", interval(12.34, 12.0, 12.68)) == "12.3 ± 0.3"
    assert with_spread("FD[x]", interval(1.234, 1.234 - 1e-13, 1.234 + 1e-13)) == "1.234 ± 0.000"
    assert with_spread("FD[x]", interval(1.234, math.nan, math.nan, 1)) == "1.234"
    assert with_spread("parameters", interval(100, 90, 110)) == "100"


@pytest.mark.parametrize(
    ("worth", "short", "words"),
    [
        (Worth(150, 210, 280, 3, 0.95, False, False), "210 [150, 280]", "about 210 [150, 280]"),
        (Worth(310, 400, math.inf, 3, 0.95, False, True), "≥ 310", "at least 310"),
        (Worth(0, 20, 30, 3, 0.95, True, False), "≤ 30", "at most 30"),
        (Worth(150, 210, math.inf, 3, 0.95, False, False), "210 [150, ∞)", "about 210 [150, ∞)"),
        (Worth(0, 210, 280, 3, 0.95, False, False), "210 [0, 280]", "about 210 [0, 280]"),
        (Worth(math.nan, 20, math.nan, 1, 0.95, True, False), "≤ 20", "at most 20"),
        (Worth(math.nan, 1234, math.nan, 1, 0.95, False, False), "1,234", "about 1,234"),
        (Worth(20, 90, 4.2e9, 2, 0.95, False, False), "90 [20, 4e+09]", "about 90 [20, 4e+09]"),
    ],
)
def test_a_worth_says_at_which_end_it_is_censored(worth: Worth, short: str, words: str) -> None:
    assert (worth_number(worth), worth_words(worth)) == (short, words)


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("above", [True, False])
def test_a_worth_open_at_both_ends_is_not_told(below: bool, above: bool) -> None:
    both = Worth(0, 90, math.inf, 2, 0.95, below, above)
    assert worth_number(both) == worth_number(None) == "-"
    made = board()
    rows = tuple(replace(row, worth_alone=both, worth_added=both) for row in made.rows)
    text = page(dossier(replace(made, rows=rows)))
    assert "**Worth.** What 600 synthetic images of good alone are worth cannot be read off from 2 seeds; " in text
    assert "the 600 real ones are worth a number that cannot be read off from 2 seeds." in text


def test_the_diamond_is_the_worth_and_a_bound_is_an_arrow() -> None:
    made = board(rows=("good", "fair", "poor", *HOSTILE[:2]))
    worths = {
        "good": Worth(150, 210, 280, 3, 0.95, False, False),
        "fair": Worth(0, 150, 200, 3, 0.95, True, False),
        "poor": Worth(300, 500, math.inf, 3, 0.95, False, True),
        HOSTILE[0]: Worth(0, 300, math.inf, 3, 0.95, False, False),
        HOSTILE[1]: Worth(200, 300, math.inf, 3, 0.95, False, False),
    }
    what = dossier(replace(made, rows=tuple(replace(row, worth_alone=worths.get(row.info.name)) for row in made.rows)))
    figure = curve_figure(what, what.board)
    assert figure is not None
    (axes,) = figure.axes
    heights = {row: 100 * value_of(made, row, "cas").mean for row in worths}
    drawn = [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in axes.lines]
    diamonds = [place for line, place in zip(axes.lines, drawn, strict=True) if line.get_marker() == "D"]
    assert sorted(diamonds) == sorted([([210.0], [heights["good"]]), ([300.0], [heights[HOSTILE[1]]])])
    assert ([150.0, 280.0], [heights["good"]] * 2) in drawn
    left, right = axes.get_xlim()
    assert ([200.0, right], [heights[HOSTILE[1]]] * 2) in drawn, "an open end runs off the edge"
    arrows = [(one.xyann, one.xy) for one in axes.texts if isinstance(one, Annotation) and not one.get_text()]
    fair, poor = heights["fair"], heights["poor"]
    assert sorted(arrows) == [((150, fair), (left, fair)), ((600, poor), (right, poor))]


@given(st.text(max_size=40))
def test_escaped_text_stays_in_its_cell_and_on_its_line(text: str) -> None:
    clean = escape(text)
    assert len(cells(f"| {clean} | b |")) == 2
    assert len(clean.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]|#~$]", clean)
    assert "<" not in clean
    assert ">" not in clean


@given(st.text(max_size=40))
def test_a_file_name_leads_nowhere_else(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.+-]*", file_name(text))


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=9))
def test_labels_are_spread_in_order(wanted: dict[str, float]) -> None:
    placed = spread(wanted, 0.1)
    names = sorted(wanted, key=lambda name: (wanted[name], name))
    assert all(placed[b] - placed[a] >= 0.1 - 1e-9 for a, b in itertools.pairwise(names))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in placed.values())


def test_a_long_interval_does_not_dwarf_the_means() -> None:
    low, high = limits([interval(1, -1000, 1000), interval(2, 1.5, 2.5)])
    assert -1 < low < 1 < 2 < high < 4
    assert limits([interval(1, 0, 2)]) == pytest.approx((-0.12, 2.12))
    assert limits([])[0] < limits([])[1]


def test_a_long_name_is_put_on_lines() -> None:
    name = "a_generator_with_a_very_long_name_indeed"
    label = row_label(replace(board().rows[0], info=RowInfo(name, name, "control", "own")))
    assert "\n" in label
    assert all(len(line) <= NAME_WIDTH for line in label.splitlines())
    assert re.sub(r"\s", "", label) == f"{name}(control)"


# --- The files ------------------------------------------------------------------------------------------------


def test_results_hold_every_record_one_a_line(tmp_path: Path) -> None:
    what = dossier(board(), board(FEW, transfer=True))
    Results().write(what, tmp_path)
    text = (tmp_path / "results.json").read_text()
    found = json.loads(text)
    records = [record for one in what.boards for record in one.records]
    assert set(found) == {"schema_version", "benchmark", "protocol_fingerprint", "verdicts", "rows"}
    assert found["schema_version"] == 2
    assert found["rows"] == [asdict(record) for record in records]
    assert sum(line.startswith('{"generator"') for line in text.splitlines()) == len(records)
    frame = pd.DataFrame(found["rows"])
    assert len(frame) == len(records)
    lifts = frame[
        (frame.metric == "lift") & (frame.arm == "mixed") & (frame.generator == "fair") & (frame.setting == "full")
    ]
    assert lifts.value.mean() == pytest.approx(value_of(what.board, "fair", "lift").mean)


def test_the_table_for_machines_has_a_line_for_every_row_and_setting(tmp_path: Path) -> None:
    what = dossier(board(), board(FEW, transfer=True))
    Results().write(what, tmp_path)
    text = (tmp_path / "leaderboard.csv").read_text()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert text.startswith("setting,row,")
    assert [(line["setting"], line["row"]) for line in lines] == [
        (one.setting.name, row.info.name) for one in what.boards for row in one.rows
    ]
    by_row = {(line["setting"], line["row"]): line for line in lines}
    assert by_row["fraction-0.2", "seer"]["track"] == "transfer"
    good = by_row["full", "good"]
    row = what.board.rows[0]
    assert row.worth_added is not None
    assert float(good["lift"]) == row.values["lift"].mean
    assert float(good["worth_added"]) == row.worth_added.value
    assert (good["worth_added_high"], good["worth_added_above"], good["memorizes"]) == ("inf", "True", "True")
    assert by_row["full", "dead"]["worth_alone"] == by_row["full", "dead"]["memorizes"] == ""
    assert (good["lift_rank"], by_row["full", "dead"]["lift_rank"]) == ("1", ""), "a rank is a whole number"
    ranks = [value for line in lines for head, value in line.items() if head.endswith("_rank") and value]
    assert ranks
    assert all(re.fullmatch(r"\d+", rank) for rank in ranks)
    assert pd.isna(leaderboard_frame([board(seeds=(0,))]).lift_low).all(), "one seed has no interval"


def test_details_hold_confusion_matrices_one_a_line(tmp_path: Path) -> None:
    what = dossier()
    Details().write(what, tmp_path)
    found = json.loads((tmp_path / "details.json").read_text())
    assert found["classes"] == list(CLASSES)
    (arm,) = found["arms"]
    assert arm == {**asdict(what.details[0]), "curve": [[20.0, 0.123457]]}


def test_details_hold_how_the_generators_learned(tmp_path: Path) -> None:
    fits = [FitDetail("full", "good", 1, [{"step": 50, "loss": 0.123456789}, {"step": 100, "loss": math.nan}], NOTES)]
    Details().write(replace(dossier(), fits=fits), tmp_path)
    (fit,) = json.loads((tmp_path / "details.json").read_text())["fits"]
    assert fit["curve"] == [{"step": 50, "loss": 0.123457}, {"step": 100, "loss": None}]
    assert (fit["row"], fit["seed"], fit["notes"]) == ("good", 1, NOTES)


def test_what_was_odd_in_training_is_on_the_page() -> None:
    fits = [FitDetail("full", HOSTILE[1], 1, [], NOTES), FitDetail("full", "good", 0, [], [])]
    noticed = part(page(replace(dossier(), fits=fits)), "## Noticed in training")
    (line,) = [line for line in noticed.splitlines() if "samples differ" in line]
    assert "150" in line and "low" in line and "good" not in noticed
    assert "Noticed in training" not in page(dossier())


def test_a_number_that_is_not_finite_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_lines({"a": 1}, rows=[math.nan])


def test_both_pages_say_how_to_cite_them() -> None:
    what = dossier()
    environment = {**what.manifest["environments"][0], "packages": {"benchbench": "0.1.0"}, "revision": "abc"}
    what = replace(what, manifest={**what.manifest, "environments": [environment, environment]})
    told = citation(what)
    note = r"benchmark b\_d, protocol ffffffffffffffff, data eeeeeeeeeeeeeeee, benchbench 0.1.0 (revision abc)"
    assert told.splitlines() == [
        "@misc{benchbench-b-d,",
        "  title = {Should d be augmented? A benchbench report},",
        f"  note = {{{note}}}",
        "}",
    ]
    assert f"```bibtex\n{told}\n```\n" in page(what)
    assert escape_html(told) in html.render(what)
    hostile = replace(what, boards=[replace(what.board, dataset="a_b```\n} \\input{x} 5 %")])
    assert r"Should a\_b inputx 5 \% be augmented?" in citation(hostile)


def test_the_same_dossier_gives_the_same_bytes_and_stale_figures_go(tmp_path: Path) -> None:
    few = ("good", HOSTILE[1])  # figures take their time
    what = dossier(board(ratios=(0.5, 1.0), rows=few), board(FEW, transfer=True, rows=few))
    reports = (Markdown(), Results(), Details(), Manifest())
    written = {path for report in reports for path in report.write(what, tmp_path)}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert set(before) == written
    text = (tmp_path / "leaderboard.md").read_text()
    linked = {tmp_path / link for link in re.findall(r"\]\((figures/[^)]*)\)", text)}
    assert linked == {path for path in written if path.suffix == ".png"}, "all figures are shown, and no others"
    names = {path.relative_to(tmp_path / "figures").as_posix() for path in linked}
    assert {"leaderboard.png", "lift.png", "learning_curve.png", "settings.png", "samples/good.png"} <= names
    assert {"fraction-0.2/leaderboard.png", f"fraction-0.2/samples/{file_name(HOSTILE[1])}.png"} <= names
    stale = [
        tmp_path / "figures" / name
        for name in ("samples/gone.png", "fraction-0.5/lift.png", "fraction-0.5/samples/g.png")
    ]
    own = tmp_path / "figures" / "mine.png"
    for path in (*stale, own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for report in reports:
        report.write(what, tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == {**before, own: b""}
    assert not (tmp_path / "figures/fraction-0.5").exists()


def test_the_learning_curve_is_that_of_all_settings_of_one_imbalance() -> None:
    other = replace(FEW, name="skew", train_images=333, imbalance=10.0)
    what = dossier(board(), board(FEW), board(other))
    assert sorted(learning_curve(what, what.board)) == [30, 60, 120, 150, 300, 600]
    assert sorted(learning_curve(what, what.boards[2])) == [83, 166, 333]
    assert learning_curve(what, what.board)[300].mean == pytest.approx(
        100 * np.mean([0.7 + wave(seed, "real_part") for seed in (0, 1, 2)])
    )


def test_pairs_are_listed_with_the_better_one_first() -> None:
    made = board()
    text = part(page(dossier(made)), "## Is one better than another?")
    lines = [cells(line) for line in text.splitlines() if line.startswith("| ")][1:]
    strict = [row.info.name for row in made.of_track("strict") if "lift" in row.values]
    assert len(lines) == len(strict) * (len(strict) - 1) / 2
    means = {escape(name): value_of(made, name, "lift").mean for name in strict}
    for better, other, difference, p in lines:
        assert means[better] >= means[other]
        assert float(difference.split(" ")[0]) == pytest.approx(100 * (means[better] - means[other]), abs=0.006)
        assert p == "< 0.001" or 0 <= float(p) <= 1
    assert "Is one better" not in page(dossier(board(seeds=(0,))))


def test_the_lift_of_the_controls_gives_the_scale() -> None:
    made = board()
    control = replace(made.rows[0], info=RowInfo("h_o", "h", "control", "own", "best"))
    text = page(dossier(replace(made, rows=(*made.rows, control))))
    lift = escape(describe(control.values["lift"]))
    assert f"held-out real images (h\\_o) {lift}" in text.split("For scale, what adding other images gives: ")[1]
