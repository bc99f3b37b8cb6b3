"""Clocks of the user's own hosts, held against Twilio's: a log that is seconds off would reverse an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.attempts import OPERATIONS, SECOND
from flexkit.terms import Outcome, SignalKind, Source

if TYPE_CHECKING:
    from collections.abc import Collection

_REACH_US = 60 * SECOND
_NARROW_US = 8 * SECOND
"""Warnings tell a clock's error only up to here: a first attempt precedes its warning by about a retry's delay."""
_DAY_US = 86_400 * SECOND
_DAYS = range(-3, 4)
"""A day's offset is read from its week: clocks drift slowly."""
_BEARS = 4
"""Days that a row bears on, before and after: those of its week, and midnight may lie between two that are compared."""
_ENOUGH = 5
_TOLERATED_US = SECOND
"""An offset up to here is latency, not a wrong clock."""
# Typical latencies (measured in the simulator only): a close is written down a little after it was asked for.
_REQUEST_LEAD_US = 2 * SECOND // 5
_RECEIPT_LAG_US = 3 * SECOND // 10
_REQUESTS = tuple(name for name in OPERATIONS if name != SignalKind.STUDIO_STEP)
_LOGGED = pl.col("source") == Source.APP_LOG
_RECEIVED = pl.col("source") == Source.INTERACTIONS_WEBHOOK
_IS_CLOSING = (pl.col("kind") == SignalKind.CONVERSATION_CLOSED) & (pl.col("time_kind") == "event")
DAY = pl.col("occurred_us") // _DAY_US
"""The day of a row: whole days since 1970."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How far two kinds of clocks are off: ``day`` (whole days since 1970) and ``error_us``, where enough agree."""

    logs: pl.DataFrame
    receipts: pl.DataFrame


def timed(rows: pl.DataFrame) -> pl.DataFrame:
    """What `errors` needs of *rows*: a small part of them."""
    kinds = [*_REQUESTS, SignalKind.CONVERSATION_CLOSED, SignalKind.CHANNEL_CLOSED, SignalKind.WARNING]
    return rows.filter(pl.col("kind").is_in(kinds)).select(
        "ikey", "kind", "source", "outcome", "time_kind", "precision_us", "occurred_us"
    )


def days(rows: pl.DataFrame) -> pl.DataFrame:
    """The days of which *rows* would be moved, were a clock of that day off: ``ikey``, ``source``, ``day``."""
    return rows.filter(_LOGGED | _RECEIVED).select("ikey", "source", day=DAY).unique()


def errors(
    rows: pl.DataFrame,
    before: Errors | None = None,
    changed: Collection[int] = (),
    *,
    has_closings: bool | None = None,
) -> Errors:
    """How far the clocks of completion logs and of webhook receivers are off Twilio's, as *rows* (`timed`) show.

    Closed conversations, and alerts, carry Twilio's own time. Where a log's requests stand at one and the
    same distance from them, in at least five interactions of a week, that distance is the clock's error.
    Receipts are held against closed conversations, else against the (corrected) log.

    *before* are the errors of other rows, which may differ from all rows on the days *changed* only, not in whether
    they `holds_closings` (*has_closings*): only what those days can bear on is computed anew, from *rows* `near` them.
    """
    if has_closings is None:
        has_closings = holds_closings(rows.lazy())
    kind, source = pl.col("kind"), pl.col("source")
    middle = pl.col("occurred_us") + pl.col("precision_us").fill_null(0) // 2
    closings = rows.filter(_IS_CLOSING).select("ikey", known_us=middle)
    warnings = rows.filter(kind == SignalKind.WARNING).select("ikey", known_us=middle)
    asked = (source == Source.APP_LOG) & kind.is_in(_REQUESTS) & (pl.col("outcome").fill_null("") != Outcome.SKIPPED)
    known, reach = (closings, _REACH_US) if has_closings else (warnings, _NARROW_US)
    fresh = None if before is None else _around(changed, _BEARS)
    logs = _errors(rows.filter(asked), known, -_REQUEST_LEAD_US, reach, fresh)
    if before is not None:
        logs = _renewed(before.logs, logs, fresh)
    reference, lag = closings, _RECEIPT_LAG_US
    if not has_closings:
        closes = asked & (kind == SignalKind.CLOSE_CHANNEL_REQUESTED)
        moved = _moved(rows.filter(closes).with_columns(clock_error_us=pl.lit(0, dtype=pl.Int64)), _LOGGED, logs)
        reference = moved.select("ikey", known_us="occurred_us")
        lag = _RECEIPT_LAG_US + _REQUEST_LEAD_US
    received = _RECEIVED & (kind == SignalKind.CHANNEL_CLOSED)
    fresh = None if before is None else _around(changed, 2 * _BEARS)
    receipts = _errors(rows.filter(received), reference, lag, _REACH_US, fresh)
    if before is not None:
        receipts = _renewed(before.receipts, receipts, fresh)
    return Errors(logs, receipts)


def near(changed: Collection[int]) -> pl.Expr:
    """Whether a row bears on what is computed anew where rows of the days *changed* are others than before."""
    return DAY.is_in(_around(changed, 3 * _BEARS))


def holds_closings(rows: pl.LazyFrame) -> bool:
    """Whether enough closed conversations are among *rows* (`timed`) to hold clocks against them."""
    return rows.filter(_IS_CLOSING).select("ikey").head(_ENOUGH).collect().height >= _ENOUGH


def _renewed(before: pl.DataFrame, fresh: pl.DataFrame, days: Collection[int] | None) -> pl.DataFrame:
    return pl.concat([before.filter(~pl.col("day").is_in(days or ())), fresh])


def _around(days: Collection[int], reach: int) -> list[int]:
    return sorted({day + shift for day in days for shift in range(-reach, reach + 1)})


def corrected(rows: pl.DataFrame, off: Errors | None = None) -> pl.DataFrame:
    """*rows* with ``occurred_us`` of completion logs and webhook receipts moved onto Twilio's clock.

    *off* are the `errors`, else those that *rows* themselves show. What cannot be held against anything stays
    as it is; ``clock_error_us`` says what was taken off.
    """
    off = errors(timed(rows)) if off is None else off
    rows = rows.with_columns(clock_error_us=pl.lit(0, dtype=pl.Int64))
    return _moved(_moved(rows, _LOGGED, off.logs), _RECEIVED, off.receipts)


def _errors(
    timed: pl.DataFrame, known: pl.DataFrame, expected_us: int, reach_us: int, days: Collection[int] | None
) -> pl.DataFrame:
    """The clock's error on each day (``day``, ``error_us``; of *days*), where enough interactions agree on it."""
    apart = (
        timed.select("ikey", "occurred_us")
        .join(known, on="ikey")
        .with_columns(apart=pl.col("occurred_us") - pl.col("known_us") - expected_us)
        .filter(pl.col("apart").abs() <= reach_us)
        .select("ikey", "apart", day=DAY)
    )
    week = pl.concat([apart.with_columns(pl.col("day") + shift) for shift in _DAYS])
    if days is not None:
        week = week.filter(pl.col("day").is_in(days))
    # Two ways of cutting, so that no peak is split in the middle.
    half = SECOND // 2
    cuts = pl.concat(
        week.with_columns(centre=(pl.col("apart") + shift) // SECOND * SECOND - shift + half) for shift in (0, half)
    )
    peaks = (
        cuts.group_by("day", "centre")
        .agg(agree=pl.col("ikey").n_unique())
        .sort("day", "agree", pl.col("centre").abs(), descending=[False, True, False])
        .unique("day", keep="first", maintain_order=True)
    )
    total = week.group_by("day").agg(all=pl.col("ikey").n_unique())
    sure = peaks.join(total, on="day").filter(pl.col("agree") >= _ENOUGH, pl.col("agree") >= 0.3 * pl.col("all"))
    return (
        week.join(sure, on="day")
        .filter((pl.col("apart") - pl.col("centre")).abs() <= SECOND)
        .group_by("day")
        .agg(error_us=pl.col("apart").median().cast(pl.Int64))
        .filter(pl.col("error_us").abs() > _TOLERATED_US)
    )


def _moved(rows: pl.DataFrame, which: pl.Expr, errors: pl.DataFrame) -> pl.DataFrame:
    if errors.is_empty():
        return rows
    found = rows.with_columns(day_=DAY).join(
        errors.rename({"day": "day_"}), on="day_", how="left", maintain_order="left"
    )
    error = pl.when(which).then(pl.col("error_us")).fill_null(0)
    return found.with_columns(
        occurred_us=pl.col("occurred_us") - error, clock_error_us=pl.col("clock_error_us") + error
    ).drop("day_", "error_us")
