"""What a JSON value is: recognised by what it holds, never by the name of its file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flexkit.tables.normalize import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNRECOGNISED = (
    "not recognised: neither a captured webhook, a CloudEvent, a Twilio resource or list of them, "
    "nor a line of a completion log"
)

# Lists that Twilio's resources come in, and what their items are where no SID tells.
LISTS: Mapping[str, RecordKind] = {
    "alerts": RecordKind.ALERT,
    "events": RecordKind.TASK_EVENT,
    "interactions": RecordKind.INTERACTION,
    "channels": RecordKind.CHANNEL,
    "participants": RecordKind.PARTICIPANT,
    "invites": RecordKind.INVITE,
    "conversations": RecordKind.CONVERSATION,
    "executions": RecordKind.EXECUTION,
    "steps": RecordKind.STEP,
    "flows": RecordKind.FLOW,
    "workspaces": RecordKind.WORKSPACE,
    "data": RecordKind.WEBHOOK_CONFIG,
    "subscriptions": RecordKind.SUBSCRIPTION,
    "sinks": RecordKind.SINK,
}
_BY_PREFIX: Mapping[str, RecordKind] = {
    "NO": RecordKind.ALERT,
    "EV": RecordKind.TASK_EVENT,
    "AE": RecordKind.AUDIT_EVENT,
    "KD": RecordKind.INTERACTION,
    "UO": RecordKind.CHANNEL,
    "UT": RecordKind.PARTICIPANT,
    "KG": RecordKind.INVITE,
    "CH": RecordKind.CONVERSATION,
    "FN": RecordKind.EXECUTION,
    "FT": RecordKind.STEP,
    "FW": RecordKind.FLOW,
    "WS": RecordKind.WORKSPACE,
    "DF": RecordKind.SUBSCRIPTION,
    "DG": RecordKind.SINK,
}
# Envelopes of deliveries, events and log lines; a field that no resource has.
_ENVELOPES: tuple[tuple[frozenset[str], RecordKind], ...] = (
    (frozenset({"specversion"}), RecordKind.CLOUD_EVENT),
    (frozenset({"received_at"}), RecordKind.WEBHOOK),
    (frozenset({"headers", "body"}), RecordKind.WEBHOOK),
    (frozenset({"headers", "method"}), RecordKind.WEBHOOK),
    (frozenset({"operation"}), RecordKind.COMPLETION),
    (frozenset({"at", "handler"}), RecordKind.COMPLETION),
    (frozenset({"ttid"}), RecordKind.WEBHOOK_CONFIG),
)
_OWN_IDENTITY = frozenset({"sid", "specversion", "received_at", "operation", "ttid"})
# Fields that only one resource has, for records whose SID is missing or broken.
_BY_FIELDS: tuple[tuple[frozenset[str], RecordKind], ...] = (
    (frozenset({"alert_text"}), RecordKind.ALERT),
    (frozenset({"error_code", "log_level"}), RecordKind.ALERT),
    (frozenset({"event_type", "workspace_sid"}), RecordKind.TASK_EVENT),
    (frozenset({"event_type", "event_date_ms"}), RecordKind.TASK_EVENT),
    (frozenset({"event_type", "event_date"}), RecordKind.AUDIT_EVENT),
    (frozenset({"taskrouter_workspace_sid", "flex_service_instance_sid"}), RecordKind.FLEX_CONFIGURATION),
    (frozenset({"flex_instance_sid", "account_sid", "runtime_domain"}), RecordKind.FLEX_CONFIGURATION),
    (frozenset({"transitioned_to", "execution_sid"}), RecordKind.STEP),
    (frozenset({"flow_sid", "contact_sid", "initiated_by"}), RecordKind.EXECUTION),
    (frozenset({"channel", "routing"}), RecordKind.INTERACTION),
    (frozenset({"interaction_sid", "routing"}), RecordKind.INVITE),
    (frozenset({"interaction_sid", "routing_properties"}), RecordKind.PARTICIPANT),
    (frozenset({"interaction_sid", "status", "type"}), RecordKind.CHANNEL),
)

FAMILIES: Mapping[str, str] = {
    RecordKind.WEBHOOK: "webhooks",
    RecordKind.CLOUD_EVENT: "event_streams",
    RecordKind.COMPLETION: "completion_log",
}
"""Kind of file by kind of record; every other kind is a Twilio REST resource."""


def recognise(value: Any, text: str | None = None) -> Iterator[tuple[str | None, str]]:
    """Kind and JSON text of each record in *value*; kind is null where nothing is recognised.

    *text* is the JSON text of *value* where it is at hand.
    """
    if isinstance(value, list):
        for item in value:
            yield from recognise(item)
        return
    if isinstance(value, dict):
        if (listed := _listed(value)) is not None:
            kind, items = listed
            for item in items:
                yield _kind(item, kind) if isinstance(item, dict) else None, _text(item)
            return
        yield _kind(value, None), text if text is not None else _text(value)
        return
    yield None, text if text is not None else _text(value)


def _listed(value: Mapping[str, Any]) -> tuple[RecordKind, list[Any]] | None:
    """The items of a list response and what they are, if *value* is one."""
    # A resource may have a list among its fields; a list response has no identity of its own.
    if not _OWN_IDENTITY.isdisjoint(value):
        return None
    meta = value.get("meta")
    key = meta.get("key") if isinstance(meta, dict) else None
    names = [key] if isinstance(key, str) and key in LISTS else list(LISTS)
    found = [name for name in names if isinstance(value.get(name), list)]
    if len(found) != 1:
        return None
    return LISTS[found[0]], value[found[0]]


def _kind(value: Mapping[str, Any], listed: RecordKind | None) -> str | None:
    """What one object is: by the envelope that it has, by its SID, by the list it came in, by its fields."""
    names = value.keys()
    for fields, kind in _ENVELOPES:
        if fields <= names:
            return kind
    sid = value.get("sid")
    prefix = sid[:2] if isinstance(sid, str) else ""
    if "resource" in names and "status" in names and "url" not in names and prefix:
        return RecordKind.TOMBSTONE
    if (by_prefix := _BY_PREFIX.get(prefix, listed)) is not None:
        return by_prefix
    return next((kind for fields, kind in _BY_FIELDS if fields <= names), None)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
