"""Twilio's formats: each stream of evidence as the records that Twilio, or the centre's own code, would write.

The shapes follow Twilio's documentation and OpenAPI documents. Nobody has published a real 80906 alert,
so its fields differ from centre to centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.collect.simulate.observe import SOURCES, Stream
from flexkit.collect.simulate.template import column, encoded, form, instant, number, optional, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.collect.simulate.identity import Identity
    from flexkit.terms import Source

_SIGNED_BY = {"User-Agent": "TwilioProxy/1.1"}
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
HOST = "https://hooks.example.com"


def capture(url: str, body: str) -> dict[str, object]:
    """One delivery as a receiver writes it down, at the time in column ``received``."""
    headers = {"Content-Type": _FORM, "I-Twilio-Idempotency-Token": column("token"), **_SIGNED_BY}
    return {"received_at": column("received"), "method": "POST", "url": url, "headers": headers, "body": body}


def by_case(frame: pl.DataFrame, branches: list[tuple[pl.Expr, pl.Expr]]) -> pl.Series:
    """The text of each row by the first of the *branches* whose condition holds."""
    chosen = [pl.when(condition).then(expression) for condition, expression in branches]
    return frame.select(pl.coalesce(chosen).alias("record")).to_series()


def interactions_webhooks(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """Captured deliveries of the Interactions webhooks."""
    frame = frame.with_columns(received=instant("at_us"), url=pl.lit(HOST) + pl.col("path"))
    common = {
        "EventType": column("event"),
        "AccountSid": ids.account.account,
        "InstanceSid": ids.account.instance,
        "InteractionSid": column("interaction_sid"),
        "ChannelSid": column("channel_sid"),
        "MediaChannelSid": column("media_sid"),
        "MediaChannelType": column("channel_type"),
    }
    who = {"ParticipantSid": column("participant_sid"), "ParticipantType": column("participant_type")}

    def record(extra: Mapping[str, str]) -> pl.Expr:
        return text(capture(column("url"), form({**common, **extra})))

    return by_case(
        frame,
        [
            (pl.col("status").is_not_null(), record({"ChannelStatus": column("status")})),
            (pl.col("task_sid").is_not_null(), record({**who, "TaskSid": column("task_sid")})),
            (pl.lit(value=True), record(who)),
        ],
    )


def conversations_webhooks(frame: pl.DataFrame, ids: Identity, *, fraction: bool) -> pl.Series:
    """Captured deliveries of the Conversations webhook."""
    frame = frame.with_columns(received=instant("received_us"), changed=encoded(instant("at_us", fraction=fraction)))
    fields = {
        "EventType": "onConversationStateUpdated",
        "AccountSid": ids.account.account,
        "ChatServiceSid": ids.account.chat_service,
        "ConversationSid": column("conversation_sid"),
        "StateFrom": "active",
        "StateTo": "closed",
        "StateUpdated": column("changed"),
        "Reason": column("reason"),
        "Source": "API",
        "RetryCount": "0",
    }
    return by_case(frame, [(pl.lit(value=True), text(capture(f"{HOST}/conversations", form(fields))))])


def completion_log(frame: pl.DataFrame, *, fraction: bool) -> pl.Series:
    """flexkit's own small format, as handlers write it."""
    at = instant("at_us", fraction=fraction)
    frame = frame.with_columns(at=pl.when("is_naive").then(at.str.strip_suffix("Z")).otherwise(at))
    line = {
        "at": column("at"),
        "interaction_sid": optional("interaction_sid"),
        "channel_sid": optional("channel_sid"),
        "operation": column("operation"),
        "handler": column("handler"),
        "trigger_id": optional("trigger_id"),
        "status_before": optional("status_before"),
        "outcome": optional("outcome"),
        "intent": optional("intent"),
        "http_status": number("http_status"),
    }
    return by_case(frame, [(pl.lit(value=True), text(line))])


def executions(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """Studio executions as REST lists them, with the context that a single fetch adds."""
    frame = frame.with_columns(
        created=instant("at_us", fraction=False), updated=instant("ended_us", fraction=False),
        version=pl.col("flow_version").cast(pl.String),
    )  # fmt: skip
    sids = {"interactionSid": column("interaction_sid"), "channelSid": column("channel_sid")}
    record = {
        "sid": column("execution_sid"),
        "account_sid": ids.account.account,
        "flow_sid": ids.account.after_task_flow,
        "flow_version": number("version"),
        "contact_channel_address": column("customer_phone"),
        "contact_sid": column("contact_sid"),
        "status": "ended",
        "initiated_by": column("initiated_by"),
        "context": {"trigger": {"request": {"parameters": sids}}, "contact": {"channel": column("customer_phone")}},
        "date_created": column("created"),
        "date_updated": column("updated"),
    }
    return by_case(frame, [(pl.lit(value=True), text(record))])


def steps(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """Studio steps as REST lists them; the closing widget's context names the channel that it closed."""
    frame = frame.with_columns(created=instant("at_us", fraction=False))

    def record(context: object) -> pl.Expr:
        return text(
            {
                "sid": column("step_sid"),
                "account_sid": ids.account.account,
                "flow_sid": ids.account.after_task_flow,
                "execution_sid": column("execution_sid"),
                "name": column("name"),
                "context": context,
                "transitioned_from": column("left"),
                "transitioned_to": column("entered"),
                "date_created": column("created"),
                "date_updated": None,
            }
        )

    place = f"https://flex-api.twilio.com/v1/Interactions/{column('interaction_sid')}/Channels/{column('channel_sid')}"
    return by_case(
        frame,
        [
            (pl.col("is_close"), record({"widgets": {column("left"): {"method": "POST", "url": place}}})),
            (pl.lit(value=True), record({"flow": {"channel": {"address": column("customer_phone")}}})),
        ],
    )


def whole_seconds(stream: Stream, truncated: frozenset[Source]) -> bool:
    """Whether *stream* writes no fractions of a second."""
    return SOURCES[stream] in truncated
