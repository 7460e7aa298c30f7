"""A whole run, as a user sees it: reports, failures as rows, interruption, bad requests."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from conftest import Bench
from filelock import FileLock

from benchbench.plan import CellState
from benchbench.report.markdown import escape
from benchbench.runner.publish import environments
from benchbench.types import Compute


def test_the_reports_agree_with_each_other(finished: Bench) -> None:
    folder = finished.folder / "reports/toy-board"
    results = finished.results()
    assert set(results) == {"schema_version", "benchmark", "protocol_fingerprint", "verdicts", "rows"}
    needed = "generator seed setting metric value higher_is_better n status arm ratio classifier"
    needed += " classifier_seed train_images class_name"
    assert all(" ".join(row) == needed for row in results["rows"])
    table = {line["row"]: line for line in csv.DictReader((folder / "leaderboard.csv").open())}
    assert list(table) == ["toy", "real", "real, oversampled", "noise"]
    whole = [row for row in results["rows"] if row["class_name"] is None]
    value = {(row["generator"], row["metric"], row["arm"]): row["value"] for row in whole}
    assert float(table["toy"]["FD[domain]"]) == value["toy", "FD[domain]", None]
    assert float(table["toy"]["lift"]) == value["toy", "accuracy", "mixed"] - value["real", "accuracy", "real"]
    assert value["toy", "lift", "mixed"] == float(table["toy"]["lift"])
    page = (folder / "leaderboard.md").read_text()
    warning, _, verdict = page.splitlines()[2:5]
    missing = r"no control that must come out best stands in it (such as real\_holdout)"
    assert warning == f"**This board is not to be trusted:** {missing}."
    assert verdict.startswith("**Verdict: undetermined, needs at least 2 seeds")
    assert "**toy**" in page
    for figure in ("leaderboard", "lift", "real", "samples/toy", "samples/noise"):
        assert (folder / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert f"(figures/{figure}.png)" in page
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["dataset"]["train"] == 1197
    assert manifest["environments"][0]["packages"]["torch"]
    assert manifest["command"] == "benchbench run toy.yaml"
    assert str(finished.folder) not in page + json.dumps(manifest) + json.dumps(results)


def test_every_stored_result_says_what_it_was_computed_on(finished: Bench) -> None:
    [environment] = json.loads((finished.folder / "reports/toy-board/manifest.json").read_text())["environments"]
    headers = [json.loads(path.read_text()) for path in finished.folder.glob(".benchbench/store/**/entry.json")]
    stages = {"extractor", "fit", "sample", "features", "metric", "classifier", "arm"}
    assert {header["stage"] for header in headers} == stages
    ruler = environment | {"compute": asdict(Compute())}  # extractors are trained in one way, whatever the cells' is
    for header in headers:
        assert header["meta"]["environment"] == (ruler if header["stage"] == "extractor" else environment)


def test_what_a_later_revision_has_computed_anew_is_told() -> None:
    def stored(*revisions: str | None) -> CellState:
        entries = [SimpleNamespace(meta={"environment": {"revision": each}} if each else {}) for each in revisions]
        return cast(CellState, SimpleNamespace(stored=[(None, entry) for entry in entries]))

    found = environments([stored("a", None, "a"), stored("a", "b")])
    assert found == [{"revision": "a"}, {"revision": "b"}]


def test_noise_is_far_and_the_floor_is_near(finished: Bench) -> None:
    value = {row["generator"]: row["value"] for row in finished.results()["rows"] if row["metric"] == "FD[domain]"}
    assert 0 < value["real"] < value["toy"] < value["noise"]


def test_the_same_store_gives_the_same_reports(finished: Bench) -> None:
    folder = finished.folder / "reports/toy-board"
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = finished("report", "toy.yaml")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_reports_are_checked_against_the_store(finished: Bench) -> None:
    folder = finished.folder / "reports/toy-board"
    assert finished("report", "toy.yaml", "--check").returncode == 0
    (folder / "leaderboard.csv").write_text((folder / "leaderboard.csv").read_text().replace("toy", "joy", 1))
    (folder / "figures/real.png").unlink()
    (folder / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = finished("report", "toy.yaml", "--check")
    assert done.returncode == 1
    assert [line.removeprefix("benchbench: reports/toy-board/") for line in done.stderr.splitlines()] == [
        "figures/real.png is missing",
        "leaderboard.csv differs from what the store gives",
        "notes.txt does not come from the store",
    ]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_same_seed_gives_the_same_bits(bench: Bench, finished_store: Path) -> None:
    bench.run()
    first = json.loads((finished_store / "reports/toy-board/results.json").read_text())
    measured = ("fit_seconds", "sample_seconds", "images_per_second", "peak_memory_bytes")
    assert [row for row in bench.results()["rows"] if row["metric"] not in measured] == [
        row for row in first["rows"] if row["metric"] not in measured
    ]


# What a generator does wrong, in `fit` or in `sample`, and what the leaderboard shall say of it.
RUBBISH = (
    "import os, sys; open(os.path.join(os.path.dirname(sys.argv[1]), 'outcome.json'), 'w').write('{]'); os._exit(0)"
)
SILENT = "exited with status {} without saying how it went"
# A child that outlives its parent, ignores what asks it to end, and says where it is.
FORKS = """import os, signal, time
        if not os.fork():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            open('child.pid', 'w').write(str(os.getpid()))
            time.sleep(600)
        while not os.path.exists('child.pid') or not open('child.pid').read(): time.sleep(0.05)
        os._exit(3)"""
MISBEHAVIOUR = {
    "raises": ("fit", "raise RuntimeError('boom | <b>')", "failed", "RuntimeError: boom | <b>"),
    "exits": ("fit", "import os; os._exit(7)", "failed", SILENT.format(7)),
    "crashes": (
        "fit",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "failed",
        "died of signal 11 (SIGSEGV)",
    ),
    "diverges": ("fit", "raise bb.DivergedError('loss became nan', 42)", "diverged", "step 42: loss became nan"),
    "declines": ("fit", "raise bb.UnsupportedDataError('needs cats')", "skipped", "needs cats"),
    "exhausts": ("fit", "raise MemoryError('1 TB')", "out_of_memory", "MemoryError: 1 TB; lower the batch"),
    "devours": (
        "fit",
        "self.all = []\n        while True: self.all.append(bytearray(2**26))",
        "out_of_memory",
        "MemoryError: ; lower the batch size, or raise limits.memory, with --retry-failed",
    ),
    "swells": ("fit", "self.all = torch.ones(2**40)", "out_of_memory", "can't allocate memory"),
    "forks": ("fit", FORKS, "failed", SILENT.format(3)),
    "babbles": (
        "fit",
        "import os; [os.write(2, b'x' * 2**20) for _ in range(12)]; raise RuntimeError('enough')",
        "failed",
        "RuntimeError: enough",
    ),
    "hangs": (
        "fit",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        "timeout",
        "killed after 40 s; raise limits.timeout or lower the budget, with --retry-failed",
    ),
    "pickles": ("state", "object()", "failed", "pickles['shape']: state_dict holds a object, expected only tensors"),
    "leaks": ("fit", "open('/nowhere/secret/place.txt')", "failed", ".../place.txt"),
    "scribbles": ("fit", RUBBISH, "failed", SILENT.format(0)),
    "floats": ("sample", "return x.float()", "failed", "dtype torch.float32, expected torch.uint8"),
    "short": ("sample", "return x[:-1]", "failed", r"gave shape (1512, 1, 8, 8), expected (1513, 1, 8, 8)"),
    "constant": ("sample", "return x * 0", "collapsed", "all 1513 samples are one and the same image"),
}


@pytest.fixture(scope="module")
def misbehaved(tmp_path_factory: pytest.TempPathFactory, finished_store: Path) -> tuple[Bench, str]:
    """A run in which every generator but the toy and the noise does something wrong; the page it wrote."""
    folder = tmp_path_factory.mktemp("misbehaved")
    shutil.copytree(finished_store, folder, dirs_exist_ok=True)
    bench = Bench(folder)
    plugin, rows = "import torch\n\nimport benchbench as bb\n", ""
    for name, (where, code, _, _) in MISBEHAVIOUR.items():
        fit = code if where == "fit" else "self.shape = train.shape"
        sample = code if where == "sample" else "pass"
        state = code if where == "state" else "list(self.shape)"
        plugin += f"""
class {name.title()}(bb.Generator):
    name = "{name}"
    def fit(self, train, ctx):
        {fit}
    def sample(self, labels, ctx):
        x = (labels % 7).reshape(-1, 1, 1, 1).expand(-1, *self.shape).to(torch.uint8).clone()
        {sample}
    def state_dict(self):
        return {{"shape": {state}}}
    def load_state_dict(self, state):
        self.shape = state["shape"]
"""
        rows += f"  - {name}\n"
    plugin += (
        "\n@bb.hookimpl\ndef benchbench_generators():\n    return [" + ", ".join(map(str.title, MISBEHAVIOUR)) + "]\n"
    )
    (folder / "bad.py").write_text(plugin)
    bench.edit(bench.file, "plugins: [toy.py]", "plugins: [toy.py, bad.py]")
    bench.edit(bench.file, "  - noise\n", f"  - noise\n{rows}limits: {{timeout: 40, memory: 4}}\n")
    done = bench("run", "toy.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return bench, (folder / "reports/toy-board/leaderboard.md").read_text()


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_a_generator_that_fails_is_a_row(misbehaved: tuple[Bench, str], name: str) -> None:
    _, page = misbehaved
    _, _, status, message = MISBEHAVIOUR[name]
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {name}-seed0 |")]
    assert line.startswith(f"| {name}-seed0 | {status} |".replace("_memory", r"_memory"))
    assert escape(message) in line
    assert f"**{name}**" in page
    assert "secret" not in page


def test_what_it_started_is_gone_and_what_it_babbled_is_cut(misbehaved: tuple[Bench, str]) -> None:
    bench, _ = misbehaved
    child = int((bench.folder / "child.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    log = bench.folder / ".benchbench/cells/toy-board/babbles-seed0/log.txt"
    assert log.stat().st_size < 9 * 2**20


def test_it_stops_nobody_and_is_not_tried_again_unasked(misbehaved: tuple[Bench, str]) -> None:
    bench, page = misbehaved
    assert "*noise* (control)" in page
    assert "**toy**" in page
    again = bench("run", "toy.yaml")
    assert again.returncode == 1
    assert "0 cells computed" in again.stdout


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 3 MB, three quarters of it taken."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted as root")
    (folder / "filler").write_bytes(bytes(2_300_000))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_is_told(bench: Bench, full_disk: Path) -> None:
    done = bench("run", "toy.yaml", "--runs-dir", str(full_disk))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "No space left on device" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (bench.folder / "reports/toy-board/leaderboard.md").exists()
    (full_disk / "filler").unlink()
    bench.run("--runs-dir", str(full_disk), "--retry-failed")
    assert {row["generator"] for row in bench.results()["rows"] if row["metric"] == "FD[domain]"} == {
        "real",
        "toy",
        "noise",
    }


def test_a_failed_cell_is_retried_on_request_and_after_a_change(finished: Bench) -> None:
    keep = "self.images, self.labels = train.images.clone(), train.labels.clone()"
    finished.edit(finished.plugin, keep, f"import pathlib; assert pathlib.Path('fixed').exists(); {keep}")
    assert finished("run", "toy.yaml").returncode == 1
    (finished.folder / "fixed").touch()
    done = finished.run("--retry-failed")
    assert "1 cell computed, 2 served" in done.stdout


def test_a_metric_that_fails_costs_only_itself(finished: Bench) -> None:
    metric = """
import benchbench as bb

class Bad(bb.Metric):
    name = "bad"
    outputs = (bb.Output("bad", "BAD", higher_is_better=False),)

    def compute(self, sets, rng):
        raise ZeroDivisionError("no")

@bb.hookimpl
def benchbench_metrics():
    return [Bad]
"""
    (finished.folder / "bad_metric.py").write_text(metric)
    finished.edit(finished.file, "metrics: [fd]", "metrics: [fd, bad]")
    finished.edit(finished.file, "seeds: [0]", "seeds: [0, 1]")
    done = finished("run", "toy.yaml", "--plugin", "bad_metric.py")
    assert done.returncode == 1
    assert "ZeroDivisionError: no" in done.stdout
    rows = [row for row in finished.results()["rows"] if row["generator"] == "toy" and row["seed"] == 1]
    assert {"FD[domain]", "lift", "accuracy"} <= {row["metric"] for row in rows}


def test_killed_at_any_moment_it_goes_on(bench: Bench, finished_store: Path) -> None:
    """kill -9 of the runner: the workers leave too, and the next run gives the very same numbers."""
    for seconds in (4.0, 9.0):
        runner = subprocess.Popen(
            [sys.executable, "-m", "benchbench.cli", "run", "toy.yaml"],
            cwd=bench.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        runner.kill()
        runner.wait()
    deadline = time.monotonic() + 30  # workers look for their parent once they have imported, then once a second
    while left := [line for line in _processes() if str(bench.folder.resolve()) in line]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    bench.run()
    expected = json.loads((finished_store / "reports/toy-board/results.json").read_text())
    measured = ("fit_seconds", "sample_seconds", "images_per_second", "peak_memory_bytes")
    assert [row for row in bench.results()["rows"] if row["metric"] not in measured] == [
        row for row in expected["rows"] if row["metric"] not in measured
    ]


def _processes() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(bench: Bench) -> None:
    bench.edit(bench.plugin, "self.images, self.labels", "import time; time.sleep(60); self.images, self.labels")
    runner = subprocess.Popen(
        [sys.executable, "-m", "benchbench.cli", "run", "toy.yaml"],
        cwd=bench.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    while "toy-seed0: fit" not in (line := runner.stdout.readline()):
        assert line, "the run ended before the toy was fitted"
    began = time.monotonic()
    runner.send_signal(signal.SIGINT)
    _, errors = runner.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert runner.returncode == 130
    assert errors.strip() == "benchbench: interrupted; what was finished is kept, the same command goes on from there"
    assert not [line for line in _processes() if str(bench.folder.resolve()) in line]


BAD_REQUESTS = {
    "no file": (["run", "none.yaml"], "none.yaml: no such file"),
    "unknown row": (["run", "toy.yaml", "--only", "toi"], "--only: no row is called 'toi' (did you mean 'toy'?)"),
    "unknown device": (["run", "toy.yaml", "--device", "tpu"], "--device: got 'tpu', expected auto, cpu or cuda"),
    "unknown executor": (["run", "toy.yaml", "--executor", "slurmm"], "no executor is called 'slurmm'"),
    "unknown key": (["run", "toy.yaml", "--set", "sedes=3"], "--set: sedes: unknown key (did you mean 'seeds'?)"),
    "empty seeds": (["run", "toy.yaml", "--set", "seeds=[]"], "--set: seeds: got []"),
    "broken plugin in the file": (
        ["run", "toy.yaml", "--set", "plugins=[toy.py, none.py]"],
        "--set: plugins[1]: none.py cannot be loaded: no such file",
    ),
    "infinite setting": (
        ["run", "toy.yaml", "--set", "generators[0].config.weight=.inf"],
        "--set: generators[0].config: holds an infinite number or NaN",
    ),
    "rank by what has no order": (
        ["run", "toy.yaml", "--set", "protocol.metrics=[fd, data_copying]", "--set", "protocol.rank_by=data_copying"],
        "protocol.rank_by: C_T[domain] orders no rows",
    ),
    "unknown kind": (["list", "generator"], "list: got 'generator', expected one of generators"),
    "out is a file": (["run", "toy.yaml", "--out", "toy.yaml"], "--out: toy.yaml/toy-board cannot be written"),
}


@pytest.mark.parametrize("how", BAD_REQUESTS)
def test_a_bad_request_is_one_line_and_touches_nothing(bench: Bench, how: str) -> None:
    words, message = BAD_REQUESTS[how]
    done = bench(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"benchbench: {message}"), line
    assert sorted(path.name for path in bench.folder.iterdir()) == ["toy.py", "toy.yaml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_one_line(bench: Bench) -> None:
    locked = bench.folder / "locked"
    locked.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    done = bench("run", "toy.yaml", "--runs-dir", "locked/x")
    assert done.returncode == 2
    assert "--runs-dir: locked/x cannot be written: no permission in locked" in done.stderr


def test_missing_weights_are_told_before_anything_is_computed(bench: Bench) -> None:
    bench.edit(bench.file, "features: [{name: domain, config: {steps: 30}}]", "features: [inception]")
    done = bench("run", "toy.yaml", TORCH_HOME=str(bench.folder / "nowhere"))
    assert done.returncode == 2
    for word in ("pt_inception-2015-12-05-6726825d.pth", "SHA-256", "mseitzer/pytorch-fid", "put it"):
        assert word in done.stderr
    assert not (bench.folder / "reports").exists()


def test_a_second_run_of_the_same_benchmark_waits_its_turn(bench: Bench) -> None:
    folder = bench.folder / ".benchbench/cells/toy-board"
    folder.mkdir(parents=True)
    with FileLock(folder / "run.lock"):
        done = bench("run", "toy.yaml")
    assert done.returncode == 2
    assert "another run of toy-board is at work" in done.stderr


EDITED_BY_A_WORKER = """
import pathlib
import sys

import benchbench as bb

if sys.argv[-1].endswith("payload.json"):
    here = pathlib.Path(__file__)
    here.write_text(here.read_text() + "EDITED = True\\n")
"""


def test_a_source_edited_meanwhile_is_told(bench: Bench) -> None:
    """The runner plans with the source it has seen; a cell that sees another one stores under other keys."""
    bench.edit(bench.plugin, "import benchbench as bb", EDITED_BY_A_WORKER)
    command = [sys.executable, "-m", "benchbench.cli", "run", "toy.yaml"]  # in a copy the plugin is imported already
    done = subprocess.run(command, cwd=bench.folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert "was a source edited meanwhile? Run it again" in done.stdout


def test_a_row_may_be_called_like_a_figure(finished: Bench) -> None:
    finished.edit(finished.file, "name: toy  # a comment", "{name: toy, as: lift}")
    finished.run()
    assert (finished.folder / "reports/toy-board/figures/samples/lift.png").exists()
    assert "(figures/lift.png)" in (finished.folder / "reports/toy-board/leaderboard.md").read_text()


def test_the_command_in_the_report_holds_all_that_matters(finished: Bench) -> None:
    elsewhere = finished.folder / "far"
    elsewhere.mkdir()
    finished.run("--plugin", str(finished.plugin), "--only", "toy", "--set", "protocol.margin=0.02")
    manifest = json.loads((finished.folder / "reports/toy-board/manifest.json").read_text())
    assert manifest["command"] == "benchbench run toy.yaml --only toy --plugin toy.py --set protocol.margin=0.02"


def test_help_needs_neither_torch_nor_plugins() -> None:
    script = """
import sys
from benchbench.cli import app
app(["--help"], standalone_mode=False)
print([name for name in ("torch", "numpy", "pandas", "benchbench_plugins") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_debug_shows_the_traceback(bench: Bench) -> None:
    done = bench("run", "none.yaml", "--debug")
    assert "Traceback" in done.stderr
