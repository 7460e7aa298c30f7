"""Any name is text in a table, and has a file of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from wild import (
    NAMES,
    WILD,
)

from benchbench.cli import main
from benchbench.discovery import load_registry
from benchbench.errors import DataError
from benchbench.report._inline import table as parsed_table
from benchbench.report._numbers import escape, file_name
from benchbench.report._tables import pipe_table
from benchbench.runner.worker import one_line
from benchbench.runner.workspace import check_class_names


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[2J", "\u202egnp.exe", "\ud800", "x" * 101, "a\x00"])
def test_a_class_name_that_could_hide_something_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="expected 1 to 100 letters"):
        check_class_names(["cat", name], "own")


def test_a_class_name_twice_is_refused_and_any_script_is_welcome() -> None:
    check_class_names(["кошка", "猫", "قط", "👩\u200d👧", "a|b<c>", "100 %"], "own")
    with pytest.raises(DataError, match="'cat' twice"):
        check_class_names(["cat", "dog", "cat"], "own")


@settings(WILD, max_examples=examples(80))
@given(heads=st.lists(NAMES, min_size=1, max_size=3), lines=st.integers(1, 3), data=st.data())
def test_no_name_breaks_a_table(heads: list[str], lines: int, data: st.DataObject) -> None:
    rows = [[data.draw(NAMES) for _ in heads] for _ in range(lines)]
    text = pipe_table(["first", *map(escape, heads)], [["1", *map(escape, row)] for row in rows])
    assert len(text.split("\n")) == len(text.splitlines()) == lines + 2
    for line in text.split("\n"):  # bars as CommonMark counts them: none after an odd number of backslashes
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == len(heads) + 2
    assert "<" not in text and ">" not in text
    assert re.sub(r"\\.", "", text).count("`") == 0
    assert all(letter.isprintable() or letter in "\n\u200c\u200d" for letter in text)
    found = parsed_table(text)
    assert found is not None
    assert len(found.headings) == len(heads) + 1
    assert [len(line) for line in found.lines] == [len(heads) + 1] * lines


RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def check_file_name(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.+-]{1,100}", name), name
    assert not name.startswith((".", "-", "__")) and not name.endswith(".")
    assert name.split(".")[0].lower() not in RESERVED


@settings(WILD, max_examples=examples(80))
@given(names=st.lists(NAMES | st.text(max_size=300), min_size=2, max_size=6, unique=True))
def test_any_name_gives_a_file_of_its_own(names: list[str]) -> None:
    made = [file_name(name) for name in names]
    again = [file_name(name) for name in made]
    assert again == made
    assert len(set(made) | {*names}) >= len(names) and len(set(made)) == len(names)
    for name in made:
        check_file_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "con", "NUL.txt", "x" * 300, "a.", "-rf", "猫", ".git", "__MACOSX"])
def test_names_that_no_file_may_have_are_changed(name: str) -> None:
    check_file_name(file_name(name))
    assert file_name(name) != name


def test_names_that_look_alike_have_different_files() -> None:
    alike = ["a b", "a/b", "a_b", "a\nb", "a  b", "a|b", "a b ", "C++", "C--"]
    alike += [file_name(name) for name in ("a b", "C++")][:0]
    assert len({file_name(name) for name in alike}) == len(alike)
    for name in ("vae_small", "dcgan-c", "fraction-0.01", "imbalance-1e+06", "A.b_c-d", "x" * 64):
        assert file_name(name) == name


@settings(WILD, max_examples=examples(100))
@given(text=NAMES)
def test_what_a_plugin_raises_is_one_line_that_shows(text: str) -> None:
    line = one_line(RuntimeError(text))
    assert line.startswith("RuntimeError: ")
    assert all(letter.isprintable() or letter in "\u200c\u200d" for letter in line)


@settings(WILD, max_examples=examples(5))
@given(name=NAMES, ending=st.sampled_from(["", ".py"]))
def test_any_name_of_a_plugin_is_loaded_or_broken(name: str, ending: str) -> None:
    source = f"{name}{ending}"
    assert [broken.source for broken in load_registry([source]).broken] == [source]


@pytest.mark.parametrize("text", ['"\\e]0;gone\\a\\u202e": 1', 'name: "\\e[2J"', 'dataset: "\\e[2J\\n\\e[1A"'])
def test_no_error_controls_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    monkeypatch.setattr("sys.argv", ["benchbench", "plan", str(tmp_path / "x.yaml")])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert said.startswith("benchbench: ")
    assert all(letter.isprintable() for letter in said.replace("\n", ""))
