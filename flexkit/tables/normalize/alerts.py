"""Debugger alerts, in the four ways that Twilio gives them: list, single fetch, webhook, Event Streams error log.

Nobody has published a real 80906 alert, so no shape is taken for granted: every text of a record is
searched for SIDs, and the product is judged by the kind of SIDs that are found.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import polars as pl

from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, precision, sid_problem
from flexkit.tables.normalize.decode import fields
from flexkit.tables.redact import endpoints, scrub
from flexkit.tables.schema import INSTANT
from flexkit.terms import Origin, SignalKind, Source, TimeKind

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

NOT_OPEN = "80906"
"""Warning "Interaction Not Open"."""

_FLEX = "KD|UO|UT|KG|UX|HQ|GO"
_PROXY = "KI|KC|KS|KP"

_LEVELS = {"warn": "warning", "err": "error", "information": "info"}


def rest_alerts(records: pl.DataFrame, harvest: Harvest) -> None:
    """Alerts of ``GET /v1/Alerts`` and ``GET /v1/Alerts/{NO}``."""
    wanted = {
        "alert_sid": "sid",
        "error_code": "error_code",
        "level": "log_level",
        "t_generated": "date_generated",
        "t_created": "date_created",
        "resource": "resource_sid",
        "service": "service_sid",
        "text": "alert_text",
        "request_method": "request_method",
        "request_url": "request_url",
        "d_variables": "request_variables",
        "d_body": "response_body",
        "d_headers": "response_headers",
    }
    rows = harvest.read(records, "alerts", wanted)
    detail = pl.any_horizontal(pl.col("d_variables", "d_body", "d_headers").is_not_null())
    # A single fetch has these fields even where they are empty; a list never has them.
    named = pl.col("record").str.contains(r'"response_(?:body|headers)"\s*:')
    _keep(rows.with_columns(has_detail=detail | named, product=pl.lit(None, pl.String)), harvest)


def stream_alerts(events: pl.DataFrame, harvest: Harvest) -> None:
    """Error logs of Event Streams (``com.twilio.error-logs.error.logged``); their payload is JSON text."""
    wanted = {
        "alert_sid": "data.sid",
        "error_code": "data.error_code",
        "level": "data.level",
        "t_generated": "data.date_created",
        "t_cloud": "time",
        "service": "data.service_sid",
        "resource": "data.resource_sid",
        "product": "data.product_name",
        "payload": "data.payload",
    }
    rows = harvest.read(events, "alerts", wanted)
    rows = rows.hstack(_payload(rows["payload"]), in_place=False)
    rows = rows.with_columns(
        t_generated=pl.coalesce("t_generated", "t_cloud"),
        resource=pl.coalesce("resource", "p_resource"),
        service=pl.coalesce("service", "p_service"),
        error_code=pl.coalesce("error_code", "p_code"),
        t_created=pl.lit(None, pl.String),
        has_detail=pl.lit(value=True),
    )
    _keep(rows, harvest)


DEBUGGER_FIELDS = {
    "alert_sid": "Sid",
    "t_generated": "Timestamp",
    "level": "Level",
    "payload": "Payload",
}


def webhook_alerts(rows: pl.DataFrame, harvest: Harvest) -> None:
    """Alerts posted to a Debugger webhook; *rows* have `DEBUGGER_FIELDS` and the delivery."""
    rows = rows.hstack(_payload(rows["payload"]))
    rows = rows.with_columns(
        resource=pl.col("p_resource"),
        service=pl.col("p_service"),
        error_code=pl.col("p_code"),
        t_created=pl.lit(None, pl.String),
        product=pl.lit(None, pl.String),
        has_detail=pl.lit(value=True),
    )
    _keep(rows, harvest)


def _payload(payload: pl.Series) -> pl.DataFrame:
    """What pushed alerts say in their payload (JSON text)."""
    paths = {
        "p_resource": "resource_sid",
        "p_service": "service_sid",
        "p_code": "error_code",
        "p_more": "more_info",
        "p_more_code": "more_info.ErrorCode",
        "p_method": "webhook.request.method",
        "p_url": "webhook.request.url",
    }
    read = fields(payload, paths).drop("is_object")
    return read.select(
        "p_resource",
        "p_service",
        pl.coalesce("p_code", "p_more_code").alias("p_code"),
        pl.coalesce("p_more", pl.when(payload.str.starts_with("{").not_()).then(payload)).alias("text"),
        pl.col("p_method").alias("request_method"),
        pl.col("p_url").alias("request_url"),
    )


def _keep(rows: pl.DataFrame, harvest: Harvest) -> None:
    if rows.is_empty():
        return
    if "received_at" not in rows.columns:
        rows = rows.with_columns(received_at=pl.lit(None, INSTANT))
    # date_created may lag; where date_generated is absent it is the best there is.
    rows = rows.with_columns(time_text=pl.coalesce("t_generated", "t_created"))
    rows = rows.with_columns(
        occurred_at=instant("time_text"),
        precision_us=precision("time_text"),
        created_at=instant("t_created"),
    )
    rows = rows.with_columns(
        first_problem(
            sid_problem("alert_sid", "NO|no", name="sid", required=True),
            instant_problem("time_text", "occurred_at", name="date_generated"),
            pl.when(pl.col("error_code").is_null()).then(pl.lit("error_code is missing")),
            sid_problem("resource", "[A-Za-z]{2}", name="resource_sid").fill_null(
                sid_problem("service", "[A-Za-z]{2}", name="service_sid")
            ),
        )
    )
    rows = harvest.sift("alerts", rows)
    if rows.is_empty():
        return
    level = pl.col("level").str.to_lowercase()
    rows = rows.with_columns(
        generated_at=pl.col("occurred_at"),
        error_code=scrub(pl.col("error_code"), limit=20),
        log_level=scrub(level.replace(_LEVELS), limit=20),
        resource_sid=pl.col("resource"),
        service_sid=pl.col("service"),
        request_method=scrub(pl.col("request_method").str.to_uppercase(), limit=10),
        request_path=endpoints(rows["request_url"]),
        product=scrub(pl.col("product"), limit=80),
        message=_messages(rows["text"]),
        interaction_sid=_found("KD"),
        channel_sid=_found("UO"),
        task_sid=_found("WT"),
        conversation_sid=_found("CH"),
    ).with_columns(message=scrub(pl.col("message")), origin=_origin())
    harvest.keep("alerts", rows)
    harvest.keep_signals(
        rows.filter(pl.col("error_code") == NOT_OPEN).with_columns(
            signal_id=pl.format("{}/warning", "alert_sid"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.DEBUGGER.value),
            kind=pl.lit(SignalKind.WARNING.value),
            evidence_sid=pl.col("alert_sid"),
            event_name=pl.col("error_code"),
            reason=pl.col("message"),
        )
    )


def _found(prefix: str) -> pl.Expr:
    """A SID with *prefix* from anywhere in the record, the resource that the alert names first.

    SIDs of two different resources of one kind name none.
    """
    everywhere = pl.col("record").str.extract_all(
        rf"\b(?:%[0-9A-F]{{2}})?{prefix}[0-9a-fA-F]{{32}}\b|{prefix}[0-9a-fA-F]{{32}}\b"
    )
    ids = everywhere.list.eval(pl.element().str.slice(-34)).list.unique()
    named = pl.when(pl.col("resource").str.starts_with(prefix)).then("resource")
    return named.fill_null(pl.when(ids.list.len() == 1).then(ids.list.first()))


def _origin() -> pl.Expr:
    """The product that an alert is about: by the resource it names, then its product, then any SID in it."""
    flex, proxy, unknown = (pl.lit(origin.value) for origin in (Origin.FLEX, Origin.PROXY, Origin.UNDETERMINED))
    named = pl.coalesce(
        pl.when(pl.col("resource").str.contains(f"^(?:{_PROXY})")).then(proxy),
        pl.when(pl.col("resource").str.contains(f"^(?:{_FLEX})")).then(flex),
        pl.when(pl.col("service").str.contains(f"^(?:{_PROXY})")).then(proxy),
        pl.when(pl.col("product").str.to_lowercase().str.contains("proxy")).then(proxy),
        pl.when(pl.col("product").str.to_lowercase().str.contains("flex|interactions")).then(flex),
    )
    has_flex = pl.col("record").str.contains(f"(?:{_FLEX})[0-9a-fA-F]{{32}}")
    has_proxy = pl.col("record").str.contains(f"(?:{_PROXY})[0-9a-fA-F]{{32}}")
    return named.fill_null(
        pl.when(has_flex & ~has_proxy).then(flex).when(has_proxy & ~has_flex).then(proxy).otherwise(unknown)
    )


def _messages(text: pl.Series) -> pl.Series:
    """The message in each alert text: its ``Msg`` where it is form-encoded or JSON, else the text itself."""
    distinct = text.drop_nulls().unique()
    if distinct.is_empty():
        return pl.Series("message", [None] * len(text), dtype=pl.String)
    messages = pl.Series([message(one) for one in distinct.to_list()], dtype=pl.String)
    return text.replace_strict(distinct, messages, default=None, return_dtype=pl.String)


def message(text: str) -> str | None:
    """The human message in an alert's text, which may be form-encoded, JSON, plain or empty."""
    pairs: dict[str, str] = {}
    stripped = text.strip()
    if stripped.startswith("{"):
        try:
            loaded = json.loads(stripped)
        except (ValueError, RecursionError):
            return stripped or None
        pairs = {str(name): str(value) for name, value in loaded.items() if value is not None}
    elif "=" in stripped and " " not in stripped:
        # A bare "Msg" without "=" occurs: blank values must be kept, or a neighbour would be taken for it.
        pairs = dict(parse_qsl(stripped, keep_blank_values=True))
    if not pairs:
        return stripped or None
    lowered = {name.lower(): value for name, value in pairs.items()}
    return lowered.get("msg") or lowered.get("message") or None
