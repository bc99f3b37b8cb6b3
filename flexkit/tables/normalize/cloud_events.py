"""Event Streams: CloudEvents 1.0 envelopes, routed by their type to the product that sent them."""

from __future__ import annotations

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
            route(found.select(*EVIDENCE), harvest)
