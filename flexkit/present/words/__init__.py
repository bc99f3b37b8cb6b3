"""Words: sentences with numbers in them, made by tested functions and never typed into a notebook."""

from __future__ import annotations

from flexkit.present.words.causes import by_handler, causes, gap_times, labelled, missing, over_time, pareto, stands_out
from flexkit.present.words.rates import breakdown, days_between, funnel, heatmap, rate, rate_over_time
from flexkit.present.words.replay import changes, first_fix, in_order, prevented, sequence, what_first
from flexkit.present.words.said import Said
from flexkit.present.words.trust import coverage, provenance
from flexkit.present.words.trust import labelled as sources_labelled

__all__ = [
    "Said",
    "breakdown",
    "by_handler",
    "causes",
    "changes",
    "coverage",
    "days_between",
    "first_fix",
    "funnel",
    "gap_times",
    "heatmap",
    "in_order",
    "labelled",
    "missing",
    "over_time",
    "pareto",
    "prevented",
    "provenance",
    "rate",
    "rate_over_time",
    "sequence",
    "sources_labelled",
    "stands_out",
    "what_first",
]
