"""What every downstream classifier must be, and what each of them is."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
import torch
from torch import nn

import benchbench as bb
from benchbench.downstream._network_classifier import Descent
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.downstream.cnn_strided import CnnStrided, StridedCnn
from benchbench.downstream.resnet9 import LOGIT_SCALE, ResNet9, ResNet9Classifier, triangle
from benchbench.errors import UnsupportedDataError
from benchbench.testing import mock_images
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.types import Compute

CPU = torch.device("cpu")
CLASSIFIERS: dict[str, bb.Classifier] = {
    "cnn_small": CnnSmall(CnnSmall.Config(width=4)),
    "resnet9": ResNet9Classifier(ResNet9Classifier.Config(width=4, batch_size=32, learning_rate=0.1)),
    "cnn_strided": CnnStrided(CnnStrided.Config(width=4, learning_rate=3e-3)),
}


def context(seed: int = 0, **changes: Any) -> bb.FitContext:
    return dataclasses.replace(bb.FitContext(seed, CPU, bb.torch_generator(seed, "fit")), **changes)


@pytest.fixture(params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest) -> bb.Classifier:
    return CLASSIFIERS[request.param]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 16), (3, 20, 33)])
def test_it_learns_and_comes_back_from_its_state(classifier: bb.Classifier, shape: tuple[int, int, int]) -> None:
    data = mock_images(*shape)
    predictor = classifier.train(data, 60, context())
    probabilities = predictor.predict(data.images)
    assert probabilities.shape == (len(data), 3) and probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(data)))
    assert (probabilities.argmax(dim=1) == data.labels).float().mean() > 0.9
    buffer = io.BytesIO()
    torch.save(predictor.state_dict(), buffer)
    buffer.seek(0)
    again = classifier.restore(torch.load(buffer, weights_only=True), CPU)
    assert torch.equal(again.predict(data.images), probabilities)


@pytest.mark.parametrize("compute", [Compute(), Compute("bf16", channels_last=True)])
def test_same_seed_same_bits_and_a_resumed_one_too(classifier: bb.Classifier, compute: Compute) -> None:
    data, state = mock_images(1, 16, 16, per_class=6), torch.random.get_rng_state()
    checkpoint = MemoryCheckpoint(due_at=5)
    first = classifier.train(data, 8, context(compute=compute)).predict(data.images)
    whole = classifier.train(data, 8, context(compute=compute, checkpoint=checkpoint)).predict(data.images)
    resumed = classifier.train(data, 8, context(compute=compute, checkpoint=checkpoint)).predict(data.images)
    other = classifier.train(data, 8, context(1, compute=compute)).predict(data.images)
    assert torch.equal(first, whole) and torch.equal(first, resumed) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_augmentation_is_asked_for_in_every_step(classifier: bb.Classifier) -> None:
    calls = []

    def change(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        calls.append(len(images))
        return images

    classifier.train(mock_images(1, 16, 16), 5, context(augment=change))
    assert calls == [classifier.config.batch_size] * 5


@pytest.mark.parametrize(("name", "smallest"), [("resnet9", 8), ("cnn_strided", 16)])
def test_images_too_small_are_declined_with_a_remedy(name: str, smallest: int) -> None:
    data = mock_images(1, smallest - 1, smallest)
    with pytest.raises(UnsupportedDataError, match=f"expected at least {smallest}x{smallest}; use cnn_small"):
        CLASSIFIERS[name].train(data, 1, context())


def test_resnet9_has_the_published_size() -> None:
    """6.57 million weights at width 64 with ten classes (Page 2018)."""
    network = ResNet9(3, 10, 64)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    expected = 9 * (3 * 64 + 64 * 128 + 2 * 128 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512)
    assert len(convolutions) == 8
    assert sum(module.weight.numel() for module in convolutions) == expected
    assert sum(weight.numel() for weight in network.parameters()) == pytest.approx(6.57e6, rel=0.01)
    features = network.eval().features(torch.zeros(2, 3, 32, 32))
    assert features.shape == (2, 512)
    torch.testing.assert_close(network(torch.zeros(2, 3, 32, 32)), LOGIT_SCALE * features @ network.head.weight.T)


def test_the_strided_network_halves_four_times() -> None:
    network = StridedCnn((3, 32, 32), 10, 8)
    strides = [module.stride for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert strides == [(2, 2)] * 4
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, 64 * 2 * 2)


def test_the_triangle() -> None:
    values = [triangle(index, 99, 0.2) for index in range(99)]
    assert max(values) == pytest.approx(1.0) and values.index(max(values)) == 19
    assert values[0] == pytest.approx(0.05) and values[-1] == pytest.approx(0.0125)
    assert values[9] == pytest.approx(0.5) and values[59] == pytest.approx(0.5)


def test_a_descent_is_torch_s_own_by_hand() -> None:
    """Two Nesterov steps in plain formulas: v = m v + g, w -= lr (g + m v), with the weights' decay in g."""
    network = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]]))
    weight, velocity = network.weight.detach().clone().double(), None
    x, labels = torch.tensor([[1.0, 2.0], [0.5, -1.0]]), torch.tensor([0, 2])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.4, momentum=0.9, weight_decay=5e-4, nesterov=True)
    step = Descent(network, optimizer, lambda index, total: 0.5 / (index + 1), label_smoothing=0.1)
    for index in range(2):
        wanted = weight.clone().requires_grad_(True)
        target = 0.9 * nn.functional.one_hot(labels, 3).double() + 0.1 / 3
        loss = -(target * (x.double() @ wanted.T).log_softmax(dim=1)).sum(dim=1).mean()
        (gradient,) = torch.autograd.grad(loss, wanted)
        gradient = gradient + 5e-4 * weight
        velocity = gradient if velocity is None else 0.9 * velocity + gradient
        weight = weight - 0.4 * 0.5 / (index + 1) * (gradient + 0.9 * velocity)
        got = step.step(x, labels, index, 2)
        assert float(got["loss"]) == pytest.approx(float(loss.detach()), rel=1e-5)
    torch.testing.assert_close(network.weight.detach().double(), weight, rtol=1e-5, atol=1e-6)
