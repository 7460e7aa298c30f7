"""Rules about how a generator samples, and what it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchbench.testing.generators import STEPS, GeneratorTrial
from benchbench.testing.mock import mock_images
from benchbench.testing.observing import NotApplicableError, differing, global_seed, same
from benchbench.testing.rule import expect, expect_equal, through_disk
from benchbench.testing.rule import rule as rule_of
from benchbench.testing.trial import CPU
from benchbench.types import Generator, LabelledImages, LikelihoodModel, SampleContext

rule = partial(rule_of, Generator)

# Where labels make no difference to the first fit, it is fitted once more, for so long.
MORE_STEPS = 20 * STEPS


@rule(
    "samples uint8 images, one a label", "return bb.to_uint8(floats in [-1, 1]) on the CPU, through bb.sample_in_blocks"
)
def samples(trial: GeneratorTrial) -> str:
    """Number, shape, dtype, place and range."""
    images = trial.sample(trial.run.generator)
    expect(isinstance(images, Tensor), f"sample returned a {type(images).__name__}")
    expected = (len(trial.labels), *trial.data.shape)
    expect(tuple(images.shape) == expected, f"samples have shape {tuple(images.shape)}, expected {expected}")
    expect(images.dtype == torch.uint8, f"samples have dtype {images.dtype}, expected torch.uint8")
    expect(images.device == CPU, f"samples are on {images.device}")
    low, high = int(images.min()), int(images.max())
    expect(high != 1, f"samples have values {low}..{high}: floats in [0, 1] were cast to uint8")
    return f"{tuple(images.shape)} {images.dtype}, values {low}..{high}"


@rule("gives the same samples for the same seed", "draw only from the generator that bb.sample_in_blocks hands to draw")
def same_seed(trial: GeneratorTrial) -> str:
    """Whatever the global generators' state."""
    with global_seed(1):
        one = trial.sample(trial.run.generator)
    with global_seed(2):
        two = trial.sample(trial.run.generator)
    expect_equal(one, two, "sampled twice with seed 1")
    return "identical"


@rule("gives other samples for another seed", "derive all sampling noise from ctx.seed")
def other_seed(trial: GeneratorTrial) -> str:
    """Unless all its samples are one image anyway."""
    images = trial.sample(trial.run.generator)
    alike = trial.sample(trial.run.generator, torch.zeros(20, dtype=torch.int64))
    if bool((alike == alike[:1]).all()):
        raise NotApplicableError("all samples of a class are one image")
    expect(not same(images, trial.sample(trial.run.generator, seed=2)), "seeds 1 and 2 gave the same samples")
    return "they differ"


@rule(
    "makes sample i whatever is sampled beside it",
    "sample through bb.sample_in_blocks, in evaluation mode (batch norm in training mode mixes a batch)",
)
def prefix(trial: GeneratorTrial) -> str:
    """Neither how many labels follow nor which ones matters."""
    generator, labels = trial.run.generator, trial.labels
    images = trial.sample(generator)
    for count in (7, 140):
        expect_equal(
            images[:count], trial.sample(generator, labels[:count]), f"{len(labels)} labels and the first {count}"
        )
        others = torch.cat([labels[:count], (labels[count:] + 1) % 3])
        expect_equal(images[:count], trial.sample(generator, others)[:count], f"other labels after the first {count}")
    return "identical"


@rule("leaves itself as it is when sampling", "sample in evaluation mode, and keep no state between calls")
def sampling_changes_nothing(trial: GeneratorTrial) -> str:
    """``state_dict`` is the same before and after."""
    generator = trial.run.generator
    before = deepcopy(generator.state_dict())
    trial.sample(generator)
    changed = differing(before, generator.state_dict())
    expect(not changed, f"sampling changed {changed} of its state_dict")
    return "unchanged"


@rule(
    "survives torch.save and torch.load(weights_only=True)",
    "put all that sample needs into state_dict, as tensors, numbers, strings, lists and dicts, the image shape and the "
    "number of classes among them, and rebuild the networks in load_state_dict",
)
def round_trip(trial: GeneratorTrial) -> str:
    """A fresh object with the loaded state samples the same."""
    expected = trial.sample(trial.run.generator)
    state = through_disk(trial.run.generator.state_dict())
    restored = trial.make()
    with global_seed(3):
        restored.load_state_dict(state)
    expect_equal(expected, trial.sample(restored), "before and after")
    return f"identical, {restored.num_parameters()} parameters"


@rule(
    "does with labels what it says",
    "let conditional return False where sample uses the labels' number only, and True where it uses the labels; a "
    "control whose fault is to give images of other classes says so by mislabels = True",
)
def labels_used(trial: GeneratorTrial) -> str:
    """Labels change the images of a conditional generator, and of no other; a control's are of their class.

    Where a control's fault is that they are not, it has the attribute ``mislabels``.
    """
    generator, labels = trial.run.generator, trial.labels
    images = trial.sample(generator)
    change = not same(images, trial.sample(generator, (labels + 1) % 3))
    if not generator.conditional:
        expect(not change, "conditional is False, but other labels gave other samples")
        return "labels make no difference, as declared"
    if not change and trial.cls.role == "control":
        raise NotApplicableError("labels make no difference to this control")
    if not change:
        taught = trial.fit(trial.data, max_steps=MORE_STEPS).generator
        images = trial.sample(taught)
        change = not same(images, trial.sample(taught, (labels + 1) % 3))
        expect(change, f"conditional is True, but with max_steps={MORE_STEPS} other labels gave the same samples")
    right = _of_their_class(images, labels, trial)
    if trial.cls.role == "control" and not trial.cls.mislabels:
        expect(right > 0.8, f"{right:.0%} of a control's samples look like their label's class")
    return f"labels make a difference; {right:.0%} of samples look like their class"


@rule(
    "learns nothing from images that it scores",
    "compute bits_per_dim in evaluation mode and under torch.inference_mode, and keep none of its data: it is called "
    "with test images",
)
def test_images(trial: GeneratorTrial) -> str:
    """Test images come near a generator in ``bits_per_dim`` only: state and samples are the same afterwards."""
    generator, test = trial.run.generator, mock_images(*trial.form, seed=1)
    if not isinstance(generator, LikelihoodModel):
        raise NotApplicableError("it has no bits_per_dim, and so is never shown test images")
    images = trial.sample(generator)
    state = deepcopy(generator.state_dict())
    generator.bits_per_dim(test, SampleContext(seed=1, device=CPU))
    kept = [name for name, value in _tensors(vars(generator)) if same(value, test.images) or same(value, test.labels)]
    expect(not kept, f"it keeps test images or their labels in {', '.join(kept)}")
    changed = differing(state, generator.state_dict())
    expect(not changed, f"bits_per_dim changed {changed} of its state_dict")
    expect_equal(images, trial.sample(generator), "before and after bits_per_dim")
    return "state and samples are as before"


@rule("gives one likelihood an image", "return float64 (N,) from bits_per_dim, computed in evaluation mode")
def likelihood(trial: GeneratorTrial) -> str:
    """If it has a likelihood: form, finiteness, and independence of the other images."""
    generator, data = trial.run.generator, trial.data
    if not isinstance(generator, LikelihoodModel):
        raise NotApplicableError("it has no bits_per_dim")
    ctx = SampleContext(seed=1, device=CPU)
    bits = generator.bits_per_dim(data, ctx)
    form = (bits.dtype, tuple(bits.shape))
    expect(form == (torch.float64, (len(data),)), f"bits_per_dim gave {form}")
    expect(bool(torch.isfinite(bits).all()), "bits_per_dim gave NaN or infinite values")
    few = generator.bits_per_dim(data.take(torch.arange(5)), ctx)
    expect(torch.allclose(bits[:5], few, atol=1e-6), "the first 5 images alone have other bits_per_dim")
    return f"{float(bits.mean()):.2f} bits/dim on average"


def _tensors(value: Any, name: str = "self") -> Iterator[tuple[str, Tensor]]:
    """All tensors in a nest of attributes, dicts and lists, with where they are."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, LabelledImages):
        yield name, value.images
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _tensors(item, f"{name}[{index}]")


def _of_their_class(images: Tensor, labels: Tensor, trial: GeneratorTrial) -> float:
    """Fraction of ``images`` whose nearest class mean of the training images is that of their label.

    Mirrored training images count too: a control may mirror, and the mock images' place tells their class.
    """
    data = trial.data
    means = torch.stack([data.of_class(k).images.double().mean(0) for k in range(len(data.classes))])
    means = torch.cat([means, means.flip(-1)]).flatten(1)
    nearest = torch.cdist(images.flatten(1).double(), means).argmin(dim=1) % len(data.classes)
    return float((nearest == labels).double().mean())
