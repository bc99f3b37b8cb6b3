"""Records as Twilio gives them, for tests: one small interaction, and ways to change it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from urllib.parse import urlencode

import polars as pl

from flexkit.tables.normalize import RECORDS, RecordKind, normalize
from flexkit.tables.redact import Redactor

NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
REDACTOR = Redactor(b"a key for tests")


def sid(prefix: str, number: int = 1) -> str:
    """A well-formed SID."""
    return f"{prefix}{number:032x}"


def attributes(number: int = 1, **more: Any) -> str:
    """A task's attributes as Flex writes them, with the personal data that they carry."""
    return json.dumps(
        {
            "flexInteractionSid": sid("KD", number),
            "flexInteractionChannelSid": sid("UO", number),
            "channelType": "web",
            "conversations": {"conversation_id": sid("WT", number), "media": [{"sid": sid("CH", number)}]},
            "customerName": "Jane Doe",
            "customerAddress": "+15551234567",
            "from": "jane.doe@example.com",
            **more,
        }
    )


def task_event(number: int = 1, event: str = "task.completed", **more: Any) -> dict[str, Any]:
    """A TaskRouter event as REST gives it."""
    return {
        "account_sid": sid("AC"),
        "actor_sid": sid("WK"),
        "actor_type": "worker",
        "actor_url": None,
        "description": "Task completed by Jane Doe",
        "event_data": {
            "task_attributes": attributes(number),
            "task_sid": sid("WT", number),
            "reservation_sid": sid("WR", number),
            "worker_sid": sid("WK"),
            "worker_name": "agent.jane",
            "task_completed_reason": "solved, call +1 (555) 123-4567",
        },
        "event_date": "2026-10-01T10:00:00Z",
        "event_date_ms": 1_790_848_800_123,
        "event_type": event,
        "resource_sid": sid("WT", number),
        "resource_type": "task",
        "sid": sid("EV", number),
        "source": "twilio",
        "source_ip_address": "203.0.113.9",
        "workspace_sid": sid("WS"),
        **more,
    }


def cloud_event(number: int = 1, event: str = "task.completed", **payload: Any) -> dict[str, Any]:
    """The same event as Event Streams gives it."""
    return {
        "specversion": "1.0",
        "type": f"com.twilio.taskrouter.{event}",
        "source": "/2010-04-01/Accounts/AC/TaskRouter",
        "id": sid("EV", number),
        "time": "2026-10-01T10:00:00.123Z",
        "datacontenttype": "application/json",
        "data": {
            "sid": sid("EV", number),
            "timestamp": "2026-10-01T10:00:00.123Z",
            "product_name": "TaskRouter",
            "payload": {
                "eventtype": event,
                "timestamp": "1790848800",
                "task_sid": sid("WT", number),
                "task_attributes": attributes(number),
                **payload,
            },
        },
    }


def delivery(fields: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """A captured webhook delivery."""
    return {
        "received_at": "2026-10-01T10:00:01.250Z",
        "method": "POST",
        "url": "https://user:pass@hooks.example.com/flex?secret=1",
        "headers": {"I-Twilio-Idempotency-Token": "token-1", "User-Agent": "TwilioProxy/1.1"},
        "body": fields if isinstance(fields, str) else urlencode(fields),
        **more,
    }


def callback(number: int = 1, event: str = "task.completed", **more: Any) -> dict[str, Any]:
    """The same event as the workspace's event callback gives it."""
    fields = {
        "Sid": sid("EV", number),
        "EventType": event,
        "WorkspaceSid": sid("WS"),
        "WorkspaceName": "Flex",
        "ResourceType": "task",
        "ResourceSid": sid("WT", number),
        "Timestamp": "1790848800",
        "TaskSid": sid("WT", number),
        "TaskAttributes": attributes(number),
        "WorkerName": "agent.jane",
    }
    return delivery({**fields, **more})


def channel_closed(number: int = 1, **more: Any) -> dict[str, Any]:
    """The fields of an Interactions webhook."""
    return {
        "EventType": "onChannelStatusUpdated",
        "AccountSid": sid("AC"),
        "InstanceSid": sid("GO"),
        "InteractionSid": sid("KD", number),
        "ChannelSid": sid("UO", number),
        "MediaChannelSid": sid("CH", number),
        "MediaChannelType": "web",
        "ChannelStatus": "closed",
        **more,
    }


def alert(number: int = 1, **more: Any) -> dict[str, Any]:
    """An 80906 alert as the list of Monitor gives it."""
    return {
        "sid": sid("NO", number),
        "account_sid": sid("AC"),
        "error_code": "80906",
        "log_level": "warning",
        "alert_text": "Msg=Received+interaction+completion+event&ErrorCode=80906&phonenumber=%2B15551234567",
        "date_generated": "2026-10-01T10:00:05Z",
        "date_created": "2026-10-01T10:00:09Z",
        "resource_sid": sid("KD", number),
        "service_sid": None,
        "request_method": None,
        "request_url": None,
        **more,
    }


def error_log(number: int = 1, **more: Any) -> dict[str, Any]:
    """The same alert as an error log of Event Streams."""
    return {
        "specversion": "1.0",
        "type": "com.twilio.error-logs.error.logged",
        "source": "/error-logs",
        "id": f"log-{number}",
        "time": "2026-10-01T10:00:05Z",
        "data": {
            "sid": sid("NO", number),
            "error_code": 80906,
            "level": "WARNING",
            "date_created": "2026-10-01T10:00:05Z",
            "product_name": "Flex",
            "payload": json.dumps({"resource_sid": sid("KD", number), "error_code": "80906"}),
            **more,
        },
    }


def debugger(number: int = 1, **more: Any) -> dict[str, Any]:
    """The same alert as the Debugger webhook gives it."""
    payload = {
        "resource_sid": sid("KD", number),
        "service_sid": None,
        "error_code": "80906",
        "more_info": {"Msg": "Received interaction completion event", "LogLevel": "WARNING"},
        **more,
    }
    return delivery(
        {
            "Sid": sid("NO", number),
            "AccountSid": sid("AC"),
            "Timestamp": "2026-10-01T10:00:05Z",
            "Level": "WARNING",
            "PayloadType": "application/json",
            "Payload": json.dumps(payload),
        }
    )


def conversation_closed(number: int = 1, **more: Any) -> dict[str, Any]:
    """The fields of a Conversations webhook."""
    return {
        "EventType": "onConversationStateUpdated",
        "ConversationSid": sid("CH", number),
        "StateFrom": "active",
        "StateTo": "closed",
        "StateUpdated": "2026-10-01T10:00:00.500Z",
        "Reason": "TIMER",
        **more,
    }


def completion(**more: Any) -> dict[str, Any]:
    """One line of a completion log."""
    return {
        "at": "2026-10-01T09:59:59.900Z",
        "interaction_sid": sid("KD"),
        "operation": "close_channel",
        "handler": "close-fn",
        "trigger_id": "job-1",
        **more,
    }


def interaction(number: int = 1, **more: Any) -> dict[str, Any]:
    """An Interaction as REST gives it."""
    properties = {
        "sid": sid("WT", number),
        "workspace_sid": sid("WS"),
        "workflow_sid": sid("WW"),
        "queue_sid": sid("WQ"),
        "assignment_status": "completed",
        "date_created": 1_790_848_000,
        "attributes": attributes(number),
    }
    return {
        "sid": sid("KD", number),
        "channel": {"type": "web", "sid": sid("UO", number)},
        "routing": {"reservation": None, "properties": properties},
        "url": "https://flex-api.twilio.com/v1/Interactions/KD",
        **more,
    }


def records(*items: tuple[RecordKind, Any], seen_at: dt.datetime = NOW) -> pl.DataFrame:
    """*items* as records, each from its own line of a file."""
    rows = [
        (kind, record if isinstance(record, str) else json.dumps(record), seen_at, f"file.jsonl:{line}")
        for line, (kind, record) in enumerate(items, start=1)
    ]
    return pl.DataFrame(rows, schema=RECORDS, orient="row")


def tables(*items: tuple[RecordKind, Any], seen_at: dt.datetime = NOW) -> dict[str, pl.DataFrame]:
    """The tables made of *items*."""
    return normalize(records(*items, seen_at=seen_at), redactor=REDACTOR, now=NOW)


def one(kind: RecordKind, record: Any, table: str = "signals") -> dict[str, Any]:
    """The only row that *record* gives in *table*."""
    made = tables((kind, record))
    assert "rejects" not in made, made["rejects"]["reason"].to_list()
    assert made[table].height == 1
    return made[table].row(0, named=True)


def refused(kind: RecordKind, record: Any) -> str:
    """Why *record* is refused; it leaves nothing but a reject."""
    made = tables((kind, record))
    assert set(made) == {"rejects"}, {name: rows.height for name, rows in made.items()}
    assert made["rejects"].height == 1
    return str(made["rejects"]["reason"][0])
