"""The signals around one interaction, found by key: without reading the other columns of all days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.keys import key64
from flexkit.tables.schema import SIGNALS
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Callable

LINKS = ("channel_sid", "conversation_sid", "task_sid")
"""What a signal may name instead of its interaction."""

_STEPS = 2
"""A task may be known only by its channel, and that only by a record that names no interaction either."""
_FEW = 8
"""Values up to which comparing text with each takes less time than looking it up among all."""
_SHARED = dt.timedelta(days=7)
"""How far around it another interaction is looked for that shares a part: conversations are used again."""
_HAS_KEY = pl.col("ikey").is_not_null()
_BARE = pl.all_horizontal(pl.col("interaction_sid", *LINKS).is_null())

_Days = tuple[dt.date | None, dt.date | None]


@dataclass(frozen=True, slots=True)
class Told:
    """What is kept of all signals, to be read in their place (`flexkit.analyse.extracts.told`)."""

    loose: pl.LazyFrame
    """Whole signals, among them each that has no key, and each warning."""
    runs: pl.LazyFrame
    """Executions of Studio flows (``trigger_id``), and the interactions that their steps name."""
    links: Callable[[dt.date | None, dt.date | None], pl.LazyFrame | None]
    """`LINKS` that stand together in signals from one day to another and in those without a day, warnings left out."""


def around(signals: pl.LazyFrame, interaction_sid: str, told: Told | None = None) -> pl.DataFrame:
    """Every one of the stored *signals* that names the interaction, or names none but one of its parts.

    A Studio step names nothing but its execution: those of the interaction's executions are there too.

    Signals of others that share one of its parts within seven days are there too: whoever links parts to
    interactions must see that such a part is not this interaction's alone.

    What is *told* of the same signals changes nothing but how much of them is read.
    """
    key = pl.DataFrame({"sid": [interaction_sid]}).select(key64("sid")).item()
    if key is None:
        return SIGNALS.empty()
    loose = signals if told is None else told.loose
    is_own = pl.col("interaction_sid") == interaction_sid
    rows = _with_nameless(_whole(signals, pl.col("ikey") == key).filter(is_own), loose)
    if rows.is_empty():
        return rows
    days = _around_days(rows)
    runs = rows.filter(pl.col("source") == Source.STUDIO)["trigger_id"].drop_nulls().unique()
    found = [*_sharing(rows), *_of_runs(runs)]
    if told is None:
        shared = _whole(signals.filter(_within(days), _HAS_KEY), *found)
    else:
        others = _others(told, days, _sharing(rows), runs).filter(~is_own)["ikey"].unique()
        among = [pl.col("ikey").is_in(others.implode())] if len(others) else []
        shared = _whole(signals.filter(_within(days)), *among).filter(pl.any_horizontal(*found, pl.lit(value=False)))
    steps = _whole(loose.filter(_within(days), _BARE), *_of_runs(runs))
    return pl.concat([rows, shared.filter(~is_own), steps])


def _with_nameless(rows: pl.DataFrame, loose: pl.LazyFrame) -> pl.DataFrame:
    """*rows*, and those of the *loose* signals that name no interaction but a part that *rows* name."""
    unnamed = loose.filter(~_HAS_KEY)
    parts = unnamed.select("day", *LINKS).collect()
    for _ in range(_STEPS):
        shares = pl.any_horizontal(*_sharing(rows), pl.lit(value=False))
        days = parts.filter(shares)["day"].unique()
        fresh = unnamed.filter(_on(days), shares).collect() if len(days) else SIGNALS.empty()
        fresh = fresh.join(rows, on="signal_id", how="anti")
        if fresh.is_empty():
            break
        rows = pl.concat([rows, fresh])
    return rows


def _others(told: Told, days: _Days, sharing: list[pl.Expr], runs: pl.Series) -> pl.DataFrame:
    """The interactions some of whose signals of those *days* share a part or an execution."""
    links = told.links(*days)
    linked = [] if links is None else [links.filter(one) for one in sharing]
    warned = [told.loose.filter(_within(days), pl.any_horizontal(*sharing))] if sharing else []
    ran = [told.runs.filter(pl.col("trigger_id").is_in(runs.implode()))] if len(runs) else []
    named = [some.select("ikey", "interaction_sid") for some in (*linked, *warned, *ran)]
    return pl.concat([SIGNALS.empty().lazy().select("ikey", "interaction_sid"), *named]).collect().drop_nulls()


def _whole(signals: pl.LazyFrame, *either: pl.Expr) -> pl.DataFrame:
    """The *signals* that fulfil a condition: first their days, so that forty columns of other days stay unread.

    Each condition is asked by itself: one column of text is compared with a value without being decoded.
    """
    if not either:
        return SIGNALS.empty()
    days = pl.concat(signals.filter(one).select("day") for one in either).unique().collect()["day"]
    if days.is_empty():
        return SIGNALS.empty()
    return signals.filter(_on(days), pl.any_horizontal(*either)).collect()


def _on(days: pl.Series) -> pl.Expr:
    dated = pl.col("day").is_in(days.drop_nulls().implode())
    return dated | pl.col("day").is_null() if days.has_nulls() else dated


def _around_days(rows: pl.DataFrame) -> _Days:
    """The days around *rows* on which signals of others count; none, where no day of theirs is known."""
    first, last = rows.select(pl.col("day").min() - _SHARED, (pl.col("day").max() + _SHARED).alias("last")).row(0)
    return first, last


def _within(days: _Days) -> pl.Expr:
    """Whether a signal is from one of *days* to the other; one without a day may be."""
    first, last = (pl.lit(day, dtype=pl.Date) for day in days)
    return pl.col("day").is_between(first, last) | pl.col("day").is_null()


def _sharing(rows: pl.DataFrame) -> list[pl.Expr]:
    """The ways in which a signal may name a part that *rows* name."""
    named = ((link, rows[link].drop_nulls().unique()) for link in LINKS)
    return [_is_one_of(link, values) for link, values in named if len(values)]


def _is_one_of(column: str, values: pl.Series) -> pl.Expr:
    if len(values) > _FEW:
        return pl.col(column).is_in(values.implode())
    return pl.any_horizontal(pl.col(column) == value for value in values)


def _of_runs(runs: pl.Series) -> list[pl.Expr]:
    """Whether a signal is of one of these executions of Studio flows, where there are any."""
    return [(pl.col("source") == Source.STUDIO) & pl.col("trigger_id").is_in(runs.implode())] if len(runs) else []
