"""Conversations: state changes from webhooks and Event Streams, the only push with a time *and* a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import identity
from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, precision, sid_problem
from flexkit.tables.normalize.harvest import delivered
from flexkit.tables.redact import scrub
from flexkit.terms import SignalKind, Source, TimeKind

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

STATE_UPDATED = "onConversationStateUpdated"
_STREAM_STATE_UPDATED = "com.twilio.conversations.conversation-state.updated"

WEBHOOK_FIELDS = {
    "event_type": "EventType",
    "conversation_sid": "ConversationSid",
    "state_to": "StateTo",
    "t_updated": "StateUpdated",
    "why": "Reason",
}


def webhooks(rows: pl.DataFrame, harvest: Harvest) -> None:
    """Deliveries of a Conversations webhook; *rows* have `WEBHOOK_FIELDS` and the delivery.

    A state change has its own time; any other event keeps its name and the time of its receipt.
    """
    is_change = pl.col("event_type") == STATE_UPDATED
    changes = delivered(rows.filter(is_change), id_column="trigger_id")
    _keep_changes(changes, harvest)
    others = rows.filter(~is_change).with_columns(
        first_problem(sid_problem("conversation_sid", "CH", name="ConversationSid", required=True))
    )
    others = harvest.sift("signals", others)
    parts = ["received_at", "subscription", "event_name", "conversation_sid", "trigger_id"]
    others = others.with_columns(event_name=scrub(pl.col("event_type"), limit=80))
    harvest.keep_signals(
        others.with_columns(
            kind=pl.col("event_name"),
            identity=pl.format("conversations_webhook\x1f{}", identity(parts)),
            occurred_at=pl.col("received_at"),
            precision_us=pl.col("received_precision"),
            time_kind=pl.lit(TimeKind.RECEIPT.value),
            source=pl.lit(Source.CONVERSATIONS.value),
        )
    )


def stream_events(events: pl.DataFrame, harvest: Harvest) -> None:
    """Conversations events of Event Streams; Twilio's spelling of their fields differs between schema versions."""
    names = {
        "sid": ("ConversationSid", "conversationSid", "conversation_sid"),
        "to": ("StateTo", "stateTo", "state_to", "state"),
        "updated": ("StateUpdated", "stateUpdated", "state_updated"),
        "why": ("Reason", "reason"),
    }
    wanted = {
        f"{name}_{number}_{level}": f"data.{level}{spelling}"
        for name, spellings in names.items()
        for number, spelling in enumerate(spellings)
        for level in ("", "payload.")
    }
    rows = harvest.read(events, "signals", {"type": "type", "t_cloud": "time", "id": "id", **wanted})
    if rows.is_empty():
        return
    rows = rows.with_columns(
        pl.coalesce(*(column for column in wanted if column.startswith(f"{name}_"))).alias(target)
        for name, target in (
            ("sid", "conversation_sid"),
            ("to", "state_to"),
            ("updated", "t_updated"),
            ("why", "why"),
        )
    ).with_columns(
        t_updated=pl.coalesce("t_updated", "t_cloud"),
        subscription=pl.lit("event-streams"),
        cloud_id=harvest.redactor.identities(rows["id"].str.strip_chars()),
    )
    is_change = pl.col("type") == _STREAM_STATE_UPDATED
    rows = delivered(rows, id_column="cloud_id")
    _keep_changes(rows.filter(is_change).with_columns(event_type=pl.lit(STATE_UPDATED)), harvest)
    others = rows.filter(~is_change).with_columns(occurred_at=instant("t_cloud"), precision_us=precision("t_cloud"))
    others = others.with_columns(
        first_problem(sid_problem("conversation_sid", "CH"), instant_problem("t_cloud", "occurred_at", name="time"))
    )
    others = harvest.sift("signals", others).with_columns(
        event_name=scrub(pl.col("type").str.strip_prefix("com.twilio.conversations."), limit=80)
    )
    harvest.keep_signals(
        others.with_columns(
            kind=pl.col("event_name"),
            identity=pl.format("cloud_event\x1f{}", identity(["type", "id", "occurred_at", "conversation_sid"])),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.CONVERSATIONS.value),
        )
    )


def _keep_changes(rows: pl.DataFrame, harvest: Harvest) -> None:
    if rows.is_empty():
        return
    rows = rows.with_columns(occurred_at=instant("t_updated"), precision_us=precision("t_updated"))
    rows = rows.with_columns(
        first_problem(
            sid_problem("conversation_sid", "CH", name="ConversationSid", required=True),
            pl.when(pl.col("state_to").is_null()).then(pl.lit("StateTo is missing")),
            instant_problem("t_updated", "occurred_at", name="StateUpdated"),
        )
    )
    rows = harvest.sift("signals", rows)
    why = pl.col("why").str.to_uppercase()
    rows = rows.with_columns(
        state_to=scrub(pl.col("state_to").str.to_lowercase(), limit=40),
        reason=scrub(why, limit=40),
        actor_type=pl.when(why.is_in(["TIMER", "API"])).then(why.str.to_lowercase()),
        handler=why.replace_strict(
            ["TIMER", "API"], ["timer", "conversations-api"], default=None, return_dtype=pl.String
        ),
        # The webhook and the stream may say one change at different precision: the second identifies it.
        second=pl.col("occurred_at").dt.truncate("1s"),
    )
    closed = pl.when(pl.col("state_to") == "closed").then(pl.lit(SignalKind.CONVERSATION_CLOSED.value))
    harvest.keep_signals(
        rows.with_columns(
            kind=pl.coalesce(closed, pl.format("conversation_{}", "state_to")),
            identity=pl.format("conversation\x1f{}", identity(["conversation_sid", "state_to", "second"])),
            event_name=pl.lit(STATE_UPDATED),
            evidence_sid=pl.col("conversation_sid"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.CONVERSATIONS.value),
        )
    )
