"""Convolutional networks for images of any size with 1 or 3 channels."""

from benchbench.networks.adversarial import Critic, LatentDecoder
from benchbench.networks.classifier import SmallCnn
from benchbench.networks.conditioning import ConditionalBatchNorm, ProjectionHead
from benchbench.networks.conv import Downsampler, Upsampler, init_weights, size_ladder
from benchbench.networks.invertible import MultiScaleFlow
from benchbench.networks.residual import ResidualCritic, ResidualDecoder
from benchbench.networks.spectral import apply_spectral_norm

__all__ = [
    "ConditionalBatchNorm",
    "Critic",
    "Downsampler",
    "LatentDecoder",
    "MultiScaleFlow",
    "ProjectionHead",
    "ResidualCritic",
    "ResidualDecoder",
    "SmallCnn",
    "Upsampler",
    "apply_spectral_norm",
    "init_weights",
    "size_ladder",
]
