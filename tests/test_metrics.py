"""Distribution metrics, against closed forms, other implementations and simulation."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchbench.errors import DataError
from benchbench.metrics.authenticity import Authenticity
from benchbench.metrics.data_copying import DataCopying
from benchbench.metrics.fd_infinity import FrechetInfinity, extrapolate, frechet_infinity, subset_sizes
from benchbench.metrics.fd_per_class import FrechetPerClass
from benchbench.metrics.fd_train import FrechetToTrain, FrechetToTrainPerClass
from benchbench.metrics.frechet import FrechetDistance, frechet_distance, moments
from benchbench.metrics.inception_score import InceptionScore, inception_scores
from benchbench.metrics.kid import KernelDistance, mmd2_unbiased, polynomial_kernel, subset_estimates
from benchbench.metrics.memorization import Memorization
from benchbench.metrics.prdc import PrecisionRecall
from benchbench.types import FeatureSets

METRICS = [
    FrechetDistance,
    FrechetInfinity,
    FrechetPerClass,
    FrechetToTrain,
    FrechetToTrainPerClass,
    KernelDistance,
    PrecisionRecall,
    InceptionScore,
    Memorization,
    Authenticity,
    DataCopying,
]


def rng(seed=0):
    return np.random.default_rng(seed)


def feature_sets(real, synthetic, **more):
    """Two classes that take turns, unless told otherwise."""
    labels = {"real_labels": np.arange(len(real)) % 2, "synthetic_labels": np.arange(len(synthetic)) % 2, "classes": 2}
    return FeatureSets(real, synthetic, **(labels | more))


def full_sets(real, synthetic, train=None):
    """With all that any metric needs."""
    train, drawn = real + 0.1 if train is None else train, np.concatenate([synthetic, synthetic + 0.1])
    return feature_sets(
        real,
        synthetic,
        train=train,
        train_labels=np.arange(len(train)) % 2,
        drawn=drawn,
        drawn_labels=np.arange(len(drawn)) % 2,
        probabilities=rng(9).dirichlet(np.ones(4), size=len(synthetic)).astype(np.float32),
    )


def main_value(metric, real, synthetic, seed=0):
    return metric.compute(feature_sets(real, synthetic), rng(seed))[metric.outputs[0].key]


def random_factor(d, seed):
    return np.vstack([rng(seed).normal(size=(d, d)) / np.sqrt(d), 0.3 * np.eye(d)])


# --- what all share -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_gives_what_it_says_finite_and_the_same_twice(metric):
    real, fake = rng(0).normal(size=(60, 5)).astype(np.float32), rng(1).normal(size=(80, 5)).astype(np.float32)
    values = metric().compute(full_sets(real, fake), rng(0))
    assert list(values) == [output.key for output in metric.outputs]
    for output in metric.outputs:
        value = values[output.key]
        assert np.shape(value) == ((2,) if output.per_class else ())
        assert np.isfinite(value).all()
        assert isinstance(value, list if output.per_class else float)
    assert metric().compute(full_sets(real, fake), rng(0)) == values


def test_outputs_have_keys_of_their_own():
    keys = [output.key for metric in METRICS for output in metric.outputs]
    assert len(set(keys)) == len(keys)
    assert {output.key for metric in METRICS for output in metric.outputs if output.distance} == {
        "fd",
        "fd_infinity",
        "kid",
    }


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_features_are_refused(metric, bad):
    good = rng().normal(size=(40, 3))
    broken = good.copy()
    broken[4, 1] = bad
    cases = [full_sets(good, broken, good)]
    if "drawn" not in metric.needs:
        cases.append(full_sets(broken, good, good))
    if "train" in metric.needs:
        cases.append(full_sets(good, good, broken))
    if "probabilities" in metric.needs:
        cases = [feature_sets(good, good, probabilities=broken)]
    for sets in cases:
        with pytest.raises(
            DataError, match=r"got NaN or infinite features for the .*(images|samples), expected finite ones"
        ):
            metric().compute(sets, rng())


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric.needs])
def test_what_a_metric_needs_and_does_not_get_is_named(metric):
    good = rng().normal(size=(40, 3))
    with pytest.raises(DataError, match=r"got no (training features|class probabilities), expected them"):
        metric().compute(feature_sets(good, good), rng())


def test_features_must_have_two_axes():
    with pytest.raises(
        DataError, match=r"FD: got features of shape \(5,\) for the synthetic images, expected \(n, d\)"
    ):
        FrechetDistance().compute(feature_sets(np.zeros((5, 3)), np.zeros(5)), rng())


# --- Fréchet distance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [50, 8, 7, 6, 2])
def test_moments_are_numpys(n):
    features = rng().normal(3, 1, size=(n, 7)).astype(np.float32)
    mean, factor = moments(features)
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(factor.T @ factor, np.cov(features.astype(np.float64).T), rtol=1e-9, atol=1e-12)
    assert mean.dtype == factor.dtype == np.float64
    assert factor.shape == (min(n, 7), 7)


@pytest.mark.parametrize("d", [1, 5, 64])
def test_at_equal_covariance_it_is_the_squared_distance_of_the_means(d):
    factor, shift = random_factor(d, 1), rng(2).normal(size=d)
    assert frechet_distance(np.zeros(d), factor, shift, factor) == pytest.approx(shift @ shift, rel=1e-9)


def test_diagonal_covariances_closed_form():
    # Commuting covariances: sum over dimensions of (mean difference)^2 + (sd difference)^2.
    a, b = np.array([1.0, 2.0, 0.0, 3.0]), np.array([2.0, 0.5, 1.0, 3.0])
    got = frechet_distance(np.zeros(4), np.diag(a), np.array([0, 1, 0, 2.0]), np.diag(b))
    assert got == pytest.approx(5 + ((a - b) ** 2).sum())


def test_commuting_covariances_closed_form():
    rotation = np.linalg.qr(rng(3).normal(size=(6, 6)))[0]
    a, b = rng(4).uniform(0.3, 2, 6), rng(5).uniform(0.3, 2, 6)
    factors = [np.diag(values) @ rotation.T for values in (a, b)]
    got = frechet_distance(np.zeros(6), factors[0], np.zeros(6), factors[1])
    assert got == pytest.approx(((a - b) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("d", [2, 16, 64])
def test_it_is_symmetric_and_that_of_scipys_square_root(d):
    mean_a, mean_b = rng(d).normal(size=(2, d))
    factor_a, factor_b = random_factor(d, d + 1), random_factor(d, d + 2)
    cov_a, cov_b = factor_a.T @ factor_a, factor_b.T @ factor_b
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real)
    got = frechet_distance(mean_a, factor_a, mean_b, factor_b)
    assert got == pytest.approx(expected, rel=1e-9)
    assert got == pytest.approx(frechet_distance(mean_b, factor_b, mean_a, factor_a), rel=1e-9)


@pytest.fixture
def pytorch_fid(monkeypatch):
    """pytorch-fid's own function, also with a scipy that has lost the argument it passes to ``sqrtm``."""
    from pytorch_fid import fid_score

    def sqrtm(matrix, disp=True):
        root = scipy.linalg.sqrtm(matrix)
        return root if disp else (root, None)

    monkeypatch.setattr(fid_score, "linalg", SimpleNamespace(sqrtm=sqrtm))

    def distance(*sets):
        of_a, of_b = ((x.mean(axis=0), np.cov(x, rowvar=False)) for x in sets)
        return fid_score.calculate_frechet_distance(*of_a, *of_b)

    return distance


@pytest.mark.parametrize(("n", "m"), [(500, 500), (500, 20), (20, 500), (20, 20), (49, 48), (2, 2)])
def test_it_is_pytorch_fids(pytorch_fid, n, m):
    # d = 48: with fewer images than that, covariances are singular.
    real, fake = rng(0).normal(size=(n, 48)), rng(1).normal(0.3, 1.2, size=(m, 48))
    assert main_value(FrechetDistance(), real, fake) == pytest.approx(pytorch_fid(real, fake), rel=1e-6)


@pytest.mark.parametrize("n", [2, 10, 40, 300])
def test_it_keeps_its_digits_where_sets_are_near_and_small(n):
    # Stretched by c and shifted, C_b = c^2 C_a: tr C_a (c - 1)^2 + |shift|^2. With n <= d = 40 pytorch-fid is off by
    # 1e-8 of the trace here, which is more than a distance as small as this.
    real, shift = rng(n).normal(size=(n, 40)), np.full(40, 1e-5)
    expected = 1e-8 * real.var(axis=0, ddof=1).sum() + ((shift + 1e-4 * real.mean(axis=0)) ** 2).sum()
    assert main_value(FrechetDistance(), real, 1.0001 * real + shift) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["dead", "repeated", "nearly repeated", "steep"])
def test_it_keeps_its_digits_where_many_images_have_a_singular_covariance(kind):
    real = rng(0).normal(size=(300, 20))
    if kind == "dead":
        real[:, [0, 7]] = 0.0
    elif kind == "steep":
        real *= np.logspace(0, -9, 20)
    else:
        real[:, 5] = real[:, 11] + (1e-9 * rng(1).normal(size=300) if kind == "nearly repeated" else 0.0)
    rotated = real if kind == "dead" else real @ np.linalg.qr(rng(2).normal(size=(20, 20)))[0]
    factor = moments(rotated)[1]
    np.testing.assert_allclose(factor.T @ factor, np.cov(rotated.T), atol=1e-13)
    expected = 1e-8 * (real.var(axis=0, ddof=1).sum() + (real.mean(axis=0) ** 2).sum())
    assert main_value(FrechetDistance(), rotated, 1.0001 * rotated) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a_little_spread_where_the_other_set_has_none_is_its_variance(seed):
    # The new direction is orthogonal to all others, and what happens along it uncorrelated with what happens there.
    directions = np.linalg.qr(rng(seed).normal(size=(20, 20)))[0]
    along = rng(seed + 9).normal(size=(300, 20))
    along -= along.mean(axis=0)
    along[:, 19] -= along[:, :19] @ np.linalg.lstsq(along[:, :19], along[:, 19], rcond=None)[0]
    real, new = along[:, :19] @ directions[:19], 1e-3 * np.outer(along[:, 19], directions[19])
    got = main_value(FrechetDistance(), real, real + new)
    assert got == pytest.approx(1e-6 * along[:, 19].var(ddof=1), rel=1e-7)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("n", "m", "shift", "steepness"),
    [(900, 800, 0.3, 0.0), (900, 800, 0.3, 6.0), (900, 900, 1e-6, 0.0), (150, 900, 0.3, 1.0), (100, 120, 0.0, 0.0)],
)
def test_the_fast_way_is_as_good_as_singular_values(monkeypatch, seed, n, m, shift, steepness):
    spectrum = np.logspace(0, -steepness, 200)
    real, fake = (rng(seed + at).normal(size=(count, 200)) * spectrum for at, count in ((0, n), (50, m)))
    fake = real[::-1] + shift * spectrum if n == m else fake + shift
    values = []
    for large in (1, 10**9):  # eigenvalues where their error is bounded well enough; never
        monkeypatch.setattr("benchbench.metrics.frechet.LARGE", large)
        values.append(main_value(FrechetDistance(), real, fake))
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_the_fast_way_is_taken_where_covariances_are_whole(monkeypatch):
    real, fake = rng(0).normal(size=(900, 300)), rng(1).normal(size=(900, 300)) * 1.1
    expected = main_value(FrechetDistance(), real, fake)
    monkeypatch.setattr(np.linalg, "svd", None)
    assert main_value(FrechetDistance(), real, fake) == expected


def test_two_points_each_by_hand():
    # Rank one: C = u u^T / 2 from two points u apart, and the square root of C_a C_b has the trace |u . v| / 2.
    real, fake = rng(0).normal(size=(2, 300)), rng(1).normal(size=(2, 300))
    u, v, means = real[0] - real[1], fake[0] - fake[1], (real - fake).mean(axis=0)
    expected = means @ means + (u @ u + v @ v) / 2 - abs(u @ v)
    assert main_value(FrechetDistance(), real, fake) == pytest.approx(expected, rel=1e-12)


def test_it_is_right_where_covariances_are_singular():
    # Standard deviations on orthogonal axes have no cross term.
    a, b = np.diag([3.0, 0.0]), np.diag([0.0, 5.0])
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(34.0)
    assert frechet_distance(np.zeros(2), a, np.zeros(2), a) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(2, 60), st.integers(1, 30), st.integers(0, 1000))
def test_it_is_zero_on_identical_sets_and_never_negative(n, d, seed):
    features = rng(seed).normal(size=(n, d)) * 10.0 ** rng(seed).uniform(-3, 3)
    scale = float((features**2).sum())
    assert 0.0 <= frechet_distance(*moments(features), *moments(features)) <= 1e-12 * scale
    assert frechet_distance(*moments(features), *moments(features[::-1] * 1.1)) >= 0.0


def test_it_does_not_see_rotation_nor_order():
    real, fake = rng(0).normal(size=(80, 6)), rng(1).normal(0.5, 2, size=(90, 6))
    rotation = np.linalg.qr(rng(2).normal(size=(6, 6)))[0]
    expected = main_value(FrechetDistance(), real, fake)
    assert main_value(FrechetDistance(), real @ rotation, fake @ rotation) == pytest.approx(expected, rel=1e-9)
    shuffled = fake[rng(3).permutation(90)]
    assert main_value(FrechetDistance(), real[::-1], shuffled) == pytest.approx(expected, rel=1e-9)


def test_one_vector_has_no_covariance():
    with pytest.raises(DataError, match=r"FD: got features \(1, 3\), expected \(n, d\) with n >= 2"):
        moments(np.zeros((1, 3)))


# --- Fréchet distance at infinite n -------------------------------------------------------------------------


def test_a_straight_line_is_found_exactly():
    sizes = np.array([50, 75, 100])
    line = extrapolate(sizes, 2.0 + 300.0 / sizes)
    assert line.intercept == pytest.approx(2.0) and line.slope == pytest.approx(300.0)
    assert line.error == pytest.approx(0.0, abs=1e-6)


def test_the_error_is_that_of_the_normal_equations():
    sizes = np.linspace(50, 100, 15).round().astype(int)
    values = 2 + 300 / sizes + rng(0).normal(size=15)
    design = np.stack([np.ones(15), 1 / sizes], axis=1)
    coefficients, squares = np.linalg.lstsq(design, values, rcond=None)[:2]
    error = np.sqrt(squares[0] / 13 * np.linalg.inv(design.T @ design)[0, 0])
    assert extrapolate(sizes, values) == pytest.approx((coefficients[0], error, coefficients[1]))


def test_subset_sizes_are_evenly_spaced_and_end_at_all():
    assert subset_sizes(1000, 15, 0.3).tolist() == list(range(300, 1001, 50))
    assert subset_sizes(4, 15, 0.5).tolist() == [2, 3, 4]
    assert subset_sizes(5, 15, 0.01).tolist() == [2, 3, 4, 5]
    for n in (0, 1, 2, 3):
        with pytest.raises(DataError, match=f"FD∞: got {n} images in the smaller set"):
            subset_sizes(n, 15, 0.5)


def test_it_takes_the_bias_away():
    # Normal sets whose distance is known: 8 * 0.3^2. The plain distance at n = 150 has a bias of several times that.
    metric, truth = FrechetInfinity(), 16 * 0.1**2
    draws = [(rng(seed).normal(size=(150, 16)), rng(500 + seed).normal(0.1, 1, size=(220, 16))) for seed in range(40)]
    plain = np.array([main_value(FrechetDistance(), *draw) for draw in draws])
    infinite = np.array([main_value(metric, *draw) for draw in draws])
    assert plain.mean() > 4 * truth
    assert abs(infinite.mean() - truth) < 3 * infinite.std(ddof=1) / np.sqrt(40) + 0.05
    assert (infinite < truth).mean() > 0.2  # unbiased, so often below


def test_all_subsets_of_the_smaller_set_have_both_one_size(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "benchbench.metrics.fd_infinity.moments", lambda x, who: (seen.append(len(x)), moments(x, who))[1]
    )
    frechet_infinity(rng(0).normal(size=(30, 2)), rng(1).normal(size=(50, 2)), 3, 0.5, rng(2))
    assert seen == [15, 15, 22, 22, 30, 30]


def test_infinity_follows_the_generator_given():
    real, fake = rng(0).normal(size=(2, 60, 4))
    assert main_value(FrechetInfinity(), real, fake, 1) == main_value(FrechetInfinity(), real, fake, 1)
    assert main_value(FrechetInfinity(), real, fake, 1) != main_value(FrechetInfinity(), real, fake, 2)


# --- Fréchet distance per class -----------------------------------------------------------------------------


def test_per_class_is_the_distance_of_each_class_alone():
    real, fake = rng(0).normal(size=(50, 4)), rng(1).normal(0.2, 1, size=(70, 4))
    labels, asked = rng(2).integers(0, 3, 50), rng(3).integers(0, 3, 70)
    sets = feature_sets(real, fake, real_labels=labels, synthetic_labels=asked, classes=3)
    got = FrechetPerClass().compute(sets, rng())
    expected = [main_value(FrechetDistance(), real[labels == k], fake[asked == k]) for k in range(3)]
    assert got["fd_per_class"] == pytest.approx(expected)
    assert got["fd_class_mean"] == pytest.approx(sum(expected) / 3)


def test_per_class_sees_swapped_labels_where_the_whole_does_not():
    real = np.concatenate([rng(0).normal(0, 1, (60, 3)), rng(1).normal(5, 1, (60, 3))])
    labels = np.repeat([0, 1], 60)
    sets = feature_sets(real, real, real_labels=labels, synthetic_labels=1 - labels)
    assert FrechetDistance().compute(sets, rng())["fd"] < 1e-9
    assert FrechetPerClass().compute(sets, rng())["fd_class_mean"] == pytest.approx(75, rel=0.2)


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_a_class_without_two_images_is_named(kind):
    features, thin = rng(0).normal(size=(10, 3)), np.array([0] * 9 + [1])
    with pytest.raises(DataError, match=f"FD per class: class 1 has 1 {kind} images, expected at least 2"):
        FrechetPerClass().compute(feature_sets(features, features, **{f"{kind}_labels": thin}), rng())


# --- kernel distance ----------------------------------------------------------------------------------------


def test_kernel_by_hand():
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0, -1.0], [0.0, 0.0]])
    assert polynomial_kernel(x, y).tolist() == [[(1 / 2 + 1) ** 3, 1.0]]


def test_mmd_by_its_definition():
    x, y = rng(0).normal(size=(5, 3)), rng(1).normal(size=(4, 3))

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    within_x = np.mean([kernel(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    within_y = np.mean([kernel(y[i], y[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([kernel(a, b) for a in x for b in y])
    got = mmd2_unbiased(polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y))
    assert got == pytest.approx(within_x + within_y - 2 * across)


@pytest.mark.parametrize(("n", "m", "subsets", "size"), [(120, 100, 20, 50), (50, 300, 7, 49), (40, 40, 3, 2)])
def test_it_is_torch_fidelitys_on_the_same_subsets(n, m, subsets, size):
    # torch-fidelity draws its subsets from a RandomState, which serves ours as well.
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = rng(0).normal(size=(n, 16)), rng(1).normal(0.2, 1.1, size=(m, 16))
    expected = kid.kid_features_to_metric(
        torch.from_numpy(real),
        torch.from_numpy(fake),
        kid_subsets=subsets,
        kid_subset_size=size,
        rng_seed=7,
        verbose=False,
    )
    metric = KernelDistance(KernelDistance.Config(subsets=subsets, subset_size=size))
    got = metric.compute(feature_sets(real, fake), np.random.RandomState(7))
    assert got["kid"] == pytest.approx(expected[kid.KEY_METRIC_KID_MEAN], rel=1e-9)
    assert got["kid_std"] == pytest.approx(expected[kid.KEY_METRIC_KID_STD], rel=1e-9)


def test_it_is_unbiased():
    # Two samples of one distribution: zero on average, and as often below as above.
    metric = KernelDistance(KernelDistance.Config(subsets=5))
    values = np.array([main_value(metric, *rng(seed).normal(size=(2, 20, 4)), seed) for seed in range(600)])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).mean() > 0.3


def test_it_does_not_depend_on_n_as_the_frechet_distance_does():
    def mean_over_repeats(metric, n):
        draws = [rng(seed).normal(size=(2, n, 8)) + np.array([0.0, 0.4])[:, None, None] for seed in range(60)]
        return np.mean([main_value(metric, real, fake) for real, fake in draws])

    kernel = KernelDistance(KernelDistance.Config(subsets=10))
    kid_few, kid_many = (mean_over_repeats(kernel, n) for n in (20, 200))
    fd_few, fd_many = (mean_over_repeats(FrechetDistance(), n) for n in (20, 200))
    assert kid_few == pytest.approx(kid_many, rel=0.2)
    assert fd_few > 1.5 * fd_many


def test_distances_to_the_training_images_take_all_samples(pytorch_fid):
    held_out, few, train, drawn = (rng(seed).normal(seed, 1, size=(n, 3)) for seed, n in enumerate((9, 7, 40, 30)))
    labels = {"train_labels": np.arange(40) % 2, "drawn_labels": np.arange(30) % 2}
    sets = feature_sets(held_out, few, train=train, drawn=drawn, **labels)
    got = FrechetToTrain().compute(sets, rng())["fd_train"]
    assert got == pytest.approx(pytorch_fid(train, drawn), rel=1e-6)
    by_class = FrechetToTrainPerClass().compute(sets, rng())
    assert by_class["fd_train_per_class"][1] == pytest.approx(pytorch_fid(train[1::2], drawn[1::2]), rel=1e-6)
    assert by_class["fd_train_class_mean"] == pytest.approx(np.mean(by_class["fd_train_per_class"]))


def test_distances_to_the_training_images_say_what_they_lack():
    real, fake = rng(0).normal(size=(2, 9, 3))
    with pytest.raises(DataError, match='must name "train" in its needs'):
        FrechetToTrain().compute(feature_sets(real, fake), rng())
    with pytest.raises(DataError, match='must name "drawn" in its needs'):
        FrechetToTrain().compute(feature_sets(real, fake, train=real), rng())


@pytest.mark.parametrize(("n", "size", "expected"), [(30, 1000, 15), (30, 30, 15), (30, 29, 29), (3, 5, 2), (2, 2, 2)])
def test_a_subset_that_would_be_everything_is_half(n, size, expected):
    seen = []

    def choice(count, picked, replace):
        seen.append((count, picked, replace))
        return np.arange(picked)

    spy = SimpleNamespace(choice=choice)
    subset_estimates(rng(0).normal(size=(n, 3)), rng(1).normal(size=(n + 7, 3)), 2, size, spy)
    assert seen == [(n, expected, False), (n + 7, expected, False)] * 2


@pytest.mark.parametrize("block_bytes", [2**27, 3000])
@pytest.mark.parametrize(("n", "m", "size", "subsets"), [(40, 50, 20, 30), (40, 50, 20, 2), (300, 41, 40, 9)])
def test_all_pairs_at_once_give_what_every_subset_gives_alone(monkeypatch, block_bytes, n, m, size, subsets):
    monkeypatch.setattr("benchbench.metrics._distances.BLOCK_BYTES", block_bytes)
    x, y = rng(0).normal(size=(n, 6)), rng(1).normal(size=(m, 6)) + 0.3
    got = subset_estimates(x, y, subsets, size, rng(2))
    again = rng(2)
    for value in got:
        a, b = x[again.choice(n, size, replace=False)], y[again.choice(m, size, replace=False)]
        expected = mmd2_unbiased(polynomial_kernel(a, a), polynomial_kernel(b, b), polynomial_kernel(a, b))
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_spread_is_defined_where_sets_are_small():
    real, fake = rng(0).normal(size=(2, 30, 4))
    assert KernelDistance().compute(feature_sets(real, fake), rng())["kid_std"] > 0


def test_kernel_distance_needs_two_vectors():
    with pytest.raises(DataError, match="KID: got 1 real and 5 synthetic vectors"):
        subset_estimates(np.zeros((1, 3)), np.zeros((5, 3)), 10, 10, rng())


def test_subsets_follow_the_generator_given():
    real, fake = rng(0).normal(size=(2, 60, 4))
    metric = KernelDistance(KernelDistance.Config(subsets=3, subset_size=10))
    assert main_value(metric, real, fake, 1) == main_value(metric, real, fake, 1)
    assert main_value(metric, real, fake, 1) != main_value(metric, real, fake, 2)


def test_a_growing_shift_grows_every_distance():
    real = rng(0).normal(size=(300, 8))
    for metric in (FrechetDistance(), KernelDistance(), FrechetInfinity(), FrechetPerClass()):
        values = [main_value(metric, real, rng(1).normal(shift, 1, size=(300, 8)), 2) for shift in (0, 0.3, 1, 3)]
        assert values == sorted(values)


# --- Inception Score ----------------------------------------------------------------------------------------


def scored(probabilities, splits=10, generator=None):
    real = np.zeros((4, 2))
    sets = feature_sets(real, np.zeros((len(probabilities), 2)), probabilities=probabilities)
    metric = InceptionScore(InceptionScore.Config(splits=splits))
    return tuple(metric.compute(sets, generator or rng()).values())


@pytest.mark.parametrize(("count", "splits"), [(200, 10), (203, 10), (57, 1), (20, 10)])
def test_it_is_torch_fidelitys_inception_score(count, splits):
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = torch.from_numpy(rng(0).normal(0, 4, size=(count, 12)))
    expected = isc.isc_features_to_metric(logits, splits=splits, shuffle=True, rng_seed=3)
    got = scored(logits.softmax(dim=1).numpy(), splits, np.random.RandomState(3))
    assert got[0] == pytest.approx(expected[isc.KEY_METRIC_ISC_MEAN], rel=1e-9)
    assert got[1] == pytest.approx(expected[isc.KEY_METRIC_ISC_STD], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 7])
def test_inception_score_is_one_where_nothing_is_told_apart_and_k_at_best(classes):
    assert scored(np.full((40, classes), 1 / classes)) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert scored(np.tile(rng(0).dirichlet(np.ones(classes)), (40, 1))) == pytest.approx((1.0, 0.0), abs=1e-9)
    even = np.eye(classes)[np.arange(10 * classes) % classes]
    assert scored(even, 1) == pytest.approx((classes, 0.0))


def test_inception_score_of_unequal_classes_is_the_exponential_of_their_entropy():
    sure = np.eye(3)[[0] * 20 + [1] * 60 + [2] * 20]
    entropy = -(0.2 * math.log(0.2) * 2 + 0.6 * math.log(0.6))
    assert scored(sure, 1)[0] == pytest.approx(math.exp(entropy))


def test_inception_score_takes_float32_and_refuses_what_is_no_softmax():
    rows = rng(0).dirichlet(np.ones(5), size=50)
    assert scored(rows.astype(np.float32))[0] == pytest.approx(scored(rows)[0], rel=1e-5)
    for bad in (rows * 1.1, rows - np.array([0.9, -0.9, 0, 0, 0])):
        with pytest.raises(DataError, match="Inception Score: got class probabilities that are negative or do not sum"):
            scored(bad)


def test_too_few_images_for_the_splits_are_named():
    with pytest.raises(DataError, match=r"got 19 synthetic images for 10 splits, expected at least 20"):
        inception_scores(np.full((19, 2), 0.5), 10, rng())
