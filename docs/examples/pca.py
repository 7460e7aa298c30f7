"""An extractor in one file: principal components of the pixels."""

import torch
from pydantic import Field

import benchbench as bb


class Pca(bb.FeatureExtractor):
    """The first principal components of the real training images, scaled to unit mean variance."""

    name = "pca"

    class Config(bb.Config):
        """How many."""

        components: int = Field(32, ge=1, description="Dimensions d; fewer where an image has fewer values.")

    def fit(self, train, ctx):
        pixels = bb.to_float(train.images).flatten(1).double()
        self.mean = pixels.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(pixels.T))  # in ascending order
        kept = slice(-self.config.components, None)
        self.axes = axes[:, kept] / variances[kept].mean().sqrt()

    def extract(self, images, device):
        parts = [bb.to_float(part).flatten(1).double() - self.mean for part in images.split(1000)]
        return torch.cat([part @ self.axes for part in parts]).float().numpy()

    def state_dict(self):
        return {"mean": self.mean, "axes": self.axes}

    def load_state_dict(self, state):
        self.mean, self.axes = state["mean"], state["axes"]


@bb.hookimpl
def benchbench_features():
    return [Pca]
