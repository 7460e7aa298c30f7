"""Control: blurred held-out images. Metrics must see that the details are gone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field
from torch import Tensor

import benchbench as bb

from .real_holdout import RealHoldout


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur ``uint8 (N, C, H, W)`` by a Gaussian of standard deviation ``sigma`` pixels (torchvision's).

    The kernel reaches ``ceil(3 sigma)`` pixels either way, less where an image is smaller than that: edges are
    mirrored, so it cannot reach beyond the other edge. Rounded to ``uint8``.
    """
    from torchvision.transforms.functional import gaussian_blur as blur  # a second, which only this control pays

    reach = math.ceil(3 * sigma)
    height, width = (2 * min(reach, size - 1) + 1 for size in images.shape[2:])
    blurred: Tensor = blur(images, [width, height], [sigma, sigma])
    return blurred


class Blur(RealHoldout):
    """Gives back images of the validation split, blurred."""

    name = "blur"
    expected = None

    class Config(bb.Config):
        """How much."""

        sigma: float = Field(1.0, gt=0, le=100, description="Standard deviation of the Gaussian in pixels.")

    def fit(self, train: bb.LabelledImages, ctx: bb.FitContext) -> None:
        """Keep the images, blurred."""
        super().fit(train, ctx)
        self.images = gaussian_blur(self.images, self.config.sigma)


@bb.hookimpl
def benchbench_generators() -> Sequence[type[bb.Generator]]:
    """Bring the control."""
    return [Blur]
