"""One rate over a window: its process interval, its descriptive one, and what makes either doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from flexkit.analyse.rates.daily import COUNT, collapse
from flexkit.analyse.rates.dispersion import Dispersion, share_dispersion
from flexkit.analyse.rates.intervals import bounds, count_score, wilson
from flexkit.analyse.rates.series import Series, read_series

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Booleans, Floats

Estimand = Literal["dup_share", "warn_rate", "count"]

BORROWED_PHI = 1.5
FEW_EVENTS = 5
INCIDENT_RESIDUAL = 4.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its interval.

    `lo` and `hi` bound the process's rate (over-dispersion and autocorrelation included), `described_lo` and
    `described_hi` only say how well these counts are known. `rule_of_three` is 3 / exposure, the upper bound in
    plain words when no event was seen (NaN otherwise). Flags: no_exposure, no_events, few_events (no percentages of
    change), phi_borrowed, incident_days (`without_incidents` is the rate without them), counts_only,
    more_events_than_exposure (then intervals are those of counts).
    """

    estimand: str
    events: float
    exposure: float
    rate: float
    lo: float
    hi: float
    described_lo: float
    described_hi: float
    phi: float
    rho: float
    vif: float
    df: float
    days: int
    incident_days: int
    without_incidents: float
    rule_of_three: float
    flags: tuple[str, ...]


def overall(
    counts: pl.DataFrame, *, estimand: Estimand = "dup_share", level: float = 0.95, history: pl.DataFrame | None = None
) -> Rate:
    """The rate over all usable days of *counts* (see `daily_counts`; any date, events, exposure will do).

    `warn_rate` counts warnings per completed interaction, and `dup_share` becomes `count` where *counts* has no
    denominator. With fewer than five events the over-dispersion is that of *history* (other counts of the same
    process, such as a longer window), or 1.5.
    """
    chosen = _estimand(counts, estimand)
    series = _series(counts, chosen)
    series = series.keep(series.usable)
    events, exposure = float(series.events.sum()), float(series.exposure.sum())
    binomial = chosen == "dup_share" and events <= exposure
    spread, borrowed = _spread(series, chosen, history, binomial=binomial)
    lo, hi = process_bounds(events, exposure, spread, level=level, binomial=binomial)
    kind: Literal["wilson", "poisson_exact"] = "wilson" if binomial else "poisson_exact"
    described = bounds(np.float64(events), np.float64(exposure), kind=kind, level=level)
    incidents = _incidents(series, binomial=binomial)
    kept = series.keep(~incidents)
    flags = [
        *(["no_exposure"] if exposure <= 0 else []),
        *(["no_events"] if events == 0 else ["few_events"] if events < FEW_EVENTS else []),
        *(["phi_borrowed"] if borrowed else []),
        *(["incident_days"] if incidents.any() else []),
        *(["counts_only"] if chosen == COUNT else []),
        *(["more_events_than_exposure"] if chosen == "dup_share" and not binomial else []),
    ]
    known = exposure > 0
    return Rate(
        estimand=chosen,
        events=events,
        exposure=exposure,
        rate=events / exposure if known else float("nan"),
        lo=lo,
        hi=hi,
        described_lo=float(described[0]),
        described_hi=float(described[1]),
        phi=spread.phi,
        rho=spread.rho,
        vif=spread.vif,
        df=spread.df,
        days=len(series),
        incident_days=int(incidents.sum()),
        without_incidents=float(kept.events.sum() / kept.exposure.sum()) if kept.exposure.sum() > 0 else float("nan"),
        rule_of_three=3 / exposure if known and events == 0 else float("nan"),
        flags=tuple(flags),
    )


def by_unit(counts: pl.DataFrame, unit: str, *, estimand: Estimand = "dup_share", level: float = 0.95) -> pl.DataFrame:
    """The rate of every value of the column *unit*: unit, events, exposure, rate, lo, hi and the rest of `Rate`.

    Over-dispersion of units with fewer than five events is that of all units together. Most exposed units first.
    """
    together = collapse(counts)
    folded = collapse(counts, [unit])
    parts = folded.partition_by(unit, as_dict=True, include_key=False)
    rows = []
    for (name,), part in parts.items():
        found = overall(part, estimand=estimand, level=level, history=together)
        rows.append({"unit": "unknown" if name is None else str(name), **_row(found)})
    schema = {"unit": pl.String(), **_SCHEMA}
    return pl.DataFrame(rows, schema=schema).sort("exposure", "unit", descending=[True, False])


def funnel(counts: pl.DataFrame, unit: str, *, estimand: Estimand = "dup_share") -> pl.DataFrame:
    """Units against the limits that the common rate would keep them in: `by_unit` and lower_95 to upper_998.

    Limits widen with the over-dispersion of the days, or of the units around the common rate if that is more (without
    the outermost tenth on both sides, Spiegelhalter 2005); `is_outlier` is beyond 99.8 %.
    """
    from scipy import special

    common = overall(collapse(counts), estimand=estimand)
    units = by_unit(counts, unit, estimand=estimand)
    binomial = common.estimand == "dup_share" and common.rate <= 1
    variance = common.rate * (1 - common.rate if binomial else 1.0)
    size = units["exposure"].to_numpy() / max(common.phi * common.vif, _between(units, common.rate, variance))
    columns = {}
    for name, level in (("95", 0.95), ("998", 0.998)):
        z = float(special.ndtri((1 + level) / 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = z * np.sqrt(variance / size)
        columns[f"lower_{name}"] = np.maximum(common.rate - reach, 0.0)
        columns[f"upper_{name}"] = common.rate + reach
    framed = units.with_columns(**{name: pl.Series(values, nan_to_null=True) for name, values in columns.items()})
    outside = (pl.col("rate") > pl.col("upper_998")) | (pl.col("rate") < pl.col("lower_998"))
    return framed.with_columns(is_outlier=outside.fill_null(value=False))


def _between(units: pl.DataFrame, rate: float, variance: float) -> float:
    """Over-dispersion of the units around the common rate, the outermost tenth on both sides drawn in."""
    known = units.filter(pl.col("exposure") > 0)
    if known.height < 3 or not variance > 0:
        return 1.0
    z = (known["rate"].to_numpy() - rate) * np.sqrt(known["exposure"].to_numpy() / variance)
    drawn_in = np.clip(z, np.quantile(z, 0.1, method="higher"), np.quantile(z, 0.9, method="lower"))
    return max(1.0, float(np.square(drawn_in).mean()))


def process_bounds(
    events: float | Floats, exposure: float | Floats, spread: Dispersion, *, level: float, binomial: bool
) -> tuple[float, float]:
    """Wilson's (or the Poisson score) interval on effective counts, with a t quantile."""
    from scipy import special

    if float(np.sum(exposure)) <= 0:
        return 0.0, (1.0 if binomial else float("inf"))
    quantile = float(special.stdtrit(spread.df, (1 + level) / 2))
    scale = spread.phi * spread.vif
    x, n = np.asarray(events, dtype=np.float64) / scale, np.asarray(exposure, dtype=np.float64) / scale
    low, high = wilson(np.minimum(x, n), n, quantile) if binomial else count_score(x, n, quantile)
    return float(low), float(high)


def _estimand(counts: pl.DataFrame, wanted: Estimand) -> Estimand:
    is_count = "estimand" in counts.columns and counts.height > 0 and counts["estimand"][0] == COUNT
    return "count" if is_count and wanted == "dup_share" else wanted


def _series(counts: pl.DataFrame, estimand: Estimand) -> Series:
    frame = counts.with_columns(events=pl.col("warnings")) if estimand in {"warn_rate", "count"} and (
        "warnings" in counts.columns) else counts  # fmt: skip
    return read_series(frame)


def _spread(
    series: Series, estimand: Estimand, history: pl.DataFrame | None, *, binomial: bool
) -> tuple[Dispersion, bool]:
    days = max(len(series), 1)
    if series.events.sum() >= FEW_EVENTS:
        return share_dispersion(series.events, series.exposure, series.index, binomial=binomial), False
    if history is not None:
        longer = _series(history, estimand)
        longer = longer.keep(longer.usable)
        if longer.events.sum() >= FEW_EVENTS:
            return _scaled(series, longer, binomial=binomial), True
    return Dispersion(BORROWED_PHI, 0.0, 1.0, max(days - 1.0, 2.0)), True


def _scaled(series: Series, longer: Series, *, binomial: bool) -> Dispersion:
    """The dispersion of *longer*, for counts as small as those of *series*.

    Shared day effects add a variance in proportion to the square of the mean, so over-dispersion beyond one shrinks
    with the mean, and with it the share of the autocorrelation that shows.
    """
    found = share_dispersion(longer.events, longer.exposure, longer.index, binomial=binomial)
    common = float(longer.events.sum() / longer.exposure.sum())
    usual = float(np.mean(longer.events))
    own = float(np.mean(series.exposure)) * common if len(series) else usual
    phi = 1 + (found.phi - 1) * min(own / usual, 1.0)
    rho = found.rho * (1 - 1 / phi) / (1 - 1 / found.phi) if found.phi > 1 else 0.0
    vif = (1 + rho) / (1 - rho)
    return Dispersion(phi, rho, vif, max(max(len(series), 1) / vif - 1, 2.0))


def _incidents(series: Series, *, binomial: bool) -> Booleans:
    """Days far above the rest: four of the typical day's deviations (from the median, which they do not move)."""
    if not series.events.sum() > 0:
        return np.zeros(len(series), dtype=np.bool_)
    rate = series.events.sum() / series.exposure.sum()
    variance = series.exposure * rate * (1 - rate if binomial else 1.0)
    if rate >= 1 and binomial:
        return np.zeros(len(series), dtype=np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = (series.events - series.exposure * rate) / np.sqrt(variance)
    typical = np.sqrt(max(1.0, float(np.nanmedian(np.square(residual))) / 0.455)) if len(series) else 1.0
    return np.asarray(np.nan_to_num(residual / typical) > INCIDENT_RESIDUAL)


_SCHEMA = {
    "events": pl.Float64(), "exposure": pl.Float64(), "rate": pl.Float64(), "lo": pl.Float64(), "hi": pl.Float64(),
    "described_lo": pl.Float64(), "described_hi": pl.Float64(), "phi": pl.Float64(), "rho": pl.Float64(),
    "vif": pl.Float64(), "df": pl.Float64(), "days": pl.Int64(), "incident_days": pl.Int64(),
    "without_incidents": pl.Float64(), "rule_of_three": pl.Float64(), "estimand": pl.String(),
    "flags": pl.List(pl.String()),
}  # fmt: skip


def _row(rate: Rate) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(rate, name) for name in _SCHEMA}
    row["flags"] = list(rate.flags)
    return row
