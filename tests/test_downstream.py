"""Labels for unconditional generators, arms, and what is measured of a classifier."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from benchbench_plugins.dcgan import Dcgan
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor

import benchbench as bb
from benchbench.downstream.arms import confusion_matrix, evaluate
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.downstream.labels import PerClass, PseudoLabel, balanced_labels, balanced_subset, labelled
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.types import Budget

CPU = torch.device("cpu")


def context(seed: int = 0, **extra: Any) -> bb.FitContext:
    return bb.FitContext(seed, CPU, bb.torch_generator(seed, "fit"), **extra)


def shades(per_class: int = 20, noise: int = 10) -> bb.LabelledImages:
    """Four classes of grey: easy to tell apart."""
    labels = torch.arange(4).repeat_interleave(per_class)
    generator = torch.Generator().manual_seed(0)
    jitter = torch.randint(0, noise, (len(labels), 1, 8, 8), generator=generator)
    return bb.LabelledImages((labels.view(-1, 1, 1, 1) * 70 + jitter).to(torch.uint8), labels, ("a", "b", "c", "d"))


class Resampler(bb.Generator):
    """Unconditional: gives back random training images; remembers what it saw."""

    name = "resampler"

    @property
    def conditional(self) -> bool:
        return False

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> Mapping[str, float]:
        self.images = train.images.clone()
        self.seen = train.labels.clone()
        self.budget = ctx.budget
        return {"seen": float(len(train))}

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        def draw(block: Tensor, generator: torch.Generator) -> Tensor:
            return self.images[torch.randint(len(self.images), (len(block),), generator=generator)]

        return bb.sample_in_blocks(labels, ctx, draw)

    def state_dict(self) -> dict[str, Any]:
        return {"images": self.images}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.images = state["images"]


@given(counts=st.lists(st.integers(1, 500), min_size=1, max_size=12), n=st.integers(1, 300))
def test_every_prefix_of_balanced_labels_has_the_proportions(counts: list[int], n: int) -> None:
    labels = balanced_labels(torch.tensor(counts), n)
    share = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    for length in {1, n // 3 or 1, n}:
        got = torch.bincount(labels[:length], minlength=len(counts)).double()
        assert float((got - share * length).abs().max()) < len(counts)
        assert int(got.sum()) == length
    assert torch.equal(balanced_labels(torch.tensor(counts), n + 5)[:n], labels)


def test_balanced_labels_of_balanced_classes_are_exact() -> None:
    assert torch.bincount(balanced_labels(torch.tensor([7, 7, 7]), 30)).tolist() == [10, 10, 10]


def test_a_balanced_subset_of_sorted_labels_has_every_class() -> None:
    labels = torch.arange(5).repeat_interleave(40)
    chosen = balanced_subset(labels, 5, 50)
    assert torch.bincount(labels[chosen]).tolist() == [10] * 5
    assert len(chosen.unique()) == 50
    assert sorted(balanced_subset(labels, 5, 200).tolist()) == list(range(200))
    assert int(chosen[labels[chosen] == 0].max()) > 10  # not the first of each class


def test_per_class_shares_a_deadline_out() -> None:
    seen: list[float] = []

    class Watch(Resampler):
        def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> Mapping[str, float]:
            assert ctx.deadline is not None
            seen.append(ctx.deadline - time.monotonic())
            return super().fit(train, ctx)

    PerClass(Watch, None).fit(shades(), context(deadline=time.monotonic() + 100.0))
    assert seen == pytest.approx([25.0, 100 / 3, 50.0, 100.0], abs=1.0)


def test_per_class_goes_on_in_the_class_that_was_interrupted() -> None:
    fitted: list[int] = []

    class Watched(Dcgan):
        def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> Mapping[str, float] | None:
            fitted.append(int(train.labels[0]))
            return super().fit(train, ctx)

    config = Dcgan.Config(steps=6, batch_size=8, z_dim=4, width=4, discriminator_width=4)
    checkpoint, train = MemoryCheckpoint(due_at=6 * 2 + 3), shades()
    whole, resumed = PerClass(Watched, config), PerClass(Watched, config)
    facts = whole.fit(train, context(checkpoint=checkpoint))
    assert checkpoint.saved is not None
    fitted.clear()
    assert resumed.fit(train, context(checkpoint=checkpoint)) == facts
    assert fitted == [2, 3]
    expected, got = (torch.cat([*map(torch.flatten, tensors(each.state_dict()))]) for each in (whole, resumed))
    assert torch.equal(got, expected)


def tensors(state: Any) -> list[Tensor]:
    """All those in nested dicts and lists."""
    if isinstance(state, Tensor):
        return [state.double()]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else []
    return [tensor for part in parts for tensor in tensors(part)]


def test_per_class_fits_each_model_on_its_class_alone() -> None:
    train = shades()
    generator = PerClass(Resampler, None)
    facts = generator.fit(train, context(budget=Budget(max_steps=100)))
    assert facts == {"seen": 20.0}
    for label, model in enumerate(generator.models):
        assert isinstance(model, Resampler)
        assert model.seen.unique().tolist() == [label]
        assert model.budget.max_steps == 25
    wanted = torch.tensor([3, 0, 3, 1, 2, 2])
    images = generator.sample(wanted, bb.SampleContext(1, CPU))
    assert torch.equal(images.float().mean(dim=(1, 2, 3)).div(70).floor().long(), wanted)


def test_pseudo_labels_fill_every_class_and_do_not_depend_on_n() -> None:
    train = shades()
    generator = PseudoLabel(Resampler, None, CnnSmall(CnnSmall.Config(width=4)), steps=40)
    generator.fit(train, context())
    labels = balanced_labels(train.class_counts, 80)
    images = generator.sample(labels, bb.SampleContext(5, CPU))
    assert torch.equal(images.float().mean(dim=(1, 2, 3)).div(70).floor().long(), labels)
    assert torch.equal(generator.sample(labels[:33], bb.SampleContext(5, CPU)), images[:33])
    again = PseudoLabel(Resampler, None, CnnSmall(CnnSmall.Config(width=4)), steps=40)
    again.load_state_dict(generator.state_dict())
    assert torch.equal(again.sample(labels, bb.SampleContext(5, CPU)), images)


def test_a_dropped_class_is_a_collapse_that_names_it() -> None:
    train = shades()
    generator = PseudoLabel(Resampler, None, CnnSmall(CnnSmall.Config(width=4)), steps=40)
    generator.fit(train, context())
    generator.model.load_state_dict({"images": train.images[train.labels != 2]})
    with pytest.raises(bb.CollapsedError, match=r"2 \(0 of 10\)"):
        generator.sample(balanced_labels(train.class_counts, 40), bb.SampleContext(0, CPU))


def test_labelled_picks_the_declared_way() -> None:
    classifier = CnnSmall()
    assert isinstance(labelled(Resampler, None, None, classifier, 1), Resampler)
    assert isinstance(labelled(Resampler, None, "per_class", classifier, 1), PerClass)
    assert isinstance(labelled(Resampler, None, "pseudo_label", classifier, 1), PseudoLabel)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_the_confusion_matrix_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, called = (torch.tensor(column) for column in zip(*pairs, strict=True))
    expected = reference.confusion_matrix(truth, called, labels=[0, 1, 2, 3])
    assert confusion_matrix(truth, called, 4).tolist() == expected.tolist()


def test_evaluate_counts_by_true_class() -> None:
    class Fixed:
        def predict(self, images: Tensor) -> Tensor:
            called = torch.zeros(len(images), dtype=torch.int64)
            called[:5] = 1
            return torch.nn.functional.one_hot(called, 4).float()

        def state_dict(self) -> dict[str, Any]:
            return {}

    result = evaluate(Fixed(), shades(per_class=10))
    assert result.per_class == [0.5, 0.0, 0.0, 0.0]
    assert result.accuracy == 5 / 40
    assert result.confusion[0] == [5, 5, 0, 0]


def test_the_classifier_learns_and_is_restored_and_reproducible() -> None:
    train = shades()
    classifier = CnnSmall(CnnSmall.Config(width=4))
    state = torch.get_rng_state()
    predictor = classifier.train(train, 60, context(3))
    again = classifier.train(train, 60, context(3))
    assert torch.equal(torch.get_rng_state(), state)
    probabilities = predictor.predict(train.images)
    assert torch.equal(again.predict(train.images), probabilities)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(len(train)), atol=1e-5)
    assert evaluate(predictor, train).accuracy == 1.0
    restored = classifier.restore(predictor.state_dict(), CPU)
    assert torch.equal(restored.predict(train.images), probabilities)
    assert torch.equal(restored.predict(train.images[:7]), probabilities[:7])


def test_the_initialisation_is_the_same_in_every_arm() -> None:
    """At a learning rate of almost nothing, two arms of one seed end at one network."""
    classifier = CnnSmall(CnnSmall.Config(width=4, learning_rate=1e-12, weight_decay=0.0))
    real, other = shades(), shades(noise=60)

    def weights(data: bb.LabelledImages, seed: int) -> Tensor:
        state = classifier.train(data, 1, context(seed)).state_dict()["network"]
        return torch.cat([value.flatten() for name, value in state.items() if name.endswith("weight")])

    assert torch.allclose(weights(real, 1), weights(other, 1), atol=1e-6)
    assert not math.isclose(float((weights(real, 1) - weights(real, 2)).abs().max()), 0.0, abs_tol=1e-3)


def test_arms_of_one_size_see_the_same_places_in_the_same_order() -> None:
    """The batch order depends on the seed and on how many images there are, on nothing else."""
    seen: list[list[int]] = []

    class Recorder:
        def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
            seen[-1] += labels.tolist()
            return {}

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    blank = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    for images in (blank, blank + 9):  # the label says which place it is
        seen.append([])
        places = bb.LabelledImages(images, torch.arange(40), tuple(map(str, range(40))))
        bb.fit_loop(Recorder(), places, context(3), steps=5, batch_size=16, phase="classifier")
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 40


def test_augmentation_changes_every_batch_and_resumes() -> None:
    batches: list[Tensor] = []

    class Recorder:
        def step(self, images: Tensor, labels: Tensor, index: int, total: int) -> Mapping[str, Tensor]:
            batches.append(images)
            return {}

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    def change(images: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randint(0, 256, images.shape, generator=generator, dtype=torch.uint8)

    for steps in (4, 2):
        bb.fit_loop(Recorder(), shades(), context(augment=change), steps=steps, batch_size=8)
    assert len({float(batch.sum()) for batch in batches[:4]}) == 4
    assert all(torch.equal(first, second) for first, second in zip(batches[:2], batches[4:], strict=True))
