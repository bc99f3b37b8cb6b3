"""TaskRouter events in the three ways in which Twilio gives them: REST list, Event Streams, event callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import polars as pl

from flexkit.collect.simulate.formats import HOST, by_case, capture
from flexkit.collect.simulate.template import column, compact, encoded, form, instant, number, optional, text

if TYPE_CHECKING:
    from flexkit.collect.simulate.identity import Identity

_REASONS = {"task_completed_reason": optional("done"), "task_canceled_reason": optional("why")}


class _Record(Protocol):
    """Makes the text of a task event, with or without an agent, with or without the customer's attributes."""

    def __call__(self, *, answered: bool, inherits: bool) -> pl.Expr: ...


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


def rest(frame: pl.DataFrame, ids: Identity) -> pl.Series:
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


def stream(frame: pl.DataFrame, ids: Identity) -> pl.Series:
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


def callback(frame: pl.DataFrame, ids: Identity) -> pl.Series:
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
    return by_case(frame, [(pl.lit(value=True), text(capture(f"{HOST}/taskrouter/events", form(fields))))])


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


def _by_task(frame: pl.DataFrame, record: _Record) -> pl.Series:
    return by_case(
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
