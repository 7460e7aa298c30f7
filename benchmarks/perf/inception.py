"""Inception features of 32x32 uint8 images in memory, against pytorch-fid's network and loop as they are.

Run: ``python benchmarks/perf/inception.py [--pairs 8] [--images 96]``. One thread, CPU time. Goals: 1.9 times as fast
in f32, 4 times in bf16 (on a processor with bf16 instructions).

The weights are random, in pytorch-fid's layout: He's initialisation, batch norms with statistics of their own. Features
in f32 must be pytorch-fid's to 1e-4 (of each, and 1e-5 of their spread where they are near zero); the Fréchet distance
of two kinds of image, all features in bf16, must be within 0.5 % of that in f32.

A number of images divisible by 16 fills our batches; pytorch-fid's batches are of 50.
"""

from __future__ import annotations

import argparse
import time
from unittest.mock import patch

import numpy as np
import torch
from pairs import compare
from pytorch_fid import inception as fid
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import Inception3

from benchbench.features._fid_inception import FidInception
from benchbench.features.inception import CPU_BATCH
from benchbench.metrics.frechet import frechet_distance, moments
from benchbench.training.classification import in_batches

CPU = torch.device("cpu")
PRECISIONS = (("f32", torch.float32, 1.9), ("bf16", torch.bfloat16, 4.0))
PEER_BATCH, PEER_DIMENSIONS = 50, 2048  # the defaults of pytorch-fid's get_activations


def random_network() -> nn.Module:
    """What pytorch-fid loads its weights into, with random ones."""
    with patch.object(fid, "load_state_dict_from_url"), patch.object(Inception3, "load_state_dict"):
        network = fid.fid_inception_v3()
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1.5)
            for values in (module.bias.data, module.running_mean):
                values.normal_(std=0.1)
    return network


def two_kinds(count: int) -> Tensor:
    """``uint8 (count, 3, 32, 32)``: the first half smooth, the second half not."""
    random = torch.Generator().manual_seed(0)
    half = count // 2
    small = torch.randint(0, 256, (half, 3, 6, 6), generator=random).float()
    smooth = nn.functional.interpolate(small, size=(32, 32), mode="bilinear").round().to(torch.uint8)
    return torch.cat([smooth, torch.randint(0, 256, (count - half, 3, 32, 32), dtype=torch.uint8, generator=random)])


def peer(network: nn.Module, images: Tensor) -> np.ndarray:
    """The loop of pytorch-fid's ``get_activations``; images come from memory, as its ``ToTensor`` would make them."""
    network.eval()
    features = np.empty((len(images), PEER_DIMENSIONS))
    for start in range(0, len(images), PEER_BATCH):
        batch = images[start : start + PEER_BATCH].float().div(255)
        with torch.no_grad():
            found = network(batch)[0]
        features[start : start + len(batch)] = found.squeeze(3).squeeze(2).cpu().numpy()
    return features


def distance(features: np.ndarray) -> float:
    """Of the first half of the images from the second."""
    half = len(features) // 2
    return frechet_distance(*moments(features[:half]), *moments(features[half:]))


def peak(dtype: torch.dtype) -> float:
    """Operations a second of the better of a matrix product and a convolution that suits the processor."""
    square = torch.rand(2048, 2048, dtype=dtype)
    maps = torch.rand(16, 448, 8, 8, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weights = torch.rand(384, 448, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    rates = []
    for do in (lambda: square @ square, lambda: nn.functional.conv2d(maps, weights, padding=1)):
        with FlopCounterMode(display=False) as counter:
            do()
        for _ in range(5):
            began = time.process_time()
            do()
            rates.append(counter.get_total_flops() / (time.process_time() - began))
    return max(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--images", type=int, default=96)
    options = parser.parse_args()
    images, random = two_kinds(options.images), random_network()
    with patch.object(fid, "fid_inception_v3", lambda: random):
        theirs = fid.InceptionV3([fid.InceptionV3.BLOCK_INDEX_BY_DIM[PEER_DIMENSIONS]])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs.eval()(images[:1].float())
    flops = counter.get_total_flops()
    print(f"{flops / 1e9:.2f} GFLOP an image in pytorch-fid's network, nearly all in its convolutions")

    expected, distances = peer(theirs, images), {}
    for name, dtype, goal in PRECISIONS:
        ours = FidInception(random.state_dict(), dtype)

        def run(ours: FidInception = ours) -> np.ndarray:
            return in_batches(ours, images, CPU, batch_size=CPU_BATCH).numpy()

        got = run()
        distances[name] = distance(got)
        error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
        ratio = compare(lambda: peer(theirs, images), run, pairs=options.pairs)
        rate = peak(dtype)
        bound = flops / rate
        print(f"{name}, {options.images} images: pytorch-fid / benchbench, CPU time: {ratio}; goal {goal}")
        print(
            f"  {ratio.b / len(images):.4f} s an image, of which {bound:.4f} s is the least at {rate / 1e9:.0f} GFLOP/s"
        )
        print("  the faster of a matrix product and a convolution in this run;")
        print(
            f"  features differ from pytorch-fid's by {error:.0e}; their distance is {distances[name]:.6g}", flush=True
        )
        if name == "f32":
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * expected.std())
    change = distances["bf16"] / distances["f32"] - 1
    print(f"the distance in bf16 is that in f32 by {change:+.2%}")
    assert abs(change) <= 5e-3, f"got {distances}, expected a change of at most 0.5 %"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
