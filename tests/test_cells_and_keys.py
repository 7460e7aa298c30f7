"""Content keys, as a user meets them: what is computed again after a change, and what is not."""

from __future__ import annotations

import json
import time

import pytest
from conftest import Bench


def to_compute(bench: Bench, *words: str) -> dict[str, set[str]]:
    """By cell, the results that are not stored."""
    return {cell: set(line["missing"]) for cell, line in bench.plan(*words).items() if line["missing"]}


def test_a_rerun_trains_nothing_and_takes_seconds(finished: Bench) -> None:
    before = finished.results()
    began = time.monotonic()
    done = finished.run()
    assert "0 cells computed, 3 served" in done.stdout
    assert time.monotonic() - began < 30
    assert finished.results() == before


def test_the_path_of_a_store_is_in_no_key(finished: Bench) -> None:
    # `finished` is a copy in another folder than the one it was computed in
    assert to_compute(finished) == {}


def test_a_comment_changes_nothing(finished: Bench) -> None:
    finished.edit(finished.file, "# a comment", "# another one, longer")
    assert to_compute(finished) == {}


def test_timeout_and_threads_change_nothing(finished: Bench) -> None:
    assert to_compute(finished, "--set", "limits.timeout=77", "--set", "limits.threads=2") == {}


def test_memory_format_and_compilation_change_nothing(finished: Bench) -> None:
    assert to_compute(finished, "--set", "compute.channels_last=false", "--set", "compute.compile=true") == {}


def test_a_precision_that_is_named_trains_again_and_leaves_the_ruler(finished: Bench) -> None:
    missing = to_compute(finished, "--set", "compute.precision=bf16")
    assert {"fit", "sample", "fd domain", "synthetic"} <= missing["toy-seed0"]
    assert "real" in missing["real-seed0"]
    assert "fd domain" not in missing["real-seed0"]  # features of real images, in an extractor that stays


def test_writing_out_a_default_changes_nothing(finished: Bench) -> None:
    assert to_compute(finished, "--set", "generators[0].config.weight=0.5") == {}


def test_a_further_metric_rescores_only(finished: Bench) -> None:
    finished.edit(finished.file, "metrics: [fd]", "metrics: [fd, kid]")
    missing = to_compute(finished)
    assert missing == {cell: {"kid domain"} for cell in ("real-seed0", "toy-seed0", "noise-seed0")}
    fits = sorted((finished.folder / ".benchbench/store/fit").rglob("entry.json"))
    stamps = [path.stat().st_mtime_ns for path in fits]
    finished.run()
    assert sorted((finished.folder / ".benchbench/store/fit").rglob("entry.json")) == fits
    assert [path.stat().st_mtime_ns for path in fits] == stamps
    assert {row["metric"] for row in finished.results()["rows"]} >= {"FD[domain]", "KID[domain]"}


def test_papers_distances_are_of_all_samples_and_the_training_images(finished: Bench) -> None:
    finished.edit(finished.file, "metrics: [fd]", "metrics: [fd, fd_train, fd_train_per_class]")
    finished.run()
    rows = [row for row in finished.results()["rows"] if row["metric"] == "FD to train[domain]"]
    count = {row["generator"]: row["n"] for row in rows}
    held_out = {row["n"] for row in finished.results()["rows"] if row["metric"] == "FD[domain]"}
    # the training images, a few more where arms fill classes up, and the held-out samples
    assert {count["real"]} == held_out and count["toy"] == count["noise"] >= 1197 + count["real"]
    value = {row["generator"]: row["value"] for row in rows}
    assert 0 < value["real"] < value["toy"] < value["noise"]
    classes = [row for row in finished.results()["rows"] if row["metric"] == "FD to train per class[domain]"]
    assert len({row["class_name"] for row in classes}) == 10


def test_a_further_seed_runs_that_seed(finished: Bench) -> None:
    missing = to_compute(finished, "--seeds", "2")
    assert set(missing) == {"real-seed1", "toy-seed1", "noise-seed1"}
    assert finished.plan("--seeds", "2")["toy-seed1"]["missing"]["fit"] == "never computed"


def test_editing_a_generators_source_refits_it_alone(finished: Bench) -> None:
    finished.edit(finished.plugin, "* (1 - weight)", "* (1.0 - weight)")
    missing = to_compute(finished)
    assert set(missing) == {"toy-seed0"}
    assert missing["toy-seed0"] >= {"fit", "sample", "fd domain", "synthetic", "mixed 1"}
    assert finished.plan()["toy-seed0"]["missing"]["fit"] == "generator source changed"


def test_comments_and_docstrings_of_a_generator_do_not_refit_it(finished: Bench) -> None:
    finished.edit(finished.plugin, '"""Means of two training images."""', '"""Other words."""  # and a comment')
    assert to_compute(finished) == {}


def test_the_plan_says_which_setting_changed(finished: Bench) -> None:
    missing = finished.plan("--set", "generators[0].config.weight=0.25")["toy-seed0"]["missing"]
    assert missing["fit"] == "weight 0.5 -> 0.25"
    assert missing["sample"] == "fit changed"


def test_other_classifier_steps_retrain_classifiers_but_no_generator(finished: Bench) -> None:
    missing = to_compute(finished, "--set", "protocol.classifier_steps=21")
    assert missing == {
        "real-seed0": {"real", "oversampled", "real_part 0.5"},
        "toy-seed0": {"synthetic", "mixed 1", "agreement"},
        "noise-seed0": {"synthetic", "mixed 1", "agreement"},
    }


def test_a_damaged_entry_is_computed_again_with_a_warning(finished: Bench) -> None:
    before = finished.results()
    entries = sorted((finished.folder / ".benchbench/store/sample").rglob("images.npy"))
    for path in entries:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))
    assert all("sample" in missing for missing in to_compute(finished).values())
    done = finished.run()
    assert "damaged" in done.stderr
    assert without_times(finished.results()) == without_times(before)


def test_only_names_rows_and_leaves_the_others_in_the_report(finished: Bench) -> None:
    done = finished.run("--only", "toy", "--seeds", "2")
    assert "[2/2]" in done.stdout  # the baseline's and the toy's second seed
    seeds = {(row["generator"], row["seed"]) for row in finished.results()["rows"] if row["metric"] == "FD[domain]"}
    assert seeds == {("real", 0), ("real", 1), ("toy", 0), ("toy", 1), ("noise", 0)}


def without_times(results: dict[str, object]) -> list[dict[str, object]]:
    measured = ("fit_seconds", "sample_seconds", "images_per_second", "peak_memory_bytes")
    return [row for row in results["rows"] if row["metric"] not in measured]  # type: ignore[attr-defined, index]


def test_another_fraction_runs_that_fraction_alone(finished: Bench) -> None:
    missing = to_compute(finished, "--set", "settings.fractions=[1.0, 0.25]")
    assert set(missing) == {f"{row}-seed0-fraction-0.25" for row in ("real", "toy", "noise")}
    # the floor is that of the whole: the ruler and both splits are the same
    assert "fd domain" not in missing["real-seed0-fraction-0.25"]


def test_another_classifier_seed_trains_that_one_alone(finished: Bench) -> None:
    missing = to_compute(finished, "--set", "protocol.classifier_seeds=2")
    assert missing["toy-seed0"] == {"synthetic (1)", "mixed 1 (1)", "agreement (1)"}
    assert missing["real-seed0"] == {"real (1)", "oversampled (1)", "real_part 0.5 (1)"}


def test_other_augmentation_retrains_the_augmented_arms_alone(finished: Bench) -> None:
    missing = to_compute(finished, "--set", "protocol.classical={flip: false}")
    assert missing == {"real-seed0": {"classical"}, "toy-seed0": {"classical_mixed 1"}}


def test_another_ratio_samples_again_but_refits_nothing(finished: Bench) -> None:
    missing = to_compute(finished, "--set", "protocol.ratios=[1.0, 2.0]")
    assert "fit" not in missing["toy-seed0"]
    assert {"sample", "mixed 1", "mixed 2"} <= missing["toy-seed0"]


def test_a_plan_takes_as_long_as_the_missing_results_took(finished: Bench) -> None:
    keys = json.loads((finished.folder / "reports/toy-board/manifest.json").read_text())["cells"]["toy-seed0"]
    took = {}
    for result, key in keys.items():
        stage, name = result.split("/")
        path = finished.folder / f".benchbench/store/{stage}/{key[:2]}/{key}/entry.json"
        took[name] = json.loads(path.read_text())["meta"]["stage_seconds"]
    assert min(took.values()) > 0

    def estimated(cell: str, *words: str) -> float:
        return float(finished.plan(*words)[cell]["seconds"])

    arms = sum(took[name] for name in ("synthetic", "agreement", "mixed 1"))
    assert estimated("toy-seed0", "--set", "protocol.classifier_steps=21") == pytest.approx(arms)
    # metrics and arms that no cell has are taken to be like the longest ones
    assert estimated("toy-seed0", "--set", "protocol.metrics=[fd, kid]") == pytest.approx(took["fd domain"])
    longest = max(took[name] for name in ("synthetic", "agreement", "mixed 1"))
    assert estimated("toy-seed0", "--set", "protocol.classifier_seeds=2") == pytest.approx(3 * longest)
    # a whole cell is more than its results: a process, the images
    whole = json.loads((finished.folder / ".benchbench/cells/toy-board/toy-seed0/outcome.json").read_text())["seconds"]
    assert estimated("toy-seed1", "--seeds", "2") == pytest.approx(max(whole, sum(took.values())))
    assert whole > max(took.values())
    finished.edit(finished.file, "- noise", "- blur")
    assert finished.plan()["blur-seed0"]["seconds"] is None


@pytest.mark.parametrize("damaged", ["NaN", "1e999", "7", '["fit"]'])
def test_a_damaged_note_of_what_was_computed_stops_no_plan(finished: Bench, damaged: str) -> None:
    note = finished.folder / ".benchbench/cells/toy-board/toy-seed0/inputs.json"
    note.write_text(f'{{"fit/fit": {{"train": {damaged}}}, "sample/sample": {damaged}}}')
    missing = finished.plan("--set", "generators[0].config.weight=0.25")["toy-seed0"]["missing"]
    assert missing["fit"] and missing["sample"]
