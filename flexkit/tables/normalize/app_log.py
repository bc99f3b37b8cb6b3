"""The completion log: what a user's own handlers wrote down when they closed or completed something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import identity
from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, precision, sid_problem
from flexkit.tables.redact import scrub
from flexkit.terms import Outcome, SignalKind, Source, TimeKind

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

OPERATIONS = {
    "close_channel": SignalKind.CLOSE_CHANNEL_REQUESTED,
    "close_participant": SignalKind.CLOSE_PARTICIPANT_REQUESTED,
    "complete_task": SignalKind.COMPLETE_REQUESTED,
    "close_conversation": SignalKind.CLOSE_CONVERSATION_REQUESTED,
}

_WANTED = {
    "at": "at",
    "interaction_sid": "interaction_sid",
    "channel_sid": "channel_sid",
    "task_sid": "task_sid",
    "conversation_sid": "conversation_sid",
    "channel_type": "channel_type",
    "operation": "operation",
    "logged_handler": "handler",
    "logged_trigger": "trigger_id",
    "logged_attempt": "attempt",
    "status_before": "status_before",
    "logged_outcome": "outcome",
    "intent": "intent",
    "logged_status": "http_status",
    "flow_sid": "flow_sid",
    "widget": "widget",
    "logged_reason": "reason",
}


def completions(records: pl.DataFrame, harvest: Harvest) -> None:
    """Lines of a completion log as signals: one per attempt."""
    rows = harvest.read(records, "signals", _WANTED)
    if rows.is_empty():
        return
    rows = rows.with_columns(
        occurred_at=instant("at"),
        precision_us=precision("at"),
        attempt=pl.col("logged_attempt").cast(pl.Int64, strict=False),
        http_status=pl.col("logged_status").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
    )
    sids = {"interaction_sid": "KD", "channel_sid": "UO", "task_sid": "WT", "conversation_sid": "CH", "flow_sid": "FW"}
    named = pl.any_horizontal(pl.col("interaction_sid", "channel_sid", "task_sid", "conversation_sid").is_not_null())
    rows = rows.with_columns(
        first_problem(
            instant_problem("at", "occurred_at", name="at"),
            pl.when(pl.col("operation").is_null()).then(
                pl.lit(f"operation is missing: write one of {', '.join(OPERATIONS)}")
            ),
            *(sid_problem(name, prefix) for name, prefix in sids.items()),
            pl.when(~named).then(
                pl.lit("no SID: a line needs an interaction_sid, channel_sid, task_sid or conversation_sid")
            ),
        )
    )
    rows = harvest.sift("signals", rows)
    if rows.is_empty():
        return
    rows = rows.with_columns(
        trigger_id=harvest.redactor.identities(rows["logged_trigger"].str.strip_chars()),
        handler=harvest.redactor.names(rows["logged_handler"]),
        status_before=scrub(pl.col("status_before").str.to_lowercase(), limit=40),
        intent=scrub(pl.col("intent").str.to_lowercase(), limit=40),
        reason=scrub(pl.col("logged_reason")),
        widget=scrub(pl.col("widget"), limit=120),
        channel_type=scrub(pl.col("channel_type").str.to_lowercase(), limit=40),
        event_name=scrub(pl.col("operation").str.to_lowercase(), limit=80),
        outcome=_outcome(),
    )
    kind = pl.col("event_name").replace_strict(
        list(OPERATIONS), [str(kind) for kind in OPERATIONS.values()], default=None, return_dtype=pl.String
    )
    parts = ["occurred_at", *sids, "event_name", "handler", "trigger_id", "attempt", "status_before", "outcome"]
    parts += ["intent", "http_status"]
    harvest.keep_signals(
        rows.with_columns(
            kind=pl.coalesce(kind, "event_name"),
            identity=pl.format("app_log\x1f{}", identity(parts)),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.APP_LOG.value),
            actor_type=pl.lit("automation"),
        )
    )


def _outcome() -> pl.Expr:
    """The outcome as logged, else by the HTTP status: 2xx was accepted, anything else was rejected."""
    logged, status = pl.col("logged_outcome").str.to_lowercase(), pl.col("http_status")
    return scrub(
        pl.when(logged.is_not_null())
        .then(logged)
        .when(status.is_between(200, 299))
        .then(pl.lit(Outcome.ACCEPTED.value))
        .when(status.is_not_null())
        .then(pl.lit(Outcome.REJECTED.value))
        .otherwise(pl.lit(Outcome.UNKNOWN.value)),
        limit=40,
    )
