"""Labels for generators that cannot condition: one model a class, or a classifier that labels samples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchbench.errors import CollapsedError
from benchbench.seeding import derive_seed, torch_generator
from benchbench.types import (
    Budget,
    Checkpoint,
    Classifier,
    FiniteSet,
    FitContext,
    Generator,
    LabelledImages,
    Predictor,
    SampleContext,
)

# Candidates are drawn in portions of one size, so that what position i gets does not depend on n.
PORTION = 1024
# Candidates a wanted image, after which a class that has not turned up counts as missing.
MAX_DRAWS = 50


def balanced_labels(class_counts: Tensor, n: int) -> Tensor:
    """``n`` labels in the proportions of ``class_counts``, spread evenly.

    Every prefix is the apportionment of its length by Webster's method, so the first m labels serve where only
    m images are wanted.

    Args:
        class_counts: ``int64 (K,)``, not all zero.
        n: How many labels.

    Returns:
        ``int64 (n,)``.
    """
    share = class_counts.double() / class_counts.sum()
    # No class gets more than its share by as many as there are classes.
    most = torch.where(share > 0, (share * n).ceil() + len(share), 0.0).to(torch.int64)
    label = torch.repeat_interleave(torch.arange(len(share)), most)
    place = torch.arange(len(label)) - torch.repeat_interleave(most.cumsum(0) - most, most)
    order = ((place + 0.5) / share[label]).argsort(stable=True)
    return label[order[:n]]


def balanced_subset(labels: Tensor, num_classes: int, n: int) -> Tensor:
    """Indices of ``n`` of the images, in the classes' proportions, in the order of :func:`balanced_labels`.

    Which images of a class are taken is drawn with a pinned seed: files are often sorted, and the first n of
    them would be one class, or one writer.

    Args:
        labels: ``int64 (N,)``.
        num_classes: K.
        n: At most N.

    Returns:
        ``int64 (n,)``, without repeats.
    """
    order = torch.randperm(len(labels), generator=torch_generator(0, "balanced subset"))
    if n >= len(labels):
        return order
    wanted = balanced_labels(torch.bincount(labels, minlength=num_classes), n)
    chosen = torch.empty(n, dtype=torch.int64)
    for label in wanted.unique().tolist():
        members = order[labels[order] == label]
        places = torch.nonzero(wanted == label).flatten()
        chosen[places] = members[: len(places)]
    return chosen


class PerClass(Generator):
    """One unconditional model a class, each with the full config; a step budget is shared out equally.

    Args:
        make: Makes a fresh unconditional generator.
    """

    name = "per_class"

    def __init__(self, make: type[Generator], config: Any) -> None:
        super().__init__(config)
        self.make = make
        self.models: list[Generator] = []

    def fit(self, train: LabelledImages, ctx: FitContext) -> Mapping[str, float]:
        """Fit a model on the images of each class, or go on from a checkpoint; facts are averaged over classes."""
        classes = len(train.classes)
        kept = ctx.checkpoint.load() or {"finished": [], "facts": []}
        finished, facts = kept["finished"], kept["facts"]
        self.load_state_dict({"models": finished})
        cap = ctx.budget.max_steps
        budget = Budget(None if cap is None else max(1, cap // classes), ctx.budget.max_seconds)
        for label in range(len(finished), classes):
            model = self.make(self.config)
            seed = derive_seed(ctx.seed, "class", label)
            part = replace(
                ctx,
                seed=seed,
                generator=torch_generator(seed, "fit", device=ctx.device),
                budget=budget,
                deadline=_share(ctx.deadline, classes - label),
                checkpoint=_OneOfMany(ctx.checkpoint, finished, facts),
                log=lambda phase, step, total, values, at=label: ctx.log(  # type: ignore[misc]
                    phase, at * total + step, classes * total, values
                ),
                note=lambda step, kind, message, at=label: ctx.note(  # type: ignore[misc]
                    step, kind, f"class {train.classes[at]}: {message}"
                ),
            )
            facts.append(dict(model.fit(train.of_class(label), part) or {}))
            self.models.append(model)
            finished.append(model.state_dict())
        return {name: sum(fact[name] for fact in facts) / len(facts) for name in facts[0]}

    def sample(self, labels: Tensor, ctx: SampleContext) -> Tensor:
        """Each class from its own model."""
        parts = {
            label: self.models[label].sample(
                labels[labels == label], SampleContext(derive_seed(ctx.seed, "class", label), ctx.device)
            )
            for label in labels.unique().tolist()
        }
        first = next(iter(parts.values()))
        images = torch.empty(len(labels), *first.shape[1:], dtype=first.dtype)
        for label, drawn in parts.items():
            images[labels == label] = drawn
        return images

    def state_dict(self) -> dict[str, Any]:
        """The models' states, by class."""
        return {"models": [model.state_dict() for model in self.models]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The models again."""
        self.models = [self.make(self.config) for _ in state["models"]]
        for model, part in zip(self.models, state["models"], strict=True):
            model.load_state_dict(part)


def _share(deadline: float | None, models: int) -> float | None:
    """The deadline of the next of so many models: each gets an equal part of what is left."""
    if deadline is None:
        return None
    now = time.monotonic()
    return now + (deadline - now) / models


@dataclass
class _OneOfMany:
    """The checkpoint of one class's model, which keeps those that were finished before it, too.

    Attributes:
        parent: Of the whole fit.
        finished: The states of the classes before this one.
        facts: Theirs.
    """

    parent: Checkpoint
    finished: list[dict[str, Any]]
    facts: list[dict[str, float]]

    def load(self) -> dict[str, Any] | None:
        """The state, if it was this class that was interrupted."""
        kept = self.parent.load()
        return kept["state"] if kept and len(kept["finished"]) == len(self.finished) else None

    def due(self) -> bool:
        """As the parent says."""
        return self.parent.due()

    def save(self, state: dict[str, Any]) -> None:
        """Keep it with what was finished."""
        self.parent.save({"finished": self.finished, "facts": self.facts, "state": state})


class _Labelled(Generator):
    """A generator without labels, and the classifier that gives them: trained on the same real images.

    There is no confidence threshold: it would favour easy images and skew the classes.

    Args:
        make: The unconditional generator's class.
        config: Its config.
        classifier: The labeller.
        steps: Optimizer steps of the labeller.
    """

    name = "pseudo_label"

    def __init__(self, make: type[Generator], config: Any, classifier: Classifier, steps: int) -> None:
        super().__init__(config)
        self.model = make(config)
        self.classifier = classifier
        self.steps = steps


class PseudoLabel(_Labelled):
    """One unconditional model, whose samples are labelled as they are drawn.

    The k-th position that wants class c gets the k-th candidate that the classifier calls c.
    """

    def __init__(self, make: type[Generator], config: Any, classifier: Classifier, steps: int) -> None:
        super().__init__(make, config, classifier, steps)
        self.labeller: Predictor | None = None
        self._labeller_state: Mapping[str, Any] = {}

    def fit(self, train: LabelledImages, ctx: FitContext) -> Mapping[str, float] | None:
        """Fit the model on all images, and the labeller on the same ones."""
        facts = self.model.fit(train, ctx)
        self.labeller = _train_labeller(self.classifier, train, self.steps, ctx)
        self._labeller_state = self.labeller.state_dict()
        return facts

    def sample(self, labels: Tensor, ctx: SampleContext) -> Tensor:
        """Draw candidates until every wanted class is filled.

        Raises:
            CollapsedError: If a class has not turned up often enough in 50 candidates an image.
        """
        labeller = self.labeller or self.classifier.restore(self._labeller_state, ctx.device)
        wanted = {label: torch.nonzero(labels == label).flatten() for label in labels.unique().tolist()}
        filled = dict.fromkeys(wanted, 0)
        images: Tensor | None = None
        portions = max(1, MAX_DRAWS * len(labels) // PORTION)
        for portion in range(portions):
            part = SampleContext(derive_seed(ctx.seed, "portion", portion), ctx.device)
            candidates = self.model.sample(torch.zeros(PORTION, dtype=torch.int64), part)
            called = labeller.predict(candidates).argmax(dim=1)
            if images is None:
                images = torch.empty(len(labels), *candidates.shape[1:], dtype=candidates.dtype)
            for label, places in wanted.items():
                found = torch.nonzero(called == label).flatten()[: len(places) - filled[label]]
                images[places[filled[label] : filled[label] + len(found)]] = candidates[found]
                filled[label] += len(found)
            if all(filled[label] == len(places) for label, places in wanted.items()):
                return images
        lacking = [
            f"{label} ({filled[label]} of {len(wanted[label])})"
            for label in wanted
            if filled[label] < len(wanted[label])
        ]
        raise CollapsedError(
            f"pseudo_label: after {portions * PORTION} candidates, these classes are not filled: {', '.join(lacking)}; "
            "the model has dropped them, or the labeller does not know them",
            0,
        )

    def state_dict(self) -> dict[str, Any]:
        """The model's and the labeller's states."""
        return {"model": self.model.state_dict(), "labeller": dict(self._labeller_state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Both again."""
        self.model.load_state_dict(state["model"])
        self._labeller_state, self.labeller = state["labeller"], None


def _train_labeller(classifier: Classifier, train: LabelledImages, steps: int, ctx: FitContext) -> Predictor:
    """A classifier of the same real images that the generator was fitted on, from a seed of its own."""
    seed = derive_seed(ctx.seed, "labeller")
    generator = torch_generator(seed, "fit", device=ctx.device)
    part = FitContext(seed, ctx.device, generator, log=ctx.log, note=ctx.note, compute=ctx.compute)
    return classifier.train(train, steps, part)


class LabelledOnce(_Labelled):
    """A finite set of images (a :class:`benchbench.types.FiniteSet`), each of which is labelled once."""

    def fit(self, train: LabelledImages, ctx: FitContext) -> Mapping[str, float] | None:
        """Make the set ready, then label all of it."""
        facts = self.model.fit(train, ctx)
        assert isinstance(self.model, FiniteSet)
        labeller = _train_labeller(self.classifier, train, self.steps, ctx)
        self.model.assign(labeller.predict(self.model.all_images()).argmax(dim=1))
        return facts

    def sample(self, labels: Tensor, ctx: SampleContext) -> Tensor:
        """As the set samples, once its images have labels."""
        return self.model.sample(labels, ctx)

    def state_dict(self) -> dict[str, Any]:
        """The set's, labels included."""
        return self.model.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The set again."""
        self.model.load_state_dict(state)


def labelled(
    cls: type[Generator], config: Any, labels: str | None, classifier: Classifier, classifier_steps: int
) -> Generator:
    """A generator that honours labels, by itself or by the way the benchmark file declares.

    Args:
        cls: The generator's class.
        config: Its config.
        labels: None, ``per_class`` or ``pseudo_label``.
        classifier: The labeller for ``pseudo_label``.
        classifier_steps: Its optimizer steps.
    """
    if labels == "per_class":
        return PerClass(cls, config)
    if labels == "pseudo_label" and issubclass(cls, FiniteSet):
        return LabelledOnce(cls, config, classifier, classifier_steps)
    if labels == "pseudo_label":
        return PseudoLabel(cls, config, classifier, classifier_steps)
    return cls(config)
