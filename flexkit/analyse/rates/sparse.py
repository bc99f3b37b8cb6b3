"""Charts for rare events: a Poisson CUSUM for alarms, weekly limits for the picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.rates.expected import expected_chart
from flexkit.analyse.rates.series import read_series

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Booleans, Floats, Series

DETECT = 2.5
"""The CUSUM is tuned to see the rate become this many times its baseline."""
FALSE_ALARMS_PER_YEAR = 0.15
YEAR = 365
_PATHS = 2000


def cusum(series: Series, base: Booleans, *, seed: int = 80906) -> pl.DataFrame:
    """A one-sided Poisson CUSUM against a rise of the rate: date, cusum, threshold, is_signal.

    Each bucket adds its events less what lies halfway (in likelihood) between the baseline's rate and 2.5 times it;
    the sum never falls below zero and starts again after an alarm. The threshold is simulated, so that a year at
    the baseline's rate and exposures raises an alarm in 15 % of years. Without a baseline event there is none.
    """
    size = len(series)
    usable = series.usable
    events = np.where(usable, series.events, 0.0)
    exposure = np.where(usable, series.exposure, 0.0)
    total = float(series.exposure[base].sum())
    rate = float(series.events[base].sum()) / total if total > 0 else 0.0
    level, threshold = np.full(size, np.nan), math.nan
    alarm = np.zeros(size, dtype=np.bool_)
    if rate > 0:
        allowance = rate * exposure * (DETECT - 1) / math.log(DETECT)
        threshold = _threshold(rate * series.exposure[base], seed)
        height = 0.0
        for row in range(size):
            if not usable[row]:
                continue
            height = max(0.0, height + events[row] - allowance[row])
            level[row] = height
            if height > threshold:
                alarm[row] = True
                height = 0.0
    return pl.DataFrame(
        [
            series.dates.alias("date"),
            pl.Series("cusum", level, nan_to_null=True),
            pl.Series("threshold", np.full(size, threshold), nan_to_null=True),
            pl.Series("is_signal", alarm),
        ]
    )


def weekly_chart(counts: pl.DataFrame, *, baseline_weeks: int | None = None) -> pl.DataFrame:
    """The expected-value chart on whole weeks of *counts* (date, events, exposure), counted from the first day.

    For rates below one a day, where a day's limits say nothing. Weeks with a gap or a partial day are left out.
    """
    usable = counts
    for name in ("is_gap", "is_partial"):
        if name in counts.columns:
            usable = usable.filter(~pl.col(name))
    weeks = (
        usable.sort("date")
        .group_by_dynamic("date", every="1w", start_by="datapoint")
        .agg(pl.col("events", "exposure").sum(), days=pl.len())
        .filter(pl.col("days") == 7)
        .drop("days")
    )
    series = read_series(weeks)
    rows = np.arange(len(series)) < (baseline_weeks or len(series))
    return expected_chart(series, series.usable & rows)


def _threshold(expected: Floats, seed: int) -> float:
    """The height that the highest CUSUM of a year stays below in 85 % of simulated years without change."""
    rng = np.random.default_rng(seed)
    # A year that goes through the baseline's days again and again, weekends where they are.
    days = np.resize(expected, YEAR)
    allowance = days * (DETECT - 1) / math.log(DETECT)
    height = np.zeros(_PATHS)
    highest = np.zeros(_PATHS)
    for mean, spared in zip(days, allowance, strict=True):
        height = np.maximum(0.0, height + rng.poisson(mean, _PATHS) - spared)
        highest = np.maximum(highest, height)
    return float(np.quantile(highest, 1 - FALSE_ALARMS_PER_YEAR))
