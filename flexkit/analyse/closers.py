"""Who closed an interaction first: a recorded attempt, or what the events tell of an agent, a timer, a task's end.

Works on the rows of affected interactions only: small frames, read into memory.
"""

from __future__ import annotations

import polars as pl

from flexkit.analyse.attempts import SECOND, TERMINAL_TASK_KINDS
from flexkit.analyse.handlers import AGENT, TIMER
from flexkit.analyse.matching import BESIDE_US, CLOSING_LAG_US, LONE_US, MATCH_US, NATURAL_US, SKEW_US
from flexkit.terms import Outcome, SignalKind

NATURAL = 1 << 31
"""Attempt ids from here on are completions that TaskRouter shows, not recorded attempts."""

_BY_HAND = pl.col("actor_type").str.to_lowercase().is_in(["worker", "user"]).fill_null(value=False) | (
    pl.col("actor_type").is_null() & pl.col("worker_sid").is_not_null()
)

SIDE = (
    "attempt_id", "occurred_us", "source", "handler", "operation", "kind", "outcome", "intent", "status_before",
    "trigger_id", "trigger_key", "trigger_kind", "trigger_us", "actor_type", "evidence_sid", "attempt",
    "precision_us", "time_kind", "task_sid", "subscription", "worker_sid",
    "handler_kind", "trigger_task", "trigger_actor", "trigger_form",
)  # fmt: skip
"""What is kept of a first close and of a second completion."""


def natural_completions(rows: pl.DataFrame) -> pl.DataFrame:
    """Completions that no log holds: an agent completed the task, as TaskRouter tells."""
    kinds = [SignalKind.TASK_COMPLETED.value, SignalKind.RESERVATION_COMPLETED.value]
    ended = rows.filter(pl.col("kind").is_in(kinds))
    return (
        _with_worker(ended)
        .sort("interaction_sid", "occurred_us", "kind", descending=[False, False, True])
        .with_row_index("attempt_id", offset=NATURAL)
        .with_columns(
            handler=pl.when(_BY_HAND & (pl.col("handler").is_null() | pl.col("handler").is_in(["worker", "user"])))
            .then(pl.lit(AGENT))
            .otherwise("handler"),
            operation=pl.lit("complete_task"),
            trigger_key=pl.lit(None, dtype=pl.String),
            trigger_kind=pl.lit(None, dtype=pl.String),
            trigger_us=pl.lit(None, dtype=pl.Int64),
            trigger_task=pl.lit(None, dtype=pl.String),
            trigger_actor=pl.lit(None, dtype=pl.String),
            trigger_form=pl.lit(None, dtype=pl.String),
        )
    )


def _with_worker(ended: pl.DataFrame) -> pl.DataFrame:
    """*ended* with the worker of each task whose own event names none, as a callback does: its reservation's."""
    served = (
        ended.filter(pl.col("kind") == SignalKind.RESERVATION_COMPLETED, pl.col("worker_sid").is_not_null())
        .group_by("interaction_sid", "task_sid")
        .agg(served_us=pl.col("occurred_us").max(), server=pl.col("worker_sid").last())
    )
    at_once = (pl.col("occurred_us") - pl.col("served_us")).abs() <= NATURAL_US
    return (
        ended.join(served, on=["interaction_sid", "task_sid"], how="left", maintain_order="left")
        .with_columns(worker_sid=pl.when(at_once).then(pl.coalesce("worker_sid", "server")).otherwise("worker_sid"))
        .drop("served_us", "server")
    )


def first_closers(rows: pl.DataFrame, tried: pl.DataFrame, alerts: pl.DataFrame, natural: pl.DataFrame) -> pl.DataFrame:
    """One row per interaction: the attempt that closed it, or the event that shows it closed."""
    warned = alerts.group_by("interaction_sid").agg(alert_us=pl.col("alert_us").min())
    shown = _shown_closed(rows, warned)
    seen_closed = shown.filter("is_channel").select("interaction_sid", shown_us="occurred_us")
    able = (
        tried.filter("went_through", pl.col("status_before").fill_null("") != "closed")
        .join(warned, on="interaction_sid", how="left", maintain_order="left")
        .join(seen_closed, on="interaction_sid", how="left", maintain_order="left")
        .filter((pl.col("occurred_us") <= pl.col("alert_us") + MATCH_US).fill_null(value=True))
        # A flow that ran is taken to have closed the channel only where it was seen closed right then.
        .filter(
            ~pl.col("is_vague")
            | (pl.col("occurred_us") - pl.col("shown_us")).is_between(-SKEW_US, CLOSING_LAG_US).fill_null(value=False)
        )
    )
    lag = pl.col("occurred_us") - pl.col("shown_us")
    accepted = pl.col("outcome") == Outcome.ACCEPTED
    read_open = ((pl.col("status_before") == "active") & accepted).fill_null(value=False)
    completes = pl.col("kind") == SignalKind.COMPLETE_REQUESTED
    # To complete a task closes the channel at once or not at all: a transferring agent completes hers too.
    in_time = (lag <= CLOSING_LAG_US) | (read_open & (lag <= SKEW_US))
    not_in_vain = (
        pl.when(completes).then(lag >= -SKEW_US).when(~accepted).then(lag >= -LONE_US).otherwise(pl.lit(value=True))
    )
    by_attempt = (
        able.join(_warned_themselves(able, tried, alerts, natural), on="attempt_id", how="anti", maintain_order="left")
        .filter(pl.col("shown_us").is_null() | (in_time & not_in_vain))
        # Twilio documents that closing a channel ends its tasks, not that ending a task closes a channel.
        .sort("interaction_sid", completes, "occurred_us", maintain_order=True)
        .unique("interaction_sid", keep="first", maintain_order=True)
        .select("interaction_sid", *SIDE, closer=pl.lit("attempt"))
    )
    others = shown.join(by_attempt, on="interaction_sid", how="anti")
    empty = [pl.lit(None).cast(tried.schema[name]).alias(name) for name in SIDE if name not in others.columns]
    return pl.concat([by_attempt, others.with_columns(empty).select(by_attempt.columns)])


def _warned_themselves(
    able: pl.DataFrame, tried: pl.DataFrame, alerts: pl.DataFrame, natural: pl.DataFrame
) -> pl.DataFrame:
    """Attempts with a warning right beside them that nothing else near it explains: they came second."""
    near = (
        able.select("interaction_sid", "occurred_us", "attempt_id")
        .join(alerts.select("interaction_sid", "alert_sid", warned_us="alert_us"), on="interaction_sid")
        .filter((pl.col("occurred_us") - pl.col("warned_us")).abs() <= BESIDE_US)
    )
    others = pl.concat(
        [
            tried.filter(pl.col("outcome") != Outcome.SKIPPED, ~pl.col("is_vague")).select(
                "interaction_sid", rival_id="attempt_id", other_us="occurred_us", within=pl.lit(MATCH_US)
            ),
            natural.select("interaction_sid", rival_id="attempt_id", other_us="occurred_us", within=pl.lit(NATURAL_US)),
        ]
    )
    explained = near.join(others, on="interaction_sid").filter(
        pl.col("attempt_id") != pl.col("rival_id"),
        (pl.col("other_us") - pl.col("warned_us")).abs() <= pl.col("within"),
    )
    return near.join(explained, on=["attempt_id", "alert_sid"], how="anti").select("attempt_id").unique()


def _shown_closed(rows: pl.DataFrame, warned: pl.DataFrame) -> pl.DataFrame:
    """The earliest event, up to the first warning, that shows the interaction closed, and who that tells of."""
    channel = [SignalKind.CHANNEL_CLOSED.value, SignalKind.CONVERSATION_CLOSED.value]
    shows = (
        rows.filter(pl.col("kind").is_in([*channel, *TERMINAL_TASK_KINDS]))
        .join(warned, on="interaction_sid", how="left")
        .filter((pl.col("occurred_us") <= pl.col("alert_us") + BESIDE_US).fill_null(value=True))
        .with_columns(is_channel=pl.col("kind").is_in(channel))
    )
    # Tasks of agents who left end while the conversation goes on: the channel, where it tells, decides.
    order = ("interaction_sid", "is_channel", "occurred_us", "kind", "evidence_sid")
    chosen = shows.sort(*order, descending=[False, True, False, False, False]).unique(
        "interaction_sid", keep="first", maintain_order=True
    )
    worker = (
        shows.filter(
            pl.col("kind").is_in([SignalKind.TASK_WRAPUP, SignalKind.RESERVATION_WRAPUP]),
            (pl.col("actor_type").str.to_lowercase() == "worker").fill_null(value=False),
        )
        .group_by("interaction_sid")
        .agg(wrapped_us=pl.col("occurred_us").min())
    )
    by_agent = (pl.col("occurred_us") - pl.col("wrapped_us")).is_between(-CLOSING_LAG_US, 5 * SECOND)
    unserved = pl.col("kind").is_in(TERMINAL_TASK_KINDS)
    timed = (pl.col("kind") == SignalKind.CONVERSATION_CLOSED) & (pl.col("reason").str.to_uppercase() == "TIMER")
    return (
        chosen.join(worker, on="interaction_sid", how="left")
        .with_columns(
            closer=pl.when(timed.fill_null(value=False))
            .then(pl.lit("timer"))
            .when(by_agent.fill_null(value=False))
            .then(pl.lit("agent"))
            .when(unserved)
            .then(pl.lit("task"))
            .otherwise(pl.lit("unknown")),
        )
        .with_columns(
            handler=pl.when(pl.col("closer") == "agent")
            .then(pl.lit(AGENT))
            .when(pl.col("closer") == "timer")
            .then(pl.lit(TIMER))
            .when(pl.col("kind") == SignalKind.CHANNEL_CLOSED)
            .then("handler"),
        )
        .drop("attempt_id", strict=False)
    )
