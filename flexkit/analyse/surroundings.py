"""What surrounds each duplicate: sources held, events and deliveries close by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import coverage as held
from flexkit.analyse.attempts import SECOND, TERMINAL_TASK_KINDS, UNSERVED_KINDS, deliveries
from flexkit.analyse.matching import MATCH_US, SKEW_US
from flexkit.terms import SignalKind, Source

if TYPE_CHECKING:
    from flexkit.analyse.affected import Affected

YES, NO = pl.lit(value=True), pl.lit(value=False)

BEFORE_US = 5 * SECOND
"""What happens within this time after an event may be a reaction to it."""
UNSERVED_US = 120 * SECOND
"""A task that ended this long before the first close can be what set it off."""


def with_sources(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """*pairs* with the sources of which their interactions have a signal (``has_…``)."""
    seen = rows.group_by("interaction_sid").agg(
        (pl.col("source") == source).any().alias(f"has_{source}") for source in Source
    )
    return pairs.join(seen, on="interaction_sid", how="left", maintain_order="left")


def covered(pairs: pl.DataFrame, coverage: pl.DataFrame | None) -> pl.DataFrame:
    """*pairs* with the sources the absence of whose signals counts (``holds_…``), and what follows from that."""
    spans = None if coverage is None else held.spans(coverage)
    return pairs.with_columns(
        pl.col(f"has_{source}").alias(f"holds_{source}")
        if spans is None
        else (pl.col(f"has_{source}") | held.covers(spans, source, pairs)).alias(f"holds_{source}")
        for source in Source
    ).with_columns(
        second_has_no_event=pl.when(pl.col("follows_own_event"))
        .then(NO)
        .when(pl.col(f"holds_{Source.TASKROUTER}"))
        .then(YES)
    )


def with_neighbours(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Task events that stand just before the first close and the second completion, and who came later."""
    kinds = pl.col("kind")
    ends = rows.filter(kinds.is_in(TERMINAL_TASK_KINDS)).select(
        "interaction_sid", event_us="occurred_us", is_unserved=kinds.is_in(UNSERVED_KINDS)
    )
    # The close itself ends tasks: an end counts as what came before it only if it also came before the channel was
    # seen closed, so that a log that is written late turns no effect into a cause.
    shown = (
        rows.filter(kinds.is_in([SignalKind.CHANNEL_CLOSED, SignalKind.CONVERSATION_CLOSED]))
        .group_by("interaction_sid")
        .agg(shown_us=pl.col("occurred_us").min())
    )
    pairs = pairs.join(shown, on="interaction_sid", how="left", maintain_order="left").with_columns(
        closed_us=pl.when(pl.col("shown_us") >= pl.col("first_us") - SKEW_US)
        .then(pl.min_horizontal("first_us", "shown_us"))
        .otherwise("first_us")
    )
    near = pairs.select("pair", "interaction_sid", "first_us", "closed_us", "second_us", "second_operation").join(
        ends, on="interaction_sid"
    )
    # A completed task ends a moment after the request that completed it: that event is its effect.
    slack = pl.when(pl.col("second_operation") == "complete_task").then(-SECOND // 5).otherwise(SECOND)
    since_first = pl.col("first_us") - pl.col("event_us")
    since_closed = pl.col("closed_us") - pl.col("event_us")
    since_second = pl.col("second_us") - pl.col("event_us")
    told = near.group_by("pair").agg(
        follows_own_event=((since_second <= BEFORE_US) & (since_second >= -slack) & (since_first < -SECOND)).any(),
        first_follows_event=since_closed.is_between(SECOND // 5, 2 * BEFORE_US).any(),
        beside_closing=(since_closed.is_between(0, SECOND) & (since_first > SECOND // 5)).any(),
        ended_unserved=(pl.col("is_unserved") & since_first.is_between(-SECOND, UNSERVED_US)).any(),
    )
    served = [
        SignalKind.TASK_WRAPUP.value,
        SignalKind.TASK_COMPLETED.value,
        SignalKind.RESERVATION_WRAPUP.value,
        SignalKind.RESERVATION_COMPLETED.value,
    ]
    made = rows.filter(kinds.is_in([SignalKind.TASK_CREATED.value, "invite_created"])).select(
        "interaction_sid", event_us="occurred_us", is_end=pl.lit(value=False)
    )
    # What happened last to the tasks before the first close: was one made, or did one end?
    last = (
        pl.concat([made, ends.select("interaction_sid", "event_us", is_end=pl.lit(value=True))])
        .join(pairs.select("pair", "interaction_sid", "closed_us"), on="interaction_sid")
        .filter(pl.col("event_us") < pl.col("closed_us") - SECOND // 5)
        .group_by("pair")
        .agg(task_was_open=~pl.col("is_end").sort_by("event_us", "is_end").last())
    )
    left = (
        rows.filter(kinds == SignalKind.PARTICIPANT_LEFT)
        .select("interaction_sid", left_us="occurred_us")
        .join(pairs.select("pair", "interaction_sid", "closed_us"), on="interaction_sid")
        .filter((pl.col("closed_us") - pl.col("left_us")).is_between(0, BEFORE_US))
        .select("pair", follows_leaving=pl.lit(value=True))
        .unique()
    )
    people = rows.group_by("interaction_sid").agg(was_served=kinds.is_in(served).any())
    added = [SignalKind.TASK_CREATED.value, "invite_created"]
    joins = (kinds == SignalKind.PARTICIPANT_JOINED) & (pl.col("actor_type") == "agent").fill_null(value=False)
    later = (
        rows.filter(kinds.is_in(added) | joins)
        .select("interaction_sid", added_us="occurred_us")
        .join(pairs.select("pair", "interaction_sid", "first_us", "to_us"), on="interaction_sid")
        .filter(pl.col("added_us") > pl.col("first_us") + BEFORE_US, pl.col("added_us") <= pl.col("to_us"))
        .select("pair", invited_after=pl.lit(value=True))
        .unique()
    )
    return (
        pairs.join(told, on="pair", how="left", maintain_order="left")
        .join(later, on="pair", how="left", maintain_order="left")
        .join(left, on="pair", how="left", maintain_order="left")
        .join(last, on="pair", how="left", maintain_order="left")
        .join(people, on="interaction_sid", how="left", maintain_order="left")
        .with_columns(
            pl.col(
                "follows_own_event", "first_follows_event", "beside_closing", "ended_unserved", "invited_after"
            ).fill_null(value=False)
        )
        .with_columns(unserved=pl.col("ended_unserved") & ~pl.col("was_served"))
    )


def with_deliveries(pairs: pl.DataFrame, found: Affected) -> pl.DataFrame:
    """Deliveries with one id, of which one came before the first close and another just before the warning."""
    told = deliveries(found.rows).filter(
        pl.col("kind") != SignalKind.CHANNEL_CLOSED, pl.col("delivered_us").is_not_null()
    )
    near = pairs.select("pair", "interaction_sid", "first_us", "alerted_us", "first_trigger_id").join(
        told.select("interaction_sid", "delivered_as", "delivered_us"), on="interaction_sid"
    )
    reach = (-SECOND, MATCH_US)
    before = near.filter((pl.col("first_us") - pl.col("delivered_us")).is_between(*reach))
    again = near.filter((pl.col("alerted_us") - pl.col("delivered_us")).is_between(*reach)).select(
        "pair", "delivered_as", again_us="delivered_us"
    )
    twice = before.join(again, on=["pair", "delivered_as"]).filter(
        pl.col("again_us") > pl.col("delivered_us") + SECOND // 2
    )
    flags = twice.group_by("pair").agg(
        redelivered=pl.lit(value=True),
        first_redelivered=(pl.col("delivered_as") == pl.col("first_trigger_id")).any(),
    )
    recorded = (
        found.attempts.filter(~pl.col("is_vague"))
        .select("interaction_sid", nothing_recorded=pl.lit(value=False))
        .unique()
    )
    return (
        pairs.join(flags, on="pair", how="left", maintain_order="left")
        .join(recorded, on="interaction_sid", how="left", maintain_order="left")
        .with_columns(
            pl.col("redelivered", "first_redelivered").fill_null(value=False),
            nothing_recorded=pl.col("nothing_recorded").fill_null(value=True),
        )
    )
