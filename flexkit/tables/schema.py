"""The data dictionary: one schema per table, and the patterns that identifiers must match.

A table's columns are listed once, here, with a sentence each. Stored instants are
``Datetime("us", "UTC")``; closed sets are kept as strings (`flexkit.terms` holds their members).
"""

from __future__ import annotations

import polars as pl

from flexkit.tables.table import Column, Table

INSTANT = pl.Datetime("us", "UTC")
SIDS = pl.List(pl.String)

SID_PATTERN = r"^[A-Za-z]{2}[0-9a-fA-F]{32}$"
"""Any Twilio SID: two letters and 32 hexadecimal digits (source: Twilio's OpenAPI documents)."""


def _sid(name: str, prefix: str, meaning: str) -> Column:
    return Column(name, pl.String, f"{meaning} ({prefix}…)")


_INTERACTION = _sid("interaction_sid", "KD", "The Flex Interaction, null where the record does not name it")
_CHANNEL = _sid("channel_sid", "UO", "The Interaction Channel")
_TASK = _sid("task_sid", "WT", "The TaskRouter task")
_CONVERSATION = _sid("conversation_sid", "CH", "The Conversation")
_TYPE = Column("channel_type", pl.String, "voice, sms, email, web, whatsapp, chat, messenger, gbm")

ALERTS = Table(
    "alerts",
    "one Monitor alert",
    ("alert_sid",),
    (
        _sid("alert_sid", "NO", "The alert"),
        Column("error_code", pl.String, "Twilio's error code; 80906 is the one that flexkit is about"),
        Column("log_level", pl.String, "error, warning, notice, debug; lower case"),
        Column("generated_at", INSTANT, "When it happened (date_generated)"),
        Column("created_at", INSTANT, "When Twilio wrote it down; may lag"),
        Column("resource_sid", pl.String, "The resource that the alert names, of any kind"),
        Column("service_sid", pl.String, "The service that the alert names"),
        Column("origin", pl.String, "flex, proxy or undetermined, by the SIDs and product that the alert names"),
        _INTERACTION,
        _CHANNEL,
        _TASK,
        _CONVERSATION,
        Column("message", pl.String, "The alert's text, scrubbed of personal data"),
        Column("request_method", pl.String, "GET or POST of the request that the alert is about"),
        Column("request_path", pl.String, "Host and path of that request, without query, user or fragment"),
        Column("has_detail", pl.Boolean, "Whether the alert was fetched singly, or only seen in a list"),
        Column("product", pl.String, "Product name, where the record has one (Event Streams error logs)"),
        Column("received_at", INSTANT, "When a webhook receiver got it, for pushed alerts"),
    ),
    time="generated_at",
    mutable=True,
)

INTERACTIONS = Table(
    "interactions",
    "one Interaction as last read",
    ("interaction_sid",),
    (
        _INTERACTION,
        _CHANNEL,
        _TYPE,
        _CONVERSATION,
        Column("task_sids", SIDS, "Every task seen for it"),
        _sid("workspace_sid", "WS", "Workspace of its task"),
        _sid("workflow_sid", "WW", "Workflow of its task"),
        Column("created_at", INSTANT, "When its first task was created (epoch in its routing)"),
        Column("found", pl.Boolean, "False for a tombstone: Twilio answered 404"),
        Column("seen_at", INSTANT, "When it was read"),
    ),
    time="created_at",
    mutable=True,
)

CHANNELS = Table(
    "channels",
    "one Channel as seen at one instant",
    ("channel_sid", "observed_at"),
    (
        _CHANNEL,
        Column("observed_at", INSTANT, "When its status was read; REST has no time of change"),
        _INTERACTION,
        _TYPE,
        Column("status", pl.String, "setup, active, failed, closed, inactive, pause, transfer"),
        Column("error_code", pl.String, "Why it failed"),
        Column("found", pl.Boolean, "False for a tombstone: Twilio answered 404"),
    ),
    time="observed_at",
    mutable=True,
)

PARTICIPANTS = Table(
    "participants",
    "one Channel participant",
    ("participant_sid",),
    (
        _sid("participant_sid", "UT", "The participant"),
        _INTERACTION,
        _CHANNEL,
        Column("participant_type", pl.String, "supervisor, customer, external, agent, unknown"),
        _TASK,
        _sid("worker_sid", "WK", "Agent's worker"),
        _sid("reservation_sid", "WR", "Agent's reservation"),
    ),
    mutable=True,
)

INVITES = Table(
    "invites",
    "one Channel invite",
    ("invite_sid",),
    (
        _sid("invite_sid", "KG", "The invite"),
        _INTERACTION,
        _CHANNEL,
        _TASK,
        _sid("workflow_sid", "WW", "Workflow that it was routed to"),
        _sid("queue_sid", "WQ", "Queue that it was routed to"),
        Column("assignment_status", pl.String, "State of its task when read"),
        Column("created_at", INSTANT, "When its task was created"),
    ),
    time="created_at",
    mutable=True,
)

CONVERSATIONS = Table(
    "conversations",
    "one Conversation as last read",
    ("conversation_sid",),
    (
        _CONVERSATION,
        Column("state", pl.String, "initializing, active, inactive, closed"),
        Column("created_at", INSTANT, "date_created"),
        Column("updated_at", INSTANT, "date_updated: an upper bound for the time of closing"),
        _INTERACTION,
        _CHANNEL,
        Column("found", pl.Boolean, "False for a tombstone: Twilio answered 404"),
    ),
    time="created_at",
    mutable=True,
)

EXECUTIONS = Table(
    "executions",
    "one Studio execution",
    ("execution_sid",),
    (
        _sid("execution_sid", "FN", "The execution"),
        _sid("flow_sid", "FW", "Its flow"),
        Column("flow_version", pl.String, "Version of the flow that ran"),
        Column("status", pl.String, "active or ended"),
        Column("initiated_by", pl.String, "SID of what started it"),
        _CONVERSATION,
        _INTERACTION,
        Column("created_at", INSTANT, "date_created"),
        Column("updated_at", INSTANT, "date_updated"),
    ),
    time="created_at",
    mutable=True,
)

STEPS = Table(
    "steps",
    "one step of a Studio execution",
    ("step_sid",),
    (
        _sid("step_sid", "FT", "The step"),
        _sid("execution_sid", "FN", "Its execution"),
        _sid("flow_sid", "FW", "Its flow"),
        Column("name", pl.String, "Event or transition name: success, failed, timeout, …"),
        Column("transitioned_from", pl.String, "Widget that was left"),
        Column("transitioned_to", pl.String, "Widget that was entered"),
        _INTERACTION,
        _CHANNEL,
        _CONVERSATION,
        Column("created_at", INSTANT, "date_created"),
    ),
    time="created_at",
)

TASK_EVENTS = Table(
    "task_events",
    "one TaskRouter event, whatever its type",
    ("event_sid",),
    (
        _sid("event_sid", "EV", "The event"),
        Column("occurred_at", INSTANT, "Event time, to the millisecond where Twilio gives it"),
        Column("event_type", pl.String, "Twilio's name: task.completed, reservation.wrapup, …"),
        _TASK,
        _sid("reservation_sid", "WR", "Reservation"),
        _sid("worker_sid", "WK", "Worker"),
        _sid("workflow_sid", "WW", "Workflow"),
        _sid("queue_sid", "WQ", "Task queue"),
        _INTERACTION,
        _CHANNEL,
        _CONVERSATION,
        Column("actor_type", pl.String, "Free text at Twilio: worker, workspace, user, …"),
        Column("actor_sid", pl.String, "SID of the actor"),
        Column("source", pl.String, "Free text at Twilio: twilio, api, web"),
        Column("source_ip_hash", pl.String, "Keyed pseudonym of the caller's address"),
        Column("reason", pl.String, "Why a task was completed or canceled, scrubbed"),
        _TYPE,
        _sid("workspace_sid", "WS", "Workspace"),
    ),
    time="occurred_at",
)

SIGNALS = Table(
    "signals",
    "one observed thing with a time that ends an interaction or shows that it ended",
    ("signal_id",),
    (
        Column("signal_id", pl.String, "Made from the record alone, so that the same record gives the same id"),
        Column("occurred_at", INSTANT, "When; see time_kind"),
        Column("time_kind", pl.String, "event: the event's own clock; receipt: the receiver's clock"),
        _INTERACTION,
        _CHANNEL,
        _TASK,
        _CONVERSATION,
        _TYPE,
        Column("source", pl.String, "interactions_webhook, taskrouter, studio, conversations, debugger, app_log, …"),
        Column("kind", pl.String, "A SignalKind, or the own name of an unknown event of a known source"),
        Column("outcome", pl.String, "accepted, rejected, skipped, unknown; what became of an attempt"),
        Column("actor_type", pl.String, "worker, api, twilio, timer, studio, … as far as the source tells"),
        Column("handler", pl.String, "Automation or person that sent it: as logged, or a stable derived name"),
        Column("trigger_id", pl.String, "What set the handler off: idempotency token, EV, FN, job id"),
        Column("attempt", pl.Int64, "Which try of that trigger, from 1, where the source tells"),
        Column("evidence_sid", pl.String, "SID that shows it: NO, EV, FT, …; signal_id where there is none"),
        # Beyond the contract: what rules, handler maps and timelines need.
        Column("event_name", pl.String, "Twilio's own name: onChannelStatusUpdated, task.wrapup, close_channel, …"),
        Column("intent", pl.String, "end or remove_agent; only a completion log or a handler map can tell"),
        Column("status_before", pl.String, "Channel status that the handler read before it acted"),
        Column("http_status", pl.Int64, "Answer to the handler's request"),
        Column("reason", pl.String, "Reason text or code, scrubbed; API, TIMER, EVENT for a closed conversation"),
        Column("flow_sid", pl.String, "Studio flow (FW…)"),
        Column("flow_version", pl.String, "Version of that flow"),
        Column("widget", pl.String, "Studio widget"),
        Column("worker_sid", pl.String, "Worker (WK…)"),
        Column("queue_sid", pl.String, "Task queue (WQ…)"),
        Column("workflow_sid", pl.String, "Workflow (WW…)"),
        Column("source_ip_hash", pl.String, "Keyed pseudonym of the caller's address"),
        Column("subscription", pl.String, "Where it was delivered: receiver's host and path, or stream source"),
        Column("user_agent", pl.String, "User agent of the caller, where a capture has it"),
        Column("received_at", INSTANT, "When a receiver got it, where that differs from occurred_at"),
        Column("precision_us", pl.Int64, "Resolution of occurred_at in microseconds: 1000000 for whole seconds"),
        # Derived, for the heavy pass (README, "Sizing").
        Column("occurred_us", pl.Int64, "occurred_at as microseconds since 1970-01-01 UTC"),
        Column("ikey", pl.Int64, "64-bit key of interaction_sid, for equality; null where that is null"),
        Column("ekey", pl.Int64, "64-bit key of signal_id: the tie-break of equal times"),
        Column("tkey", pl.Int64, "64-bit key of trigger_id: equality only"),
        Column("ending", pl.Int8, "Place of kind among those that bear on an interaction's end, 0 to 11; null: none"),
        Column("day", pl.Date, "UTC day of occurred_at"),
        # One event is one signal however often it was delivered; a trigger id may be that of a delivery.
        Column("deliveries", SIDS, "Its deliveries as token|microseconds received|receiver; parts may be empty"),
    ),
    time="occurred_at",
)

CONFIGURATION = Table(
    "configuration",
    "one fact of the account's configuration: who listens to what, which widget can close a channel",
    ("config_id",),
    (
        Column("config_id", pl.String, "Made from the fact"),
        Column("kind", pl.String, "subscription, closer or change"),
        Column("subject_sid", pl.String, "Workspace, webhook, flow, sink, …"),
        Column("handler", pl.String, "Receiver's host and path, or flow/widget"),
        Column("event_types", SIDS, "Events that it listens to"),
        Column("detail", pl.String, "What can be closed, or what changed; scrubbed"),
        Column("observed_at", INSTANT, "When it was read"),
        Column("changed_at", INSTANT, "When it changed, for kind change"),
    ),
    time="observed_at",
    mutable=True,
)

REJECTS = Table(
    "rejects",
    "one record that did not fit, kept with its reason",
    ("reject_id",),
    (
        Column("reject_id", pl.String, "Made from the record and the reason"),
        Column("table", pl.String, "Table that it was meant for"),
        Column("reason", pl.String, "Why it does not fit, in words"),
        Column("source", pl.String, "File and line, or API path"),
        Column("seen_at", INSTANT, "When it was read"),
        Column("record", pl.String, "The record, scrubbed and shortened"),
    ),
    time="seen_at",
)

COVERAGE = Table(
    "coverage",
    "one window of one source that was read",
    ("coverage_id",),
    (
        Column("coverage_id", pl.String, "Made from source, resource, start, end and fetched_at"),
        Column("source", pl.String, "A Source"),
        Column("resource", pl.String, "What was read: alerts, events of a workspace, a file's kind"),
        Column("start", INSTANT, "From, inclusive"),
        Column("end", INSTANT, "To, exclusive"),
        Column("rows", pl.Int64, "Rows that the window gave"),
        Column("state", pl.String, "complete, partial, saturated, expired"),
        Column("reason", pl.String, "Why it is not complete, and what to do"),
        Column("fetched_at", INSTANT, "When it was read"),
    ),
    time="start",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        ALERTS,
        INTERACTIONS,
        CHANNELS,
        PARTICIPANTS,
        INVITES,
        CONVERSATIONS,
        EXECUTIONS,
        STEPS,
        TASK_EVENTS,
        SIGNALS,
        CONFIGURATION,
        REJECTS,
        COVERAGE,
    )
}
