"""Which days an estimate of one fix uses, beside other fixes: baseline, after, steps of neighbours, bundles."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flexkit.analyse.effects.fixes import EPOCH
from flexkit.analyse.effects.rows import Cut, align
from flexkit.analyse.rates.series import Step
from flexkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.analyse.effects.fixes import Fix
    from flexkit.analyse.rates.series import Floats, Series

BASELINE_DAYS = 90
AFTER_DAYS = 56
CLEAR_DAYS = 28
"""A neighbour that is at least this far away ends the window; a nearer one becomes a step of the same model."""
SEPARABLE_VIF = 5.0
DOUBTFUL_VIF = 2.5


@dataclass(frozen=True, slots=True)
class Window:
    """The days around one fix, or around a bundle of fixes that cannot be told apart.

    `first` and `end` bound the days used (days since 1970, end exclusive), `day` and `settled` the washout, `age`
    the whole days since. `overlap` is the variance inflation by neighbours before they were bundled.
    """

    rows: Cut
    first: int
    day: int
    settled: int
    end: int
    age: int
    overlap: float
    members: tuple[str, ...]
    neighbours: tuple[str, ...]

    @property
    def is_bundle(self) -> bool:
        """Whether several fixes are estimated as one."""
        return len(self.members) > 1

    def until(self, days_after: int) -> Window:
        """The window with only the first *days_after* days after the fix."""
        start = self.rows.series.start
        kept = self.rows.keep(start < self.settled + days_after)
        return replace(self, rows=kept, end=min(self.end, self.settled + days_after))


def window(
    series: Series, fix: Fix, neighbours: Sequence[Fix], *, complete_until: int, control: Series | None = None
) -> Window:
    """The window of *fix* in the daily *series* of what it reaches.

    *neighbours* are other fixes that reach some of the same, *complete_until* the first day that is not over.
    """
    if len(series) > 1 and series.step is not Step.DAY:
        msg = f"Effects of fixes need daily counts; these are by {series.step.value}."
        raise UsageError(msg)
    members, joint = [fix], _near(fix, neighbours)
    built = _build(series, members, joint, neighbours, complete_until=complete_until, control=control)
    overlap = _overlap(built.rows)
    while joint and _overlap(built.rows) > SEPARABLE_VIF:
        day = fix.day
        nearest = min(joint, key=lambda other: abs(other.day - day))
        members.append(nearest)
        joint = [other for other in joint if other is not nearest]
        built = _build(series, members, joint, neighbours, complete_until=complete_until, control=control)
    return replace(built, overlap=overlap)


def _near(fix: Fix, neighbours: Sequence[Fix]) -> list[Fix]:
    """Neighbours without 28 clear days between them and *fix*."""
    near = []
    for other in neighbours:
        between = fix.day - other.settled if other.day < fix.day else other.day - fix.settled
        if between < CLEAR_DAYS:
            near.append(other)
    return near


def _build(
    series: Series,
    members: Sequence[Fix],
    joint: Sequence[Fix],
    neighbours: Sequence[Fix],
    *,
    complete_until: int,
    control: Series | None,
) -> Window:
    day, settled = min(fix.day for fix in members), max(fix.settled for fix in members)
    names = {fix.fix_id for fix in (*members, *joint)}
    far = [other for other in neighbours if other.fix_id not in names]
    held = int(series.start[0]) if len(series) else day
    first = max([day - BASELINE_DAYS, min(held, day), *(other.settled for other in far if other.day < day)])
    end = min([complete_until, settled + AFTER_DAYS, *(other.day for other in far if other.day > day)])
    inside = (series.start >= first) & (series.start < end)
    washout = (series.start >= day) & (series.start < settled)
    for other in joint:
        washout |= (series.start >= other.day) & (series.start < other.settled)
    keep = inside & ~washout & series.usable
    flags = ["gaps_dropped"] if (inside & series.excluded).any() else []
    aligned = None
    if control is not None:
        keep, aligned, lost = align(series, keep, control)
        flags += ["control_incomplete"] if lost else []
    kept = series.keep(keep)
    if not len(series) or series.start[-1] < settled:
        flags.append("change_after_data")
    if not len(series) or series.start[0] >= day:
        flags.append("change_before_data")
    steps = np.column_stack([(kept.start >= other.settled).astype(float) for other in joint]) if joint else None
    rows = Cut(kept, kept.start >= settled, tuple(flags), aligned, steps).keep(np.ones(len(kept), dtype=np.bool_))
    age = max(end - settled, 0)
    return Window(
        rows, first, day, settled, end, age, 1.0,
        tuple(fix.fix_id for fix in members), tuple(fix.fix_id for fix in joint),
    )  # fmt: skip


def _overlap(rows: Cut) -> float:
    """By how much the neighbours' steps inflate the variance of this one's (1: not at all)."""
    if rows.others is None:
        return 1.0
    root = np.sqrt(rows.series.exposure)
    step: Floats = rows.after.astype(np.float64)
    if np.ptp(step) == 0:
        return 1.0
    columns = np.column_stack([np.ones(len(step)), rows.others]) * root[:, None]
    target = step * root
    fitted = columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    middle = (target @ root) / (root @ root) * root
    left, total = float(np.square(target - fitted).sum()), float(np.square(target - middle).sum())
    return total / left if left > 1e-9 * total else np.inf


def day_number(day: dt.date) -> int:
    """Days since 1970."""
    return (day - EPOCH).days


def as_date(number: int) -> dt.date:
    """The date that lies *number* days after 1970-01-01."""
    return EPOCH + dt.timedelta(days=int(number))
