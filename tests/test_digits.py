"""The digits dataset: its splits never change."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchbench.datasets.digits import Digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return Digits().load(tmp_path_factory.mktemp("data"))


def test_splits_have_their_sizes(digits):
    assert [len(part) for part in (digits.train, digits.val, digits.test)] == [1197, 300, 300]
    assert digits.train.shape == (1, 8, 8) and len(digits.classes) == 10


def test_splits_are_stratified(digits):
    whole = np.bincount(load_digits().target) / 1797
    for part in (digits.train, digits.val, digits.test):
        expected = whole * len(part)
        assert np.abs(part.class_counts.numpy() - expected).max() <= 1.0


def test_splits_are_disjoint_and_complete(digits):
    parts = [part.images.flatten(1).numpy() for part in (digits.train, digits.val, digits.test)]
    rows = [{row.tobytes() for row in part} for part in parts]
    assert not rows[0] & rows[1] and not rows[0] & rows[2] and not rows[1] & rows[2]
    everything = np.rint(load_digits().images * (255 / 16)).astype(np.uint8).reshape(1797, 64)
    assert sorted(row.tobytes() for part in parts for row in part) == sorted(row.tobytes() for row in everything)


def test_grey_levels_span_the_range(digits):
    levels = sorted(set(digits.train.images.flatten().tolist()))
    assert len(levels) == 17 and levels[0] == 0 and levels[-1] == 255


def test_the_dataset_is_the_same_for_everyone(digits, tmp_path):
    assert (
        Digits().load(tmp_path).fingerprint
        == digits.fingerprint
        == "0c154692db9de524fd7cf6cd4e2c8f1f9a0bb88f1a0c7a94aca94f96acfcfda9"
    )
    assert not list(tmp_path.iterdir())
