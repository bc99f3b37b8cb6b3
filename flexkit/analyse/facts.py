"""The yes-or-no facts about each duplicate that the rules are made of; null where the evidence cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import coverage as held
from flexkit.analyse.attempts import SECOND, TERMINAL_TASK_KINDS, UNSERVED_KINDS, deliveries
from flexkit.analyse.handlers import AGENT
from flexkit.analyse.pairing import MATCH_US, NATURAL
from flexkit.terms import Intent, Outcome, SignalKind, Source

if TYPE_CHECKING:
    from flexkit.analyse.affected import Affected

YES, NO = pl.lit(value=True), pl.lit(value=False)

BEFORE_US = 5 * SECOND
"""What happens within this time after an event may be a reaction to it."""
UNSERVED_US = 120 * SECOND
_OFTEN = 3
"""A handler's habit counts from this many attempts on that tell."""

REMOVAL_NAME = r"(?i)park|transfer|leave|remove|hand.?(?:off|over)|release|detach"
AGENT_NAME = r"(?i)(?:^|[^a-z])(?:agent|desktop|ui|worker|supervisor|console)(?:[^a-z]|$)"
_AGENT_ACTORS = ("worker", "user", "agent", "supervisor")

_TERMINAL_EVENTS = (
    r"(?:^|\.)(?:workflow\.timeout|task\.(?:canceled|deleted|system-deleted|wrapup|completed)"
    r"|reservation\.(?:wrapup|completed))$"
)


def facts(found: Affected, *, coverage: pl.DataFrame | None, configuration: pl.DataFrame | None) -> pl.DataFrame:
    """`found.pairs`, with a boolean column for each fact and for each source that is held.

    ``has_<source>`` says that the interaction has a signal of it, ``holds_<source>`` that its absence counts.
    """
    pairs = found.pairs.with_row_index("pair").with_columns(
        gap_us=pl.col("second_us") - pl.col("first_us"),
        from_us=pl.coalesce("first_us", "second_us") - BEFORE_US,
        to_us=pl.coalesce("second_us", "alerted_us") + SECOND,
    )
    pairs = _with_sources(pairs, found.rows, coverage)
    pairs = _with_intent(pairs, found.habits)
    pairs = _with_habits(pairs, found.attempts)
    pairs = _with_neighbours(pairs, found.rows)
    pairs = _with_deliveries(pairs, found)
    pairs = pairs.with_columns(other_listener=pl.lit(_listens(configuration), dtype=pl.Boolean))
    return pairs.with_columns(_plain()).with_columns(_composed()).with_columns(_last())


def _with_sources(pairs: pl.DataFrame, rows: pl.DataFrame, coverage: pl.DataFrame | None) -> pl.DataFrame:
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


def _with_intent(pairs: pl.DataFrame, habits: pl.DataFrame) -> pl.DataFrame:
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


def _with_habits(pairs: pl.DataFrame, tried: pl.DataFrame) -> pl.DataFrame:
    """What sets each handler off wherever it says so: the end of a task, or known events of other kinds."""
    reacts = _on_task_event("")
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
            (_on_task_event(f"{side}_") | (silent & pl.col(f"{side}_usually_reacts").fill_null(value=False))).alias(
                f"{side}_reacts"
            ),
            (silent & pl.col(f"{side}_never_reacts").fill_null(value=False)).alias(f"{side}_never_reacts"),
        )
    return pairs


def _on_task_event(side: str) -> pl.Expr:
    """Whether a TaskRouter event set it off: the end of a task, or one of which only the SID is known."""
    is_terminal = pl.col(f"{side}trigger_kind").is_in(TERMINAL_TASK_KINDS)
    is_event = pl.col(f"{side}trigger_key").str.contains("^(?i:ev)[0-9a-f]{32}$")
    return is_terminal.fill_null(is_event).fill_null(value=False)


def _with_neighbours(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
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
        .agg(task_was_open=~pl.col("is_end").sort_by("event_us").last())
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


def _with_deliveries(pairs: pl.DataFrame, found: Affected) -> pl.DataFrame:
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
    recorded = found.attempts.select("interaction_sid", nothing_recorded=pl.lit(value=False)).unique()
    return (
        pairs.join(flags, on="pair", how="left", maintain_order="left")
        .join(recorded, on="interaction_sid", how="left", maintain_order="left")
        .with_columns(
            pl.col("redelivered", "first_redelivered").fill_null(value=False),
            nothing_recorded=pl.col("nothing_recorded").fill_null(value=True),
        )
    )


def _listens(configuration: pl.DataFrame | None) -> bool | None:
    """Whether the configuration shows a listener to the end of tasks; null where it was not read."""
    if configuration is None or configuration.is_empty():
        return None
    subscribed = configuration.filter(pl.col("kind") == "subscription").explode("event_types")
    return bool(subscribed["event_types"].str.contains(_TERMINAL_EVENTS).any())


def _plain() -> list[pl.Expr]:
    """Facts that two sides of one row tell."""
    col = pl.col
    handlers, triggers = (col("first_handler", "second_handler"), col("first_trigger_key", "second_trigger_key"))
    is_terminal = {side: col(f"{side}_trigger_kind").is_in(TERMINAL_TASK_KINDS) for side in ("first", "second")}
    gap = col("gap_us")
    by_agent = col("second_actor_type").str.to_lowercase().is_in(_AGENT_ACTORS).fill_null(value=False)
    named_agent = (col("second_operation") == "complete_task") & col("second_handler").str.contains(AGENT_NAME)
    mapped_agent = (col("second_handler_kind").str.to_lowercase() == "agent") | (col("second_handler") == AGENT)
    told_open = (col("first_status_before") == "active") & (col("first_outcome") == Outcome.ACCEPTED)
    told_closed = (col("second_status_before") == "closed") | (col("second_outcome") == Outcome.REJECTED)
    blur = pl.max_horizontal(
        col("first_precision_us").fill_null(1000), col("second_precision_us").fill_null(1000), pl.lit(SECOND // 2)
    ) + pl.when(col("first_source") != col("second_source")).then(SECOND).otherwise(0)
    is_step = {side: col(f"{side}_operation") == "studio_step" for side in ("first", "second")}
    by_flow = {
        side: col(f"{side}_trigger_key").str.starts_with("FN").fill_null(~col(f"{side}_reacts")) for side in is_step
    }
    maybe_one = (is_step["first"] & ~is_step["second"] & by_flow["second"]).fill_null(value=False) | (
        is_step["second"] & ~is_step["first"] & by_flow["first"]
    ).fill_null(value=False)
    return [
        (col("closer") == "attempt").fill_null(value=False).alias("first_is_recorded"),
        (col("first_operation") == "close_channel").fill_null(value=False).alias("first_closed_channel"),
        (col("first_outcome") == Outcome.ACCEPTED).fill_null(value=False).alias("first_was_answered"),
        (col("second_attempt_id") < NATURAL).fill_null(value=False).alias("second_is_recorded"),
        col("second_attempt_id").is_not_null().alias("second_is_known"),
        (by_agent | named_agent.fill_null(value=False) | mapped_agent.fill_null(value=False))
        .alias("second_is_agent"),
        col("second_operation").is_in(["complete_task", "close_conversation"]).fill_null(value=False)
        .alias("second_completes"),
        col("second_operation").is_in(["close_channel", "studio_step"]).fill_null(value=False).alias("second_closes"),
        (col("first_operation") == "studio_step").fill_null(value=False).alias("first_is_step"),
        (col("second_operation") == "studio_step").fill_null(value=False).alias("second_is_step"),
        (col("first_operation") == col("second_operation")).alias("same_operation"),
        (col("first_handler") == col("second_handler")).alias("same_handler"),
        # The line that a function logs and the step that ran it are one automation under two names.
        pl.when(~maybe_one).then(col("first_handler") != col("second_handler")).alias("another_handler"),
        pl.any_horizontal(handlers.is_null()).alias("handler_unnamed"),
        (col("first_trigger_key") == col("second_trigger_key")).alias("same_trigger"),
        (
            (col("first_trigger_key") != col("second_trigger_key")).fill_null(
                pl.when(col("first_trigger_kind") != col("second_trigger_kind")).then(YES)
            )
        ).alias("another_trigger"),
        pl.any_horizontal(triggers.is_null()).alias("trigger_unknown"),
        (
            col("first_trigger_key").is_null() | col("first_trigger_key").str.starts_with("FN").fill_null(value=False)
        ).alias("first_may_be_reaction"),
        ((col("second_attempt") >= 2) & (col("first_attempt").fill_null(1) < col("second_attempt")))
        .alias("counted_retry"),
        *((gap <= limit * SECOND).alias(name) for name, limit in _WITHIN.items()),
        *(is_terminal[side].fill_null(value=False).alias(f"{side}_on_terminal") for side in is_terminal),
        *(_on_task_event(f"{side}_").alias(f"{side}_on_task_event") for side in is_terminal),
        (is_terminal["second"] & (col("second_trigger_us") < col("first_us") - SECOND // 2)).alias(
            "second_event_earlier"
        ),
        pl.when(told_open & (told_closed | (gap >= SECOND)))
        .then(YES)
        .otherwise((gap > blur) | told_closed.fill_null(value=False))
        .alias("order_certain"),
    ]  # fmt: skip


_WITHIN = {"within_seconds": 20, "within_minute": 60, "within_retry": 330, "within_quarter": 900}


def _composed() -> list[pl.Expr]:
    col = pl.col
    resolved = col("first_trigger_kind").is_not_null() & ~col("first_on_task_event")
    cannot_be = col(f"holds_{Source.TASKROUTER}") & ~col("first_follows_event") & ~col("ended_unserved")
    apart = col("another_handler").fill_null(value=False) | (~col("same_operation")).fill_null(value=False)
    keys = col("first_trigger_key", "second_trigger_key")
    by_flows = pl.all_horizontal(keys.str.contains("^FN[0-9a-fA-F]{32}$").fill_null(value=False))
    return [
        pl.when(col("first_reacts"))
        .then(NO)
        .when(resolved)
        .then(YES)
        .when(cannot_be | col("first_never_reacts"))
        .then(YES)
        .alias("first_not_terminal"),
        ((col("second_is_known") & (apart | ~col("within_retry"))) | (~col("second_is_known") & ~col("within_retry")))
        .alias("second_by_another"),
        (col("same_trigger") & col("same_operation") & ~col("another_handler").fill_null(value=False)).alias(
            "same_logic"
        ),
        (
            (col("first_trigger_kind") == col("second_trigger_kind"))
            & (
                col("first_trigger_kind").str.starts_with("channel_")
                | (col("first_trigger_task") == col("second_trigger_task")).fill_null(value=False)
            )
            & ~col("first_on_task_event")
            & ((col("first_trigger_us") - col("second_trigger_us")).abs() <= 60 * SECOND)
        ).alias("same_kind_of_event"),
        ((col("first_is_step") & col("second_is_step")) | by_flows).alias("both_are_flows"),
        (col("second_is_recorded") | col("second_is_agent")).alias("second_by_someone"),
        (~col("second_is_recorded")).alias("second_unrecorded"),
        ((col("second_closes") | col("second_reacts")) & ~col("second_is_agent")).alias("second_is_automation"),
        (
            (col("second_is_step") & ~col("first_is_recorded")) | (col("first_is_step") & ~col("second_is_recorded"))
        ).alias("step_and_unrecorded"),
    ]  # fmt: skip


def _last() -> list[pl.Expr]:
    col = pl.col
    return [
        (col("means_end") | (col("intent_unknown") & col("within_quarter"))).alias("ends_or_soon"),
        (col("means_end") | (col("intent_unknown") & col("within_minute"))).alias("ends_or_at_once"),
    ]
