"""Words: sentences with numbers in them, made by tested functions and never typed into a notebook."""

from __future__ import annotations

from flexkit.present.words.causes import by_handler, causes, gap_times, missing, over_time, pareto, stands_out
from flexkit.present.words.effects import compared, counterfactual, fix, fixes, forest, placebo, residuals
from flexkit.present.words.interaction import interaction, swimlanes
from flexkit.present.words.overview import overview
from flexkit.present.words.rates import breakdown, days_between, funnel, heatmap, rate, rate_over_time
from flexkit.present.words.replay import first_fix, in_order, what_first
from flexkit.present.words.said import Said
from flexkit.present.words.trust import coverage, provenance

__all__ = [
    "Said",
    "breakdown",
    "by_handler",
    "causes",
    "compared",
    "counterfactual",
    "coverage",
    "days_between",
    "first_fix",
    "fix",
    "fixes",
    "forest",
    "funnel",
    "gap_times",
    "heatmap",
    "in_order",
    "interaction",
    "missing",
    "over_time",
    "overview",
    "pareto",
    "placebo",
    "provenance",
    "rate",
    "rate_over_time",
    "residuals",
    "stands_out",
    "swimlanes",
    "what_first",
]
