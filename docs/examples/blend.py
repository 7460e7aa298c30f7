"""A generator in one file: means of two training images of one class."""

import torch
from pydantic import Field

import benchbench as bb


class Blend(bb.Generator):
    """Averages pairs of real images; a baseline that any learned model should beat."""

    name = "blend"

    class Config(bb.Config):
        """How the pair is weighted."""

        weight: float = Field(0.5, ge=0, le=1, description="Share of the first image.")

    def fit(self, train, ctx):
        self.images, self.labels = train.images.clone(), train.labels.clone()

    def sample(self, labels, ctx):
        def draw(block, generator):
            scores = torch.rand(len(block), len(self.labels), generator=generator, device=block.device)
            same_class = block[:, None] == self.labels.to(block.device)
            first, second = scores.masked_fill(~same_class, -1).topk(2, dim=1).indices.cpu().T
            return self.images[second].float().lerp(self.images[first].float(), self.config.weight).round().byte()

        return bb.sample_in_blocks(labels, ctx, draw)

    def state_dict(self):
        return {"images": self.images, "labels": self.labels}

    def load_state_dict(self, state):
        self.images, self.labels = state["images"], state["labels"]


@bb.hookimpl
def benchbench_generators():
    return [Blend]
