"""Intervals, tests and ranks, against scipy, by hand and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from benchbench.statistics import (
    MOST_SEEDS,
    equivalence_p_value,
    holm,
    paired_p_value,
    pairwise_differences,
    pareto_front,
    power,
    proportion_interval,
    rank_correlation,
    replicates_needed,
    rounding_spread,
    seeds_needed,
    seeds_to_decide,
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


# --- Equivalence --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("mean", [-0.8, 0.1, 0.4, 2.0])
def test_equivalence_is_two_of_scipys_one_sided_tests(n, mean):
    sample = np.random.default_rng(n).normal(mean, 0.3, n)
    above = stats.ttest_1samp(sample, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(sample, 0.5, alternative="less").pvalue
    assert equivalence_p_value(sample, 0.5) == pytest.approx(max(above, below), rel=1e-10)
    assert equivalence_p_value(-sample, 0.5) == equivalence_p_value(sample, 0.5)


@given(values, st.floats(1e-3, 1e3), st.sampled_from([0.01, 0.025, 0.05, 0.2]), st.sampled_from([0.0, 0.7]))
def test_equivalence_says_what_the_interval_of_twice_alpha_says(sample, margin, alpha, least):
    interval = t_interval(sample, 1 - 2 * alpha, least)
    reach = max(abs(interval.low), abs(interval.high))
    p = equivalence_p_value(sample, margin, least)
    assert 0.0 <= p <= 1.0
    if abs(reach - margin) > 1e-9 * max(reach, margin):
        assert (p <= alpha) == (reach <= margin)


def test_equivalence_at_its_edges():
    assert math.isnan(equivalence_p_value([0.0], 1.0)) and math.isnan(equivalence_p_value([], 1.0))
    assert equivalence_p_value([0.1, 0.1, 0.1], 0.2) == 0.0
    assert equivalence_p_value([0.3, 0.3], 0.2) == 1.0
    assert equivalence_p_value([0.2, 0.2], 0.2) == equivalence_p_value([0.1 + 0.2] * 2, 0.3) == 1.0  # not below it
    assert 0.0 < equivalence_p_value([0.1, 0.1, 0.1], 0.2, least_spread=0.05) < 0.5
    for margin in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="margin"):
            equivalence_p_value([0.0, 0.1], margin)
    with pytest.raises(ValueError, match="finite"):
        equivalence_p_value([0.0, math.nan], 1.0)


# --- Planning -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 10, 200])
@pytest.mark.parametrize("effect", [0.0, 0.3, -1.0, 4.0])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_power_is_the_mean_over_spreads_of_the_normals(n, effect, alpha):
    threshold = stats.t.ppf(1 - alpha / 2, n - 1)

    def found(u):  # at the u-quantile of the spread
        needed = threshold * math.sqrt(stats.chi2.ppf(u, n - 1) / (n - 1))
        return stats.norm.sf(needed - effect * math.sqrt(n)) + stats.norm.cdf(-needed - effect * math.sqrt(n))

    expected = integrate.quad(found, 0, 1, limit=200, epsabs=1e-9)[0]
    assert power(effect, 1.0, n, alpha) == pytest.approx(expected, abs=1e-7)
    assert power(7 * effect, 7.0, n, alpha) == pytest.approx(power(-effect, 1.0, n, alpha), rel=1e-9)


def test_power_is_how_often_the_test_finds_it():
    samples = np.random.default_rng(0).normal(0.8, 1.0, (20_000, 6))
    rate = (stats.ttest_1samp(samples, 0.0, axis=1).pvalue <= 0.05).mean()
    assert power(0.8, 1.0, 6) == pytest.approx(rate, abs=4 * math.sqrt(0.25 / 20_000))


def test_power_at_its_edges():
    assert power(0.0, 1.0, 5, 0.03) == pytest.approx(0.03)
    assert power(1.0, 1.0, 1) == power(1.0, 1.0, 0) == power(0.0, 0.0, 3) == 0.0
    assert power(1e-9, 0.0, 3) == power(1.0, 1e-300, 2) == power(1e12, 1.0, 2) == power(1e12, 1.0, 50, 1e-9) == 1.0
    for effect, spread in [(math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)]:
        with pytest.raises(ValueError, match="power"):
            power(effect, spread, 3)
    with pytest.raises(ValueError, match="level"):
        power(1.0, 1.0, 3, 0.0)


def test_power_of_a_far_effect_at_a_tiny_alpha():
    # Of two seeds the spread found is |Z|: P(|T| > t) is that of t |Z| below the shift.
    threshold = stats.t.ppf(1 - 5e-7, 1)
    for shift in (9_999.0, 10_001.0, 1e5):
        expected = 2 * stats.norm.cdf(shift / threshold) - 1
        assert power(shift / math.sqrt(2), 1.0, 2, 1e-6) == pytest.approx(expected, rel=1e-6)


@given(st.floats(0, 50), st.floats(0.01, 5), st.integers(2, 300), st.floats(1e-6, 0.5))
def test_power_is_a_probability_and_rises_with_effect_and_seeds(effect, spread, n, alpha):
    least = power(effect, spread, n, alpha)
    assert alpha - 1e-9 <= least <= 1.0
    assert least <= power(1.1 * effect, spread, n, alpha) + 1e-9
    assert least <= power(effect, spread, n + 1, alpha) + 1e-9


def test_replicates_needed_are_enough_and_no_more():
    sample = [0.80, 0.83, 0.79]
    more = replicates_needed(sample, 0.01)
    assert more is not None and 0 < more < MOST_SEEDS
    spread = float(np.std(sample, ddof=1))
    assert power(0.01, spread, 3 + more - 1) < 0.8 <= power(0.01, spread, 3 + more)
    assert replicates_needed(sample, -0.01) == replicates_needed([value + 5 for value in sample], 0.01) == more
    precise = seeds_needed(sample, 0.01)
    assert precise is not None and precise < more  # an interval of half-width 0.01 finds 0.01 every other time
    assert replicates_needed(sample, 0.01, power=0.5) == pytest.approx(precise, abs=2)


def test_replicates_needed_at_its_edges():
    assert replicates_needed([0.5], 0.01) is None and replicates_needed([], 0.01) is None
    assert replicates_needed([0.5, 0.5], 0.01) == 0
    assert replicates_needed([0.5, 0.5], 0.01, least_spread=0.02) > 0
    assert replicates_needed([0.0, 1.0], 1e-9) == MOST_SEEDS
    assert replicates_needed([0.0, 1.0], 1e-9, most=7) == 7
    for effect in (0.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="effect"):
            replicates_needed([0.0, 1.0], effect)
    for wrong in (0.0, 1.0, 80):
        with pytest.raises(ValueError, match="power"):
            replicates_needed([0.0, 1.0], 0.1, power=wrong)


def decided(mean, spread, n, margin, level, rows, trials=40_000):
    """How often n fresh values decide, by simulation of the interval itself."""
    samples = np.random.default_rng(1).normal(mean, spread, (trials, n))
    centre, error = samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(n)
    wide = stats.t.ppf(1 - (1 - level) / rows / 2, n - 1) * error
    plain = stats.t.ppf((1 + level) / 2, n - 1) * error
    return ((np.abs(centre) > wide) | (np.abs(centre) + plain <= margin)).mean()


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(
    ("mean", "margin", "level"),
    [(0.9, 0.2, 0.95), (-0.9, 0.2, 0.95), (0.0, 1.0, 0.95), (0.4, 0.9, 0.9), (0.6, 0.5, 0.99), (0.7, 0.7, 0.95)],
)
def test_seeds_to_decide_are_enough_and_no_more(mean, margin, level, rows):
    sample = mean + np.array([-1.0, 0.0, 1.0])  # of spread 1
    more = seeds_to_decide(sample, margin, level, rows=rows)
    assert more is not None and 1 < more < MOST_SEEDS
    slack = 4 * math.sqrt(0.8 * 0.2 / 40_000)
    assert decided(mean, 1.0, 3 + more, margin, level, rows) >= 0.8 - slack
    assert decided(mean, 1.0, 3 + more - 1, margin, level, rows) < 0.8 + slack


def test_seeds_to_decide_where_only_one_answer_can_be_given():
    sample = np.array([0.4, 1.4, -0.6])
    # A margin that no interval fits in: found, or not.
    assert seeds_to_decide(sample, 1e-6) == replicates_needed(sample, 0.4)
    assert seeds_to_decide(-sample, 1e-6, 0.9, 0.6) == replicates_needed(sample, 0.4, 0.9, 0.6)
    # A mean of zero in a wide margin: the closed form of Owen's Q, or a false find.
    more = seeds_to_decide(sample - 0.4, 1.5)
    assert more is not None

    def within(n):
        t = stats.t.ppf(0.975, n - 1)
        half = 1.5 / t * math.sqrt(n)

        def at(spread):
            inside = 2 * stats.norm.cdf((1.5 - t * spread / math.sqrt(n)) * math.sqrt(n)) - 1
            return inside * 2 * spread * (n - 1) * stats.chi2.pdf((n - 1) * spread**2, n - 1)

        return integrate.quad(at, 0, half)[0]

    assert within(3 + more) >= 0.8 - 0.05 and within(3 + more - 1) < 0.8


def test_a_mean_half_way_to_the_margin_takes_most_seeds():
    sample = np.array([-1.0, 0.0, 1.0])
    needed = [seeds_to_decide(sample + mean, 0.8) for mean in (0.0, 0.2, 0.4, 0.8, 1.2)]
    assert needed[2] == max(needed) > needed[0] > 0 and needed[2] > needed[4]
    precise = seeds_needed(sample, 0.4)  # whose interval always decides
    assert precise is not None and needed[2] <= 1.2 * precise
    assert seeds_to_decide(sample, 0.8, rows=5) >= needed[0]


def test_what_is_decided_needs_no_seeds():
    assert seeds_to_decide([1.0, 1.1, 1.2], 0.01) == 0  # above 0
    assert seeds_to_decide([-1.0, -1.1, -1.2], 0.01) == 0  # below
    assert seeds_to_decide([-0.1, 0.0, 0.1], 1.0) == 0  # within
    assert seeds_to_decide([0.0, 0.0], 0.01) == seeds_to_decide([0.5, 0.5], 0.01) == 0
    assert seeds_to_decide([0.5, 0.5], 0.01, least_spread=0.5) > 0
    assert seeds_to_decide([0.9, 1.1, 1.2], 0.01, rows=50) > 0 == seeds_to_decide([0.9, 1.1, 1.2], 0.01)


def test_seeds_to_decide_at_its_edges():
    assert seeds_to_decide([0.5], 0.01) is None and seeds_to_decide([], 0.01) is None
    assert seeds_to_decide([-1.0, 1.0], 1e-9) == MOST_SEEDS
    assert seeds_to_decide([-1.0, 1.0], 1e-9, most=7) == 7
    for margin, rows in [(0.0, 1), (math.nan, 1), (0.1, 0)]:
        with pytest.raises(ValueError, match="margin"):
            seeds_to_decide([0.0, 1.0], margin, rows=rows)
    with pytest.raises(ValueError, match="power"):
        seeds_to_decide([0.0, 1.0], 0.1, power=1.0)
    with pytest.raises(ValueError, match="level"):
        seeds_to_decide([0.0, 1.0], 0.1, 1.0)


@given(values, st.floats(1e-3, 1e3), st.integers(1, 9))
def test_seeds_to_decide_are_zero_just_where_the_interval_decides(sample, margin, rows):
    wide, plain = t_interval(sample, 1 - 0.05 / rows), t_interval(sample, 0.95)
    reach = max(abs(plain.low), abs(plain.high))
    edge = min(abs(wide.low), abs(wide.high), abs(reach - margin))
    more = seeds_to_decide(sample, margin, most=20, rows=rows)
    assert more is not None and 0 <= more <= 20
    if edge > 1e-9 * max(reach, margin):
        assert (more == 0) == (wide.low > 0 or wide.high < 0 or reach <= margin)


# --- Rank correlation ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(-10, 10)), min_size=2, max_size=15))
def test_rank_correlation_is_scipys(pairs):
    x, y = zip(*pairs, strict=True)
    got = rank_correlation(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(got.mean) and math.isnan(got.low) and math.isnan(got.high)
        return
    assert got.mean == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert (got.n, got.level) == (len(pairs), 0.95)
    assert math.isnan(got.low) == math.isnan(got.high) == (len(pairs) < 4)
    if len(pairs) >= 4:
        assert -1.0 <= got.low <= got.mean <= got.high <= 1.0
        assert got.low < got.high


def test_rank_correlation_interval_by_hand():
    x, y = [1, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 7, 5, 6]  # squared rank differences 1 1 1 1 4 1 1
    rho = 1 - 6 * 10 / (7 * 48)
    z, half = math.atanh(rho), 1.6448536269514722 * math.sqrt((1 + rho**2 / 2) / 4)
    got = rank_correlation(x, y, 0.9)
    assert (got.mean, got.low, got.high) == pytest.approx((rho, math.tanh(z - half), math.tanh(z + half)))
    mirrored = rank_correlation(x, [-value for value in y], 0.9)
    assert (mirrored.mean, mirrored.low, mirrored.high) == pytest.approx((-got.mean, -got.high, -got.low))
    assert rank_correlation(np.exp(x), y, 0.9) == got  # only order counts


def test_a_perfect_rank_correlation_is_not_certain():
    for n in (4, 5, 20):
        got = rank_correlation(range(n), range(n))
        assert got.mean == got.high == 1.0 and -1.0 < got.low < 1.0
        assert got.low < 0.0 if n == 4 else got.low > 0.0  # one order in 24 is perfect by chance
    assert rank_correlation(range(3), range(3)).mean == 1.0


def test_rank_correlation_refuses():
    with pytest.raises(ValueError, match="pairs"):
        rank_correlation([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="finite"):
        rank_correlation([1, 2, math.nan], [1, 2, 3])
    with pytest.raises(ValueError, match="level"):
        rank_correlation([1, 2, 3], [1, 2, 3], 1.0)


@pytest.mark.parametrize(("n", "least", "most"), [(4, 0.98, 1.0), (5, 0.95, 1.0), (8, 0.93, 0.99), (20, 0.93, 0.98)])
@pytest.mark.parametrize("pearson", [0.0, 0.5, 0.8])
def test_rank_correlation_intervals_cover_about_as_often_as_they_say(n, least, most, pearson):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(800, n))
    y = pearson * x + math.sqrt(1 - pearson**2) * rng.normal(size=(800, n))
    truth = 6 / math.pi * math.asin(pearson / 2)  # Spearman's of the bivariate normal
    intervals = [rank_correlation(a, b) for a, b in zip(x, y, strict=True)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    slack = 3 * math.sqrt(0.05 * 0.95 / 800)
    assert least - slack <= covered <= most + slack


# --- Proportions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 10, 300])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_proportion_interval_is_scipys(n, level):
    for successes in {0, 1, n // 3, n - 1, n}:
        got = proportion_interval(successes, n, level)
        expected = stats.binomtest(successes, n).proportion_ci(level, method="exact")
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-10)
        assert (got.mean, got.n, got.level) == (successes / n, n, level)


def test_proportion_intervals_cover_at_least_as_often_as_they_say():
    for n in (5, 30):
        ends = [proportion_interval(k, n) for k in range(n + 1)]
        for p in np.linspace(0.0, 1.0, 101):
            chance = stats.binom.pmf(np.arange(n + 1), n, p)
            assert sum(c for c, end in zip(chance, ends, strict=True) if end.low <= p <= end.high) >= 0.95


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_proportion_interval_refuses(successes, n):
    with pytest.raises(ValueError, match="proportion: got"):
        proportion_interval(successes, n)


# --- Pareto front -------------------------------------------------------------------------------------------


def test_pareto_front_by_hand():
    benefit = {"fast": 1.0, "good": 3.0, "beaten": 0.9, "dear": 3.0, "between": 2.0}
    cost = {"fast": 1.0, "good": 9.0, "beaten": 1.0, "dear": 9.1, "between": 4.0}
    assert pareto_front(benefit, cost) == {"fast", "good", "between"}
    assert pareto_front({}, {}) == set()


def test_pareto_front_keeps_ties_and_leaves_out_what_was_not_measured():
    nan = math.nan
    benefit = {"a": 1.0, "a again": 1.0, "no cost": 9.0, "nan cost": 9.0, "nan": nan}
    assert pareto_front(benefit, {"a": 1.0, "a again": 1.0, "nan cost": nan, "nan": 0.0, "other": 0.0}) == {
        "a",
        "a again",
    }


@given(st.dictionaries(st.text(max_size=2), st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_pareto_front_is_the_upper_staircase(points):
    benefit = {name: float(gain) for name, (gain, _) in points.items()}
    cost = {name: float(price) for name, (_, price) in points.items()}
    front = pareto_front(benefit, cost)
    # From the cheapest up, the best of each cost stands in the front if it beats all cheaper ones.
    expected, best = set(), -1
    for price in sorted({price for _, price in points.values()}):
        top = max(gain for gain, at in points.values() if at == price)
        if top > best:
            expected |= {name for name, point in points.items() if point == (top, price)}
            best = top
    assert front == expected


def test_pairwise_differences_are_scipys_paired_tests_with_holms_correction():
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(mean, 1, 6) for name, mean in (("a", 0.0), ("b", 0.5), ("c", 3.0))}
    scores["a"][2] = np.nan
    found = pairwise_differences(scores)
    raw = {}
    for first, second in itertools.combinations(scores, 2):
        both = np.isfinite(scores[first]) & np.isfinite(scores[second])
        test = stats.ttest_rel(scores[first][both], scores[second][both])
        raw[first, second] = test.pvalue
        low, high = test.confidence_interval(0.95)
        interval = found[first, second].interval
        assert (interval.low, interval.high, interval.n) == pytest.approx((low, high, both.sum()))
    for pair, adjusted in holm(raw).items():
        assert found[pair].p_value == pytest.approx(adjusted)


def test_pairs_without_a_common_seed_are_left_out():
    assert pairwise_differences({"a": [1.0, np.nan], "b": [np.nan, 1.0]}) == {}
    (only,) = pairwise_differences({"a": [1.0, np.nan], "b": [2.0, 1.0]}).values()
    assert math.isnan(only.p_value) and only.interval.mean == -1.0
