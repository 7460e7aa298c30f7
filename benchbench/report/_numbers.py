"""Numbers and names as they stand in tables."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

from benchbench.leaderboard import Column, Worth
from benchbench.statistics import Interval
from benchbench.text import printable

# An empty place in a table.
NOTHING = "-"
# The mark of a distance that was taken on too few images.
TOO_FEW = "†"


@dataclass(frozen=True)
class Style:
    """How a kind of number is written.

    Attributes:
        pattern: For :meth:`str.format`; empty where the digits depend on the number.
        scale: Shown is the number times this.
        unit: Stands in the heading.
        spread: Whether the half-width of the interval is of interest.
    """

    pattern: str = ""
    scale: float = 1.0
    unit: str = ""
    spread: bool = True


_SHARE = Style("{:.1f}", 100.0, " %")
# By metric, as it is called in records; a metric that is not here comes from a plugin.
STYLES = {
    "lift": Style("{:+.2f}", 100.0, ", pts"),
    "accuracy": _SHARE,
    "accuracy_on_synthetic": _SHARE,
    "accuracy_on_mixed": _SHARE,
    "label_noise": _SHARE,
    "fit_seconds": Style("{:.1f}"),
    "sample_seconds": Style("{:.2f}"),
    "images_per_second": Style("{:,.0f}", spread=False),
    "peak_memory_bytes": Style("{:,.0f}", 1 / 2**20, " MiB", spread=False),
    "parameters": Style("{:,.0f}", spread=False),
}


def style(metric: str) -> Style:
    """How a metric's numbers are written."""
    return STYLES.get(metric, Style())


def number(metric: str, value: float, like: float | None = None) -> str:
    """A number in the metric's unit and precision; nothing is called minus zero.

    Args:
        metric: As it is called in records.
        value: The number.
        like: The number whose size decides the digits; the number itself where it is None.
    """
    how = style(metric)
    scaled, size = how.scale * value, abs(how.scale * (value if like is None else like))
    if how.pattern:
        text = how.pattern.format(scaled)
    elif 0 < size < 0.001:
        text = f"{scaled:.1e}"
    else:
        text = f"{scaled:.3f}" if size < 10 else f"{scaled:.1f}"
    plus = "+" if how.pattern.startswith("{:+") else ""
    return re.sub(r"^-(0(\.0+)?)$", rf"{plus}\1", text)


def with_spread(metric: str, interval: Interval) -> str:
    """``mean ± half-width``, rounded alike; the mean alone where the seeds cannot differ or there is but one."""
    mean = number(metric, interval.mean)
    if not style(metric).spread or not math.isfinite(interval.half_width) or interval.half_width == 0:
        return mean
    return f"{mean} ± {number(metric, interval.half_width, interval.mean).removeprefix('+')}"


def correlation(interval: Interval) -> str:
    """``+0.83 [+0.10, +0.97]``; a constant has none."""
    if math.isnan(interval.mean):
        return NOTHING
    if math.isnan(interval.low):
        return f"{interval.mean:+.2f} (no interval)"
    return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def heading(column: Column, floor: float | None = None, too_few: bool = False) -> str:
    """A column's heading: name, unit, the better direction, and what two sets of real images give."""
    arrow = {True: " ↑", False: " ↓", None: ""}[column.higher_is_better]
    mark = f" {TOO_FEW}" if too_few else ""
    tail = f"<br>(floor {number(column.metric, floor)})" if floor is not None else ""
    return f"{escape(column.label)}{mark}{style(column.metric).unit}{arrow}{tail}"


def readable(worth: Worth) -> bool:
    """Whether a worth is bounded on one side at least."""
    return not (worth.below and worth.above) and not (worth.low == 0 and math.isinf(worth.high))


def worth_number(worth: Worth | None) -> str:
    """``210 [150, 280]``, ``≥ 400``, ``≤ 20``; with one seed no interval."""
    if worth is None or not readable(worth):
        return NOTHING
    return _worth(worth, "≤ ", "≥ ", "")


def worth_words(worth: Worth) -> str:
    """The same for a sentence, of a worth that can be read off: ``at least 400``, ``about 210 [150, 280]``."""
    return _worth(worth, "at most ", "at least ", "about ")


def _worth(worth: Worth, most: str, least: str, about: str) -> str:
    """A censored worth has but one end: the other seeds may well lie on this side of its mean."""
    if worth.below or worth.above:
        end = worth.high if worth.below else worth.low
        return f"{most if worth.below else least}{_images(worth.value if math.isnan(end) else end)}"
    if math.isnan(worth.low):
        return f"{about}{_images(worth.value)}"
    high = "∞)" if math.isinf(worth.high) else f"{_images(worth.high)}]"
    return f"{about}{_images(worth.value)} [{_images(worth.low)}, {high}"


def _images(count: float) -> str:
    """A number of images; of millions only the magnitude is meant."""
    return f"{count:,.0f}" if count < 1e6 else f"{count:.0e}"


# Names of files that every system takes, and shows: not hidden, no option, no dot at the end.
PLAIN = re.compile(r"(?![.-]|__)[A-Za-z0-9_.+-]{0,99}[A-Za-z0-9_+-]")
# Windows keeps these for devices, with any ending.
RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\.|$)", re.IGNORECASE)


def escape(text: object) -> str:
    """Text from data or plugins, so that it stays text in a Markdown table."""
    clean = printable(text)
    for mark in "\\`*_[]<>|#~$":
        clean = clean.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return clean


def file_name(name: str) -> str:
    """A name as a file's, an anchor's or a link's, on any system; different names have different files.

    A name that may stand as it is, as most rows and settings may, does. Of another, what may stand is left, with a
    digest of all of it. A made name stays when it is made again.
    """
    if PLAIN.fullmatch(name) and not RESERVED.match(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{re.sub(r'[^A-Za-z0-9_+]+', '_', name).strip('_')[:64] or 'name'}-{digest}".replace(".", "_")
