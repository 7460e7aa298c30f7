"""What ``benchbench doctor`` finds, and that nothing which is broken stops it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from conftest import Bench

from benchbench.datasets.cifar import Cifar10
from benchbench.datasets.digits import Digits
from benchbench.errors import DataMissingError
from benchbench.runner import doctor
from benchbench.runner.doctor import Finding, examine_machine, folders, packages


def test_a_sound_machine_with_one_broken_plugin(bench: Bench) -> None:
    """The broken one is named, all else is looked at nevertheless; what is missing comes with its remedy."""
    (bench.folder / "bad.py").write_text("print('noise'); import no_such_module")
    (bench.folder / "data").mkdir()
    done = bench("doctor", "--json", "--plugin", "bad.py", "--plugin", "toy.py")
    assert done.returncode == 1, done.stdout + done.stderr
    found = [Finding(**one) for one in json.loads(done.stdout)]
    assert [one.name for one in found if one.state == "broken"] == ["bad.py"]
    by_name = {(one.topic, one.name): one for one in found}
    assert "no_such_module" in by_name["plugins", "bad.py"].text
    assert by_name["packages", "torch"].text == metadata.version("torch")
    assert by_name["devices", "cpu"].state == by_name["datasets", "digits"].state == "ok"
    missing = by_name["datasets", "cifar100"]
    assert missing.state == "missing" and "eb9058c3a382ffc7106e4002c42a8d85" in missing.text
    assert not list((bench.folder / "data").iterdir())  # nothing was fetched


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import time; time.sleep(600)", "hangs"),
    ],
)
def test_a_plugin_that_ends_or_holds_up_the_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    (tmp_path / "killer.py").write_text(code)
    monkeypatch.setattr(doctor, "PATIENCE_S", 40.0 if told == "hangs" else 240.0)
    found = list(examine_machine(tmp_path, tmp_path, [str(tmp_path / "killer.py")]))
    broken = [one for one in found if one.state == "broken"]
    assert [Path(one.name).name for one in broken] == ["killer.py"]
    assert told in broken[0].text and "mend or uninstall it" in broken[0].text


def test_packages_that_are_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999", "no-such-package>=1", "pip", 'no-such-extra>=2; extra == "parquet"', 'x; extra == "test"']
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    found = {one.name: one for one in packages()}
    assert found["numpy"].state == "broken" and "pip install 'numpy>=999'" in found["numpy"].text
    assert found["no-such-package"].text.startswith("no-such-package is not installed")
    assert found["pip"].state == "ok"
    extra = found["benchbench[parquet]"]
    assert extra.state == "missing" and "pip install 'benchbench[parquet]'" in extra.text
    assert "x" not in found and "benchbench[test]" not in found


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    data, runs = folders(tmp_path / "nowhere", tmp_path / "new" / "runs")
    assert (data.state, runs.state) == ("missing", "ok")
    data, runs = folders(tmp_path, tmp_path / "file" / "runs")
    assert (data.state, runs.state) == ("ok", "broken")
    monkeypatch.setattr(doctor, "LEAST_FREE", 2**80)
    _, runs = folders(tmp_path, tmp_path)
    assert runs.state == "broken" and "free some space" in runs.text


def test_a_dataset_says_where_it_is_without_reading_or_fetching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cifar10, "fetch", lambda self, data_dir: pytest.fail("it was fetched"))
    with pytest.raises(DataMissingError, match="c58f30108f718f92721af3b95e74349a"):
        Cifar10().check(tmp_path)
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10/train-1.zip").write_bytes(b"no zip")
    with pytest.raises(DataMissingError):
        Cifar10().check(tmp_path)
    (tmp_path / "cifar10/test.zip").write_bytes(b"no zip")
    assert Cifar10().check(tmp_path) == f"as images, in {tmp_path / 'cifar10'}"
    assert Digits().check(tmp_path) == "comes with scikit-learn"
