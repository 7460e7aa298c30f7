"""Metrics of nearest neighbours, against brute force, the papers' own packages and scipy."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, norm
from sklearn.cluster import KMeans

from benchbench.errors import DataError
from benchbench.metrics import _distances, _neighbours
from benchbench.metrics._distances import Frame, squared_bounds, squared_lengths
from benchbench.metrics._neighbours import distinct, nearest, squared_radii
from benchbench.metrics.authenticity import Authenticity, authentic_share
from benchbench.metrics.data_copying import DataCopying, cell_mean_z, data_copying, mann_whitney_z
from benchbench.metrics.memorization import Memorization, low_quantile, memorized_share, neighbour_ratios
from benchbench.metrics.prdc import PrecisionRecall, prdc
from benchbench.types import FeatureSets


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(n, d, seed=0):
    """Features as they come: float32 values, in float64."""
    return rng(seed).normal(size=(n, d)).astype(np.float32).astype(np.float64)


def computed(metric, real, synthetic, train=None):
    """A metric on float32 features."""
    sets = [None if x is None else x.astype(np.float32) for x in (real, synthetic, train)]
    labels = np.zeros(len(real), dtype=np.int64), np.zeros(len(synthetic), dtype=np.int64)
    return metric.compute(FeatureSets(sets[0], sets[1], *labels, classes=1, train=sets[2]), rng(5))


@pytest.fixture(params=[None, 2000])
def blocks(request, monkeypatch):
    """As shipped, and with memory for a few rows at a time only."""
    if request.param is not None:
        monkeypatch.setattr(_distances, "BLOCK_BYTES", request.param)
        monkeypatch.setattr(_distances, "CACHED_BYTES", request.param)
    return request.param


# --- neighbours ---------------------------------------------------------------------------------------------


BLOCKS = st.sampled_from([2**25, 2000, 500])
NEWS = st.sampled_from([_neighbours.NEWS, 1.0])  # with 1, small blocks, too, are searched for what is new in them


@st.composite
def feature_pairs(draw):
    """Two sets of one width: far from the origin or not, tight clusters or not, with copies, with an outlier or not."""
    random = rng(draw(st.integers(0, 10_000)))
    n, m, d = draw(st.integers(7, 40)), draw(st.integers(7, 40)), draw(st.integers(1, 40))
    spread, offset = 10.0 ** draw(st.integers(-12, 12)), 10.0 ** draw(st.integers(-6, 6))
    centres = random.normal(size=(draw(st.integers(1, 4)), d))
    sets = []
    for size in (n, m):
        tight = 10.0 ** draw(st.integers(-9, 0)) * random.normal(size=(size, d))
        sets.append(spread * (offset + centres[random.integers(len(centres), size=size)] + tight))
    sets[1][: draw(st.integers(0, 6))] = sets[0][draw(st.integers(0, n - 1))]
    if draw(st.booleans()):
        sets[draw(st.integers(0, 1))][0] *= 10.0 ** draw(st.integers(1, 5))
    return tuple(each.astype(draw(st.sampled_from([np.float32, np.float64]))) for each in sets)


def exact(x, y):
    """Squared distances in extended precision."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    return ((x[:, None] - y[None]) ** 2).sum(axis=2)


@settings(deadline=None)
@given(feature_pairs(), st.sampled_from([np.float32, np.float64]))
def test_bounds_are_bounds(pair, dtype):
    frame = Frame(*pair)
    x, y = (frame.place(each, dtype) for each in pair)
    bounds = np.concatenate([block.astype(np.longdouble) for _, block in squared_bounds(x, y)])
    truth, widths = exact(*pair) / np.longdouble(frame.unit) ** 2, x.width(x.norms[:, None], y.norms)
    assert (bounds <= truth).all() and (truth <= bounds + widths).all()


@pytest.mark.parametrize(("n", "m", "d"), [(50, 70, 5), (3, 1, 1), (1, 40, 300)])
def test_bounds_are_near_scipys_distances(blocks, n, m, d):
    x, y = normal(n, d), normal(m, d, 1)
    frame = Frame(y, x)
    for dtype, near in ((np.float32, 1e-3), (np.float64, 1e-9)):
        found = squared_bounds(frame.place(x, dtype), frame.place(y, dtype))
        parts = [(rows, block.copy()) for rows, block in found]  # the next one takes its place
        assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(n))
        bounds = np.concatenate([block for _, block in parts]) * frame.unit**2
        np.testing.assert_allclose(bounds, cdist(x, y, "sqeuclidean"), rtol=near, atol=near)


def test_no_block_is_larger_than_its_budget(monkeypatch):
    monkeypatch.setattr(_distances, "BLOCK_BYTES", 4 * 100 * 7)
    x, y = normal(20, 3), normal(100, 3)
    placed = [Frame(y, x).place(each, np.float32) for each in (x, y)]
    assert [len(block) for _, block in squared_bounds(*placed)] == [7, 7, 6]
    assert [block.shape for _, block in squared_bounds(placed[0], placed[0], upper=True)] == [(20, 20)]
    monkeypatch.setattr(_distances, "BLOCK_BYTES", 4 * 20 * 7)
    assert [block.shape for _, block in squared_bounds(placed[0], placed[0], upper=True)] == [(7, 20), (7, 13), (6, 6)]


def test_slack_is_enough_where_all_roundings_add_up():
    """Of positive numbers, sums only grow, and each is rounded alike."""
    x, y = (np.repeat(rng(seed).uniform(0.1, 1, size=(3, 1)), 5000, axis=1) for seed in (0, 1))
    frame = Frame(np.zeros((1, 5000)), x, y)
    placed = [frame.place(each, np.float32) for each in (x, y)]
    bounds = np.concatenate([block.astype(np.longdouble) for _, block in squared_bounds(*placed)])
    truth = exact(x, y) / np.longdouble(frame.unit) ** 2
    widths = placed[0].width(placed[0].norms[:, None], placed[1].norms)
    assert (bounds <= truth).all() and (truth <= bounds + widths).all()


@pytest.mark.parametrize("d", [5, 1280, 8192, 8193, 12288, 20000])
def test_a_length_is_the_same_whatever_is_measured_with_it(d):
    x, y = normal(9, d), normal(9, d, 1)
    rows, columns = np.divmod(np.arange(81), 9)
    together = squared_lengths(x, y, rows, columns)
    assert together.tolist() == [squared_lengths(x, y, rows[i : i + 1], columns[i : i + 1])[0] for i in range(81)]
    assert together.tolist() == squared_lengths(np.asfortranarray(y), x, columns, rows).tolist()
    np.testing.assert_allclose(together, cdist(x, y, "sqeuclidean").ravel(), rtol=1e-12)


def test_features_that_are_not_finite_are_refused():
    broken = normal(20, 3)
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match="NaN or infinite features"):
        nearest(normal(5, 3), broken, 1)


@settings(deadline=None)
@given(feature_pairs(), st.integers(1, 6))
def test_measuring_throughout_is_brute_force(pair, k):
    indices, squares, sure = _neighbours._measured_throughout(*pair, k)
    truth = exact(*pair)
    assert sure.all()
    np.testing.assert_allclose(squares, np.sort(truth, axis=1)[:, :k].astype(float), rtol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(truth, indices, axis=1).astype(float), squares, rtol=1e-9)


@settings(deadline=None)
@given(feature_pairs(), st.integers(1, 6), BLOCKS, NEWS)
def test_the_nearest_of_wild_sets_are_brute_forces(pair, k, block_bytes, news):
    with mock.patch.object(_distances, "BLOCK_BYTES", block_bytes), mock.patch.object(_neighbours, "NEWS", news):
        indices, distances = nearest(*pair, k)
    truth = exact(*pair)
    expected = np.sort(truth, axis=1)[:, :k]
    np.testing.assert_allclose(distances, np.sqrt(expected).astype(float), rtol=1e-8, atol=0)
    np.testing.assert_allclose(np.take_along_axis(truth, indices, axis=1).astype(float) ** 0.5, distances, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_nearest_is_brute_force(blocks, k):
    x, y = normal(60, 8), normal(900, 8, 1)
    indices, distances = nearest(x, y, k)
    brute = cdist(x, y)
    np.testing.assert_allclose(distances, np.sort(brute, axis=1)[:, :k], rtol=1e-12)
    assert np.array_equal(indices, np.argsort(brute, axis=1)[:, :k])
    assert nearest(x, y[:k], k)[1].shape == (60, k)


def test_a_copy_is_at_distance_zero_in_spite_of_rounding(blocks):
    # Two heaps, each so tight that in float32 |x|^2 + |y|^2 - 2 x.y has no digits left.
    train = 1e-5 * rng(0).normal(size=(200, 64)) + rng(2).integers(2, size=(200, 1))
    copied = rng(1).integers(200, size=50)
    frame = Frame(train)
    placed = frame.place(train, np.float32)
    nearest_in_float32 = np.concatenate([block.argmin(axis=1) for _, block in squared_bounds(placed, placed)])
    assert (nearest_in_float32 != np.arange(200)).any()
    indices, distances = nearest(train[copied], train, 1)
    assert (distances == 0).all() and np.array_equal(indices[:, 0], copied)


def test_near_ties_are_told_apart_by_their_exact_distance():
    # Groups of four, so tight that their fast distances are all rounding.
    groups = 1e4 * rng(0).normal(size=(40, 1, 16))
    y = (groups + 1e-6 * rng(1).normal(size=(40, 4, 16))).reshape(160, 16)
    x = (groups + 1e-6 * rng(2).normal(size=(40, 1, 16))).reshape(40, 16)
    indices, distances = nearest(x, y, 1)
    brute = cdist(x, y)
    assert np.array_equal(indices[:, 0], brute.argmin(axis=1))
    np.testing.assert_allclose(distances[:, 0], brute.min(axis=1), rtol=1e-9)


def test_distinct_keeps_the_first_of_each():
    rows = np.array([[1.0, 2], [0.0, 3], [1.0, 2], [-0.0, 3], [2.0, 1]])
    assert distinct(rows).tolist() == [[1, 2], [0, 3], [2, 1]]
    many = rng(0).integers(0, 3, size=(300, 3)).astype(float)
    assert sorted(distinct(many).tolist()) == np.unique(many, axis=0).tolist()


# --- precision, recall, density, coverage -------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "d", "k"), [(120, 90, 6, 5), (40, 200, 64, 3), (30, 30, 1, 1)])
@pytest.mark.parametrize("shift", [0.0, 0.7, 50.0])
def test_it_is_the_prdc_package(blocks, n, m, d, k, shift):
    real, fake = normal(n, d), normal(m, d, 1) + shift
    metric = PrecisionRecall(PrecisionRecall.Config(nearest_k=k))
    assert computed(metric, real, fake) == pytest.approx(
        compute_prdc(real, fake.astype(np.float32).astype(np.float64), k), rel=1e-12
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(7, 40), st.integers(7, 40), st.integers(1, 3), st.integers(1, 5), st.integers(0, 10_000))
def test_it_is_the_prdc_package_where_points_coincide(n, m, d, k, seed):
    # Whole numbers: distances are exact, ties and repeats abound.
    real, fake = (rng(seed + i).integers(-2, 3, size=(size, d)).astype(float) for i, size in enumerate((n, m)))
    assert prdc(real, fake, k) == pytest.approx(compute_prdc(real, fake, k), rel=1e-12)


@settings(deadline=None)
@given(feature_pairs(), st.integers(1, 5), BLOCKS, NEWS)
def test_of_wild_sets_it_is_brute_force(pair, k, block_bytes, news):
    """Measured in float64 as the length of a difference, whatever float32 makes of the sets."""
    real, fake = (each.astype(np.float64) for each in pair)
    own = [np.sort(((each[:, None] - each) ** 2).sum(axis=2), axis=1)[:, k] for each in (real, fake)]
    between = ((real[:, None] - fake) ** 2).sum(axis=2)
    # Of rims alone, rounding decides: in such sets nothing may lie near them that is not exactly there.
    for limits in (own[0][:, None], own[1]):
        near = np.abs(between - limits) <= 1e-9 * np.maximum(between, limits)
        assume(not (near & (between != limits)).any())
    in_real, in_fake = between < own[0][:, None], between < own[1]
    with mock.patch.object(_distances, "BLOCK_BYTES", block_bytes), mock.patch.object(_neighbours, "NEWS", news):
        got = prdc(*pair, k)
    assert got == pytest.approx(
        {
            "precision": in_real.any(axis=0).mean(),
            "recall": in_fake.any(axis=1).mean(),
            "density": in_real.sum() / (k * len(fake)),
            "coverage": in_real.any(axis=1).mean(),
        }
    )


@pytest.mark.parametrize("same", [True, False])
def test_collapsed_sets_take_no_longer_than_others(monkeypatch, same):
    """One image in all places: their balls have no size, and nothing has to be measured pair by pair."""
    measured = []
    monkeypatch.setattr(
        _neighbours, "squared_lengths", lambda *given: measured.append(len(given[2])) or squared_lengths(*given)
    )
    one = np.repeat(normal(1, 8), 300, axis=0)
    got = prdc(one if same else normal(300, 8, 1), one, 5)
    assert got["recall"] == 0 and (not same or set(got.values()) == {0.0})
    assert sum(measured) < 2 * 300 * 11


@pytest.mark.parametrize("noise", [1e-5, 1e-9])
def test_tight_heaps_are_told_apart_from_within(blocks, noise):
    """Float32 sees two points, and where the noise is small enough, float64 does, too."""
    heaps = noise * rng(0).normal(size=(2, 80, 8)) + rng(1).integers(2, size=(2, 80, 1))
    real, fake = heaps
    between = ((real[:, None] - fake) ** 2).sum(axis=2)
    own = [np.sort(((each[:, None] - each) ** 2).sum(axis=2), axis=1)[:, 5] for each in heaps]
    np.testing.assert_allclose(squared_radii(real, 5), own[0], rtol=1e-9)
    got = prdc(real, fake, 5)
    assert got["density"] == pytest.approx((between < own[0][:, None]).sum() / 400)
    assert got["recall"] == pytest.approx((between < own[1]).any(axis=1).mean())


def test_tight_heaps_are_searched_in_float64_not_pair_by_pair(monkeypatch):
    measured = []
    monkeypatch.setattr(
        _neighbours, "squared_lengths", lambda *given: measured.append(len(given[2])) or squared_lengths(*given)
    )
    heaps = 1e-5 * rng(0).normal(size=(2, 400, 8)) + rng(1).integers(2, size=(2, 400, 1))
    prdc(*heaps, 5)
    assert sum(measured) < 400 * 400 / 4


def test_one_far_vector_does_not_put_all_pairs_in_doubt(monkeypatch):
    measured = []
    monkeypatch.setattr(
        _neighbours, "squared_lengths", lambda *given: measured.append(len(given[2])) or squared_lengths(*given)
    )
    real, fake = normal(400, 64), normal(400, 64, 1)
    fake[0] *= 100
    near = prdc(real, fake, 5)
    assert sum(measured) < 4 * 400 * 10
    assert near == pytest.approx(compute_prdc(real, fake, 5), rel=1e-12)


@pytest.mark.parametrize("news", [_neighbours.NEWS, 1.0])
def test_radii_are_brute_forces(blocks, news, monkeypatch):
    monkeypatch.setattr(_neighbours, "NEWS", news)
    features = np.repeat(normal(30, 4), 2, axis=0)[:45]
    brute = cdist(features, features)
    np.fill_diagonal(brute, np.inf)
    for k in (1, 2, 5, 44):
        np.testing.assert_allclose(
            squared_radii(features, k), np.sort(brute, axis=1)[:, k - 1] ** 2, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_of_the_real_set_is_in_k_balls_whatever_the_rounding(blocks, seed):
    real = normal(81, 33, seed) + 3
    got = prdc(real, real[rng(seed).permutation(81)], 5)
    assert got == {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}


def test_a_far_outlier_changes_no_other_ball():
    real, fake = normal(50, 4), normal(60, 4, 1)
    with_outlier = np.concatenate([fake, np.full((1, 4), 1e7)])
    alone, together = prdc(real, fake, 5), prdc(real, with_outlier, 5)
    assert together["coverage"] == alone["coverage"]
    assert together["density"] == pytest.approx(alone["density"] * 60 / 61)
    assert together == pytest.approx(compute_prdc(real, with_outlier, 5))


def test_fidelity_and_variety_are_told_apart():
    real = normal(400, 3)
    narrow, far = 0.1 * normal(300, 3, 1), normal(300, 3, 2) + 100
    got = prdc(real, narrow, 5)
    assert got["precision"] > 0.95 and got["recall"] < 0.2 and got["coverage"] < 0.5
    assert set(prdc(real, far, 5).values()) == {0.0}
    assert prdc(real, normal(400, 3, 3), 5)["density"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("n", "m"), [(5, 20), (20, 5)])
def test_too_few_images_for_the_ball_are_named(n, m):
    with pytest.raises(DataError, match=f"got {n} real and {m} synthetic images, expected more than 5 each"):
        computed(PrecisionRecall(), normal(n, 2), normal(m, 2))
    assert set(prdc(normal(6, 2), normal(6, 2), 5)) == {"precision", "recall", "density", "coverage"}


# --- memorization -------------------------------------------------------------------------------------------


def memorized(train, held_out, synthetic):
    return computed(Memorization(), held_out, synthetic, train)["memorized"]


def test_ratios_are_brute_forces(blocks):
    train, images = normal(40, 5), normal(70, 5, 1)
    brute = np.sort(cdist(images, train), axis=1)
    np.testing.assert_allclose(neighbour_ratios(images, train), brute[:, 0] / brute[:, 1], rtol=1e-12)
    assert computed(Memorization(), normal(9, 5), images, train)["nn_ratio"] == pytest.approx(
        np.median(brute[:, 0] / brute[:, 1])
    )


def test_a_repeated_training_image_does_not_hide_its_copy():
    train = normal(30, 5)
    twice = np.concatenate([train, train[:10], train[:10]])
    near = train[:10] + 1e-3
    assert (neighbour_ratios(train[:10], twice) == 0).all()
    assert (neighbour_ratios(near, twice) < 0.01).all()
    assert np.array_equal(neighbour_ratios(near, twice), neighbour_ratios(near, train))


@pytest.mark.parametrize(("held_out", "expected"), [([0.5], 0.01), ([0.4, 0.2, 0.3], 0.008)])
def test_of_few_values_the_bound_lies_below_the_smallest(held_out, expected):
    assert low_quantile(np.array(held_out), 0.01) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "expected"), [(99, 1.0), (199, 2.0), (149, 1.5), (999, 10.0)])
def test_of_many_values_the_bound_is_a_quantile(n, expected):
    values = rng(0).permutation(np.arange(1.0, n + 1))
    assert low_quantile(values, 0.01) == pytest.approx(expected)
    assert low_quantile(values, 0.01) == pytest.approx(np.quantile(values, 0.01, method="weibull"))


@pytest.mark.parametrize(("n", "d"), [(30, 2), (30, 32), (60, 8), (100, 2), (150, 16), (400, 8)])
def test_honest_images_are_rarely_called_copies(n, d):
    shares = [
        memorized_share(
            *(neighbour_ratios(normal(count, d, (3, seed, count)), normal(30, d, seed)) for count in (200, n))
        )
        for seed in range(40)
    ]
    assert np.mean(shares) < 0.02
    if n >= 100:
        assert np.mean(shares) > 0.003


@pytest.mark.parametrize(("train_count", "held_out_count"), [(30, 10), (30, 200), (300, 50)])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_copies_are_called_copies(train_count, held_out_count, offset):
    train, held_out = normal(train_count, 16) + offset, normal(held_out_count, 16, 1) + offset
    assert memorized(train, held_out, train) == 1.0
    assert memorized(np.concatenate([train, train]), held_out, train[::-1]) == 1.0
    half = np.concatenate([train, normal(train_count, 16, 2) + offset])
    assert memorized(train, held_out, half) == pytest.approx(0.5, abs=0.05)


def test_near_copies_are_called_copies_and_poor_images_are_not():
    train, held_out = normal(300, 16), normal(200, 16, 1)
    assert memorized(train, held_out, train + 0.1 * normal(300, 16, 2)) > 0.99
    assert memorized(train, held_out, 3 * normal(300, 16, 2)) < 0.02


def test_copies_are_seen_though_some_held_out_images_are_training_images_too():
    train = normal(300, 16)
    held_out = np.concatenate([train[:6], normal(194, 16, 1)])  # 3 %
    assert memorized(train, held_out, train) == 1.0
    assert memorized(train, held_out, held_out) == pytest.approx(0.03)
    assert memorized(train, held_out, normal(200, 16, 2)) == 0.0


@pytest.mark.parametrize("metric", [Memorization(), Authenticity()])
def test_one_training_image_has_no_second(metric):
    with pytest.raises(DataError, match="got 1 different training images of 4, expected at least 2"):
        computed(metric, normal(9, 3), normal(9, 3), np.ones((4, 3)))


# --- authenticity -------------------------------------------------------------------------------------------


def test_authenticity_by_its_definition(blocks):
    train, fake = normal(50, 4), 0.7 * normal(80, 4, 1)
    between = cdist(train, train)
    count = 0
    for image in fake:
        found = np.linalg.norm(train - image, axis=1)
        index = int(found.argmin())
        own = min(between[index, j] for j in range(50) if j != index)
        count += found[index] > own
    assert 5 < count < 75
    assert authentic_share(fake, train) == count / 80


def test_copies_are_not_authentic_and_far_images_are():
    train = normal(60, 8) + 100
    assert computed(Authenticity(), train, train, train) == {"authenticity": 0.0}
    assert authentic_share(train + 1e-3, train) == 0.0
    assert authentic_share(train + 1e-3, np.concatenate([train, train])) == 0.0
    assert authentic_share(train + 50, train) == 1.0


def test_as_far_as_the_other_training_image_is_not_farther():
    train = np.array([[0.0], [2.0]])
    assert authentic_share(np.array([[-2.0], [-1.0]]), train) == 0.0
    assert authentic_share(np.array([[-3.0], [5.0], [0.5]]), train) == pytest.approx(2 / 3)


# --- C_T ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 50), st.integers(0, 10_000))
def test_z_is_scipys_also_with_ties(n, m, values, seed):
    held_out, fake = rng(seed).integers(0, values, n).astype(float), rng(seed + 1).integers(0, values, m).astype(float)
    z = mann_whitney_z(held_out, fake)
    if len(np.unique(np.concatenate([held_out, fake]))) == 1:
        assert z == 0.0
        return
    for side, expected in (("less", norm.cdf(z)), ("greater", norm.sf(z))):
        test = mannwhitneyu(fake, held_out, alternative=side, use_continuity=False, method="asymptotic")
        assert expected == pytest.approx(test.pvalue, rel=1e-6)


def test_with_one_cell_it_is_the_test_of_neighbour_distances():
    train, held_out, fake = normal(80, 4), normal(50, 4, 1), 0.9 * normal(70, 4, 2)
    got = data_copying(held_out, fake, train, 1, 1, rng())
    ours, theirs = cdist(fake, train).min(axis=1), cdist(held_out, train).min(axis=1)
    test = mannwhitneyu(ours, theirs, alternative="less", use_continuity=False, method="asymptotic")
    assert got == pytest.approx(norm.ppf(test.pvalue), rel=1e-6)


def test_with_cells_it_is_their_mean_weighted_by_held_out_images():
    train, held_out, fake = normal(150, 3), normal(90, 3, 1), 0.8 * normal(120, 3, 2)
    clusters = KMeans(4, n_init=1, random_state=int(rng(3).integers(2**31))).fit(train)
    distances = [cdist(x, train).min(axis=1) for x in (held_out, fake)]
    cells = [cdist(x, clusters.cluster_centers_).argmin(axis=1) for x in (held_out, fake)]
    total = weight = 0.0
    for cell in range(4):
        theirs, ours = (values[which == cell] for values, which in zip(distances, cells, strict=True))
        if min(len(theirs), len(ours)) >= 20:
            test = mannwhitneyu(ours, theirs, alternative="less", use_continuity=False, method="asymptotic")
            total, weight = total + len(theirs) * norm.ppf(test.pvalue), weight + len(theirs)
    assert 40 < weight < 90  # some cells were left out, not all
    assert data_copying(held_out, fake, train, 4, 20, rng(3)) == pytest.approx(total / weight, rel=1e-6)


def test_cells_with_few_images_are_left_out_and_without_any_all_is_one_cell():
    held_out, fake = rng(0).random(30), rng(1).random(33)
    held_out_cells, fake_cells = np.repeat([0, 1, 2], [15, 12, 3]), np.repeat([0, 1, 2], [14, 3, 16])
    first = mann_whitney_z(held_out[:15], fake[:14])
    second = mann_whitney_z(held_out[15:27], fake[14:17])
    assert cell_mean_z(held_out, held_out_cells, fake, fake_cells, 3, 10) == pytest.approx(first)
    expected = (15 * first + 12 * second + 3 * mann_whitney_z(held_out[27:], fake[17:])) / 30
    assert cell_mean_z(held_out, held_out_cells, fake, fake_cells, 3, 3) == pytest.approx(expected)
    assert cell_mean_z(held_out, held_out_cells, fake, fake_cells, 3, 16) == mann_whitney_z(held_out, fake)


def test_c_t_is_negative_for_copies_positive_for_far_images_and_else_about_zero():
    train, held_out = normal(300, 8), normal(200, 8, 1)

    def c_t(fake):
        return computed(DataCopying(), held_out, fake, train)["c_t"]

    assert c_t(train) < -8
    assert c_t(train + 0.1 * normal(300, 8, 2)) < -8
    assert c_t(1.5 * normal(300, 8, 2)) > 3
    assert abs(np.mean([c_t(normal(150, 8, seed)) for seed in range(3, 11)])) < 1


def test_a_region_that_is_copied_is_not_hidden_by_another_that_is_poor():
    # Two far clusters. Beside the copies of one stand images of the other that are far off.
    shift = np.array([100.0, 0.0])
    train, held_out = (np.concatenate([normal(n, 2, i), normal(n, 2, i + 9) + shift]) for i, n in ((0, 100), (1, 60)))
    fake = np.concatenate([train[:60], 9 * normal(60, 2, 5) + shift])
    whole = mann_whitney_z(cdist(held_out, train).min(axis=1), cdist(fake, train).min(axis=1))
    cells = [data_copying(held_out[part], fake[part], train, 1, 1, rng()) for part in (slice(60), slice(60, 120))]
    assert cells[0] < -8 < 5 < cells[1]
    assert data_copying(held_out, fake, train, 2, 10, rng()) == pytest.approx(np.mean(cells))
    assert abs(whole) < 3


@pytest.mark.filterwarnings("error")
def test_c_t_has_a_value_on_tiny_and_degenerate_sets():
    alike = np.ones((4, 3))
    assert data_copying(alike, alike, alike, 5, 10, rng()) == 0.0
    assert np.isfinite(data_copying(normal(2, 3), normal(1, 3, 1), np.repeat(normal(2, 3, 2), 3, axis=0), 5, 10, rng()))
    assert data_copying(normal(40, 3), alike, alike, 5, 1, rng()) < 0


def test_c_t_follows_the_generator_given():
    sets = normal(90, 3), 0.9 * normal(120, 3, 1), normal(150, 3, 2)
    assert data_copying(*sets, 5, 5, rng(1)) == data_copying(*sets, 5, 5, rng(1))
    assert len({data_copying(*sets, 5, 5, rng(seed)) for seed in range(4)}) > 1
