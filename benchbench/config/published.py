"""Numbers that others have published, in a benchmark file beside the rows that are to reproduce them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

# Of the row of real images alone: what the classifier is trained on, and tested on.
OF_THE_BASELINE = ("real_to_real",)
# Of a generator's row.
OF_A_GENERATOR = (
    "synthetic_to_real",
    "synthetic_to_synthetic",
    "mixed_to_mixed",
    "real_to_synthetic",
    "lift",
    "label_noise",
    "bits_per_dim",
)
# All but the last are accuracies or differences of them.
SHARES = frozenset({*OF_THE_BASELINE, *OF_A_GENERATOR} - {"bits_per_dim"})

Finite = Annotated[float, Field(allow_inf_nan=False)]


class PublishedNumber(BaseModel):
    """One published number, or a range.

    Attributes:
        row: The row that is to reproduce it; ``real`` for classifiers trained on real images alone.
        number: ``real_to_real``, ``mixed_to_mixed`` and the like (trained on, tested on), or the key of a metric's
            output: ``fd``, ``kid``, ``precision``, ``fd_per_class``, ...
        features: Of a metric: the extractor whose features it was taken in.
        value: As in the records: an accuracy is a share in [0, 1].
        low: Lower end of a range; of a metric that gives a number a class, the smallest of the classes.
        high: Upper end, or the largest.
        note: What is to be known to compare the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str
    number: str
    features: str | None = None
    value: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    note: str = Field("", max_length=300)

    @field_validator("value", "low", "high")
    @classmethod
    def _share(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("number") in SHARES and not -1 <= value <= 1:
            raise ValueError(f"expected a share in [0, 1]: {value:g} % is {value / 100:g}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, data: Any) -> Any:
        if isinstance(data, dict):
            ends = [data.get("low"), data.get("high")]
            if (data.get("value") is None) == (ends == [None, None]) or ends.count(None) == 1:
                raise ValueError("expected either value, or low and high")
            low, high = ends
            if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                raise ValueError(f"expected low <= high, got {low} and {high}")
        return data


class Published(BaseModel):
    """What one source reports. In no content key and not in the protocol's fingerprint: it changes no result.

    Attributes:
        source: Where it stands, as a reader would look for it.
        numbers: What it says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1, max_length=300)
    numbers: list[PublishedNumber] = Field(min_length=1)


class Fault(NamedTuple):
    """What is wrong with a published number.

    Attributes:
        key: Where.
        message: What.
        remedy: What to write instead; empty where one of ``known`` is meant.
        known: What may stand there.
    """

    key: str
    message: str
    remedy: str = ""
    known: Collection[str] = ()


def faults(
    entry: Mapping[str, Any],
    baseline: str,
    rows: Collection[str],
    outputs: Mapping[str, bool],
    features: Collection[str],
) -> Iterator[Fault]:
    """Rows, features and kinds of numbers that there are not; what the schema finds is passed over.

    Args:
        entry: As the file has it.
        baseline: The name of the row of real images alone.
        rows: The names of the others.
        outputs: Keys of all numbers that installed metrics give, and whether it is one a class.
        features: All installed extractors. A benchmark need not use the one that is named: FID is not measured then.
    """
    row, number, space = (entry.get(key) for key in ("row", "number", "features"))
    if isinstance(row, str) and row not in (baseline, *rows):
        yield Fault("row", f"no row is called {row!r}", known=(baseline, *rows))
    if not isinstance(number, str):
        return
    if number in OF_THE_BASELINE or number in OF_A_GENERATOR:
        has = OF_THE_BASELINE if row == baseline else OF_A_GENERATOR
        if number not in has and (row == baseline or row in rows):
            yield Fault("number", f"the row {row} has no {number}", f"it has {', '.join(has)}, and metrics")
        if space is not None:
            yield Fault("features", f"{number} is taken in no features", "leave this key out")
        return
    if number not in outputs:
        yield Fault("number", f"no number is called {number!r}", known=(*outputs, *OF_THE_BASELINE, *OF_A_GENERATOR))
        return
    if outputs[number] and entry.get("value") is not None:
        remedy = "say low and high: the smallest and the largest of the classes"
        yield Fault("value", f"{number} is a number a class", remedy)
    if space is None:
        message = f"the features of {number} are not named, and a metric compares in one kind alone"
        yield Fault("features", message, "say features: inception, or those that the source used")
    elif isinstance(space, str) and space not in features:
        yield Fault("features", f"no features are called {space!r}", known=features)
