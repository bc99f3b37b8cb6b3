"""Recorded attempts to complete an interaction, and what set each of them off.

Works on the rows of affected interactions only: small frames, read into memory.
"""

from __future__ import annotations

import polars as pl

from flexkit.terms import Outcome, SignalKind

SECOND = 1_000_000
"""Microseconds in a second: all times here are integers."""

OPERATIONS = {
    SignalKind.CLOSE_CHANNEL_REQUESTED.value: "close_channel",
    SignalKind.COMPLETE_REQUESTED.value: "complete_task",
    SignalKind.CLOSE_CONVERSATION_REQUESTED.value: "close_conversation",
    SignalKind.STUDIO_STEP.value: "studio_step",
}
"""Signals that are an attempt to complete, and the name of what was attempted."""

TERMINAL_TASK_KINDS = (
    SignalKind.WORKFLOW_TIMEOUT.value,
    SignalKind.TASK_CANCELED.value,
    SignalKind.TASK_DELETED.value,
    "task.system-deleted",
    SignalKind.TASK_WRAPUP.value,
    SignalKind.TASK_COMPLETED.value,
    SignalKind.RESERVATION_WRAPUP.value,
    SignalKind.RESERVATION_COMPLETED.value,
)
"""TaskRouter events that say a task is ending or over: what uncoordinated automations react to."""

UNSERVED_KINDS = TERMINAL_TASK_KINDS[:4]
"""Terminal events of a task that no agent finished."""

# A widget that can close says so in its name, where no flow definition tells.
_CLOSING_WIDGET = r"(?i)clos|end|complet|finish|terminat|hang|resolv|wrap"


def attempts(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per recorded attempt in *rows*, oldest first in each interaction, with its trigger resolved.

    Adds ``attempt_id``, ``operation``, ``went_through`` (neither rejected nor skipped), and of the event
    that set it off, where that event was seen: ``trigger_key`` (the TaskRouter event's own SID, so that
    two deliveries of one event have one key; else the trigger as logged), ``trigger_kind``,
    ``trigger_us``. The same line seen twice is one attempt, and so are a Studio step and the line that
    the function it ran has logged under the execution's SID.
    """
    is_step = pl.col("kind") == SignalKind.STUDIO_STEP
    says_close = pl.coalesce("widget", "event_name").str.contains(_CLOSING_WIDGET).fill_null(value=True)
    found = (
        rows.filter(pl.col("kind").is_in(list(OPERATIONS)) & (~is_step | says_close))
        .sort("interaction_sid", "occurred_us", "ekey", "signal_id", nulls_last=True)
        .unique(
            ["interaction_sid", "source", "kind", "handler", "trigger_id", "occurred_us", "task_sid", "outcome"],
            keep="first",
            maintain_order=True,
        )
    )
    logged = found.filter(~is_step, pl.col("trigger_id").is_not_null()).select("interaction_sid", "trigger_id")
    run_by_step = found.filter(is_step).join(
        logged.unique(), on=["interaction_sid", "trigger_id"], how="anti", maintain_order="left"
    )
    outcome = pl.col("outcome").fill_null(Outcome.UNKNOWN.value)
    return (
        pl.concat([found.filter(~is_step), run_by_step])
        .sort("interaction_sid", "occurred_us", "ekey", "signal_id", nulls_last=True)
        .join(_events(rows), on=["interaction_sid", "trigger_id"], how="left", maintain_order="left")
        .with_row_index("attempt_id")
        .with_columns(
            operation=pl.col("kind").replace_strict(OPERATIONS, return_dtype=pl.String),
            outcome=outcome,
            went_through=~outcome.is_in([Outcome.REJECTED, Outcome.SKIPPED]),
            trigger_key=pl.when(pl.col("event_sid").str.starts_with("EV")).then("event_sid").otherwise("trigger_id"),
        )
    )


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    """What a trigger id may name: an event by its own SID, or by the token of its delivery."""
    events = rows.filter(~pl.col("kind").is_in([*OPERATIONS, SignalKind.WARNING.value])).select(
        "interaction_sid",
        "evidence_sid",
        "trigger_id",
        event_sid=pl.col("evidence_sid"),
        trigger_kind=pl.col("kind"),
        trigger_us=pl.col("occurred_us"),
        rank=(~pl.col("kind").is_in(TERMINAL_TASK_KINDS)).cast(pl.Int8),
    )
    by_sid = events.drop("trigger_id").rename({"evidence_sid": "trigger_id"})
    by_token = events.drop("evidence_sid").with_columns(rank=pl.col("rank") + 2)
    return (
        pl.concat([by_sid, by_token.select(by_sid.columns)])
        .drop_nulls("trigger_id")
        .sort("rank", "trigger_us")
        .unique(["interaction_sid", "trigger_id"], keep="first", maintain_order=True)
        .drop("rank")
    )
