"""TaskRouter events, in the three ways that Twilio gives them: REST, event callback, Event Streams.

The copies of one event carry one event SID, so they give one row and one signal whichever came first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import digests, identity
from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, precision, sid, sid_problem
from flexkit.tables.normalize.decode import fields
from flexkit.tables.normalize.harvest import delivered
from flexkit.tables.redact import scrub
from flexkit.terms import SignalKind, Source, TimeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.tables.normalize.harvest import Harvest

KINDS = {
    "task.created": SignalKind.TASK_CREATED,
    "task.wrapup": SignalKind.TASK_WRAPUP,
    "task.completed": SignalKind.TASK_COMPLETED,
    "task.canceled": SignalKind.TASK_CANCELED,
    "task.deleted": SignalKind.TASK_DELETED,
    # Removed for its time to live; the removal five minutes after completion gives no event.
    "task.system-deleted": SignalKind.TASK_DELETED,
    "workflow.timeout": SignalKind.WORKFLOW_TIMEOUT,
    "reservation.wrapup": SignalKind.RESERVATION_WRAPUP,
    "reservation.completed": SignalKind.RESERVATION_COMPLETED,
}
_TRANSFERS = [f"task.transfer-{state}" for state in ("initiated", "attempt-failed", "failed", "canceled", "completed")]
_NO_SIGNALS = (
    "task.updated",
    *(f"reservation.{state}" for state in ("created", "accepted", "rejected", "timeout", "canceled", "rescinded")),
    "reservation.failed",
    *(f"task-queue.{state}" for state in ("created", "deleted", "entered", "timeout", "moved", "expression.updated")),
    *(f"workflow.{state}" for state in ("created", "updated", "deleted", "target-matched", "entered", "skipped")),
    "workflow.rejected",
    *(f"worker.{state}" for state in ("created", "deleted", "activity.update", "attributes.update")),
    *(f"worker.capacity.{state}" for state in ("update",)),
    *(f"worker.channel.availability.{state}" for state in ("update",)),
    *(f"activity.{state}" for state in ("created", "updated", "deleted")),
    *(f"task-channel.{state}" for state in ("created", "updated", "deleted")),
    *(f"workspace.{state}" for state in ("created", "updated", "deleted")),
)
KNOWN = frozenset((*KINDS, *_TRANSFERS, *_NO_SIGNALS))
"""Event types that Twilio documents (source: Twilio's TaskRouter event reference)."""

_DATA = {
    "d_task": "task_sid",
    "d_reservation": "reservation_sid",
    "d_worker": "worker_sid",
    "d_workflow": "workflow_sid",
    "d_queue": "task_queue_sid",
    "d_workspace": "workspace_sid",
    "d_attributes": "task_attributes",
    "d_completed": "task_completed_reason",
    "d_canceled": "task_canceled_reason",
    "d_reason": "reason",
}
_ATTRIBUTES = {
    "a_interaction": "flexInteractionSid",
    "a_channel": "flexInteractionChannelSid",
    "a_conversation": "conversationSid",
    "a_conversation_id": "conversations.conversation_id",
    "a_type": "channelType",
}
"""All that is kept of a task's attributes (an allow-list: they are full of personal data)."""


def rest_events(records: pl.DataFrame, harvest: Harvest) -> None:
    """Events as ``GET …/Workspaces/{WS}/Events`` gives them; ``event_data`` is an object or its JSON text."""
    top = {
        "event_sid": "sid",
        "event_type": "event_type",
        "t_ms": "event_date_ms",
        "t_date": "event_date",
        "resource_sid": "resource_sid",
        "workspace": "workspace_sid",
        "actor_type": "actor_type",
        "actor_sid": "actor_sid",
        "via": "source",
        "source_ip": "source_ip_address",
    }
    nested = {name: f"event_data.{path}" for name, path in _DATA.items()}
    is_text = records["record"].str.contains(r'"event_data"\s*:\s*"').fill_null(value=False)
    as_objects = harvest.read(records.filter(~is_text), "task_events", {**top, **nested})
    as_text = harvest.read(records.filter(is_text), "task_events", {**top, "event_data": "event_data"})
    inner = fields(as_text["event_data"].fill_null("{}"), _DATA).drop("is_object")
    rows = pl.concat([as_objects, as_text.drop("event_data").hstack(inner).select(as_objects.columns)])
    _keep(rows, ("t_ms", "t_date"), harvest)


def stream_events(events: pl.DataFrame, harvest: Harvest) -> None:
    """Events as Event Streams gives them (``TaskRouter.WDSEvent``, CloudEvents type ``com.twilio.taskrouter.…``)."""
    wanted = {
        "type": "type",
        "cloud_id": "id",
        "t_cloud": "time",
        "t_data": "data.timestamp",
        "data_sid": "data.sid",
        "payload_sid": "data.payload.sid",
        "eventtype": "data.payload.eventtype",
        "t_payload": "data.payload.timestamp",
        "t_ms": "data.payload.timestamp_ms",
        "resource_sid": "data.payload.resource_sid",
        **{name: f"data.payload.{path}" for name, path in _DATA.items()},
    }
    rows = harvest.read(events, "task_events", wanted)
    rows = rows.with_columns(
        event_sid=pl.coalesce("payload_sid", "data_sid"),
        event_type=pl.coalesce("eventtype", pl.col("type").str.strip_prefix("com.twilio.taskrouter.")),
        subscription=pl.lit("event-streams"),
        cloud_id=harvest.redactor.identities(rows["cloud_id"].str.strip_chars()),
    )
    _keep(delivered(rows, id_column="cloud_id"), ("t_ms", "t_payload", "t_data", "t_cloud"), harvest)


CALLBACK_FIELDS = {
    "event_sid": "Sid",
    "event_type": "EventType",
    "t_ms": "TimestampMs",
    "t_stamp": "Timestamp",
    "resource_sid": "ResourceSid",
    "workspace": "WorkspaceSid",
    "d_task": "TaskSid",
    "d_reservation": "ReservationSid",
    "d_worker": "WorkerSid",
    "d_workflow": "WorkflowSid",
    "d_queue": "TaskQueueSid",
    "d_attributes": "TaskAttributes",
    "d_completed": "TaskCompletedReason",
    "d_canceled": "TaskCanceledReason",
    "d_reason": "Reason",
}


def callback_events(rows: pl.DataFrame, harvest: Harvest) -> None:
    """Events posted to a workspace's ``EventCallbackUrl``; *rows* have `CALLBACK_FIELDS` and the delivery."""
    # Twilio's page on callbacks does not list the event's SID; where it is absent an id is made
    # from what identifies the event, in lower case so that it is never taken for Twilio's.
    parts = ["event_type", "resource_sid", "d_task", "d_reservation", "d_worker", "t_ms", "t_stamp"]
    made = digests(rows.select(identity(parts)).to_series(), prefix="ev")
    rows = rows.with_columns(event_sid=pl.coalesce("event_sid", made), made_sid=made)
    _keep(delivered(rows, id_column="trigger_id"), ("t_ms", "t_stamp"), harvest)


def _keep(rows: pl.DataFrame, times: Sequence[str], harvest: Harvest) -> None:
    """Check *rows*, whose instants are written in *times* (the first that is present counts)."""
    if rows.is_empty():
        return
    absent = {"actor_type", "actor_sid", "via", "source_ip", "subscription", "user_agent", "workspace", "d_workspace"}
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in sorted(absent - set(rows.columns)))
    rows = _with_attributes(with_time(rows, times))
    rows = rows.with_columns(
        task_sid=pl.coalesce("d_task", sid("resource_sid", "WT")),
        reservation_sid=pl.coalesce("d_reservation", sid("resource_sid", "WR")),
        worker_sid=pl.coalesce("d_worker", sid("resource_sid", "WK")),
        workflow_sid=pl.coalesce("d_workflow", sid("resource_sid", "WW")),
        queue_sid=pl.coalesce("d_queue", sid("resource_sid", "WQ")),
        workspace_sid=pl.coalesce("workspace", "d_workspace"),
    )
    rows = rows.with_columns(
        first_problem(
            sid_problem("event_sid", "EV|ev", name="sid", required=True),
            pl.when(pl.col("event_type").is_null()).then(pl.lit("event_type is missing")),
            instant_problem("time_text", "occurred_at", name="event time"),
            *(
                sid_problem(f"{name}_sid", prefix)
                for name, prefix in (
                    ("task", "WT"),
                    ("reservation", "WR"),
                    ("worker", "WK"),
                    ("workflow", "WW"),
                    ("queue", "WQ"),
                    ("workspace", "WS"),
                )
            ),
            # Attributes are written by people's code: a value of another kind is ignored, a broken SID is not.
            _broken("a_interaction", "KD", "flexInteractionSid"),
            _broken("a_channel", "UO", "flexInteractionChannelSid"),
        )
    )
    rows = harvest.sift("task_events", rows)
    if rows.is_empty():
        return
    rows = rows.with_columns(
        interaction_sid=pl.coalesce(sid("a_interaction", "KD"), sid("a_conversation_id", "KD")),
        channel_sid=sid("a_channel", "UO"),
        conversation_sid=pl.coalesce(sid("a_conversation", "CH"), "a_media"),
        channel_type=scrub(pl.col("a_type").str.to_lowercase(), limit=40),
        event_type=scrub(pl.col("event_type"), limit=80),
        actor_type=scrub(pl.col("actor_type"), limit=40),
        actor_sid=sid("actor_sid", "[A-Z]{2}"),
        source=scrub(pl.col("via"), limit=40),
        source_ip_hash=harvest.redactor.pseudonyms(rows["source_ip"]),
        reason=scrub(pl.coalesce("d_completed", "d_canceled", "d_reason")),
    )
    harvest.keep("task_events", rows)
    _keep_signals(rows, harvest)


def _broken(column: str, prefix: str, name: str) -> pl.Expr:
    return pl.when(pl.col(column).str.starts_with(prefix)).then(sid_problem(column, prefix, name=name))


def with_time(rows: pl.DataFrame, times: Sequence[str]) -> pl.DataFrame:
    """*rows* with ``time_text``, ``occurred_at`` and ``precision_us`` of the first of *times* that is present.

    A later candidate that says the same instant more finely is taken instead.
    """
    rows = rows.with_columns(time_text=pl.coalesce(*times))
    rows = rows.with_columns(occurred_at=instant("time_text"), precision_us=precision("time_text"))
    for name in times:
        fine, fineness = instant(name), precision(name)
        late = (fine - pl.col("occurred_at")).dt.total_microseconds()
        finer = (fineness < pl.col("precision_us")) & late.is_between(0, pl.col("precision_us") - 1)
        rows = rows.with_columns(
            occurred_at=pl.when(finer).then(fine).otherwise("occurred_at"),
            precision_us=pl.when(finer).then(fineness).otherwise("precision_us"),
        )
    return rows


def _with_attributes(rows: pl.DataFrame) -> pl.DataFrame:
    attributes = fields(rows["d_attributes"].fill_null("{}"), _ATTRIBUTES).drop("is_object")
    media = pl.col("d_attributes").str.extract(r'"sid"\s*:\s*"(CH[0-9a-fA-F]{32})"')
    return rows.hstack(attributes).with_columns(a_media=media)


def _keep_signals(rows: pl.DataFrame, harvest: Harvest) -> None:
    kind = pl.col("event_type").replace_strict(
        list(KINDS), [str(kind) for kind in KINDS.values()], default=None, return_dtype=pl.String
    )
    about_a_task = pl.col("task_sid").is_not_null() | pl.col("interaction_sid").is_not_null()
    unknown = ~pl.col("event_type").is_in(list(KNOWN)) & about_a_task
    own_name = pl.when(unknown | pl.col("event_type").is_in(_TRANSFERS)).then("event_type")
    signals = rows.with_columns(kind=pl.coalesce(kind, own_name)).filter(pl.col("kind").is_not_null())
    harvest.keep_signals(
        signals.with_columns(
            signal_id=pl.format("{}/{}", "event_sid", "kind"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            evidence_sid=pl.col("event_sid"),
            trigger_id=pl.col("event_sid"),
            event_name=pl.col("event_type"),
            actor_type=_actor(),
            handler=_handler(),
            source=pl.lit(Source.TASKROUTER.value),
        )
    )


def _actor() -> pl.Expr:
    """Who caused an event. Twilio documents neither field well: a worker is an agent, ``twilio`` the platform."""
    kind, via = pl.col("actor_type").str.to_lowercase(), pl.col("source").str.to_lowercase()
    return (
        pl.when(pl.col("actor_sid").str.starts_with("WK") | (kind == "worker"))
        .then(pl.lit("worker"))
        .when(pl.col("actor_sid").str.starts_with("US") | (kind == "user"))
        .then(pl.lit("user"))
        .when(via == "api")
        .then(pl.lit("api"))
        .when((via == "twilio") | (kind == "workspace"))
        .then(pl.lit("twilio"))
        .otherwise(pl.coalesce(kind, via))
    )


def _handler() -> pl.Expr:
    actor = _actor()
    address = pl.format("api@{}", pl.col("source_ip_hash").str.slice(0, 8))
    return (
        pl.when(actor == "api")
        .then(pl.coalesce(address, pl.lit("api")))
        .when(actor == "twilio")
        .then(pl.lit("taskrouter"))
        .otherwise(actor)
    )
