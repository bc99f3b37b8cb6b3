"""The signals around one interaction, found by key: without reading the other columns of all days."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flexkit.tables.keys import key64
from flexkit.tables.schema import SIGNALS
from flexkit.terms import Source

LINKS = ("channel_sid", "conversation_sid", "task_sid")
"""What a signal may name instead of its interaction."""

_STEPS = 2
"""A task may be known only by its channel, and that only by a record that names no interaction either."""
_FEW = 8
"""Values up to which comparing text with each takes less time than looking it up among all."""
_SHARED = dt.timedelta(days=7)
"""How far around it another interaction is looked for that shares a part: conversations are used again."""


def around(signals: pl.LazyFrame, interaction_sid: str) -> pl.DataFrame:
    """Every one of the stored *signals* that names the interaction, or names none but one of its parts.

    A Studio step names nothing but its execution: those of the interaction's executions are there too.

    Signals of others that share one of its parts within seven days are there too: whoever links parts to
    interactions must see that such a part is not this interaction's alone.
    """
    key = pl.DataFrame({"sid": [interaction_sid]}).select(key64("sid")).item()
    if key is None:
        return SIGNALS.empty()
    rows = _whole(signals, pl.col("ikey") == key).filter(pl.col("interaction_sid") == interaction_sid)
    unnamed = signals.filter(pl.col("ikey").is_null()).select("day", *LINKS).collect()
    for _ in range(_STEPS):
        days = unnamed.filter(_sharing(rows))["day"].unique().implode()
        of_days = signals.filter(pl.col("day").is_in(days), pl.col("ikey").is_null(), _sharing(rows)).collect()
        fresh = of_days.join(rows, on="signal_id", how="anti")
        if fresh.is_empty():
            break
        rows = pl.concat([rows, fresh])
    if rows.is_empty():
        return rows
    near = pl.col("day").is_between(pl.lit(rows["day"].min()) - _SHARED, pl.lit(rows["day"].max()) + _SHARED)
    nearby = signals.filter(near)
    others = pl.col("ikey").is_not_null(), pl.col("ikey") != key
    shared = _whole(nearby, *others, _sharing(rows) | _of_executions(rows))
    bare = pl.all_horizontal(pl.col("interaction_sid", *LINKS).is_null())
    steps = _whole(nearby, bare, _of_executions(rows))
    return pl.concat([rows, shared, steps])


def _whole(signals: pl.LazyFrame, *conditions: pl.Expr) -> pl.DataFrame:
    """The *signals* that fulfil all *conditions*: first their days, so that forty columns of other days stay unread."""
    days = signals.filter(*conditions).select(pl.col("day").unique()).collect()["day"]
    if days.is_empty():
        return SIGNALS.empty()
    return signals.filter(pl.col("day").is_in(days.implode()), *conditions).collect()


def _sharing(rows: pl.DataFrame) -> pl.Expr:
    """Whether a signal names a part that *rows* name."""
    parts = ((link, rows[link].drop_nulls().unique()) for link in LINKS)
    return pl.any_horizontal(*(_is_one_of(link, values) for link, values in parts)).fill_null(value=False)


def _is_one_of(column: str, values: pl.Series) -> pl.Expr:
    if len(values) > _FEW:
        return pl.col(column).is_in(values.implode())
    return pl.any_horizontal(pl.lit(value=False), *(pl.col(column) == value for value in values))


def _of_executions(rows: pl.DataFrame) -> pl.Expr:
    """Whether a signal is of a Studio execution that *rows* hold."""
    runs = rows.filter(pl.col("source") == Source.STUDIO)["trigger_id"].drop_nulls().unique()
    return (pl.col("source") == Source.STUDIO) & pl.col("trigger_id").is_in(runs.implode()).fill_null(value=False)
