"""``results.parquet``: the numbers of ``results.json``, column by column, and nothing where pyarrow is missing."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
from test_report import dossier

import benchbench as bb
from benchbench.report import parquet
from benchbench.report.parquet import Parquet
from benchbench.report.results import Results
from benchbench.runner.checked import _same


def test_it_holds_what_the_json_holds_in_its_dtypes(tmp_path: Path) -> None:
    what = dossier()
    Results().write(what, tmp_path)
    (path,) = Parquet().write(what, tmp_path)
    frame, columns = bb.load_results(tmp_path), bb.load_results(path)
    assert len(frame) > 100
    pd.testing.assert_frame_equal(frame, columns)
    assert frame.attrs == columns.attrs
    assert str(columns.dtypes["n"]) == "Int64" and str(columns.dtypes["higher_is_better"]) == "boolean"


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        Parquet().write(dossier(), tmp_path / name)
    assert len({(tmp_path / name / "results.parquet").read_bytes() for name in ("one", "other")}) == 1


def test_without_pyarrow_it_is_left_out_and_an_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Parquet().write(dossier(), tmp_path)
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert Parquet().write(dossier(), tmp_path) == []
    assert [record.getMessage() for record in caplog.records] == [
        "results.parquet is left out: pyarrow is not installed; pip install 'benchbench[parquet]'"
    ]
    assert not (tmp_path / "results.parquet").exists()


def test_other_versions_of_the_libraries_are_no_difference_other_numbers_are(tmp_path: Path) -> None:
    (path,) = Parquet().write(dossier(), tmp_path)
    frame = pd.read_parquet(path)
    frame.to_parquet(tmp_path / "again.parquet", compression="snappy", index=False)
    frame.loc[0, "value"] += 1e-9
    frame.to_parquet(tmp_path / "changed.parquet", index=False)
    (tmp_path / "damaged.parquet").write_bytes(path.read_bytes()[:-9])
    same = {name: _same(path, tmp_path / f"{name}.parquet") for name in ("results", "again", "changed", "damaged")}
    assert same == {"results": True, "again": True, "changed": False, "damaged": False}


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (path,) = Parquet().write(dossier(), tmp_path)
    frame = pd.read_parquet(path)
    frame.attrs["schema_version"] = 1
    frame.to_parquet(path)
    with pytest.raises(bb.DataError, match="got schema version 1, this program reads"):
        bb.load_results(path)
    path.write_bytes(b"no")
    with pytest.raises(bb.DataError, match="is not Parquet"):
        bb.load_results(path)
    with pytest.raises(bb.DataError, match="expected the folder of a report"):
        bb.load_results(tmp_path / "nowhere.parquet")
