"""What an effect estimate could have seen, and when it will have seen enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Floats

_RATIOS = np.round(np.arange(0.99, 0.004, -0.005), 3)
POWER = 0.8


def detectable(
    events_before: float, expected_after: float, *, inflation: float, df: float, level: float = 0.95, extra: float = 0.0
) -> float:
    """The largest ratio below one that the data would show with a power of 80 %; NaN where there is none.

    `expected_after` are the events expected after the change without effect. The variance of the log ratio has two
    parts: chance, which grows as the ratio leaves fewer events, `inflation` times; and `extra` (moods of days, a
    control's chance), which does not. Searched on a grid from the top, because the condition is not monotone: nearly
    eliminating the events leaves too few to tell.
    """
    if not (events_before > 0 and expected_after > 0 and math.isfinite(inflation) and math.isfinite(df)):
        return math.nan
    error = np.sqrt(inflation * (1 / events_before + 1 / (expected_after * _RATIOS)) + extra)
    seen = -np.log(_RATIOS) >= _threshold(df, level) * error
    return float(_RATIOS[seen.argmax()]) if seen.any() else math.nan


def days_until(
    target: float, events_before: float, days_before: int, *, inflation: float, df: float, extra: float = 0.0,
    horizon: int = 365,
) -> int | None:  # fmt: skip
    """Days after the change until a ratio of *target* would be seen with a power of 80 %; None beyond *horizon*.

    `inflation` as in `detectable`; `extra` is what one day's mood adds to the variance of the log rate.
    """
    if not (0 < target < 1 and events_before > 0 and days_before > 0 and math.isfinite(inflation + extra)):
        return None
    days = np.arange(1, horizon + 1, dtype=np.float64)
    chance = 1 / events_before + 1 / (events_before / days_before * days * target)
    error = np.sqrt(inflation * chance + extra * (1 / days_before + 1 / days))
    seen = -math.log(target) >= _threshold(df, 0.95) * error
    return int(days[seen.argmax()]) if seen.any() else None


def days_for_elimination(rate_per_day: float, *, phi: float, level: float = 0.95) -> float:
    """Days without any event after which 'gone' is more than luck: 3·phi / rate for a level of 95 %."""
    return -math.log(1 - level) * phi / rate_per_day if rate_per_day > 0 else math.inf


def _threshold(df: float, level: float) -> float:
    from scipy import special

    threshold: Floats = special.stdtrit(df, (1 + level) / 2) + special.stdtrit(df, POWER)
    return float(threshold)
