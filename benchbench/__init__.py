"""benchbench: should I augment with a generative model, with which, how much, and is it safe?

This module is the plugin author's face. Names are imported when first used, so that ``benchbench --help``
needs no torch; nothing inside the package imports from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchbench.api.fitted import FittedGenerator, fit, load
    from benchbench.api.frames import load_results
    from benchbench.api.running import run
    from benchbench.api.scored import score
    from benchbench.datasets.samples import Samples, read_samples
    from benchbench.errors import CollapsedError, DataError, DataMissingError, DivergedError, UnsupportedDataError
    from benchbench.hookspecs import hookimpl
    from benchbench.networks import (
        ConditionalBatchNorm,
        Critic,
        Downsampler,
        LatentDecoder,
        MultiScaleFlow,
        ProjectionHead,
        ResidualCritic,
        ResidualDecoder,
        SmallCnn,
        Upsampler,
        apply_spectral_norm,
        init_weights,
        size_ladder,
    )
    from benchbench.seeding import derive_seed, numpy_generator, torch_generator
    from benchbench.training import (
        AdversarialConfig,
        AdversarialStep,
        Ema,
        Gan,
        GanConfig,
        Learner,
        LearnerStep,
        LoopResult,
        Players,
        PlayersStep,
        TrainStep,
        augment,
        fit_loop,
        place,
        sample_in_blocks,
        to_float,
        to_uint8,
    )
    from benchbench.types import (
        Augmentation,
        CellRun,
        Classifier,
        Config,
        Dataset,
        DatasetSource,
        Executor,
        FeatureExtractor,
        FeatureSets,
        FitContext,
        Generator,
        LabelledImages,
        Logger,
        Metric,
        Outcome,
        Output,
        Progress,
        Report,
        SampleContext,
        Status,
        Task,
    )

__version__ = "0.1.0"

_HOMES = {
    "benchbench.api.fitted": "FittedGenerator fit load",
    "benchbench.api.frames": "load_results",
    "benchbench.api.running": "run",
    "benchbench.api.scored": "score",
    "benchbench.datasets.samples": "Samples read_samples",
    "benchbench.errors": "CollapsedError DataError DataMissingError DivergedError UnsupportedDataError",
    "benchbench.hookspecs": "hookimpl",
    "benchbench.networks": (
        "ConditionalBatchNorm Critic Downsampler LatentDecoder MultiScaleFlow ProjectionHead ResidualCritic "
        "ResidualDecoder SmallCnn Upsampler apply_spectral_norm init_weights size_ladder"
    ),
    "benchbench.seeding": "derive_seed numpy_generator torch_generator",
    "benchbench.training": (
        "AdversarialConfig AdversarialStep Ema Gan GanConfig Learner LearnerStep LoopResult Players "
        "PlayersStep TrainStep augment fit_loop place sample_in_blocks to_float to_uint8"
    ),
    "benchbench.types": (
        "Augmentation CellRun Classifier Config Dataset DatasetSource Executor FeatureExtractor FeatureSets FitContext "
        "Generator LabelledImages Logger Metric Outcome Output Progress Report SampleContext Status Task"
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AdversarialConfig",
    "AdversarialStep",
    "Augmentation",
    "CellRun",
    "Classifier",
    "CollapsedError",
    "ConditionalBatchNorm",
    "Config",
    "Critic",
    "DataError",
    "DataMissingError",
    "Dataset",
    "DatasetSource",
    "DivergedError",
    "Downsampler",
    "Ema",
    "Executor",
    "FeatureExtractor",
    "FeatureSets",
    "FitContext",
    "FittedGenerator",
    "Gan",
    "GanConfig",
    "Generator",
    "LabelledImages",
    "LatentDecoder",
    "Learner",
    "LearnerStep",
    "Logger",
    "LoopResult",
    "Metric",
    "MultiScaleFlow",
    "Outcome",
    "Output",
    "Players",
    "PlayersStep",
    "Progress",
    "ProjectionHead",
    "Report",
    "ResidualCritic",
    "ResidualDecoder",
    "SampleContext",
    "Samples",
    "SmallCnn",
    "Status",
    "Task",
    "TrainStep",
    "UnsupportedDataError",
    "Upsampler",
    "apply_spectral_norm",
    "augment",
    "derive_seed",
    "fit",
    "fit_loop",
    "hookimpl",
    "init_weights",
    "load",
    "load_results",
    "numpy_generator",
    "place",
    "read_samples",
    "run",
    "sample_in_blocks",
    "score",
    "size_ladder",
    "to_float",
    "to_uint8",
    "torch_generator",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'benchbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted(__all__)
