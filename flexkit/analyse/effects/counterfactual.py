"""What would have happened without the fix: expected events, their band, and events avoided so far."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.effects.report import noise_variance
from flexkit.analyse.rates.expected import count_limits

if TYPE_CHECKING:
    from flexkit.analyse.effects.analysis import Analysis
    from flexkit.analyse.rates.series import Floats, Integers

DRAWS = 2000
SELECTION_DAYS = 7
COUNTERFACTUAL: dict[str, pl.DataType | type[pl.DataType]] = {
    "date": pl.Date,
    "side": pl.String,
    "events": pl.Float64,
    "exposure": pl.Float64,
    "expected": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "avoided": pl.Float64,
    "avoided_low": pl.Float64,
    "avoided_high": pl.Float64,
}
"""One row per day of the fix's window. side: before, selection (dropped because it is unusually high), washout,
excluded (gap, partial or no exposure), after. expected, low and high: events without the fix, with the band in which
95 % of days would lie. avoided and its interval add up from the fix on; negative where more came than expected."""


def counterfactual(analysis: Analysis, *, level: float = 0.95) -> pl.DataFrame:
    """The counterfactual of one analysed fix (columns `COUNTERFACTUAL`); no expectation where nothing was fitted."""
    around, series = analysis.around, analysis.series
    if series is None:
        return pl.DataFrame(schema=COUNTERFACTUAL)
    shown = series.keep((series.start >= around.first) & (series.start < around.end))
    size = len(shown)
    columns = {
        name: np.full(size, np.nan) for name in ("expected", "low", "high", "avoided", "avoided_low", "avoided_high")
    }
    sides = np.full(size, "excluded", dtype=object)
    sides[(shown.start >= around.day) & (shown.start < around.settled)] = "washout"
    used = around.rows.series.index
    places = np.searchsorted(shown.index, used)
    sides[places] = np.where(around.rows.after, "after", "before")
    if analysis.fitted is not None:
        _fill(columns, sides, shown.index, analysis, level)
    elif math.isfinite(analysis.current["avoided"]):
        _fill_plain(columns, places, analysis, level)
    return pl.DataFrame(
        [
            shown.dates.cast(pl.Date).alias("date"),
            pl.Series("side", sides.tolist(), dtype=pl.String),
            pl.Series("events", shown.events, nan_to_null=True),
            pl.Series("exposure", shown.exposure, nan_to_null=True),
            *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
        ]
    ).select(pl.col(name).cast(dtype) for name, dtype in COUNTERFACTUAL.items())


def _fill(
    columns: dict[str, Floats], sides: np.ndarray[tuple[int], np.dtype[np.object_]], shown: Integers,
    analysis: Analysis, level: float,
) -> None:  # fmt: skip
    """The expectation of the fitted days, and the days that the model dropped as a spike."""
    fitted = analysis.fitted
    if fitted is None:
        return
    places = np.searchsorted(shown, fitted.series.index)
    dropped = np.setdiff1d(analysis.around.rows.series.index, fitted.series.index)
    sides[np.searchsorted(shown, dropped)] = "selection"
    tails = [(1 - level) / 2, (1 + level) / 2]
    everything = np.ones(len(fitted.series), dtype=np.bool_)
    drawn = fitted.draws(DRAWS, everything)
    rng = np.random.default_rng(80908)
    phi = max(fitted.dispersion.phi, 1.0)
    seen = drawn + rng.standard_normal(drawn.shape) * np.sqrt(phi * drawn)
    low, high = np.quantile(seen, tails, axis=0)
    columns["expected"][places] = fitted.expected
    columns["low"][places], columns["high"][places] = np.maximum(low, 0.0), high
    after = fitted.after
    events = fitted.series.events[after]
    expected = fitted.expected[after]
    noise = np.cumsum(
        rng.standard_normal((DRAWS, int(after.sum()))) * np.sqrt(noise_variance(fitted, expected)), axis=1
    )
    total = np.cumsum(drawn[:, after] - events, axis=1) + noise
    bottom, top = np.quantile(total, tails, axis=0)
    columns["avoided"][places[after]] = np.cumsum(expected - events)
    columns["avoided_low"][places[after]], columns["avoided_high"][places[after]] = bottom, top


def _fill_plain(columns: dict[str, Floats], places: Integers, analysis: Analysis, level: float) -> None:
    """The expectation from the two totals alone, where there are too few events for a model."""
    rows, found = analysis.around.rows, analysis.current
    rate = found["events_before"] / found["exposure_before"]
    expected = rows.series.exposure * rate
    low, high = count_limits(expected, np.zeros(len(expected)), (1 - level) / 2)
    columns["expected"][places], columns["low"][places], columns["high"][places] = expected, low, high
    after = rows.after
    avoided = np.cumsum((expected - rows.series.events)[after])
    columns["avoided"][places[after]] = avoided
    exposure = rows.series.exposure[after]
    share = np.cumsum(exposure) / exposure.sum()
    # The interval of the whole, narrowed to the share of it that each day has reached.
    spread = (found["avoided_high"] - found["avoided_low"]) / 2 * np.sqrt(share)
    columns["avoided_low"][places[after]], columns["avoided_high"][places[after]] = avoided - spread, avoided + spread
