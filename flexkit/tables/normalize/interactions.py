"""Interactions webhooks: channel status, participants. They carry no time, no event id and no actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import identity
from flexkit.tables.normalize.checks import first_problem, sid, sid_problem
from flexkit.tables.redact import scrub
from flexkit.terms import SignalKind, Source, TimeKind

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

EVENTS = {
    "onInteractionCreated": None,
    "onChannelCreated": None,
    "onChannelCreateFailed": SignalKind.CHANNEL_FAILED,
    "onChannelStatusUpdated": None,
    "onParticipantJoined": SignalKind.PARTICIPANT_JOINED,
    "onParticipantLeft": SignalKind.PARTICIPANT_LEFT,
    "onParticipantUpdated": None,
}
"""Documented events and their kind; the others keep their own name, and a status becomes the kind."""

STATUSES = ("setup", "active", "failed", "closed", "inactive", "pause", "transfer")

WEBHOOK_FIELDS = {
    "event_type": "EventType",
    "interaction_sid": "InteractionSid",
    "channel_sid": "ChannelSid",
    "participant_sid": "ParticipantSid",
    "participant_type": "ParticipantType",
    "task_sid": "TaskSid",
    "media_sid": "MediaChannelSid",
    "media_type": "MediaChannelType",
    "instance_sid": "InstanceSid",
    "flex_instance_sid": "FlexInstanceSid",
    "status": "ChannelStatus",
    "error_code": "ErrorCode",
    "error_message": "ErrorMessage",
}


def webhooks(rows: pl.DataFrame, harvest: Harvest) -> None:
    """Deliveries of an Interactions webhook; *rows* have `WEBHOOK_FIELDS` and the delivery.

    Every delivery is a signal, timed by the receiver's clock: which deliveries show one event (a retry,
    a second subscription) is for the analysis to say.
    """
    event = pl.col("event_type")
    rows = rows.with_columns(instance=pl.coalesce("instance_sid", "flex_instance_sid"))
    anything = pl.any_horizontal(
        pl.col("interaction_sid", "channel_sid", "participant_sid", "task_sid", "media_sid").is_not_null()
    )
    # Twilio documents InteractionSid for every event but a failed creation.
    needed = event.is_in([name for name in EVENTS if name != "onChannelCreateFailed"])
    rows = rows.with_columns(
        first_problem(
            pl.when(event.is_null()).then(pl.lit("EventType is missing")),
            pl.when(needed).then(sid_problem("interaction_sid", "KD", name="InteractionSid", required=True)),
            sid_problem("interaction_sid", "KD", name="InteractionSid"),
            sid_problem("channel_sid", "UO", name="ChannelSid"),
            sid_problem("participant_sid", "UT", name="ParticipantSid"),
            sid_problem("task_sid", "WT", name="TaskSid"),
            sid_problem("media_sid", "[A-Za-z]{2}", name="MediaChannelSid"),
            sid_problem("instance", "GO", name="InstanceSid"),
            pl.when(~anything).then(pl.lit("no SID: neither InteractionSid nor ChannelSid is there")),
            pl.when((event == "onChannelStatusUpdated") & pl.col("status").is_null()).then(
                pl.lit("ChannelStatus is missing")
            ),
        )
    )
    rows = harvest.sift("signals", rows)
    if rows.is_empty():
        return
    rows = rows.with_columns(
        event_name=scrub(event, limit=80),
        status=scrub(pl.col("status").str.to_lowercase(), limit=40),
        participant_type=scrub(pl.col("participant_type").str.to_lowercase(), limit=40),
        channel_type=scrub(pl.col("media_type").str.to_lowercase(), limit=40),
        conversation_sid=sid("media_sid", "CH"),
    )
    kinds = {name: str(kind) for name, kind in EVENTS.items() if kind}
    named = event.replace_strict(list(kinds), list(kinds.values()), default=None, return_dtype=pl.String)
    by_status = pl.when(event == "onChannelStatusUpdated").then(pl.format("channel_{}", "status"))
    parts = ["received_at", "subscription", "event_name", "interaction_sid", "channel_sid", "participant_sid"]
    parts += ["task_sid", "status", "media_sid", "trigger_id"]
    harvest.keep_signals(
        rows.with_columns(
            kind=pl.coalesce(by_status, named, "event_name"),
            identity=pl.format("interactions_webhook\x1f{}", identity(parts)),
            occurred_at=pl.col("received_at"),
            precision_us=pl.col("received_precision"),
            time_kind=pl.lit(TimeKind.RECEIPT.value),
            source=pl.lit(Source.INTERACTIONS_WEBHOOK.value),
            actor_type=pl.when(event.str.starts_with("onParticipant")).then("participant_type"),
            reason=scrub(pl.coalesce("error_message", "error_code")),
        )
    )
    harvest.keep("participants", rows.filter(pl.col("participant_sid").is_not_null()))
