"""Clocks of the user's own hosts, held against Twilio's: a log that is seconds off would reverse an order."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from flexkit.analyse.attempts import OPERATIONS, SECOND
from flexkit.terms import Outcome, SignalKind, Source

_REACH_US = 60 * SECOND
_NARROW_US = 8 * SECOND
"""Warnings tell a clock's error only up to here: a first attempt precedes its warning by about a retry's delay."""
_DAY_US = 86_400 * SECOND
_DAYS = range(-3, 4)
"""A day's offset is read from its week: clocks drift slowly."""
_ENOUGH = 5
_TOLERATED_US = SECOND
"""An offset up to here is latency, not a wrong clock."""
# Typical latencies (measured in the simulator only): a close is written down a little after it was asked for.
_REQUEST_LEAD_US = 2 * SECOND // 5
_RECEIPT_LAG_US = 3 * SECOND // 10
_REQUESTS = tuple(name for name in OPERATIONS if name != SignalKind.STUDIO_STEP)
_LOGGED = pl.col("source") == Source.APP_LOG


@dataclass(frozen=True, slots=True)
class Errors:
    """How far two kinds of clocks are off: ``day`` (whole days since 1970) and ``error_us``, where enough agree."""

    logs: pl.DataFrame
    receipts: pl.DataFrame


def timed(rows: pl.DataFrame) -> pl.DataFrame:
    """What `errors` needs of *rows*: a small part of them."""
    kinds = [*_REQUESTS, SignalKind.CONVERSATION_CLOSED, SignalKind.CHANNEL_CLOSED, SignalKind.WARNING]
    return rows.filter(pl.col("kind").is_in(kinds)).select(
        "interaction_sid", "kind", "source", "outcome", "time_kind", "precision_us", "occurred_us"
    )


def errors(rows: pl.DataFrame) -> Errors:
    """How far the clocks of completion logs and of webhook receivers are off Twilio's, as *rows* (`timed`) show.

    Closed conversations, and alerts, carry Twilio's own time. Where a log's requests stand at one and the
    same distance from them, in at least five interactions of a week, that distance is the clock's error.
    Receipts are held against closed conversations, else against the (corrected) log.
    """
    kind, source = pl.col("kind"), pl.col("source")
    middle = pl.col("occurred_us") + pl.col("precision_us").fill_null(0) // 2
    closed = (kind == SignalKind.CONVERSATION_CLOSED) & (pl.col("time_kind") == "event")
    closings = rows.filter(closed).select("interaction_sid", known_us=middle)
    warnings = rows.filter(kind == SignalKind.WARNING).select("interaction_sid", known_us=middle)
    has_closings = closings.height >= _ENOUGH
    asked = (source == Source.APP_LOG) & kind.is_in(_REQUESTS) & (pl.col("outcome").fill_null("") != Outcome.SKIPPED)
    known, reach = (closings, _REACH_US) if has_closings else (warnings, _NARROW_US)
    logs = _errors(rows.filter(asked), known, -_REQUEST_LEAD_US, reach)
    received = (source == Source.INTERACTIONS_WEBHOOK) & (kind == SignalKind.CHANNEL_CLOSED)
    reference, lag = closings, _RECEIPT_LAG_US
    if not has_closings:
        closes = asked & (kind == SignalKind.CLOSE_CHANNEL_REQUESTED)
        moved = _moved(rows.filter(closes).with_columns(clock_error_us=pl.lit(0, dtype=pl.Int64)), _LOGGED, logs)
        reference = moved.select("interaction_sid", known_us="occurred_us")
        lag = _RECEIPT_LAG_US + _REQUEST_LEAD_US
    return Errors(logs, _errors(rows.filter(received), reference, lag, _REACH_US))


def corrected(rows: pl.DataFrame, off: Errors | None = None) -> pl.DataFrame:
    """*rows* with ``occurred_us`` of completion logs and webhook receipts moved onto Twilio's clock.

    *off* are the `errors`, else those that *rows* themselves show. What cannot be held against anything stays
    as it is; ``clock_error_us`` says what was taken off.
    """
    off = errors(timed(rows)) if off is None else off
    rows = rows.with_columns(clock_error_us=pl.lit(0, dtype=pl.Int64))
    return _moved(_moved(rows, _LOGGED, off.logs), pl.col("source") == Source.INTERACTIONS_WEBHOOK, off.receipts)


def _errors(timed: pl.DataFrame, known: pl.DataFrame, expected_us: int, reach_us: int) -> pl.DataFrame:
    """The clock's error on each day (``day``, ``error_us``), where enough interactions agree on it."""
    apart = (
        timed.select("interaction_sid", "occurred_us")
        .join(known, on="interaction_sid")
        .with_columns(apart=pl.col("occurred_us") - pl.col("known_us") - expected_us)
        .filter(pl.col("apart").abs() <= reach_us)
        .with_columns(day=pl.col("occurred_us") // _DAY_US)
    )
    week = pl.concat([apart.with_columns(pl.col("day") + shift) for shift in _DAYS])
    # Two ways of cutting, so that no peak is split in the middle.
    half = SECOND // 2
    cuts = pl.concat(
        week.with_columns(centre=(pl.col("apart") + shift) // SECOND * SECOND - shift + half) for shift in (0, half)
    )
    peaks = (
        cuts.group_by("day", "centre")
        .agg(agree=pl.col("interaction_sid").n_unique())
        .sort("day", "agree", pl.col("centre").abs(), descending=[False, True, False])
        .unique("day", keep="first", maintain_order=True)
    )
    total = week.group_by("day").agg(all=pl.col("interaction_sid").n_unique())
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
    found = rows.with_columns(day_=pl.col("occurred_us") // _DAY_US).join(
        errors.rename({"day": "day_"}), on="day_", how="left", maintain_order="left"
    )
    error = pl.when(which).then(pl.col("error_us")).fill_null(0)
    return found.with_columns(
        occurred_us=pl.col("occurred_us") - error, clock_error_us=pl.col("clock_error_us") + error
    ).drop("day_", "error_us")
