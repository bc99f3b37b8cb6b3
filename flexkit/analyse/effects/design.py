"""The columns of the effect model: level, step, weekday, trend, slope, season, other fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexkit.analyse.rates.expected import weekday_columns
from flexkit.analyse.rates.series import Booleans, Floats, Series, Step
from flexkit.errors import UsageError

STEP = 1
"""Column of the step, the effect that is estimated."""


@dataclass(frozen=True, slots=True)
class Design:
    """The model's matrix (n, k) and where its named columns stand (-1: absent)."""

    matrix: Floats
    trend: int
    slope: int
    weekday_terms: str

    @property
    def without_step(self) -> Floats:
        """The matrix as if the change had never come."""
        matrix = self.matrix.copy()
        matrix[:, STEP] = 0.0
        if self.slope >= 0:
            matrix[:, self.slope] = 0.0
        return matrix


def build(
    series: Series,
    after: Booleans,
    *,
    trend: bool = False,
    slope_change: bool = False,
    harmonics: int = 0,
    weekday: bool | str = "auto",
    others: Floats | None = None,
    ramp_step: bool = False,
) -> Design:
    """The design for *series*, whose buckets are all used, with a step where *after* is true.

    Time runs in steps of the series and is zero at the first bucket after the change, so that with a slope change
    the step is the change of level there. `others` are further columns, such as the steps of other fixes.
    `ramp_step` puts time itself where the step stands, to ask for a slope instead.
    """
    origin = series.index[after][0] if after.any() else 0
    time = (series.index - origin).astype(np.float64)
    step = time - time.mean() if ramp_step else after.astype(np.float64)
    columns: list[Floats] = [np.ones(len(series)), step]
    terms = "none"
    if weekday == "auto":
        extra, terms = weekday_columns(series, ~after)
        columns.extend(extra.T)
    elif weekday:
        if series.step is not Step.DAY:
            msg = f"Weekday terms need a daily series; this one is by {series.step.value}."
            raise UsageError(msg)
        days = series.weekday
        columns.extend((days == day).astype(np.float64) for day in np.unique(days)[1:])
        terms = "weekday"
    places = {"trend": -1, "slope": -1}
    if trend or slope_change:
        places["trend"] = len(columns)
        columns.append(time)
    if slope_change:
        places["slope"] = len(columns)
        columns.append(np.where(after, time, 0.0))
    for order in range(1, harmonics + 1):
        angle = 2 * np.pi * order * series.year_fraction
        columns.extend([np.sin(angle), np.cos(angle)])
    if others is not None:
        columns.extend(others.T)
    return _independent(Design(np.column_stack(columns), places["trend"], places["slope"], terms))


def _independent(design: Design) -> Design:
    """The design without columns that say what earlier ones already say; named ones come before the others."""
    matrix = design.matrix
    if np.linalg.matrix_rank(matrix) == matrix.shape[1]:
        return design
    named = [0, STEP, *(place for place in (design.trend, design.slope) if place >= 0)]
    order = named + [place for place in range(matrix.shape[1]) if place not in named]
    kept: list[int] = []
    for place in order:
        if np.linalg.matrix_rank(matrix[:, [*kept, place]]) == len(kept) + 1:
            kept.append(place)
    kept.sort()
    places = {old: new for new, old in enumerate(kept)}
    return Design(matrix[:, kept], places.get(design.trend, -1), places.get(design.slope, -1), design.weekday_terms)
