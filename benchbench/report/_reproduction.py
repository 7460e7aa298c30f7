"""Published numbers beside measured ones, for people and for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchbench.config.published import SHARES
from benchbench.leaderboard import Dossier, Reproduction
from benchbench.report._classes import ClassTables
from benchbench.report._numbers import NOTHING, TOO_FEW, escape, number, style
from benchbench.report._tables import PLAIN_ARMS, pipe_table, too_few
from benchbench.statistics import Interval

# Numbers of the benchmark file that tables call something else.
TITLES = {
    "real_to_real": "real→real",
    "synthetic_to_real": PLAIN_ARMS["cas"],
    **{key: title for key, title in PLAIN_ARMS.items() if key != "cas"},
    "lift": "lift",
    "label_noise": "label noise",
    "bits_per_dim": "bits/dim",
}
HEADINGS = ("Row", "Number", "Published", "Measured", "Difference", "Seeds", "Measured on", "Note")


def reproduction_tables(dossier: Dossier) -> list[tuple[str, str]]:
    """Source and table of every source, in the file's order."""
    sources = dict.fromkeys(one.source for one in dossier.reproductions)
    return [
        (source, pipe_table(HEADINGS, [_line(dossier, one) for one in dossier.reproductions if one.source == source]))
        for source in sources
    ]


def _line(dossier: Dossier, one: Reproduction) -> list[str]:
    return [
        escape(one.row),
        f"{_title(one)}{f' {TOO_FEW}' if _too_few(dossier, one) else ''}",
        _published(one),
        "not measured" if one.measured is None else _bracketed(one, one.measured),
        _difference(one),
        NOTHING if one.measured is None else str(one.measured.n),
        _measured_on(dossier, one),
        escape(one.note) or NOTHING,
    ]


def _title(one: Reproduction) -> str:
    """With the unit; of a number a class with which of the classes."""
    unit = style(one.metric).unit if one.number in SHARES else ""
    which = f", {one.which} of the classes" if one.which else ""
    return f"{TITLES.get(one.number) or escape(one.metric)}{unit}{which}"


def _published(one: Reproduction) -> str:
    """As it was published, digit for digit."""
    ends = [_plain(one, end) for end in dict.fromkeys((one.low, one.high))]
    return " to ".join(ends)


def _plain(one: Reproduction, value: float) -> str:
    return f"{style(one.metric).scale * value:.10g}" if one.number in SHARES else f"{value:.10g}"


def _bracketed(one: Reproduction, interval: Interval, sign: str = "") -> str:
    """``50.32 [48.10, 52.54]``; of one seed without an interval."""
    ends = (interval.mean, interval.low, interval.high)
    if one.number in SHARES:
        mean, low, high = (f"{style(one.metric).scale * end:{sign}.2f}" for end in ends)
    else:
        plus = {end: "+" if sign and end >= 0 else "" for end in ends}
        mean, low, high = (f"{plus[end]}{number(one.metric, end, interval.mean)}" for end in ends)
    return mean if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def _difference(one: Reproduction) -> str:
    """Bold where the interval of what was measured does not hold what was published."""
    if one.measured is None:
        return NOTHING
    if one.difference is None:
        return "within"
    text = _bracketed(one, one.difference, "+")
    return f"**{text}**" if one.difference.low > 0 or one.difference.high < 0 else text


def _measured_on(dossier: Dossier, one: Reproduction) -> str:
    """Of accuracies: which images the classifiers are tested on, and how many."""
    held_out = f"{dossier.manifest['images_per_distance']:,}"
    real, synthetic = f"{dossier.manifest['dataset']['test']:,} real", f"{held_out} synthetic"
    if one.number in ("real_to_real", "synthetic_to_real", "lift", "bits_per_dim"):
        return real
    if one.number in ("synthetic_to_synthetic", "real_to_synthetic", "label_noise"):
        return synthetic
    if one.number == "mixed_to_mixed":
        return f"{real} and {synthetic}"
    if one.measured is None:
        return NOTHING
    if one.which:
        images = dossier.manifest["images_per_distance"] // max(1, len(dossier.classes))
        return f"{images:,} of either a class"
    return f"{held_out} of either"


def _too_few(dossier: Dossier, one: Reproduction) -> bool:
    """Whether it is a Fréchet distance that was measured on fewer than 2d images."""
    if one.which:
        return ClassTables(dossier, dossier.board).too_few(one.metric)
    column = next((column for column in dossier.board.columns if column.key == one.metric), None)
    return column is not None and too_few(dossier, column)


def reproduction_note(dossier: Dossier) -> str:
    """What is to be known to read the tables."""
    said = [
        f"Difference: measured minus published; in brackets the {100 * dossier.level:g} % interval over seeds; bold "
        "where it does not hold the published number.",
        "A range is compared by its nearer end.",
    ]
    if any(_too_few(dossier, one) for one in dossier.reproductions):
        said.append(f"{TOO_FEW} measured on fewer than 2d images: mostly bias, whatever the published one was.")
    mixed = [one for one in dossier.reproductions if one.number == "mixed_to_mixed"]
    return " ".join([*said, *dict.fromkeys(filter(None, (_mixed(dossier, one) for one in mixed)))])


def _mixed(dossier: Dossier, one: Reproduction) -> str:
    """That mixed→mixed is no accuracy on real images."""
    row = next((row for row in dossier.board.rows if row.info.name == one.row), None)
    if row is None or row.ratio is None:
        return ""
    real, held_out = dossier.manifest["dataset"]["test"], dossier.manifest["images_per_distance"]
    return (
        f"mixed→mixed of {escape(one.row)} is tested on synthetic images too: on {real:,} real test images and on "
        f"{held_out:,} samples that it was not trained on, weighted 1 to {row.ratio:g} as in its training set. "
        "Where samples are easy to tell apart it is high, whatever they are worth; the accuracy on real images alone "
        "is mixed→real."
    )


def reproduction_line(one: Reproduction) -> dict[str, object]:
    """For ``results.json``: JSON values, without NaN."""
    line: dict[str, object] = {
        "source": one.source,
        "row": one.row,
        "number": one.number,
        "which": one.which or None,
        "metric": one.metric,
        "published_low": one.low,
        "published_high": one.high,
        "note": one.note,
        "n": 0 if one.measured is None else one.measured.n,
    }
    return {**line, **dict(_ends("measured", one.measured)), **dict(_ends("difference", one.difference))}


def _ends(key: str, interval: Interval | None) -> Iterator[tuple[str, float | None]]:
    values = (math.nan,) * 3 if interval is None else (interval.mean, interval.low, interval.high)
    for name, value in zip((key, f"{key}_low", f"{key}_high"), values, strict=True):
        yield name, value if math.isfinite(value) else None
