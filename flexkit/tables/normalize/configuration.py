"""Configuration as evidence: who listens to which events, which widget can close a channel, what changed when.

Rows of kind ``subscription`` name a receiver and its events; ``closer`` a Studio widget and what it
can close (``detail``: ``channel``, ``participant``, ``conversation``, ``task``, or ``function`` where a
function runs that cannot be looked into); ``setting`` a setting of Flex; ``change`` an audit event.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.tables.ids import digests, identity
from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, sid_problem
from flexkit.tables.redact import endpoints, scrub, scrub_text

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

# What a widget's text shows that it closes; the first that matches counts.
_CLOSES = (
    ("participant", re.compile(r"/Interactions/.*/Channels/.*/Participants", re.IGNORECASE | re.DOTALL)),
    ("channel", re.compile(r"/Interactions/.*/Channels", re.IGNORECASE | re.DOTALL)),
    ("conversation", re.compile(r"conversations\.twilio\.com/.*/Conversations/", re.IGNORECASE | re.DOTALL)),
    ("task", re.compile(r"taskrouter\.twilio\.com/.*/Tasks/", re.IGNORECASE | re.DOTALL)),
)


def workspaces(records: pl.DataFrame, harvest: Harvest) -> None:
    """The event callback of a workspace, with its filter: what the customer's handler receives."""
    wanted = {"sid": "sid", "url": "event_callback_url", "filter": "events_filter"}
    rows = harvest.read(records, "configuration", wanted).with_columns(
        first_problem(sid_problem("sid", "WS", required=True)),
        event_types=pl.col("filter").str.split(",").list.eval(pl.element().str.strip_chars()).list.sort(),
    )
    _keep(harvest.sift("configuration", rows), "subscription", "event_callback", harvest)


def webhook_configs(records: pl.DataFrame, harvest: Harvest) -> None:
    """Interactions webhooks of a Flex instance."""
    wanted = {"sid": "ttid", "url": "webhook_url", "events": "webhook_events", "type": "type"}
    rows = harvest.read(records, "configuration", wanted)
    rows = rows.with_columns(
        first_problem(pl.when(pl.col("sid").is_null()).then(pl.lit("ttid is missing"))),
        event_types=_listed("events"),
        sid=scrub(pl.col("sid"), limit=80),
    )
    _keep(harvest.sift("configuration", rows), "subscription", "interactions_webhook", harvest)


def subscriptions(records: pl.DataFrame, harvest: Harvest) -> None:
    """Event Streams subscriptions: their subject is the sink that they feed."""
    wanted = {"own_sid": "sid", "sid": "sink_sid", "types": "types", "subscribed": "subscribed_events"}
    rows = harvest.read(records, "configuration", wanted)
    rows = rows.with_columns(
        first_problem(
            sid_problem("own_sid", "DF", name="sid", required=True), sid_problem("sid", "DG", name="sink_sid")
        ),
        event_types=pl.coalesce(_listed("types"), _listed("subscribed")),
        url=pl.lit(None, pl.String),
    )
    _keep(harvest.sift("configuration", rows), "subscription", "event_streams", harvest)


def sinks(records: pl.DataFrame, harvest: Harvest) -> None:
    """Event Streams sinks: where a subscription's events go."""
    wanted = {
        "sid": "sid",
        "destination": "sink_configuration.destination",
        "method": "sink_type",
        "webhook": "configuration.destination",
    }
    rows = harvest.read(records, "configuration", wanted)
    rows = rows.with_columns(
        first_problem(sid_problem("sid", "DG", required=True)), url=pl.coalesce("destination", "webhook")
    )
    _keep(harvest.sift("configuration", rows), "subscription", "event_streams_sink", harvest)


def flex_configurations(records: pl.DataFrame, harvest: Harvest) -> None:
    """How agents may end a conversation (``agent_conv_end_methods``), as the Flex instance is set."""
    wanted = {"sid": "flex_service_instance_sid", "instance": "flex_instance_sid", "methods": "agent_conv_end_methods"}
    rows = harvest.read(records, "configuration", wanted).with_columns(
        sid=pl.coalesce("instance", "sid"), url=pl.lit(None, pl.String)
    )
    rows = rows.with_columns(detail=scrub(pl.format("agent_conv_end_methods {}", pl.col("methods").fill_null("unset"))))
    rows = rows.with_columns(first_problem(sid_problem("sid", "GO|IS", name="flex_instance_sid", required=True)))
    _keep(harvest.sift("configuration", rows), "setting", None, harvest)


def audit_events(records: pl.DataFrame, harvest: Harvest) -> None:
    """Audit events (``GET /v1/Events`` of Monitor): changes that may explain a before and an after."""
    wanted = {"own_sid": "sid", "sid": "resource_sid", "event_type": "event_type", "t_event": "event_date"}
    wanted |= {"via": "source", "actor": "actor_type"}
    rows = harvest.read(records, "configuration", wanted).with_columns(changed_at=instant("t_event"))
    rows = rows.with_columns(
        first_problem(
            sid_problem("own_sid", "AE", name="sid", required=True),
            instant_problem("t_event", "changed_at", name="event_date"),
            sid_problem("sid", "[A-Za-z]{2}", name="resource_sid"),
        ),
        event_types=pl.concat_list(scrub(pl.col("event_type"), limit=80)),
        detail=scrub(
            pl.format("{} by {} over {}", *(pl.col(name).fill_null("?") for name in ("event_type", "actor", "via")))
        ),
    )
    rows = harvest.sift("configuration", rows)
    harvest.keep(
        "configuration",
        rows.with_columns(
            config_id=pl.col("own_sid"),
            kind=pl.lit("change"),
            subject_sid=pl.col("sid"),
            observed_at=pl.col("seen_at"),
        ),
    )


def flows(records: pl.DataFrame, harvest: Harvest) -> None:
    """Widgets of a flow's definition that can close something."""
    wanted = {"sid": "sid", "definition": "definition", "revision": "revision"}
    rows = harvest.read(records, "configuration", wanted)
    rows = rows.with_columns(first_problem(sid_problem("sid", "FW", required=True)))
    rows = harvest.sift("configuration", rows)
    found = [
        {"sid": flow, "handler": f"studio:{flow}/{widget}", "detail": closes, "seen_at": seen_at}
        for flow, definition, seen_at in rows.select("sid", "definition", "seen_at").iter_rows()
        for widget, closes in closers(definition or "{}")
    ]
    if not found:
        return
    closing = pl.DataFrame(
        found, schema={"sid": pl.String, "handler": pl.String, "detail": pl.String, "seen_at": rows.schema["seen_at"]}
    )
    closing = closing.with_columns(
        config_id=digests(closing.select(identity(["handler"])).to_series(), prefix="CF"),
        kind=pl.lit("closer"),
        subject_sid=pl.col("sid"),
        observed_at=pl.col("seen_at"),
    )
    harvest.keep("configuration", closing)


def closers(definition: str) -> list[tuple[str, str]]:
    """Each widget of a flow definition (JSON text) that can close something, and what (see the module)."""
    try:
        flow = json.loads(definition)
    except (ValueError, RecursionError):
        return []
    states = flow.get("states") if isinstance(flow, dict) else None
    if not isinstance(states, list):
        return []
    told = ((state, _closes(state)) for state in states if isinstance(state, dict))
    return [(scrub_text(str(state.get("name", "?")), limit=120), closes) for state, closes in told if closes]


def _closes(state: dict[str, Any]) -> str | None:
    properties = json.dumps(state.get("properties", {}))
    for closes, pattern in _CLOSES:
        if pattern.search(properties):
            return closes
    return "function" if state.get("type") == "run-function" else None


def _listed(column: str) -> pl.Expr:
    """Event names in a JSON list of texts, or of objects with a ``type``."""
    plain = pl.col(column).str.extract_all(r'"(?:on[A-Z]\w+|[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)"')
    return plain.list.eval(pl.element().str.strip_chars('"')).list.unique().list.sort()


def _keep(rows: pl.DataFrame, kind: str, detail: str | None, harvest: Harvest) -> None:
    if rows.is_empty():
        return
    if detail is not None:
        rows = rows.with_columns(detail=pl.lit(detail))
    named = "own_sid" if "own_sid" in rows.columns else "sid"
    rows = rows.with_columns(
        handler=endpoints(rows["url"]),
        kind=pl.lit(kind),
        subject_sid=pl.col("sid"),
        observed_at=pl.col("seen_at"),
        config_id=pl.coalesce(named, pl.lit(f"{kind}/{detail}")),
    )
    harvest.keep("configuration", rows)
