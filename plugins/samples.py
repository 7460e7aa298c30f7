"""Images that a model has made somewhere else, scored as a row beside those that are fitted here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

import benchbench as bb

from .real_holdout import draw_by_class


class Samples(bb.Generator):
    """Gives back images from a folder, a zip or an npz file, each of them once.

    Nothing is fitted: every seed has the same images, in another order. Where they come without labels
    (``labels: pseudo_label`` in the benchmark file), a classifier trained on the real images labels each of them once.
    """

    name = "samples"
    images: Tensor
    labels: Tensor

    class Config(bb.Config):
        """Which images."""

        # a place, not a setting: left out of content keys, which take the images' fingerprint instead
        path: str = Field("", exclude=True, description="Folder, zip or npz; relative to the data folder, or absolute.")
        size: int | None = Field(
            None, ge=4, le=1024, description="Crop image files to the central square and resize them to this."
        )
        labelled: bool | None = Field(
            None, description="Whether the labels that come with them are taken; None: if there are some."
        )
        fingerprint: str = Field("", description="Found by looking; where it is given, the images must have it.")

        @model_validator(mode="after")
        def _looked_at(self) -> Samples.Config:
            """Look at the images, so that keys speak of them, and not of the place where they lie."""
            if self.path:
                try:
                    found = self.read()
                except (bb.DataError, bb.DataMissingError) as error:
                    raise ValueError(str(error)) from error
                fingerprint = found.data.fingerprint
                if self.fingerprint not in ("", fingerprint):
                    raise ValueError(
                        f"samples {Path(self.path).name}: got images of fingerprint {fingerprint[:12]}..., expected "
                        f"{self.fingerprint[:12]}...; they have changed: leave the key out to score them as they are"
                    )
                # frozen for everyone else: what a config is made from is completed here, once
                object.__setattr__(self, "fingerprint", fingerprint)
                object.__setattr__(self, "labelled", found.labelled)
            return self

        def read(self) -> bb.Samples:
            """The images."""
            path = Path(os.environ.get("BENCHBENCH_DATA_DIR", "data")) / Path(self.path).expanduser()
            return bb.read_samples(path, self.size, self.labelled)

    @property
    def conditional(self) -> bool:
        """Whether the images have labels of their own."""
        return self.config.labelled is not False

    @property
    def _who(self) -> str:
        return f"samples {Path(self.config.path).name}"

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> None:
        """Read the images, and bring them into the form of the real ones."""
        if not self.config.path:
            raise bb.UnsupportedDataError("samples: no images are named; say which with the config key 'path'")
        read = self.config.read()
        if read.data.fingerprint != self.config.fingerprint:
            raise bb.DataError(f"{self._who}: the images have changed while it ran; run it again")
        given = read.fitted_to(train.shape, train.classes, self._who)
        self.images, self.labels = given.images.clone(), given.labels.clone()

    def all_images(self) -> Tensor:
        """Every image, in the order of the files."""
        return self.images

    def assign(self, labels: Tensor) -> None:
        """Their labels, where they come without."""
        self.labels = labels

    def sample(self, labels: Tensor, ctx: bb.SampleContext) -> Tensor:
        """Draw without repeats.

        Raises:
            DataError: If there are too few images of a class.
        """
        classes = int(max(labels.max(), self.labels.max())) + 1
        wanted, there = (torch.bincount(each, minlength=classes) for each in (labels, self.labels))
        short = torch.nonzero(wanted > there).flatten().tolist()
        if short:
            listed = ", ".join(f"class {label}: {there[label]} of {wanted[label]}" for label in short[:5])
            raise bb.DataError(
                f"samples: too few images, and none is used twice ({listed}); bring more, or take fewer real images "
                "(settings: {fractions: [...]}); ratios above 1 need more, too"
            )
        return draw_by_class(self.images, self.labels, labels, ctx.seed)

    def state_dict(self) -> dict[str, Any]:
        """The images and their labels."""
        return {"images": self.images, "labels": self.labels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The images again."""
        self.images, self.labels = state["images"], state["labels"]


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring given images."""
    return [Samples]
