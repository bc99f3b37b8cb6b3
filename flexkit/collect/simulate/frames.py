"""A world's evidence straight as tables, without files: for simulations that need thousands of centres.

A test holds these frames against what the importer makes of the same world's files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from flexkit.collect.simulate.degrade import outage
from flexkit.collect.simulate.evidence import gather
from flexkit.collect.simulate.formats import HOST
from flexkit.collect.simulate.observe import SOURCES, Stream
from flexkit.collect.simulate.observe_alerts import WARNING_CODE
from flexkit.collect.simulate.sids import generator
from flexkit.tables.keys import key64, signal_keys
from flexkit.tables.redact import Redactor
from flexkit.tables.schema import ALERTS, COVERAGE, INSTANT, SIGNALS
from flexkit.terms import CoverageState, Origin, Outcome, SignalKind, TimeKind

if TYPE_CHECKING:
    from flexkit.collect.simulate.damage import Degradation
    from flexkit.collect.simulate.evidence import Evidence
    from flexkit.collect.simulate.world import World

_KINDS = {
    "task.created": SignalKind.TASK_CREATED,
    "task.wrapup": SignalKind.TASK_WRAPUP,
    "task.completed": SignalKind.TASK_COMPLETED,
    "task.canceled": SignalKind.TASK_CANCELED,
    "workflow.timeout": SignalKind.WORKFLOW_TIMEOUT,
    "reservation.wrapup": SignalKind.RESERVATION_WRAPUP,
    "reservation.completed": SignalKind.RESERVATION_COMPLETED,
}
_REQUESTS = {
    "close_channel": SignalKind.CLOSE_CHANNEL_REQUESTED,
    "close_participant": SignalKind.CLOSE_PARTICIPANT_REQUESTED,
    "complete_task": SignalKind.COMPLETE_REQUESTED,
    "close_conversation": SignalKind.CLOSE_CONVERSATION_REQUESTED,
}
REDACTOR = Redactor(b"simulated")
"""Replaces addresses; an import with the same key gives the same pseudonyms."""

_WHOLE_SECONDS = (Stream.ALERTS, Stream.EXECUTIONS, Stream.STEPS)


class Observed(NamedTuple):
    """What is held of a world: frames of the tables of these names."""

    signals: pl.DataFrame
    alerts: pl.DataFrame
    coverage: pl.DataFrame


def observed_frames(world: World, degradation: Degradation | None = None) -> Observed:
    """The signals, alerts and coverage of *world* after *degradation* (its scenario's own where that is None)."""
    evidence = gather(world, degradation)
    return Observed(signals(evidence), alerts(evidence), coverage(evidence))


def signals(evidence: Evidence) -> pl.DataFrame:
    """The table ``signals`` of this evidence."""
    frames, damage = evidence.frames, evidence.damage
    flow = evidence.seen.identity.account.after_task_flow
    parts = {
        Stream.INTERACTIONS: _interactions(frames[Stream.INTERACTIONS]),
        Stream.CONVERSATIONS: _conversations(frames[Stream.CONVERSATIONS]),
        Stream.TASK_EVENTS: _task_events(frames[Stream.TASK_EVENTS], evidence.seen.identity.account.workflow),
        Stream.ALERTS: _warnings(frames[Stream.ALERTS]),
        Stream.COMPLETION_LOG: _completion_log(frames[Stream.COMPLETION_LOG]),
        Stream.EXECUTIONS: _executions(frames[Stream.EXECUTIONS], flow),
        Stream.STEPS: _steps(frames[Stream.STEPS], flow),
    }
    whole = []
    for stream, part in parts.items():
        source = SOURCES[stream]
        coarse = source in damage.truncated or stream in _WHOLE_SECONDS
        fine = 1_000_000 if coarse else 1_000
        whole.append(
            SIGNALS.conform(
                part.lazy().with_columns(
                    source=pl.lit(source.value),
                    occurred_at=pl.col("at_us").cast(INSTANT),
                    precision_us=pl.lit(fine, pl.Int64),
                )
            )
        )
    held = pl.concat(whole).collect()
    ids = generator(evidence.seen.world.seed, "signals").bytes(16 * held.height).hex()
    made = pl.Series([f"SG{ids[at : at + 32]}" for at in range(0, 32 * held.height, 32)], dtype=pl.String)
    return (
        held.with_columns(signal_id=pl.coalesce(pl.col("signal_id"), made))
        .with_columns(evidence_sid=pl.coalesce("evidence_sid", "signal_id"), tkey=_trigger_key())
        .with_columns(signal_keys())
        .sort("occurred_at", "signal_id")
    )


def _trigger_key() -> pl.Expr:
    by_digits = key64("trigger_id")
    return pl.coalesce(by_digits, pl.col("trigger_id").hash(0).reinterpret(signed=True))


def _interactions(frame: pl.DataFrame) -> pl.DataFrame:
    status = pl.format("channel_{}", "status")
    kind = pl.when(pl.col("event") == "onParticipantJoined").then(pl.lit(SignalKind.PARTICIPANT_JOINED.value))
    # A record that arrives twice is one signal; a delivery that is made again is another.
    once = frame.unique(["at_us", "token", "event", "path"], keep="first", maintain_order=True)
    return once.with_columns(
        kind=pl.coalesce(status, kind.otherwise(pl.lit(SignalKind.PARTICIPANT_LEFT.value))),
        time_kind=pl.lit(TimeKind.RECEIPT.value),
        conversation_sid=_conversation(),
        actor_type=pl.col("participant_type"),
        trigger_id=pl.col("token"),
        event_name=pl.col("event"),
        subscription=pl.lit(HOST.removeprefix("https://")) + pl.col("path"),
        received_at=pl.col("at_us").cast(INSTANT),
        user_agent=pl.lit("TwilioProxy/1.1"),
    )


def _conversation() -> pl.Expr:
    """A voice channel's medium is a conference, not a Conversation."""
    return pl.when(pl.col("media_sid").str.starts_with("CH")).then("media_sid")


def _conversations(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.unique("conversation_sid", keep="first", maintain_order=True).with_columns(
        kind=pl.lit(SignalKind.CONVERSATION_CLOSED.value),
        time_kind=pl.lit(TimeKind.EVENT.value),
        actor_type=pl.col("reason").str.to_lowercase(),
        handler=pl.col("reason").replace_strict({"API": "conversations-api", "TIMER": "timer"}, return_dtype=pl.String),
        trigger_id=pl.col("token"),
        evidence_sid=pl.col("conversation_sid"),
        event_name=pl.lit("onConversationStateUpdated"),
        subscription=pl.lit(f"{HOST.removeprefix('https://')}/conversations"),
        received_at=pl.col("received_us").cast(INSTANT).dt.truncate("1ms"),
        user_agent=pl.lit("TwilioProxy/1.1"),
    )


def _task_events(frame: pl.DataFrame, workflow: str) -> pl.DataFrame:
    known = {name: str(kind) for name, kind in _KINDS.items()}
    # Only REST says who moved the task on.
    actor = pl.when(pl.col("by_rest")).then(
        pl.when(pl.col("actor_type") == "worker").then(pl.lit("worker")).when(pl.col("via") == "api").then(
            pl.lit("api")
        ).when(pl.col("via") == "twilio").then(pl.lit("twilio"))
    )  # fmt: skip
    once = frame.filter(pl.col("event").is_in(list(known))).unique("event_sid", keep="first", maintain_order=True)
    caller = pl.format("api@{}", pl.col("source_ip_hash").str.slice(0, 8))
    return (
        once.with_columns(kind=pl.col("event").replace_strict(known, return_dtype=pl.String), actor_type=actor)
        .with_columns(
            signal_id=pl.format("{}/{}", "event_sid", "kind"),
            time_kind=pl.lit(TimeKind.EVENT.value),
            conversation_sid=_conversation(),
            source_ip_hash=pl.when("by_rest").then(REDACTOR.pseudonyms(once["source_ip"])),
            trigger_id=pl.col("event_sid"),
            evidence_sid=pl.col("event_sid"),
            event_name=pl.col("event"),
            workflow_sid=pl.lit(workflow),
            worker_sid=pl.when(pl.col("event") != "task.created").then("worker_sid"),
        )
        .with_columns(
            handler=pl.when(pl.col("actor_type") == "api")
            .then(caller)
            .otherwise(pl.col("actor_type").replace("twilio", "taskrouter"))
        )
    )


def _warnings(frame: pl.DataFrame) -> pl.DataFrame:
    found = frame.filter(pl.col("code") == WARNING_CODE).unique("alert_sid", keep="first", maintain_order=True)
    return _with_resource(found).with_columns(
        signal_id=pl.format("{}/warning", "alert_sid"),
        kind=pl.lit(SignalKind.WARNING.value),
        time_kind=pl.lit(TimeKind.EVENT.value),
        trigger_id=pl.col("token"),
        evidence_sid=pl.col("alert_sid"),
        event_name=pl.col("code"),
        reason=pl.col("message"),
    )


def _with_resource(frame: pl.DataFrame) -> pl.DataFrame:
    def named(prefix: str) -> pl.Expr:
        return pl.when(pl.col("resource_sid").str.starts_with(prefix)).then("resource_sid")

    return frame.with_columns(
        interaction_sid=named("KD"), channel_sid=named("UO"), task_sid=named("WT"), conversation_sid=named("CH")
    )


def _completion_log(frame: pl.DataFrame) -> pl.DataFrame:
    log = ["at_us", "interaction_sid", "channel_sid", "operation", "handler", "trigger_id", "status_before",
           "outcome", "intent", "http_status"]  # fmt: skip
    # A time without a zone is rejected.
    return frame.filter(~pl.col("is_naive")).unique(log, keep="first", maintain_order=True).with_columns(
        kind=pl.col("operation").replace_strict({k: str(v) for k, v in _REQUESTS.items()}, return_dtype=pl.String),
        time_kind=pl.lit(TimeKind.EVENT.value),
        actor_type=pl.lit("automation"),
        event_name=pl.col("operation"),
        outcome=pl.col("outcome").fill_null(Outcome.UNKNOWN.value),
    )  # fmt: skip


def _studio(frame: pl.DataFrame, flow: str) -> pl.DataFrame:
    return frame.with_columns(
        time_kind=pl.lit(TimeKind.EVENT.value),
        actor_type=pl.lit("studio"),
        trigger_id=pl.col("execution_sid"),
        flow_sid=pl.lit(flow),
    )


def _executions(frame: pl.DataFrame, flow: str) -> pl.DataFrame:
    return _studio(frame.unique("execution_sid", keep="first", maintain_order=True), flow).with_columns(
        signal_id=pl.format("{}/studio_execution", "execution_sid"),
        kind=pl.lit("studio_execution"),
        channel_type=pl.lit(None, pl.String),
        handler=pl.lit(f"studio:{flow}"),
        evidence_sid=pl.col("execution_sid"),
        event_name=pl.lit("execution"),
    )


def _steps(frame: pl.DataFrame, flow: str) -> pl.DataFrame:
    return _studio(frame.unique("step_sid", keep="first", maintain_order=True), flow).with_columns(
        signal_id=pl.format("{}/studio_step", "step_sid"),
        kind=pl.lit(SignalKind.STUDIO_STEP.value),
        interaction_sid=pl.when("is_close").then("interaction_sid"),
        channel_sid=pl.when("is_close").then("channel_sid"),
        flow_version=pl.lit(None, pl.String),
        handler=pl.format("studio:{}/{}", pl.lit(flow), "left"),
        widget=pl.col("left"),
        evidence_sid=pl.col("step_sid"),
        event_name=pl.col("name"),
        outcome=pl.lit(Outcome.UNKNOWN.value),
    )


def alerts(evidence: Evidence) -> pl.DataFrame:
    """The table ``alerts`` of this evidence."""
    found = evidence.frames[Stream.ALERTS].unique("alert_sid", keep="first", maintain_order=True)
    proxy = pl.col("resource_sid").str.starts_with("KI").fill_null(value=False)
    named = pl.col("resource_sid").str.contains("^(KD|UO)") | pl.col("service_sid").str.starts_with("GO")
    # Only the error log of Event Streams says which product an alert is from.
    flex = named.fill_null(value=False) | (pl.col("by_stream") & (pl.col("product") == "Flex"))
    return ALERTS.conform(
        _with_resource(found)
        .lazy()
        .with_columns(
            error_code=pl.col("code"),
            log_level=pl.col("level"),
            generated_at=pl.col("at_us").cast(INSTANT),
            # Only REST says when an alert was written down.
            created_at=pl.when("by_rest").then(pl.col("at_us") + pl.col("lag_us")).cast(INSTANT),
            origin=pl.when(proxy)
            .then(pl.lit(Origin.PROXY.value))
            .when(flex)
            .then(pl.lit(Origin.FLEX.value))
            .otherwise(pl.lit(Origin.UNDETERMINED.value)),
            has_detail=pl.lit(value=True),
            product=pl.when("by_stream").then("product"),
        )
    ).collect()


def coverage(evidence: Evidence) -> pl.DataFrame:
    """The table ``coverage``: each source that is there, from the window's start to its end, without its outages."""
    world, damage = evidence.seen.world, evidence.damage
    rows = []
    for source in dict.fromkeys(SOURCES.values()):
        if source in damage.missing:
            continue
        held = sum(frame.height for stream, frame in evidence.frames.items() if SOURCES[stream] == source)
        start = world.start
        if damage.retention_days is not None:
            start = max(start, world.end - damage.retention_days * 86_400_000_000)
        edges = [start]
        for gap in damage.outages.get(source, ()):
            edges += outage(world, *gap)
        edges.append(world.end)
        for begin, stop in zip(edges[::2], edges[1::2], strict=True):
            rows.append((source.value, begin, stop, held))
    named = pl.DataFrame(rows, schema=["source", "start", "end", "rows"], orient="row")
    ids = [f"CV{number:032x}" for number in range(len(rows))]
    return COVERAGE.conform(
        named.lazy().with_columns(
            pl.Series("coverage_id", ids, dtype=pl.String),
            pl.col("start", "end").cast(pl.Int64).cast(INSTANT),
            resource=pl.lit("simulated"),
            state=pl.lit(CoverageState.COMPLETE.value),
            fetched_at=pl.lit(np.int64(world.end)).cast(INSTANT),
        )
    ).collect()
