"""REST resources of Interactions and Conversations: snapshots without a time of change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.normalize.checks import first_problem, instant, instant_problem, precision, sid, sid_problem
from flexkit.tables.normalize.decode import fields
from flexkit.tables.normalize.harvest import WHERE
from flexkit.tables.redact import scrub
from flexkit.terms import Source, TimeKind

if TYPE_CHECKING:
    from flexkit.tables.normalize.harvest import Harvest

_ROUTING = {
    "r_task": "routing.properties.sid",
    "r_workspace": "routing.properties.workspace_sid",
    "r_workflow": "routing.properties.workflow_sid",
    "r_queue": "routing.properties.queue_sid",
    "r_status": "routing.properties.assignment_status",
    "t_created": "routing.properties.date_created",
    "r_attributes": "routing.properties.attributes",
}
_ATTRIBUTES = {"a_conversation": "conversationSid", "a_type": "channelType"}

_ROUTING_CHECKS = (
    ("r_task", "WT", "routing.properties.sid"),
    ("r_workspace", "WS", "routing.properties.workspace_sid"),
    ("r_workflow", "WW", "routing.properties.workflow_sid"),
    ("r_queue", "WQ", "routing.properties.queue_sid"),
)


def _routing_problems() -> list[pl.Expr]:
    return [
        *(sid_problem(column, prefix, name=name) for column, prefix, name in _ROUTING_CHECKS),
        instant_problem("t_created", "created_at", name="routing.properties.date_created", required=False),
    ]


def _with_routing(rows: pl.DataFrame) -> pl.DataFrame:
    """Instant and allow-listed attributes of a routing object (attributes are JSON text)."""
    attributes = fields(rows["r_attributes"].fill_null("{}"), _ATTRIBUTES).drop("is_object")
    return rows.hstack(attributes).with_columns(created_at=instant("t_created"), precision_us=precision("t_created"))


def interactions(records: pl.DataFrame, harvest: Harvest) -> None:
    """Interactions of ``GET /v1/Interactions/{KD}``; the creation of its task gives a signal that links both."""
    wanted = {"interaction_sid": "sid", "channel_sid": "channel.sid", "c_type": "channel.type", **_ROUTING}
    rows = _with_routing(harvest.read(records, "interactions", wanted))
    rows = rows.with_columns(
        first_problem(
            sid_problem("interaction_sid", "KD", name="sid", required=True),
            sid_problem("channel_sid", "UO", name="channel.sid"),
            *_routing_problems(),
        )
    )
    rows = harvest.sift("interactions", rows).with_columns(
        channel_type=scrub(pl.coalesce("c_type", "a_type").str.to_lowercase(), limit=40),
        conversation_sid=sid("a_conversation", "CH"),
        task_sid=pl.col("r_task"),
        task_sids=pl.when(pl.col("r_task").is_not_null()).then(pl.concat_list("r_task")),
        workspace_sid=pl.col("r_workspace"),
        workflow_sid=pl.col("r_workflow"),
        found=pl.lit(value=True),
    )
    harvest.keep("interactions", rows)
    _keep_creation(rows, "interaction_sid", "interaction_created", harvest)


def invites(records: pl.DataFrame, harvest: Harvest) -> None:
    """Invites of ``GET …/Channels/{UO}/Invites``: each ties the task that it made to the interaction."""
    wanted = {"invite_sid": "sid", "interaction_sid": "interaction_sid", "channel_sid": "channel_sid", **_ROUTING}
    rows = _with_routing(harvest.read(records, "invites", wanted))
    rows = rows.with_columns(
        first_problem(
            sid_problem("invite_sid", "KG", name="sid", required=True),
            sid_problem("interaction_sid", "KD"),
            sid_problem("channel_sid", "UO"),
            *_routing_problems(),
        )
    )
    rows = harvest.sift("invites", rows).with_columns(
        channel_type=scrub(pl.col("a_type").str.to_lowercase(), limit=40),
        conversation_sid=sid("a_conversation", "CH"),
        task_sid=pl.col("r_task"),
        workflow_sid=pl.col("r_workflow"),
        queue_sid=pl.col("r_queue"),
        assignment_status=scrub(pl.col("r_status"), limit=40),
    )
    harvest.keep("invites", rows)
    _keep_creation(rows, "invite_sid", "invite_created", harvest)


def _keep_creation(rows: pl.DataFrame, evidence: str, kind: str, harvest: Harvest) -> None:
    created = rows.filter(pl.col("created_at").is_not_null())
    harvest.keep_signals(
        created.with_columns(
            signal_id=pl.format("{}/{}", evidence, pl.lit(kind)),
            occurred_at=pl.col("created_at"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            source=pl.lit(Source.TWILIO_API.value),
            kind=pl.lit(kind),
            event_name=pl.lit(kind),
            evidence_sid=pl.col(evidence),
        )
    )


def channels(records: pl.DataFrame, harvest: Harvest) -> None:
    """Channels of ``GET …/Channels``: a status as it was when read."""
    wanted = {
        "channel_sid": "sid",
        "interaction_sid": "interaction_sid",
        "channel_type": "type",
        "status": "status",
        "error_code": "error_code",
    }
    rows = harvest.read(records, "channels", wanted).with_columns(
        first_problem(sid_problem("channel_sid", "UO", name="sid", required=True), sid_problem("interaction_sid", "KD"))
    )
    rows = harvest.sift("channels", rows).with_columns(
        observed_at=pl.col("seen_at"),
        channel_type=scrub(pl.col("channel_type").str.to_lowercase(), limit=40),
        status=scrub(pl.col("status").str.to_lowercase(), limit=40),
        error_code=scrub(pl.col("error_code"), limit=20),
        found=pl.lit(value=True),
    )
    harvest.keep("channels", rows)


def participants(records: pl.DataFrame, harvest: Harvest) -> None:
    """Participants of ``GET …/Participants``; they have neither a status nor a time."""
    wanted = {
        "participant_sid": "sid",
        "interaction_sid": "interaction_sid",
        "channel_sid": "channel_sid",
        "participant_type": "type",
        "task_sid": "routing_properties.task_sid",
        "worker_sid": "routing_properties.worker_sid",
        "reservation_sid": "routing_properties.reservation_sid",
    }
    sids = {
        "interaction_sid": "KD",
        "channel_sid": "UO",
        "task_sid": "WT",
        "worker_sid": "WK",
        "reservation_sid": "WR",
    }
    rows = harvest.read(records, "participants", wanted).with_columns(
        first_problem(
            sid_problem("participant_sid", "UT", name="sid", required=True),
            *(sid_problem(name, prefix) for name, prefix in sids.items()),
        )
    )
    rows = harvest.sift("participants", rows)
    harvest.keep(
        "participants",
        rows.with_columns(participant_type=scrub(pl.col("participant_type").str.to_lowercase(), limit=40)),
    )


def conversations(records: pl.DataFrame, harvest: Harvest) -> None:
    """Conversations of ``GET /v1/Conversations/{CH}``; their attributes are searched for SIDs and not kept."""
    wanted = {
        "conversation_sid": "sid",
        "state": "state",
        "t_created": "date_created",
        "t_updated": "date_updated",
        "attributes": "attributes",
    }
    rows = harvest.read(records, "conversations", wanted).with_columns(
        created_at=instant("t_created"), updated_at=instant("t_updated")
    )
    rows = rows.with_columns(
        first_problem(
            sid_problem("conversation_sid", "CH", name="sid", required=True),
            instant_problem("t_created", "created_at", name="date_created", required=False),
            instant_problem("t_updated", "updated_at", name="date_updated", required=False),
        )
    )
    rows = harvest.sift("conversations", rows).with_columns(
        state=scrub(pl.col("state").str.to_lowercase(), limit=40),
        interaction_sid=pl.col("attributes").str.extract("(KD[0-9a-fA-F]{32})"),
        channel_sid=pl.col("attributes").str.extract("(UO[0-9a-fA-F]{32})"),
        found=pl.lit(value=True),
    )
    harvest.keep("conversations", rows)


_TOMBS = {
    "interaction": ("interactions", "interaction_sid", "KD"),
    "channel": ("channels", "channel_sid", "UO"),
    "conversation": ("conversations", "conversation_sid", "CH"),
    "execution": ("executions", "execution_sid", "FN"),
}


def tombstones(records: pl.DataFrame, harvest: Harvest) -> None:
    """Resources that Twilio no longer knows (404), kept so that nobody asks for them again."""
    rows = harvest.read(records, "interactions", {"resource": "resource", "sid": "sid", "status": "status"})
    for resource, (table, key, prefix) in _TOMBS.items():
        found = rows.filter(pl.col("resource") == resource)
        found = found.with_columns(first_problem(sid_problem("sid", prefix, required=True)))
        found = harvest.sift(table, found)
        gone = found.select(
            pl.col("sid").alias(key),
            "seen_at",
            WHERE,
            observed_at=pl.col("seen_at"),
            found=pl.lit(value=False),
            status=pl.lit("not_found" if table == "executions" else None, pl.String),
        )
        harvest.keep(table, gone)
    others = rows.filter(~pl.col("resource").is_in(list(_TOMBS)).fill_null(value=False))
    reason = pl.format("no table keeps a missing {}", scrub(pl.col("resource"), limit=40).fill_null("resource"))
    harvest.reject("interactions", others.with_columns(problem=reason))
