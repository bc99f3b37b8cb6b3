"""What surrounds each duplicate: sources held, intents and habits of handlers, events and deliveries close by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import coverage as held
from flexkit.analyse.attempts import SECOND, TERMINAL_TASK_KINDS, UNSERVED_KINDS, deliveries
from flexkit.analyse.matching import MATCH_US
from flexkit.terms import Intent, SignalKind, Source

if TYPE_CHECKING:
    from flexkit.analyse.affected import Affected

YES, NO = pl.lit(value=True), pl.lit(value=False)

BEFORE_US = 5 * SECOND
"""What happens within this time after an event may be a reaction to it."""
UNSERVED_US = 120 * SECOND
"""A task that ended this long before the first close can be what set it off."""
_OFTEN = 3
"""A handler's habit counts from this many attempts on that tell."""

REMOVAL_NAME = r"(?i)park|transfer|leave|remove|hand.?(?:off|over)|release|detach"
"""How a handler is named that removes an agent."""


def with_sources(pairs: pl.DataFrame, rows: pl.DataFrame, coverage: pl.DataFrame | None) -> pl.DataFrame:
    seen = rows.group_by("interaction_sid").agg(
        (pl.col("source") == source).any().alias(f"has_{source}") for source in Source
    )
    pairs = pairs.join(seen, on="interaction_sid", how="left", maintain_order="left")
    spans = None if coverage is None else held.spans(coverage)
    return pairs.with_columns(
        pl.col(f"has_{source}").alias(f"holds_{source}")
        if spans is None
        else (pl.col(f"has_{source}") | held.covers(spans, source, pairs)).alias(f"holds_{source}")
        for source in Source
    )


def with_intent(pairs: pl.DataFrame, habits: pl.DataFrame) -> pl.DataFrame:
    """What the first handler meant: as logged or mapped, else as it always says elsewhere."""
    pairs = pairs.join(habits, left_on="first_handler", right_on="handler", how="left", maintain_order="left")
    silent = pl.col("first_intent").is_null()
    always_end = silent & (pl.col("said_end") >= 3) & (pl.col("said_removal") == 0)
    return pairs.with_columns(
        means_end=((pl.col("first_intent") == Intent.END) | always_end).fill_null(value=False),
        means_removal=(pl.col("first_intent") == Intent.REMOVE_AGENT).fill_null(value=False),
        usually_means_removal=(silent & (pl.col("said_removal") >= 1) & (pl.col("said_end") == 0)).fill_null(
            value=False
        ),
        named_for_removal=pl.col("first_handler").str.contains(REMOVAL_NAME).fill_null(value=False),
    ).with_columns(intent_unknown=~pl.any_horizontal("means_end", "means_removal", "usually_means_removal"))


def with_habits(pairs: pl.DataFrame, tried: pl.DataFrame) -> pl.DataFrame:
    """What sets each handler off wherever it says so: the end of a task, or known events of other kinds."""
    reacts = on_task_event("")
    known = tried.filter(pl.col("trigger_key").is_not_null() & pl.col("handler").is_not_null())
    habits = known.group_by("handler").agg(
        told=pl.len(), ends=reacts.sum(), others=(pl.col("trigger_kind").is_not_null() & ~reacts).sum()
    )
    often = pl.col("told") >= _OFTEN
    named = habits.select(
        "handler",
        usually_reacts=often & (pl.col("ends") >= 0.9 * pl.col("told")),
        never_reacts=often & (pl.col("others") == pl.col("told")),
    )
    for side in ("first", "second"):
        own = named.select(pl.all().name.prefix(f"{side}_"))
        pairs = pairs.join(own, on=f"{side}_handler", how="left", maintain_order="left")
        silent = pl.col(f"{side}_trigger_key").is_null()
        pairs = pairs.with_columns(
            (on_task_event(f"{side}_") | (silent & pl.col(f"{side}_usually_reacts").fill_null(value=False))).alias(
                f"{side}_reacts"
            ),
            (silent & pl.col(f"{side}_never_reacts").fill_null(value=False)).alias(f"{side}_never_reacts"),
        )
    return pairs


def on_task_event(side: str) -> pl.Expr:
    """Whether a TaskRouter event set it off: the end of a task, or one of which only the SID is known."""
    is_terminal = pl.col(f"{side}trigger_kind").is_in(TERMINAL_TASK_KINDS)
    is_event = pl.col(f"{side}trigger_key").str.contains("^(?i:ev)[0-9a-f]{32}$")
    return is_terminal.fill_null(is_event).fill_null(value=False)


def with_neighbours(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Task events that stand just before the first close and the second completion, and who came later."""
    kinds = pl.col("kind")
    ends = rows.filter(kinds.is_in(TERMINAL_TASK_KINDS)).select(
        "interaction_sid", event_us="occurred_us", is_unserved=kinds.is_in(UNSERVED_KINDS)
    )
    near = pairs.select("pair", "interaction_sid", "first_us", "second_us", "second_operation").join(
        ends, on="interaction_sid"
    )
    # A completed task ends a moment after the request that completed it: that event is its effect.
    slack = pl.when(pl.col("second_operation") == "complete_task").then(-SECOND // 5).otherwise(SECOND)
    since_first = pl.col("first_us") - pl.col("event_us")
    since_second = pl.col("second_us") - pl.col("event_us")
    told = near.group_by("pair").agg(
        follows_own_event=((since_second <= BEFORE_US) & (since_second >= -slack) & (since_first < -SECOND)).any(),
        first_follows_event=since_first.is_between(SECOND // 5, 2 * BEFORE_US).any(),
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
        .join(pairs.select("pair", "interaction_sid", "first_us"), on="interaction_sid")
        .filter(pl.col("event_us") < pl.col("first_us") - SECOND // 5)
        .group_by("pair")
        .agg(task_was_open=~pl.col("is_end").sort_by("event_us", "is_end").last())
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
    knows = pl.col(f"holds_{Source.TASKROUTER}")
    return (
        pairs.join(told, on="pair", how="left", maintain_order="left")
        .join(later, on="pair", how="left", maintain_order="left")
        .join(last, on="pair", how="left", maintain_order="left")
        .join(people, on="interaction_sid", how="left", maintain_order="left")
        .with_columns(
            pl.col("follows_own_event", "first_follows_event", "ended_unserved", "invited_after").fill_null(value=False)
        )
        .with_columns(
            unserved=pl.col("ended_unserved") & ~pl.col("was_served"),
            second_has_no_event=pl.when(pl.col("follows_own_event")).then(NO).when(knows).then(YES),
        )
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
