"""Event Streams: CloudEvents 1.0 envelopes, routed by their type to the product that sent them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.normalize import alerts, conversations, studio, taskrouter
from flexkit.tables.normalize.checks import PROBLEM
from flexkit.tables.normalize.decode import IS_OBJECT, fields
from flexkit.tables.normalize.harvest import EVIDENCE, NOT_AN_OBJECT

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

ERROR_LOGGED = "com.twilio.error-logs.error.logged"

_ROUTES = {
    "taskrouter": taskrouter.stream_events,
    "error-logs": alerts.stream_alerts,
    "conversations": conversations.stream_events,
    "studio": studio.stream_events,
}


def cloud_events(records: pl.DataFrame, harvest: Harvest) -> None:
    """Normalize CloudEvents; one of a product that flexkit does not use is a reject that says so."""
    read = fields(records["record"], {"type": "type", "specversion": "specversion"})
    product = pl.col("type").str.extract(r"^com\.twilio\.([a-z0-9-]+)\.")
    rows = records.hstack(read).with_columns(product=product)
    rows = rows.with_columns(
        pl.when(~pl.col(IS_OBJECT))
        .then(pl.lit(NOT_AN_OBJECT))
        .when(pl.col("type").is_null())
        .then(pl.lit("type is missing: not a CloudEvent"))
        .when(~pl.col("product").is_in(list(_ROUTES)).fill_null(value=False))
        .then(
            pl.format(
                "event type '{}' is of no product that flexkit reads (TaskRouter, Conversations, Studio, error logs)",
                pl.col("type").str.slice(0, 80),
            )
        )
        .alias(PROBLEM)
    )
    rows = harvest.sift("signals", rows)
    for name, route in _ROUTES.items():
        found = rows.filter(pl.col("product") == name)
        if not found.is_empty():
            # Error logs carry their payload as JSON text and are read that way.
            plain = found if name == "error-logs" else found.with_columns(_unwrapped(found["record"]))
            route(plain.select(*EVIDENCE), harvest)


def _unwrapped(records: pl.Series) -> pl.Series:
    """*records* whose payload is JSON text with the payload as an object instead."""
    wrapped = records.str.contains(r'"payload"\s*:\s*"\{').fill_null(value=False)
    if not wrapped.any():
        return records
    plain = [_with_payload(record) if is_text else record for record, is_text in zip(records, wrapped, strict=True)]
    return pl.Series(records.name, plain, dtype=pl.String)


def _with_payload(record: str) -> str:
    try:
        event = json.loads(record)
        payload = json.loads(event["data"]["payload"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return record
    return json.dumps({**event, "data": {**event["data"], "payload": payload}})
