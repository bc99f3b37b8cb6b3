"""The yes-or-no facts about each duplicate that the rules are made of; null where the evidence cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.attempts import DELIVERED, SECOND, TERMINAL_TASK_KINDS
from flexkit.analyse.closers import NATURAL
from flexkit.analyse.habits import of_handlers, on_leaving, on_task_event, totals, usual, with_habits, with_intent
from flexkit.analyse.handlers import AGENT
from flexkit.analyse.surroundings import BEFORE_US, NO, YES, covered, with_deliveries, with_neighbours, with_sources
from flexkit.terms import Outcome, Source

if TYPE_CHECKING:
    from flexkit.analyse.affected import Affected


AGENT_NAME = r"(?i)(?:^|[^a-z])(?:agent|desktop|ui|worker|supervisor|console)(?:[^a-z]|$)"
_AGENT_ACTORS = ("worker", "user", "agent", "supervisor")

_TERMINAL_EVENTS = (
    r"(?:^|\.)(?:workflow\.timeout|task\.(?:canceled|deleted|system-deleted|wrapup|completed)"
    r"|reservation\.(?:wrapup|completed))$"
)


def facts(
    found: Affected, intents: pl.DataFrame, *, coverage: pl.DataFrame | None, configuration: pl.DataFrame | None
) -> pl.DataFrame:
    """`found.pairs`, with a boolean column for each fact and for each source that is held.

    ``has_<source>`` says that the interaction has a signal of it, ``holds_<source>`` that its absence counts.
    *intents* are what handlers say that they mean (`flexkit.analyse.affected.Overview.habits`).
    """
    return settled(
        surrounded(found), usual(totals(of_handlers(found)), intents), coverage, other_listener=listens(configuration)
    )


def surrounded(found: Affected) -> pl.DataFrame:
    """`found.pairs` with what the evidence of their own interactions tells."""
    pairs = found.pairs.with_row_index("pair").with_columns(
        gap_us=pl.col("second_us") - pl.col("first_us"),
        from_us=pl.coalesce("first_us", "second_us") - BEFORE_US,
        to_us=pl.coalesce("second_us", "alerted_us") + SECOND,
    )
    return with_deliveries(with_neighbours(with_sources(pairs, found.rows), found.rows), found)


def settled(
    pairs: pl.DataFrame, habits: pl.DataFrame, coverage: pl.DataFrame | None, *, other_listener: bool | None
) -> pl.DataFrame:
    """*pairs* (`surrounded`) with the facts that need more than the evidence of their interactions.

    *habits* is what their handlers usually do (`flexkit.analyse.habits.usual`), *coverage* which windows are
    held, *other_listener* what the configuration says (`listens`).
    """
    pairs = with_intent(with_habits(covered(pairs, coverage), habits))
    pairs = pairs.with_columns(other_listener=pl.lit(other_listener, dtype=pl.Boolean))
    return pairs.with_columns(_plain()).with_columns(_composed()).with_columns(_last())


def listens(configuration: pl.DataFrame | None) -> bool | None:
    """Whether the configuration shows a listener to the end of tasks; null where it was not read."""
    if configuration is None or configuration.is_empty():
        return None
    subscribed = configuration.filter(pl.col("kind") == "subscription").explode("event_types")
    return bool(subscribed["event_types"].str.contains(_TERMINAL_EVENTS).any())


def _plain() -> list[pl.Expr]:
    """Facts that two sides of one row tell."""
    col = pl.col
    triggers = col("first_trigger_key", "second_trigger_key")
    is_terminal = {side: col(f"{side}_trigger_kind").is_in(TERMINAL_TASK_KINDS) for side in _SIDES}
    gap = col("gap_us")
    by_agent = col("second_actor_type").str.to_lowercase().is_in(_AGENT_ACTORS).fill_null(value=False)
    named_agent = (col("second_operation") == "complete_task") & col("second_handler").str.contains(AGENT_NAME)
    mapped_agent = (col("second_handler_kind").str.to_lowercase() == "agent") | (col("second_handler") == AGENT)
    told_open = (col("first_status_before") == "active") & (col("first_outcome") == Outcome.ACCEPTED)
    told_closed = (col("second_status_before") == "closed") | (col("second_outcome") == Outcome.REJECTED)
    blur = pl.max_horizontal(
        col("first_precision_us").fill_null(1000), col("second_precision_us").fill_null(1000), pl.lit(SECOND // 2)
    ) + pl.when(col("first_source") != col("second_source")).then(SECOND).otherwise(0)
    is_step = {side: col(f"{side}_operation") == "studio_step" for side in _SIDES}
    by_flow = {
        side: col(f"{side}_trigger_key").str.starts_with("FN").fill_null(~col(f"{side}_reacts")) for side in is_step
    }
    maybe_one = (is_step["first"] & ~is_step["second"] & by_flow["second"]).fill_null(value=False) | (
        is_step["second"] & ~is_step["first"] & by_flow["first"]
    ).fill_null(value=False)
    other_form = col("first_trigger_form") != col("second_trigger_form")
    is_named = col("first_handler").is_not_null() & col("second_handler").is_not_null()
    same_name = col("first_handler") == col("second_handler")
    # A name that stands for many routines tells as little as none: then what set them off tells.
    tells = is_named & ~(same_name & col("first_broad"))
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
        pl.when(tells | ~same_name)
        .then(same_name)
        .when(is_named & other_form)
        .then(NO)
        .when(is_named & ~other_form & (col("first_trigger_form") != DELIVERED))
        .then(YES)
        .alias("same_handler"),
        # The line that a function logs and the step that ran it are one automation under two names.
        pl.when(~maybe_one & tells)
        .then(~same_name)
        .when(~maybe_one & other_form)
        .then(YES)
        .alias("another_handler"),
        (~tells).alias("handler_unnamed"),
        other_form.alias("another_form"),
        (col("closer") == "agent").fill_null(value=False).alias("first_is_agent"),
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
        *(on_task_event(f"{side}_").alias(f"{side}_on_task_event") for side in is_terminal),
        on_leaving("first_").alias("first_on_leaving"),
        (is_terminal["second"] & (col("second_trigger_us") < col("first_us") - SECOND // 2)).alias(
            "second_event_earlier"
        ),
        pl.when(told_open & (told_closed | (gap >= SECOND)))
        .then(YES)
        .otherwise((gap > blur) | told_closed.fill_null(value=False))
        .alias("order_certain"),
    ]  # fmt: skip


_SIDES = ("first", "second")
_WITHIN = {"within_seconds": 20, "within_minute": 60, "within_retry": 330, "within_quarter": 900}


def _composed() -> list[pl.Expr]:
    col = pl.col
    resolved = col("first_trigger_kind").is_not_null() & ~col("first_on_task_event")
    cannot_be = (
        col(f"holds_{Source.TASKROUTER}")
        & ~col("first_follows_event")
        & ~col("ended_unserved")
        & (~col("beside_closing") | col("first_unprompted"))
    )
    apart = col("another_handler").fill_null(value=False) | (~col("same_operation")).fill_null(value=False)
    keys = col("first_trigger_key", "second_trigger_key")
    no_task = col("first_trigger_task").is_null() & col("second_trigger_task").is_null()
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
                | (col("first_trigger_task") == col("second_trigger_task"))
                | (no_task & (col("first_trigger_actor") == col("second_trigger_actor")))
            ).fill_null(value=False)
            & ~col("first_on_task_event")
            & ((col("first_trigger_us") - col("second_trigger_us")).abs() <= 60 * SECOND)
        ).alias("same_kind_of_event"),
        ((col("first_is_step") & col("second_is_step")) | by_flows).alias("both_are_flows"),
        (col("second_is_recorded") | col("second_is_agent")).alias("second_by_someone"),
        (~col("second_is_recorded")).alias("second_unrecorded"),
        (
            (col("second_operation") != "complete_task")
            | (col("second_outcome") != Outcome.ACCEPTED)
            | (col("gap_us") <= 10 * SECOND)
        ).alias("second_is_suspect"),
        ((col("second_closes") | col("second_reacts")) & ~col("second_is_agent")).alias("second_is_automation"),
        (
            (col("second_is_step") & ~col("first_is_recorded")) | (col("first_is_step") & ~col("second_is_recorded"))
        ).alias("step_and_unrecorded"),
    ]  # fmt: skip


def _last() -> list[pl.Expr]:
    col = pl.col
    may_end = col("intent_unknown") & col("first_handler").is_not_null()
    is_event = [
        (col(f"{side}_trigger_form") == DELIVERED) | col(f"{side}_trigger_kind").is_not_null() for side in _SIDES
    ]
    return [
        (pl.all_horizontal(is_event) & col("another_trigger") & ~col("same_kind_of_event").fill_null(value=False))
        .fill_null(value=False)
        .alias("events_differ"),
        (col("second_prompted") & col("trigger_unknown")).alias("second_may_react"),
        (col("follows_leaving") & col("first_trigger_key").is_null()).alias("first_may_react"),
        # Of a handler without a name nothing tells that it did not mean to remove the agent only.
        (col("means_end") | (may_end & col("within_quarter"))).alias("ends_or_soon"),
        (col("means_end") | (may_end & col("within_minute"))).alias("ends_or_at_once"),
    ]
