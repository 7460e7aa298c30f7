"""The health of training: what ends a run, what is only noted, and what must pass."""

from __future__ import annotations

import json
import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchbench.errors import CollapsedError, DataError, DivergedError
from benchbench.training.health import PIXEL_STEP, HealthEvent, HealthWatch, pairwise_distance

REFERENCE = 100 * PIXEL_STEP
TOTAL = 10_000


def kinds(watch):
    return [event.kind for event in watch.warnings]


# --- pairwise distance --------------------------------------------------------------------------------------


def random_images(n, seed=0, shape=(2, 4, 4), dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand((n, *shape), generator=generator, dtype=torch.float64) * 2 - 1).to(dtype)


def over_pairs(images):
    squares = [(one - two).square().mean().item() for one, two in combinations(images.double(), 2)]
    return math.sqrt(sum(squares) / len(squares))


@given(st.integers(2, 9), st.integers(0, 99), st.sampled_from([torch.float32, torch.float64]))
def test_the_distance_is_that_of_the_pairs(n, seed, dtype):
    images = random_images(n, seed, dtype=dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    assert pairwise_distance(images).item() == pytest.approx(over_pairs(images), rel=tolerance)


def test_two_images_differ_by_their_difference():
    images = torch.stack([torch.full((3, 2, 2), -1.0), torch.full((3, 2, 2), 1.0)])
    assert pairwise_distance(images).item() == 2.0
    images[1] = -1.0
    images[1, 0, 0, 0] = 1.0  # one pixel of twelve
    assert pairwise_distance(images).item() == pytest.approx(math.sqrt(4 / 12))


def test_uniform_noise_has_its_distance():
    # Var U(-1, 1) = 1/3, so E (x - y)^2 = 2/3.
    images = random_images(500, shape=(1, 16, 16))
    assert pairwise_distance(images).item() == pytest.approx(math.sqrt(2 / 3), rel=0.01)


@pytest.mark.parametrize("level", [0.0, 0.3, -0.999, 1.0])
def test_the_same_image_has_no_distance(level):
    assert pairwise_distance(torch.full((64, 3, 8, 8), level)).item() < 1e-6 * PIXEL_STEP


def test_the_distance_keeps_the_unit_of_the_images():
    pixels = torch.randint(0, 256, (20, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    floats = pixels.double() / 127.5 - 1
    assert pairwise_distance(pixels).item() == pytest.approx(127.5 * pairwise_distance(floats).item(), rel=1e-6)
    assert pairwise_distance(floats.half()).dtype == torch.float32


def test_without_pairs_there_is_no_distance():
    assert pairwise_distance(random_images(1)).item() == 0.0
    assert pairwise_distance(random_images(0)).item() == 0.0


# --- losses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_run(value):
    watch = HealthWatch()
    watch.losses({"loss": 1.0, "kl": 0.0}, 50)
    with pytest.raises(DivergedError, match=rf"^kl became {value} by step 100; a lower learning rate") as caught:
        watch.losses({"loss": 1.0, "kl": value}, 100)
    assert caught.value.step == 100


@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_that_explodes_and_stays_ends_the_run_at_the_second_look(sign):
    watch = HealthWatch()
    watch.losses({"loss": 2.0}, 50)
    watch.losses({"loss": sign * 2.1e8}, 100)
    assert watch.warnings == (HealthEvent(100, "loss_exploding", "loss exploded from 2 to 2.1e+08 by step 100"),)
    with pytest.raises(DivergedError, match=r"^loss exploded from 2 to 2.1e\+08 by step 150; a lower") as caught:
        watch.losses({"loss": 2.1e8}, 150)
    assert caught.value.step == 150


@pytest.mark.parametrize(
    "seen",
    [
        [2.0, 2e8, 2e8, 2e8],  # at the limit
        [0.0, 1e8, 1e8],  # a first loss below 1 counts as 1
        [1e9, 1e16, 1e16],  # a unit of its own
        [3e8] * 5,
        [1.0, 1e30, 1.0, 1e30, 1.0],  # single bad batches
        [1.0, 1e30, 1e20, 1e10, 1.0],  # recovering
    ],
)
def test_a_loss_that_is_large_or_odd_for_once_goes_on(seen):
    watch = HealthWatch()
    for look, value in enumerate(seen):
        watch.losses({"loss": value}, 50 * look)
    assert kinds(watch) == (["loss_exploding"] if 1e30 in seen else [])


def test_each_loss_is_looked_at_by_itself():
    watch = HealthWatch()
    watch.losses({"a": 1.0, "b": 1.0}, 50)
    watch.losses({"a": 1e9, "b": 1.0}, 100)
    watch.losses({"a": 1.0, "b": 1e9}, 150)
    assert [(event.step, event.kind) for event in watch.warnings] == [(100, "loss_exploding")]
    with pytest.raises(DivergedError, match=r"^b exploded"):
        watch.losses({"a": 1.0, "b": 1e9}, 200)


@given(st.lists(st.tuples(st.floats(-1e8, 1e8), st.floats(-1e8, 1e8))))
def test_moderate_losses_never_end_a_run(pairs):
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    for look, (one, two) in enumerate(pairs):
        watch.losses({"one": one, "two": two}, 50 * (look + 1))
    assert watch.warnings == ()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_a_finite_loss_ends_a_run_only_after_two_looks_beyond_the_limit(values):
    watch = HealthWatch()
    limit = 1e8 * max(1.0, abs(values[0]))
    for look, value in enumerate(values):
        try:
            watch.losses({"loss": value}, look)
        except DivergedError:
            assert look >= 2 and limit < abs(values[look - 1]) <= abs(value)
            return


# --- weights ------------------------------------------------------------------------------------------------


def weights(scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(shape, generator=generator) for shape in [(16, 8), (16,), (4, 4, 3, 3)]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_ends_the_run(value):
    tensors = weights()
    tensors[1][3] = value
    with pytest.raises(
        DivergedError, match=r"^a weight is NaN or infinite by step 50; a lower learning rate"
    ) as caught:
        HealthWatch().weights(tensors, 50)
    assert caught.value.step == 50


def test_large_finite_weights_do_not_end_a_run():
    watch = HealthWatch()
    for scale in (1.0, 1e30, 1e37):  # their squares are beyond float32
        watch.weights(weights(scale), int(scale))
    assert kinds(watch) == ["weights_exploding"]


@pytest.mark.parametrize(("growth", "noted"), [(1.99, False), (2.01, True), (0.01, False)])
def test_weights_that_more_than_double_are_noted(growth, noted):
    watch = HealthWatch()
    watch.weights(weights(), 50)
    watch.weights(weights(growth), 100)
    assert kinds(watch) == ["weights_exploding"] * noted
    if noted:
        assert watch.warnings[0].step == 100
        assert " in 50 steps, expected less than double" in watch.warnings[0].message


@pytest.mark.parametrize(("change", "noted"), [(0.0, True), (0.5e-7, True), (2e-7, False)])
def test_vanished_updates_are_noted_at_the_second_still_look(change, noted):
    watch = HealthWatch()
    tensors = [tensor.double() for tensor in weights()]
    for look in range(3):
        watch.weights([*tensors[:2], tensors[2] * (1 + change) ** look], 50 * look)
        assert kinds(watch) == ["updates_vanished"] * (noted and look == 2)


def test_a_turn_is_an_update():
    """Networks that normalise their weights keep each tensor's L2 norm."""
    watch = HealthWatch()
    for look in range(4):
        angle = torch.tensor(0.3 + 1e-4 * look, dtype=torch.float64)
        watch.weights([torch.stack([angle.cos(), angle.sin()])], 50 * look)
    assert watch.warnings == ()


def test_weights_that_trade_size_are_an_update():
    """The L1 norm alone would not see it."""
    watch = HealthWatch()
    for look in range(4):
        part = 0.3 + 1e-4 * look
        watch.weights([torch.tensor([part, 1 - part], dtype=torch.float64)], 50 * look)
    assert watch.warnings == ()


def test_one_still_look_or_the_same_step_again_is_not_vanished():
    watch = HealthWatch()
    for step, scale in [(50, 1.0), (100, 1.0), (150, 1.1), (200, 1.1), (200, 1.1), (200, 1.1), (250, 1.2)]:
        watch.weights(weights(scale), step)
    assert watch.warnings == ()


def test_other_tensors_are_not_compared():
    watch = HealthWatch()
    watch.weights(weights(), 50)
    watch.weights(weights(100.0)[:2], 100)
    watch.weights([], 150)
    watch.weights(iter(weights()), 200)
    assert watch.warnings == ()


def test_frozen_layers_and_adam_are_healthy():
    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 1))
    network[0].requires_grad_(False)
    adam = torch.optim.Adam(network[1].parameters(), lr=1e-5)
    watch, before = HealthWatch(), [parameter.detach().clone() for parameter in network.parameters()]
    x = random_images(32, shape=(8,))
    for look in range(5):
        watch.weights(network.parameters(), look)
        adam.zero_grad()
        (network(x).squeeze(1) - x.sum(1)).square().mean().backward()
        adam.step()
    assert watch.warnings == ()
    assert before[0].equal(network[0].weight) and not before[2].equal(network[1].weight)


def test_half_precision_weights_can_be_watched():
    watch = HealthWatch()
    for look in range(3):
        watch.weights([tensor.bfloat16() for tensor in weights(1 + 0.01 * look)], 50 * look)
    assert watch.warnings == ()


# --- samples ------------------------------------------------------------------------------------------------


def spread(distance, n=16):
    """Images with this pairwise distance, exactly but for rounding."""
    images = random_images(n, shape=(1, 4, 4), dtype=torch.float64)
    return (0.1 + (images - images.mean(0)) * (distance / pairwise_distance(images))).float()


def look(watch, *looks):
    for step, distance in looks:
        watch.samples(spread(distance), step)


def steadily(distance, start=2000, stop=TOTAL, every=50):
    return [(step, distance) for step in range(start, stop + 1, every)]


def test_the_images_of_these_tests_have_their_distance():
    for distance in (0.0, 0.001 * PIXEL_STEP, PIXEL_STEP, REFERENCE):
        assert pairwise_distance(spread(distance)).item() == pytest.approx(distance, rel=0.01, abs=1e-7)


@pytest.mark.parametrize("distance", [0.0, 0.01 * PIXEL_STEP, 0.98 * PIXEL_STEP])
def test_samples_that_stay_one_image_end_the_run(distance):
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    look(watch, (1000, REFERENCE), (1500, REFERENCE))
    with pytest.raises(
        CollapsedError, match=r"one and the same image since step 2000: they differ by .* real"
    ) as caught:
        look(watch, *steadily(distance))
    assert caught.value.step == 2500  # a twentieth of the training later
    assert "real images by 100 pixel steps; another seed" in str(caught.value)


def test_rare_looks_need_three():
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    look(watch, (4000, 0.0), (6000, 0.0))
    with pytest.raises(CollapsedError, match="since step 4000"):
        look(watch, (8000, 0.0))


@pytest.mark.parametrize(
    "looks",
    [
        steadily(0.0, start=0, stop=1999),  # too early
        steadily(0.0, start=2000, stop=2499),  # too short
        steadily(1.02 * PIXEL_STEP),  # poor
        [(step, 0.0 if step % 500 else 2 * PIXEL_STEP) for step in range(2000, TOTAL, 50)],  # comes back
        [(step, 0.001 * PIXEL_STEP * 1.2 ** ((step - 2000) / 50)) for step in range(2000, TOTAL, 50)][:40],  # growing
        [(step, math.nan if step % 500 == 0 else 0.0) for step in range(2000, TOTAL, 50)],  # not all known
    ],
    ids=["early", "short", "poor", "back", "growing", "unknown"],
)
def test_poor_samples_do_not_end_a_run(looks):
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    look(watch, *looks)


def test_short_runs_are_not_ended():
    watch = HealthWatch(999, reference=REFERENCE)
    look(watch, *steadily(0.0, start=0, stop=999, every=10))
    watch = HealthWatch(1200, reference=REFERENCE)
    with pytest.raises(CollapsedError, match="since step 1000"):
        look(watch, *steadily(0.0, start=0, stop=1200, every=10))


def test_rounding_is_not_growth():
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    with pytest.raises(CollapsedError, match="since step 2000"):
        look(watch, *[(step, 0.0004 * PIXEL_STEP * (step % 100 > 0)) for step in range(2000, TOTAL, 50)])


@pytest.mark.parametrize("reference", [None, 0.0, 1e-6, 0.99 * PIXEL_STEP])
def test_where_real_images_are_alike_so_may_samples_be(reference):
    watch = HealthWatch(TOTAL, reference=reference)
    look(watch, *steadily(0.0))
    assert watch.warnings == ()


def test_a_dataset_of_one_image_is_learned_in_peace():
    real = torch.full((50, 1, 4, 4), 0.3)
    watch = HealthWatch(TOTAL, reference=pairwise_distance(real).item())
    look(watch, (2000, REFERENCE), (2050, REFERENCE / 10))  # from noise to that image
    for step in range(2100, TOTAL, 50):
        watch.samples(real[:16], step)
    assert watch.warnings == ()


def test_nearly_alike_real_images_lower_the_limit():
    """Real images two pixel steps apart: samples half a pixel step apart are a quarter of that, not a collapse."""
    watch = HealthWatch(TOTAL, reference=2 * PIXEL_STEP)
    look(watch, *steadily(0.5 * PIXEL_STEP), *steadily(0.021 * PIXEL_STEP))
    with pytest.raises(CollapsedError):
        look(watch, *steadily(0.019 * PIXEL_STEP))


def test_very_varied_real_images_do_not_raise_the_limit():
    watch = HealthWatch(TOTAL, reference=200 * PIXEL_STEP)
    look(watch, *steadily(1.02 * PIXEL_STEP))
    assert kinds(watch) == ["low_variety"]


def test_without_the_planned_steps_samples_are_not_judged():
    watch = HealthWatch(reference=REFERENCE)
    look(watch, (50, REFERENCE), *steadily(0.0))
    assert watch.warnings == ()


def test_one_image_for_each_class_is_not_a_collapse():
    """A conditional generator that ignores its latent: poor, but not one image."""
    prototypes = random_images(10, shape=(1, 4, 4))
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    for step in range(50, TOTAL + 1, 50):
        watch.samples(prototypes[torch.arange(30) % 10], step)
    assert watch.warnings == ()


@pytest.mark.parametrize(("distance", "noted"), [(0.26 * REFERENCE, False), (0.24 * REFERENCE, True)])
def test_low_variety_is_noted_in_the_second_half(distance, noted):
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    look(watch, *steadily(distance, start=50))
    assert [(event.step, event.kind) for event in watch.warnings] == [(5000, "low_variety")] * noted
    if noted:
        assert watch.warnings[0].message == "samples differ by 24 pixel steps; real images differ by 100 pixel steps"


@pytest.mark.parametrize(
    ("before", "after", "start", "noted"),
    [
        (0.9, 0.44, 2000, True),
        (0.8, 0.41, 2000, False),  # not by half
        (3.0, 0.51, 2000, False),  # noise becomes images
        (0.9, 0.44, 1900, False),  # early
        (0.009, 0.001, 2000, False),  # both below a pixel step
    ],
)
def test_variety_that_falls_by_half_is_noted(before, after, start, noted):
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    look(watch, (start, before * REFERENCE), (start + 50, after * REFERENCE))
    assert [(event.step, event.kind) for event in watch.warnings] == [(start + 50, "falling_variety")] * noted
    unreferenced = HealthWatch(TOTAL)
    look(unreferenced, (start, before * REFERENCE), (start + 50, after * REFERENCE))
    assert len(unreferenced.warnings) == (noted or before == 3.0)


def test_samples_that_are_not_finite_are_noted():
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    images = spread(REFERENCE)
    images[0, 0, 0, 0] = math.nan
    watch.samples(images, 50)
    look(watch, (100, math.inf))
    assert watch.warnings == (HealthEvent(50, "samples_not_finite", "samples are NaN or infinite by step 50"),)


def test_a_single_sample_says_nothing():
    watch = HealthWatch(TOTAL, reference=REFERENCE)
    for step in range(2000, TOTAL, 50):
        watch.samples(torch.zeros(step % 2, 1, 4, 4), step)
        watch.samples(torch.zeros(1, 1, 4, 4), step)
    assert watch.warnings == ()


def test_stored_pixels_are_refused():
    with pytest.raises(DataError, match=r"got samples of dtype torch.uint8, expected floats in \[-1, 1\]"):
        HealthWatch().samples(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), 50)


# --- resumption ---------------------------------------------------------------------------------------------


# A life with every kind of event, that ends in a collapse at its last look.
LIFE = [
    (200, 1.0, 1.0, 1.0),
    (2000, 1e9, 1.0, 0.9),
    (2200, 1.0, 2.5, 0.4),
    (2400, 1.0, 2.5, math.nan),
    (2600, 1.0, 2.5, 0.5),
    (5000, 2e9, 3.0, 0.2),
    (5200, 1e9, 3.1, 0.0),
    (5400, 2.0, 3.1, 0.0),
    (5600, 2.0, 3.1, 0.0),
    (5800, 2.0, 3.2, 0.0),
]


def live(watch, life):
    for step, loss, scale, distance in life:
        watch.losses({"loss": loss}, step)
        watch.weights(weights(scale), step)
        watch.samples(spread(distance * REFERENCE), step)


@pytest.mark.parametrize("interrupted_after", range(len(LIFE) - 1))
def test_a_resumed_run_is_watched_as_an_uninterrupted_one(interrupted_after):
    whole = HealthWatch(TOTAL, reference=REFERENCE)
    with pytest.raises(CollapsedError) as expected:
        live(whole, LIFE)
    assert expected.value.step == 5800
    assert sorted(kinds(whole)) == [
        "falling_variety",
        "loss_exploding",
        "low_variety",
        "samples_not_finite",
        "updates_vanished",
        "weights_exploding",
    ]

    first = HealthWatch(TOTAL, reference=REFERENCE)
    live(first, LIFE[:interrupted_after])
    state = json.loads(json.dumps(first.state_dict(), allow_nan=False))
    resumed = HealthWatch(TOTAL, reference=REFERENCE)
    resumed.load_state_dict(state)
    assert resumed.warnings == first.warnings and resumed.state_dict() == state
    with pytest.raises(CollapsedError) as caught:
        live(resumed, LIFE[interrupted_after:])
    assert str(caught.value) == str(expected.value)
    assert resumed.warnings == whole.warnings and resumed.state_dict() == whole.state_dict()


def test_a_state_is_a_copy():
    watch = HealthWatch()
    watch.losses({"loss": 1.0}, 50)
    state = watch.state_dict()
    other = HealthWatch()
    other.load_state_dict(state)
    other.losses({"more": 1.0}, 100)
    watch.weights(weights(), 100)
    assert state == {**HealthWatch().state_dict(), "first_losses": {"loss": 1.0}}


def test_a_loss_that_exploded_before_an_interruption_ends_the_run_after_it():
    watch = HealthWatch()
    watch.losses({"loss": 1.0}, 50)
    watch.losses({"loss": 1e9}, 100)
    resumed = HealthWatch()
    resumed.load_state_dict(watch.state_dict())
    with pytest.raises(DivergedError, match="exploded from 1 to 1e\\+09 by step 150"):
        resumed.losses({"loss": 1e9}, 150)
