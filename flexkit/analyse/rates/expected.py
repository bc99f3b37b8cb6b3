"""The expected-value chart: each day against what its volume and weekday predict, with over-dispersion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from flexkit.analyse.rates.dispersion import model_dispersion
from flexkit.analyse.rates.glm import Fit, fit_glm
from flexkit.analyse.rates.series import Booleans, Floats, Integers, Series, Step, require_counts

ALARM = 0.00135
"""Tail beyond three standard deviations of a normal."""
AMBER = 0.01
EWMA_WEIGHT = 0.2
EWMA_LIMIT = 3.0
MIN_BASELINE = 8


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a baseline predicts for every bucket: mean, extra variation `alpha`, and the baseline's dispersion."""

    mean: Floats
    alpha: Floats
    phi: float
    rho: float
    vif: float
    weekday_terms: str


def weekday_columns(series: Series, rows: Booleans) -> tuple[Floats, str]:
    """Indicator columns for the weekday, as far as the events of *rows* carry them: (columns, what they are).

    All seven where *rows* hold at least 35 events and each weekday at least five of them, else the weekend, else
    nothing (also for series that are not daily).
    """
    empty = np.empty((len(series), 0))
    if series.step is not Step.DAY:
        return empty, "none"
    weekday = series.weekday
    events = np.where(rows, np.nan_to_num(series.events), 0.0)
    by_day = np.bincount(weekday, weights=events, minlength=7)
    days = np.bincount(weekday[rows], minlength=7)
    if by_day.sum() >= 35 and (by_day >= 5).all() and (days >= 2).all():
        return (weekday[:, None] == np.arange(1, 7)).astype(np.float64), "weekday"
    weekend = weekday >= 5
    if min(by_day[5:].sum(), by_day[:5].sum()) >= 5 and (days[5:].sum() >= 2) and (days[:5].sum() >= 2):
        return weekend[:, None].astype(np.float64), "weekend"
    return empty, "none"


def expect(series: Series, base: Booleans) -> Expectation:
    """The expectation of every bucket from the *base* ones: log-linear in weekday, offset by log exposure.

    `alpha` is the negative binomial's extra variance (Var = mean + alpha·mean²): that of the baseline by
    moments, and the uncertainty of the fitted mean added to it.
    """
    require_counts(series.events)
    columns, terms = weekday_columns(series, base)
    design = np.column_stack([np.ones(len(series)), columns])
    exposure = np.where(series.usable, series.exposure, np.nan)
    fit = fit_glm(series.events[base], design[base], offset=np.log(exposure[base]))
    spread = model_dispersion(
        fit.pearson, series.index[base], np.zeros(int(base.sum()), dtype=np.int64), fit.parameters
    )
    mean = np.exp(design @ fit.coefficients) * exposure
    leverage = np.einsum("ni,ij,nj->n", design, fit.covariance, design)
    alpha = moment_alpha(series.events[base], fit)
    return Expectation(mean, alpha + leverage * spread.phi * spread.vif, spread.phi, spread.rho, spread.vif, terms)


def moment_alpha(events: Floats, fit: Fit) -> float:
    """The extra variance at which Pearson's statistic equals its degrees of freedom; zero where it is below."""
    spare = len(events) - fit.parameters
    square, mean = np.square(events - fit.fitted), fit.fitted
    if spare <= 0 or (square / mean).sum() <= spare:
        return 0.0
    low, high = 0.0, 1.0
    while (square / (mean + high * mean**2)).sum() > spare and high < 1e6:
        high *= 4
    for _ in range(60):
        middle = (low + high) / 2
        above = (square / (mean + middle * mean**2)).sum() > spare
        low, high = (middle, high) if above else (low, middle)
    return (low + high) / 2


def tail_below(count: Floats, mean: Floats, alpha: Floats) -> Floats:
    """P(X <= count) of a negative binomial (Poisson where alpha is zero); zero below a count of zero."""
    from scipy import special

    count = np.floor(count)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        size = 1 / np.maximum(alpha, 1e-12)
        wide = special.betainc(size, np.maximum(count, 0) + 1, size / (size + mean))
        plain = special.gammaincc(np.maximum(count, 0) + 1, mean)
    return np.where(count < 0, 0.0, np.where(alpha > 1e-9, wide, plain))


def count_limits(mean: Floats, alpha: Floats, tail: float) -> tuple[Floats, Floats]:
    """The smallest and largest counts that are no alarm: outside them at most *tail* on each side."""
    known = np.isfinite(mean)
    usual = np.where(known, mean, 1.0)
    spread = np.sqrt(usual + np.where(known, alpha, 0.0) * usual**2)
    ceiling = np.ceil(usual + 20 * spread + 20)
    limits = []
    for target in (tail, 1 - tail):
        low, high = np.full_like(usual, -1.0), ceiling.copy()
        while np.any(high - low > 1):
            middle = np.floor((low + high) / 2)
            # Lower limit: first count with more than the tail at or below it. Upper: first that leaves at most
            # the tail above it.
            share = tail_below(middle, usual, alpha)
            reached = share > target if target == tail else share >= target
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        limits.append(np.where(known, high, np.nan))
    return limits[0], limits[1]


def ewma(scores: Floats, restart: Booleans) -> Floats:
    """Exponentially weighted mean of normal *scores*, in its own standard deviations; missing scores hold it."""
    result = np.full(len(scores), np.nan)
    level, weight = 0.0, 0.0
    for row, score in enumerate(scores):
        if restart[row]:
            level, weight = 0.0, 0.0
        if math.isnan(score):
            continue
        level = EWMA_WEIGHT * score + (1 - EWMA_WEIGHT) * level
        weight = EWMA_WEIGHT**2 + (1 - EWMA_WEIGHT) ** 2 * weight
        result[row] = level / math.sqrt(weight)
    return result


def expected_chart(series: Series, base: Booleans, *, restart: Booleans | None = None) -> pl.DataFrame:
    """The expected-value chart, one row per bucket.

    Beside the columns of `control_chart`: expected (count), p_tail (the smaller tail probability of the count),
    score (mid-p normal score), ewma_z, level (alarm beyond 0.00135, amber beyond 0.01), is_drift (EWMA beyond three
    standard deviations), phi, rho, vif, terms. Limits are rates: the largest and smallest that are no alarm.
    With fewer than eight baseline buckets or no event in them there are no limits and no signals.
    """
    from scipy import special

    size = len(series)
    nothing = np.full(size, np.nan)
    usable = series.usable
    if int(base.sum()) < MIN_BASELINE or not series.events[base].sum() > 0:
        model = Expectation(nothing, nothing, math.nan, math.nan, math.nan, "none")
        lower, upper = nothing, nothing
    else:
        model = expect(series, base)
        lower, upper = count_limits(model.mean, model.alpha, ALARM)
    count = np.where(usable, series.events, np.nan)
    exposure = np.where(usable, series.exposure, np.nan)
    at_most = tail_below(count, model.mean, model.alpha)
    below = tail_below(count - 1, model.mean, model.alpha)
    p_tail = np.minimum(at_most, 1 - below)
    score = np.clip(special.ndtri((at_most + below) / 2), -8.0, 8.0)
    drift = ewma(score, np.zeros(size, dtype=np.bool_) if restart is None else restart)
    known = np.isfinite(model.mean) & usable
    alarm = known & ((count < lower) | (count > upper))
    amber = known & ~alarm & (p_tail < AMBER)
    columns = {
        "value": count / exposure,
        "centre": model.mean / exposure,
        "lower": lower / exposure,
        "upper": upper / exposure,
        "expected": model.mean,
        "p_tail": np.where(known, p_tail, np.nan),
        "score": np.where(known, score, np.nan),
        "ewma_z": np.where(known, drift, np.nan),
    }
    return pl.DataFrame(
        [
            series.dates.alias("date"),
            *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
            pl.Series("is_signal", alarm),
            pl.Series("sigma_z", np.full(size, math.sqrt(model.phi)), nan_to_null=True),
            pl.Series("level", np.where(alarm, "alarm", np.where(amber, "amber", "none"))),
            pl.Series("is_drift", known & (np.abs(np.nan_to_num(drift)) > EWMA_LIMIT)),
            pl.Series("phi", np.full(size, model.phi), nan_to_null=True),
            pl.Series("rho", np.full(size, model.rho), nan_to_null=True),
            pl.Series("vif", np.full(size, model.vif), nan_to_null=True),
            pl.Series("terms", [model.weekday_terms] * size),
        ]
    )


@dataclass(frozen=True, slots=True)
class Runs:
    """Anhøj's two rules for one series: the longest run on one side of the centre, and the crossings of it."""

    longest_run: int
    longest_run_max: int
    crossings: int
    crossings_min: int
    is_signal: bool
    start: int
    end: int


def runs_rules(value: Floats, centre: Floats) -> Runs:
    """Unusually long runs or unusually few crossings (Anhøj, Olesen 2014); values on the centre do not count.

    A run is too long above round(log2 n) + 3, crossings too few below the 5 % quantile of Binomial(n - 1, ½).
    `start` and `end` are the rows of the longest run (-1 where there is none).
    """
    side = np.sign(value - centre)
    rows: Integers = np.flatnonzero(np.isfinite(side) & (side != 0))
    useful = len(rows)
    if useful == 0:
        return Runs(0, 0, 0, 0, is_signal=False, start=-1, end=-1)
    breaks = np.flatnonzero(np.diff(side[rows]) != 0) + 1
    edges = np.concatenate([[0], breaks, [useful]])
    lengths = np.diff(edges)
    longest = int(lengths.argmax())
    longest_max = round(math.log2(useful)) + 3
    crossings, crossings_min = len(breaks), binomial_quantile(0.05, useful - 1)
    return Runs(
        int(lengths[longest]),
        longest_max,
        crossings,
        crossings_min,
        is_signal=bool(lengths[longest] > longest_max or crossings < crossings_min),
        start=int(rows[edges[longest]]),
        end=int(rows[edges[longest + 1] - 1]),
    )


def binomial_quantile(share: float, trials: int) -> int:
    """The smallest count whose cumulative Binomial(trials, ½) probability reaches *share*."""
    total, term = 0.0, 0.5**trials
    for count in range(trials + 1):
        total += term
        if total >= share:
            return count
        term *= (trials - count) / (count + 1)
    return trials
