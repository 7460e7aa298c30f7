"""The values that cross boundaries: what they refuse, and what they say."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from benchbench.errors import BenchmarkFileError, DataError, DivergedError, Problem
from benchbench.types import Budget, Config, Dataset, Generator, LabelledImages, NoCheckpoint, Progress, Status
from benchbench.types.images import check_images


def images(n=4, channels=1, height=3, width=2):
    return torch.arange(n * channels * height * width, dtype=torch.uint8).reshape(n, channels, height, width)


def labelled(n=4, **shape):
    return LabelledImages(images(n, **shape), torch.arange(n) % 2, ("a", "b"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (images().numpy(), "got ndarray, expected a uint8 tensor"),
        (images().float() / 255, r"got dtype torch\.float32, expected torch\.uint8 in 0\.\.255"),
        (images()[0], r"got shape \(1, 3, 2\), expected \(N, C, H, W\)"),
        (torch.zeros(4, 3, 2, 1, dtype=torch.uint8).permute(0, 2, 1, 3), r"got shape \(4, 2, 3, 1\)"),
        (torch.zeros(4, 1, 0, 2, dtype=torch.uint8), r"got shape \(4, 1, 0, 2\)"),
    ],
)
def test_images_in_another_form_are_refused(wrong, words):
    with pytest.raises(DataError, match=f"who: {words}"):
        check_images(wrong, "who")


def test_no_images_are_images():
    check_images(images(0), "who")
    assert len(labelled(0)) == 0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.zeros(3, dtype=torch.int64), r"\(3,\), expected torch\.int64 \(4,\): one label an image"),
        (torch.zeros(4, dtype=torch.int32), r"torch\.int32"),
        (torch.zeros(4, 1, dtype=torch.int64), r"\(4, 1\)"),
        (torch.tensor([0, 1, 2, 0]), r"labels 0\.\.2, expected 0\.\.1 for 2 classes"),
        (torch.tensor([0, -1, 1, 0]), r"labels -1\.\.1"),
    ],
)
def test_wrong_labels_are_refused(labels, words):
    with pytest.raises(DataError, match=words):
        LabelledImages(images(), labels, ("a", "b"))


def test_labelled_images_tell_their_form():
    data = LabelledImages(images(5, 3), torch.tensor([0, 2, 2, 0, 2]), ("a", "b", "c"))
    assert len(data) == 5 and data.shape == (3, 3, 2)
    assert data.class_counts.tolist() == [2, 0, 3]
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.classes = ()


def test_take_and_of_class_keep_pairs_and_order():
    data = labelled(6)
    taken = data.take(torch.tensor([5, 0, 5]))
    assert taken.images.equal(data.images[[5, 0, 5]]) and taken.labels.tolist() == [1, 0, 1]
    assert taken.classes == data.classes
    assert data.of_class(1).images.equal(data.images[1::2])


def test_fingerprint_is_of_the_content():
    data = labelled()
    copy = LabelledImages(data.images.clone(), data.labels.clone(), ("a", "b"))
    assert data.fingerprint == copy.fingerprint and len(data.fingerprint) == 64
    strided = data.images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert not strided.is_contiguous()
    assert LabelledImages(strided, data.labels, data.classes).fingerprint == data.fingerprint


def test_fingerprint_sees_every_part():
    data = labelled()
    pixel = data.images.clone()
    pixel[0, 0, 0, 0] += 1
    others = [
        LabelledImages(pixel, data.labels, data.classes),
        LabelledImages(data.images, 1 - data.labels, data.classes),
        LabelledImages(data.images, data.labels, ("a", "c")),
        LabelledImages(data.images, data.labels, ("a", "b", "c")),
        LabelledImages(data.images.reshape(4, 1, 2, 3), data.labels, data.classes),
        data.take(torch.tensor([1, 0, 2, 3])),
        data.take(torch.arange(3)),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_dataset_checks_its_splits():
    data = labelled()
    whole = Dataset("toy", data, data, data)
    assert whole.classes == ("a", "b") and len(whole.fingerprint) == 64
    with pytest.raises(DataError, match="dataset 'toy': its splits differ"):
        Dataset("toy", data, labelled(height=2), data)
    with pytest.raises(DataError, match="dataset 'toy': class 'b' has no image in test"):
        Dataset("toy", data, data, data.of_class(0))


def test_dataset_fingerprint_sees_which_split_is_which():
    one, two = labelled(4), labelled(6)
    assert Dataset("d", one, two, two).fingerprint != Dataset("d", two, one, two).fingerprint
    assert Dataset("d", one, two, two).fingerprint == Dataset("other name", one, two, two).fingerprint


@given(st.integers(0, 10**6), st.none() | st.integers(0, 10**6))
def test_budget_only_cuts(wanted, cap):
    steps = Budget(max_steps=cap).steps(wanted)
    assert steps == (wanted if cap is None else min(wanted, cap))


def test_no_checkpoint_keeps_nothing():
    checkpoint = NoCheckpoint()
    checkpoint.save({"index": 1})
    assert checkpoint.load() is None and not checkpoint.due()


def test_progress_knows_the_time_left_once_it_has_a_rate():
    assert Progress("cell", "fit", 10, 30, rate=4.0).seconds_left == 5.0
    assert Progress("cell", "fit").seconds_left is None


def test_status_reads_as_in_the_leaderboard():
    assert str(Status.OUT_OF_MEMORY) == "out_of_memory" and Status("diverged") is Status.DIVERGED


def test_config_is_frozen_and_knows_its_keys():
    class Mine(Config):
        width: int = Field(3, description="Channels.")

    with pytest.raises(ValidationError, match="frozen"):
        Mine().width = 4
    with pytest.raises(ValidationError, match="widht"):
        Mine(widht=4)


def test_generator_counts_the_elements_of_nested_state():
    class Toy(Generator):
        name = "toy"

        def fit(self, train, ctx):
            return None

        def sample(self, labels, ctx):
            raise NotImplementedError

        def state_dict(self):
            return {"a": torch.zeros(2, 3), "b": {"c": [torch.zeros(4), "text", 7]}, "d": (torch.zeros(()),)}

        def load_state_dict(self, state):
            pass

    assert Toy().num_parameters() == 6 + 4 + 1
    assert Toy().conditional and Toy().role == "generator" and Toy().fit_split == "train"


def test_problems_say_where():
    problem = Problem("b.yaml", 3, "sedes", "unknown key", "did you mean 'seeds'?")
    assert str(problem) == "b.yaml:3: sedes: unknown key (did you mean 'seeds'?)"
    assert str(Problem("--set", None, "x", "unknown key")) == "--set: x: unknown key"
    assert str(BenchmarkFileError([problem, problem])).count("\n") == 1
    assert DivergedError("loss became nan", 7).step == 7
