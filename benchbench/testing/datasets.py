"""A dataset under trial, and the rules for it."""

from __future__ import annotations

import os
from functools import cached_property, partial
from pathlib import Path

from benchbench.errors import DataMissingError
from benchbench.testing.observing import UNUSUAL_SEED, NotApplicableError, global_seed
from benchbench.testing.rule import expect
from benchbench.testing.rule import rule as rule_of
from benchbench.testing.trial import Trial
from benchbench.types import Dataset, DatasetSource, LabelledImages

rule = partial(rule_of, DatasetSource)

# Real collections hold some images twice; a split that was drawn with replacement holds many.
SHARED = 0.05


class DatasetTrial(Trial[DatasetSource]):
    """Loads a dataset from where the command line looks for it, once."""

    @cached_property
    def first(self) -> Dataset:
        """The dataset.

        Raises:
            NotApplicableError: If its files are not on this machine.
        """
        try:
            return self.load()
        except DataMissingError as missing:
            raise NotApplicableError(str(missing)) from missing

    @cached_property
    def again(self) -> tuple[Dataset, list[str]]:
        """The dataset once more, and whose global random state that changed; what it imports is imported by then."""
        _ = self.first
        with global_seed(UNUSUAL_SEED) as changed:
            return self.load(), changed()

    def load(self) -> Dataset:
        """By a fresh object; what is not here is not fetched for a trial."""
        source, folder = self.make(), Path(os.environ.get("BENCHBENCH_DATA_DIR", "data"))
        source.check(folder)
        return source.load(folder)


@rule(
    "loads three splits", "return a bb.Dataset of three bb.LabelledImages; where files are missing, bb.DataMissingError"
)
def loads(trial: DatasetTrial) -> str:
    """Form, and that every class is in every split, which a Dataset sees to itself."""
    dataset = trial.first
    expect(isinstance(dataset, Dataset), f"load returned a {type(dataset).__name__}")
    sizes = ", ".join(f"{len(getattr(dataset, name))} {name}" for name in ("train", "val", "test"))
    return f"{sizes}; images of {dataset.train.shape}, {len(dataset.classes)} classes"


@rule("loads the same images every time", "sort what a folder lists, and split with bb.torch_generator(0, ...)")
def repeats(trial: DatasetTrial) -> str:
    """Whatever the global generators' state."""
    first, again = trial.first.fingerprint, trial.again[0].fingerprint
    expect(first == again, "loaded twice, its fingerprint differs")
    return f"fingerprint {first[:12]}"


@rule("keeps its splits apart", "give every image to one split")
def apart(trial: DatasetTrial) -> str:
    """Few images stand, bit for bit, in two splits."""
    dataset = trial.first
    train, val, test = (_images(part) for part in (dataset.train, dataset.val, dataset.test))
    shares = {"val": len(val & train) / len(val), "test": len(test & (train | val)) / len(test)}
    for name, share in shares.items():
        expect(share <= SHARED, f"{share:.1%} of {name} stand in another split too")
    return f"{shares['val']:.2%} of val and {shares['test']:.2%} of test stand in another split too"


@rule("leaves the global random state alone", "split with a torch.Generator of its own")
def global_state(trial: DatasetTrial) -> str:
    """Of torch, numpy and Python."""
    changed = trial.again[1]
    expect(not changed, f"load changed the global state of {', '.join(changed)}")
    return "unchanged"


def _images(part: LabelledImages) -> set[bytes]:
    """Different images of a split."""
    return {image.tobytes() for image in part.images.numpy()}
