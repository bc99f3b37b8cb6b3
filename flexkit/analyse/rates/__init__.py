"""Rates: how often, with intervals; control charts; change points. Plain functions on small frames."""

from __future__ import annotations

from flexkit.analyse.rates.changepoints import change_points
from flexkit.analyse.rates.control import control_chart
from flexkit.analyse.rates.daily import collapse, daily_counts, has_denominator
from flexkit.analyse.rates.expected import Runs, runs_rules
from flexkit.analyse.rates.intervals import difference_interval, interval
from flexkit.analyse.rates.lateness import completeness
from flexkit.analyse.rates.patterns import Multiplicity, cohorts, hour_week, multiplicity, time_between
from flexkit.analyse.rates.process import Rate, by_unit, funnel, overall
from flexkit.analyse.rates.sparse import weekly_chart
from flexkit.analyse.rates.stability import Move, Stability, stability
from flexkit.analyse.rates.table import RATES, as_chart, as_rows, is_count, rates_table

__all__ = [
    "RATES",
    "Move",
    "Multiplicity",
    "Rate",
    "Runs",
    "Stability",
    "as_chart",
    "as_rows",
    "by_unit",
    "change_points",
    "cohorts",
    "collapse",
    "completeness",
    "control_chart",
    "daily_counts",
    "difference_interval",
    "funnel",
    "has_denominator",
    "hour_week",
    "interval",
    "is_count",
    "multiplicity",
    "overall",
    "rates_table",
    "runs_rules",
    "stability",
    "time_between",
    "weekly_chart",
]
