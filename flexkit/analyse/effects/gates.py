"""What must hold before a model may be used: no spike that triggered the change, a fit control, no drift."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from flexkit.analyse.effects.design import build
from flexkit.analyse.effects.fit import fit_step
from flexkit.analyse.rates.dispersion import share_dispersion
from flexkit.analyse.rates.expected import weekday_columns
from flexkit.analyse.rates.glm import fit_glm
from flexkit.analyse.rates.series import Booleans, Step

if TYPE_CHECKING:
    from flexkit.analyse.effects.rows import Cut

SELECTION_DAYS = 7
MIN_BASELINE_DAYS = 28
SPIKE_ERRORS = 2.0
TREND_MIN_BEFORE = 56
TREND_ERRORS = 2.0
PRETREND_ERRORS = 1.5
MAX_SHARE_CHANGE = 0.15
MIN_CONTROL_EVENTS = 20


@dataclass(frozen=True, slots=True)
class Gates:
    """Whether a control may be used, whether with a trend, and what was found."""

    passes: bool
    needs_trend: bool
    flags: tuple[str, ...]
    pretrend_p: float


def spike_before(rows: Cut, *, drop: bool | Literal["auto"] = "auto") -> tuple[Cut, list[str]]:
    """Drop the last seven days before the change where they are unusually high, or where *drop* is true.

    A fix that was made because of a bad week is followed by better ones whatever it does (regression to the mean).
    Only in daily series, and only where 28 days remain.
    """
    series, after = rows.series, rows.after
    if drop is False or series.step is not Step.DAY or not (~after).any():
        return rows, []
    last = series.index[~after].max()
    late = ~after & (series.index > last - SELECTION_DAYS)
    early = ~after & ~late
    if early.sum() < MIN_BASELINE_DAYS or not late.any():
        return rows, ["selection_window_too_short"] if drop is True else []
    if drop is True or _is_spike(rows, late, early):
        return rows.keep(~late), ["selection_window_dropped"]
    return rows, []


def _is_spike(rows: Cut, late: Booleans, early: Booleans) -> bool:
    """Whether the *late* days lie more than two standard errors above the *early* ones."""
    series = rows.series
    columns, _ = weekday_columns(series, early)
    pattern = np.ones(len(series))
    if columns.shape[1]:
        design = np.column_stack([np.ones(len(series)), columns])
        fit = fit_glm(series.events[early], design[early], offset=np.log(series.exposure[early]))
        pattern = np.exp(columns @ fit.coefficients[1:])
    exposure = series.exposure * pattern
    spread = share_dispersion(series.events[early], exposure[early], series.index[early], binomial=False)
    recent, usual = series.events[late].sum(), series.events[early].sum()
    if recent <= 0 or usual <= 0:
        return False
    ratio = math.log(recent / exposure[late].sum() * exposure[early].sum() / usual)
    return ratio > SPIKE_ERRORS * math.sqrt(spread.phi * (1 / recent + 1 / usual))


def pre_slope(rows: Cut, *, harmonics: int, level: float) -> bool:
    """Whether the buckets before the change drift: at least 56 of them, with a slope beyond two standard errors."""
    before = rows.only_before()
    if len(before.series) < TREND_MIN_BEFORE:
        return False
    slope, plain, error = _slope(before, harmonics=harmonics, level=level)
    return math.isfinite(slope) and plain > 0 and abs(slope) > TREND_ERRORS * error


def _slope(before: Cut, *, harmonics: int = 0, level: float = 0.95) -> tuple[float, float, float]:
    """Slope per bucket of the log rate (or of the log ratio to the control) before the change.

    With its plain error and, where that calls it a slope, the error that day effects leave (else the plain one).
    """
    series = before.series
    none = np.zeros(len(series), dtype=np.bool_)
    # Time stands where the step would: its error is then widened likewise.
    weekday: bool | str = "auto" if before.control is None else False
    built = build(series, none, harmonics=harmonics, weekday=weekday, ramp_step=True)
    fitted = fit_step(
        series, none, built, variance="qar1", level=level,
        control=before.control, widen_beyond=PRETREND_ERRORS,
    )  # fmt: skip
    return fitted.log_rr, fitted.error / fitted.widening, fitted.error


def control_gates(rows: Cut, *, level: float) -> Gates:
    """Whether the control of *rows* may be used."""
    control, after = rows.control, rows.after
    if control is None:
        return Gates(passes=False, needs_trend=False, flags=("no_control",), pretrend_p=math.nan)
    flags: list[str] = []
    if min(control.events[~after].sum(), control.events[after].sum()) < MIN_CONTROL_EVENTS:
        flags.append("control_too_few_events")
    exposure = rows.series.exposure + control.exposure
    share_before = rows.exposure_before / exposure[~after].sum()
    share_after = rows.exposure_after / exposure[after].sum()
    if abs(share_after / share_before - 1) >= MAX_SHARE_CHANGE:
        flags.append("control_volume_moved")
    if flags:
        return Gates(passes=False, needs_trend=False, flags=tuple(flags), pretrend_p=math.nan)
    before = rows.only_before()
    busy = before.series.events + (before.control.events if before.control is not None else 0.0) > 0
    slope, _, error = _slope(before.keep(busy), level=level)
    if not (math.isfinite(slope) and error > 0):
        return Gates(passes=False, needs_trend=False, flags=("control_no_fit",), pretrend_p=math.nan)
    from scipy import special

    pretrend_p = float(2 * special.ndtr(-abs(slope) / error))
    drifts = abs(slope) > PRETREND_ERRORS * error
    if drifts and int((~after).sum()) < MIN_BASELINE_DAYS:
        return Gates(passes=False, needs_trend=False, flags=("control_drifts",), pretrend_p=pretrend_p)
    return Gates(passes=True, needs_trend=drifts, flags=("control_trend",) if drifts else (), pretrend_p=pretrend_p)
