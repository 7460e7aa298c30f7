"""What of the way a GPU goes can be seen without one: where tensors lie, of what type they are, who waits for them.

torch's fake tensors have a device, a shape and a type but no values. Here they pretend to lie on a GPU: an operation
between two devices is an error, and so is reading a value, for which a GPU would have to be waited for. Autograd's
engine wants a real GPU: gradients are zeros, and what happens backward is left to tests/gpu.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from models import CLASSIFIERS, DATA, GENERATORS, Watched
from test_features import random_inception_weights
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

import benchbench as bb
from benchbench.features._fid_inception import FidInception
from benchbench.features.domain import Domain
from benchbench.features.inception import Inception
from benchbench.training import augmentation, loop, pixels, sampling
from benchbench.training.acceleration import resolve
from benchbench.training.augmentation import augment
from benchbench.training.batches import BatchPlan
from benchbench.types import Augmentation, Budget, FitContext, LabelledImages

# Copies of a network ask whether a tensor has memory of its own.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
STEPS = 4


class Randomness(torch.Generator):
    """On a device that need not be there: fake tensors draw nothing from it, but :func:`drawing` looks where it is."""

    def __new__(cls, device: torch.device = CPU) -> Randomness:
        return super().__new__(cls)

    def __init__(self, device: torch.device = CPU) -> None:
        self.place = device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place


def replaced(module: nn.Module, change: Any, recurse: bool = True) -> nn.Module:
    """``nn.Module._apply``, which wants to swap tensors in place, as fake ones cannot be."""
    for child in module.children():
        replaced(child, change)
    for name, weight in module._parameters.items():
        if weight is not None:
            module._parameters[name] = nn.Parameter(change(weight.detach()), weight.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


class Strict(TorchDispatchMode):
    """What fake tensors let pass and a GPU does not, or waits for."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        devices = {each.device for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        if isinstance(result, Tensor):
            assert result.device == GPU, f"{name} leaves the GPU"
            assert CPU not in devices, f"{name} takes what lies on the CPU"
        return result


def drawing(
    plain: Callable[..., Tensor], *given: Any, generator: torch.Generator | None = None, **named: Any
) -> Tensor:
    """A random function, of numbers that are drawn where they are wanted."""
    result = plain(*given, generator=generator, **named)
    assert generator is None or generator.device == result.device, f"got {generator.device}, expected {result.device}"
    return result


def no_descent(loss: Tensor) -> None:
    """``loss.backward()``: a gradient of zeros for every weight that the loss comes from."""
    assert loss.device == GPU and loss.dtype == torch.float32 and loss.ndim == 0
    seen, ahead, weights = set(), [loss.grad_fn], 0
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)
            weights += 1
        ahead += [before for before, _ in node.next_functions]
    assert weights


def no_gradient(outputs: Tensor, inputs: Tensor, **_: Any) -> tuple[Tensor]:
    """``torch.autograd.grad`` of a sum over images, which can be differentiated again."""
    return (inputs + outputs.sum(),)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which fused optimizers have moved weights; all that they were given lay on the GPU."""
    seen: list[str] = []

    def move(name: str, *given: Any, **_: Any) -> None:
        tensors = [each for each in tree_leaves(given) if isinstance(each, Tensor)]
        assert tensors and all(each.device == GPU for each in tensors)
        seen.append(name)

    for name in ("_fused_adam_", "_fused_adamw_", "_fused_sgd_"):
        monkeypatch.setattr(torch, name, partial(move, name))
    return seen


@pytest.fixture
def pretending(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """A GPU with bfloat16."""
    monkeypatch.setattr(torch, "Generator", Randomness)
    for where, names in ((torch, ("rand", "randn", "randint", "randperm")), (Tensor, ("normal_", "uniform_"))):
        for name in names:
            plain = getattr(where, name)
            monkeypatch.setattr(where, name, lambda *given, plain=plain, **named: drawing(plain, *given, **named))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(nn.Module, "_apply", replaced)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(Tensor, "backward", no_descent)
    monkeypatch.setattr(torch.autograd, "grad", no_gradient)
    monkeypatch.setattr(FakeTensorMode, "__deepcopy__", lambda mode, _: mode, raising=False)
    monkeypatch.setattr(LabelledImages, "__post_init__", lambda _: None)  # it looks at the labels, on the CPU
    # What is read between steps, every fifty of them
    monkeypatch.setattr(loop, "_look", lambda *_: None)
    monkeypatch.setattr(loop, "_read", lambda losses: dict.fromkeys(losses, 0.0))
    monkeypatch.setattr(loop, "pairwise_distance", lambda _: 1.0)
    augmentation._colours.cache_clear()  # of real ones, and then of pretended ones
    with FakeTensorMode() as mode:
        yield mode
    augmentation._colours.cache_clear()


class FittedError(Exception):
    """The steps are done; what comes after them may read values."""


@pytest.fixture
def only_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = loop.fit_loop

    def steps(step: bb.TrainStep, *rest: Any, **named: Any) -> None:
        assert plain(Watched(step, Strict), *rest, **named).steps == STEPS
        raise FittedError

    for place in (
        "benchbench.training.fit_loop",
        "benchbench.training.gan.fit_loop",
        "benchbench.training.classification.fit_loop",
        "benchbench.downstream._network_classifier.fit_loop",
    ):
        monkeypatch.setattr(place, steps)


@pytest.fixture
def computed_in() -> Iterator[set[torch.dtype]]:
    """What convolutions and linear layers give."""
    seen: set[torch.dtype] = set()

    def look(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and isinstance(output, FakeTensor):
            assert output.device == GPU
            seen.add(output.dtype)

    hook = nn.modules.module.register_module_forward_hook(look)
    yield seen
    hook.remove()


def data(mode: FakeTensorMode) -> LabelledImages:
    return dataclasses.replace(DATA, images=mode.from_tensor(DATA.images), labels=mode.from_tensor(DATA.labels))


def context(**changes: Any) -> FitContext:
    ctx = FitContext(seed=0, device=GPU, generator=bb.torch_generator(0, device=GPU), compute=resolve(GPU))
    return dataclasses.replace(ctx, budget=Budget(max_steps=STEPS), **changes)


def test_reading_a_value_is_seen(pretending: FakeTensorMode) -> None:
    with pytest.raises(DataDependentOutputException):
        float(torch.ones((), device=GPU))


def test_two_devices_are_seen(pretending: FakeTensorMode) -> None:
    with pytest.raises(RuntimeError, match="devices"):
        torch.ones(2, device=GPU) + torch.ones(2)


LENIENT: list[Callable[[], Tensor]] = [
    lambda: torch.ones(2, device=GPU).cpu(),
    lambda: torch.ones(2).to(GPU),
    lambda: torch.tensor([1.0, 2.0], device=GPU),
    lambda: torch.ones(2, device=GPU)[torch.tensor([0])],
    lambda: torch.randn(2, generator=bb.torch_generator(0), device=GPU),
]


@pytest.mark.parametrize("wrong", LENIENT)
def test_what_fake_tensors_let_pass_is_seen(wrong: Callable[[], Tensor], pretending: FakeTensorMode) -> None:
    with pytest.raises(AssertionError, match=r"GPU|CPU|expected cuda"), Strict():
        wrong()


def test_batches_are_chosen_on_the_gpu(pretending: FakeTensorMode) -> None:
    plan = BatchPlan(count=50, batch_size=16, seed=0, device=GPU)
    assert all(plan.batch(step).device == GPU for step in range(8))  # past the ends of two epochs


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generators_step_stays_on_the_gpu_and_reads_nothing(
    name: str, pretending: FakeTensorMode, only_steps: None, computed_in: set[torch.dtype], moved: list[str]
) -> None:
    generator = type(GENERATORS[name])(GENERATORS[name].config)
    with pytest.raises(FittedError):
        generator.fit(data(pretending), context())
    assert len(moved) >= STEPS
    assert torch.float32 in computed_in if name == "flow" else torch.bfloat16 in computed_in


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifiers_step_stays_on_the_gpu_and_reads_nothing(
    name: str, pretending: FakeTensorMode, only_steps: None, computed_in: set[torch.dtype], moved: list[str]
) -> None:
    how = Augmentation(cutout=0.25)
    calls = []

    def change(images: Tensor, random: torch.Generator) -> Tensor:
        calls.append(1)
        with Strict() if len(calls) > 1 else nullcontext():  # the first time, constants are brought there
            return augment(images, how, random)

    ctx = context(augment=change)
    with pytest.raises(FittedError):
        CLASSIFIERS[name].train(data(pretending), STEPS, ctx)
    assert len(moved) == STEPS
    assert torch.bfloat16 in computed_in


@pytest.mark.parametrize("name", GENERATORS)
def test_samples_are_drawn_on_the_gpu_and_come_from_it(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, computed_in: set[torch.dtype]
) -> None:
    fitted = type(GENERATORS[name])(GENERATORS[name].config)
    fitted.fit(DATA, FitContext(0, CPU, bb.torch_generator(0), budget=Budget(max_steps=1)))
    state = fitted.state_dict()
    pretending: FakeTensorMode = request.getfixturevalue("pretending")
    monkeypatch.setattr(sampling, "int", lambda _: 0, raising=False)  # a label, which lies on the CPU
    monkeypatch.setattr(pixels, "float", lambda _: 0.0, raising=False)  # the range of a block, which is waited for
    generator = type(fitted)(fitted.config)
    generator.load_state_dict(tree_map_only(Tensor, pretending.from_tensor, dict(state)))
    images = generator.sample(pretending.from_tensor(torch.arange(1500) % 3), bb.SampleContext(0, GPU))
    assert images.device == CPU and images.dtype == torch.uint8 and images.shape == (1500, 3, 16, 16)
    assert computed_in == {torch.float32}


def test_features_are_extracted_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, computed_in: set[torch.dtype]
) -> None:
    inception, domain = Inception(), Domain(Domain.Config(steps=1))
    inception.network = FidInception(random_inception_weights(monkeypatch))
    domain.fit(DATA, FitContext(0, CPU, bb.torch_generator(0)))
    pretending: FakeTensorMode = request.getfixturevalue("pretending")
    monkeypatch.setattr(Tensor, "numpy", lambda tensor: np.zeros(tensor.shape, dtype=np.float32))
    images = data(pretending).images
    for extractor, width in ((inception, 2048), (domain, domain.config.features)):
        with unset_fake_temporarily():
            replaced(extractor.network, pretending.from_tensor)
        assert extractor.extract(images, GPU).shape == (len(images), width)
    assert computed_in == {torch.float32}
