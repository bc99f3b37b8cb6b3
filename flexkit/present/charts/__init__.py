"""Charts: numbers arrive finished, a chart only draws them. Each takes its finding as title."""

from __future__ import annotations

from flexkit.present.charts.causes import by_handler, gap_times, missing_evidence, over_time, pareto, stands_out
from flexkit.present.charts.coverage import coverage
from flexkit.present.charts.effects import counterfactual, forest, placebo, predicted_and_realised, residuals
from flexkit.present.charts.interaction import swimlanes
from flexkit.present.charts.rates import days_between, rate_over_time
from flexkit.present.charts.replay import prevented, sequence
from flexkit.present.charts.units import breakdown, funnel, heatmap

__all__ = [
    "breakdown",
    "by_handler",
    "counterfactual",
    "coverage",
    "days_between",
    "forest",
    "funnel",
    "gap_times",
    "heatmap",
    "missing_evidence",
    "over_time",
    "pareto",
    "placebo",
    "predicted_and_realised",
    "prevented",
    "rate_over_time",
    "residuals",
    "sequence",
    "stands_out",
    "swimlanes",
]
