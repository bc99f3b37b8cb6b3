"""When the level of a rate moved: optimal segmentation (PELT) and, for each change, a 95 % set of dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, SupportsFloat

import numpy as np
import polars as pl

from flexkit.analyse.rates.dispersion import lag_one
from flexkit.analyse.rates.expected import weekday_columns
from flexkit.analyse.rates.glm import fit_glm
from flexkit.analyse.rates.series import Floats, Integers, Series, read_series, require_counts
from flexkit.errors import UsageError

ChangeFamily = Literal["poisson", "normal"]
Penalty = Literal["default", "sic", "mbic"] | float


@dataclass(frozen=True, slots=True)
class _Costs:
    """Cumulative sums from which the misfit of any segment [i, j) follows, in units of -2 log likelihood."""

    total: Floats
    size: Floats
    square: Floats
    family: ChangeFamily
    with_length: bool

    def between(self, first: Integers | int, last: int) -> Floats:
        total = self.total[last] - self.total[first]
        size = self.size[last] - self.size[first]
        if self.family == "normal":
            misfit = self.square[last] - self.square[first] - total**2 / size
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                misfit = np.where(total > 0, -2 * total * np.log(total / size), 0.0)
        length = np.log(last - np.asarray(first)) if self.with_length else 0.0
        result: Floats = misfit + length
        return result


def change_points(
    series: pl.DataFrame | pl.LazyFrame,
    *,
    penalty: Penalty = "default",
    min_segment: int = 7,
    family: ChangeFamily = "poisson",
) -> pl.DataFrame:
    """Changes of level: date (first bucket of the new level), low, high (95 % set), rate_before, rate_after.

    `series` has `date`, `events`, `exposure`. poisson: counts with exposure, adjusted for weekdays in daily
    series; normal: values in `events` with one variance. The segmentation minimizes -2 log likelihood plus a
    penalty per change (PELT, Killick 2012): default 3·log n, for counts times the over-dispersion (from
    successive differences, so that a change does not raise it) and in both families times the variance inflation
    by autocorrelation; sic 2·log n; mbic 3·log n and the log lengths of the segments (Zhang, Siegmund 2007); or a
    number. `low` to `high` is the 95 % posterior set of the change between its neighbours, told as such sets are
    published, by the last bucket of the old level, and widened where needed to hold `date`: the coal-mining disasters
    changed after 1891, so `date` is 1892, with 1886 to 1896 (Carlin, Gelfand, Smith 1992).
    Missing values are left out. A series too short for two segments has no change.
    """
    if min_segment < 1:
        msg = f"min_segment is {min_segment}. A segment needs at least one bucket."
        raise UsageError(msg)
    read = read_series(series)
    if family == "poisson":
        require_counts(read.events)
    read = read.keep(read.usable)
    size = len(read)
    if size < 2 * min_segment or (family == "poisson" and read.events.sum() <= 0):
        return _table(read, [], [], [], [])
    weight = _weekday_weight(read) if family == "poisson" else np.ones(size)
    exposure = read.exposure * weight
    cuts = _segmentation(read, exposure, penalty, min_segment, family)
    scale = _evidence_scale(read, exposure, cuts, family)
    edges = [0, *cuts, size]
    lows, highs = [], []
    for number, cut in enumerate(cuts):
        low, high = _credible_set(
            read.events, exposure, (edges[number], cut, edges[number + 2]), scale=scale, family=family
        )
        lows.append(low)
        highs.append(max(high, cut))
    levels = [_level(read, edges[i], edges[i + 1], family) for i in range(len(edges) - 1)]
    return _table(read, cuts, lows, highs, levels)


def _segmentation(
    read: Series, exposure: Floats, penalty: Penalty, min_segment: int, family: ChangeFamily
) -> list[int]:
    """The rows where a new level starts."""
    if isinstance(penalty, str) and penalty not in {"default", "sic", "mbic"}:
        msg = f"Unknown penalty {penalty!r}. Use default, sic, mbic or a number."
        raise UsageError(msg)
    if not isinstance(penalty, str) and not (isinstance(penalty, SupportsFloat) and 0 <= float(penalty) < np.inf):
        msg = f"The penalty {penalty} is not a number of at least zero."
        raise UsageError(msg)
    log_size = float(np.log(len(read)))
    noise = _noise(read.events, exposure, family)
    costs = _costs(read.events, exposure, family, noise, with_length=penalty == "mbic")
    if not isinstance(penalty, str):
        return _pelt(costs, float(penalty), min_segment)
    if penalty != "default":
        return _pelt(costs, (2 if penalty == "sic" else 3) * log_size, min_segment)
    spread = noise if family == "poisson" else 1.0
    first = _pelt(costs, 3 * log_size * spread, min_segment)
    phi, vif = _within(read, exposure, first, family, noise)
    # Successive differences do not see what neighbours share; the segments do, and rarely more than that.
    spread = max(spread, phi) if family == "poisson" else spread
    return _pelt(costs, 3 * log_size * spread * vif, min_segment)


def _noise(events: Floats, exposure: Floats, family: ChangeFamily) -> float:
    """Variance from successive differences: of the values, or of the counts in units of Poisson's."""
    if family == "normal":
        variance = float(np.mean(np.square(np.diff(events)))) / 2
        return variance if variance > 0 else 1.0
    expected = exposure * events.sum() / exposure.sum()
    scores = 2 * (np.sqrt(events + 0.375) - np.sqrt(expected + 0.375))
    return max(1.0, float(np.mean(np.square(np.diff(scores)))) / 2)


def _within(
    read: Series, exposure: Floats, cuts: list[int], family: ChangeFamily, variance: float
) -> tuple[float, float]:
    """Over-dispersion, and inflation of the variance by autocorrelation, within the segments that *cuts* make."""
    edges = [0, *cuts, len(read)]
    segment = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    total = np.bincount(segment, weights=read.events)
    size = np.bincount(segment, weights=exposure)
    fitted = (total / size)[segment] * exposure
    scale = np.sqrt(np.full(len(read), variance) if family == "normal" else np.maximum(fitted, 1e-12))
    residuals = (read.events - fitted) / scale
    count = len(read)
    phi = float(np.square(residuals).sum()) / max(count - len(edges) + 1, 1)
    first = lag_one(residuals, read.index, segment)
    rho = float(np.clip(first + (1 + 4 * first) / count, 0.0, 0.9))
    if family == "poisson" and phi <= 1:
        rho = 0.0
    return phi, (1 + rho) / (1 - rho)


def _evidence_scale(read: Series, exposure: Floats, cuts: list[int], family: ChangeFamily) -> float:
    """By how much one bucket counts less than an independent one: the variance, for normal values.

    Counts keep their exact Poisson weight unless they vary more than chance allows (5 % test of Pearson's
    statistic).
    """
    noise = _noise(read.events, exposure, family)
    phi, vif = _within(read, exposure, cuts, family, noise)
    if family == "normal":
        return noise * max(phi, 1.0) * vif
    spare = max(len(read) - len(cuts) - 1, 1)
    evident = phi > 1 + 1.645 * np.sqrt(2 / spare)
    return phi * vif if evident else 1.0


def _costs(events: Floats, exposure: Floats, family: ChangeFamily, unit: float, *, with_length: bool) -> _Costs:
    values = events / np.sqrt(unit) if family == "normal" else events
    zero = np.zeros(1)
    return _Costs(
        np.concatenate([zero, np.cumsum(values)]),
        np.concatenate([zero, np.cumsum(np.ones(len(events)) if family == "normal" else exposure)]),
        np.concatenate([zero, np.cumsum(np.square(values))]),
        family,
        with_length,
    )


def _pelt(costs: _Costs, penalty: float, min_segment: int) -> list[int]:
    """Rows at which the optimal segmentation starts a new segment (Killick, Fearnhead, Eckley 2012)."""
    size = len(costs.total) - 1
    best = np.full(size + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(size + 1, dtype=np.int64)
    candidates = np.array([0], dtype=np.int64)
    for last in range(min_segment, size + 1):
        misfit = costs.between(candidates, last)
        value = best[candidates] + misfit + penalty
        chosen = int(value.argmin())
        best[last], previous[last] = value[chosen], candidates[chosen]
        # The log length of mbic may shrink by at most this when a segment is cut in two.
        slack = float(np.log(size)) if costs.with_length else 0.0
        kept = candidates[best[candidates] + misfit <= best[last] + slack]
        fresh = last - min_segment + 1
        candidates = np.append(kept, fresh) if fresh >= min_segment else kept
    cuts: list[int] = []
    row = int(previous[size])
    while row > 0:
        cuts.append(row)
        row = int(previous[row])
    return cuts[::-1]


def _credible_set(
    events: Floats, exposure: Floats, span: tuple[int, int, int], *, scale: float, family: ChangeFamily
) -> tuple[int, int]:
    """First and last row of the 95 % highest-posterior set of the old level's last row.

    *span* is (start, change, end).
    """
    from scipy import special

    start, _, end = span
    values, size = events[start:end], exposure[start:end]
    left, left_size = np.cumsum(values)[:-1], np.cumsum(size)[:-1]
    right, right_size = values.sum() - left, size.sum() - left_size
    if family == "poisson":
        # Counts and exposures are divided by the over-dispersion: that many are worth one independent event.
        prior = 0.5
        log_weight = sum(
            special.gammaln(total / scale + prior) - (total / scale + prior) * np.log(amount / scale)
            for total, amount in ((left, left_size), (right, right_size))
        )
    else:
        before = np.arange(1, len(values))
        after = len(values) - before
        misfit = -(left**2) / before - right**2 / after
        log_weight = -misfit / (2 * scale) - np.log(before * after) / 2
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    order = np.argsort(-weight)
    count = int(np.searchsorted(np.cumsum(weight[order]), 0.95)) + 1
    rows = order[:count] + start
    return int(rows.min()), int(rows.max())


def _weekday_weight(read: Series) -> Floats:
    """How much more than the average each day's weekday brings, from the series itself; one elsewhere."""
    rows = np.ones(len(read), dtype=np.bool_)
    columns, terms = weekday_columns(read, rows)
    if terms == "none":
        return np.ones(len(read))
    design = np.column_stack([np.ones(len(read)), columns])
    fit = fit_glm(read.events, design, offset=np.log(read.exposure))
    weight = np.exp(columns @ fit.coefficients[1:])
    relative: Floats = weight / weight.mean()
    return relative


def _level(read: Series, first: int, last: int, family: ChangeFamily) -> float:
    rows = slice(first, last)
    if family == "normal":
        return float(read.events[rows].mean())
    return float(read.events[rows].sum() / read.exposure[rows].sum())


def _table(read: Series, cuts: list[int], lows: list[int], highs: list[int], levels: list[float]) -> pl.DataFrame:
    dates = read.dates
    return pl.DataFrame(
        {
            "date": dates.gather(cuts),
            "low": dates.gather(lows),
            "high": dates.gather(highs),
            "rate_before": pl.Series(levels[:-1], dtype=pl.Float64),
            "rate_after": pl.Series(levels[1:], dtype=pl.Float64),
        }
    )
