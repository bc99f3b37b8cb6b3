"""Who closed an interaction first, and which completion came second: one row per duplicate.

Works on the rows of affected interactions only: small frames, read into memory.
"""

from __future__ import annotations

import polars as pl

from flexkit.analyse.attempts import SECOND, TERMINAL_TASK_KINDS
from flexkit.analyse.handlers import AGENT, TIMER
from flexkit.tables.schema import SIDS, SIGNALS
from flexkit.terms import EvidenceKind, Outcome, SignalKind

MATCH_US = 6 * SECOND
"""An attempt this near a warning can be the warned one: alerts have whole seconds, logs their own clock."""
NEAR_US = 5 * SECOND // 2
"""An attempt this near a warning is preferred to an agent's completion at the same moment."""
BESIDE_US = 2 * SECOND
NATURAL_US = 5 * SECOND // 4
"""An agent's completion belongs to a warning only this near it: Twilio's own clock dates both."""
LONE_US = 30 * SECOND
"""The only attempt left is matched to the only warning left up to here: clocks of hosts drift."""
RETRY_US = 180 * SECOND
"""Attempts of one handler without a trigger id count as tries of one trigger up to here."""
CLOSING_LAG_US = 2 * SECOND
"""A recorded attempt this long after the channel was seen closed can still be what closed it."""
SKEW_US = 10 * SECOND
NATURAL = 1 << 31
"""Attempt ids from here on are completions that TaskRouter shows, not recorded attempts."""

_BY_HAND = pl.col("actor_type").str.to_lowercase().is_in(["worker", "user"]).fill_null(value=False) | (
    pl.col("actor_type").is_null() & pl.col("worker_sid").is_not_null()
)

_SIDE = (
    "attempt_id", "occurred_us", "source", "handler", "operation", "kind", "outcome", "intent", "status_before",
    "trigger_id", "trigger_key", "trigger_kind", "trigger_us", "actor_type", "evidence_sid", "attempt",
    "precision_us", "time_kind", "task_sid", "subscription", "worker_sid",
    "handler_kind", "trigger_task",
)  # fmt: skip
_TYPES = SIGNALS.dtypes | {
    "attempt_id": pl.UInt32,
    "operation": pl.String,
    "trigger_key": pl.String,
    "trigger_kind": pl.String,
    "trigger_us": pl.Int64,
    "handler_kind": pl.String,
    "trigger_task": pl.String,
}
PAIRS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_us": pl.Int64,
    "second_us": pl.Int64,
    "alerted_us": pl.Int64,
    "alert_sids": SIDS,
    "evidence_kind": pl.String,
    "closer": pl.String,
    **{f"{side}_{name}": _TYPES[name] for side in ("first", "second") for name in _SIDE},
}
"""Columns of `pairs`: ``closer`` is attempt, agent, timer, task or unknown, null where nothing tells."""


def pairs(rows: pl.DataFrame, tried: pl.DataFrame, *, has_alerts: bool) -> pl.DataFrame:
    """One row per duplicate: *rows* are all signals of the affected interactions, *tried* their attempts.

    *has_alerts* says whether alerts were read at all, so that the absence of one means something.

    ``first_…`` describes the first closer, ``second_…`` the later completion; ``alert_sids`` and
    ``alerted_us`` (first warning) are empty and null where no alert shows it.
    """
    alerts = rows.filter(pl.col("kind") == SignalKind.WARNING).select(
        "interaction_sid", alert_sid="evidence_sid", alert_us="occurred_us"
    )
    natural = _natural(rows)
    first = _first_closers(rows, tried, alerts, natural)
    later = tried.join(
        first.select("interaction_sid", first_id="attempt_id", closed_us="occurred_us"),
        on="interaction_sid",
        how="left",
        maintain_order="left",
    ).filter(
        (pl.col("attempt_id") != pl.col("first_id")).fill_null(value=True),
        pl.col("outcome") != Outcome.SKIPPED,
        (pl.col("occurred_us") >= pl.col("closed_us") - CLOSING_LAG_US).fill_null(value=True),
    )
    after = natural.join(first.select("interaction_sid", closed_us="occurred_us"), on="interaction_sid").filter(
        pl.col("occurred_us") > pl.col("closed_us")
    )
    warned = _warned(alerts, later, after)
    inferred = _inferred(rows, later, first, warned, has_alerts=has_alerts)
    seconds = pl.concat([warned, inferred], how="diagonal")
    side = tried.select("interaction_sid", *_SIDE)
    completed = natural.select("interaction_sid", *_SIDE)
    described = pl.concat([side, completed]).select(pl.exclude("interaction_sid").name.prefix("second_"))
    return (
        seconds.join(described, on="second_attempt_id", how="left", maintain_order="left")
        .join(
            first.select("interaction_sid", "closer", pl.col(list(_SIDE)).name.prefix("first_")),
            on="interaction_sid",
            how="left",
            maintain_order="left",
        )
        .join(
            rows.group_by("interaction_sid").agg(pl.col("channel_type").drop_nulls().first()),
            on="interaction_sid",
            how="left",
        )
        .with_columns(second_us=pl.coalesce("second_occurred_us", "alerted_us"), first_us="first_occurred_us")
        .sort("interaction_sid", "second_us")
        .select(pl.col(name).cast(dtype) for name, dtype in PAIRS.items())
    )


def _natural(rows: pl.DataFrame) -> pl.DataFrame:
    """Completions that no log holds: an agent completed the task, as TaskRouter tells."""
    kinds = [SignalKind.TASK_COMPLETED.value, SignalKind.RESERVATION_COMPLETED.value]
    return (
        rows.filter(pl.col("kind").is_in(kinds))
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
        )
    )


def _first_closers(
    rows: pl.DataFrame, tried: pl.DataFrame, alerts: pl.DataFrame, natural: pl.DataFrame
) -> pl.DataFrame:
    """One row per interaction: the attempt that closed it, or the event that shows it closed."""
    warned = alerts.group_by("interaction_sid").agg(alert_us=pl.col("alert_us").min())
    shown = _shown_closed(rows, warned)
    seen_closed = shown.filter("is_channel").select("interaction_sid", shown_us="occurred_us")
    able = (
        tried.filter("went_through", pl.col("status_before").fill_null("") != "closed")
        .join(warned, on="interaction_sid", how="left", maintain_order="left")
        .join(seen_closed, on="interaction_sid", how="left", maintain_order="left")
        .filter((pl.col("occurred_us") <= pl.col("alert_us") + MATCH_US).fill_null(value=True))
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
        .select("interaction_sid", *_SIDE, closer=pl.lit("attempt"))
    )
    others = shown.join(by_attempt, on="interaction_sid", how="anti")
    empty = [pl.lit(None).cast(tried.schema[name]).alias(name) for name in _SIDE if name not in others.columns]
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
            tried.filter(pl.col("outcome") != Outcome.SKIPPED).select(
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
    chosen = shows.sort("interaction_sid", "is_channel", "occurred_us", descending=[False, True, False]).unique(
        "interaction_sid", keep="first", maintain_order=True
    )
    worker = (
        shows.filter(
            pl.col("kind").is_in([SignalKind.TASK_WRAPUP, SignalKind.RESERVATION_WRAPUP]),
            (pl.col("actor_type").str.to_lowercase() == "worker").fill_null(value=False),
        )
        .group_by("interaction_sid")
        .agg(wrapped_us=pl.col("occurred_us").min(), wrapper=pl.col("worker_sid").first())
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
            .when("is_channel")
            .then("handler"),
        )
        .drop("attempt_id", strict=False)
    )


def _warned(alerts: pl.DataFrame, later: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """One row per later trigger that warned: its alerts, and the completion that they belong to."""
    columns = ("interaction_sid", "attempt_id", "occurred_us", "handler", "kind", "trigger_key")
    # To complete a task after its wrap-up is by design; a request that was refused is suspect.
    by_design = (pl.col("kind") == SignalKind.COMPLETE_REQUESTED) & (pl.col("outcome") != Outcome.REJECTED)
    refused = pl.col("outcome") == Outcome.REJECTED
    handicap = pl.when(by_design).then(SECOND).when(refused).then(-SECOND // 2).otherwise(0).alias("handicap")
    own, natural = later.select(*columns, handicap), after.select(*columns, handicap=pl.lit(0))
    matched = alerts.head(0).with_columns(attempt_id=pl.lit(None, dtype=pl.UInt32))
    for candidates, within in ((own, NEAR_US), (natural, NATURAL_US), (own, MATCH_US), (own, MATCH_US)):
        matched = pl.concat([matched, _nearest(alerts, candidates, matched, within)])
    matched = pl.concat([matched, _lone(alerts, own, matched)])
    extra = (
        alerts.join(matched, on="alert_sid", how="anti")
        .join(matched.drop("alert_sid").rename({"alert_us": "known_us"}), on="interaction_sid")
        .with_columns(distance=(pl.col("alert_us") - pl.col("known_us")).abs())
        .filter(pl.col("distance") <= BESIDE_US)
        .sort("distance")
        .unique("alert_sid", keep="first", maintain_order=True)
        .select(matched.columns)
    )
    known = pl.concat([matched, extra]).join(
        pl.concat([own, natural]).drop("interaction_sid", "handicap"), on="attempt_id", how="left"
    )
    rest = alerts.join(known, on="alert_sid", how="anti")
    return pl.concat([_by_trigger(known), _by_time(rest)], how="diagonal")


def _nearest(alerts: pl.DataFrame, candidates: pl.DataFrame, matched: pl.DataFrame, within_us: int) -> pl.DataFrame:
    """Alerts not yet *matched*, each with its nearest candidate; nobody is taken twice."""
    near = (
        alerts.join(matched, on="alert_sid", how="anti")
        .join(
            candidates.join(matched.select("attempt_id"), on="attempt_id", how="anti"),
            on="interaction_sid",
        )
        .with_columns(distance=(pl.col("occurred_us") - pl.col("alert_us")).abs())
        .filter(pl.col("distance") <= within_us)
        .sort(pl.col("distance") + pl.col("handicap"), "attempt_id")
    )
    return (
        near.unique("alert_sid", keep="first", maintain_order=True)
        .unique("attempt_id", keep="first", maintain_order=True)
        .select(matched.columns)
    )


def _lone(alerts: pl.DataFrame, candidates: pl.DataFrame, matched: pl.DataFrame) -> pl.DataFrame:
    """The one alert left of an interaction with its one attempt left, though clocks differ more."""
    left = alerts.join(matched, on="alert_sid", how="anti").filter(pl.len().over("interaction_sid") == 1)
    free = candidates.join(matched.select("attempt_id"), on="attempt_id", how="anti").filter(
        pl.len().over("interaction_sid") == 1
    )
    return _nearest(left, free, matched, LONE_US)


def _by_trigger(known: pl.DataFrame) -> pl.DataFrame:
    """Matched alerts, merged where their attempts are tries of one trigger by one handler."""
    one = ("interaction_sid", "handler", "kind", "trigger_key")
    gap = pl.col("occurred_us").diff().over(*one, order_by="occurred_us")
    later = (gap > RETRY_US).fill_null(value=False).cast(pl.Int32)
    chain = later.cum_sum().over(*one, order_by="occurred_us")
    return (
        known.with_columns(chain=pl.when(pl.col("trigger_key").is_null()).then(chain))
        .sort("occurred_us")
        .group_by(*one, "chain", maintain_order=True)
        .agg(
            second_attempt_id=pl.col("attempt_id").first(),
            alert_sids=pl.col("alert_sid").drop_nulls().unique().sort(),
            alerted_us=pl.col("alert_us").min(),
        )
        .select(
            "interaction_sid",
            "second_attempt_id",
            "alert_sids",
            "alerted_us",
            evidence_kind=pl.lit(EvidenceKind.BOTH.value),
        )
    )


def _by_time(rest: pl.DataFrame) -> pl.DataFrame:
    """Alerts without an attempt: those within the retry window of one another are one duplicate."""
    gap = pl.col("alert_us").diff().over("interaction_sid", order_by="alert_us")
    later = (gap > RETRY_US).fill_null(value=False).cast(pl.Int32)
    return (
        rest.with_columns(chain=later.cum_sum().over("interaction_sid", order_by="alert_us"))
        .group_by("interaction_sid", "chain", maintain_order=True)
        .agg(alert_sids=pl.col("alert_sid").unique().sort(), alerted_us=pl.col("alert_us").min())
        .select("interaction_sid", "alert_sids", "alerted_us", evidence_kind=pl.lit(EvidenceKind.WARNED.value))
    )


def _inferred(
    rows: pl.DataFrame, later: pl.DataFrame, first: pl.DataFrame, warned: pl.DataFrame, *, has_alerts: bool
) -> pl.DataFrame:
    """Attempts that went through on a complete interaction and that no warning shows, one row per trigger.

    Precision first: the first close must be certain and older than clocks may differ; nothing may have
    reopened the channel; a handler that read "closed" is taken to have known. Where alerts were read at
    all, an attempt of unknown outcome that raised none is taken to have done nothing.
    """
    outcomes = [Outcome.ACCEPTED.value] if has_alerts else [Outcome.ACCEPTED.value, Outcome.UNKNOWN.value]
    closed = first.select(
        "interaction_sid",
        closed_by="closer",
        closed_kind="kind",
        closed_outcome="outcome",
        closed_key="trigger_key",
        closed_task="task_sid",
    )
    gap = pl.col("occurred_us") - pl.col("closed_us")
    by_attempt = (pl.col("closed_by") == "attempt") & (pl.col("closed_outcome") == Outcome.ACCEPTED)
    closes_again = (pl.col("kind") == SignalKind.CLOSE_CHANNEL_REQUESTED) & (
        (by_attempt & (pl.col("closed_kind") == SignalKind.CLOSE_CHANNEL_REQUESTED) & (gap > CLOSING_LAG_US))
        | ((pl.col("closed_kind") == SignalKind.CHANNEL_CLOSED) & (gap > SKEW_US))
    )
    completes_again = (
        (pl.col("kind") == SignalKind.COMPLETE_REQUESTED)
        & by_attempt
        & (pl.col("closed_kind") == pl.col("kind"))
        & (pl.col("closed_task") == pl.col("task_sid"))
        & (gap > CLOSING_LAG_US)
    )
    is_retry = (pl.col("trigger_key") == pl.col("closed_key")).fill_null(value=False)
    found = (
        later.join(closed, on="interaction_sid")
        .filter(
            (closes_again | completes_again).fill_null(value=False),
            pl.col("outcome").is_in(outcomes),
            (pl.col("outcome") == Outcome.ACCEPTED) | ~is_retry,
            pl.col("status_before").fill_null("") != "closed",
        )
        .join(warned.select(attempt_id="second_attempt_id"), on="attempt_id", how="anti")
    )
    reopened = rows.filter(pl.col("kind") == SignalKind.CHANNEL_ACTIVE).select(
        "interaction_sid", active_us="occurred_us"
    )
    again = found.join(reopened, on="interaction_sid").filter(
        pl.col("active_us").is_between(pl.col("closed_us"), pl.col("occurred_us"))
    )
    known = found.join(again, on="attempt_id", how="anti").with_columns(
        alert_sid=pl.lit(None, dtype=pl.String), alert_us=pl.lit(None, dtype=pl.Int64)
    )
    tries = warned.join(
        later.select("attempt_id", "handler", "kind", "trigger_key"),
        left_on="second_attempt_id",
        right_on="attempt_id",
    ).select("interaction_sid", "handler", "kind", "trigger_key")
    fresh = known.join(tries, on=["interaction_sid", "handler", "kind", "trigger_key"], how="anti", nulls_equal=True)
    return _by_trigger(fresh).with_columns(
        alert_sids=pl.lit([], dtype=pl.List(pl.String)), evidence_kind=pl.lit(EvidenceKind.INFERRED.value)
    )
