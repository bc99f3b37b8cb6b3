"""Recorded attempts to complete an interaction, and what set each of them off.

Works on the rows of affected interactions only: small frames, read into memory.
"""

from __future__ import annotations

import polars as pl

from flexkit.terms import Outcome, SignalKind, TimeKind

SECOND = 1_000_000
"""Microseconds in a second: all times here are integers."""

OPERATIONS = {
    SignalKind.CLOSE_CHANNEL_REQUESTED.value: "close_channel",
    SignalKind.COMPLETE_REQUESTED.value: "complete_task",
    SignalKind.CLOSE_CONVERSATION_REQUESTED.value: "close_conversation",
    SignalKind.STUDIO_STEP.value: "studio_step",
}
"""Signals that are an attempt to complete, and the name of what was attempted."""

TERMINAL_TASK_KINDS = (
    SignalKind.WORKFLOW_TIMEOUT.value,
    SignalKind.TASK_CANCELED.value,
    SignalKind.TASK_DELETED.value,
    "task.system-deleted",
    SignalKind.TASK_WRAPUP.value,
    SignalKind.TASK_COMPLETED.value,
    SignalKind.RESERVATION_WRAPUP.value,
    SignalKind.RESERVATION_COMPLETED.value,
)
"""TaskRouter events that say a task is ending or over: what uncoordinated automations react to."""

UNSERVED_KINDS = TERMINAL_TASK_KINDS[:4]
"""Terminal events of a task that no agent finished."""

# A widget that can close says so in its name, where no flow definition tells ("send_to_flex" does not).
_CLOSING_WIDGET = (
    r"(?i)clos|complet|finish|terminat|hang.?up|resolv|(?:^|[^a-z])end(?:[^a-z]|$|chat|conv|inter|chan|task)"
)


# The SID of what is acted on says nothing about what set a handler off.
_RESOURCE = "^(?:KD|UO|UT|KG|CH|WT|WR|WK|WS|AC)[0-9a-fA-F]{32}$"
# Some log the name of the event instead of its id: that tells the kind of event, not which one.
_EVENT_NAMES = {
    "workflow.timeout": SignalKind.WORKFLOW_TIMEOUT.value,
    "task.canceled": SignalKind.TASK_CANCELED.value,
    "task.deleted": SignalKind.TASK_DELETED.value,
    "task.system-deleted": "task.system-deleted",
    "task.wrapup": SignalKind.TASK_WRAPUP.value,
    "task.completed": SignalKind.TASK_COMPLETED.value,
    "reservation.wrapup": SignalKind.RESERVATION_WRAPUP.value,
    "reservation.completed": SignalKind.RESERVATION_COMPLETED.value,
}
_EVENT_NAME = r"^(?:(?:task|reservation|workflow|task-queue|worker)\.[a-z.-]+|on[A-Z][A-Za-z]+)$"

_EVENT_IDS = r"^(?:EV[0-9a-fA-F]{32}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})$"
DELIVERED = "event"
"""Form of a trigger id that Twilio gives to an event or to a delivery of one."""

_CALLING_WIDGET = r"(?i)http|function|request|webhook|(?:^|[^a-z])api(?:[^a-z]|$)"


def form(trigger_id: pl.Expr) -> pl.Expr:
    """What a trigger id looks like: ``event``, the prefix of another SID, the word that it begins with, or null.

    One routine numbers what sets it off in one way: ``req-17`` and ``job-17`` are not two tries of one thing.
    """
    sid = trigger_id.str.extract("^([A-Z]{2})[0-9a-fA-F]{32}$")
    word = trigger_id.str.extract("^([A-Za-z]{2,})[-_:./#]").str.to_lowercase()
    return (
        pl.when(trigger_id.str.contains(f"{_EVENT_IDS}|{_EVENT_NAME}"))
        .then(pl.lit(DELIVERED))
        .otherwise(pl.coalesce(sid, pl.when(~word.str.contains("^[a-f]+$")).then(word)))
    )


def can_close(configuration: pl.DataFrame | None = None) -> pl.Expr:
    """Whether a Studio step is one of a widget that can close something.

    As the flow's definition in *configuration* says, where it is held; else as the widget's name says. A
    step that names no widget is taken to be one that closes.
    """
    by_name = pl.coalesce("widget", "event_name").str.contains(_CLOSING_WIDGET).fill_null(value=True)
    if configuration is None or configuration.is_empty():
        return by_name
    closers = configuration.filter(
        pl.col("kind") == "closer", ~(pl.col("detail") == "participant").fill_null(value=False)
    )
    widget = pl.format("studio:{}/{}", "flow_sid", "widget").is_in(closers["handler"].drop_nulls().implode())
    is_known = pl.col("flow_sid").is_in(closers["subject_sid"].drop_nulls().implode())
    return pl.when(is_known.fill_null(value=False)).then(widget.fill_null(value=True)).otherwise(by_name)


def attempts(rows: pl.DataFrame, configuration: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row per recorded attempt in *rows*, oldest first in each interaction, with its trigger resolved.

    Adds ``attempt_id``, ``operation``, ``is_vague`` (a flow ran, and may have closed or not), ``went_through``
    (neither rejected nor skipped), ``trigger_form`` (`form`), and of the event that set it off, where that
    event was seen: ``trigger_key`` (the TaskRouter event's own SID, so that two deliveries of one event have
    one key; else the trigger as logged), ``trigger_kind``, ``trigger_us``, ``trigger_task``,
    ``trigger_actor``. The same line seen twice is one attempt; so are a Studio step and the line that the
    function it ran has logged under the execution's SID.
    """
    is_step = pl.col("kind") == SignalKind.STUDIO_STEP
    clear = rows.filter(pl.col("kind").is_in(list(OPERATIONS)), ~is_step | can_close(configuration))
    vague = _vague(rows, configuration).with_columns(is_vague=pl.lit(value=True))
    found = (
        pl.concat([clear.with_columns(is_vague=pl.lit(value=False)), vague])
        .sort("interaction_sid", "occurred_us", "ekey", "signal_id", nulls_last=True)
        .unique(
            ["interaction_sid", "source", "kind", "handler", "trigger_id", "occurred_us", "task_sid", "outcome"],
            keep="first",
            maintain_order=True,
        )
    )
    logged = found.filter(~is_step, pl.col("trigger_id").is_not_null()).select("interaction_sid", "trigger_id")
    run_by_step = found.filter(is_step).join(
        logged.unique(), on=["interaction_sid", "trigger_id"], how="anti", maintain_order="left"
    )
    # A server error or a lost answer does not say that nothing was done.
    unanswered = (pl.col("outcome") == Outcome.REJECTED) & (pl.col("http_status") >= 500)
    outcome = (
        pl.when(unanswered.fill_null(value=False))
        .then(pl.lit(Outcome.UNKNOWN.value))
        .otherwise(pl.col("outcome").fill_null(Outcome.UNKNOWN.value))
    )
    return (
        pl.concat([found.filter(~is_step), run_by_step])
        .sort("interaction_sid", "occurred_us", "ekey", "signal_id", nulls_last=True)
        .join(_events(rows), on=["interaction_sid", "trigger_id"], how="left", maintain_order="left")
        .with_row_index("attempt_id")
        .with_columns(
            operation=pl.col("kind").replace_strict(OPERATIONS, return_dtype=pl.String),
            outcome=outcome,
            trigger_form=form(pl.col("trigger_id")),
            went_through=~outcome.is_in([Outcome.REJECTED, Outcome.SKIPPED]),
            trigger_kind=pl.coalesce(
                "trigger_kind",
                pl.col("trigger_id").replace_strict(_EVENT_NAMES, default=None, return_dtype=pl.String),
            ),
            trigger_key=pl.when(pl.col("event_sid").str.contains("^(?i:ev)[0-9a-f]"))
            .then("event_sid")
            .when(~pl.col("trigger_id").str.contains(f"{_RESOURCE}|{_EVENT_NAME}"))
            .then("trigger_id"),
        )
    )


def _vague(rows: pl.DataFrame, configuration: pl.DataFrame | None) -> pl.DataFrame:
    """Studio steps that call something, and executions whose steps are not held: they may have closed, or not."""
    steps = rows.filter(pl.col("kind") == SignalKind.STUDIO_STEP)
    calls = pl.coalesce("widget", "event_name").str.contains(_CALLING_WIDGET).fill_null(value=False)
    by_definition = pl.lit(value=False)
    if configuration is not None:
        flows = configuration.filter(pl.col("kind") == "closer")["subject_sid"].drop_nulls()
        by_definition = pl.col("flow_sid").is_in(flows.implode()).fill_null(value=False)
    known = steps.select("interaction_sid", "trigger_id").unique()
    executions = rows.filter(pl.col("kind") == "studio_execution").join(
        known, on=["interaction_sid", "trigger_id"], how="anti"
    )
    named = steps.filter(calls & ~can_close(configuration) & ~by_definition)
    return pl.concat([named, executions.with_columns(kind=pl.lit(SignalKind.STUDIO_STEP.value))])


def deliveries(rows: pl.DataFrame) -> pl.DataFrame:
    """Every delivery of an event in *rows*: ``delivered_as`` (token or id), ``delivered_us``, ``receiver``.

    Interactions webhooks are a signal per delivery; the signals of other events list theirs.
    """
    events = rows.filter(~pl.col("kind").is_in([*OPERATIONS, SignalKind.WARNING.value])).select(
        "interaction_sid", "kind", "occurred_us", "time_kind", "subscription", "task_sid", "actor_type",
        event_sid="evidence_sid", own_id="trigger_id", listed="deliveries",
    )  # fmt: skip
    parts = pl.col("listed").str.split("|")
    listed = events.explode("listed").filter(pl.col("listed").is_not_null())
    listed = listed.with_columns(
        delivered_as=parts.list.get(0, null_on_oob=True),
        delivered_us=parts.list.get(1, null_on_oob=True).cast(pl.Int64, strict=False),
        receiver=parts.list.get(2, null_on_oob=True),
    )
    received = pl.col("time_kind") == TimeKind.RECEIPT
    own = events.filter(pl.col("own_id").is_not_null()).with_columns(
        delivered_as=pl.col("own_id"),
        delivered_us=pl.when(received).then("occurred_us"),
        receiver=pl.when(received).then("subscription"),
    )
    told = (
        "interaction_sid", "kind", "occurred_us", "task_sid", "actor_type", "event_sid", "delivered_as",
        "delivered_us", "receiver",
    )  # fmt: skip
    return pl.concat([listed.select(told), own.select(told)])


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    """What a trigger id may name: an event by its own SID, or by the id of one of its deliveries."""
    told = deliveries(rows).select(
        "interaction_sid",
        "event_sid",
        trigger_id="delivered_as",
        trigger_kind="kind",
        trigger_us="occurred_us",
        trigger_task="task_sid",
        trigger_actor="actor_type",
        rank=(~pl.col("kind").is_in(TERMINAL_TASK_KINDS)).cast(pl.Int8) + 2,
    )
    events = rows.filter(~pl.col("kind").is_in([*OPERATIONS, SignalKind.WARNING.value])).select(
        "interaction_sid",
        event_sid="evidence_sid",
        trigger_id="evidence_sid",
        trigger_kind="kind",
        trigger_us="occurred_us",
        trigger_task="task_sid",
        trigger_actor="actor_type",
        rank=(~pl.col("kind").is_in(TERMINAL_TASK_KINDS)).cast(pl.Int8),
    )
    return (
        pl.concat([events, told.select(events.columns)])
        .drop_nulls("trigger_id")
        .sort("rank", "trigger_us")
        .unique(["interaction_sid", "trigger_id"], keep="first", maintain_order=True)
        .drop("rank")
    )
