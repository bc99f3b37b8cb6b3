"""Ratio of two rates with hardly any events: exact, and an upper bound where none came after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Floats


@dataclass(frozen=True, slots=True)
class Ratio:
    """A rate ratio with its interval and two-sided p value."""

    rr: float
    low: float
    high: float
    p_value: float


def exact_ratio(
    events_before: float,
    exposure_before: float,
    events_after: float,
    exposure_after: float,
    *,
    scale: float = 1.0,
    level: float = 0.95,
) -> Ratio:
    """Ratio of the rates after and before, exact given the sum (Clopper-Pearson on the share of events after).

    `scale` is phi·vif: counts are divided by it. With no event after, the ratio is 0 and `high` is the one-sided
    upper bound (about 3·scale over the expected events), with none before it is infinite and `low` is one-sided.
    """
    from scipy import special

    before, after = events_before / scale, events_after / scale
    total = before + after
    if total <= 0 or exposure_before <= 0 or exposure_after <= 0:
        return Ratio(math.nan, math.nan, math.nan, math.nan)
    times = exposure_before / exposure_after
    tail = (1 - level) / 2 if before > 0 and after > 0 else 1 - level
    low = float(special.betaincinv(after, before + 1, tail)) if after > 0 else 0.0
    high = float(special.betaincinv(after + 1, before, 1 - tail)) if before > 0 else 1.0
    share = exposure_after / (exposure_before + exposure_after)
    at_most = float(special.betainc(before, after + 1, 1 - share)) if before > 0 else 1.0
    at_least = float(special.betainc(after, before + 1, share)) if after > 0 else 1.0
    rr = math.inf if before == 0 else after / before * times
    return Ratio(rr, _odds(low) * times, _odds(high) * times, min(1.0, 2 * min(at_most, at_least)))


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else math.inf


def exact_posterior(grid: Floats, before: tuple[float, float], after: tuple[float, float], *, scale: float) -> Floats:
    """Log likelihood of the log ratios in *grid*, given the sum; *before* and *after* are (events, exposure)."""
    odds = np.exp(grid) * after[1] / before[1]
    likelihood: Floats = after[0] / scale * np.log(odds / (1 + odds)) - before[0] / scale * np.log1p(odds)
    return likelihood
