"""Completed interactions, and the completions that came after an interaction was complete.

The one heavy pass: from all signals to one row per completed interaction and one per duplicate.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from flexkit.analyse import fast_pass, linking, runs
from flexkit.analyse.affected import cases
from flexkit.analyse.attempts import SECOND
from flexkit.analyse.heavy_pass import CLOSES, PARK_US, PARKS, SHOWN, SKEW_US, TASK_ENDS
from flexkit.tables.schema import INSTANT, SIDS, SIGNALS

NEEDED = ("interaction_sid", "occurred_at", "source", "kind")
"""Columns of `signals` that the analysis cannot do without."""

COMPLETIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_closed_at": INSTANT,
    "first_source": pl.String,
    "first_handler": pl.String,
    "signal_count": pl.Int64,
    "completion_count": pl.Int64,
}

DUPLICATES: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_closed_at": INSTANT,
    "first_source": pl.String,
    "first_handler": pl.String,
    "second_at": INSTANT,
    "second_source": pl.String,
    "second_handler": pl.String,
    "gap_seconds": pl.Float64,
    "alert_sids": SIDS,
    "evidence_kind": pl.String,
}


def completions(signals: pl.LazyFrame, twice: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """One row per completed interaction.

    ``first_closed_at`` is when it was first complete: its channel or conversation was seen or requested
    closed, else its last task ended, else (where only a warning tells) when the warning found it so.
    ``signal_count`` counts the signals that end it or show its end, ``completion_count`` its completion
    episodes: one, and one more for each duplicate. A task that ended because its agent was removed, while
    the channel stayed open, completes nothing.

    *twice* are the `duplicates` where they are known; else they are taken from *signals*. Raises
    `SchemaError` where a column of the contract is absent that cannot be done without.
    """
    SIGNALS.require(signals, *NEEDED)
    again = duplicates(signals) if twice is None else twice
    return pl.defer(lambda: _completions(linking.prepared(signals), again.collect()), schema=COMPLETIONS)


def _completions(known: pl.LazyFrame, twice: pl.DataFrame) -> pl.DataFrame:
    texts = ("channel_type", "source", "handler")
    rows = runs.read(known.filter(pl.col("ikey").is_not_null()), "interaction_sid", texts=texts)
    needed = ("interaction_sid", "ikey", *linking.LINKS, "occurred_us", "kind", "outcome", *texts)
    lost = fast_pass.ending(known.filter(pl.col("interaction_sid").is_null())).select(needed)
    named, nameless = pl.collect_all([rows, lost], engine="streaming")
    if not nameless.is_empty():
        owned = linking.resolved(nameless, known).filter(pl.col("interaction_sid").is_not_null())
        found = runs.read(owned.with_columns(linking.key()).lazy(), "interaction_sid", texts=texts)
        named = pl.concat([named, found.collect()])
    again = twice.group_by("interaction_sid").agg(
        again_us=pl.col("first_closed_at").min().dt.timestamp("us"),
        warned_us=pl.col("second_at").min().dt.timestamp("us"),
        duplicates=pl.len().cast(pl.Int64),
    )
    made = [_completed(piece, again) for piece in runs.pieces(named)]
    return pl.concat([pl.DataFrame(schema=COMPLETIONS), *made])


def _completed(rows: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """The completions of *rows* (`flexkit.analyse.runs.read`), of whose interactions *again* has the duplicates."""
    if rows.is_empty():
        return pl.DataFrame(schema=COMPLETIONS)
    by = runs.Runs(rows)
    asked, closing, ended = (by.among(kinds) for kinds in (CLOSES, (*SHOWN, *CLOSES), TASK_ENDS))
    first = {"request": by.first(asked), "closing": by.first(closing), "task": by.last(ended)}
    at_request = by.standing_at(first["request"], asked)
    per = pl.DataFrame(
        {
            "interaction_sid": by.rows["interaction_sid"].gather(pl.Series(by.starts)),
            "channel_type": by.text("channel_type", np.arange(len(rows)), greatest=True),
            **{f"{name}_us": moments for name, moments in first.items()},
            "park_us": by.last(by.among(PARKS)),
            "requester": by.text("handler", at_request),
            "request_source": by.text("source", at_request),
            "closing_source": by.text("source", by.standing_at(first["closing"], closing)),
            "task_source": by.text("source", by.standing_at(first["task"], ended), greatest=True),
            "signal_count": by.count(by.among(fast_pass.COUNTED)),
        }
    )
    parked = pl.col("closing_us").is_null() & (pl.col("task_us") <= pl.col("park_us") + PARK_US).fill_null(value=False)
    by_request = (pl.col("request_us") <= pl.col("closing_us") + SKEW_US).fill_null(value=False)
    return (
        per.join(again, on="interaction_sid", how="left", maintain_order="left")
        .with_columns(own_us=pl.when(~parked).then(pl.coalesce("closing_us", "task_us")))
        .with_columns(at_us=pl.coalesce(pl.min_horizontal("own_us", "again_us"), "warned_us"))
        .filter(pl.col("at_us").is_not_null(), (pl.col("signal_count") > 0) | pl.col("own_us").is_not_null())
        .select(
            "interaction_sid",
            "channel_type",
            first_closed_at=instant("at_us"),
            first_source=pl.when(by_request)
            .then("request_source")
            .when(pl.col("closing_us").is_not_null())
            .then("closing_source")
            .otherwise("task_source"),
            first_handler=pl.when(by_request).then("requester"),
            signal_count="signal_count",
            completion_count=1 + pl.col("duplicates").fill_null(0),
        )
        .cast(COMPLETIONS)  # type: ignore[arg-type]
    )


def duplicates(signals: pl.LazyFrame, alerts: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """One row per completion of an interaction that was already complete.

    Warned: an 80906 alert in *alerts*, or a warning among *signals*, belongs to the interaction.
    Inferred: a completing request went through on a complete interaction though no alert tells
    (`flexkit.analyse.pairing` has the conditions). ``evidence_kind`` is ``both`` where an alert tells and
    the second completion itself is among the signals. Attempts and alerts of one later trigger are one
    row; ``first_…`` is null where nothing tells who closed first. Alerts about Proxy, and alerts that
    name nothing that leads to an interaction, are no rows here; `flexkit.analyse.causes` keeps them.
    """
    SIGNALS.require(signals, *NEEDED)
    return cases(signals, alerts).select(
        "interaction_sid",
        "channel_type",
        instant("first_us").alias("first_closed_at"),
        "first_source",
        "first_handler",
        instant("second_us").alias("second_at"),
        "second_source",
        "second_handler",
        ((pl.col("second_us") - pl.col("first_us")).clip(0) / SECOND).alias("gap_seconds"),
        "alert_sids",
        "evidence_kind",
    )


def instant(column: str) -> pl.Expr:
    """*column*, microseconds since 1970 UTC, as an instant."""
    return pl.col(column).cast(INSTANT)
