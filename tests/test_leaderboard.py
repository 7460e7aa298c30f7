"""From records to ranks, ratios, trust and a verdict."""

from __future__ import annotations

import numpy as np
import pytest

from benchbench.leaderboard import Board, Column, Record, RowInfo, build_board
from benchbench.leaderboard.verdict import decide
from benchbench.types import Outcome, Status

FD = Column("FD[x]", "FD[x]", False, "FD[x]")
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
    settings = {"rank_by": "cas", "margin": 0.01, "level": 0.95, **extra}
    return build_board(
        benchmark="b",
        dataset="d",
        seeds=SEEDS,
        infos=infos,
        records=[record for found in rows.values() for record in found],
        distances=[FD],
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
    assert board(rows, infos).warnings == ("h does not come out best by FD[x]",)


def test_controls_out_of_place_are_a_warning() -> None:
    assert controls(holdout=5.0, noise=50).warnings == ("h does not come out best by FD[x]",)
    assert controls(holdout=0.5, noise=0.9).warnings == ("n does not come out worst by FD[x]",)


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
