"""The one training loop, and what generators and classifiers share around it."""

from benchbench.training.acceleration import place
from benchbench.training.adversarial import AdversarialConfig, AdversarialStep, GanConfig, Players, PlayersStep
from benchbench.training.augmentation import augment
from benchbench.training.ema import Ema
from benchbench.training.gan import Gan
from benchbench.training.learner import Learner, LearnerStep
from benchbench.training.loop import LoopResult, TrainStep, fit_loop
from benchbench.training.pixels import to_float, to_uint8
from benchbench.training.sampling import sample_in_blocks
from benchbench.training.schedule import warmup_cosine

__all__ = [
    "AdversarialConfig",
    "AdversarialStep",
    "Ema",
    "Gan",
    "GanConfig",
    "Learner",
    "LearnerStep",
    "LoopResult",
    "Players",
    "PlayersStep",
    "TrainStep",
    "augment",
    "fit_loop",
    "place",
    "sample_in_blocks",
    "to_float",
    "to_uint8",
    "warmup_cosine",
]
