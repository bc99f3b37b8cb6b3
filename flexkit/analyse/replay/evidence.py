"""What replay reads out of signals and alerts: attempts to complete, warnings, and signs of a close."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from flexkit.analyse.attempts import TERMINAL_TASK_KINDS, UNSERVED_KINDS
from flexkit.analyse.linking import prepared, resolved
from flexkit.analyse.linking import warnings as linked_warnings
from flexkit.tables.lookup import LINKS
from flexkit.terms import Origin, SignalKind, Source

ATTEMPT_KINDS = (
    SignalKind.CLOSE_CHANNEL_REQUESTED,
    SignalKind.COMPLETE_REQUESTED,
    SignalKind.CLOSE_CONVERSATION_REQUESTED,
    SignalKind.STUDIO_STEP,
)
OTHER_TRIGGER = "other"
"""The trigger kind of an attempt that no TaskRouter event has set off."""

_TASK_ENDS = (SignalKind.TASK_WRAPUP, SignalKind.TASK_COMPLETED)
_CLOSED = (SignalKind.CHANNEL_CLOSED, SignalKind.CONVERSATION_CLOSED)
_SECOND = 1_000_000
_STEP_BEFORE_REQUEST = 3 * _SECOND
# A widget that can close says so in its name, where no flow definition tells.
_CLOSING_WIDGET = r"(?i)clos|end|complet|finish|terminat|hang|resolv|wrap"

REOPENED_AFTER = dt.timedelta(minutes=1)
"""A channel that is active again this long after its close was reopened; sooner, deliveries crossed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Small frames, keyed by ``interaction`` (64 bits); ``at`` is microseconds since 1970 UTC.

    attempts: interaction, channel_type, at, source, handler, kind, intent, trigger_id, trigger_kind,
    outcome, is_failure, is_open_skip, is_echoed (a second source shows it too).
    warnings: warning_id, interaction, interaction_sid, at, occurred_at.
    signs (only of interactions with a warning): interaction, at, sign (``closed``, ``timer`` or
    ``worker``), handler, source. task_ends (only of interactions with an attempt): interaction, at, the
    first terminal task event. reopens: interaction, at.
    """

    attempts: pl.DataFrame
    warnings: pl.DataFrame
    signs: pl.DataFrame
    task_ends: pl.DataFrame
    reopens: pl.DataFrame


def gather(signals: pl.LazyFrame, alerts: pl.LazyFrame | None = None) -> Evidence:
    """The evidence for a replay; *signals* and *alerts* need no more than the contract's columns.

    Raises `SchemaError` where a column of the contract is absent that cannot be done without.
    """
    plain = prepared(signals)
    known = plain.with_columns(at=_middle())
    attempts = resolved(_attempts(known).collect(), plain).drop(LINKS)
    attempts = attempts.filter(pl.col("interaction_sid").is_not_null()).with_columns(_key("interaction_sid"))
    attempts = _with_triggers(_without_echoes(attempts), known)
    warnings = _warnings(plain, alerts)
    signs, task_ends, reopens = pl.collect_all(
        (_signs(known, warnings), _task_ends_of(known, attempts), _reopens(known))
    )
    return Evidence(attempts, warnings, signs, task_ends, reopens)


def _key(column: str) -> pl.Expr:
    return pl.col(column).hash(0).alias("interaction")


def _middle() -> pl.Expr:
    """Microseconds; an instant cut to whole seconds stands for the middle of its second."""
    instant = pl.col("occurred_us")
    # Alerts are cut to the second whether or not their precision was kept.
    is_cut = (pl.col("kind") == SignalKind.WARNING) & (instant % _SECOND == 0)
    cut = pl.when(is_cut).then(_SECOND).otherwise(pl.col("precision_us").fill_null(0).clip(0, _SECOND))
    return instant + cut // 2


def _attempts(signals: pl.LazyFrame) -> pl.LazyFrame:
    failure = (pl.col("http_status") == 429) | (pl.col("http_status") >= 500)
    # A handler that skipped because of its own key would skip again; one that read "closed" would not.
    read_open = pl.col("status_before").is_in(["active", "setup", "pause", "transfer"])
    is_step = pl.col("kind") == SignalKind.STUDIO_STEP
    says_close = pl.coalesce("widget", "event_name").str.contains(_CLOSING_WIDGET).fill_null(value=True)
    return (
        signals.filter(pl.col("kind").is_in(ATTEMPT_KINDS) & (~is_step | says_close) & pl.col("at").is_not_null())
        .with_columns(is_failure=failure.fill_null(value=False), is_open_skip=read_open.fill_null(value=False))
        .select(
            *("signal_id", "interaction_sid", *LINKS, "channel_type", "at", "source", "handler", "kind"),
            *("intent", "trigger_id", "attempt", "outcome", "is_failure", "is_open_skip"),
        )
    )


def _warnings(signals: pl.LazyFrame, alerts: pl.LazyFrame | None) -> pl.DataFrame:
    """One row for each 80906 alert that is not Proxy's."""
    ours = (pl.col("origin") != Origin.PROXY) & pl.col("occurred_us").is_not_null()
    # A warning that names no known interaction stands alone: counted, but beyond replay.
    named = pl.coalesce("interaction_sid", "evidence_sid")
    return (
        linked_warnings(signals, alerts)
        .filter(ours)
        .select(
            pl.col("evidence_sid").alias("warning_id"),
            named.hash(0).alias("interaction"),
            "interaction_sid",
            _middle().alias("at"),
            "occurred_at",
        )
        .sort("at", "warning_id")
    )


def _without_echoes(attempts: pl.DataFrame) -> pl.DataFrame:
    """One row for each attempt: exact copies go, and Studio steps that a completion log repeats.

    What only a step shows counts as echoed too: it would have been seen without a line of the log.
    """
    same = ["interaction", "at", "source", "handler", "kind", "trigger_id", "attempt", "outcome"]
    attempts = attempts.unique(same, keep="first", maintain_order=True)
    is_step = pl.col("kind") == SignalKind.STUDIO_STEP
    steps, requests = attempts.filter(is_step), attempts.filter(~is_step)
    if steps.is_empty():
        return attempts.with_columns(is_echoed=pl.lit(value=False))
    told = requests.select("interaction", "at", "handler", "kind", "trigger_id", told_id="signal_id")
    apart = (pl.col("at") - pl.col("at_told")).abs() <= _STEP_BEFORE_REQUEST
    same_run = (pl.col("trigger_id") == pl.col("trigger_id_told")).fill_null(value=False)
    same_name = ((pl.col("handler") == pl.col("handler_told")) & apart).fill_null(value=False)
    both = steps.join(told, on="interaction", suffix="_told").filter(same_run | same_name)
    # A step whose line was lost is still what the log calls by another name.
    names = (
        both.group_by("handler", "handler_told", "kind_told")
        .len()
        .sort("len", "handler_told", descending=[True, False])
        .unique("handler", keep="first", maintain_order=True)
    )
    alone = steps.join(both, on="signal_id", how="anti").join(names, on="handler", how="left", maintain_order="left")
    alone = alone.with_columns(handler=pl.coalesce("handler_told", "handler"), kind=pl.coalesce("kind_told", "kind"))
    alone = alone.with_columns(is_echoed=pl.lit(value=True))
    requests = requests.with_columns(is_echoed=pl.col("signal_id").is_in(both["told_id"].implode()))
    return pl.concat((requests, alone.select(requests.columns)))


def _with_triggers(attempts: pl.DataFrame, signals: pl.LazyFrame) -> pl.DataFrame:
    """What kind of event set each attempt off, found by the event's SID or by the token of its delivery.

    Null where the trigger is unknown, or is a TaskRouter event (EV…) that was not collected. A trigger
    that is neither such an event nor a delivery of one is of another kind.
    """
    triggers = attempts.select(pl.col("trigger_id").drop_nulls().unique())
    is_event = pl.col("trigger_id").str.starts_with("EV")
    tasks = signals.filter(pl.col("source") == Source.TASKROUTER)
    delivered = tasks.filter(
        pl.col("kind").is_in(TERMINAL_TASK_KINDS) & pl.col("trigger_id").ne_missing(pl.col("evidence_sid"))
    )
    by_event = tasks.select(trigger_id="evidence_sid", named="kind").join(
        triggers.lazy().filter(is_event), on="trigger_id", how="semi"
    )
    by_token = delivered.select("trigger_id", named="kind").join(
        triggers.lazy().filter(~is_event), on="trigger_id", how="semi"
    )
    kinds = pl.concat(pl.collect_all((by_event, by_token))).unique("trigger_id", keep="first", maintain_order=True)
    other = pl.when(~is_event).then(pl.lit(OTHER_TRIGGER))
    return attempts.join(kinds, on="trigger_id", how="left", maintain_order="left").with_columns(
        trigger_kind=pl.coalesce("named", other)
    )


def _signs(signals: pl.LazyFrame, warnings: pl.DataFrame) -> pl.LazyFrame:
    """Signs that an interaction with a warning was closed, whoever did it."""
    sids = warnings["interaction_sid"].drop_nulls().unique().implode()
    timer = (pl.col("kind") == SignalKind.CONVERSATION_CLOSED) & (pl.col("reason").str.to_uppercase() == "TIMER")
    worker = pl.col("kind").is_in(_TASK_ENDS) & (pl.col("actor_type").str.to_lowercase() == "worker")
    sign = pl.when(timer).then(pl.lit("timer")).when(worker).then(pl.lit("worker")).otherwise(pl.lit("closed"))
    return signals.filter((pl.col("kind").is_in(_CLOSED) | worker) & pl.col("interaction_sid").is_in(sids)).select(
        _key("interaction_sid"), "at", sign.alias("sign"), "handler", "source"
    )


def _task_ends_of(signals: pl.LazyFrame, attempts: pl.DataFrame) -> pl.LazyFrame:
    """The first event that ended a task of each interaction with an attempt; unserved ones come first."""
    ours = attempts.lazy().select("interaction").unique()
    ends = signals.filter(pl.col("kind").is_in(TERMINAL_TASK_KINDS) & pl.col("interaction_sid").is_not_null())
    unserved = pl.col("at").filter(pl.col("kind").is_in(UNSERVED_KINDS)).min()
    return (
        ends.select(_key("interaction_sid"), "kind", "at")
        .join(ours, on="interaction", how="semi")
        .group_by("interaction")
        .agg(at=pl.coalesce(unserved, pl.col("at").min()))
    )


def _reopens(signals: pl.LazyFrame) -> pl.LazyFrame:
    """When a closed channel became active again and was closed once more."""
    wait = int(REOPENED_AFTER.total_seconds()) * _SECOND
    kinds = (SignalKind.CHANNEL_CLOSED, SignalKind.CHANNEL_ACTIVE)
    changes = signals.filter(pl.col("kind").is_in(kinds) & pl.col("interaction_sid").is_not_null())
    closed = pl.col("at").filter(pl.col("kind") == SignalKind.CHANNEL_CLOSED)
    active = pl.col("at").filter(pl.col("kind") == SignalKind.CHANNEL_ACTIVE)
    return (
        changes.group_by(_key("interaction_sid"))
        .agg(first=closed.min(), last=closed.max(), at=active)
        .filter(pl.col("first") < pl.col("last"))
        .explode("at")
        .filter((pl.col("at") > pl.col("first") + wait) & (pl.col("at") < pl.col("last")))
        .select("interaction", "at")
    )
