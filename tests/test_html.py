"""The HTML page: one file, safe against names, the board's numbers, and alive in a real browser."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Bench
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from test_report import HOSTILE, NOTES, QUALITY, board, dossier

from benchbench.api.frames import load_results
from benchbench.leaderboard.dossier import FitDetail, Nearest
from benchbench.report._inline import inline, table
from benchbench.report._numbers import escape
from benchbench.report._page import settings_lines
from benchbench.report._svg import Scale, bar, number
from benchbench.report._tables import pipe_table
from benchbench.report.html import Html, render
from benchbench.report.results import Results
from benchbench.statistics import Interval
from benchbench.text import printable

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "img", "br", "input", "line", "rect", "circle", "polyline", "link", "hr"}


class Outline(HTMLParser):
    """Tags that open and close, their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data


def rich():
    """A dossier with everything: several ratios, settings, curves, notes, neighbours, failures."""
    full = board(ratios=(0.5, 1.0))
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    what = dossier(full)
    curve = [{"step": 50, "loss": 1.0, "other": 3.0}, {"step": 100, "loss": math.nan, "other": 2.0}]
    return replace(
        what,
        fits=[FitDetail("full", "good", 0, curve, NOTES)],
        nearest={"full": {"good": Nearest("x", images, images, [0.5, 1.0], 300)}},
    )


def test_the_page_is_one_well_formed_file_that_needs_nothing() -> None:
    page = render(rich())
    outline = Outline(page)
    assert outline.open == []
    assert outline.tags["script"] == outline.tags["style"] == outline.tags["h1"] == outline.tags["main"] == 1
    for tag, attributes in outline.attributes:
        for name in ("src", "href"):
            where = attributes.get(name)
            assert where is None or where.startswith(("data:image/png;base64,", "#")), (tag, where)
        if tag in ("img", "svg"):
            assert attributes.get("alt") or attributes.get("aria-label")
        assert not any(name.startswith("on") for name in attributes)
    assert "http://" not in re.sub(r"http://www.w3.org\S*", "", page)
    ids = [attributes["id"] for _, attributes in outline.attributes if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes in outline.attributes if tag == "a" and attributes["href"]}
    assert links <= {*ids}


def test_it_says_everything() -> None:
    what = rich()
    text = Outline(render(what)).text
    assert what.board.verdict.text in text
    for said in (
        "How much",
        "Quality and cost",
        "Does a metric tell",
        "Nearest training images",
        "samples differ by 2",
    ):
        assert said in text
    assert text.index(what.board.verdict.text) < text.index("Leaderboard") < text.index("The whole manifest")
    assert what.command in text
    for row in what.board.rows:
        assert row.info.name in text


def test_names_stay_text() -> None:
    page = render(rich())
    names = [row.info.name for row in board().rows]
    assert any("<script>" in name for name in names), "the hostile row is there"
    outline = Outline(page)
    assert outline.tags["script"] == 1
    assert "<script>" in outline.text
    what = dossier()
    classes = ("</script><b>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}")[: len(what.classes)]
    outline = Outline(render(replace(what, classes=(*classes, *what.classes[len(classes) :]))))
    assert outline.tags["script"] == 1
    assert outline.tags["b"] == 0
    assert not any("onerror" in attributes for _, attributes in outline.attributes)
    assert HOSTILE


def test_what_does_not_print_is_shown_as_such() -> None:
    assert printable("a\x1b[31mb\n c\u202egpj.exe \ud800 \x01") == "a\ufffd[31mb c\ufffdgpj.exe \ufffd \ufffd"
    assert printable("ключ 键 👩\u200d👧") == "ключ 键 👩\u200d👧"


@given(st.text(max_size=30))
def test_any_name_comes_through_markdown_unharmed(name: str) -> None:
    name = name if name.split() else "x"
    shown = printable(name).replace("&lt;", "<").replace("&gt;", ">")
    parser = Outline(f"<p>{inline(f'**{escape(name)}**')}</p>")
    assert parser.text == shown
    assert set(parser.tags) <= {"p", "strong"}
    found = table(pipe_table(["a", escape(name)], [["1.5 ± 2", escape(name)]]))
    assert found is not None
    assert (len(found.headings), [len(line) for line in found.lines]) == (2, [2])
    assert found.lines[0][0].value == "1.5"


def test_the_same_dossier_gives_the_same_bytes(tmp_path: Path) -> None:
    (first,) = Html().write(rich(), tmp_path)
    before = first.read_bytes()
    Html().write(rich(), tmp_path)
    assert first.read_bytes() == before
    assert b"no_such" not in before


def test_the_leaderboards_numbers_are_the_boards() -> None:
    what = rich()
    page = render(what)
    for row in what.board.rows:
        if "lift" in row.values:
            assert f'data-value="{row.values["lift"].mean:.17g}"' in page


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 10.0, False, [0, 2, 4, 6, 8, 10]),
        (-0.34, 0.2, False, [-0.2, 0, 0.2]),
        (3.0, 40.0, True, [5, 10, 20]),
        (1e-3, 1e3, True, [1e-3, 1e-2, 0.1, 1, 10, 100, 1000]),
        (5.0, 5.0, False, [5]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, expected: list[float]) -> None:
    ticks = Scale(low, high, 0, 100, log).ticks()
    assert set(map(number, expected)) <= {*map(number, ticks)}
    assert len(ticks) <= 8


def test_places_go_with_numbers_and_do_not_leave_the_chart() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale(x) for x in (1, 10, 100, 1000, 0)] == pytest.approx([0, 100, 200, 200, 0])
    far = bar(Interval(-50, -60, -40, 3, 0.95), Scale(-2, 2, 6, 144), 1, "generator", "far")
    assert "◂ -50" in far
    assert "circle" not in far


def test_a_chart_says_what_its_lines_are_and_a_lone_point_is_seen() -> None:
    one, other = board(), replace(board(), setting=replace(board().setting, name="long-tail", imbalance=10.0))
    fewer = replace(other, setting=replace(other.setting, name="few", train_images=120))
    what = dossier(one, other, fewer)
    assert settings_lines(what) == ["solid: classes as they are", "dashed: classes imbalanced 10:1"]
    page = render(replace(what, fits=[FitDetail("full", "good", 0, [{"step": 40, "loss": 1.0}], [])]))
    assert "Solid: classes as they are; dashed: classes imbalanced 10:1." in page
    assert 'class="line generator dash1"' in page
    assert '<circle class="dot series0"' in page


def test_a_narrow_range_of_costs_has_ticks_too() -> None:
    assert len(Scale(31.0, 34.0, 0, 100, log=True).ticks()) >= 2


SELF_TEST = """
<script>
(() => {
  const out = [];
  const table = document.querySelector("table.sortable");
  const names = () => [...table.tBodies[0].rows].filter((line) => !line.hidden).map((line) => line.dataset.name);
  const lift = [...table.querySelectorAll("thead th")].findIndex((head) => head.textContent.startsWith("Lift"));
  const values = () => [...table.tBodies[0].rows].map((line) => line.cells[lift].dataset.value);
  out.push(["before", names()]);
  table.querySelectorAll("thead th")[lift].querySelector("button").click();
  out.push(["sorted", values()], ["direction", table.querySelectorAll("thead th")[lift].getAttribute("aria-sort")]);
  table.querySelectorAll("thead th")[lift].querySelector("button").click();
  out.push(["reversed", values()]);
  const search = document.querySelector(".tools input[type=search]");
  search.value = "toy"; search.dispatchEvent(new Event("input"));
  out.push(["found", names()]);
  search.value = ""; search.dispatchEvent(new Event("input"));
  const box = document.querySelector(".tools input[value=control]");
  box.checked = false; box.dispatchEvent(new Event("input"));
  out.push(["without controls", names()]);
  const theme = document.querySelector("button.theme");
  const light = getComputedStyle(document.body).backgroundColor;
  theme.click();
  out.push(["theme changes", light !== getComputedStyle(document.body).backgroundColor]);
  out.push(["wider than the window", document.documentElement.scrollWidth > innerWidth]);
  const said = (line) => [line.dataset.name, [...line.cells].map((cell) => cell.innerText)];
  const rows = [...table.tBodies[0].rows].map(said);
  out.push(["headings", [...table.querySelectorAll("thead th")].map((head) => head.innerText)], ["rows", rows]);
  const dots = (chart) => [...chart.querySelectorAll("circle")].map((dot) => ({
    ...dot.dataset, kind: dot.getAttribute("class"), title: dot.textContent }));
  const charts = [...document.querySelectorAll("svg.chart")];
  out.push(["charts", charts.map((chart) => [chart.getAttribute("aria-label"), dots(chart)])]);
  const fetched = performance.getEntriesByType("resource").map((one) => one.name);
  out.push(["fetched", fetched.filter((name) => !name.startsWith("data:"))]);
  out.push(["broken images", [...document.images].filter((image) => !image.naturalWidth).length]);
  const stops = [...document.querySelectorAll("a, button, input, select, summary, [tabindex]")];
  const named = (stop) => stop.textContent.trim() || stop.getAttribute("aria-label") || stop.labels?.length;
  out.push(["nameless", stops.filter((stop) => !named(stop)).map((stop) => stop.outerHTML)]);
  dispatchEvent(new Event("beforeprint"));
  out.push(["folded on paper", document.querySelectorAll("details:not([open])").length]);
  out.push(["scatters shown", [...document.querySelectorAll(".scatter")].filter((chart) => !chart.hidden).length]);
  const told = document.createElement("pre");
  told.id = "told"; told.textContent = JSON.stringify(Object.fromEntries(out));
  document.body.append(told);
})();
</script>
"""


def in_browser(page: str, tmp_path: Path) -> dict[str, Any]:
    """What a script in the page finds there, in Chromium; nothing may be written to the console."""
    tried = tmp_path / "tried.html"
    tried.write_text(page.replace("</body>", SELF_TEST + "</body>"))
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=390,800", "--dump-dom", tried.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    told: dict[str, Any] = json.loads(unescape(found[1]))
    assert told["fetched"] == [], "no request to the network"
    assert told["broken images"] == 0
    assert told["nameless"] == [], "all that the keyboard reaches has a name"
    assert told["folded on paper"] == 0
    assert told["theme changes"] is True
    assert told["wider than the window"] is False
    return told


def shown(cell: str) -> tuple[float, float]:
    """A table's number, and half a unit of its last digit."""
    digits = cell.split("±")[0].split("(")[0].replace("%", "").replace(",", "").strip()
    return float(digits), 0.5 * 10.0 ** -len(digits.partition(".")[2]) * (1 + 1e-9)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_in_a_browser_its_numbers_and_charts_are_those_of_results_json(tmp_path: Path) -> None:
    """Means and intervals, made again from ``results.json`` and from nothing else."""
    what = dossier(board(ratios=(0.5, 1.0)))
    Results().write(what, tmp_path)
    told = in_browser(render(what), tmp_path)
    frame = load_results(tmp_path)
    frame = frame[frame.class_name.isna()]
    charts = dict(told["charts"])

    def values(row: str, metric: str, arm: str | None = None, ratio: float | None = None) -> np.ndarray:
        chosen = (frame.generator == row) & (frame.metric == metric)
        chosen &= frame.arm.isna() if arm is None else frame.arm.eq(arm).fillna(False)
        chosen &= True if ratio is None else frame.ratio.eq(ratio)
        return frame[chosen].sort_values("seed").value.to_numpy()

    generators = [*QUALITY, "holdout", "noise"]
    for row in generators:
        dots = [dot for dot in charts[f"{row}: lift, in points"] if not dot["kind"].endswith("open")]
        assert len(dots) == 2
        for dot, ratio in zip(dots, (0.5, 1.0), strict=True):
            lifts = values(row, "lift", "mixed", ratio)
            low, high = 100 * np.array(stats.t.interval(0.95, 2, lifts.mean(), lifts.std(ddof=1) / np.sqrt(3)))
            assert float(dot["mean"]) == pytest.approx(100 * lifts.mean())
            # Wider where so few seeds agree by chance: never narrower.
            assert float(dot["low"]) <= low + 1e-9 and float(dot["high"]) >= high - 1e-9
            assert float(dot["low"]) + float(dot["high"]) == pytest.approx(200 * lifts.mean())
    best = {row.info.name: row.ratio for row in what.board.rows}
    for chart, metric in (("Lift against FD[x]", "FD[x]"), ("Lift against seconds of training", "fit_seconds")):
        for dot in charts[chart]:
            row = dot["title"].rpartition(": ")[0]
            assert float(dot["x"]) == pytest.approx(values(row, metric).mean())
            assert float(dot["mean"]) == pytest.approx(100 * values(row, "lift", "mixed", best[row]).mean())
        assert len(charts[chart]) >= len(QUALITY)

    columns = {
        "FD[x]": lambda row: values(row, "FD[x]").mean(),
        "CAS": lambda row: 100 * values(row, "accuracy", "synthetic").mean(),
        "Lift, pts": lambda row: 100 * values(row, "lift", "mixed", best[row]).mean(),
    }
    compared = 0
    for heading, expected in columns.items():
        (place,) = (place for place, text in enumerate(told["headings"]) if text.startswith(heading))
        for row, cells in told["rows"]:
            if row in generators and cells[place] != "-":
                number_, half = shown(cells[place])
                assert number_ == pytest.approx(expected(row), abs=half), (row, heading)
                compared += 1
    assert compared == len(columns) * len(generators)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_in_a_browser_a_real_report_sorts_and_filters(finished: Bench, tmp_path: Path) -> None:
    told = in_browser((finished.folder / "reports/toy-board/index.html").read_text(), tmp_path)
    assert set(told["before"]) == {"toy", "real", "real, oversampled", "noise"}
    numbers = [float(value) for value in told["sorted"] if value]
    assert told["direction"] == "descending"
    assert numbers == sorted(numbers, reverse=True)
    assert [float(value) for value in told["reversed"] if value] == sorted(numbers)
    assert told["sorted"][len(numbers) :] == [""] * (4 - len(numbers)), "what has no number is last"
    lifts = {
        row["generator"]: row["value"]
        for row in finished.results()["rows"]
        if (row["metric"], row["arm"], row["class_name"]) == ("lift", "mixed", None)
    }
    assert set(lifts.values()) <= set(numbers), "the page shows what results.json holds"
    assert told["found"] == ["toy"]
    assert "noise" not in told["without controls"]
    assert told["scatters shown"] <= 1
