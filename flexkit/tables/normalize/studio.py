"""Studio executions and steps, from REST and from Event Streams.

A step shows that a widget ran, not that Twilio accepted what it asked for: its outcome stays unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import identity
from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, precision, sid_problem
from flexkit.tables.redact import scrub
from flexkit.terms import Outcome, SignalKind, Source, TimeKind

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

EXECUTION = "studio_execution"
"""Kind of the signal of an execution: it ties the execution to its conversation."""

_EXECUTION = {
    "execution_sid": "sid",
    "flow_sid": "flow_sid",
    "flow_version": "flow_version",
    "status": "status",
    "initiated_by": "initiated_by",
    "t_created": "date_created",
    "t_updated": "date_updated",
}
_STEP = {
    "step_sid": "sid",
    "execution_sid": "execution_sid",
    "flow_sid": "flow_sid",
    "name": "name",
    "transitioned_from": "transitioned_from",
    "transitioned_to": "transitioned_to",
    "t_created": "date_created",
}


def executions(records: pl.DataFrame, harvest: Harvest) -> None:
    """Executions of ``GET /v2/Flows/{FW}/Executions``; their context is searched for SIDs and not kept."""
    rows = harvest.read(records, "executions", _EXECUTION)
    _keep_executions(rows.with_columns(subscription=pl.lit(None, pl.String)), harvest)


def steps(records: pl.DataFrame, harvest: Harvest) -> None:
    """Steps of ``GET …/Executions/{FN}/Steps``."""
    rows = harvest.read(records, "steps", _STEP)
    versions = {"flow_version": pl.lit(None, pl.String), "subscription": pl.lit(None, pl.String)}
    _keep_steps(rows.with_columns(**versions), harvest)


def stream_events(events: pl.DataFrame, harvest: Harvest) -> None:
    """Studio events of Event Streams: execution started and ended, step ended; others keep their name."""
    wanted = {
        "type": "type",
        "id": "id",
        "t_cloud": "time",
        "execution_sid": "data.execution_sid",
        "flow_sid": "data.flow_sid",
        "flow_version": "data.flow_revision",
        "version": "data.flow_version",
        "status": "data.status",
        "initiated_by": "data.started_by",
        "sid": "data.sid",
        "step": "data.step_sid",
        "name": "data.name",
        "transitioned_from": "data.transitioned_from",
        "transitioned_to": "data.transitioned_to",
        "t_created": "data.date_created",
        "t_updated": "data.date_updated",
    }
    rows = harvest.read(events, "signals", wanted)
    rows = rows.with_columns(
        flow_version=pl.coalesce("flow_version", "version"),
        subscription=pl.lit("event-streams"),
        event=pl.col("type").str.strip_prefix("com.twilio.studio."),
    )
    is_execution = pl.col("event").is_in(["flow.execution.started", "flow.execution.ended"])
    is_step = pl.col("event") == "flow.step.ended"
    started = pl.col("event") == "flow.execution.started"
    _keep_executions(
        rows.filter(is_execution).with_columns(
            t_created=pl.coalesce("t_created", pl.when(started).then("t_cloud")),
            t_updated=pl.coalesce("t_updated", "t_cloud"),
            status=pl.coalesce("status", pl.when(started).then(pl.lit("active")).otherwise(pl.lit("ended"))),
        ),
        harvest,
    )
    _keep_steps(
        rows.filter(is_step).with_columns(
            step_sid=pl.coalesce("step", "sid"), t_created=pl.coalesce("t_created", "t_cloud")
        ),
        harvest,
    )
    _keep_others(rows.filter(~is_execution & ~is_step), harvest)


def _keep_executions(rows: pl.DataFrame, harvest: Harvest) -> None:
    if rows.is_empty():
        return
    rows = _with_sids(
        rows.with_columns(
            created_at=instant("t_created"), updated_at=instant("t_updated"), precision_us=precision("t_created")
        )
    )
    # Event Streams' "ended" need not say when the execution began.
    begun = pl.coalesce("t_created", "t_updated")
    rows = rows.with_columns(t_known=begun, known_at=pl.coalesce("created_at", "updated_at"))
    rows = rows.with_columns(
        first_problem(
            sid_problem("execution_sid", "FN", name="sid", required=True),
            sid_problem("flow_sid", "FW", required=True),
            instant_problem("t_known", "known_at", name="date_created"),
            instant_problem("t_updated", "updated_at", name="date_updated", required=False),
        )
    )
    rows = harvest.sift("executions", rows).with_columns(
        status=scrub(pl.col("status").str.to_lowercase(), limit=40),
        flow_version=scrub(pl.col("flow_version"), limit=40),
        initiated_by=pl.when(pl.col("initiated_by").str.contains("^[A-Z]{2}[0-9a-fA-F]{32}$")).then("initiated_by"),
    )
    harvest.keep("executions", rows)
    harvest.keep_signals(
        rows.filter(pl.col("created_at").is_not_null()).with_columns(
            signal_id=pl.format("{}/{}", "execution_sid", pl.lit(EXECUTION)),
            occurred_at=pl.col("created_at"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.STUDIO.value),
            kind=pl.lit(EXECUTION),
            event_name=pl.lit("execution"),
            actor_type=pl.lit("studio"),
            handler=pl.format("studio:{}", "flow_sid"),
            trigger_id=pl.col("execution_sid"),
            evidence_sid=pl.col("execution_sid"),
        )
    )


def _keep_steps(rows: pl.DataFrame, harvest: Harvest) -> None:
    if rows.is_empty():
        return
    rows = _with_sids(rows.with_columns(created_at=instant("t_created"), precision_us=precision("t_created")))
    rows = rows.with_columns(
        first_problem(
            sid_problem("step_sid", "FT", name="sid", required=True),
            sid_problem("execution_sid", "FN"),
            sid_problem("flow_sid", "FW"),
            instant_problem("t_created", "created_at", name="date_created"),
        )
    )
    rows = harvest.sift("steps", rows).with_columns(
        name=scrub(pl.col("name"), limit=120),
        transitioned_from=scrub(pl.col("transitioned_from"), limit=120),
        transitioned_to=scrub(pl.col("transitioned_to"), limit=120),
    )
    harvest.keep("steps", rows)
    # The widget that ran is the one that the transition leaves.
    widget = pl.coalesce("transitioned_from", "name")
    harvest.keep_signals(
        rows.with_columns(
            signal_id=pl.format("{}/{}", "step_sid", pl.lit(SignalKind.STUDIO_STEP.value)),
            occurred_at=pl.col("created_at"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.STUDIO.value),
            kind=pl.lit(SignalKind.STUDIO_STEP.value),
            outcome=pl.lit(Outcome.UNKNOWN.value),
            event_name=pl.col("name"),
            actor_type=pl.lit("studio"),
            handler=pl.format("studio:{}/{}", pl.col("flow_sid").fill_null("?"), widget.fill_null("?")),
            widget=widget,
            trigger_id=pl.col("execution_sid"),
            evidence_sid=pl.col("step_sid"),
        )
    )


def _keep_others(rows: pl.DataFrame, harvest: Harvest) -> None:
    if rows.is_empty():
        return
    rows = _with_sids(rows.with_columns(occurred_at=instant("t_cloud"), precision_us=precision("t_cloud")))
    rows = rows.with_columns(
        first_problem(instant_problem("t_cloud", "occurred_at", name="time"), sid_problem("flow_sid", "FW"))
    )
    rows = harvest.sift("signals", rows).with_columns(event_name=scrub(pl.col("event"), limit=80))
    harvest.keep_signals(
        rows.with_columns(
            kind=pl.col("event_name"),
            identity=pl.format("cloud_event\x1f{}", identity(["type", "id", "occurred_at", "execution_sid"])),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.STUDIO.value),
            trigger_id=pl.when(pl.col("execution_sid").str.contains("^FN[0-9a-fA-F]{32}$")).then("execution_sid"),
        )
    )


def _with_sids(rows: pl.DataFrame) -> pl.DataFrame:
    """SIDs that tie a record to its interaction, from anywhere in it; two of one kind tie it to none."""

    def only(prefix: str) -> pl.Expr:
        found = pl.col("record").str.extract_all(f"{prefix}[0-9a-fA-F]{{32}}").list.unique()
        return pl.when(found.list.len() == 1).then(found.list.first())

    return rows.with_columns(
        interaction_sid=only("KD"), channel_sid=only("UO"), conversation_sid=only("CH"), task_sid=only("WT")
    )
