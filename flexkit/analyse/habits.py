"""What handlers usually mean, what usually sets them off, and whether a name stands for one routine or for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.attempts import SECOND, TERMINAL_TASK_KINDS
from flexkit.terms import Intent, SignalKind

if TYPE_CHECKING:
    from flexkit.analyse.affected import Affected

_OFTEN = 3
"""A handler's habit counts from this many attempts on that tell."""
_MANY_FORMS = 3
"""A name whose triggers have this many forms (`flexkit.analyse.attempts.form`) stands for several routines."""
_REACTION_US = 10 * SECOND
"""A routine that reacts to an event acts within this time after it."""
_COUNTS = ("told", "ends", "others", "seen", "follows")

REMOVAL_NAME = r"(?i)park|transfer|leave|remove|hand.?(?:off|over)|release|detach"
"""How a handler is named that removes an agent."""


def with_intent(pairs: pl.DataFrame) -> pl.DataFrame:
    """What the first handler meant: as logged or mapped, else as it always says elsewhere (`with_habits`)."""
    silent = pl.col("first_intent").is_null()
    return pairs.with_columns(
        means_end=((pl.col("first_intent") == Intent.END) | (silent & pl.col("first_says_end"))).fill_null(value=False),
        means_removal=(pl.col("first_intent") == Intent.REMOVE_AGENT).fill_null(value=False),
        usually_means_removal=(silent & pl.col("first_says_removal")).fill_null(value=False),
        named_for_removal=pl.col("first_handler").str.contains(REMOVAL_NAME).fill_null(value=False),
    ).with_columns(intent_unknown=~pl.any_horizontal("means_end", "means_removal", "usually_means_removal"))


def of_handlers(found: Affected) -> pl.DataFrame:
    """What the attempts of each handler on each interaction tell: counts, and ``forms`` of triggers.

    ``told`` attempts name a trigger, ``ends`` of them the end of a task and ``others`` an event of another kind;
    of ``seen`` attempts TaskRouter tells of the interaction, and ``follows`` come just after the end of a task.
    """
    known = found.attempts.filter(pl.col("handler").is_not_null())
    reacts, names = on_task_event(""), pl.col("trigger_key").is_not_null()
    told = known.group_by("ikey", "handler").agg(
        told=names.sum().cast(pl.Int64),
        ends=(names & reacts).sum().cast(pl.Int64),
        others=(names & pl.col("trigger_kind").is_not_null() & ~reacts).sum().cast(pl.Int64),
        forms=pl.col("trigger_form").drop_nulls().unique(),
    )
    return told.join(_timing(known, found.rows), on=["ikey", "handler"], how="left")


def _timing(known: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """How often the end of a task stands just before what a handler does, where TaskRouter tells of the interaction."""
    ends = rows.filter(pl.col("kind").is_in(TERMINAL_TASK_KINDS)).select("ikey", event_us="occurred_us")
    after = (pl.col("occurred_us") - pl.col("event_us")).is_between(0, _REACTION_US)
    return (
        known.select("attempt_id", "handler", "ikey", "occurred_us")
        .join(ends, on="ikey")
        .group_by("attempt_id", "ikey", "handler")
        .agg(follows=after.any())
        .group_by("ikey", "handler")
        .agg(seen=pl.len().cast(pl.Int64), follows=pl.col("follows").sum().cast(pl.Int64))
    )


def totals(told: pl.DataFrame) -> pl.DataFrame:
    """`of_handlers` of many interactions added up: per ``handler``, and how many rows have each ``form``."""
    per = told.group_by("handler").agg(pl.col(_COUNTS).sum(), rows=pl.len().cast(pl.Int64))
    forms = told.select("handler", form="forms").explode("form").drop_nulls("form")
    per_form = forms.group_by("handler", "form").agg(rows=pl.len().cast(pl.Int64))
    return pl.concat([per, per_form], how="diagonal").select("handler", "form", pl.col(*_COUNTS, "rows").fill_null(0))


def added(totals: pl.DataFrame, more: pl.DataFrame, less: pl.DataFrame) -> pl.DataFrame:
    """*totals* with *more*, and without *less*: whole numbers, so that it is as if all were added up anew."""
    numbers = pl.col(*_COUNTS, "rows")
    both = pl.concat([totals, more, less.with_columns(-numbers)])
    return both.group_by("handler", "form").agg(numbers.sum()).filter(pl.col("rows") != 0)


def usual(totals: pl.DataFrame, intents: pl.DataFrame) -> pl.DataFrame:
    """What each handler does wherever that can be told: *totals* are those of all interactions.

    ``says_end``, ``says_removal``: wherever it says what it means, it is that; ``usually_reacts``: the end of
    a task sets it off; ``never_reacts``: events of other kinds always do; ``unprompted``: it mostly acts where
    no task has just ended; ``prompted``: it always acts where one has; ``broad``: its name stands for several
    routines.
    """
    col = pl.col
    counts = totals.group_by("handler").agg(col(_COUNTS).sum(), forms=col("form").is_not_null().sum())
    often, seen_often = col("told") >= _OFTEN, col("seen") >= _OFTEN
    # Triggers of many forms, or opposite intents: a name of several routines.
    mixed = (col("said_end") >= _OFTEN) & (col("said_removal") >= _OFTEN)
    found = counts.join(intents, on="handler", how="full", coalesce=True).select(
        "handler",
        says_end=(col("said_end") >= _OFTEN) & (col("said_removal") == 0),
        says_removal=(col("said_removal") >= 1) & (col("said_end") == 0),
        usually_reacts=often & (col("ends") >= 0.9 * col("told")),
        never_reacts=often & (col("others") == col("told")),
        unprompted=seen_often & (col("follows") <= col("seen") / 2),
        prompted=seen_often & (col("follows") == col("seen")),
        broad=(col("forms") >= _MANY_FORMS).fill_null(value=False) | mixed.fill_null(value=False),
    )
    return found.with_columns(pl.exclude("handler").fill_null(value=False)).sort("handler")


def with_habits(pairs: pl.DataFrame, habits: pl.DataFrame) -> pl.DataFrame:
    """For both sides, the *habits* of its handler (`usual`), of which the first two hold where it is silent.

    ``…_reacts``: the end of a task set it off, or usually sets it off.
    """
    for side in ("first", "second"):
        own = habits.select(pl.all().name.prefix(f"{side}_"))
        pairs = pairs.join(own, on=f"{side}_handler", how="left", maintain_order="left")
        silent = pl.col(f"{side}_trigger_key").is_null()
        pairs = pairs.with_columns(
            (on_task_event(f"{side}_") | (silent & pl.col(f"{side}_usually_reacts").fill_null(value=False))).alias(
                f"{side}_reacts"
            ),
            (silent & pl.col(f"{side}_never_reacts").fill_null(value=False)).alias(f"{side}_never_reacts"),
            pl.col(f"{side}_unprompted", f"{side}_prompted", f"{side}_broad").fill_null(value=False),
        )
    return pairs


def on_task_event(side: str) -> pl.Expr:
    """Whether a TaskRouter event set it off: the end of a task, or one of which only the SID is known."""
    is_terminal = pl.col(f"{side}trigger_kind").is_in(TERMINAL_TASK_KINDS)
    is_event = pl.col(f"{side}trigger_key").str.contains("^(?i:ev)[0-9a-f]{32}$")
    return is_terminal.fill_null(is_event).fill_null(value=False)


def on_leaving(side: str) -> pl.Expr:
    """Whether an event set it off that tells of the interaction's end, but of no task's: somebody left, a closing."""
    kinds = [SignalKind.PARTICIPANT_LEFT, SignalKind.CHANNEL_CLOSED, SignalKind.CONVERSATION_CLOSED]
    return pl.col(f"{side}trigger_kind").is_in([kind.value for kind in kinds]).fill_null(value=False)
