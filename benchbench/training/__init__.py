"""The one training loop, and what generators and classifiers share around it."""

from benchbench.training.ema import Ema
from benchbench.training.loop import LoopResult, TrainStep, fit_loop
from benchbench.training.pixels import to_float, to_uint8
from benchbench.training.sampling import sample_in_blocks

__all__ = ["Ema", "LoopResult", "TrainStep", "fit_loop", "sample_in_blocks", "to_float", "to_uint8"]
