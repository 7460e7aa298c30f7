"""Data settings: who sees which images, and that nothing leaks from what a setting leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import benchbench as bb
from benchbench.config import SettingsSpec
from benchbench.datasets.subset import class_sizes, subset_index
from benchbench.downstream.arms import oversampled, part_of, together
from benchbench.downstream.sample_plan import fill_counts, filling_labels, plan_samples
from benchbench.plan import Setting, all_settings, expand
from benchbench.runner.progress import ProgressFile
from benchbench.runner.stages import Stages
from benchbench.runner.worker import _run
from benchbench.runner.workspace import Workspace, open_workspace

# --- which images a setting keeps ---------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=12),
    st.floats(0.01, 1.0),
    st.floats(1.0, 200.0),
    st.integers(0, 50),
)
def test_a_subset_has_the_sizes_it_should_and_no_repeats(
    counts: list[int], fraction: float, imbalance: float, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    index = subset_index(labels, len(counts), fraction, imbalance, seed)
    sizes = class_sizes(torch.tensor(counts), fraction, imbalance)
    assert torch.equal(torch.bincount(labels[index], minlength=len(counts)), sizes)
    assert len(index.unique()) == len(index)
    assert bool((sizes >= 1).all())


def test_the_long_tail_is_exponential() -> None:
    assert class_sizes(torch.full((5,), 1000), 1.0, 16.0).tolist() == [1000, 500, 250, 125, 62]  # 62.5 to even
    assert class_sizes(torch.full((3,), 100), 0.5, 1.0).tolist() == [50, 50, 50]


def test_subsets_of_one_seed_are_nested_and_of_two_seeds_differ() -> None:
    labels = torch.arange(4).repeat_interleave(50)
    small, large = (set(subset_index(labels, 4, part, 1.0, 7).tolist()) for part in (0.1, 0.5))
    assert small < large
    assert small != set(subset_index(labels, 4, 0.1, 1.0, 8).tolist())


def test_every_fraction_is_run_with_every_imbalance_the_fullest_first() -> None:
    names = [setting.name for setting in all_settings(SettingsSpec(fractions=[0.1, 1.0], imbalance=[10.0, 1.0]))]
    assert names == ["full", "fraction-0.1", "imbalance-10", "fraction-0.1-imbalance-10"]


# --- what is sampled, and what serves what -------------------------------------------------------------------


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 300))
def test_filling_goes_to_the_class_that_has_fewest(counts: list[int], n: int) -> None:
    labels = filling_labels(torch.tensor(counts), n)
    have = torch.tensor(counts)
    for label in labels.tolist():
        assert int(have[label]) == int(have.min())
        have[label] += 1
    assert len(labels) == n
    assert torch.equal(filling_labels(torch.tensor(counts), n + 9)[:n], labels)


def labelled(counts: list[int]) -> bb.LabelledImages:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    images = torch.arange(len(labels), dtype=torch.int64).remainder(256).to(torch.uint8)
    return bb.LabelledImages(images[:, None, None, None].expand(-1, 1, 2, 2).clone(), labels, ("a", "b", "c"))


def test_the_pool_serves_every_arm_and_the_held_out_samples_none() -> None:
    counts = torch.tensor([30, 12, 3])
    test_labels = torch.arange(3).repeat_interleave(20)
    plan = plan_samples(counts, [0.5, 2.0], test_labels, held_out=30)
    drawn = bb.LabelledImages(
        torch.arange(len(plan.labels), dtype=torch.int64)
        .remainder(251)
        .to(torch.uint8)[:, None, None, None]
        .repeat(1, 1, 2, 2),
        plan.labels,
        ("a", "b", "c"),
    )
    place = {int(image[0, 0, 0]) for image in plan.of_held_out(drawn).images}
    assert torch.equal(plan.of_held_out(drawn).class_counts, torch.tensor([10, 10, 10]))
    assert torch.equal(plan.as_train(drawn).class_counts, counts)
    half, double = plan.filling(drawn, 0.5), plan.filling(drawn, 2.0)
    assert torch.equal(half.class_counts, fill_counts(counts, 0.5))
    assert len(half) == 22  # round(0.5 * 45) to even
    assert (counts + half.class_counts).tolist() == [30, 19, 18]
    assert (counts + double.class_counts).tolist() == [45, 45, 45]
    for arm in (plan.as_train(drawn), half, double):
        assert not place & {int(image[0, 0, 0]) for image in arm.images}


def test_oversampling_evens_out_classes_with_whole_turns() -> None:
    made = oversampled(labelled([4, 2, 1]))
    assert made.class_counts.tolist() == [4, 4, 4]
    assert sorted(made.images[made.labels == 1][:, 0, 0, 0].tolist()) == [4, 4, 5, 5]


def test_parts_are_nested_and_keep_every_class() -> None:
    data = labelled([40, 10, 1])
    small, large = part_of(data, 0.1, 0), part_of(data, 0.5, 0)
    assert small.class_counts.tolist() == [4, 1, 1]
    assert set(small.images[:, 0, 0, 0].tolist()) <= set(large.images[:, 0, 0, 0].tolist())
    assert torch.equal(together(small, large).labels, torch.cat([small.labels, large.labels]))


# --- nothing leaks -------------------------------------------------------------------------------------------

# Digits whose training images outside the 10 % subset of seed 0 are white but for their labels; white test and
# validation images would be as telling, so those are striped.
SPIES = """
import json
from pathlib import Path

import torch

import benchbench as bb
from benchbench.datasets.digits import Digits
from benchbench.datasets.subset import subset_index
from benchbench.downstream.cnn_small import CnnSmall

NOTES = Path(__file__).with_name("seen.jsonl")


def marks(images):
    white, striped = (images == 255).flatten(1).all(1), (images[:, :, 0] == 77).flatten(1).all(1)
    return {"white": bool(white.any()), "striped": bool(striped.any())}


def note(who, images, count):
    with NOTES.open("a") as file:
        file.write(json.dumps({"who": who, "n": count, **marks(images)}) + "\\n")


class Marked(bb.DatasetSource):
    name = "marked"

    def load(self, data_dir):
        data = Digits().load(data_dir)
        train = data.train.images.clone()
        kept = subset_index(data.train.labels, 10, 0.1, 1.0, 0)
        left = torch.ones(len(train), dtype=torch.bool)
        left[kept] = False
        train[left] = 255
        held_out = []
        for split in (data.val, data.test):
            images = split.images.clone()
            images[:, :, 0] = 77
            held_out.append(bb.LabelledImages(images, split.labels, split.classes))
        return bb.Dataset("marked", bb.LabelledImages(train, data.train.labels, data.classes), *held_out)


class Spy(bb.Generator):
    name = "spy"

    def fit(self, train, ctx):
        note("generator", train.images, len(train))
        self.images, self.labels = train.images.clone(), train.labels.clone()

    def sample(self, labels, ctx):
        places = [int(torch.nonzero(self.labels == label)[0]) for label in labels.tolist()]
        images = self.images[torch.tensor(places)]
        return torch.where(torch.arange(len(labels))[:, None, None, None] % 2 == 0, images, images // 2)

    def state_dict(self):
        return {"images": self.images, "labels": self.labels}

    def load_state_dict(self, state):
        self.images, self.labels = state["images"], state["labels"]


class SpyClassifier(CnnSmall):
    name = "spy_classifier"

    def train(self, train, steps, ctx):
        note("classifier", train.images, len(train))
        return super().train(train, steps, ctx)


@bb.hookimpl
def benchbench_datasets():
    return [Marked]


@bb.hookimpl
def benchbench_generators():
    return [Spy]


@bb.hookimpl
def benchbench_classifiers():
    return [SpyClassifier]
"""

BENCHMARK = """\
name: leak
dataset: marked
plugins: [spies.py]
settings: {{{settings}}}
generators: [{{name: spy, generator_data: {data}}}]
seeds: [0]
protocol:
  features: [{{name: domain, config: {{steps: 5}}}}]
  metrics: [fd, memorization]
  classifier: {{name: spy_classifier, config: {{width: 4}}}}
  classifier_steps: 3
  ratios: [0.5, 2.0]
  curve: [0.5]
"""


def workspace(folder: Path, data: str, settings: str = "fractions: [0.1]") -> Workspace:
    (folder / "spies.py").write_text(SPIES)
    (folder / "b.yaml").write_text(BENCHMARK.format(data=data, settings=settings))
    return open_workspace(
        folder / "b.yaml", overrides=[], plugins=[], device="cpu", data_dir=folder, runs_dir=folder / "runs"
    )


def run_all(folder: Path, data: str, settings: str = "fractions: [0.1]") -> list[dict[str, object]]:
    """Run every cell in this process; what the spies saw."""
    work = workspace(folder, data, settings)
    for cell in expand(work.benchmark):
        progress = ProgressFile(folder / "progress.json")
        failures = list(_run(Stages(work, cell, progress), progress, {}))
        assert failures == []
    return [json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines()]


def test_no_image_left_out_of_a_setting_reaches_a_generator_or_an_arm(tmp_path: Path) -> None:
    seen = run_all(tmp_path, "labelled")
    assert [note["n"] for note in seen if note["who"] == "generator"] == [120]
    # real, its half, classical; synthetic; mixed, and mixed with classical augmentation, at two ratios
    trained = sorted(int(str(note["n"])) for note in seen if note["who"] == "classifier")
    assert trained == [60, 120, 120, 120, 180, 180, 360, 360]
    assert not any(note["white"] or note["striped"] for note in seen)


@pytest.mark.parametrize("data", ["full", "unlabelled"])
def test_the_transfer_track_sees_them_and_no_held_out_image(tmp_path: Path, data: str) -> None:
    seen = run_all(tmp_path, data)
    (fit,) = [note for note in seen if note["who"] == "generator"]
    assert fit["n"] == 1197
    assert fit["white"]
    assert not any(note["striped"] for note in seen)


def test_an_unlabelled_generator_does_not_learn_the_labels_of_the_rest(tmp_path: Path) -> None:
    work = workspace(tmp_path, "unlabelled")
    cell = next(cell for cell in expand(work.benchmark) if cell.spec is not None)
    shown = Stages(work, cell, ProgressFile(tmp_path / "p"))._shown()
    truth = work.dataset.train.labels
    known = cell.setting.index(work.dataset.train, 0)
    assert torch.equal(shown.labels[known], truth[known])
    rest = torch.ones(len(truth), dtype=torch.bool)
    rest[known] = False
    assert len(shown.labels[rest].unique()) == 1  # all white: one guess for all of them, whatever their labels


def test_another_seed_has_another_subset_and_other_keys(tmp_path: Path) -> None:
    inputs = workspace(tmp_path, "labelled").inputs
    cells = [cell for seed in (0, 1) for cell in expand(inputs.benchmark) if cell.spec is None]
    other = type(cells[0])(cells[0].row, 1, None, cells[0].setting)
    assert inputs.train(cells[0]).fingerprint != inputs.train(other).fingerprint
    whole = type(cells[0])("real", 1, None, Setting())
    assert inputs.train(whole).fingerprint == inputs.dataset.train.fingerprint


def test_a_long_tail_is_fitted_as_it_is_and_filled_by_the_arms(tmp_path: Path) -> None:
    seen = run_all(tmp_path, "labelled", "imbalance: [10]")
    work = workspace(tmp_path, "labelled", "imbalance: [10]")
    (baseline, cell) = expand(work.benchmark)
    counts = work.inputs.train(cell).class_counts
    assert int(counts[0]) / int(counts[-1]) == pytest.approx(10, rel=0.1)
    real, largest = int(counts.sum()), int(counts.max())
    assert [note["n"] for note in seen if note["who"] == "generator"] == [real]
    trained = [note["n"] for note in seen if note["who"] == "classifier"]
    assert trained.count(10 * largest) == 1  # oversampled: every class as large as the largest
    assert trained.count(real + round(0.5 * real)) == 2  # mixed, with and without classical augmentation
    assert [arm.name for arm in work.inputs.arms(baseline)] == ["real", "classical", "oversampled", "real_part"]
    mixed = work.inputs.sample_plan(cell).class_counts + fill_counts(counts, 0.5)
    assert int(mixed.max() - mixed.min()) < int(counts.max() - counts.min())
