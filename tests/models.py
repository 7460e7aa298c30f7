"""One small model of every kind that trains, for tests of how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from benchbench_plugins.cgan import Cgan
from benchbench_plugins.dcgan import Dcgan
from benchbench_plugins.flow import Flow
from benchbench_plugins.vae import Vae
from benchbench_plugins.wgan_gp import WganGp
from torch import Tensor

import benchbench as bb
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.downstream.cnn_strided import CnnStrided
from benchbench.downstream.resnet9 import ResNet9Classifier
from benchbench.testing import mock_images

DATA = mock_images(3, 16, 16, per_class=40)
GANS = {"steps": 60, "batch_size": 16, "width": 8, "discriminator_width": 8}
GENERATORS: dict[str, bb.Generator] = {
    "dcgan": Dcgan(Dcgan.Config(**GANS)),
    "dcgan-layer": Dcgan(Dcgan.Config(**GANS, generator_norm="layer")),
    "dcgan-resnet": Dcgan(Dcgan.Config(**GANS, network="resnet", discriminator_norm="spectral", loss="hinge")),
    "cgan": Cgan(Cgan.Config(**GANS, n_critic=2, diff_augment=("color", "translation", "cutout"))),
    "cgan-resnet": Cgan(Cgan.Config(**GANS, n_critic=2, network="resnet", loss="hinge")),
    "wgan_gp": WganGp(WganGp.Config(**GANS, n_critic=2)),
    "wgan_gp-resnet": WganGp(WganGp.Config(**GANS, n_critic=2, network="resnet")),
    "vae": Vae(Vae.Config(steps=60, batch_size=16, width=8, latent=8)),
    "flow": Flow(Flow.Config(steps=60, batch_size=16, width=16, depth=2, scales=2)),
}
CLASSIFIERS: dict[str, bb.Classifier] = {
    "cnn_small": CnnSmall(CnnSmall.Config(width=8)),
    "cnn_strided": CnnStrided(CnnStrided.Config(width=8, batch_size=16, learning_rate=1e-3)),
    "resnet9": ResNet9Classifier(ResNet9Classifier.Config(width=8, batch_size=64)),
}


class Watched:
    """A training step that is taken within ``watch()``."""

    def __init__(self, inner: bb.TrainStep, watch: Callable[[], AbstractContextManager[Any]]) -> None:
        self.inner, self.watch = inner, watch
        self.exact = getattr(inner, "exact", False)

    def step(self, *arguments: Any) -> Mapping[str, Tensor]:
        with self.watch():
            return self.inner.step(*arguments)

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)
