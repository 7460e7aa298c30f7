"""A dataset in one file: your own images, in one folder a class."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torchvision.datasets import ImageFolder

import benchbench as bb


class Folder(bb.DatasetSource):
    """DATA_DIR/<path>/{train,val,test}/<class>/*.png, brought to one size."""

    name = "folder"

    class Config(bb.Config):
        """Which folder, which size."""

        path: str = Field("images", description="Below --data-dir.")
        size: int = Field(32, ge=4, description="Sides of the squares that images are resized to, pixels.")

    def load(self, data_dir: Path) -> bb.Dataset:
        """Read the three splits; the classes are the names of the folders."""
        folder = data_dir / self.config.path
        return bb.Dataset(self.name, *(self._split(folder / part) for part in ("train", "val", "test")))

    def _split(self, folder: Path) -> bb.LabelledImages:
        if not folder.is_dir():
            raise bb.DataMissingError(f"folder: {folder} is missing; expected one folder a class in it")
        size = (self.config.size, self.config.size)
        found = ImageFolder(str(folder))
        pixels = [np.asarray(image.convert("RGB").resize(size, resample=2)) for image, _ in found]
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
        return bb.LabelledImages(images, torch.tensor(found.targets), tuple(found.classes))


@bb.hookimpl
def benchbench_datasets():
    return [Folder]
