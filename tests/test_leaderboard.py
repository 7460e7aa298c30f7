"""From records to ranks, ratios, trust and a verdict."""

from __future__ import annotations

import numpy as np
import pytest

from benchbench.leaderboard import Board, Column, Record, RowInfo, Rules, SettingInfo, build_board
from benchbench.leaderboard.trust import copies
from benchbench.leaderboard.verdict import decide
from benchbench.leaderboard.worth import LearningCurve
from benchbench.types import Outcome, Status

FD = Column("FD[x]", "FD[x]", False, "FD[x]", output="fd", features="x", distance=True)
COPIED = Column("Copied[x]", "Copied[x]", False, "Copied[x]", output="memorized", features="x")
SETTING = SettingInfo("full", "all training images", 1000, True)
SEEDS = (0, 1, 2, 3)


def spread(mean: float, width: float) -> list[float]:
    """Four values with that mean."""
    return [mean + width * offset for offset in (-1.0, -0.4, 0.4, 1.0)]


def records(row: str, fd: list[float], cas: list[float], lift: dict[float, list[float]] | None = None) -> list[Record]:
    found = []
    for seed, value in zip(SEEDS, fd, strict=True):
        found.append(Record(row, seed, "full", "FD[x]", value, False, 300))
    for seed, value in zip(SEEDS, cas, strict=True):
        found.append(Record(row, seed, "full", "accuracy", value, True, 300, arm="synthetic"))
    for ratio, values in (lift or {}).items():
        for seed, value in zip(SEEDS, values, strict=True):
            found.append(Record(row, seed, "full", "lift", value, True, 300, arm="mixed", ratio=ratio))
            found.append(Record(row, seed, "full", "val_accuracy", 0.9 + value, True, 300, arm="mixed", ratio=ratio))
    return found


def board(rows: dict[str, list[Record]], infos: list[RowInfo], **extra: object) -> Board:
    settings = {"metrics": [FD, COPIED], "curves": {}, "rules": Rules("cas", 0.01, 0.95), **extra}
    return build_board(
        benchmark="b",
        dataset="d",
        setting=SETTING,
        seeds=SEEDS,
        infos=infos,
        records=[record for found in rows.values() for record in found],
        **settings,  # type: ignore[arg-type]
    )


def info(name: str, role: str = "generator", **extra: object) -> RowInfo:
    return RowInfo(name, name, role, "own", **extra)  # type: ignore[arg-type]


def test_rows_that_cannot_be_told_apart_share_a_rank() -> None:
    rows = {
        "good": records("good", spread(0.5, 0.01), [0.95, 0.96, 0.95, 0.96]),
        "same": records("same", spread(0.5, 0.01), [0.96, 0.95, 0.96, 0.95]),
        "poor": records("poor", spread(2.0, 0.01), [0.70, 0.71, 0.69, 0.70]),
    }
    made = board(rows, [info(name) for name in rows])
    ranks = {row.info.name: (row.ranks["cas"], row.ranks["FD[x]"]) for row in made.rows}
    assert ranks == {"good": (1, 1), "same": (1, 1), "poor": (3, 3)}
    assert made.rows[-1].info.name == "poor"


def test_the_ratio_is_chosen_on_val() -> None:
    rows = {"g": records("g", spread(1, 0.1), spread(0.9, 0.01), {0.5: spread(0.02, 0.001), 2.0: spread(0.01, 0.001)})}
    # make val prefer the ratio that is worse on test
    rows["g"] = [
        Record(**{**vars(r), "value": 0.99}) if r.metric == "val_accuracy" and r.ratio == 2.0 else r for r in rows["g"]
    ]
    (row,) = board(rows, [info("g")]).rows
    assert row.ratio == 2.0
    assert row.values["lift"].mean == pytest.approx(0.01)


def test_a_failed_seed_leaves_a_gap_and_is_listed() -> None:
    lost = Outcome("g-seed3", Status.DIVERGED, "fit", "loss became nan")
    rows = {"g": [record for record in records("g", spread(1, 0.1), spread(0.9, 0.01)) if record.seed != 3]}
    (row,) = board(rows, [info("g", failures=(lost,))]).rows
    assert row.values["cas"].n == 3
    assert row.info.failures == (lost,)


def test_a_row_without_any_number_is_still_a_row() -> None:
    made = board({"g": records("g", spread(1, 0.1), spread(0.9, 0.01))}, [info("g"), info("dead")])
    assert [row.info.name for row in made.rows] == ["g", "dead"]
    assert made.rows[1].values == {}


def test_the_baseline_shows_real_accuracy_beside_cas() -> None:
    real = [Record("real", seed, "full", "accuracy", 0.98, True, 300, arm="real") for seed in SEEDS]
    made = board({"real": real}, [info("real", "baseline")])
    assert made.rows[0].values["cas"].mean == pytest.approx(0.98)


def controls(holdout: float, noise: float) -> Board:
    rows = {
        "g": records("g", spread(1.0, 0.01), spread(0.9, 0.01)),
        "h": records("h", spread(holdout, 0.01), spread(0.9, 0.01)),
        "n": records("n", spread(noise, 0.01)[::-1], spread(0.1, 0.01)),
        "copy": records("copy", spread(0.001, 0.0001), spread(0.1, 0.01)),
    }
    infos = [
        info("g"),
        info("h", "control", expected="best"),
        info("n", "control", expected="worst"),
        info("copy", "control"),
    ]
    return board(rows, infos)


def test_controls_where_they_belong_are_trusted() -> None:
    assert controls(holdout=0.5, noise=50).warnings == ()


def test_a_generator_as_bad_as_noise_does_not_discredit_the_board() -> None:
    assert controls(holdout=0.5, noise=0.9999).warnings == ()


def test_a_board_without_its_controls_is_not_trusted() -> None:
    rows = {"g": records("g", spread(1.0, 0.01), spread(0.9, 0.01))}
    missing = [
        "no control that must come out best stands in it (such as real_holdout)",
        "no control that must come out worst stands in it (such as noise)",
    ]
    assert list(board(rows, [info("g")]).warnings) == missing
    dead = board(rows, [info("g"), info("h", "control", expected="best"), info("n", "control", expected="worst")])
    assert dead.warnings == ("h was not scored by FD[x]", "n was not scored by FD[x]")


def test_with_one_seed_a_control_is_judged_by_its_mean() -> None:
    def one(name: str, fd: float) -> list[Record]:
        return [Record(name, 0, "full", "FD[x]", fd, False, 300)]

    rows = {"g": one("g", 1.0), "h": one("h", 5.0), "n": one("n", 50.0)}
    infos = [info("g"), info("h", "control", expected="best"), info("n", "control", expected="worst")]
    assert board(rows, infos).warnings == ("h does not come out best by FD[x] (better: g)",)


def test_controls_out_of_place_are_a_warning() -> None:
    assert controls(holdout=5.0, noise=50).warnings == ("h does not come out best by FD[x] (better: g)",)
    assert controls(holdout=0.5, noise=0.9).warnings == ("n does not come out worst by FD[x] (worse: g)",)


def lifts(**rows: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in rows.items()}


RATIOS = {"a": 1.0, "b": 0.5}


def test_a_clear_lift_is_recommended_with_its_ratio() -> None:
    verdict = decide(lifts(a=spread(0.0, 0.001), b=spread(0.05, 0.002)), RATIOS, 0.01, 0.95)
    assert verdict.kind == "augment"
    assert verdict.text.startswith("augment with b at ratio 0.5: +5.00 [")
    assert verdict.text.endswith("n = 4")


def test_nothing_beyond_the_margin_is_no_effect() -> None:
    verdict = decide(lifts(a=spread(0.0, 0.001), b=spread(-0.002, 0.001)), RATIOS, 0.01, 0.95)
    assert verdict.kind == "no_effect"
    assert verdict.text.startswith("no effect (within ±1 points): the best, a, gives +0.00")


def test_a_harmful_generator_does_not_hide_that_the_best_has_no_effect() -> None:
    verdict = decide(lifts(a=spread(-0.03, 0.001), b=spread(0.0002, 0.001)), RATIOS, 0.01, 0.95)
    assert verdict.kind == "no_effect"
    assert verdict.row == "b"


def test_what_only_looks_decided_says_what_it_is_as_the_best_of_several() -> None:
    values = [0.0127, 0.02, 0.0273]  # t(0.975, 2) = 4.303, t(0.9875, 2) = 6.205
    verdict = decide(lifts(a=values, b=spread(0.0, 0.02)), RATIOS, 0.01, 0.95)
    assert verdict.kind == "undetermined"
    assert "a, gives +2.00 [+0.19, +3.81] points, n = 3; as the best of 2 tries [-0.62, +4.62]" in verdict.text


def test_one_generator_alone_is_not_called_the_best() -> None:
    assert decide(lifts(a=spread(0.0, 0.001)), RATIOS, 0.01, 0.95).text.startswith(
        "no effect (within ±1 points): a gives"
    )
    assert decide(lifts(a=spread(-0.05, 0.001)), RATIOS, 0.01, 0.95).text.startswith("harmful: a gives -5.00")
    assert ": a gives" in decide(lifts(a=spread(0.0, 0.05)), RATIOS, 0.01, 0.95).text


def test_a_lift_within_the_margin_does_not_matter_however_sure_it_is() -> None:
    assert decide(lifts(a=spread(0.003, 0.0001)), RATIOS, 0.01, 0.95).kind == "no_effect"


def test_equal_lifts_on_few_images_are_not_certain() -> None:
    same = lifts(a=[0.011, 0.011])
    assert decide(same, RATIOS, 0.01, 0.95).kind == "augment"
    assert decide(same, RATIOS, 0.01, 0.95, least_spread=0.0014).kind == "undetermined"


def test_a_lucky_single_seed_does_not_choose_the_ratio() -> None:
    found = records("g", spread(1, 0.1), spread(0.9, 0.01), {1.0: spread(0.01, 0.001)})
    found += [
        Record("g", 0, "full", "lift", 0.05, True, 300, arm="mixed", ratio=2.0),
        Record("g", 0, "full", "val_accuracy", 1.0, True, 300, arm="mixed", ratio=2.0),
    ]
    assert board({"g": found}, [info("g")]).rows[0].ratio == 1.0


def test_a_clear_loss_everywhere_is_harmful() -> None:
    assert decide(lifts(a=spread(-0.1, 0.002), b=spread(-0.2, 0.002)), RATIOS, 0.01, 0.95).kind == "harmful"


def test_a_wide_spread_is_undetermined_and_says_how_many_seeds() -> None:
    verdict = decide(lifts(a=spread(0.01, 0.02), b=spread(0.0, 0.02)), RATIOS, 0.01, 0.95)
    assert verdict.kind == "undetermined"
    assert "needs about" in verdict.text
    assert "more seeds" in verdict.text


def test_one_seed_decides_nothing() -> None:
    verdict = decide(lifts(a=[0.5]), RATIOS, 0.01, 0.95)
    assert verdict.kind == "undetermined"
    assert "needs at least 2 seeds" in verdict.text


def test_the_best_of_many_equals_is_not_recommended_too_often() -> None:
    """Ten generators without any effect: one is recommended in at most 5 % of 400 trials (2.5 % expected)."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        found = {str(row): rng.normal(0, 0.01, 5) for row in range(10)}
        wrong += decide(found, dict.fromkeys(found, 1.0), 0.01, 0.95).kind == "augment"
    assert wrong / 400 <= 0.05


def arm(row: str, name: str, values: list[float], ratio: float | None = None, **extra: object) -> list[Record]:
    """Records of one arm, one a seed."""
    fields = {"metric": "accuracy", "higher_is_better": True, "n": 300, **extra}
    return [
        Record(row, seed, "full", value=value, arm=name, ratio=ratio, **fields)  # type: ignore[arg-type]
        for seed, value in zip(SEEDS, values, strict=True)
    ]


def test_classifier_seeds_of_a_cell_are_averaged() -> None:
    first = arm("g", "synthetic", [0.90, 0.91, 0.92, 0.93], classifier_seed=0)
    second = arm("g", "synthetic", [0.80, 0.81, 0.82, 0.83], classifier_seed=1)
    (row,) = board({"g": first + second}, [info("g")]).rows
    assert row.values["cas"].n == 4
    assert row.values["cas"].mean == pytest.approx(0.865)


def test_numbers_of_single_classes_stay_out_of_the_means() -> None:
    whole = arm("g", "synthetic", spread(0.9, 0.01))
    of_class = arm("g", "synthetic", spread(0.1, 0.01), class_name="cat")
    (row,) = board({"g": whole + of_class}, [info("g")]).rows
    assert row.values["cas"].mean == pytest.approx(0.9)


def test_the_transfer_track_is_ranked_and_judged_apart() -> None:
    rows = {
        "poor": records("poor", spread(2, 0.01), spread(0.7, 0.001), {1.0: spread(0.0, 0.0005)}),
        "rich": records("rich", spread(1, 0.01), spread(0.9, 0.001), {1.0: spread(0.05, 0.001)}),
    }
    made = board(rows, [info("poor"), info("rich", generator_data="full")])
    assert [row.info.name for row in made.of_track("strict")] == ["poor"]
    assert made.of_track("strict")[0].ranks["cas"] == 1
    assert made.of_track("transfer")[0].ranks["cas"] == 1
    assert made.verdict.kind == "no_effect"
    assert made.verdict.row == "poor"
    assert made.transfer is not None
    assert made.transfer.kind == "augment"
    assert board({"poor": rows["poor"]}, [info("poor")]).transfer is None


def test_generators_that_saw_more_do_not_discredit_the_held_out_control() -> None:
    rows = {
        "g": records("g", spread(1.0, 0.01), spread(0.9, 0.01)),
        "rich": records("rich", spread(0.1, 0.01), spread(0.9, 0.01)),
        "h": records("h", spread(0.5, 0.01), spread(0.9, 0.01)),
        "n": records("n", spread(50.0, 0.01), spread(0.1, 0.01)),
    }
    infos = [info("g"), info("h", "control", expected="best"), info("n", "control", expected="worst")]
    assert board(rows, [*infos, info("rich", generator_data="full")]).warnings == ()
    assert board(rows, [*infos, info("rich")]).warnings == ("h does not come out best by FD[x] (better: rich)",)


def test_lift_over_classical_augmentation_has_its_own_ratio_and_verdict() -> None:
    found = records("g", spread(1, 0.1), spread(0.9, 0.01), {1.0: spread(0.05, 0.001)})
    for ratio, lift, val in ((0.5, 0.02, 0.9), (1.0, -0.03, 0.8)):
        found += arm("g", "classical_mixed", spread(lift, 0.001), ratio, metric="lift")
        found += arm("g", "classical_mixed", [val] * 4, ratio, metric="val_accuracy")
    made = board({"g": found}, [info("g")])
    (row,) = made.rows
    assert (row.ratio, row.classical_ratio) == (1.0, 0.5)
    assert row.values["lift_classical"].mean == pytest.approx(0.02)
    assert made.beside_classical is not None
    assert made.beside_classical.text.startswith("augment with g at ratio 0.5: +2.00")
    assert board({"g": records("g", spread(1, 0.1), spread(0.9, 0.01))}, [info("g")]).beside_classical is None


def test_treatments_of_real_images_are_rows_beside_the_baseline() -> None:
    real = arm("real", "real", spread(0.9, 0.01)) + arm("real", "classical", spread(0.93, 0.01))
    real += arm("real", "classical", spread(0.03, 0.01), metric="lift")
    made = board({"real": real}, [info("real", "baseline")])
    assert [row.info.name for row in made.rows] == ["real", "real, classical augmentation"]
    assert made.real_accuracy == pytest.approx(0.9)
    assert made.rows[1].values["cas"].mean == pytest.approx(0.93)
    assert made.rows[1].values["lift"].mean == pytest.approx(0.03)


def flagged(**shares: float) -> Board:
    rows = {name: records(name, spread(1.0, 0.01), spread(0.9, 0.01)) for name in shares}
    for name, share in shares.items():
        rows[name] += [Record(name, seed, "full", "Copied[x]", share, False, 300) for seed in SEEDS]
    kinds = {
        "holdout": info("holdout", "control", expected="best"),
        "noise": info("noise", "control", expected="worst"),
        "copy": info("copy", "control", expected="copied"),
    }
    return board(rows, [kinds.get(name, info(name)) for name in rows])


def test_the_memorization_flag_and_the_controls_that_vouch_for_it() -> None:
    made = flagged(g=0.2, holdout=0.012, noise=0.0, copy=1.0)
    assert {row.info.name: row.memorizes for row in made.rows} == {
        "g": True,
        "holdout": False,
        "noise": False,
        "copy": True,
    }
    assert made.warnings == ()
    assert flagged(g=0.0, holdout=0.3, noise=0.0, copy=0.01).warnings == (
        "the memorization flag takes the held-out images of holdout for copies",
        "the memorization flag does not see that copy copies the training images",
    )


def test_the_flag_needs_to_be_sure() -> None:
    assert not copies(np.array([0.06]), 100, 0.95)  # 6 of 100: the interval begins at 0.022
    assert copies(np.array([0.06] * 100), 100, 0.95)
    assert copies(np.array([1.0]), 30, 0.95)


def test_a_metric_that_orders_rows_as_lift_does_correlates() -> None:
    rows = {
        name: records(name, spread(10.0 - step, 0.01), spread(0.9, 0.01), {1.0: spread(0.01 * step, 0.0001)})
        for step, name in enumerate("abcdef")
    }
    made = board(rows, [info(name) for name in rows], metrics=[FD])
    (found,) = made.correlations
    assert found.column == FD
    assert found.rho.mean == pytest.approx(1.0)  # lower is better, and goes with a higher lift
    assert found.rho.n == 6


def test_worth_is_read_off_the_learning_curve() -> None:
    curve = LearningCurve.measured([100, 200, 400, 800], [0.6, 0.7, 0.8, 0.9])
    found = arm("g", "synthetic", [0.7, 0.7, 0.7, 0.7]) + arm("g", "mixed", [0.85] * 4, 1.0)
    found += arm("g", "mixed", [0.9] * 4, 1.0, metric="val_accuracy")
    (row,) = board({"g": found}, [info("g")], curves=dict.fromkeys(SEEDS, curve)).rows
    assert row.worth_alone is not None
    assert row.worth_added is not None
    assert row.worth_alone.value == pytest.approx(200)
    assert row.worth_added.value == pytest.approx(400 * 2**0.5)


def test_the_front_has_no_row_that_another_beats_in_lift_and_seconds() -> None:
    def costly(name: str, lift: float, seconds: float) -> list[Record]:
        found = records(name, spread(1, 0.1), spread(0.9, 0.01), {1.0: spread(lift, 0.0001)})
        times = [("fit_seconds", seconds), ("sample_seconds", 1.0)]
        return found + [Record(name, seed, "full", key, value) for seed in SEEDS for key, value in times]

    rows = {"cheap": costly("cheap", 0.01, 5), "dear": costly("dear", 0.03, 90), "beaten": costly("beaten", 0.0, 60)}
    made = board(rows, [info(name) for name in rows])
    assert {row.info.name for row in made.rows if row.pareto} == {"cheap", "dear"}


def test_one_image_more_at_every_seed_is_no_difference() -> None:
    """Shares of images have a least spread, whether they are accuracies or, say, a recall."""
    recall = Column("R[x]", "R[x]", True, "R[x]", output="recall", features="x")
    rows = {
        name: [Record(name, seed, "full", "R[x]", value, True, 300) for seed in SEEDS[:2]]
        for name, value in (("a", 0.5), ("b", 0.5 + 1 / 300))
    }
    made = board(rows, [info(name) for name in rows], metrics=[recall])
    assert {row.ranks["R[x]"] for row in made.rows} == {1}
    density = Column("D[x]", "D[x]", True, "D[x]", output="density", features="x")
    rows = {
        name: [Record(name, seed, "full", "D[x]", value, True, 300) for seed in SEEDS[:2]]
        for name, value in (("a", 0.5001), ("b", 0.5002))
    }
    made = board(rows, [info(name) for name in rows], metrics=[density])
    assert {row.ranks["D[x]"] for row in made.rows} == {1, 2}


def test_controls_that_no_distance_judges_vouch_for_nothing() -> None:
    infos = [info("h", "control", expected="best"), info("n", "control", expected="worst")]
    made = board({"g": records("g", spread(1, 0.1), spread(0.9, 0.01))}, [info("g"), *infos], metrics=[COPIED])
    assert made.warnings == ("no distance was measured by which controls could be judged",)


def test_a_generator_of_one_seed_does_not_discredit_a_control_of_many() -> None:
    """Its one value is compared with the control's of that seed; one pair makes no test."""
    holdout = [0.8, 0.9, 1.0, 0.85]
    rows = {
        "g": [Record("g", 3, "full", "FD[x]", 0.9, False, 300)],
        "h": records("h", holdout, spread(0.9, 0.01)),
        "n": records("n", spread(50, 0.1), spread(0.1, 0.01)),
    }
    infos = [info("g"), info("h", "control", expected="best"), info("n", "control", expected="worst")]
    assert board(rows, infos).warnings == ()


def test_a_row_whose_lift_or_cost_is_not_known_is_not_called_dominated() -> None:
    made = board({"g": records("g", spread(1, 0.1), spread(0.9, 0.01))}, [info("g")])
    assert made.rows[0].pareto is None


def test_the_best_so_far_has_more_than_one_seed_where_any_has() -> None:
    verdict = decide(lifts(a=[-0.02, -0.021, -0.022], b=[0.0]), RATIOS, 0.01, 0.95)
    assert "the best so far, a," in verdict.text


def test_a_control_does_not_choose_its_ratio() -> None:
    """Some give back the images of ``val``: on these their arms are at their best the more they train on them."""
    found = records("h", spread(1, 0.1), spread(0.9, 0.01), {0.5: spread(0.0, 0.001), 4.0: spread(0.05, 0.001)})
    assert board({"h": found}, [info("h", "control")]).rows[0].ratio == 0.5
    assert board({"h": found}, [info("h")]).rows[0].ratio == 4.0
