"""Convolutional networks for images of any size with 1 or 3 channels."""

from benchbench.networks.conv import Downsampler, Upsampler, init_weights, size_ladder
from benchbench.networks.classifier import SmallCnn

__all__ = ["Downsampler", "SmallCnn", "Upsampler", "init_weights", "size_ladder"]
