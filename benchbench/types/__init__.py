"""The values and contracts that every floor shares."""

from benchbench.types.augmentation import Augmentation
from benchbench.types.comparison import FeatureSets, Output
from benchbench.types.compute import Compute, Precision
from benchbench.types.context import Budget, Checkpoint, FitContext, NoCheckpoint, SampleContext
from benchbench.types.images import Dataset, LabelledImages
from benchbench.types.plugins import (
    Classifier,
    Config,
    DatasetSource,
    Executor,
    FeatureExtractor,
    FiniteSet,
    Generator,
    LikelihoodModel,
    Logger,
    Metric,
    Predictor,
    ProbabilityModel,
    Report,
)
from benchbench.types.status import Status
from benchbench.types.tasks import PARENT_VARIABLE, SLOT_VARIABLE, CellRun, Outcome, Progress, Task

__all__ = [
    "PARENT_VARIABLE",
    "SLOT_VARIABLE",
    "Augmentation",
    "Budget",
    "CellRun",
    "Checkpoint",
    "Classifier",
    "Compute",
    "Config",
    "Dataset",
    "DatasetSource",
    "Executor",
    "FeatureExtractor",
    "FeatureSets",
    "FitContext",
    "Generator",
    "LabelledImages",
    "FiniteSet",
    "LikelihoodModel",
    "Logger",
    "Metric",
    "NoCheckpoint",
    "Outcome",
    "Output",
    "Precision",
    "Predictor",
    "ProbabilityModel",
    "Progress",
    "Report",
    "SampleContext",
    "Status",
    "Task",
]
