"""The contracts: what a generator, dataset, extractor, metric, classifier, report, executor or logger must do.

Each plugin class has a ``name`` (lower-case, unique within its kind) and a ``Config``, a pydantic model
whose fields all have defaults, so that ``Plugin(Plugin.Config())`` always works.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from benchbench.types.comparison import Features, FeatureSets, Output
from benchbench.types.context import FitContext, SampleContext
from benchbench.types.images import Dataset, LabelledImages
from benchbench.types.status import Status
from benchbench.types.tasks import CellRun, Outcome, Progress, Task


class Config(BaseModel):
    """Base of every plugin's config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Generator(ABC):
    """A model that fits on labelled images and samples new ones.

    Attributes:
        name: As in benchmark files and leaderboards.
        Config: Its hyper-parameters.
        role: ``generator``, or ``control`` for a row that calibrates the board and is never ranked.
        fit_split: The split handed to ``fit``. Only a control may ask for ``val``.
        expected: What must be found of a control for the board to be trusted: that it comes out ``best`` or
            ``worst`` on distances, or that it is ``copied`` from the training images.
        mislabels: Whether a control gives images of other classes than asked for, on purpose.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config
    role: ClassVar[Literal["generator", "control"]] = "generator"
    fit_split: ClassVar[Literal["train", "val"]] = "train"
    expected: ClassVar[Literal["best", "worst", "copied"] | None] = None
    mislabels: ClassVar[bool] = False

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    @property
    def conditional(self) -> bool:
        """Whether ``sample`` honours its labels. If not, the benchmark file says how labels come about."""
        return True

    @abstractmethod
    def fit(self, train: LabelledImages, ctx: FitContext) -> Mapping[str, float] | None:
        """Learn from ``train``, which must not be changed.

        Returns:
            Named facts for the record (for example ``{"train_bits_per_dim": 2.1}``), or None.

        Raises:
            UnsupportedDataError: If this dataset cannot be modelled; the cell is then ``skipped``.
            DivergedError: If training became hopeless.
        """

    @abstractmethod
    def sample(self, labels: Tensor, ctx: SampleContext) -> Tensor:
        """Draw one image a label.

        Args:
            labels: ``int64 (n,)``. An unconditional generator uses its length only.
            ctx: Seed and device.

        Returns:
            ``uint8 (n, C, H, W)`` on the CPU. Image ``i`` depends on the seed, ``i`` and label ``i`` alone.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that ``sample`` needs, as tensors, numbers, strings, lists and dicts (no other objects)."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict`` into an object fresh from its config, which has seen no data."""

    def num_parameters(self) -> int:
        """Numbers kept after training: the elements of all tensors in ``state_dict``."""
        return _count_elements(self.state_dict())


def _count_elements(value: object) -> int:
    """Elements of all tensors in a nest of dicts and lists."""
    if isinstance(value, Tensor):
        return value.numel()
    if isinstance(value, Mapping):
        return sum(_count_elements(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(_count_elements(item) for item in value)
    return 0


@runtime_checkable
class LikelihoodModel(Protocol):
    """A generator with an exact likelihood."""

    def bits_per_dim(self, data: LabelledImages, ctx: SampleContext) -> Tensor:
        """Negative log2-likelihood a sub-pixel, ``float64 (N,)``, in bits/dim."""
        ...


@runtime_checkable
class FiniteSet(Protocol):
    """A generator that has all its images from the start, and gives each of them once.

    Under ``pseudo_label`` they are labelled once, instead of candidates being drawn until every class is filled.
    """

    def all_images(self) -> Tensor:
        """Every image, ``uint8 (N, C, H, W)`` on the CPU; after ``fit``."""
        ...

    def assign(self, labels: Tensor) -> None:
        """The images' labels from now on, ``int64 (N,)``."""
        ...


class DatasetSource(ABC):
    """Where a dataset comes from."""

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    def check(self, data_dir: Path) -> str:
        """Find out whether its files are here, without reading images and without fetching any.

        Returns:
            Where they are, or what else there is to say, for people; empty where nothing is.

        Raises:
            DataMissingError: If files are missing; names the file, the place and the remedy.
        """
        return ""

    @abstractmethod
    def load(self, data_dir: Path) -> Dataset:
        """Read the dataset; ``data_dir`` is where files are looked for.

        Raises:
            DataMissingError: If files are missing; names the file, the place and the remedy.
        """


class FeatureExtractor(ABC):
    """Images to vectors, in which distances between sets of images are taken.

    Attributes:
        proper_names: What a metric is called in these features, where that is not ``METRIC[name]``;
            ``{"fd": "FID"}`` for Inception.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config
    proper_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    def check(self) -> None:  # noqa: B027  (most extractors need nothing)
        """Find out, before anything is computed, whether needed files and packages are here.

        Raises:
            DataMissingError: Naming what is missing, where to put it, and its checksum.
        """

    @abstractmethod
    def fit(self, train: LabelledImages, ctx: FitContext) -> None:
        """Make ready, from the real training images and from nothing else."""

    @abstractmethod
    def extract(self, images: Tensor, device: torch.device) -> Features:
        """``uint8 (N, C, H, W)`` to ``float32 (N, d)``, in evaluation mode, whatever the batch size."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that ``extract`` needs."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict``."""


class Metric(ABC):
    """Numbers from the features of real and of synthetic images.

    Attributes:
        outputs: The numbers it gives, the main one first.
        needs: What it needs besides the two feature sets, of ``"train"``, ``"drawn"`` and ``"probabilities"``. In
            features that offer no probabilities the metric is left out.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[Output, ...]]
    needs: ClassVar[frozenset[str]] = frozenset()
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    @abstractmethod
    def compute(self, sets: FeatureSets, rng: np.random.Generator) -> Mapping[str, float | Sequence[float]]:
        """One finite value for each of ``outputs``, by its key; ``rng`` serves any subsampling."""


@runtime_checkable
class ProbabilityModel(Protocol):
    """A feature extractor with a classifier on top."""

    def probabilities(self, features: Features) -> Features:
        """``float32 (N, d)``, as from ``extract``, to class probabilities ``float32 (N, K')``, rows summing to 1."""
        ...


class Predictor(Protocol):
    """A trained classifier."""

    def predict(self, images: Tensor) -> Tensor:
        """``uint8 (N, C, H, W)`` to class probabilities ``float32 (N, K)`` on the CPU, rows summing to 1."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`Classifier.restore` needs, as tensors, numbers, strings, lists and dicts."""
        ...


class Classifier(ABC):
    """The downstream model whose accuracy is the benchmark's end."""

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    @abstractmethod
    def train(self, train: LabelledImages, steps: int, ctx: FitContext) -> Predictor:
        """Take exactly ``steps`` optimizer steps; the initialisation depends on ``ctx.seed`` alone."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any], device: torch.device) -> Predictor:
        """A predictor from its ``state_dict``."""


class Executor(ABC):
    """Runs tasks as independent processes."""

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    @abstractmethod
    def run(self, tasks: Sequence[Task], jobs: int, on_progress: Callable[[Progress], None]) -> Iterator[Outcome]:
        """Run all ``tasks``, ``jobs`` at a time, and yield each one's outcome as it ends."""


class Report(ABC):
    """Writes a finished board in one form."""

    name: ClassVar[str]

    @abstractmethod
    def write(self, dossier: Any, folder: Path) -> list[Path]:
        """Write files under ``folder``.

        Args:
            dossier: A :class:`benchbench.leaderboard.Dossier`: the board and its exhibits.
            folder: ``reports/<benchmark>``; it exists.

        Returns:
            The files written.
        """


class Logger(ABC):
    """Follows a cell while it runs, for people who watch: TensorBoard, MLflow, Weights & Biases, one's own.

    One object follows one cell, in the cell's process. What it is told is its own to keep or change: no result depends
    on a logger, none is in a content key, and one that raises is dropped with a warning while the cell goes on. Stages
    that are served from the store are not told again.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Any = None) -> None:
        self.config: Any = self.Config() if config is None else config

    def check(self) -> None:  # noqa: B027  (most loggers need nothing)
        """Find out, before anything is computed, whether needed packages and accounts are here.

        Raises:
            DataMissingError: Naming what is missing and the remedy.
        """

    @abstractmethod
    def begin(self, cell: CellRun) -> None:
        """The cell's process is ready to work."""

    @abstractmethod
    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a training at a step.

        Args:
            phase: What is trained: ``fit``, ``classifier synthetic``, …
            step: Optimizer steps done in this phase.
            values: Losses by name, and ``images_per_second`` where it is known; all finite.
        """

    def show(self, phase: str, step: int, images: Tensor) -> None:  # noqa: B027  (numbers are enough for many)
        """Samples of what is trained, ``uint8 (n, C, H, W)`` on the CPU."""

    def end(self, status: Status, numbers: Mapping[str, float]) -> None:  # noqa: B027  (likewise)
        """The cell has ended; the last call.

        Args:
            status: How it ended.
            numbers: What may be looked at while choosing: costs, and accuracies on validation images by arm. Test
                images are for the report alone.
        """
