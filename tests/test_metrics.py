"""Distribution metrics, against closed forms, other implementations and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from benchbench.errors import DataError
from benchbench.metrics.frechet import FrechetDistance, frechet_distance, moments
from benchbench.metrics.kid import KernelDistance, kernel_distance, mmd2_unbiased, polynomial_kernel


def rng(seed=0):
    return np.random.default_rng(seed)


def random_covariance(d, seed):
    factor = rng(seed).normal(size=(d, d))
    return factor @ factor.T / d + 0.1 * np.eye(d)


# --- Fréchet distance ---------------------------------------------------------------------------------------


def test_moments_are_numpys():
    features = rng().normal(size=(50, 7)).astype(np.float32)
    mean, covariance = moments(features)
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(features.astype(np.float64).T))
    assert mean.dtype == covariance.dtype == np.float64


@pytest.mark.parametrize("d", [1, 5, 64])
def test_at_equal_covariance_it_is_the_squared_distance_of_the_means(d):
    covariance, shift = random_covariance(d, 1), rng(2).normal(size=d)
    got = frechet_distance(np.zeros(d), covariance, shift, covariance)
    assert got == pytest.approx(shift @ shift, rel=1e-9)


def test_diagonal_covariances_closed_form():
    # Commuting covariances: sum over dimensions of (mean difference)^2 + (sd difference)^2.
    a, b = np.array([1.0, 4.0, 0.0, 9.0]), np.array([4.0, 0.25, 1.0, 9.0])
    got = frechet_distance(np.zeros(4), np.diag(a), np.array([0, 1, 0, 2.0]), np.diag(b))
    assert got == pytest.approx(5 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())


def test_commuting_covariances_closed_form():
    rotation = np.linalg.qr(rng(3).normal(size=(6, 6)))[0]
    a, b = rng(4).uniform(0.1, 5, 6), rng(5).uniform(0.1, 5, 6)
    covariances = [rotation @ np.diag(values) @ rotation.T for values in (a, b)]
    got = frechet_distance(np.zeros(6), covariances[0], np.zeros(6), covariances[1])
    assert got == pytest.approx(((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("d", [2, 16, 64])
def test_it_is_symmetric_and_that_of_scipys_square_root(d):
    mean_a, mean_b = rng(d).normal(size=(2, d))
    cov_a, cov_b = random_covariance(d, d + 1), random_covariance(d, d + 2)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real)
    got = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    assert got == pytest.approx(expected, rel=1e-9)
    assert got == pytest.approx(frechet_distance(mean_b, cov_b, mean_a, cov_a), rel=1e-9)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
@pytest.mark.parametrize("n", [500, 20])
def test_it_is_pytorch_fids(n):
    # n = 20 < d = 48: both covariances are singular, where pytorch-fid's square root is only approximate.
    from pytorch_fid.fid_score import calculate_frechet_distance

    real, fake = rng(0).normal(size=(n, 48)), rng(1).normal(0.3, 1.2, size=(n, 48))
    try:
        expected = calculate_frechet_distance(*moments(real), *moments(fake))
    except TypeError as error:  # scipy took away the argument that pytorch-fid 0.3 passes
        pytest.skip(f"pytorch-fid does not run with this scipy: {error}")
    got = frechet_distance(*moments(real), *moments(fake))
    assert got == pytest.approx(expected, rel=1e-6 if n > 48 else 1e-3)


def test_it_is_right_where_covariances_are_singular():
    # n = 2 points span one axis: variances v on orthogonal axes have no cross term.
    a, b = np.diag([3.0, 0.0]), np.diag([0.0, 5.0])
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(8.0)
    assert frechet_distance(np.zeros(2), a, np.zeros(2), a) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(2, 60), st.integers(1, 30), st.integers(0, 1000))
def test_it_is_zero_on_identical_sets_and_never_negative(n, d, seed):
    features = rng(seed).normal(size=(n, d)) * 10.0 ** rng(seed).uniform(-3, 3)
    scale = float((features**2).sum())
    assert 0.0 <= frechet_distance(*moments(features), *moments(features)) <= 1e-6 * scale
    assert frechet_distance(*moments(features), *moments(features[::-1] * 1.1)) >= 0.0


def test_it_does_not_see_rotation_nor_order():
    real, fake = rng(0).normal(size=(80, 6)), rng(1).normal(0.5, 2, size=(90, 6))
    rotation = np.linalg.qr(rng(2).normal(size=(6, 6)))[0]
    metric = FrechetDistance()
    expected = metric.compute(real, fake, rng())
    assert metric.compute(real @ rotation, fake @ rotation, rng()) == pytest.approx(expected, rel=1e-9)
    assert metric.compute(real[::-1], fake[rng(3).permutation(90)], rng()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_features_are_refused(bad):
    good = rng().normal(size=(10, 3))
    broken = good.copy()
    broken[4, 1] = bad
    for metric in (FrechetDistance(), KernelDistance()):
        for real, fake in ((broken, good), (good, broken)):
            with pytest.raises(DataError, match="finite"):
                metric.compute(real, fake, rng())


def test_one_vector_has_no_covariance():
    with pytest.raises(DataError, match=r"got features \(1, 3\), expected \(n, d\) with n >= 2"):
        moments(np.zeros((1, 3)))
    with pytest.raises(DataError, match="got 1 real and 5 synthetic vectors"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)), 10, 10, rng())


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


def test_it_is_torch_fidelitys_on_the_same_subsets():
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = rng(0).normal(size=(120, 16)), rng(1).normal(0.2, 1.1, size=(100, 16))
    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    generator, expected = rng(7), []
    for _ in range(5):
        x = real[generator.choice(120, 50, replace=False)]
        y = fake[generator.choice(100, 50, replace=False)]
        kernels = [kid.kernel_poly(a, b, **options) for a, b in ((x, x), (x, y), (y, y))]
        expected.append(kid.mmd2(*kernels))
    assert kernel_distance(real, fake, 5, 50, rng(7)) == pytest.approx(np.mean(expected), rel=1e-9)


def test_it_is_unbiased():
    # Two samples of one distribution: zero on average, and as often below as above.
    metric = KernelDistance()
    values = np.array([metric.compute(*rng(seed).normal(size=(2, 20, 4)), rng(seed)) for seed in range(600)])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).mean() > 0.3


def test_it_does_not_depend_on_n_as_the_frechet_distance_does():
    def mean_over_repeats(metric, n):
        draws = [rng(seed).normal(size=(2, n, 8)) + np.array([0.0, 0.4])[:, None, None] for seed in range(60)]
        return np.mean([metric.compute(real, fake, rng(0)) for real, fake in draws])

    kid_few, kid_many = (mean_over_repeats(KernelDistance(), n) for n in (20, 200))
    fd_few, fd_many = (mean_over_repeats(FrechetDistance(), n) for n in (20, 200))
    assert kid_few == pytest.approx(kid_many, rel=0.2)
    assert fd_few > 1.5 * fd_many


def test_whole_sets_need_one_subset_only():
    real, fake = rng(0).normal(size=(2, 30, 4))
    once = KernelDistance(KernelDistance.Config(subsets=1)).compute(real, fake, rng(0))
    assert KernelDistance().compute(real, fake, rng(5)) == once


def test_subsets_follow_the_generator_given():
    real, fake = rng(0).normal(size=(2, 60, 4))
    metric = KernelDistance(KernelDistance.Config(subsets=3, subset_size=10))
    assert metric.compute(real, fake, rng(1)) == metric.compute(real, fake, rng(1))
    assert metric.compute(real, fake, rng(1)) != metric.compute(real, fake, rng(2))


def test_a_growing_shift_grows_both_distances():
    real = rng(0).normal(size=(300, 8))
    for metric in (FrechetDistance(), KernelDistance()):
        values = [metric.compute(real, rng(1).normal(shift, 1, size=(300, 8)), rng(2)) for shift in (0, 0.3, 1, 3)]
        assert values == sorted(values)
