"""Who closed an interaction first, and which completion came second: one row per duplicate.

Works on the rows of affected interactions only: small frames, read into memory.
"""

from __future__ import annotations

import polars as pl

from flexkit.analyse.closers import SIDE, first_closers, natural_completions
from flexkit.analyse.matching import CLOSING_LAG_US, inferred_seconds, warned_seconds
from flexkit.tables.schema import SIDS, SIGNALS
from flexkit.terms import Outcome, SignalKind

_TYPES = SIGNALS.dtypes | {
    "attempt_id": pl.UInt32,
    "operation": pl.String,
    "trigger_key": pl.String,
    "trigger_kind": pl.String,
    "trigger_us": pl.Int64,
    "handler_kind": pl.String,
    "trigger_task": pl.String,
    "trigger_actor": pl.String,
    "trigger_form": pl.String,
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
    **{f"{side}_{name}": _TYPES[name] for side in ("first", "second") for name in SIDE},
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
    natural = natural_completions(rows)
    first = first_closers(rows, tried, alerts, natural)
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
        # What ends with the close itself, without anybody's doing, came with it and not after it.
        pl.col("occurred_us") > pl.col("closed_us") + CLOSING_LAG_US
    )
    warned = warned_seconds(alerts, later, after)
    inferred = inferred_seconds(rows, later, first, warned, has_alerts=has_alerts)
    seconds = pl.concat([warned, inferred], how="diagonal")
    side = tried.select("interaction_sid", *SIDE)
    completed = natural.select("interaction_sid", *SIDE)
    described = pl.concat([side, completed]).select(pl.exclude("interaction_sid").name.prefix("second_"))
    return (
        seconds.join(described, on="second_attempt_id", how="left", maintain_order="left")
        .join(
            first.select("interaction_sid", "closer", pl.col(list(SIDE)).name.prefix("first_")),
            on="interaction_sid",
            how="left",
            maintain_order="left",
        )
        .join(
            rows.group_by("interaction_sid").agg(pl.col("channel_type").max()),
            on="interaction_sid",
            how="left",
        )
        .with_columns(second_us=pl.coalesce("second_occurred_us", "alerted_us"), first_us="first_occurred_us")
        .sort("interaction_sid", "second_us", "second_attempt_id", pl.col("alert_sids").list.first(), nulls_last=True)
        .select(pl.col(name).cast(dtype) for name, dtype in PAIRS.items())
    )
