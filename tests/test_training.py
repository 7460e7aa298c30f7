"""The training floor: pixels, batches, averages, the loop and block-wise sampling."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchbench.errors import DataError, DivergedError
from benchbench.seeding import torch_generator
from benchbench.testing import mock_images
from benchbench.testing.mock import MemoryCheckpoint
from benchbench.training import Ema, fit_loop, sample_in_blocks, to_float, to_uint8
from benchbench.training.batches import BatchPlan
from benchbench.training.classification import in_batches, train_classifier
from benchbench.training.sampling import BLOCK
from benchbench.types import Budget, FitContext, SampleContext

CPU = torch.device("cpu")


# --- pixels -------------------------------------------------------------------------------------------------


def every_value():
    return torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


def test_every_pixel_value_survives_the_round_trip():
    floats = to_float(every_value())
    assert floats.dtype == torch.float32 and floats.min() == -1.0 and floats.max() == 1.0
    assert to_uint8(floats).equal(every_value())
    assert every_value().equal(torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16))


def test_floats_are_rounded_to_the_nearest_pixel_value():
    step = 2 / 255
    images = torch.tensor([-1 + 0.49 * step, -1 + 0.51 * step, 1 - 0.49 * step, 0.0]).reshape(1, 1, 2, 2)
    assert to_uint8(images).flatten().tolist() == [0, 1, 255, 128]


def test_a_hair_beyond_the_range_is_rounding():
    assert to_uint8(torch.tensor([-1.0005, 1.0005]).reshape(2, 1, 1, 1)).flatten().tolist() == [0, 255]
    assert to_uint8(torch.zeros(0, 1, 2, 2)).shape == (0, 1, 2, 2)


@pytest.mark.parametrize("value", [1.01, -1.01, 255.0, float("nan"), float("inf")])
def test_floats_in_another_range_are_refused(value):
    images = torch.zeros(1, 1, 2, 2)
    images[0, 0, 0, 0] = value
    with pytest.raises(DataError, match=r"to_uint8: got values .* expected \[-1, 1\]"):
        to_uint8(images)


def test_pixels_of_another_dtype_are_refused():
    with pytest.raises(DataError, match=r"expected floats in \[-1, 1\]"):
        to_uint8(every_value())
    with pytest.raises(DataError, match=r"expected torch\.uint8"):
        to_float(every_value().float())


def test_conversions_leave_their_input_alone():
    floats = torch.full((1, 1, 2, 2), 0.5)
    to_uint8(floats)
    assert (floats == 0.5).all()


# --- batches ------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 2**62))
def test_batches_are_shuffled_epochs_end_to_end(count, batch_size, seed):
    plan = BatchPlan(count, batch_size, seed)
    batches = -(-3 * count // batch_size)
    sequence = torch.cat([plan.batch(step) for step in range(batches)])
    assert sequence.shape == (batches * batch_size,) and sequence.dtype == torch.int64
    for epoch in range(3):
        assert sequence[epoch * count : (epoch + 1) * count].sort().values.tolist() == list(range(count))


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 20))
def test_any_batch_can_be_asked_for_at_any_time(count, batch_size, step):
    plan = BatchPlan(count, batch_size, 7)
    ahead = plan.batch(step)
    plan.batch(0)
    assert plan.batch(step).equal(ahead) and BatchPlan(count, batch_size, 7).batch(step).equal(ahead)


def test_epochs_and_seeds_differ_in_order():
    plan = BatchPlan(30, 30, 0)
    orders = {tuple(order.tolist()) for order in (plan.batch(0), plan.batch(1), BatchPlan(30, 30, 1).batch(0))}
    assert len(orders) == 3


# --- average ------------------------------------------------------------------------------------------------


def test_ema_closed_form():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    ema = Ema(network, decay=0.3)
    network.weight.data.fill_(3.0)
    expected = 1.0
    for t in range(12):
        ema.update(network)
        beta = min(0.3, (1 + t) / (10 + t))
        expected = beta * expected + (1 - beta) * 3.0
        assert ema.network.weight.item() == pytest.approx(expected, rel=1e-6)
    # After the warm-up the distance to a constant target falls by the factor ``decay``.
    before = 3.0 - ema.network.weight.item()
    network.weight.data.fill_(3.0)
    ema.update(network)
    assert 3.0 - ema.network.weight.item() == pytest.approx(0.3 * before, abs=1e-6)


def test_ema_copies_buffers_and_needs_no_gradients():
    network = nn.BatchNorm1d(2)
    ema = Ema(network, 0.9)
    network(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    ema.update(network)
    assert ema.network.running_mean.equal(network.running_mean) and int(ema.network.num_batches_tracked) == 1
    assert not ema.network.training and not any(p.requires_grad for p in ema.network.parameters())
    assert network.training and all(p.requires_grad for p in network.parameters())


def test_ema_goes_on_where_it_was():
    network = nn.Linear(2, 2)
    ema = Ema(network, 0.99)
    ema.update(network)
    restored = Ema(nn.Linear(2, 2), 0.99)
    restored.load_state_dict(ema.state_dict())
    network.weight.data.add_(1)
    ema.update(network)
    restored.update(network)
    assert restored.updates == 2 and restored.network.weight.equal(ema.network.weight)


# --- loop ---------------------------------------------------------------------------------------------------


class NoisyStep:
    """Adam with noise from the context's generator, averaged: everything that a resumption must restore."""

    def __init__(self, generator, poison=None):
        self.generator = generator
        self.network = nn.Linear(64, 1)
        nn.init.zeros_(self.network.weight)
        nn.init.zeros_(self.network.bias)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.01)
        self.ema = Ema(self.network, 0.9)
        self.poison = poison
        self.seen = []

    def step(self, images, labels, index, total):
        self.seen.append((index, total, labels.tolist()))
        target = labels.float() + torch.randn(labels.shape, generator=self.generator)
        loss = (self.network(images.flatten(1)).squeeze(1) - target).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.ema.update(self.network)
        return {"loss": loss.detach() if index != self.poison else torch.tensor(float("nan"))}

    def state_dict(self):
        parts = {"network": self.network, "optimizer": self.optimizer, "ema": self.ema}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state):
        for name in ("network", "optimizer", "ema"):
            getattr(self, name).load_state_dict(state[name])


def context(**changes):
    return dataclasses.replace(FitContext(seed=0, device=CPU, generator=torch_generator(0, "fit")), **changes)


DATA = mock_images(per_class=5)


def run(steps=20, poison=None, **changes):
    ctx = context(**changes)
    step = NoisyStep(ctx.generator, poison)
    return step, fit_loop(step, DATA, ctx, steps=steps, batch_size=4)


def test_loop_hands_out_every_batch_of_the_plan():
    step, result = run(steps=8)
    assert result.steps == 8 and [seen[:2] for seen in step.seen] == [(index, 8) for index in range(8)]
    first_epoch = [label for _, _, labels in step.seen for label in labels][: len(DATA)]
    assert sorted(first_epoch) == sorted(DATA.labels.tolist())


@pytest.mark.parametrize("interrupted_at", [1, 7, 19])
def test_a_resumed_run_has_the_same_bits(interrupted_at):
    whole, result = run()
    checkpoint = MemoryCheckpoint(due_at=interrupted_at)
    run(checkpoint=checkpoint)
    resumed, again = run(checkpoint=checkpoint)
    assert resumed.seen[0][0] == interrupted_at and again == result
    for name in ("network", "ema"):
        one, two = getattr(whole, name).state_dict(), getattr(resumed, name).state_dict()
        assert str(one) == str(two)
    assert whole.network.weight.equal(resumed.network.weight)
    assert whole.ema.network.weight.equal(resumed.ema.network.weight)


def test_a_checkpoint_belongs_to_its_phase():
    def two_phases(checkpoint):
        ctx = context(checkpoint=checkpoint)
        steps = []
        for phase in ("first", "second"):
            steps.append(NoisyStep(ctx.generator))
            fit_loop(steps[-1], DATA, ctx, steps=6, batch_size=4, phase=phase)
        return steps

    whole = two_phases(MemoryCheckpoint(due_at=99))
    for due_at in (3, 9):  # in the first phase, in the second
        checkpoint = MemoryCheckpoint(due_at)
        two_phases(checkpoint)
        resumed = two_phases(checkpoint)
        assert all(a.network.weight.equal(b.network.weight) for a, b in zip(whole, resumed, strict=True))
        assert sum(len(step.seen) for step in resumed) == 9


def test_divergence_is_raised_with_its_step():
    with pytest.raises(DivergedError, match="loss became nan by step 20; a lower learning rate") as caught:
        run(poison=19)
    assert caught.value.step == 20
    with pytest.raises(DivergedError) as caught:
        run(steps=200, poison=49)
    assert caught.value.step == 50


def test_budget_cuts_the_steps_and_the_schedule():
    step, result = run(budget=Budget(max_steps=5))
    assert result.steps == 5 and {total for _, total, _ in step.seen} == {5}
    step, result = run(budget=Budget(max_steps=0))
    assert result.steps == 0 and not step.seen and result.losses == {}


def test_a_past_deadline_ends_after_one_step_and_keeps_it():
    logged = []
    _, result = run(deadline=time.monotonic() - 1, log=lambda *report: logged.append(report))
    assert result.steps == 1 and set(result.losses) == {"loss"}
    assert [(phase, step, total) for phase, step, total, _ in logged] == [("fit", 1, 20)]


def test_a_deadline_to_come_does_not_matter():
    assert run(deadline=time.monotonic() + 1000)[1].steps == 20


def test_losses_are_reported_now_and_then_and_at_the_end():
    logged = []
    _, result = run(steps=120, log=lambda *report: logged.append(report))
    assert [step for _, step, _, _ in logged] == [50, 100, 120]
    assert logged[-1][3] == result.losses


def test_the_loop_leaves_the_images_alone():
    fingerprint = mock_images(per_class=5).fingerprint
    run()
    assert dataclasses.replace(DATA).fingerprint == fingerprint


# --- sampling -----------------------------------------------------------------------------------------------


def draw(labels, generator):
    assert labels.shape == (BLOCK,)
    noise = torch.randint(0, 100, (len(labels), 1, 2, 2), generator=generator, dtype=torch.uint8)
    return noise + labels.to(torch.uint8)[:, None, None, None]


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_sample_does_not_depend_on_how_many_are_drawn(few, many):
    few, many = sorted((few, many))
    labels = torch.arange(many) % 10
    ctx = SampleContext(seed=3, device=CPU)
    images = sample_in_blocks(labels, ctx, draw)
    assert images.shape == (many, 1, 2, 2)
    assert images[:few].equal(sample_in_blocks(labels[:few], ctx, draw))


def test_blocks_and_seeds_have_their_own_noise():
    labels = torch.zeros(2 * BLOCK, dtype=torch.int64)
    images = sample_in_blocks(labels, SampleContext(3, CPU), draw)
    assert not images[:BLOCK].equal(images[BLOCK:])
    assert not images.equal(sample_in_blocks(labels, SampleContext(4, CPU), draw))


# --- classification -----------------------------------------------------------------------------------------


def test_batches_give_the_same_rows_whatever_their_number():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3))
    images = mock_images(per_class=40).images
    whole = in_batches(network, images, CPU, batch_size=32)
    assert whole.shape == (120, 3) and not whole.requires_grad
    assert whole[:5].equal(in_batches(network, images[:5], CPU, batch_size=32))
    expected = network.eval()(to_float(images))
    assert torch.allclose(whole, expected, atol=1e-6)


def test_a_classifier_learns_for_exactly_the_steps_given():
    logged = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    train, test = mock_images(per_class=30), mock_images(per_class=30, seed=1)
    trained = train_classifier(
        network,
        train,
        context(log=lambda *report: logged.append(report)),
        steps=60,
        batch_size=16,
        learning_rate=0.01,
        weight_decay=0.0,
    )
    assert logged[-1][1:3] == (60, 60) and not trained.training
    assert (in_batches(trained, test.images, CPU).argmax(dim=1) == test.labels).float().mean() > 0.9
