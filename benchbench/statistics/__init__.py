"""Uncertainty over seeds: intervals, tests, Holm's correction, shared ranks and planning. Float64, no torch."""

from benchbench.statistics.intervals import (
    Interval,
    proportion_interval,
    rank_correlation,
    rounding_spread,
    t_interval,
)
from benchbench.statistics.pareto import pareto_front
from benchbench.statistics.planning import MOST_SEEDS, power, replicates_needed, seeds_needed, seeds_to_decide
from benchbench.statistics.significance import (
    Difference,
    equivalence_p_value,
    holm,
    paired_p_value,
    pairwise_differences,
    tie_ranks,
)

__all__ = [
    "MOST_SEEDS",
    "Difference",
    "Interval",
    "equivalence_p_value",
    "holm",
    "paired_p_value",
    "pairwise_differences",
    "pareto_front",
    "power",
    "proportion_interval",
    "rank_correlation",
    "replicates_needed",
    "rounding_spread",
    "seeds_needed",
    "seeds_to_decide",
    "t_interval",
    "tie_ranks",
]
