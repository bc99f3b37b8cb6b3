"""Twilio's formats: each stream of evidence as the records that Twilio, or the centre's own code, would write.

The shapes follow Twilio's documentation and OpenAPI documents. Nobody has published a real 80906 alert,
so its fields differ from centre to centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.collect.simulate.observe import SOURCES, Stream
from flexkit.collect.simulate.template import column, compact, encoded, form, instant, number, optional, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.collect.simulate.identity import Identity
    from flexkit.terms import Source

_SIGNED_BY = {"User-Agent": "TwilioProxy/1.1"}
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_REASONS = {"task_completed_reason": optional("done"), "task_canceled_reason": optional("why")}
HOST = "https://hooks.example.com"


def _capture(url: str, body: str, *, received: str = "received") -> dict[str, object]:
    """One delivery as a receiver writes it down."""
    headers = {"Content-Type": _FORM, "I-Twilio-Idempotency-Token": column("token"), **_SIGNED_BY}
    return {"received_at": column(received), "method": "POST", "url": url, "headers": headers, "body": body}


def _where(frame: pl.DataFrame, branches: list[tuple[pl.Expr, pl.Expr]]) -> pl.Series:
    """The text of each row by the first branch whose condition holds."""
    # Only one branch holds for each row, so the first that is not null is its text.
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
        return text(_capture(column("url"), form({**common, **extra})))

    return _where(
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
    return _where(frame, [(pl.lit(value=True), text(_capture(f"{HOST}/conversations", form(fields))))])


def _attributes(*, inherits: bool) -> dict[str, object]:
    attributes: dict[str, object] = {
        "flexInteractionSid": column("interaction_sid"),
        "flexInteractionChannelSid": column("channel_sid"),
        "conversationSid": column("media_sid"),
        "channelType": column("channel_type"),
        "taskCreateSource": "interaction",
    }
    if inherits:
        name, phone = column("customer_name"), column("customer_phone")
        attributes |= {"direction": "inbound", "customerName": name, "from": phone, "customerAddress": phone}
    return attributes


def _payload(ids: Identity, *, answered: bool, inherits: bool) -> dict[str, object]:
    """What a TaskRouter event says about its task, in the spelling of REST and Event Streams."""
    payload: dict[str, object] = {
        "workspace_sid": ids.account.workspace,
        "task_sid": column("task_sid"),
        "task_assignment_status": column("state"),
        "task_age": column("age_text"),
        "task_attributes": compact(_attributes(inherits=inherits)),
        "task_channel_unique_name": column("channel_type"),
        "task_queue_sid": column("queue_sid"),
        "task_queue_name": column("queue_name"),
        "workflow_sid": ids.account.workflow,
    }
    if answered:
        payload |= {
            "worker_sid": column("worker_sid"),
            "worker_name": column("worker_name"),
            "reservation_sid": column("reservation_sid"),
        }
    return payload


def task_events_rest(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """TaskRouter events as ``GET /v1/Workspaces/{WS}/Events`` lists them."""
    frame = _task_columns(frame).with_columns(ms=pl.col("at_us") // 1_000, date=instant("at_us", fraction=False))

    def record(*, answered: bool, inherits: bool) -> pl.Expr:
        data = _payload(ids, answered=answered, inherits=inherits)
        return text(
            {
                "account_sid": ids.account.account,
                "actor_sid": optional("actor_sid"),
                "actor_type": optional("actor_type"),
                "description": column("description"),
                "event_data": data | _REASONS,
                "event_date": column("date"),
                "event_date_ms": number("ms"),
                "event_type": column("event"),
                "resource_sid": column("resource_sid"),
                "resource_type": column("resource_type"),
                "sid": column("event_sid"),
                "source": optional("via"),
                "source_ip_address": optional("source_ip"),
                "workspace_sid": ids.account.workspace,
            }
        )

    return _by_task(frame, record)


def task_events_stream(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """TaskRouter events as Event Streams sends them: CloudEvents 1.0, without the actor."""
    frame = _task_columns(frame).with_columns(time=instant("at_us"))

    def record(*, answered: bool, inherits: bool) -> pl.Expr:
        payload = _payload(ids, answered=answered, inherits=inherits) | {
            "eventtype": column("event"),
            "resource_type": column("resource_type"),
            "resource_sid": column("resource_sid"),
            **_REASONS,
        }
        return text(
            {
                "specversion": "1.0",
                "type": f"com.twilio.taskrouter.{column('event')}",
                "source": f"{ids.account.workspace}/{column('event')}",
                "id": column("event_sid"),
                "time": column("time"),
                "datacontenttype": "application/json",
                "dataschema": "https://events-schemas.twilio.com/TaskRouter.WDSEvent/4",
                "data": {
                    "sid": column("event_sid"),
                    "name": column("event"),
                    "account_sid": ids.account.account,
                    "timestamp": column("time"),
                    "level": "INFO",
                    "product_name": "TaskRouter",
                    "payload": payload,
                },
            }
        )

    return _by_task(frame, record)


def task_callbacks(frame: pl.DataFrame, ids: Identity) -> pl.Series:
    """TaskRouter events as the owner of terminal events receives them at the workspace's callback."""
    frame = frame.with_columns(
        received=instant("received_us"), seconds=(pl.col("at_us") // 1_000_000).cast(pl.String),
        ms=(pl.col("at_us") // 1_000).cast(pl.String), name_form=encoded(pl.col("customer_name")),
        phone_form=encoded(pl.col("customer_phone")),
    )  # fmt: skip
    attributes = _attributes(inherits=False) | {"customerName": column("name_form"), "from": column("phone_form")}
    fields = {
        "EventType": column("event"),
        "AccountSid": ids.account.account,
        "WorkspaceSid": ids.account.workspace,
        "ResourceType": "task",
        "ResourceSid": column("task_sid"),
        "Timestamp": column("seconds"),
        "TimestampMs": column("ms"),
        "Sid": column("event_sid"),
        "TaskSid": column("task_sid"),
        "TaskAssignmentStatus": column("state"),
        "TaskAttributes": compact(attributes),
        "TaskQueueSid": column("queue_sid"),
        "WorkflowSid": ids.account.workflow,
    }
    return _where(frame, [(pl.lit(value=True), text(_capture(f"{HOST}/taskrouter/events", form(fields))))])


def _task_columns(frame: pl.DataFrame) -> pl.DataFrame:
    is_task = ~pl.col("event").str.starts_with("reservation")
    return frame.with_columns(
        age_text=pl.col("age").cast(pl.String),
        resource_type=pl.col("event").str.split(".").list.first(),
        resource_sid=pl.when(is_task).then("task_sid").otherwise("reservation_sid"),
        description=pl.when(pl.col("worker_name").is_null())
        .then(pl.format("Task {}", pl.col("event").str.split(".").list.last()))
        .otherwise(
            pl.format("{} {} by {}", pl.col("event").str.split(".").list.first().str.to_titlecase(),
                      pl.col("event").str.split(".").list.last(), "worker_name")
        ),
        done=pl.when(pl.col("event") == "task.completed").then("reason"),
        why=pl.when(pl.col("event") == "task.canceled").then("reason"),
        is_answered=pl.col("reservation_sid").is_not_null() & (pl.col("event") != "task.created"),
    )  # fmt: skip


def _by_task(frame: pl.DataFrame, record: object) -> pl.Series:
    assert callable(record)  # noqa: S101 - a closure of this module
    return _where(
        frame,
        [
            (
                (pl.col("is_answered") == answered) & (pl.col("is_first") == inherits),
                record(answered=answered, inherits=inherits),
            )
            for answered in (True, False)
            for inherits in (True, False)
        ],
    )


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
    return _where(frame, [(pl.lit(value=True), text(line))])


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
    return _where(frame, [(pl.lit(value=True), text(record))])


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
    return _where(
        frame,
        [
            (pl.col("is_close"), record({"widgets": {column("left"): {"method": "POST", "url": place}}})),
            (pl.lit(value=True), record({"flow": {"channel": {"address": column("customer_phone")}}})),
        ],
    )


def whole_seconds(stream: Stream, truncated: frozenset[Source]) -> bool:
    """Whether *stream* writes no fractions of a second."""
    return SOURCES[stream] in truncated
