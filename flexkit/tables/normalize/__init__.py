"""Raw records to typed tables, columnar: what does not fit is a reject with its reason, never an error."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.merge import merged
from flexkit.tables.normalize import (
    alerts,
    app_log,
    cloud_events,
    configuration,
    interactions,
    rest,
    studio,
    taskrouter,
    webhooks,
)
from flexkit.tables.normalize.checks import PROBLEM
from flexkit.tables.normalize.harvest import WHERE, Harvest
from flexkit.tables.schema import INSTANT, TABLES
from flexkit.terms import Intent, Outcome, SignalKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flexkit.tables.redact import Redactor


class RecordKind(StrEnum):
    """What one record is: a REST resource, a delivery, an event, a line of a log."""

    ALERT = "alert"
    TASK_EVENT = "task_event"
    INTERACTION = "interaction"
    CHANNEL = "channel"
    PARTICIPANT = "participant"
    INVITE = "invite"
    CONVERSATION = "conversation"
    EXECUTION = "execution"
    STEP = "step"
    FLOW = "flow"
    WORKSPACE = "workspace"
    WEBHOOK_CONFIG = "webhook_config"
    FLEX_CONFIGURATION = "flex_configuration"
    SUBSCRIPTION = "subscription"
    SINK = "sink"
    AUDIT_EVENT = "audit_event"
    WEBHOOK = "webhook"
    CLOUD_EVENT = "cloud_event"
    COMPLETION = "completion"
    TOMBSTONE = "tombstone"


RECORDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,
    "record": pl.String,
    "seen_at": INSTANT,
    "origin": pl.String,
}
"""Schema of records: kind, JSON text of one record, when it was read, where it came from (for rejects).

An optional column ``problem`` says why a record was refused before it came here: it becomes a reject.
"""

_NORMALIZERS: Mapping[str, Callable[[pl.DataFrame, Harvest], None]] = {
    RecordKind.ALERT: alerts.rest_alerts,
    RecordKind.TASK_EVENT: taskrouter.rest_events,
    RecordKind.INTERACTION: rest.interactions,
    RecordKind.CHANNEL: rest.channels,
    RecordKind.PARTICIPANT: rest.participants,
    RecordKind.INVITE: rest.invites,
    RecordKind.CONVERSATION: rest.conversations,
    RecordKind.EXECUTION: studio.executions,
    RecordKind.STEP: studio.steps,
    RecordKind.FLOW: configuration.flows,
    RecordKind.WORKSPACE: configuration.workspaces,
    RecordKind.WEBHOOK_CONFIG: configuration.webhook_configs,
    RecordKind.FLEX_CONFIGURATION: configuration.flex_configurations,
    RecordKind.SUBSCRIPTION: configuration.subscriptions,
    RecordKind.SINK: configuration.sinks,
    RecordKind.AUDIT_EVENT: configuration.audit_events,
    RecordKind.CLOUD_EVENT: cloud_events.cloud_events,
    RecordKind.COMPLETION: app_log.completions,
    RecordKind.TOMBSTONE: rest.tombstones,
}

_KNOWN_KINDS = frozenset(
    (
        *SignalKind,
        *interactions.EVENTS,
        *(f"channel_{status}" for status in interactions.STATUSES),
        *(f"conversation_{state}" for state in ("initializing", "active", "inactive")),
        *taskrouter.KNOWN,
        studio.EXECUTION,
        "interaction_created",
        "invite_created",
    )
)


def normalize(
    records: pl.DataFrame, *, redactor: Redactor, now: dt.datetime | None = None, with_where: bool = False
) -> dict[str, pl.DataFrame]:
    """Tables made of *records* (columns `RECORDS`): table name to frame, ``rejects`` among them.

    Columnar; never raises for a bad record: it becomes a reject with a reason. Copies of one thing
    become one row (see `flexkit.tables.merge`); copies that contradict each other are also rejects.
    With *with_where* the frames keep ``record_origin``, from which `Store.add` names the place of a
    contradiction. Instants more than a day after both ``seen_at`` and *now* (default: the clock) are not believed.
    """
    harvest = Harvest(redactor=redactor, now=now or dt.datetime.now(dt.UTC))
    records = records.rename({"origin": WHERE})
    if PROBLEM in records.columns:
        refused = pl.col(PROBLEM).is_not_null()
        harvest.reject("unknown", records.filter(refused))
        records = records.filter(~refused)
    records = records.select(pl.col(WHERE if name == "origin" else name).cast(dtype) for name, dtype in RECORDS.items())
    deliveries = records.filter(pl.col("kind") == RecordKind.WEBHOOK)
    if not deliveries.is_empty():
        records = pl.concat([records, webhooks.deliveries(deliveries, harvest)])
    for kind, normalizer in _NORMALIZERS.items():
        found = records.filter(pl.col("kind") == kind)
        if not found.is_empty():
            normalizer(found, harvest)
    known = [*_NORMALIZERS, RecordKind.WEBHOOK]
    strange = records.filter(~pl.col("kind").is_in([str(kind) for kind in known]).fill_null(value=False))
    harvest.reject("unknown", strange.with_columns(problem=pl.lit("not a kind of record that flexkit knows")))
    tables = _merged(harvest)
    return tables if with_where else {name: rows.drop(WHERE) for name, rows in tables.items()}


def _merged(harvest: Harvest) -> dict[str, pl.DataFrame]:
    """One row per key in every table, and rejects for the copies that contradict each other."""
    tables: dict[str, pl.DataFrame] = {}
    for name, frames in list(harvest.frames.items()):
        if name != "rejects":
            rows, conflicts = merged(TABLES[name], pl.concat(frames))
            tables[name] = rows
            harvest.keep("rejects", conflicts.with_columns(seen_at=pl.lit(harvest.now).cast(INSTANT)))
    if "rejects" in harvest.frames:
        tables["rejects"] = pl.concat(harvest.frames["rejects"]).unique("reject_id", keep="first", maintain_order=True)
    return tables


def unknown_events(tables: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """How many events and values that are not documented *tables* hold, by name; they are kept as they are."""
    counted: dict[str, int] = {}
    # An unknown TaskRouter event of a task is in both tables: it is one event, so events come last.
    for name, column, known, label in _CLOSED_SETS:
        if name in tables:
            found = tables[name].filter(~pl.col(column).is_in(known)).group_by(column).len().sort(column)
            counted |= {f"{label}{value}": int(count) for value, count in found.iter_rows()}
    return counted


_CLOSED_SETS: tuple[tuple[str, str, list[str], str], ...] = (
    ("signals", "kind", [str(kind) for kind in _KNOWN_KINDS], ""),
    ("task_events", "event_type", list(taskrouter.KNOWN), ""),
    ("signals", "outcome", [str(outcome) for outcome in Outcome], "outcome "),
    ("signals", "intent", [str(intent) for intent in Intent], "intent "),
    ("channels", "status", list(interactions.STATUSES), "channel status "),
)
"""Table, column and the members that are documented."""

__all__ = ["RECORDS", "RecordKind", "normalize", "unknown_events"]
