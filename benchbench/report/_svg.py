"""Charts as inline SVG: they take the page's colours, light or dark, need no script, and print."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from benchbench.report._draw import limits
from benchbench.statistics import Interval

# Room around the axes, in SVG units.
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 22.0, 34.0
TICKS = 5


@dataclass(frozen=True)
class Scale:
    """From numbers to places.

    Attributes:
        low: The number at ``start``.
        high: The number at ``end``.
        start: A place.
        end: Another.
        log: Whether places go with the logarithm.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a number; beyond the ends it stays at the end."""
        numbers = (self.low, self.high, value)
        low, high, at = (math.log(max(x, 1e-300)) for x in numbers) if self.log else numbers
        part = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers between the ends."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            inside = [tick for tick in found if self.low <= tick <= self.high]
            if len(inside) > TICKS + 2:
                return [tick for tick in inside if f"{tick:e}"[0] == "1"]
            if len(inside) > 1:
                return inside
        step = 10.0 ** math.floor(math.log10(max(self.high - self.low, 1e-12) / TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (step * factor) <= TICKS)
        first = math.ceil(self.low / step)
        return [step * place for place in range(first, math.floor(self.high / step) + 1)]


def number(value: float) -> str:
    """A tick's label."""
    return "0" if abs(value) < 1e-12 else f"{value:,.4g}".replace("e+0", "e").replace("e-0", "e-")


def told(interval: Interval, unit: str = "") -> str:
    """``+1.20 [+0.30, +2.10] pts``."""
    ends = f" [{interval.low:+.2f}, {interval.high:+.2f}]" if math.isfinite(interval.low) else ""
    return f"{interval.mean:+.2f}{ends}{unit}"


def bar(interval: Interval, scale: Scale, margin: float, role: str, what: str) -> Markup:
    """An interval as a line with a dot, on the scale of its column; shaded is what does not matter."""
    width, middle = scale.end + scale.start, 9.0
    parts = [
        rect(scale(-margin), 2, scale(margin) - scale(-margin), 14, "margin"),
        line(scale(0), 1, scale(0), 17, "zero"),
    ]
    if not scale.low <= interval.mean <= scale.high:
        below = interval.mean < scale.low
        said = f"◂ {interval.mean:.3g}" if below else f"{interval.mean:.3g} ▸"
        parts.append(text(scale.start if below else scale.end, 13, said, "tick", "start" if below else "end"))
        return svg(width, 18, what, parts, "bar")
    if math.isfinite(interval.low):
        parts.append(line(scale(interval.low), middle, scale(interval.high), middle, f"interval {role}"))
    parts.append(circle(scale(interval.mean), middle, 3.5, f"dot {role}"))
    return svg(width, 18, what, parts, "bar")


@dataclass(frozen=True)
class Point:
    """A dot.

    Attributes:
        x: Its number on the x axis.
        y: On the y axis, with an interval.
        role: How it is coloured: ``generator``, ``transfer``, ``control`` or ``baseline``.
        name: Whose it is; written beside it where there is room.
        hollow: Whether it is drawn as an open dot.
    """

    x: float
    y: Interval
    role: str
    name: str
    hollow: bool = False


def scatter(
    points: Sequence[Point], *, x_label: str, y_label: str, what: str, log: bool = False, margin: float = 0.0
) -> Markup:
    """Dots with intervals and names."""
    width, height = 560.0, 320.0
    y_low, y_high = limits([point.y for point in points], [-margin, margin])
    xs = [point.x for point in points]
    x_low, x_high = (min(xs), max(xs))
    room = (x_high / x_low) ** 0.08 if log and x_low > 0 else 0.08 * ((x_high - x_low) or abs(x_high) or 1.0)
    x_low, x_high = (x_low / max(room, 1.05), x_high * max(room, 1.05)) if log else (x_low - room, x_high + room)
    x = Scale(x_low, x_high, LEFT, width - RIGHT, log)
    y = Scale(y_low, y_high, height - BOTTOM, TOP)
    parts = [*axes(x, y, width, height, x_label, y_label, number), *_reference(x, y, margin)]
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda one: (one.x, one.name)):
        left, at = x(point.x), y(point.y.mean)
        if math.isfinite(point.y.low):
            parts.append(line(left, y(point.y.low), left, y(point.y.high), f"interval {point.role}"))
        title = f"{point.name}: {number(point.x)}, {told(point.y, ' pts')}"
        kind = f"dot {point.role}{' open' if point.hollow else ''}"
        parts.append(circle(left, at, 4.5, kind, title, _data(point.x, point.y)))
        parts.append(_name(point.name, left, at, width, taken))
    return svg(width, height, what, parts, "chart")


def _name(name: str, left: float, at: float, width: float, taken: list[tuple[float, float]]) -> Markup:
    """A name beside its dot, moved down where another stands there already."""
    while any(abs(at - down) < 11 and abs(left - across) < 150 for across, down in taken):
        at += 11
    taken.append((left, at))
    side = "end" if left > width * 0.7 else "start"
    return text(left + (-8 if side == "end" else 8), at + 4, short(name), "label", side)


def short(name: str, most: int = 24) -> str:
    """A name, its middle left out where it is long."""
    half = most // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half + 1 :]}"


@dataclass(frozen=True)
class Series:
    """Dots joined by a line.

    Attributes:
        values: By number on the x axis.
        dash: 0 for a solid line with filled dots, 1 to 3 for dashes of other kinds with open ones.
    """

    values: Mapping[float, Interval]
    dash: int = 0


def panel(
    title: str,
    series: Sequence[Series],
    *,
    y_range: tuple[float, float],
    ticks: Mapping[float, str],
    role: str,
    margin: float,
    log: bool = False,
) -> Markup:
    """A small chart of intervals, one of many with the same axes."""
    width, height = 210.0, 150.0
    places = list(ticks)
    low, high = (min(places) / 1.4, max(places) * 1.4) if log else (min(places) - 0.4, max(places) + 0.4)
    x = Scale(low, high, 34, width - 6, log)
    y = Scale(*y_range, height - 22, 20)
    parts = [*_grid(y, 34, width - 6), *_reference(x, y, margin)]
    parts += [text(x(place), height - 8, said, "tick", "middle") for place, said in ticks.items()]
    for one in series:
        known = sorted(one.values)
        parts.append(path([(x(place), y(one.values[place].mean)) for place in known], role, one.dash))
        for place in known:
            value = one.values[place]
            if math.isfinite(value.low):
                parts.append(line(x(place), y(value.low), x(place), y(value.high), f"interval {role}"))
            kind = f"dot {role}{' open' if one.dash else ''}"
            parts.append(circle(x(place), y(value.mean), 3.5, kind, told(value), _data(place, value)))
    parts.append(text(34, 12, short(title, 30), f"panel-title {role}"))
    return svg(width, height, f"{title}: lift, in points", parts, "chart small")


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], what: str) -> Markup:
    """Losses by step, a line each; values that are not finite leave gaps."""
    width, height = 560.0, 200.0
    points = [point for one in lines.values() for point in one if math.isfinite(point[1])]
    if not points:
        return Markup("")
    values = sorted(value for _, value in points)
    low, high = values[int(0.005 * len(values))], values[min(len(values) - 1, int(0.995 * len(values)))]
    x = Scale(0, max(step for step, _ in points) or 1.0, LEFT, width - RIGHT)
    y = Scale(low, high if high > low else low + 1.0, height - BOTTOM, TOP)
    parts = axes(x, y, width, height, "step", "loss", number)
    for place, (name, found) in enumerate(lines.items()):
        kind = f"series{place % 6}"
        places = [(x(step), y(value)) for step, value in found if math.isfinite(value)]
        parts.append(path(places, kind) if len(places) > 1 else Markup("").join(_lone(places, kind)))
        parts.append(text(LEFT + 8 + 130 * place, 14, short(name, 20), f"label {kind}"))
    return svg(width, height, what, parts, "chart")


def _lone(places: Sequence[tuple[float, float]], kind: str) -> list[Markup]:
    """A dot, where a line would have no length."""
    return [circle(across, down, 3.5, f"dot {kind}") for across, down in places]


def axes(
    x: Scale, y: Scale, width: float, height: float, x_label: str, y_label: str, write: Callable[[float], str]
) -> list[Markup]:
    """Grid lines, ticks and labels."""
    parts = _grid(y, LEFT, width - RIGHT)
    parts += [text(x(tick), height - BOTTOM + 14, write(tick), "tick", "middle") for tick in x.ticks()]
    parts.append(text((LEFT + width - RIGHT) / 2, height - 4, x_label, "axis", "middle"))
    parts.append(text(LEFT - 34, TOP - 10, y_label, "axis"))
    return parts


def _grid(y: Scale, left: float, right: float) -> list[Markup]:
    parts = []
    for tick in y.ticks():
        parts += [
            line(left, y(tick), right, y(tick), "grid"),
            text(left - 5, y(tick) + 3.5, number(tick), "tick", "end"),
        ]
    return parts


def _reference(x: Scale, y: Scale, margin: float) -> list[Markup]:
    """Zero, and the lifts that do not matter."""
    if not y.low <= 0 <= y.high:
        return []
    band = rect(x.start, y(margin), x.end - x.start, y(-margin) - y(margin), "margin")
    return [band, line(x.start, y(0), x.end, y(0), "zero")]


def svg(width: float, height: float, what: str, parts: Sequence[Markup], kind: str) -> Markup:
    """A picture with a text for those who do not see it."""
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(kind, _at(width), _at(height), _at(width), _at(height), what, Markup("").join(parts))


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, *map(_at, (x1, y1, x2, y2)))


def rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A filled rectangle."""
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, *map(_at, (x, y, max(width, 0.0), max(height, 0.0)))
    )


def circle(x: float, y: float, radius: float, kind: str, title: str = "", data: str = "") -> Markup:
    """A dot; ``title`` shows under the pointer, ``data`` are attributes for programs."""
    said = Markup("<title>{}</title>").format(title) if title else Markup("")
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"{}>{}</circle>').format(
        kind, _at(x), _at(y), _at(radius), data, said
    )


def _data(x: float, y: Interval) -> Markup:
    """The numbers behind a dot, all their digits; an end that is not known is empty."""
    low, high = (f"{end:.17g}" if math.isfinite(end) else "" for end in (y.low, y.high))
    return Markup(' data-x="{}" data-mean="{}" data-low="{}" data-high="{}"').format(
        f"{x:.17g}", f"{y.mean:.17g}", low, high
    )


def path(points: Sequence[tuple[float, float]], kind: str, dash: int = 0) -> Markup:
    """Straight lines from point to point."""
    where = " ".join(f"{_at(x)},{_at(y)}" for x, y in points)
    return Markup('<polyline class="line {}{}" points="{}"/>').format(kind, f" dash{dash}" if dash else "", where)


def text(x: float, y: float, said: str, kind: str, anchor: str = "start") -> Markup:
    """Words."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, _at(x), _at(y), anchor, escape(said)
    )
