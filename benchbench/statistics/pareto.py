"""The Pareto front: what nothing else beats at no greater cost."""

from __future__ import annotations

import math
from collections.abc import Mapping


def pareto_front(benefit: Mapping[str, float], cost: Mapping[str, float]) -> set[str]:
    """Names that no other dominates: with no less benefit at no more cost, and more of the one or less of the other.

    Args:
        benefit: By name; more is better.
        cost: By name; less is better.

    Returns:
        The front; names with equal benefit and cost stand in it together. A name that lacks one of the two, or
        has NaN for it, is left out and dominates nothing.
    """
    points = {
        name: (benefit[name], cost[name])
        for name in benefit.keys() & cost.keys()
        if not (math.isnan(benefit[name]) or math.isnan(cost[name]))
    }
    return {
        name
        for name, (gain, price) in points.items()
        if not any(
            other_gain >= gain and other_price <= price and (other_gain, other_price) != (gain, price)
            for other_gain, other_price in points.values()
        )
    }
