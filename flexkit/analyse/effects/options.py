"""How to estimate, and what an estimate says."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, TypedDict

from flexkit.analyse.effects.fit import VARIANCES, Variance
from flexkit.errors import UsageError

Model = Literal["auto", "step", "did", "weekly", "exact"]
MODELS: tuple[Model, ...] = ("auto", "step", "did", "weekly", "exact")
Choice = bool | Literal["auto"]


class Estimate(TypedDict):
    """What `estimate` returns; numbers that cannot be told are NaN."""

    rr: float
    rr_low: float
    rr_high: float
    log_rr_se: float
    phi: float
    rho: float
    vif: float
    df: float
    p_value: float
    p_harm: float
    p_target: float
    events_before: float
    events_after: float
    exposure_before: float
    exposure_after: float
    buckets_before: int
    buckets_after: int
    avoided: float
    avoided_low: float
    avoided_high: float
    mde: float
    model: str
    trend_rr: float
    slope_rr: float
    slope_low: float
    slope_high: float
    pretrend_p: float
    flags: list[str]


@dataclass(frozen=True, slots=True)
class Options:
    """How to estimate; the defaults are the default method."""

    model: Model = "auto"
    variance: Variance = "qar1"
    trend: Choice = "auto"
    slope_change: bool = False
    harmonics: int = 0
    weekday: Choice = "auto"
    ramp: dt.timedelta = dt.timedelta(0)
    baseline_days: float | None = None
    level: float = 0.95
    target_rr: float = 0.8
    drop_spike: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            msg = f"Unknown model {self.model!r}. Use one of: {', '.join(MODELS)}."
            raise UsageError(msg)
        if self.variance not in VARIANCES:
            msg = f"Unknown variance {self.variance!r}. Use one of: {', '.join(VARIANCES)}."
            raise UsageError(msg)
        if not 0 < self.level < 1:
            msg = f"The level {self.level} is not between 0 and 1. Use 0.95 for a 95 % interval."
            raise UsageError(msg)
        if self.harmonics < 0:
            msg = f"harmonics is {self.harmonics}. It is a number of sine and cosine pairs, 0 for none."
            raise UsageError(msg)
        if self.baseline_days is not None and self.baseline_days <= 0:
            msg = f"baseline_days is {self.baseline_days}. Give a positive number, or None for all days before."
            raise UsageError(msg)
