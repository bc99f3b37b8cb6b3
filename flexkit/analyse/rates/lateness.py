"""How much of the newest evidence is still to come: completeness by age, and a careful nowcast."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from flexkit.analyse.rates.series import Floats, collected

PROVISIONAL = 0.98
"""Days less complete than this are provisional."""


def completeness(
    records: pl.DataFrame | pl.LazyFrame,
    *,
    now: dt.datetime,
    occurred: str = "generated_at",
    recorded: str = "created_at",
    step: dt.timedelta = dt.timedelta(hours=1),
    horizon: dt.timedelta = dt.timedelta(hours=48),
) -> pl.DataFrame:
    """Share of records that have arrived by a given age: age_hours, share.

    From the lag between two instants of each record, by the reverse-time hazard (Lawless 1994): of the records
    that could have been as late as an age, those that were not later. Records recorded after *now* do not count, nor
    do ages that no record is old enough to show. Empty where no record has both instants.
    """
    frame = collected(records)
    if not {occurred, recorded} <= set(frame.columns):
        return pl.DataFrame(schema={"age_hours": pl.Float64, "share": pl.Float64})
    unit = step / dt.timedelta(microseconds=1)
    lags = (
        frame.filter(pl.col(recorded) <= now, pl.col(occurred) <= now)
        .select(
            lag=((pl.col(recorded) - pl.col(occurred)).dt.total_microseconds() / unit).floor().clip(lower_bound=0),
            age=((pl.lit(now) - pl.col(occurred)).dt.total_microseconds() / unit).floor(),
        )
        .drop_nulls()
    )
    if lags.is_empty():
        return pl.DataFrame(schema={"age_hours": pl.Float64, "share": pl.Float64})
    lag, age = lags["lag"].to_numpy(), lags["age"].to_numpy()
    last = int(min(horizon / step, age.max()))
    share = np.ones(last + 1)
    for late in range(last, 0, -1):
        # Among records old enough to have been this late: how many of those no later than this were exactly so.
        eligible = (age >= late) & (lag <= late)
        exact = eligible & (lag == late)
        hazard = exact.sum() / eligible.sum() if eligible.any() else 0.0
        share[late - 1] = share[late] * (1 - hazard)
    hours = (np.arange(last + 1) + 1) * (step / dt.timedelta(hours=1))
    return pl.DataFrame({"age_hours": hours, "share": share})


def share_arrived(curve: pl.DataFrame, ages: Floats) -> Floats:
    """Share that has arrived at *ages* in hours, by a curve of `completeness`; 1 beyond it, and without one."""
    if curve.is_empty():
        return np.ones(len(ages))
    found: Floats = np.interp(ages, curve["age_hours"].to_numpy(), curve["share"].to_numpy(), right=1.0)
    return found
