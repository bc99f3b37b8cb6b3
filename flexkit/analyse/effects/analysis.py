"""Everything about one fix: its window, estimate, look, control, placebo dates, sensitivities, data quality."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import polars as pl

from flexkit.analyse.effects import scope
from flexkit.analyse.effects.balancing import Balance, balances
from flexkit.analyse.effects.gates import SELECTION_DAYS
from flexkit.analyse.effects.looks import LAST_LOOK, Look, latest_look
from flexkit.analyse.effects.model import estimate_rows
from flexkit.analyse.effects.options import Estimate, Options
from flexkit.analyse.effects.placebo import Placebo, placebo_dates
from flexkit.analyse.effects.power import days_for_elimination, days_until
from flexkit.analyse.effects.quality import Quality, assess
from flexkit.analyse.effects.sensitivity import Sensitivity, depends_on_model, sensitivities
from flexkit.analyse.effects.verdict import Case
from flexkit.analyse.effects.window import Window, as_date, day_number, window
from flexkit.analyse.rates.series import Series, read_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.analyse.effects.fit import StepFit
    from flexkit.analyse.effects.fixes import Fix

Control = Literal["auto", "off"] | pl.DataFrame


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every fix of a report."""

    tz: str
    complete_until: int
    control: Control = "auto"
    balancing: pl.DataFrame | None = None
    logging_changes: Sequence[dt.date] = ()
    is_truncated: bool = False
    model: Literal["auto", "step", "did", "weekly", "exact"] = "auto"
    with_checks: bool = True


@dataclass(frozen=True, slots=True)
class Analysis:
    """The analysis of one fix. `current` uses all days after it, `looked` those up to the last dated look."""

    fix: Fix
    daily: pl.DataFrame
    around: Window
    current: Estimate
    fitted: StepFit | None
    look: Look | None
    looked: Estimate
    placebo: Placebo
    others: tuple[Sensitivity, ...]
    quality: Quality
    balances: tuple[Balance, ...] = ()
    notes: tuple[str, ...] = ()
    series: Series | None = None
    control: Series | None = field(default=None)

    @property
    def depends_on_model(self) -> bool:
        """Whether another model would answer differently."""
        return math.isfinite(self.current["rr"]) and depends_on_model(self.current["rr"], list(self.others))

    @property
    def is_last_look(self) -> bool:
        """Whether no dated look is still to come."""
        return self.look is not None and self.look.days >= LAST_LOOK

    def case(self, q_value: float) -> Case:
        """What the verdict depends on."""
        return Case(
            estimate=self.looked,
            look=self.look,
            q_value=q_value,
            placebo_rank=self.placebo.rank,
            placebo_count=self.placebo.count,
            is_bundle=self.around.is_bundle,
            target_rr=self.fix.target_rr,
            is_last_look=self.is_last_look,
            blocking=self.quality.blocking,
            counts_only=self.quality.denominators != "ok",
            balances=self.balances,
        )

    def ready_on(self) -> dt.date | None:
        """When the data will be able to show the fix's target, or its elimination; None if not within a year."""
        found, after = self.current, self.around
        if found["model"] == "undecided" or not found["events_before"] > 0:
            return None
        before, days_before = found["events_before"], found["buckets_before"]
        if found["events_after"] == 0:
            wait = max(math.ceil(days_for_elimination(before / days_before, phi=found["phi"])), 14)
            return as_date(after.settled + wait)
        inflation, moods = found["phi"] * found["vif"], 0.0
        if found["model"] != "exact":
            chance = 1 / before + 1 / found["events_after"]
            days = 1 / days_before + 1 / found["buckets_after"]
            inflation, moods = 1.0, max(found["log_rr_se"] ** 2 - chance, 0.0) / days
        df = 1e6 if math.isinf(found["df"]) else found["df"]
        wait_until = days_until(self.fix.target_rr, before, days_before, inflation=inflation, df=df, extra=moods)
        return None if wait_until is None else as_date(after.settled + max(wait_until, 14))


def analyse(daily: pl.DataFrame, fix: Fix, fixes: Sequence[Fix], setting: Setting) -> Analysis:
    """Analyse one *fix* among all *fixes* in daily counts."""
    treated = scope.treated(daily, fix)
    series = read_series(treated)
    neighbours = [other for other in fixes if other is not fix and scope.intersects(daily, fix, other)]
    near = [other for other in fixes if other is not fix and _touches(fix, other)]
    notes = [] if not (fix.channel_types or fix.handlers) or scope.can_separate(daily, fix) else ["scope_not_seen"]
    control = _control(daily, fix, near, setting)
    around = window(series, fix, neighbours, complete_until=setting.complete_until, control=control)
    options = Options(model=setting.model, target_rr=fix.target_rr, drop_spike=_drop_spike(fix))
    current, fitted = estimate_rows(around.rows, options)
    look = latest_look(around.age)
    looked = current
    if look is not None and look.days < around.age:
        looked, _ = estimate_rows(around.until(look.days).rows, options)
    used = control if fitted is not None and fitted.control is not None else None
    found: list[Sensitivity] = []
    placebo = Placebo(math.nan, (), ())
    if setting.with_checks:
        if fitted is not None:
            found = sensitivities(around.rows, options, fitted, primary=current["model"])
        since = max([0, *(other.settled for other in neighbours if other.day < around.day)])
        end = around.end if look is None else min(around.end, around.settled + look.days)
        dropped = SELECTION_DAYS if "selection_window_dropped" in looked["flags"] else 0
        placebo = placebo_dates(
            series, day=around.day, settled=around.settled, end=end, since=since, dropped=dropped,
            control=_on(series, used),
        )  # fmt: skip
    quality = assess(treated, around, logging_changes=setting.logging_changes, is_truncated=setting.is_truncated)
    if scope.reaches_nothing(daily, fix):
        quality = replace(quality, blocking=("scope_not_seen", *quality.blocking))
    worse: list[Balance] = []
    if setting.balancing is not None:
        worse = balances(setting.balancing, fix, neighbours, complete_until=setting.complete_until, look=look)
    return Analysis(
        fix, daily, around, current, fitted, look, looked, placebo, tuple(found), quality, tuple(worse),
        tuple(notes), series, used,
    )  # fmt: skip


def complete_until(daily: pl.DataFrame, now: dt.datetime | dt.date | None, *, tz: str) -> int:
    """The first local day that is not over: that of *now*, or the one after the newest complete day held."""
    whole = daily.filter(~pl.col("is_partial")) if "is_partial" in daily.columns else daily
    newest = whole["date"].max()
    held = day_number(newest) + 1 if isinstance(newest, dt.date) else 0
    if now is None:
        return held
    if isinstance(now, dt.datetime):
        from flexkit.analyse.rates.calendar import check_zone

        today = now.astimezone(check_zone(tz)).date()
    else:
        today = now
    return min(held, day_number(today))


def _drop_spike(fix: Fix) -> bool | Literal["auto"]:
    return True if fix.triggered_by_spike else "auto"


def _touches(fix: Fix, other: Fix) -> bool:
    """Whether *other* changed anything near enough to spoil a control of *fix*."""
    return other.settled > fix.day - 90 and other.day < fix.settled + 56


def _control(daily: pl.DataFrame, fix: Fix, near: Sequence[Fix], setting: Setting) -> Series | None:
    if isinstance(setting.control, pl.DataFrame):
        return read_series(setting.control)
    if setting.control == "off":
        return None
    rest = scope.untouched(daily, fix, near)
    return None if rest is None else read_series(rest)


def _on(series: Series, control: Series | None) -> Series | None:
    """The control on the days of *series*, days that it lacks without exposure."""
    if control is None or (len(control) == len(series) and (control.start == series.start).all()):
        return control
    import numpy as np

    place = np.searchsorted(control.start, series.start).clip(max=len(control) - 1)
    found = control.start[place] == series.start
    return replace(
        series,
        events=np.where(found, control.events[place], np.nan),
        exposure=np.where(found, control.exposure[place], 0.0),
        excluded=~found | control.excluded[place],
    )
