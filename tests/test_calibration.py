"""Calibration of intervals, ranks and verdicts, by simulation of the design itself.

A seed draws a subset of the data, easier or harder for all arms. On it every arm is trained with several
initialisations of the classifier, and each is scored on the same number of test images. Lifts are means over
initialisations, paired by seed, as :mod:`benchbench.leaderboard.board` forms them.

Each tolerance is three standard errors of a share of so many repetitions, beyond what is promised.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchbench.leaderboard.verdict import decide
from benchbench.statistics import power, rounding_spread, t_interval, tie_ranks

IMAGES = 1000  # in the test set
ACCURACY = 0.9  # of the real arm
INITIALISATIONS = 2  # of the classifier, a cell
SUBSET, TRAINING, START = 0.01, 0.002, 0.003  # spreads: of a seed's data, of an arm's training, of an initialisation
LEAST = rounding_spread(1 / IMAGES) * math.sqrt(2)  # as the board has it for a lift

# By the binomial error of two arms and twice the spread of training: about one point.
SPREAD = math.sqrt(
    2 * (ACCURACY * (1 - ACCURACY) / IMAGES / INITIALISATIONS + TRAINING**2 + START**2 / INITIALISATIONS)
)


def slack(share: float, repetitions: int) -> float:
    return 3 * math.sqrt(share * (1 - share) / repetitions)


def measured(rng, true_accuracies, images=IMAGES):
    """Mean accuracies over initialisations of arms whose training went so well, ``(..., seeds)``."""
    each = true_accuracies[..., None] + rng.normal(0, START, (*true_accuracies.shape, INITIALISATIONS))
    return (rng.binomial(images, np.clip(each, 0, 1)) / images).mean(axis=-1)


def simulated_lifts(seed, repetitions, seeds, true_lifts):
    """``(repetitions, rows, seeds)``: each row's lift over the real arm of the same seed."""
    rng = np.random.default_rng(seed)
    gains = np.array([0.0, *true_lifts])[None, :, None]
    ease = rng.normal(ACCURACY, SUBSET, (repetitions, 1, seeds))
    arms = measured(rng, ease + gains + rng.normal(0, TRAINING, (repetitions, gains.size, seeds)))
    return arms[:, 1:] - arms[:, :1]


def verdict(lifts, margin=0.01):
    """The kind of verdict on rows ``(rows, seeds)``, and the row it speaks of."""
    rows = {f"row {i}": row for i, row in enumerate(lifts)}
    got = decide(rows, dict.fromkeys(rows, 1.0), margin, 0.95, LEAST)
    return got.kind, got.row


def share(lifts, kind, margin=0.01):
    """How often a verdict is of a kind."""
    return np.mean([verdict(rows, margin)[0] == kind for rows in lifts])


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("lift", [0.0, 0.03])
def test_intervals_of_a_lift_cover_it(seeds, lift):
    lifts = simulated_lifts(seeds, 3000, seeds, [lift])[:, 0]
    intervals = [t_interval(row, 0.95, LEAST) for row in lifts]
    covered = np.mean([interval.low <= lift <= interval.high for interval in intervals])
    assert 0.93 <= covered <= 0.97  # standard error 0.004


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_of_an_accuracy_cover_it(seeds):
    rng = np.random.default_rng(seeds)
    true = rng.normal(ACCURACY, math.hypot(SUBSET, TRAINING), (3000, seeds))
    intervals = [t_interval(row, 0.95, rounding_spread(1 / IMAGES)) for row in measured(rng, true)]
    covered = np.mean([interval.low <= ACCURACY <= interval.high for interval in intervals])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("images", [30, 100])
def test_few_test_images_make_intervals_no_less_sure(images):
    """Three accuracies of 30 images are often the same number; the least spread keeps such intervals honest."""
    rng = np.random.default_rng(images)
    accuracies = rng.binomial(images, ACCURACY, (3000, 3)) / images
    intervals = [t_interval(row, 0.95, rounding_spread(1 / images)) for row in accuracies]
    covered = np.mean([interval.low <= ACCURACY <= interval.high for interval in intervals])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("seeds", "rows"), [(3, 2), (3, 5), (5, 5), (10, 5)])
def test_identical_generators_are_seldom_told_apart(seeds, rows):
    repetitions = 1000
    lifts = simulated_lifts(10 * seeds + rows, repetitions, seeds, [0.01] * rows)
    ranks = [tie_ranks({str(i): row for i, row in enumerate(found)}, True, 0.05, LEAST) for found in lifts]
    assert np.mean([max(found.values()) > 1 for found in ranks]) <= 0.05 + slack(0.05, repetitions)


def test_unlike_generators_are_told_apart():
    lifts = simulated_lifts(0, 300, 5, [0.0, 0.0, 0.05])
    ranks = [tie_ranks({str(i): row for i, row in enumerate(found)}, True, 0.05, LEAST) for found in lifts]
    alone = np.mean([found["2"] == 1 and found["0"] == found["1"] == 2 for found in ranks])
    assert alone >= 0.8 - slack(0.8, 300)


@pytest.mark.parametrize(("seeds", "rows"), [(3, 1), (5, 1), (10, 1), (5, 3)])
def test_a_useless_generator_is_seldom_recommended(seeds, rows):
    repetitions = 500
    lifts = simulated_lifts(seeds + rows, repetitions, seeds, [0.0] * rows)
    assert share(lifts, "augment") <= 0.05 + slack(0.05, repetitions)


def test_the_best_of_three_ratios_by_val_is_seldom_recommended_where_all_are_useless():
    """The ratio is chosen on ``val``, on which the same trained classifiers are scored; test images are fresh."""
    rng = np.random.default_rng(0)
    repetitions, seeds, ratios = 500, 5, 3
    ease = rng.normal(ACCURACY, SUBSET, (repetitions, 1, seeds))
    arms = ease + rng.normal(0, TRAINING, (repetitions, 1 + ratios, seeds))
    val, test = measured(rng, arms, images=300), measured(rng, arms)
    chosen = val[:, 1:].mean(axis=-1).argmax(axis=-1)
    lifts = test[np.arange(repetitions), 1 + chosen] - test[:, 0]
    assert share(lifts[:, None], "augment") <= 0.05 + slack(0.05, repetitions)


def test_a_known_lift_is_found():
    assert abs(SPREAD - 0.01) <= 0.001
    alone = simulated_lifts(0, 300, 5, [0.03])
    assert share(alone, "augment") >= 0.8
    assert share(alone, "augment") == pytest.approx(power(0.03, SPREAD, 5), abs=slack(0.8, 300))
    among = [verdict(rows) for rows in simulated_lifts(1, 300, 5, [0.0, 0.03, 0.0])]
    assert np.mean([got == ("augment", "row 1") for got in among]) >= 0.8


def test_a_known_harm_is_found():
    assert share(simulated_lifts(0, 300, 5, [-0.03]), "harmful") >= 0.8


@pytest.mark.parametrize("rows", [1, 3])
def test_no_effect_is_said_where_there_is_none_and_seeds_are_many(rows):
    assert share(simulated_lifts(rows, 200, 10, [0.0] * rows), "no_effect", margin=0.02) >= 0.8


@pytest.mark.parametrize("seeds", [3, 10, 20])
@pytest.mark.parametrize("true_lifts", [[0.02], [-0.02], [0.02, 0.0, 0.0]])
def test_no_effect_is_seldom_said_of_what_lies_beyond_the_margin(seeds, true_lifts):
    repetitions = 300
    lifts = simulated_lifts(seeds, repetitions, seeds, true_lifts)
    assert share(lifts, "no_effect", margin=0.02) <= 0.05 + slack(0.05, repetitions)


def test_no_effect_is_seldom_said_of_many_that_do_harm_beyond_the_margin():
    """The mildest of several harmful generators looks harmless by chance, unless its interval is widened."""
    lifts = simulated_lifts(1, 600, 20, [-0.02] * 6)
    assert share(lifts, "no_effect", margin=0.02) <= 0.05 + slack(0.05, 600)


def test_many_ratios_to_choose_from_do_not_recommend_what_is_useless():
    """Chosen on a large ``val`` with the classifiers that are then tested, a ratio carries its luck along."""
    rng, ratios, repetitions = np.random.default_rng(5), 8, 1500
    luck = rng.normal(0, 0.01, (repetitions, ratios, 5))  # of a training, seen by val and by test alike
    noise = math.sqrt(ACCURACY * (1 - ACCURACY))
    val = luck + rng.normal(0, noise / math.sqrt(5000), luck.shape)
    test = luck + rng.normal(0, noise / math.sqrt(IMAGES), luck.shape)
    chosen = val.mean(axis=2).argmax(axis=1)
    base = rng.normal(0, math.hypot(0.01, noise / math.sqrt(IMAGES)), (repetitions, 5))
    lifts = test[np.arange(repetitions), chosen] - base
    kinds = [decide({"g": row}, {"g": 1.0}, 0.01, 0.95, LEAST, tries=ratios).kind for row in lifts]
    assert np.mean([kind == "augment" for kind in kinds]) <= 0.05 + slack(0.05, repetitions)
    careless = [decide({"g": row}, {"g": 1.0}, 0.01, 0.95, LEAST).kind for row in lifts]
    assert np.mean([kind == "augment" for kind in careless]) > 0.05


def test_harm_is_seldom_said_where_one_generator_does_none():
    lifts = simulated_lifts(3, 1500, 5, [-0.05, -0.05, 0.0])
    assert share(lifts, "harmful") <= 0.05 + slack(0.05, 1500)
