"""Intervals, tests and ranks, against scipy, by hand and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchbench.statistics import (
    MOST_SEEDS,
    holm,
    paired_p_value,
    rounding_spread,
    seeds_needed,
    t_interval,
    tie_ranks,
)

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)
p_maps = st.dictionaries(st.text(max_size=3), st.floats(0, 1) | st.just(math.nan), max_size=8)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_interval_is_scipys(n, level):
    sample = np.random.default_rng(n).normal(3, 2, n)
    got = t_interval(sample, level)
    low, high = stats.t.interval(level, n - 1, loc=sample.mean(), scale=stats.sem(sample))
    assert (got.mean, got.low, got.high) == pytest.approx((sample.mean(), low, high), rel=1e-12)
    assert (got.n, got.level) == (n, level)
    assert got.half_width == pytest.approx((high - low) / 2)


def test_interval_of_one_value_has_no_ends():
    got = t_interval([0.7])
    assert got.mean == 0.7 and got.n == 1
    assert math.isnan(got.low) and math.isnan(got.high) and math.isnan(got.half_width)


def test_interval_of_identical_values_has_no_width():
    got = t_interval([0.1, 0.1, 0.1])  # whose mean is not 0.1 in floating point
    assert got.low == got.mean == got.high == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf, 0.0], [[1.0, 2.0]]])
def test_interval_refuses(bad):
    with pytest.raises(ValueError, match="interval: got"):
        t_interval(bad)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_interval_refuses_a_level(level):
    with pytest.raises(ValueError, match="level"):
        t_interval([1.0, 2.0], level)
    with pytest.raises(ValueError, match="level"):
        seeds_needed([1.0, 2.0], 0.1, level)


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [t_interval(rng.normal(1.0, 0.3, 5)) for _ in range(4000)]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert 0.94 <= covered <= 0.96  # standard error 0.0034


@pytest.mark.parametrize("n", [2, 3, 10])
def test_paired_test_is_scipys(n):
    rng = np.random.default_rng(n)
    a = rng.normal(0, 1, n)
    b = a + rng.normal(0.3, 0.5, n)
    assert paired_p_value(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-10)
    assert paired_p_value(a, b) == paired_p_value(b, a)


def test_paired_test_at_its_edges():
    assert math.isnan(paired_p_value([1.0], [2.0])) and math.isnan(paired_p_value([], []))
    assert paired_p_value([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert paired_p_value([1.0, 2.0], [1.5, 2.5]) == 0.0
    assert paired_p_value([0.1, 0.3, 0.7], [0.2, 0.4, 0.8]) == 0.0  # differences equal but for rounding
    assert paired_p_value([0.3, 0.3], [0.1 + 0.2, 0.1 + 0.2]) == 1.0
    with pytest.raises(ValueError, match="one pair a seed"):
        paired_p_value([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="NaN"):
        paired_p_value([1.0, math.nan], [1.0, 2.0])


@given(values, st.data())
def test_paired_p_value_is_a_probability(a, data):
    b = data.draw(st.lists(st.floats(-1e3, 1e3), min_size=len(a), max_size=len(a)))
    assert 0.0 <= paired_p_value(a, b) <= 1.0


def test_holm_by_hand():
    # m = 4: 4 x .005, 3 x .01, 2 x .03, then 1 x .04 raised to the .06 before it.
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )


def test_holm_leaves_out_what_could_not_be_tested():
    got = holm({"a": 0.02, "b": math.nan, "c": 0.5})
    assert got["a"] == 0.04 and got["c"] == 0.5 and math.isnan(got["b"])
    assert list(got) == ["a", "b", "c"]
    assert holm({}) == {}


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.inf])
def test_holm_refuses_what_is_no_probability(wrong):
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        holm({"a": wrong})


@given(p_maps)
def test_holm_is_bounded_above_raw_and_monotone(p_values):
    adjusted = holm(p_values)
    assert adjusted.keys() == p_values.keys()
    made = [key for key, p in p_values.items() if not math.isnan(p)]
    assert all(math.isnan(adjusted[key]) == (key not in made) for key in p_values)
    assert all(p_values[key] <= adjusted[key] <= 1.0 for key in made)
    order = sorted(made, key=lambda key: p_values[key])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))
    if made:  # between Bonferroni and nothing
        assert adjusted[order[0]] == pytest.approx(min(1.0, len(made) * p_values[order[0]]))
        assert all(adjusted[key] <= min(1.0, len(made) * p_values[key]) for key in made)


@given(p_maps, st.randoms(use_true_random=False))
def test_holm_does_not_see_the_order(p_values, random):
    keys = list(p_values)
    random.shuffle(keys)
    again, first = holm({key: p_values[key] for key in keys}), holm(p_values)
    assert all(again[key] == first[key] or math.isnan(first[key]) for key in keys)


def test_identical_rows_share_a_rank():
    row = [0.5, 0.6, 0.7]
    assert tie_ranks({"a": row, "b": row, "c": row}, True) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(("higher_is_better", "expected"), [(True, {"a": 1, "b": 2}), (False, {"a": 2, "b": 1})])
def test_a_big_difference_is_found(higher_is_better, expected):
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 1, 5)
    scores = {"a": seeds + 1 + rng.normal(0, 0.05, 5), "b": seeds + rng.normal(0, 0.05, 5)}
    assert tie_ranks(scores, higher_is_better) == expected


def test_three_levels_are_ranked_and_ties_leave_gaps():
    rng = np.random.default_rng(1)
    level = {"best": 2.0, "also best": 2.0, "middle": 1.0, "worst": 0.0}
    scores = {name: mean + rng.normal(0, 0.02, 6) for name, mean in level.items()}
    assert tie_ranks(scores, True) == {"best": 1, "also best": 1, "middle": 3, "worst": 4}


def test_a_missing_seed_is_left_out_of_its_pairs():
    nan = math.nan
    scores = {"a": [1.0, 1.1, 1.2, 9.0], "b": [0.5, 0.6, 0.71, nan], "c": [nan, nan, nan, 0.0]}
    assert tie_ranks(scores, True) == {"a": 1, "b": 2, "c": 1}


def test_one_seed_decides_nothing():
    assert tie_ranks({"a": [1.0], "b": [0.0]}, True) == {"a": 1, "b": 1}
    assert tie_ranks({"a": [1.0]}, True) == {"a": 1}
    assert tie_ranks({}, True) == {}


def test_rows_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="different lengths"):
        tie_ranks({"a": [1.0, 2.0], "b": [1.0]}, True)


@given(
    st.integers(2, 5).flatmap(
        lambda n: st.dictionaries(
            st.sampled_from("abcd"), st.lists(st.floats(-10, 10), min_size=n, max_size=n), min_size=1
        )
    ),
    st.randoms(use_true_random=False),
)
def test_ranks_do_not_see_the_order_and_the_best_mean_is_first(scores, random):
    ranks = tie_ranks(scores, True)
    best = max(scores, key=lambda name: math.fsum(scores[name]))
    assert ranks[best] == 1
    assert all(1 <= rank <= len(scores) for rank in ranks.values())
    names = list(scores)
    random.shuffle(names)
    assert tie_ranks({name: scores[name] for name in names}, True) == ranks
    mirrored = {name: [-value for value in row] for name, row in scores.items()}
    assert tie_ranks(mirrored, False) == ranks


def test_equal_rows_are_seldom_told_apart():
    rng = np.random.default_rng(0)
    trials = 1500
    false = 0
    for _ in range(trials):
        shared = rng.normal(0, 1, 5)  # seeds that are easy or hard for every row
        scores = {name: shared + rng.normal(0, 0.3, 5) for name in "abcd"}
        false += max(tie_ranks(scores, True).values()) > 1
    assert false / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)


def test_seeds_needed_are_enough_and_no_more():
    sample = [0.80, 0.83, 0.79]
    more = seeds_needed(sample, 0.01)
    assert more is not None

    def half_width(n):
        return stats.t.ppf(0.975, n - 1) * np.std(sample, ddof=1) / math.sqrt(n)

    assert half_width(3 + more) <= 0.01 < half_width(3 + more - 1)


def test_seeds_needed_at_its_edges():
    assert seeds_needed([0.5], 0.01) is None and seeds_needed([], 0.01) is None
    assert seeds_needed([0.5, 0.5], 0.01) == 0
    assert seeds_needed([0.0, 1.0], 10.0) == 0
    assert seeds_needed([0.0, 1.0], 1e-9) == MOST_SEEDS
    assert seeds_needed([0.0, 1.0], 1e-9, most=7) == 7
    for margin in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="margin"):
            seeds_needed([0.0, 1.0], margin)


@given(values, st.floats(0.01, 1.0))
def test_a_wider_margin_needs_no_more_seeds(sample, margin):
    first, second = seeds_needed(sample, margin, most=50), seeds_needed(sample, 2 * margin, most=50)
    assert first is not None and second is not None and second <= first


def test_identical_accuracies_of_few_images_are_not_certain() -> None:
    """Two rows that differ by one image of 300 in each of three seeds are not told apart."""
    a, b = [0.95, 0.96, 0.94], [0.95 - 1 / 300, 0.96 - 1 / 300, 0.94 - 1 / 300]
    least = rounding_spread(1 / 300)
    assert paired_p_value(a, b) == 0.0
    assert paired_p_value(a, b, least) > 0.05
    assert tie_ranks({"a": a, "b": b}, True) == {"a": 1, "b": 2}
    assert tie_ranks({"a": a, "b": b}, True, least_spread=least) == {"a": 1, "b": 1}
    assert t_interval([0.95] * 3, least_spread=least).half_width > 1 / 300 / 2
    # a spread that is larger anyway is left as it is
    wide = [0.5, 0.6, 0.7]
    assert t_interval(wide, least_spread=least) == t_interval(wide)


def test_rounding_spread_is_that_of_uniform_errors() -> None:
    errors = np.linspace(-0.5, 0.5, 100_001)
    assert rounding_spread(1.0) == pytest.approx(errors.std(), rel=1e-4)
