"""What a benchmark file may say."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from benchbench.config.published import Published
from benchbench.types.augmentation import Augmentation

# The row of the classifier that is trained on real images alone: what every lift is measured from.
BASELINE = "real"

# Two distances, fidelity and diversity apart, and the memorization flag.
DEFAULT_METRICS = ("fd", "kid", "prdc", "memorization")

# Cells of one benchmark: beyond, a number is mistyped.
MOST_CELLS = 50_000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _safe_name(name: str) -> str:
    """A name that may stand in a file name, a table and a URL."""
    if not NAME.fullmatch(name):
        raise ValueError("expected 1 to 64 of the characters A-Z a-z 0-9 . _ - beginning with a letter or digit")
    return name


def _unique(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        repeated = sorted(value for value, count in Counter(values).items() if count > 1)[:5]
        raise ValueError(f"repeats {repeated}; expected each once")
    return values


def _named(value: object) -> object:
    """``cgan`` is short for ``{name: cgan}``."""
    return {"name": value} if isinstance(value, str) else value


def _count_to_list(value: object) -> object:
    """``seeds: 3`` is short for ``[0, 1, 2]``."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1000:
        return list(range(value))
    return value


SafeName = Annotated[str, AfterValidator(_safe_name)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Ratio = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
PartOfAll = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Imbalance = Annotated[float, Field(ge=1, le=1e6, allow_inf_nan=False)]


class _Model(BaseModel):
    """Unknown keys are errors; nothing is changed after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PluginSpec(_Model):
    """A plugin's name and config; in a file, a bare name will do."""

    name: SafeName
    config: dict[str, Any] = Field(default_factory=dict)


class GeneratorSpec(PluginSpec):
    """A row: a generator, its config, the row's name (``as``), where its labels come from, and what it may see.

    Attributes:
        row: The row's name; the generator's where it is None.
        labels: For a generator that cannot condition.
        generator_data: ``labelled``: exactly the images that the classifier has. ``full``: all training images,
            in a setting where the classifier has fewer. ``unlabelled``: the same without the labels of the rest,
            which a classifier fitted on the labelled ones guesses. The last two are the transfer track.
    """

    row: SafeName | None = Field(None, alias="as")
    labels: Literal["per_class", "pseudo_label"] | None = None
    generator_data: Literal["labelled", "unlabelled", "full"] = "labelled"

    @property
    def transfer(self) -> bool:
        """Whether it sees more than the classifier does."""
        return self.generator_data != "labelled"

    @property
    def label(self) -> str:
        """The row's name in the leaderboard."""
        return self.row or self.name


_Plugin = Annotated[PluginSpec, BeforeValidator(_named)]
_Generator = Annotated[GeneratorSpec, BeforeValidator(_named)]


class Protocol(_Model):
    """How every row is scored.

    Attributes:
        features: Feature extractors in which distances are taken; the first one is the main one.
        metrics: Distances between feature sets.
        classifier: The downstream model.
        classifier_steps: Optimizer steps of every arm, the same for all.
        classifier_seeds: Classifiers trained a cell and arm, each from its own seed; their mean is the cell's value.
        ratios: Synthetic images a real one in the mixed arms; the best on ``val`` is reported.
        classical: The changes of the classical-augmentation arms; None leaves these arms out.
        curve: Parts of the training images on which the baseline is trained too: its learning curve.
        rank_by: What orders the rows: ``lift``, ``cas``, or a metric, taken in the main features.
        margin: Differences in accuracy below this do not matter in practice.
        level: Confidence of all intervals.
    """

    features: list[_Plugin] = Field(default_factory=lambda: [PluginSpec(name="domain")], min_length=1)
    metrics: list[_Plugin] = Field(
        default_factory=lambda: [PluginSpec(name=name) for name in DEFAULT_METRICS], min_length=1
    )
    classifier: _Plugin = PluginSpec(name="cnn_small")
    classifier_steps: int = Field(600, ge=1)
    classifier_seeds: int = Field(1, ge=1, le=100)
    ratios: Annotated[list[Ratio], AfterValidator(_unique)] = Field(default_factory=lambda: [1.0], min_length=1)
    classical: Augmentation | None = Field(default_factory=Augmentation)
    curve: Annotated[list[PartOfAll], AfterValidator(_unique)] = Field(default_factory=lambda: [0.125, 0.25, 0.5])
    rank_by: SafeName = "lift"
    margin: float = Field(0.01, gt=0, lt=1, allow_inf_nan=False)
    level: float = Field(0.95, gt=0.5, lt=1, allow_inf_nan=False)

    @field_validator("features", "metrics")
    @classmethod
    def _names_unique(cls, specs: list[PluginSpec]) -> list[PluginSpec]:
        _unique([spec.name for spec in specs])
        return specs

    @field_validator("rank_by")
    @classmethod
    def _rank_known(cls, rank_by: str, info: ValidationInfo) -> str:
        known = ["lift", "cas", *(spec.name for spec in info.data.get("metrics", []))]
        if "metrics" in info.data and rank_by not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return rank_by


class SettingsSpec(_Model):
    """Data settings; every fraction is run with every imbalance.

    Attributes:
        fractions: Of the training images of every class.
        imbalance: Images of the largest class over those of the smallest.
    """

    fractions: Annotated[list[Fraction], AfterValidator(_unique)] = Field(default_factory=lambda: [1.0], min_length=1)
    imbalance: Annotated[list[Imbalance], AfterValidator(_unique)] = Field(default_factory=lambda: [1.0], min_length=1)


class BudgetSpec(_Model):
    """Training allowed to every generator alike (see :class:`benchbench.types.Budget`)."""

    max_steps: int | None = Field(None, ge=1)
    max_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)


Switch = Literal["auto"] | bool


class ComputeSpec(_Model):
    """How training is computed; ``auto`` goes by the device (see :func:`benchbench.training.acceleration.resolve`).

    Attributes:
        precision: ``bf16`` is mixed precision. The one field that is part of content keys, unless it is ``auto``.
        channels_last: Memory format NHWC.
        compile: ``torch.compile``.
        cuda_graphs: Replayed CUDA graphs, of compiled networks.
    """

    precision: Literal["auto", "f32", "bf16"] = "auto"
    channels_last: Switch = "auto"
    compile: Switch = "auto"
    cuda_graphs: Switch = "auto"


class Limits(_Model):
    """What a cell's process may use; not part of any content key.

    Attributes:
        timeout: Wall-clock seconds after which the process is killed.
        checkpoint_every: Seconds between checkpoints of a fit: what an interruption costs at most.
        memory: GiB that a process may allocate on the CPU; null for all that the machine has. Not enforced on a GPU,
            nor outside Linux.
        threads: Threads a process. One, because cells run side by side: a threaded linear algebra library
            on a busy machine was seen to be 13 times slower than one thread a process.
    """

    timeout: float = Field(3600.0, gt=0, allow_inf_nan=False)
    checkpoint_every: float = Field(30.0, gt=0, allow_inf_nan=False)
    memory: float | None = Field(None, gt=0, allow_inf_nan=False)
    threads: int = Field(1, ge=1, le=1024)


class Benchmark(_Model):
    """A whole benchmark file.

    Attributes:
        name: The folder its report is written to.
        dataset: Where the images come from.
        generators: The rows.
        seeds: One cell a generator and seed; an integer N is short for 0..N-1.
        plugins: Plugin files (relative to the benchmark file) or importable modules.
        settings: How much of the training images is used.
        protocol: How rows are scored.
        budget: Training allowed.
        compute: How training is computed.
        limits: What a process may use.
        published: What others report of these rows, to stand beside what is measured; determines nothing.
        loggers: What follows the cells while they run; in no content key and in no report.
    """

    name: SafeName
    dataset: _Plugin
    generators: list[_Generator] = Field(min_length=1)
    seeds: Annotated[list[Seed], BeforeValidator(_count_to_list), AfterValidator(_unique)] = Field(min_length=1)
    plugins: list[str] = Field(default_factory=list)
    settings: SettingsSpec = Field(default_factory=SettingsSpec)
    protocol: Protocol = Field(default_factory=Protocol)
    budget: BudgetSpec = Field(default_factory=BudgetSpec)
    compute: ComputeSpec = Field(default_factory=ComputeSpec)
    limits: Limits = Field(default_factory=Limits)
    published: list[Published] = Field(default_factory=list)
    loggers: list[_Plugin] = Field(default_factory=list)

    @field_validator("loggers")
    @classmethod
    def _loggers_unique(cls, specs: list[PluginSpec]) -> list[PluginSpec]:
        _unique([spec.name for spec in specs])
        return specs

    @model_validator(mode="after")
    def _finite(self) -> Self:
        """Four lists that are multiplied."""
        cells = len(self.generators) * len(self.seeds) * len(self.settings.fractions) * len(self.settings.imbalance)
        if cells > MOST_CELLS:
            raise ValueError(
                f"generators, seeds, fractions and imbalance make {cells} cells, expected at most {MOST_CELLS}"
            )
        return self
