"""The `rates` table: one row per day and unit, with interval, expectation, limits, signals and what to distrust."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.rates.control import control_chart
from flexkit.analyse.rates.daily import COUNT, collapse
from flexkit.analyse.rates.expected import expected_chart, runs_rules
from flexkit.analyse.rates.intervals import count_score, wilson
from flexkit.analyse.rates.process import Estimand, overall
from flexkit.analyse.rates.series import read_series
from flexkit.analyse.rates.sparse import cusum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.analyse.rates.process import Rate
    from flexkit.analyse.rates.series import Booleans, Floats, Series

ALL = "all"
MIN_BASELINE_DAYS = 28
MAX_BASELINE_DAYS = 56
EVENTS_PER_DAY = 1.0

RATES: dict[str, pl.DataType | type[pl.DataType]] = {
    "bucket_start": pl.Date,
    "tz": pl.String,
    "unit": pl.String,
    "estimand": pl.String,
    "events": pl.Float64,
    "exposure": pl.Float64,
    "rate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "interval_kind": pl.String,
    "phi": pl.Float64,
    "rho": pl.Float64,
    "vif": pl.Float64,
    "df": pl.Float64,
    "expected": pl.Float64,
    "centre": pl.Float64,
    "limit_lo": pl.Float64,
    "limit_hi": pl.Float64,
    "p_tail": pl.Float64,
    "ewma_z": pl.Float64,
    "cusum": pl.Float64,
    "cusum_limit": pl.Float64,
    "signal": pl.String,
    "runs_signal": pl.Boolean,
    "chart": pl.String,
    "is_partial": pl.Boolean,
    "completeness": pl.Float64,
    "is_gap": pl.Boolean,
    "is_baseline": pl.Boolean,
    "phase": pl.Int64,
    "notes": pl.String,
}
"""One row per local day and unit.

lo, hi bound that day's rate with the unit's over-dispersion (interval_kind "process"). chart: nb (expected-value
chart), p_prime or u_prime (fewer than 28 baseline days), cusum (less than one event a day). signal: high, low
(outside the limits), drift_high, drift_low (EWMA), amber (tail below 0.01), cusum, none. runs_signal: Anhøj's rules
over the unit's days. phase counts the fixes before the day.
"""


def rates_table(
    counts: pl.DataFrame,
    *,
    tz: str = "UTC",
    unit: str | None = None,
    fixes: pl.DataFrame | None = None,
    estimand: Estimand = "dup_share",
) -> pl.DataFrame:
    """The `rates` table (columns `RATES`) of *counts* (see `daily_counts`): all together, and each value of *unit*.

    The baseline of the charts is the first 56 complete days before the first of the *fixes* (with `deployed_at`)
    where these are at least 28, else of all days: then a note says that limits and days are the same.
    """
    parts = [(ALL, collapse(counts))]
    if unit is not None:
        folded = collapse(counts, [unit]).partition_by(unit, as_dict=True, include_key=False)
        parts += sorted(("unknown" if name is None else str(name), part) for (name,), part in folded.items())
    tables = [unit_rates(part, name, tz=tz, fixes=fixes, estimand=estimand) for name, part in parts if part.height]
    return pl.concat(tables) if tables else pl.DataFrame(schema=RATES)


def unit_rates(
    counts: pl.DataFrame, unit: str, *, tz: str, fixes: pl.DataFrame | None = None, estimand: Estimand = "dup_share"
) -> pl.DataFrame:
    """The rows of one unit (columns `RATES`)."""
    whole = overall(counts, estimand=estimand)
    chosen = whole.estimand
    column = "warnings" if chosen in {"warn_rate", COUNT} and "warnings" in counts.columns else "events"
    frame = counts.with_columns(events=pl.col(column)).sort("date")
    series = read_series(frame)
    phase = _phases(series, fixes, tz)
    base, note = baseline_days(series, phase)
    chart, lines = _chart(series, base, chosen)
    runs = runs_rules(lines["value"].to_numpy(), lines["centre"].to_numpy())
    low, high = _day_bounds(series, whole)
    notes = [note, f"phi is borrowed: {whole.phi:.1f}" if "phi_borrowed" in whole.flags else ""]
    known = series.usable & np.isfinite(low)
    held = frame.columns
    columns = {
        "bucket_start": series.dates.cast(pl.Date),
        "tz": tz,
        "unit": unit,
        "estimand": chosen,
        "events": pl.Series(series.events, nan_to_null=True),
        "exposure": pl.Series(series.exposure, nan_to_null=True),
        "rate": pl.Series(_ratio(series), nan_to_null=True),
        "lo": pl.Series(np.where(known, low, np.nan), nan_to_null=True),
        "hi": pl.Series(np.where(known, high, np.nan), nan_to_null=True),
        "interval_kind": "process",
        "phi": whole.phi,
        "rho": whole.rho,
        "vif": whole.vif,
        "df": whole.df,
        "expected": lines["expected"],
        "centre": lines["centre"],
        "limit_lo": lines["lower"],
        "limit_hi": lines["upper"],
        "p_tail": lines["p_tail"],
        "ewma_z": lines["ewma_z"],
        "cusum": lines["cusum"],
        "cusum_limit": lines["threshold"],
        "signal": lines["signal"],
        "runs_signal": runs.is_signal,
        "chart": chart,
        "is_partial": frame["is_partial"] if "is_partial" in held else False,
        "completeness": frame["completeness"] if "completeness" in held else 1.0,
        "is_gap": frame["is_gap"] if "is_gap" in held else False,
        "is_baseline": pl.Series(base),
        "phase": pl.Series(phase),
        "notes": "; ".join(text for text in notes if text),
    }
    return pl.DataFrame(columns).select(pl.col(name).cast(dtype) for name, dtype in RATES.items())


def as_chart(table: pl.DataFrame, unit: str = ALL) -> pl.DataFrame:
    """One unit of a `rates` table in the columns of `control_chart`, with exposure and the flags that are drawn.

    Counts, which the table holds per hour, become counts per day; where nothing at all was counted there is no row.
    """
    rows = table.filter(pl.col("unit") == unit)
    counted = rows.filter(pl.col("estimand") == COUNT)
    if counted.height and not counted["events"].sum():
        rows = rows.clear()
    scale = pl.when(pl.col("estimand") == COUNT).then(24.0).otherwise(1.0)
    return rows.select(
        "estimand",
        date="bucket_start",
        value=pl.col("rate") * scale,
        centre=pl.col("centre") * scale,
        lower=pl.col("limit_lo") * scale,
        upper=pl.col("limit_hi") * scale,
        is_signal=pl.col("signal").is_in(["high", "low", "cusum"]),
        exposure="exposure",
        is_partial="is_partial",
        is_gap="is_gap",
    )


_LISTED = {
    "bucket_start": True, "unit": True, "events": True, "exposure": False, "rate": False, "lo": False, "hi": False,
    "limit_lo": False, "limit_hi": False, "is_outlier": False, "signal": True,
}  # fmt: skip
"""What a page lists, in its order, and whether also of counts."""


def as_rows(table: pl.DataFrame) -> pl.DataFrame:
    """What a page lists of a `rates` table, of `by_unit` or of `funnel`: no share where nothing is held to share.

    Where the estimand is "count" the events are listed as `warned`, and what is made of them and the hours is left out.
    """
    counted = is_count(table)
    left_out = {"unit"} if "bucket_start" in table.columns else set()
    names = [name for name, of_counts in _LISTED.items() if name in table.columns and (of_counts or not counted)]
    listed = table.select(name for name in names if name not in left_out)
    return listed.rename({"events": "warned"}) if counted else listed


def is_count(table: pl.DataFrame) -> bool:
    """Whether a `rates` table, `by_unit` or `funnel` holds counts, for want of anything to compare them with."""
    return "estimand" in table.columns and COUNT in table["estimand"].unique()


def baseline_days(series: Series, phase: Sequence[int]) -> tuple[Booleans, str]:
    """The days that set the limits, and a note where they are not a baseline of their own."""
    usable = series.usable
    untouched = usable & (np.asarray(phase) == 0)
    if untouched.sum() >= MIN_BASELINE_DAYS:
        early = np.flatnonzero(untouched)[:MAX_BASELINE_DAYS]
        base = np.zeros(len(series), dtype=np.bool_)
        base[early] = True
        return base, ""
    return usable, "limits come from all days shown: no 28 complete days before the first fix"


def _chart(series: Series, base: Booleans, estimand: str) -> tuple[str, pl.DataFrame]:
    """The chart that the data allow: its name and its lines, one row per day."""
    size = len(series)
    usual = float(series.events[base].mean()) if base.any() else 0.0
    expected = expected_chart(series, base)
    frame = expected.select("value", "centre", "lower", "upper", "expected", "p_tail", "ewma_z")
    nothing = pl.Series([None] * size, dtype=pl.Float64)
    if base.any() and usual >= EVENTS_PER_DAY and base.sum() >= MIN_BASELINE_DAYS:
        side = pl.when(pl.col("ewma_z") > 0).then(pl.lit("high")).otherwise(pl.lit("low"))
        above = pl.col("value") > pl.col("centre")
        signal = (
            pl.when(expected["is_signal"])
            .then(pl.when(above).then(pl.lit("high")).otherwise(pl.lit("low")))
            .when(expected["is_drift"])
            .then(pl.format("drift_{}", side))
            .when(expected["level"] == "amber")
            .then(pl.lit("amber"))
            .otherwise(pl.lit("none"))
        )
        return "nb", frame.with_columns(signal=signal, cusum=nothing, threshold=nothing)
    if base.any() and usual < EVENTS_PER_DAY and base.sum() >= MIN_BASELINE_DAYS:
        found = cusum(series, base)
        signal = pl.when(found["is_signal"]).then(pl.lit("cusum")).otherwise(pl.lit("none"))
        return "cusum", frame.with_columns(
            signal=signal, cusum=found["cusum"], threshold=found["threshold"], lower=nothing, upper=nothing
        )
    kind = "p_prime" if estimand == "dup_share" and _is_share(series) else "u_prime"
    plain = pl.DataFrame({"date": series.dates, "events": series.events, "exposure": series.exposure}).with_columns(
        is_gap=pl.Series(series.excluded)
    )
    if not base.any():
        drawn = frame.with_columns(signal=pl.lit("none"), cusum=nothing, threshold=nothing)
        return kind, drawn
    laney = control_chart(plain, kind="p_prime" if kind == "p_prime" else "u_prime", baseline=pl.Series(base))
    signal = (
        pl.when(laney["is_signal"] & (laney["value"] > laney["upper"]))
        .then(pl.lit("high"))
        .when(laney["is_signal"])
        .then(pl.lit("low"))
        .otherwise(pl.lit("none"))
    )
    lines = frame.with_columns(laney.select("value", "centre", "lower", "upper"))
    return kind, lines.with_columns(signal=signal, cusum=nothing, threshold=nothing)


def _is_share(series: Series) -> bool:
    usable = series.usable
    return bool((series.events[usable] <= series.exposure[usable]).all())


def _phases(series: Series, fixes: pl.DataFrame | None, tz: str) -> list[int]:
    if fixes is None or fixes.is_empty():
        return [0] * len(series)
    days = fixes["deployed_at"].dt.convert_time_zone(tz).dt.date().sort()
    return days.search_sorted(series.dates.cast(pl.Date), side="right").to_list()


def _ratio(series: Series) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(series.exposure > 0, series.events / series.exposure, np.nan)


def _day_bounds(series: Series, whole: Rate) -> tuple[Floats, Floats]:
    """Interval of each day's own rate: over-dispersion counts, autocorrelation between days does not."""
    from scipy import special

    quantile = float(special.ndtri(0.975))
    events, exposure = series.events / whole.phi, series.exposure / whole.phi
    if whole.estimand == "dup_share" and "more_events_than_exposure" not in whole.flags:
        return wilson(np.minimum(events, exposure), exposure, quantile)
    return count_score(events, exposure, quantile)
