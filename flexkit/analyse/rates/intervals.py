"""Intervals for a rate, and for the difference of two: small counts, zero and everything included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from flexkit.errors import UsageError

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Floats

Kind = Literal["wilson", "jeffreys", "beta", "poisson_exact"]
KINDS: tuple[Kind, ...] = ("wilson", "jeffreys", "beta", "poisson_exact")


def interval(events: float, exposure: float, *, kind: Kind = "wilson", level: float = 0.95) -> tuple[float, float]:
    """Interval for *events* out of *exposure*, as (low, high) of the rate.

    wilson: score interval (Wilson 1927). jeffreys: equal-tailed Beta(½, ½) posterior, with 0 and 1 kept at the
    ends (Brown, Cai, DasGupta 2001). beta: exact (Clopper, Pearson 1934). poisson_exact: exact for counts per
    exposure (Garwood 1936). Without exposure nothing is known: (0, 1), or (0, inf) for counts; NaN in, NaN out.
    Raises `UsageError` for negative numbers, more events than exposure (except for counts) and odd levels.
    """
    _check_level(level)
    if kind not in KINDS:
        msg = f"Unknown interval {kind!r}. Use one of: {', '.join(KINDS)}."
        raise UsageError(msg)
    if _is_missing(events) or _is_missing(exposure):
        return math.nan, math.nan
    if events < 0 or exposure < 0:
        msg = f"An interval needs counts of at least zero, got {events} events of {exposure}."
        raise UsageError(msg)
    if kind != "poisson_exact" and events > exposure:
        msg = f"{events} events of {exposure}: more events than exposure. Use kind='poisson_exact' for counts."
        raise UsageError(msg)
    low, high = bounds(np.float64(events), np.float64(exposure), kind=kind, level=level)
    return float(low), float(high)


def bounds(
    events: Floats | np.float64, exposure: Floats | np.float64, *, kind: Kind = "wilson", level: float = 0.95
) -> tuple[Floats, Floats]:
    """The intervals of many rates at once; inputs are not checked, whole numbers are not required."""
    from scipy import special

    x, n = np.broadcast_arrays(np.asarray(events, dtype=np.float64), np.asarray(exposure, dtype=np.float64))
    tail = (1 - level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "wilson":
            return wilson(x, n, float(special.ndtri(1 - tail)))
        if kind == "poisson_exact":
            low = np.where(x > 0, special.gammaincinv(x, tail), 0.0)
            high = special.gammaincinv(x + 1, 1 - tail)
            return np.where(n > 0, low / n, 0.0), np.where(n > 0, high / n, np.inf)
        shift = 0.5 if kind == "jeffreys" else 0.0
        low = special.betaincinv(x + shift, n - x + 1 - shift, tail)
        high = special.betaincinv(x + 1 - shift, n - x + shift, 1 - tail)
    return np.where((x <= 0) | (n <= 0), 0.0, low), np.where((x >= n) | (n <= 0), 1.0, high)


def wilson(events: Floats, exposure: Floats, quantile: float | Floats) -> tuple[Floats, Floats]:
    """Wilson's score interval for a given quantile (normal or t), vectorised; (0, 1) without exposure."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = events / exposure
        square = np.square(quantile) / exposure
        middle = (share + square / 2) / (1 + square)
        half = np.sqrt(np.maximum(square * (share * (1 - share) + square / 4), 0)) / (1 + square)
        low = np.where(events <= 0, 0.0, middle - half)
        high = np.where(events >= exposure, 1.0, middle + half)
    known = exposure > 0
    return np.where(known, np.maximum(low, 0.0), 0.0), np.where(known, np.minimum(high, 1.0), 1.0)


def count_score(events: Floats, exposure: Floats, quantile: float | Floats) -> tuple[Floats, Floats]:
    """Score interval of a Poisson rate for a given quantile; (0, inf) without exposure."""
    square = np.square(quantile)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = events + square / 2
        half = np.sqrt(square * (events + square / 4))
        low, high = np.maximum(middle - half, 0.0) / exposure, (middle + half) / exposure
    known = exposure > 0
    return np.where(known, np.where(events <= 0, 0.0, low), 0.0), np.where(known, high, np.inf)


def difference_interval(
    events_a: float, exposure_a: float, events_b: float, exposure_b: float, *, level: float = 0.95
) -> tuple[float, float]:
    """Interval for the difference of two shares, a minus b (Newcombe 1998, method 10, from Wilson's limits)."""
    low_a, high_a = interval(events_a, exposure_a, level=level)
    low_b, high_b = interval(events_b, exposure_b, level=level)
    if exposure_a == 0 or exposure_b == 0:
        return -1.0, 1.0
    share_a, share_b = events_a / exposure_a, events_b / exposure_b
    difference = share_a - share_b
    below = math.hypot(share_a - low_a, high_b - share_b)
    above = math.hypot(high_a - share_a, share_b - low_b)
    return float(max(difference - below, -1.0)), float(min(difference + above, 1.0))


def _is_missing(count: float | None) -> bool:
    if count is None:
        return True
    try:
        return math.isnan(count)
    except TypeError:
        msg = f"An interval needs numbers, got {count!r}."
        raise UsageError(msg) from None


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        msg = f"The level {level} is not between 0 and 1. Use 0.95 for a 95 % interval."
        raise UsageError(msg)
