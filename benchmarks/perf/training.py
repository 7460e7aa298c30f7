"""One training step of DCGAN, WGAN-GP and a classifier in bfloat16 and NHWC, against a plain float32 step in NCHW.

Run: ``python benchmarks/perf/training.py [--pairs 8] [--only dcgan]``. 32x32 images, batch 128, default widths, one
thread, CPU time. Goals: 2.1 times as fast (DCGAN), 2 (WGAN-GP), 2.4 (classifier), on a CPU with bfloat16 instructions.

The plain step is the textbook's: the same networks and losses, Adam as it comes, the discriminator's weights not frozen
while the generator learns. That the faster way is as good is shown in the same run, on digits (8x8): five seeds
are trained either way, and the mean Fréchet distance to test images (on pixels), or the mean test accuracy, must differ
by less than three standard errors of that difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from benchbench_plugins.dcgan import Dcgan
from benchbench_plugins.wgan_gp import WganGp, between, critic_loss, gradient_penalty
from pairs import compare
from torch import Tensor, nn

import benchbench as bb
from benchbench.datasets.digits import Digits
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.metrics.frechet import frechet_distance, moments
from benchbench.training.acceleration import arithmetic, in_memory_format, place
from benchbench.training.adversarial import discriminator_loss, generator_loss
from benchbench.training.classification import ClassifierStep
from benchbench.training.gan import Gan
from benchbench.types import Compute, FitContext

BATCH, SHAPE, CLASSES, STEPS = 128, (3, 32, 32), 10, 2
PLAIN, FAST = Compute(), Compute("bf16", channels_last=True)
CPU = torch.device("cpu")
SEEDS, QUALITY_STEPS = range(5), 300


def context(seed: int, compute: Compute) -> FitContext:
    return FitContext(seed=seed, device=CPU, generator=bb.torch_generator(seed), compute=compute)


def batch() -> tuple[Tensor, Tensor]:
    random = bb.torch_generator(0)
    return torch.rand(BATCH, *SHAPE, generator=random) * 2 - 1, torch.randint(CLASSES, (BATCH,), generator=random)


def networks(gan: Gan) -> tuple[nn.Module, nn.Module]:
    pair = gan.networks(SHAPE, CLASSES)
    for network in pair:
        bb.init_weights(network, bb.torch_generator(0), 0.02)
    return pair


def fast_gan(gan: Gan) -> Callable[[], None]:
    """Ours, as ``fit_loop`` runs it."""
    ctx, (images, labels) = context(0, FAST), batch()
    pair = [place(network, ctx) for network in networks(gan)]
    step = gan.train_step(bb.Players(*pair, gan.config, ctx.generator, CLASSES))
    pixels = in_memory_format(images, ctx.compute)

    def run() -> None:
        for index in range(STEPS):
            with arithmetic(ctx):
                step.step(pixels, labels, index, 1000)

    return run


def plain_dcgan(gan: Gan) -> Callable[[], None]:
    """Real, then fake, then the generator (Radford 2016, as in every tutorial)."""
    (generator, critic), (images, labels), random = networks(gan), batch(), bb.torch_generator(0)
    adam_g, adam_d = (torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.99)) for network in (generator, critic))

    def run() -> None:
        for _ in range(STEPS):
            adam_d.zero_grad()
            fake = generator(torch.randn(BATCH, gan.config.z_dim, generator=random), labels)
            discriminator_loss(critic(images, labels), critic(fake.detach(), labels)).backward()
            adam_d.step()
            adam_g.zero_grad()
            generator_loss(critic(fake, labels)).backward()
            adam_g.step()

    return run


def plain_wgan(gan: Gan) -> Callable[[], None]:
    """A critic step and a generator step (Gulrajani 2017, Algorithm 1, with n_critic = 1)."""
    (generator, critic), (images, labels), random = networks(gan), batch(), bb.torch_generator(0)
    adam_g, adam_d = (torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.9)) for network in (generator, critic))

    def run() -> None:
        for _ in range(STEPS):
            adam_d.zero_grad()
            fake = generator(torch.randn(BATCH, gan.config.z_dim, generator=random), labels).detach()
            penalty = gradient_penalty(critic, between(images, fake, random), labels)
            (critic_loss(critic(images, labels), critic(fake, labels)) + 10 * penalty).backward()
            adam_d.step()
            adam_g.zero_grad()
            (
                -critic(generator(torch.randn(BATCH, gan.config.z_dim, generator=random), labels), labels).mean()
            ).backward()
            adam_g.step()

    return run


def classifier(compute: Compute) -> Callable[[], None]:
    """The small CNN at four times its default width; plain is AdamW as it comes, without an average."""
    ctx, (images, labels) = context(0, compute), batch()
    network = bb.SmallCnn(SHAPE, CLASSES, 64, 64)
    bb.init_weights(network, bb.torch_generator(0))
    place(network, ctx)
    if compute == PLAIN:
        adam = torch.optim.AdamW(network.parameters(), 0.02)

        def run() -> None:
            for _ in range(STEPS):
                adam.zero_grad()
                nn.functional.cross_entropy(network(images), labels).backward()
                adam.step()

        return run
    step = ClassifierStep(bb.Learner(network, learning_rate=0.02, weight_decay=0.5, ema_decay=0.98))
    pixels = in_memory_format(images, compute)

    def run_fast() -> None:
        for index in range(STEPS):
            with arithmetic(ctx):
                step.step(pixels, labels, index, 1000)

    return run_fast


def gan_quality(make: Callable[[], Gan], compute: Compute) -> list[float]:
    """Fréchet distance on the pixels of digits, a number a seed."""
    data, values = Digits(Digits.Config()).load(None), []
    real = moments(data.test.images.flatten(1).numpy())
    for seed in SEEDS:
        gan = make()
        gan.fit(data.train, context(seed, compute))
        samples = gan.sample(data.test.labels, bb.SampleContext(seed=seed, device=CPU))
        values.append(frechet_distance(*real, *moments(samples.flatten(1).numpy())))
    return values


def classifier_quality(compute: Compute) -> list[float]:
    """Test accuracy on digits, a number a seed."""
    data = Digits(Digits.Config()).load(None)
    values = []
    for seed in SEEDS:
        predictor = CnnSmall(CnnSmall.Config()).train(data.train, QUALITY_STEPS, context(seed, compute))
        hits = predictor.predict(data.test.images).argmax(dim=1) == data.test.labels
        values.append(float(hits.float().mean()))
    return values


def within_seed_noise(what: str, plain: list[float], fast: list[float]) -> None:
    a, b = np.array(plain), np.array(fast)
    error = float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a)))
    print(
        f"  {what}: plain {a.mean():.4g}, fast {b.mean():.4g}, standard error of the difference {error:.2g}", flush=True
    )
    assert abs(a.mean() - b.mean()) <= 3 * error, f"{what}: {plain} and {fast}"


def roofline(size: int = 1024) -> float:
    """How much faster this processor multiplies matrices in bfloat16 than in float32."""
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.ones(size, size, dtype=dtype)
        _ = x @ x
        began = time.process_time()
        for _ in range(10):
            _ = x @ x
        seconds.append(time.process_time() - began)
    return seconds[0] / seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--only", choices=("dcgan", "wgan_gp", "classifier"))
    options = parser.parse_args()
    print(f"bfloat16 matrix products are {roofline():.1f} times as fast as float32 ones here")
    tiny = {"steps": QUALITY_STEPS, "width": 16, "discriminator_width": 16, "batch_size": 32}
    rates = {"generator_rate": 1e-3, "discriminator_rate": 1e-3}
    dcgan, wgan = Dcgan(Dcgan.Config()), WganGp(WganGp.Config(n_critic=1))
    cases: dict[str, tuple[Callable[[], None], Callable[[], None], float, str, Callable[[Compute], list[float]]]] = {
        "dcgan": (
            plain_dcgan(dcgan),
            fast_gan(dcgan),
            2.1,
            "FD",
            lambda how: gan_quality(lambda: Dcgan(Dcgan.Config(**tiny, **rates)), how),
        ),
        "wgan_gp": (
            plain_wgan(wgan),
            fast_gan(wgan),
            2.0,
            "FD",
            lambda how: gan_quality(lambda: WganGp(WganGp.Config(**tiny, **rates, n_critic=1)), how),
        ),
        "classifier": (classifier(PLAIN), classifier(FAST), 2.4, "accuracy", classifier_quality),
    }
    for name, (plain, fast, goal, what, quality) in cases.items():
        if options.only in (None, name):
            ratio = compare(plain, fast, pairs=options.pairs)
            print(
                f"{name}, {STEPS} steps: plain float32 NCHW / ours in bfloat16 NHWC: {ratio}; goal {goal}", flush=True
            )
            within_seed_noise(f"{what} on digits", quality(PLAIN), quality(FAST))


if __name__ == "__main__":
    torch.set_num_threads(1)  # CPU time counts what spinning threads waste
    main()
