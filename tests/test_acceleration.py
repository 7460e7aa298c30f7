"""How a step is computed: what auto means, and that every switch reaches the networks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

import benchbench as bb
from benchbench.errors import CollapsedError, DivergedError
from benchbench.testing import mock_images
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.training import loop
from benchbench.training.acceleration import arithmetic, place, resolve
from benchbench.training.classification import ClassifierStep
from benchbench.types import Compute, FitContext

CPU = torch.device("cpu")
DATA = mock_images(3, per_class=5)


def context(**changes):
    ctx = FitContext(seed=0, device=CPU, generator=bb.torch_generator(0, "fit"))
    return dataclasses.replace(ctx, **changes)


def test_a_cpu_stays_in_float32_unless_told():
    assert resolve(CPU) == Compute("f32", channels_last=True)
    assert resolve(CPU, precision="bf16", channels_last=False) == Compute("bf16", channels_last=False)


def test_cuda_graphs_bring_compilation_with_them_and_are_nothing_on_a_cpu():
    assert resolve(CPU, cuda_graphs=True) == Compute(channels_last=True)
    wanted = resolve(torch.device("cuda"), precision="f32", cuda_graphs=True)
    assert wanted == Compute("f32", channels_last=True, compile=True, cuda_graphs=True)
    assert resolve(CPU, compiled=True).compile


def test_placing_changes_the_memory_and_neither_names_nor_values():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert place(network, context(compute=Compute(channels_last=True))) is network
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    after = network.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)


class Watched:
    """A step that notes what arrives, with one convolution."""

    def __init__(self, exact=False, faulty=None):
        self.exact = exact
        self.network = nn.Conv2d(3, 4, 3)
        bb.init_weights(self.network, bb.torch_generator(0))
        self.faulty = faulty or {}
        self.seen = []

    def step(self, images, labels, index, total):
        out = self.network(images)
        self.seen.append((images.dtype, images.is_contiguous(memory_format=torch.channels_last), out.dtype))
        return {"loss": out.float().square().mean().detach()}

    def parameters(self):
        if self.faulty.get("weights"):
            return [torch.tensor([float("nan")])]
        return self.network.parameters()

    def probe(self, count):
        images = torch.rand(count, 3, 8, 8, generator=bb.torch_generator(0)) * 2 - 1
        return torch.zeros_like(images) if self.faulty.get("samples") else images

    def state_dict(self):
        return {"network": self.network.state_dict()}

    def load_state_dict(self, state):
        self.network.load_state_dict(state["network"])


@pytest.mark.parametrize(
    ("compute", "exact", "expected"),
    [
        (Compute(), False, torch.float32),
        (Compute("bf16"), False, torch.bfloat16),
        (Compute("bf16"), True, torch.float32),
    ],
)
def test_the_loop_computes_in_the_precision_asked_for(compute, exact, expected):
    step = Watched(exact)
    bb.fit_loop(step, DATA, context(compute=compute), steps=3, batch_size=4)
    assert {(inside, out) for inside, _, out in step.seen} == {(torch.float32, expected)}
    assert not torch.is_autocast_enabled("cpu")


def test_a_cast_made_without_gradients_is_not_kept_for_a_pass_with_them():
    """Torch from 2.11 on would not confuse the two; older ones do."""
    with arithmetic(context(compute=Compute("bf16"))):
        assert torch.is_autocast_enabled("cpu")
        assert not torch.is_autocast_cache_enabled()
    assert torch.is_autocast_cache_enabled()


def test_the_loop_hands_out_images_in_the_memory_format_asked_for():
    for wanted in (True, False):
        step = Watched()
        bb.fit_loop(step, DATA, context(compute=Compute(channels_last=wanted)), steps=2, batch_size=4)
        assert {in_format for _, in_format, _ in step.seen} == {wanted}


def test_a_broken_weight_ends_the_fit_with_its_step():
    with pytest.raises(DivergedError, match="a weight is NaN or infinite by step 50") as caught:
        bb.fit_loop(Watched(faulty={"weights": True}), DATA, context(), steps=200, batch_size=4)
    assert caught.value.step == 50


def test_one_image_for_all_samples_ends_the_fit():
    with pytest.raises(CollapsedError, match="one and the same image"):
        bb.fit_loop(Watched(faulty={"samples": True}), DATA, context(), steps=2000, batch_size=2)


def test_a_healthy_fit_is_never_ended_and_what_is_odd_is_noted_once():
    notes = []
    ctx = context(note=lambda step, kind, message: notes.append((step, kind)))
    result = bb.fit_loop(Watched(), DATA, ctx, steps=300, batch_size=2)
    assert result.steps == 300
    assert notes == [(150, "updates_vanished")]  # the step trains nothing


def test_a_resumed_fit_notes_what_the_interrupted_one_saw(monkeypatch):
    monkeypatch.setattr(loop, "CHECK_EVERY", 10)
    whole, resumed = [], []
    ctx = context(note=lambda *event: whole.append(event), checkpoint=MemoryCheckpoint(due_at=45))
    bb.fit_loop(Watched(), DATA, ctx, steps=60, batch_size=2)
    again = dataclasses.replace(ctx, note=lambda *event: resumed.append(event))
    bb.fit_loop(Watched(), DATA, again, steps=60, batch_size=2)
    assert whole == resumed and whole[0][1] == "updates_vanished"


@pytest.mark.slow
def test_a_compiled_network_learns_the_same():
    ends = {}
    for compiled in (False, True):
        ctx = context(compute=Compute(compile=compiled))
        with torch.random.fork_rng():
            network = place(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3)), ctx)
        bb.init_weights(network, bb.torch_generator(0))
        learner = bb.Learner(network, learning_rate=0.01, weight_decay=0.0, ema_decay=0.9)
        bb.fit_loop(ClassifierStep(learner), mock_images(3, 16, 16), ctx, steps=5, batch_size=8)
        ends[compiled] = learner.averaged.state_dict()
    for name, value in ends[False].items():
        torch.testing.assert_close(ends[True][name], value, rtol=1e-4, atol=1e-6)
