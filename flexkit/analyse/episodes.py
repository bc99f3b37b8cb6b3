"""Completed interactions, and the completions that came after an interaction was complete.

The one heavy pass: from all signals to one row per completed interaction and one per duplicate.
"""

from __future__ import annotations

import polars as pl

from flexkit.analyse import linking
from flexkit.analyse.affected import cases
from flexkit.analyse.attempts import SECOND
from flexkit.analyse.matching import SKEW_US
from flexkit.tables.schema import INSTANT, SIDS, SIGNALS
from flexkit.terms import Outcome, SignalKind

_CHANNEL_SHOWN = (SignalKind.CHANNEL_CLOSED.value, SignalKind.CONVERSATION_CLOSED.value)
_REQUESTS = (SignalKind.CLOSE_CHANNEL_REQUESTED.value, SignalKind.CLOSE_CONVERSATION_REQUESTED.value)
_TASK_ENDS = (
    SignalKind.TASK_COMPLETED.value,
    SignalKind.TASK_CANCELED.value,
    SignalKind.TASK_DELETED.value,
    "task.system-deleted",
    SignalKind.COMPLETE_REQUESTED.value,
)
_PARKS = (SignalKind.CHANNEL_INACTIVE.value, SignalKind.CLOSE_PARTICIPANT_REQUESTED.value)
_PARK_US = 60 * SECOND
"""A task that ends this soon after its agent was removed ended because of that: the channel is still open."""

NEEDED = ("interaction_sid", "occurred_at", "source", "kind")
"""Columns of `signals` that the analysis cannot do without."""

COMPLETIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_closed_at": INSTANT,
    "first_source": pl.String,
    "first_handler": pl.String,
    "signal_count": pl.Int64,
    "completion_count": pl.Int64,
}

DUPLICATES: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_closed_at": INSTANT,
    "first_source": pl.String,
    "first_handler": pl.String,
    "second_at": INSTANT,
    "second_source": pl.String,
    "second_handler": pl.String,
    "gap_seconds": pl.Float64,
    "alert_sids": SIDS,
    "evidence_kind": pl.String,
}


def completions(signals: pl.LazyFrame) -> pl.LazyFrame:
    """One row per completed interaction.

    ``first_closed_at`` is when it was first complete: its channel or conversation was seen or requested
    closed, else its last task ended, else (where only a warning tells) when the warning found it so.
    ``signal_count`` counts the signals that end it or show its end, ``completion_count`` its completion
    episodes: one, and one more for each duplicate. A task that ended because its agent was removed, while
    the channel stayed open, completes nothing.

    Raises `SchemaError` where a column of the contract is absent that cannot be done without.
    """
    known = linking.identified(linking.prepared(signals)).filter(pl.col("interaction_sid").is_not_null())
    kind, us = pl.col("kind"), pl.col("occurred_us")
    request = kind.is_in(_REQUESTS)
    closing = request | kind.is_in(_CHANNEL_SHOWN)
    park = kind.is_in(_PARKS)
    effective = ~pl.col("outcome").fill_null(Outcome.UNKNOWN.value).is_in([Outcome.REJECTED, Outcome.SKIPPED])
    ends = known.filter(closing | park | kind.is_in(_TASK_ENDS) | (kind == SignalKind.WARNING), effective).select(
        "interaction_sid",
        "channel_type",
        "source",
        "handler",
        us=us,
        request_us=pl.when(request).then(us),
        closing_us=pl.when(closing).then(us),
        task_us=pl.when(kind.is_in(_TASK_ENDS)).then(us),
        park_us=pl.when(park).then(us),
        counts=~park & (kind != SignalKind.WARNING),
    )
    per = ends.group_by("interaction_sid").agg(
        pl.col("channel_type").max(),
        pl.col("closing_us").min(),
        pl.col("request_us").min(),
        pl.col("task_us").max(),
        pl.col("park_us").max(),
        requester=pl.col("handler").sort_by("request_us", "handler", nulls_last=True).first(),
        request_source=pl.col("source").sort_by("request_us", "source", nulls_last=True).first(),
        closing_source=pl.col("source").sort_by("closing_us", "source", nulls_last=True).first(),
        task_source=pl.col("source").sort_by("task_us", "source", descending=True, nulls_last=True).first(),
        signal_count=pl.col("counts").sum().cast(pl.Int64),
    )
    parked = pl.col("closing_us").is_null() & (pl.col("task_us") <= pl.col("park_us") + _PARK_US).fill_null(value=False)
    by_request = (pl.col("request_us") <= pl.col("closing_us") + SKEW_US).fill_null(value=False)
    again = (
        cases(signals, None)
        .group_by("interaction_sid")
        .agg(pl.col("first_us").min(), warned_us=pl.col("second_us").min(), duplicates=pl.len())
    )
    return (
        per.join(again, on="interaction_sid", how="left")
        .with_columns(own_us=pl.when(~parked).then(pl.coalesce("closing_us", "task_us")))
        .with_columns(at_us=pl.coalesce(pl.min_horizontal("own_us", "first_us"), "warned_us"))
        .filter(pl.col("at_us").is_not_null(), (pl.col("signal_count") > 0) | pl.col("own_us").is_not_null())
        .select(
            "interaction_sid",
            "channel_type",
            first_closed_at=instant("at_us"),
            first_source=pl.when(by_request)
            .then("request_source")
            .when(pl.col("closing_us").is_not_null())
            .then("closing_source")
            .otherwise("task_source"),
            first_handler=pl.when(by_request).then("requester"),
            signal_count="signal_count",
            completion_count=1 + pl.col("duplicates").fill_null(0).cast(pl.Int64),
        )
        .cast(COMPLETIONS)  # type: ignore[arg-type]
    )


def duplicates(signals: pl.LazyFrame, alerts: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """One row per completion of an interaction that was already complete.

    Warned: an 80906 alert in *alerts*, or a warning among *signals*, belongs to the interaction.
    Inferred: a completing request went through on a complete interaction though no alert tells
    (`flexkit.analyse.pairing` has the conditions). ``evidence_kind`` is ``both`` where an alert tells and
    the second completion itself is among the signals. Attempts and alerts of one later trigger are one
    row; ``first_…`` is null where nothing tells who closed first. Alerts about Proxy, and alerts that
    name nothing that leads to an interaction, are no rows here; `flexkit.analyse.causes` keeps them.
    """
    SIGNALS.require(signals, *NEEDED)
    return cases(signals, alerts).select(
        "interaction_sid",
        "channel_type",
        instant("first_us").alias("first_closed_at"),
        "first_source",
        "first_handler",
        instant("second_us").alias("second_at"),
        "second_source",
        "second_handler",
        ((pl.col("second_us") - pl.col("first_us")).clip(0) / SECOND).alias("gap_seconds"),
        "alert_sids",
        "evidence_kind",
    )


def instant(column: str) -> pl.Expr:
    """*column*, microseconds since 1970 UTC, as an instant."""
    return pl.col(column).cast(INSTANT)
