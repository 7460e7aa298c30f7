"""Control: held-out real images. The best that any generator can hope for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

import benchbench as bb


def draw_by_class(images: Tensor, image_labels: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Stored images of the wanted classes, each used once before any is used twice.

    Args:
        images: ``uint8 (N, C, H, W)``.
        image_labels: ``int64 (N,)``.
        labels: ``int64 (n,)``, the classes wanted.
        seed: Decides the order within each class.

    Returns:
        ``uint8 (n, C, H, W)``.
    """
    picked = torch.empty(len(labels), dtype=torch.int64)
    for label in labels.unique().tolist():
        members = torch.nonzero(image_labels == label).flatten()
        order = members[torch.randperm(len(members), generator=bb.torch_generator(seed, "class", label))]
        wanted = torch.nonzero(labels == label).flatten()
        picked[wanted] = order[torch.arange(len(wanted)) % len(order)]
    return images[picked]


class RealHoldout(bb.Generator):
    """Gives back images of the validation split, which no generator was fitted on."""

    name = "real_holdout"
    role = "control"
    expected: ClassVar[Literal["best", "worst", "copied"] | None] = "best"
    fit_split: ClassVar[Literal["train", "val"]] = "val"

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> None:
        """Keep the images (those of ``val``: see ``fit_split``)."""
        self.images, self.labels = train.images.clone(), train.labels.clone()

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """Draw without repeats while there are images of the class."""
        return draw_by_class(self.images, self.labels, labels, ctx.seed)

    def state_dict(self) -> dict[str, Any]:
        """The images."""
        return {"images": self.images, "labels": self.labels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The images again."""
        self.images, self.labels = state["images"], state["labels"]


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [RealHoldout]
