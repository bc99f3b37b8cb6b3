"""Constants of time, and which attempt a warning belongs to: later completions, one row per trigger.

Works on the rows of affected interactions only: small frames, read into memory.
"""

from __future__ import annotations

import polars as pl

from flexkit.analyse.attempts import SECOND
from flexkit.terms import EvidenceKind, Outcome, SignalKind

MATCH_US = 6 * SECOND
"""An attempt this near a warning can be the warned one: alerts have whole seconds, logs their own clock."""
NEAR_US = 5 * SECOND // 2
"""An attempt this near a warning is preferred to an agent's completion at the same moment."""
BESIDE_US = 2 * SECOND
"""What is this near a warning stands right beside it."""
NATURAL_US = 5 * SECOND // 4
"""An agent's completion belongs to a warning only this near it: Twilio's own clock dates both."""
LONE_US = 30 * SECOND
"""The only attempt left is matched to the only warning left up to here: clocks of hosts drift."""
RETRY_US = 180 * SECOND
"""Attempts of one handler without a trigger id count as tries of one trigger up to here."""
CLOSING_LAG_US = 2 * SECOND
"""A recorded attempt this long after the channel was seen closed can still be what closed it."""
SKEW_US = 10 * SECOND
"""The same, where the handler read "active" and was answered: its clock is late."""


def warned_seconds(alerts: pl.DataFrame, later: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """One row per later trigger that warned: its alerts, and the completion that they belong to."""
    columns = ("interaction_sid", "attempt_id", "occurred_us", "handler", "kind", "trigger_key")
    # To complete a task after its wrap-up is by design; a request that was refused is suspect.
    by_design = (pl.col("kind") == SignalKind.COMPLETE_REQUESTED) & (pl.col("outcome") != Outcome.REJECTED)
    refused = pl.col("outcome") == Outcome.REJECTED
    doubtful = by_design | pl.col("is_vague")
    handicap = pl.when(doubtful).then(SECOND).when(refused).then(-SECOND // 2).otherwise(0).alias("handicap")
    own, natural = later.select(*columns, handicap), after.select(*columns, handicap=pl.lit(0))
    # What may be by design, or may have done nothing, explains a warning right beside it only.
    sure = later.filter(~doubtful).select(*columns, handicap)
    matched = alerts.head(0).with_columns(attempt_id=pl.lit(None, dtype=pl.UInt32))
    for candidates, within in ((own, NEAR_US), (natural, NATURAL_US), (sure, MATCH_US), (sure, MATCH_US)):
        matched = pl.concat([matched, _nearest(alerts, candidates, matched, within)])
    matched = pl.concat([matched, _lone(alerts, sure, matched)])
    extra = (
        alerts.join(matched, on="alert_sid", how="anti")
        .join(matched.drop("alert_sid").rename({"alert_us": "known_us"}), on="interaction_sid")
        .with_columns(distance=(pl.col("alert_us") - pl.col("known_us")).abs())
        .filter(pl.col("distance") <= BESIDE_US)
        .sort("distance", "attempt_id")
        .unique("alert_sid", keep="first", maintain_order=True)
        .select(matched.columns)
    )
    known = pl.concat([matched, extra]).join(
        pl.concat([own, natural]).drop("interaction_sid", "handicap"), on="attempt_id", how="left"
    )
    rest = alerts.join(known, on="alert_sid", how="anti")
    return pl.concat([by_trigger(known), _by_time(rest)], how="diagonal")


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
        .sort(pl.col("distance") + pl.col("handicap"), "attempt_id", "alert_us", "alert_sid")
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


def by_trigger(known: pl.DataFrame) -> pl.DataFrame:
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


def inferred_seconds(
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
    return by_trigger(fresh).with_columns(
        alert_sids=pl.lit([], dtype=pl.List(pl.String)), evidence_kind=pl.lit(EvidenceKind.INFERRED.value)
    )
