"""Captured webhook deliveries: what was posted to a receiver, told apart by what it says.

A delivery is parsed from text once (a request is no table); everything after that is columnar.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

import polars as pl

from flexkit.tables.normalize import alerts, conversations, interactions, taskrouter
from flexkit.tables.normalize.checks import PROBLEM, first_problem, instant, instant_problem, precision
from flexkit.tables.normalize.harvest import EVIDENCE, WHERE
from flexkit.tables.redact import endpoints, scrub

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

_DELIVERY = ("received_text", "url", "token", "user_agent", "family", "problem")
_PARAMETERS: dict[str, Mapping[str, str]] = {
    "interactions": interactions.WEBHOOK_FIELDS,
    "taskrouter": taskrouter.CALLBACK_FIELDS,
    "conversations": conversations.WEBHOOK_FIELDS,
    "debugger": alerts.DEBUGGER_FIELDS,
}

UNKNOWN_DELIVERY = (
    "not a delivery of an Interactions, TaskRouter, Conversations or Debugger webhook, nor of an Event Streams sink"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One captured request, parsed: its headers (lower-case names), its parameters, or the events in its body."""

    received_at: str | None
    url: str
    headers: dict[str, str]
    parameters: dict[str, str]
    events: list[str]
    problem: str | None = None


def parse_delivery(record: str) -> Delivery:
    """The delivery in *record*; its ``problem`` says what cannot be read."""
    try:
        captured = _loaded(record)
    except (ValueError, RecursionError):
        captured = None
    if not isinstance(captured, dict):
        return Delivery(None, "", {}, {}, [], "a delivery must be one JSON object")
    url = captured.get("url")
    url = url if isinstance(url, str) else ""
    received = captured.get("received_at")
    received = None if received is None else str(received)
    headers = _headers(captured.get("headers"))
    try:
        parameters = form(urlsplit(url).query)
    except ValueError:
        return Delivery(received, "", headers, {}, [], "url is malformed")
    content, problem = _content(captured.get("body"))
    events: list[str] = []
    if isinstance(content, list) or "specversion" in content:
        found = content if isinstance(content, list) else [content]
        if all(isinstance(event, dict) and "specversion" in event for event in found):
            events = [json.dumps(event, ensure_ascii=False) for event in found]
        else:
            problem = problem or "body is a JSON array, but not of CloudEvents"
    else:
        parameters |= {name: _text(value) for name, value in content.items() if value is not None}
    return Delivery(received, url, headers, parameters, events, problem)


def _loaded(text: str) -> Any:
    """The JSON value of *text*; half a surrogate pair, which no table can hold, becomes a question mark."""
    value = json.loads(text)
    if "\\ud" not in text.lower():
        return value
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _headers(headers: object) -> dict[str, str]:
    """Headers by lower-case name, whether captured as an object or as pairs."""
    if isinstance(headers, Mapping):
        pairs: list[tuple[object, object]] = list(headers.items())
    elif isinstance(headers, list):
        pairs = [(pair[0], pair[1]) for pair in headers if isinstance(pair, list) and len(pair) == 2]
    else:
        pairs = []
    return {str(name).lower(): _text(value[0] if isinstance(value, list) and value else value) for name, value in pairs}


def _content(body: Any) -> tuple[dict[str, Any] | list[Any], str | None]:
    if body is None or body == "":
        return {}, None
    if isinstance(body, dict | list):
        return body, None
    if not isinstance(body, str):
        return {}, "body is neither text nor an object"
    text = body.strip()
    if text[:1] in ("{", "["):
        try:
            loaded = _loaded(text)
        except (ValueError, RecursionError):
            return {}, "body begins like JSON but is not: the capture may have cut it off"
        return (loaded, None) if isinstance(loaded, dict | list) else ({}, "body is not an object")
    return form(text), None


def form(text: str) -> dict[str, str]:
    """The fields of form-encoded *text*; of a repeated field the last.

    A quarter of the time of `urllib.parse.parse_qsl`, because most values of these forms are SIDs and
    words that need no decoding.
    """
    fields: dict[str, str] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if "%" in name or "+" in name:
            name = unquote_plus(name)
        if name:
            fields[name] = unquote_plus(value) if "%" in value or "+" in value else value
    return fields


def _text(value: object) -> str:
    return value if type(value) is str else json.dumps(value, ensure_ascii=False)


def _family(delivery: Delivery) -> str:
    """Which product sent a delivery, by its parameters; the product's own names are the evidence."""
    said = delivery.parameters
    event = said.get("EventType", "")
    if delivery.events:
        return "events"
    if "Payload" in said and ("PayloadType" in said or said.get("Sid", "").startswith("NO")):
        return "debugger"
    if event in interactions.EVENTS or "InteractionSid" in said or "FlexInstanceSid" in said or "InstanceSid" in said:
        return "interactions"
    if "ConversationSid" in said and event.startswith("on"):
        return "conversations"
    if "WorkspaceSid" in said or "." in event:
        return "taskrouter"
    return ""


def deliveries(records: pl.DataFrame, harvest: Harvest) -> pl.DataFrame:
    """Normalize captured deliveries; the CloudEvents that sinks received are handed back as records."""
    parsed = [parse_delivery(record) for record in records["record"].fill_null("").to_list()]
    families = [_family(delivery) for delivery in parsed]
    told = [
        (
            delivery.received_at,
            delivery.url,
            delivery.headers.get("i-twilio-idempotency-token"),
            delivery.headers.get("user-agent"),
            family,
            delivery.problem or (None if family else UNKNOWN_DELIVERY),
        )
        for delivery, family in zip(parsed, families, strict=True)
    ]
    rows = records.select(*EVIDENCE).hstack(
        pl.DataFrame(told, schema=dict.fromkeys(_DELIVERY, pl.String), orient="row")
    )
    rows = _delivered(rows.with_row_index("row"), harvest)
    for family, wanted in _PARAMETERS.items():
        found = rows.filter(pl.col("family") == family)
        if found.is_empty():
            continue
        sources = list(wanted.values())
        values = [[parsed[row].parameters.get(source) for source in sources] for row in found["row"].to_list()]
        read = pl.DataFrame(values, schema=dict.fromkeys(wanted, pl.String), orient="row")
        read = read.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)))
        _NORMALIZERS[family](found.hstack(read), harvest)
    return _events(rows.filter(pl.col("family") == "events"), parsed)


_NORMALIZERS = {
    "interactions": interactions.webhooks,
    "taskrouter": taskrouter.callback_events,
    "conversations": conversations.webhooks,
    "debugger": alerts.webhook_alerts,
}


def _delivered(rows: pl.DataFrame, harvest: Harvest) -> pl.DataFrame:
    """Deliveries whose receipt is known, with what every family needs of them."""
    rows = rows.with_columns(
        horizon=harvest.horizon(),
        received_at=instant("received_text"),
        received_precision=precision("received_text"),
        subscription=endpoints(rows["url"]),
        trigger_id=harvest.redactor.identities(rows["token"].str.strip_chars()),
        user_agent=scrub(pl.col("user_agent"), limit=120),
    )
    rows = rows.with_columns(
        first_problem(pl.col(PROBLEM), instant_problem("received_text", "received_at", name="received_at"))
    )
    return harvest.sift("signals", rows)


def _events(rows: pl.DataFrame, parsed: list[Delivery]) -> pl.DataFrame:
    listed = pl.Series("record", [parsed[row].events for row in rows["row"].to_list()], dtype=pl.List(pl.String))
    return (
        rows.select(pl.lit("cloud_event").alias("kind"), "seen_at", WHERE)
        .with_columns(listed)
        .explode("record")
        .select(*EVIDENCE)
    )
