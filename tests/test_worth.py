"""Worth in real images: exact inversion, noise, censoring, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from benchbench.errors import DataError
from benchbench.leaderboard.worth import LearningCurve, worth

points = st.dictionaries(st.integers(1, 5000), st.floats(0, 1), min_size=1, max_size=8)


def logarithmic(slope: float = 0.1, start: float = 0.3) -> LearningCurve:
    """``start + slope ln(k)`` from 10 to 1000 images."""
    counts = [10, 50, 100, 400, 1000]
    return LearningCurve.measured(counts, [start + slope * math.log(k) for k in counts])


@pytest.mark.parametrize("images", [10, 11.5, 50, 77, 333.3, 1000])
def test_a_curve_linear_in_the_logarithm_is_inverted_exactly(images):
    curve = logarithmic()
    assert curve.accuracy(images) == pytest.approx(0.3 + 0.1 * math.log(images))
    got = curve.images(curve.accuracy(images))
    assert got.images == pytest.approx(images) and got.side == "within"


@given(points, st.floats(0, 1))
def test_it_is_the_smallest_number_that_reaches_the_accuracy(measured, accuracy):
    curve = LearningCurve.measured(list(measured), list(measured.values()))
    got = curve.images(accuracy)
    assert curve.counts[0] <= got.images * (1 + 1e-12) and got.images <= curve.counts[-1] * (1 + 1e-12)
    if got.side == "above":
        assert accuracy > curve.accuracies[-1] and got.images == curve.counts[-1]
    elif got.side == "below":
        assert accuracy < curve.accuracies[0] and got.images == curve.counts[0]
    else:
        assert curve.accuracy(got.images) == pytest.approx(accuracy, abs=1e-9)
        fewer = got.images * 0.999
        assert fewer < curve.counts[0] or curve.accuracy(fewer) < accuracy + 1e-12


@given(points, st.floats(0, 1), st.floats(0, 1))
def test_a_better_accuracy_is_worth_no_less(measured, first, second):
    curve = LearningCurve.measured(list(measured), list(measured.values()))
    low, high = sorted((first, second))
    assert curve.images(low).images <= curve.images(high).images * (1 + 1e-12)


@given(points)
def test_a_falling_curve_is_pooled_as_scikit_learn_pools_it(measured):
    counts, accuracies = np.array(list(measured)), np.array(list(measured.values()))
    curve = LearningCurve.measured(counts, accuracies)
    assert (np.diff(curve.accuracies) >= 0).all() and (np.diff(curve.counts) > 0).all()
    expected = IsotonicRegression().fit_transform(counts, accuracies)[np.argsort(counts)]
    np.testing.assert_allclose(curve.accuracies, expected, atol=1e-6)


def test_a_fall_by_noise_is_pooled_by_hand():
    curve = LearningCurve.measured([400, 10, 100, 200], [0.9, 0.5, 0.8, 0.7])
    assert curve.accuracies.tolist() == pytest.approx([0.5, 0.75, 0.75, 0.9])
    assert curve.images(0.75).images == pytest.approx(100)  # the smallest of the level stretch
    assert curve.images(0.76).images > 200


def test_a_repeated_count_weighs_as_often_as_it_was_measured():
    curve = LearningCurve.measured([10, 20, 20, 20, 40], [0.5, 0.9, 0.8, 0.7, 0.6])
    assert curve.counts.tolist() == [10, 20, 40]
    assert curve.accuracies.tolist() == pytest.approx([0.5, 0.75, 0.75])  # (3 x 0.8 + 0.6) / 4


@pytest.mark.parametrize(
    ("counts", "accuracies", "said"),
    [
        ([], [], "one accuracy a count"),
        ([1, 2], [0.5], "one accuracy a count"),
        ([0, 2], [0.5, 0.6], "above 0"),
        ([1, 2], [0.5, math.nan], "finite"),
    ],
)
def test_what_is_no_curve_is_refused(counts, accuracies, said):
    with pytest.raises(DataError, match=said):
        LearningCurve.measured(counts, accuracies)


def test_worth_is_the_geometric_mean_over_seeds():
    curve = logarithmic()
    accuracies = {seed: curve.accuracy(k) for seed, k in enumerate((50.0, 100.0, 200.0))}
    got = worth(dict.fromkeys(range(3), curve), accuracies)
    assert got.value == pytest.approx(100) and got.n == 3 and not got.below and not got.above
    half = 4.302652729911275 * math.log(2) / math.sqrt(3)
    assert (got.low, got.high) == pytest.approx((100 * math.exp(-half), 100 * math.exp(half)))
    narrow = worth(dict.fromkeys(range(3), curve), accuracies, 0.5)
    assert got.low < narrow.low < 100 < narrow.high < got.high and narrow.level == 0.5


def test_easy_and_hard_seeds_cancel():
    curves = {seed: logarithmic(start=start) for seed, start in enumerate((0.2, 0.25, 0.3))}
    got = worth(curves, {seed: curve.accuracy(70) for seed, curve in curves.items()})
    assert (got.low, got.value, got.high) == pytest.approx((70, 70, 70))


def test_seeds_without_a_pair_are_left_out():
    curve = logarithmic()
    got = worth({0: curve, 1: curve, 2: curve}, {0: curve.accuracy(30), 1: math.nan, 7: 0.5})
    assert got.n == 1 and got.value == pytest.approx(30) and math.isnan(got.low) and math.isnan(got.high)
    with pytest.raises(DataError, match="a seed with both"):
        worth({0: curve}, {1: 0.5})


def test_censored_seeds_open_the_interval_on_their_side():
    curve = logarithmic()
    inside = {0: curve.accuracy(100), 1: curve.accuracy(200)}
    curves = dict.fromkeys(range(3), curve)
    above = worth(curves, inside | {2: 1.2})
    assert above.above and not above.below and above.high == math.inf and 0 < above.low < above.value
    assert above.value == pytest.approx((100 * 200 * 1000) ** (1 / 3))  # at least
    below = worth(curves, inside | {2: 0.0})
    assert below.below and not below.above and below.low == 0.0 and below.value < below.high
    assert below.value == pytest.approx((100 * 200 * 10) ** (1 / 3))  # at most
    all_above = worth(curves, dict.fromkeys(range(3), 2.0))
    assert (all_above.low, all_above.value, all_above.high) == (pytest.approx(1000), pytest.approx(1000), math.inf)
    assert not worth(curves, dict.fromkeys(range(3), curve.accuracy(1000))).above


def test_unlike_seeds_do_not_overflow():
    curve = LearningCurve.measured([1, 10**9], [0.1, 0.9])
    got = worth({0: curve, 1: curve}, {0: 0.1, 1: 0.9}, 0.999)
    assert got.low < 1e-200 and got.high == math.inf and got.value == pytest.approx(10**4.5)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("images", [130.0, 400.0])
def test_intervals_cover_the_worth_on_a_power_law(seeds, images):
    """Points a factor sqrt(2) apart, where the chord is as good as the curve; seed effects shared, noise not."""
    rng = np.random.default_rng(seeds)
    counts = 50 * 2 ** (np.arange(11) / 2)
    trials, covered = 1000, 0
    for _ in range(trials):
        curves, accuracies = {}, {}
        for seed in range(seeds):
            ease, slope = rng.normal(0, 0.02), rng.normal(2.0, 0.1)
            curves[seed] = LearningCurve.measured(counts, 1 + ease - slope / np.sqrt(counts) + rng.normal(0, 2e-3, 11))
            accuracies[seed] = 1 + ease - slope / math.sqrt(images) + rng.normal(0, 4e-3)
        got = worth(curves, accuracies)
        assert not got.below and not got.above
        covered += got.low <= images <= got.high
    assert abs(covered / trials - 0.95) <= 0.02 + 3 * math.sqrt(0.05 * 0.95 / trials)  # the 93 to 97 %


def test_an_end_beyond_all_that_was_measured_is_open():
    """Two unlike seeds within the curve: a t interval that reaches far out of it says nothing there."""
    curve = logarithmic()
    wide = worth(dict.fromkeys(range(2), curve), {0: curve.accuracy(100), 1: curve.accuracy(400)})
    assert (wide.below, wide.above) == (False, False)
    assert (wide.low, wide.high) == (0.0, math.inf)
    assert wide.value == pytest.approx(200)
