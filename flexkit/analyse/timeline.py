"""One interaction as it happened: every signal of it in order, and the part that each plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import linking
from flexkit.analyse.affected import evidence_of
from flexkit.analyse.attempts import OPERATIONS
from flexkit.analyse.coverage import spans
from flexkit.analyse.handlers import named
from flexkit.terms import SignalKind, Source

if TYPE_CHECKING:
    import datetime as dt

FIRST, AGAIN, WARNED, SAME, OTHER = "first close", "duplicate", "warning", "same completion", "other"
ROLES = (FIRST, AGAIN, WARNED, SAME, OTHER)

TIMELINE: dict[str, pl.DataType | type[pl.DataType]] = {
    "occurred_at": pl.Datetime("us", "UTC"),
    "seconds": pl.Float64,
    "source": pl.String,
    "kind": pl.String,
    "role": pl.String,
    "handler": pl.String,
    "outcome": pl.String,
    "trigger_id": pl.String,
    "attempt": pl.Int64,
    "evidence_sid": pl.String,
    "time_kind": pl.String,
}
"""One row per signal. seconds: from the first close (from the first signal, where nothing closed it). role: the first
close, a duplicate, the warning about one, part of the cascade that one close sets off, or other. time_kind: receipt
times are the receiver's clock."""

_CASCADE = (
    SignalKind.CHANNEL_CLOSED.value,
    SignalKind.CLOSE_CHANNEL_REQUESTED.value,
    SignalKind.CLOSE_PARTICIPANT_REQUESTED.value,
    SignalKind.CLOSE_CONVERSATION_REQUESTED.value,
    SignalKind.COMPLETE_REQUESTED.value,
    SignalKind.CONVERSATION_CLOSED.value,
    SignalKind.RESERVATION_COMPLETED.value,
    SignalKind.RESERVATION_WRAPUP.value,
    SignalKind.TASK_CANCELED.value,
    SignalKind.TASK_COMPLETED.value,
    SignalKind.TASK_DELETED.value,
    SignalKind.TASK_WRAPUP.value,
    SignalKind.WARNING.value,
    SignalKind.WORKFLOW_TIMEOUT.value,
    SignalKind.PARTICIPANT_LEFT.value,
)
"""What one close sets off by design."""
_BLUR_US = 1_000_000
"""What one close sets off may carry a time this much before it: clocks differ."""


def timeline(
    signals: pl.LazyFrame,
    interaction_sid: str,
    *,
    alerts: pl.LazyFrame | None = None,
    causes: pl.DataFrame | None = None,
    handlers: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every signal of one interaction (columns `TIMELINE`), those included that name only its task or channel.

    *causes* (rows of that table) tell which signals are the first close and the duplicates, *handlers* is the map
    that names automations. Empty for an interaction of which nothing is held.
    """
    known = linking.prepared(signals)
    keys = pl.DataFrame({"interaction_sid": [interaction_sid]}).select(linking.key())
    rows = evidence_of(known.filter(pl.col("kind") != SignalKind.WARNING), keys)
    warned = linking.warnings(known, alerts).filter(interaction_sid=interaction_sid)
    both = pl.concat([rows, warned.select(rows.columns)])
    if handlers is not None and handlers.height:
        both = named(both.lazy(), handlers).collect()
    lines = both.sort("occurred_us", "ekey", "evidence_sid").with_columns(role=pl.lit(OTHER))
    own = causes.filter(interaction_sid=interaction_sid) if causes is not None else None
    lines = _with_roles(lines, own)
    zero = _zero(lines, own)
    return lines.with_columns(
        seconds=(pl.col("occurred_us") - zero) / 1e6 if zero is not None else pl.lit(0.0),
    ).select(pl.col(name).cast(dtype) for name, dtype in TIMELINE.items())


def _with_roles(lines: pl.DataFrame, causes: pl.DataFrame | None) -> pl.DataFrame:
    """*lines* with the part that each signal plays in *causes*, the rows of its interaction."""
    is_warning = pl.col("kind") == SignalKind.WARNING
    if causes is None or causes.is_empty():
        return lines.with_columns(role=pl.when(is_warning).then(pl.lit(WARNED)).otherwise("role"))
    firsts, seconds = _named(causes, "first_evidence_sid"), _named(causes, "second_evidence_sid")
    unseen = causes.filter(pl.col("second_evidence_sid").is_null())["alert_sids"].explode().drop_nulls()
    is_attempt = pl.col("kind").is_in(list(OPERATIONS))
    ends = pl.col("kind").is_in(_CASCADE)
    first_us = causes["first_closed_at"].dt.timestamp("us").min()
    after = pl.col("occurred_us") >= (pl.lit(first_us) - _BLUR_US) if first_us is not None else pl.lit(value=False)
    proves = pl.col("evidence_sid")
    return lines.with_columns(
        # A duplicate that only its warnings show stands where they stand.
        role=pl.when(is_warning & proves.is_in(unseen.implode()))
        .then(pl.lit(AGAIN))
        .when(is_warning)
        .then(pl.lit(WARNED))
        .when(proves.is_in(seconds))
        .then(pl.lit(AGAIN))
        .when(proves.is_in(firsts))
        .then(pl.lit(FIRST))
        .when(ends & ~is_attempt & after)
        .then(pl.lit(SAME))
        .otherwise("role")
    )


def _named(causes: pl.DataFrame, column: str) -> list[str]:
    return causes[column].drop_nulls().unique().to_list() if column in causes.columns else []


def _zero(lines: pl.DataFrame, causes: pl.DataFrame | None) -> int | None:
    """The instant from which seconds count, in microseconds."""
    first = lines.filter(pl.col("role") == FIRST)["occurred_us"].to_list()
    held = [] if causes is None else causes["first_closed_at"].dt.timestamp("us").drop_nulls().to_list()
    closed = lines.filter(pl.col("kind") == SignalKind.CHANNEL_CLOSED)["occurred_us"].to_list()
    return min(first or held or closed or lines["occurred_us"].to_list(), default=None)


def uncovered(coverage: pl.DataFrame | pl.LazyFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Spans around *lines* (a `timeline`) of which a source that was ever read holds nothing: source, start, end.

    In seconds as in *lines*. An absence there does not mean that nothing happened.
    """
    schema = {"source": pl.String, "start": pl.Float64, "end": pl.Float64}
    if lines.is_empty():
        return pl.DataFrame(schema=schema)
    zero, first, last = _ends(lines)
    rows = []
    held = spans(coverage.lazy().collect())
    for source in sorted(set(held["source"]) & {str(member) for member in Source}):
        reached = first
        for start, end in held.filter(source=source).sort("start_us").select("start_us", "end_us").iter_rows():
            if end <= reached:
                continue
            if start > reached:
                rows.append((source, (reached - zero) / 1e6, (min(start, last) - zero) / 1e6))
            reached = end
            if reached >= last:
                break
        if reached < last:
            rows.append((source, (reached - zero) / 1e6, (last - zero) / 1e6))
    found = pl.DataFrame(rows, schema=schema, orient="row")
    return found.filter(pl.col("end") > pl.col("start"))


def _ends(lines: pl.DataFrame) -> tuple[int, int, int]:
    """The zero of *lines*, and a minute before its first and after its last signal, in microseconds."""
    first: dt.datetime = lines["occurred_at"][0]
    start = int(first.timestamp() * 1e6)
    zero = start - round(float(lines["seconds"][0]) * 1e6)
    last = zero + round(float(lines["seconds"][-1]) * 1e6)
    return zero, start - 60_000_000, last + 60_000_000
