"""The mathematics and the wiring of the three GANs."""

from __future__ import annotations

import copy
import dataclasses
import io
import math
from typing import Any

import pytest
import torch
from benchbench_plugins.cgan import Cgan
from benchbench_plugins.dcgan import Dcgan
from benchbench_plugins.wgan_gp import WganGp, between, critic_loss, gradient_penalty
from torch import Tensor, nn

import benchbench as bb
from benchbench.training.adversarial import LOSSES, discriminator_loss, generator_loss
from benchbench.training.gan import settle_batch_norm
from benchbench.types import Compute

CPU = torch.device("cpu")
GANS = (Dcgan, Cgan, WganGp)
TINY = {"steps": 6, "batch_size": 8, "z_dim": 4, "width": 4, "discriminator_width": 4}


def images(shape: tuple[int, int, int] = (1, 8, 8), count: int = 30, classes: int = 3) -> bb.LabelledImages:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=random)
    return bb.LabelledImages(pixels, torch.arange(count) % classes, tuple("abcdefgh"[:classes]))


def context(seed: int = 0, **more: Any) -> bb.FitContext:
    return bb.FitContext(seed=seed, device=CPU, generator=bb.torch_generator(seed, "fit"), **more)


def draw(generator: bb.Generator, labels: Tensor, seed: int = 0) -> Tensor:
    return generator.sample(labels, bb.SampleContext(seed=seed, device=CPU))


class StopAt:
    """A checkpoint that saves once, at one step, through a copy."""

    def __init__(self, step: int) -> None:
        self.left, self.state = step, None

    def load(self) -> dict[str, Any] | None:
        return self.state

    def due(self) -> bool:
        self.left -= 1
        return self.left == 0

    def save(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        buffer.seek(0)
        self.state = torch.load(buffer, weights_only=True)


# Losses


def test_losses_at_scores_zero() -> None:
    zero = torch.zeros(5)
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(zero).item() == pytest.approx(math.log(2))


def test_losses_are_binary_cross_entropies() -> None:
    real, fake = torch.tensor([0.5, -2.0]), torch.tensor([1.5, 0.25])
    bce = nn.BCEWithLogitsLoss()
    expected = bce(real, torch.ones(2)) + bce(fake, torch.zeros(2))
    assert discriminator_loss(real, fake).item() == pytest.approx(expected.item())
    assert generator_loss(fake).item() == pytest.approx(bce(fake, torch.ones(2)).item())


def test_critic_loss_is_the_difference_of_means() -> None:
    assert critic_loss(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 0.0])).item() == pytest.approx(-3.5)


def test_gradient_penalty_of_a_linear_critic() -> None:
    weight = torch.randn(2 * 3 * 3, generator=torch.Generator().manual_seed(1)).requires_grad_(True)

    def linear(x: Tensor, labels: Tensor) -> Tensor:
        return x.flatten(1) @ weight + labels

    penalty = gradient_penalty(linear, torch.rand(7, 2, 3, 3), torch.arange(7))
    norm = weight.detach().norm()
    assert penalty.item() == pytest.approx((norm.item() - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_gradient_penalty_of_a_quadratic_critic_is_taken_image_by_image() -> None:
    x = torch.rand(4, 1, 2, 2)
    penalty = gradient_penalty(lambda x, _: x.square().sum(dim=(1, 2, 3)) / 2, x.clone(), torch.zeros(4))
    assert penalty.item() == pytest.approx((x.flatten(1).norm(dim=1) - 1).square().mean().item(), rel=1e-5)


def test_gradient_penalty_of_a_constant_critic_is_one_and_finite() -> None:
    scale = torch.zeros(1, requires_grad=True)
    penalty = gradient_penalty(lambda x, _: scale * x.sum(dim=(1, 2, 3)), torch.rand(3, 1, 4, 4), torch.zeros(3))
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0, abs=1e-4)
    assert scale.grad is not None and torch.isfinite(scale.grad).all()


def test_between_lies_on_the_lines() -> None:
    real, fake = torch.ones(50, 1, 2, 2), torch.zeros(50, 1, 2, 2)
    points = between(real, fake, torch.Generator().manual_seed(0)).flatten(1)
    assert (points == points[:, :1]).all()
    assert points.min() >= 0 and points.max() <= 1 and len(points[:, 0].unique()) == 50


# Conditioning


def test_conditional_batch_norm_starts_as_batch_norm_and_then_honours_the_label() -> None:
    x = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    norm = bb.ConditionalBatchNorm(4, 2)
    plain = nn.BatchNorm2d(4, affine=False)(x)
    torch.testing.assert_close(norm(x, labels), plain)
    with torch.no_grad():
        norm.scale[1], norm.shift[1] = 3.0, -1.0
    torch.testing.assert_close(norm(x, labels)[::2], plain[::2])
    torch.testing.assert_close(norm(x, labels)[1::2], 3 * plain[1::2] - 1)


def test_projection_head_is_linear_plus_inner_product() -> None:
    head = bb.ProjectionHead(3, 2)
    h, labels = torch.rand(4, 3), torch.tensor([0, 1, 1, 0])
    assert head.classes is not None
    expected = h @ head.linear.weight[0] + head.linear.bias + (head.classes.weight[labels] * h).sum(1)
    torch.testing.assert_close(head(h, labels), expected)
    blind = bb.ProjectionHead(3)
    torch.testing.assert_close(blind(h, labels), blind(h, 1 - labels))


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    random = torch.Generator().manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(3, 5, 2, bias=False), nn.Linear(4, 6))
    bb.apply_spectral_norm(layer)
    bb.init_weights(layer, random, std=0.3)
    for module in layer:
        raw = module.parametrizations.weight.original.detach()
        for _ in range(200):
            weight = module.weight
        expected = raw / torch.linalg.matrix_norm(raw.flatten(1), ord=2)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-4, atol=1e-5)
        module.eval()
        assert torch.equal(module.weight, module.weight)


def test_mixed_precision_rounds_neither_norms_nor_scores() -> None:
    layer = bb.apply_spectral_norm(nn.Sequential(nn.Conv2d(3, 5, 2)))
    head = bb.ProjectionHead(12, 2)
    h, labels = torch.rand(4, 12), torch.tensor([0, 1, 1, 0])
    exact = copy.deepcopy(layer)[0].weight, head(h, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = layer[0].weight, head(h, labels)
        assert head(h.bfloat16(), labels).dtype == torch.float32
    assert all(torch.equal(one, other) for one, other in zip(exact, rounded, strict=True))


def test_a_spectral_norm_keeps_its_buffer_and_earlier_passes_can_still_go_backwards() -> None:
    layer = bb.apply_spectral_norm(nn.Sequential(nn.Linear(4, 6)))[0]
    buffer = layer.parametrizations.weight[0].left
    gradients = []
    for again in (False, True):
        layer.eval()
        weight = layer.weight
        layer.train()
        first = layer.weight
        if again:
            _ = layer.weight
        layer.zero_grad()
        (weight.square().sum() + first.square().sum()).backward()
        gradients.append(layer.parametrizations.weight.original.grad.clone())
        layer.parametrizations.weight[0].restart()
    assert torch.equal(*gradients)
    assert layer.parametrizations.weight[0].left is buffer


def test_one_pass_gives_the_losses_of_two() -> None:
    x, labels, losses = torch.rand(8, 1, 8, 8), torch.arange(8) % 3, []
    for apart in (True, False):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            pair = players(WganGp(WganGp.Config(**TINY)))
        losses.append(bb.AdversarialStep(pair, apart).step(x, labels, 0, 6))
    for name, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][name])


@pytest.mark.parametrize(("gan", "config"), [(Cgan, {}), (WganGp, {}), (WganGp, {"conditional": False}), (Dcgan, {})])
def test_conditional_is_what_sample_does(gan: type[bb.Gan], config: dict[str, Any]) -> None:
    generator = gan(gan.Config(**TINY, **config))
    generator.fit(images(), context())
    zeros, ones = draw(generator, torch.zeros(8, dtype=torch.int64)), draw(generator, torch.ones(8, dtype=torch.int64))
    assert generator.conditional == (not torch.equal(zeros, ones))


def test_settled_statistics_are_those_of_fresh_latents() -> None:
    network = bb.LatentDecoder(4, (1, 4, 4), 4)
    inputs: list[Tensor] = []
    network.upsampler.first_norm.register_forward_hook(lambda module, args, output: inputs.append(args[0]))
    settle_batch_norm(network, torch.zeros(1, dtype=torch.int64), 4, context())
    norm = network.upsampler.first_norm
    assert isinstance(norm, nn.BatchNorm2d) and not norm.training and norm.momentum == 0.1
    torch.testing.assert_close(norm.running_mean, torch.cat(inputs).mean(dim=(0, 2, 3)))


# Turns


def players(gan: bb.Gan) -> bb.Players:
    networks = gan.networks((1, 8, 8), 3)
    return bb.Players(*networks, gan.config, torch.Generator().manual_seed(0))


def weights(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in network.parameters()])


@pytest.mark.parametrize("n_critic", [1, 3])
def test_the_generator_moves_once_in_n_critic_steps(n_critic: int) -> None:
    gan = WganGp(WganGp.Config(**TINY, n_critic=n_critic))
    pair = players(gan)
    step = gan.train_step(pair)
    x, labels = torch.rand(8, 1, 8, 8), torch.zeros(8, dtype=torch.int64)
    moved = []
    for index in range(6):
        before, critic = weights(pair.generator), weights(pair.discriminator)
        step.step(x, labels, index, 6)
        moved.append(not torch.equal(before, weights(pair.generator)))
        assert not torch.equal(critic, weights(pair.discriminator))
    assert moved == [(index + 1) % n_critic == 0 for index in range(6)]


@pytest.mark.parametrize("gan", GANS)
def test_the_generators_turn_leaves_no_gradient_in_the_discriminator(gan: type[bb.Gan]) -> None:
    pair = players(gan(gan.Config(**TINY)))
    labels = torch.zeros(8, dtype=torch.int64)
    loss = -pair.judge(pair.generator(pair.latents(8), labels), labels).mean()
    before = weights(pair.discriminator)
    pair.move_generator(loss)
    assert all(weight.grad is None and weight.requires_grad for weight in pair.discriminator.parameters())
    assert torch.equal(before, weights(pair.discriminator))


def test_rates_are_constant_and_then_fall_linearly() -> None:
    gan = Dcgan(Dcgan.Config(**TINY, generator_rate=1.0, discriminator_rate=2.0, rate_decay=0.5))
    pair = players(gan)
    rates = []
    for index in range(8):
        pair.set_rates(index, 8)
        rates.append(pair.state_dict()["generator_adam"]["param_groups"][0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert pair.state_dict()["discriminator_adam"]["param_groups"][0]["lr"] == 0.5


@pytest.mark.parametrize("gan", [WganGp, Cgan])
def test_no_batch_norm_where_scores_must_not_mix_images(gan: type[bb.Gan]) -> None:
    _, critic = gan(gan.Config(**TINY)).networks((1, 8, 8), 3)
    assert not [module for module in critic.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


# Fitting


@pytest.mark.parametrize("gan", GANS)
def test_resuming_gives_the_same_bits(gan: type[bb.Gan]) -> None:
    labels = torch.arange(9) % 3
    whole, resumed = gan(gan.Config(**TINY)), gan(gan.Config(**TINY))
    checkpoint = StopAt(3)
    whole.fit(images(), context(checkpoint=checkpoint))
    assert checkpoint.state is not None and checkpoint.state["index"] == 3
    spoiled = dataclasses.replace(context(checkpoint=checkpoint), generator=torch.Generator().manual_seed(99))
    resumed.fit(images(), spoiled)
    assert torch.equal(draw(whole, labels), draw(resumed, labels))


@pytest.mark.parametrize("gan", GANS)
def test_same_seed_same_bits_and_the_global_generator_untouched(gan: type[bb.Gan]) -> None:
    labels, samples = torch.arange(9) % 3, []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        generator = gan(gan.Config(**TINY))
        generator.fit(images(), context())
        samples.append(draw(generator, labels))
        assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(*samples)


@pytest.mark.parametrize("gan", GANS)
@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 5, 9), (3, 32, 32)])
def test_any_size_and_a_round_trip(gan: type[bb.Gan], shape: tuple[int, int, int]) -> None:
    generator = gan(gan.Config(**{**TINY, "steps": 2}))
    facts = generator.fit(images(shape), context())
    assert all(math.isfinite(value) for value in facts.values())
    labels = torch.arange(5) % 3
    sample = draw(generator, labels)
    assert sample.shape == (5, *shape) and sample.dtype == torch.uint8
    again = gan(gan.Config(**{**TINY, "steps": 2}))
    again.load_state_dict(generator.state_dict())
    assert torch.equal(sample, draw(again, labels))
    assert torch.equal(sample[:2], draw(again, labels[:2]))


# Options


def test_hinge_losses_by_hand() -> None:
    of_discriminator, of_generator = LOSSES["hinge"]
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert float(of_discriminator(real, fake)) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)
    assert float(of_generator(fake)) == pytest.approx(2 / 3)


OPTIONS: list[tuple[type[bb.Gan], dict[str, Any]]] = [
    (Dcgan, {"network": "resnet", "discriminator_norm": "spectral", "loss": "hinge", "n_critic": 2}),
    (Dcgan, {"generator_norm": "layer"}),
    (Dcgan, {"network": "resnet", "generator_norm": "layer", "discriminator_norm": "none"}),
    (Cgan, {"network": "resnet", "loss": "hinge", "n_critic": 3, "diff_augment": ["color", "translation", "cutout"]}),
    (WganGp, {"network": "resnet", "n_critic": 2, "diff_augment": ["translation"]}),
    (WganGp, {"network": "resnet", "conditional": False}),
]


@pytest.mark.parametrize(("gan", "options"), OPTIONS)
@pytest.mark.parametrize("compute", [Compute(), Compute("bf16", channels_last=True)])
def test_options_train_and_resume_to_the_same_bits(
    gan: type[bb.Gan], options: dict[str, Any], compute: Compute
) -> None:
    config = gan.Config.model_validate(TINY | options)
    train, labels = images((3, 9, 12)), torch.arange(5) % 3
    whole, resumed, plain = gan(config), gan(config), gan(config)
    stop = StopAt(3)
    whole.fit(train, context(checkpoint=stop, compute=compute))
    assert stop.state is not None
    resumed.fit(train, context(checkpoint=stop, compute=compute))
    losses = plain.fit(train, context(compute=compute))
    assert all(math.isfinite(value) for value in losses.values())
    assert draw(whole, labels).shape == (5, 3, 9, 12)
    assert torch.equal(draw(whole, labels), draw(resumed, labels))
    assert torch.equal(draw(whole, labels), draw(plain, labels))


@pytest.mark.parametrize("gan", [Cgan, WganGp])
def test_in_mixed_precision_every_weight_of_the_generator_learns(gan: type[bb.Gan]) -> None:
    """Of a cast that is kept from a pass without gradients, the next pass would get none."""
    states = []
    for steps in (1, 6):
        made = gan(gan.Config.model_validate(TINY | {"n_critic": 2, "steps": steps}))
        made.fit(images((3, 8, 8)), context(compute=Compute("bf16", channels_last=True)))
        states.append(made.state_dict()["network"])
    floats = {key for key, value in states[0].items() if value.is_floating_point()}
    assert floats and not [key for key in floats if torch.equal(states[0][key], states[1][key])]


def test_augmentation_reaches_both_players(monkeypatch: pytest.MonkeyPatch) -> None:
    for gan in GANS:
        seen: list[int] = []
        config = gan.Config.model_validate(TINY | {"steps": 1, "n_critic": 1, "diff_augment": ["color"]})
        monkeypatch.setattr(
            "benchbench.training.adversarial.diff_augment",
            lambda images, policy, random, seen=seen: (seen.append(len(images)), images)[1],
        )
        gan(config).fit(images(), context())
        assert seen == [8, 8, 8]  # real, fake, and the fakes of the generator's turn


def test_the_residual_discriminator_has_no_batch_norm() -> None:
    with pytest.raises(ValueError, match="expected spectral or none"):
        Dcgan.Config(network="resnet")


def test_layer_norm_leaves_every_image_to_itself() -> None:
    config = Dcgan.Config.model_validate(TINY | {"generator_norm": "layer"})
    generator, _ = Dcgan(config).networks((1, 8, 8), 3)
    latents, labels = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(4, dtype=torch.int64)
    together = generator.train()(latents, labels)
    alone = torch.cat([generator(latents[at : at + 1], labels[:1]) for at in range(4)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("gan", GANS)
def test_probing_uses_none_of_the_trainings_randomness(gan: type[bb.Gan]) -> None:
    config = gan.Config.model_validate(TINY)
    generator, discriminator = gan(config).networks((1, 8, 8), 3)
    random = torch.Generator().manual_seed(0)
    players = bb.Players(generator, discriminator, config, random, 3)
    before = random.get_state()
    step = gan(config).train_step(players)
    first, second = step.probe(6), step.probe(6)  # type: ignore[attr-defined]
    assert torch.equal(random.get_state(), before) and torch.equal(first, second)
    assert first.shape == (6, 1, 8, 8) and float(first.abs().max()) <= 1
    assert players.generator.training
