"""Equally spaced series: read from a frame once, checked once, and cut at an instant."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from flexkit.errors import SchemaError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Instant: TypeAlias = dt.date | dt.datetime | float | str | np.datetime64 | np.integer
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]

MICROSECONDS_PER_DAY = 86_400_000_000


class Step(StrEnum):
    """How far apart the buckets of a series are."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    NUMBER = "number"


MONTHS_PER_STEP = {Step.MONTH: 1, Step.QUARTER: 3, Step.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Series:
    """One series in order of time.

    `start` and `end` bound each bucket (days since 1970 for dates, the number itself otherwise), `index` counts
    buckets so that neighbours differ by one whatever the step, and a missing value is NaN.
    """

    dates: pl.Series
    start: Floats
    end: Floats
    index: Integers
    step: Step
    events: Floats
    exposure: Floats
    excluded: Booleans

    @property
    def usable(self) -> Booleans:
        """Buckets that carry information: counted, exposed, neither a gap nor incomplete."""
        known = np.isfinite(self.events) & np.isfinite(self.exposure) & (self.exposure > 0)
        return known & ~self.excluded

    @property
    def is_calendar(self) -> bool:
        """Whether the dates are dates, not plain numbers."""
        return self.dates.dtype.is_temporal()

    @property
    def weekday(self) -> Integers:
        """Day of the week of each bucket, 0 for Monday; only meaningful for a daily series."""
        return (np.floor(self.start).astype(np.int64) + 3) % 7

    @property
    def year_fraction(self) -> Floats:
        """Where in the calendar year each bucket starts, 0 to 1 (whole months count as twelfths)."""
        if not self.is_calendar:
            msg = "Seasonal terms need dates: the series' 'date' column holds plain numbers."
            raise UsageError(msg)
        if self.step in MONTHS_PER_STEP:
            return (self.dates.dt.month().to_numpy().astype(np.float64) - 1) / 12
        return (self.dates.dt.ordinal_day().to_numpy().astype(np.float64) - 1) / 365.25

    def keep(self, rows: Booleans) -> Series:
        """The buckets where *rows* is true."""
        return replace(
            self,
            dates=self.dates.filter(pl.Series(rows)),
            start=self.start[rows],
            end=self.end[rows],
            index=self.index[rows],
            events=self.events[rows],
            exposure=self.exposure[rows],
            excluded=self.excluded[rows],
        )

    def __len__(self) -> int:
        return len(self.events)


def collected(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """*frame* in memory. Raises `SchemaError` for what is no polars frame."""
    held: object = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    if not isinstance(held, pl.DataFrame):
        msg = f"A polars frame is needed, not {type(held).__name__}. Convert it first, for example by pl.DataFrame(…)."
        raise SchemaError(msg)
    return held


def read_series(frame: pl.DataFrame | pl.LazyFrame, *, needs_exposure: bool = False) -> Series:
    """The series in *frame*: columns `date`, `events` and, unless every exposure is one, `exposure`.

    `date` may be a Date, a Datetime, ISO text (a month, a date, an instant), or whole numbers such as years. Rows
    where `is_gap`, `is_partial` or `is_holiday` is true are kept but excluded from fits. Raises `SchemaError` for
    absent or non-numeric columns, `UsageError` for repeated or missing dates and negative counts.
    """
    table = collected(frame)
    required = ("date", "events", "exposure") if needs_exposure else ("date", "events")
    if missing := [name for name in required if name not in table.columns]:
        msg = f"The series has no column {', '.join(missing)}. It has: {', '.join(table.columns) or 'none'}."
        raise SchemaError(msg)
    dates = _dates(table["date"])
    if dates.null_count():
        msg = f"The series has {dates.null_count()} rows without a date. Remove them or fill the dates in."
        raise UsageError(msg)
    if not dates.is_sorted():
        order = dates.arg_sort()
        table, dates = table[order], dates.gather(order)
    start, end, index, step = _grid(dates)
    if (repeated := np.flatnonzero(np.diff(start) == 0)).size:
        msg = f"The series has several rows for {dates[int(repeated[0])]}. Add them up first: one row per date."
        raise UsageError(msg)
    events = _numbers(table, "events")
    exposure = _numbers(table, "exposure") if "exposure" in table.columns else np.ones(len(events))
    if np.nanmin(exposure, initial=0.0) < 0:
        msg = "The series has a negative exposure. An exposure counts what could have had the event."
        raise UsageError(msg)
    excluded = np.zeros(len(events), dtype=np.bool_)
    for name in ("is_gap", "is_partial", "is_holiday"):
        if name in table.columns:
            excluded |= table[name].fill_null(value=False).to_numpy().astype(np.bool_)
    return Series(dates, start, end, index, step, events, exposure, excluded)


def require_counts(events: Floats) -> None:
    """Raise `UsageError` where a count is negative."""
    if np.nanmin(events, initial=0.0) < 0:
        msg = "The series has a negative count. Counts start at zero."
        raise UsageError(msg)


def _dates(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return _parsed(column)
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) != column).any():
            msg = "The 'date' column holds fractions. Use dates, or whole numbers such as years."
            raise SchemaError(msg)
        return whole
    if column.dtype.is_integer() or column.dtype in (pl.Date, pl.Datetime):
        return column
    msg = f"The 'date' column is {column.dtype}. It must hold dates, instants or whole numbers."
    raise SchemaError(msg)


def _parsed(text: pl.Series) -> pl.Series:
    """ISO months, dates or instants; instants without a zone stay on their own clock."""
    for written, kind in (("%Y-%m-%d", pl.Date), ("%+", pl.Datetime("us", "UTC")), ("%FT%T%.f", pl.Datetime("us"))):
        for spelt in (text, text + "-01"):
            found = spelt.str.strptime(kind, written, strict=False)
            if found.null_count() == text.null_count():
                return found
    msg = "The 'date' column holds text that is not ISO dates. Parse it first, for example to pl.Date."
    raise SchemaError(msg)


def _numbers(table: pl.DataFrame, name: str) -> Floats:
    column = table[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        msg = f"The '{name}' column is {column.dtype}. It must hold numbers."
        raise SchemaError(msg)
    values = column.cast(pl.Float64).to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _grid(dates: pl.Series) -> tuple[Floats, Floats, Integers, Step]:
    """Bounds, index and step of the buckets that start at *dates* (sorted)."""
    if dates.dtype.is_integer():
        values = dates.to_numpy().astype(np.int64)
        width = max(_common(np.diff(values)), 1)
        is_year = len(values) > 0 and width == 1 and values[0] >= 1000 and values[-1] <= 3000
        start = values.astype(np.float64)
        return start, start + width, (values - values[:1]) // width, Step.YEAR if is_year else Step.NUMBER
    wall = dates
    if isinstance(dates.dtype, pl.Datetime):
        # As the zone's own clock shows it, so that a day of 23 hours is still one day.
        wall = dates.dt.replace_time_zone(None).dt.cast_time_unit("us")
    factor = 1 if isinstance(dates.dtype, pl.Datetime) else MICROSECONDS_PER_DAY
    micros = wall.to_physical().to_numpy().astype(np.int64) * factor
    start = micros / MICROSECONDS_PER_DAY
    gaps = np.diff(micros)
    if len(gaps) and gaps.min() >= 28 * MICROSECONDS_PER_DAY and (months := _whole_months(wall)) is not None:
        width = _common(np.diff(months))
        step, width = {12: (Step.YEAR, 12), 3: (Step.QUARTER, 3)}.get(width, (Step.MONTH, 1))
        ends = wall.dt.offset_by(f"{width}mo").to_physical().to_numpy().astype(np.int64) * factor
        return start, ends / MICROSECONDS_PER_DAY, (months - months[:1]) // width, step
    width = _common(gaps) or MICROSECONDS_PER_DAY
    names = {MICROSECONDS_PER_DAY: Step.DAY, 7 * MICROSECONDS_PER_DAY: Step.WEEK}
    index = (micros - micros[:1]) // width
    return start, start + width / MICROSECONDS_PER_DAY, index, names.get(width, Step.NUMBER)


def _common(gaps: Integers) -> int:
    """Greatest common divisor, zero for none."""
    return int(np.gcd.reduce(gaps)) if len(gaps) else 0


def _whole_months(wall: pl.Series) -> Integers | None:
    """Months since year 0 where all dates fall on one day of the month, or on its last; else None."""
    days = wall.dt.day().to_numpy()
    if not (days == days[0]).all() and not (wall.dt.month_end() == wall).all():
        return None
    return (wall.dt.year().cast(pl.Int64) * 12 + wall.dt.month()).to_numpy().astype(np.int64)


def position(series: Series, instant: Instant) -> float:
    """Where *instant* lies on the axis of `Series.start`.

    A date is its midnight. An instant with a zone is compared in the series' zone where it has one, else by its
    own clock. Raises `UsageError` where the two cannot be compared.
    """
    if isinstance(instant, np.datetime64):
        instant = cast("dt.datetime", instant.astype("datetime64[us]").item())
    given: object = instant
    if not isinstance(given, dt.date | str | int | float | np.integer):
        msg = f"The change is {instant!r}. Give a date, an instant, or a number where the series counts in numbers."
        raise UsageError(msg)
    if isinstance(instant, str):
        instant = int(instant) if series.step is Step.YEAR and instant.strip().isdecimal() else _parse(instant)
    if isinstance(instant, int | float | np.integer):
        if series.step is Step.YEAR and series.is_calendar and 1 <= instant <= 9999 and instant == int(instant):
            return position(series, dt.date(int(instant), 1, 1))
        if series.is_calendar:
            msg = f"The series has dates, but the change is the number {instant}. Give a date or an instant."
            raise UsageError(msg)
        return float(instant)
    zone = series.dates.dtype.time_zone if isinstance(series.dates.dtype, pl.Datetime) else None
    if isinstance(instant, dt.datetime):
        clock = pl.Series([instant]).dt.convert_time_zone(zone)[0] if instant.tzinfo and zone else instant
        naive = cast("dt.datetime", clock).replace(tzinfo=None)
    else:
        naive = dt.datetime.combine(instant, dt.time())
    if series.is_calendar:
        return (naive - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1)  # noqa: DTZ001 - wall clock on both sides
    if series.step is Step.YEAR:
        return naive.year + (naive.timetuple().tm_yday - 1) / 366
    msg = f"The series counts in plain numbers, but the change is {naive.isoformat()}. Give its number."
    raise UsageError(msg)


def _parse(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is not an ISO date or instant. Write 2026-10-14 or 2026-10-14T09:00:00Z."
        raise UsageError(msg) from None


def split(series: Series, changed_at: Instant, ramp: dt.timedelta) -> tuple[Booleans, Booleans]:
    """Which buckets end before the change, and which start after the change and its *ramp*.

    A bucket that contains the change, or touches the ramp, belongs to neither.
    """
    if ramp < dt.timedelta(0):
        msg = f"The ramp is negative ({ramp}). It is the time after the change that is left out."
        raise UsageError(msg)
    if ramp and not series.is_calendar:
        msg = "A ramp needs dates: the series' 'date' column holds plain numbers."
        raise UsageError(msg)
    changed = position(series, changed_at)
    settled = changed + ramp / dt.timedelta(days=1)
    slack = 1e-9  # float days: midnight must equal midnight
    return series.end <= changed + slack, series.start >= settled - slack


def labels(flags: Iterable[str]) -> list[str]:
    """*flags* once each, in order of first appearance."""
    return list(dict.fromkeys(flags))
