"""benchmarks/perf/gpu.py with all that takes long made small: what it trains and prints, what it says without data."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import benchbench as bb
from benchbench.datasets.cifar import Cifar10
from benchbench.downstream.arms import classifier_seed
from benchbench.downstream.resnet9 import ResNet9Classifier
from benchbench.features.inception import DATA_DIR_VARIABLE
from benchbench.testing import mock_images
from benchbench.types import Predictor

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks/perf"


class Network(nn.Module):
    """Of Inception, a convolution and a batch norm, whose statistics are far from what it sees."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.convolution, self.norm = nn.Conv2d(3, 8, 3, stride=16), nn.BatchNorm2d(8)
        self.norm.running_mean.fill_(1000.0)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images)).relu().mean(dim=(2, 3))


def restored(state: dict[str, Any]) -> Network:
    network = Network()
    network.load_state_dict(state)
    return network


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, on a machine without weights."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv(DATA_DIR_VARIABLE, "")  # it sets that anew
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("perf_gpu", FOLDER / "gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "random_network", Network)
    monkeypatch.setattr(module, "FidInception", restored)
    return module


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--threads", "1", *words])
    script.main()


SMALL = ("--device", "cpu", "--images", "20", "--steps", "3", "--repeats", "2")


def test_both_goals_are_measured(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, asked = [], []

    class Small(ResNet9Classifier):
        def __init__(self) -> None:
            super().__init__(ResNet9Classifier.Config(width=2, batch_size=8))

        def train(self, train: bb.LabelledImages, steps: int, ctx: bb.FitContext) -> Predictor:
            assert ctx.augment is not None
            changed = ctx.augment(train.images, ctx.generator)
            assert changed.shape == train.images.shape and not torch.equal(changed, train.images)
            seen.append((ctx.seed, steps))
            return super().train(train, steps, ctx)

    def source(config: Any) -> SimpleNamespace:
        asked.append(config)
        data = mock_images(3, 32, 32, classes=10, per_class=2)
        return SimpleNamespace(load=lambda _: bb.Dataset("cifar10", train=data, val=data, test=data))

    source.Config = Cifar10.Config  # type: ignore[attr-defined]
    monkeypatch.setattr(script, "ResNet9Classifier", Small)
    monkeypatch.setattr(script, "Cifar10", source)
    run(script, monkeypatch, *SMALL)
    printed = capsys.readouterr().out
    assert "FID of 20 samples, random weights, median of 2: " in printed and "the goal is for 50,000" in printed
    assert "resnet9, 3 steps of 8 of 20 training images, crops, flips and cutout, f32" in printed
    assert printed.count("% of 20 test images") == 2
    assert "0 % of runs at 94 % or more; the goal is for all images" in printed
    assert seen == [(classifier_seed(number, 0), 3) for number in (script.WARM_UP_SEED, 0, 1)]
    assert [(each.train_per_class, each.val_per_class, each.test_per_class) for each in asked] == [(2, 1, 2)]


def test_all_images_are_taken_but_one_a_class(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Cifar10, "load", lambda self, _: asked.append(self.config))
    for images in (50_000, 49_990, 20_000):
        script.cifar10(Path(), images)
    assert [(each.train_per_class, each.test_per_class) for each in asked] == [(None, 1000), (4999, 1000), (2000, 1000)]


def test_random_weights_leave_no_channel_without_spread(script: ModuleType) -> None:
    inception, said = script.ruler(torch.device("cpu"))
    features = inception.extract(script.noise(40, seed=0), torch.device("cpu"))
    assert said == "random weights" and (features.std(axis=0) > 0).all()


def test_the_slower_way_of_moments_is_noticed(script: ModuleType) -> None:
    features = np.random.default_rng(0).normal(size=(50, 6))
    assert not script.nearly_singular(script.moments(features)[1])
    features[:, 2] = features[:, 4]
    assert script.nearly_singular(script.moments(features)[1])


def test_without_the_images_the_distance_is_measured_and_their_place_is_said(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def unreachable(self: Cifar10, data_dir: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr(Cifar10, "fetch", unreachable)
    with pytest.raises(SystemExit, match=r"(?s)'cifar10': it was not found.*cifar-10-python\.tar\.gz"):
        run(script, monkeypatch, *SMALL, "--data-dir", str(tmp_path / "none"))
    assert "FID of 20 samples" in capsys.readouterr().out


def test_without_a_gpu_it_says_so(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="shows no CUDA device"):
        run(script, monkeypatch)
