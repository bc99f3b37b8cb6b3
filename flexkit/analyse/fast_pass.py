"""The heavy pass on Polars alone: what `flexkit.analyse.heavy_pass` gives, to the last row, in less time.

The rules are those of the portable form; here a kind of signal is a small number as soon as it is read, and
so is a channel's type. A test holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import heavy_pass
from flexkit.analyse.heavy_pass import CLOSES, COUNTED, IN_VAIN, PARKS, READ, REPEATABLE, SHOWN, TASK_ENDS
from flexkit.terms import SignalKind

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = pl.Enum(READ)
"""Kinds of signals that the pass reads, as numbers."""


def ending(signals: pl.LazyFrame) -> pl.LazyFrame:
    """Those of *signals* that end an interaction, show its end or bear on that, and were not in vain."""
    outcome = pl.col("outcome")
    return signals.filter(pl.col("kind").is_in(READ), outcome.is_null() | ~outcome.is_in(IN_VAIN))


def partials(signals: pl.LazyFrame) -> pl.LazyFrame:
    """`flexkit.analyse.heavy_pass.partials` of *signals*."""
    us, when = pl.col("us"), pl.when
    rows = (
        ending(signals)
        .filter(pl.col("ikey").is_not_null())
        .select(
            "ikey",
            pl.col("channel_type").cast(pl.Categorical),
            us="occurred_us",
            kind=pl.col("kind").cast(KINDS).to_physical(),
        )
        .select(
            "ikey",
            "channel_type",
            closing_us=when(_among((*SHOWN, *CLOSES))).then(us),
            closed_us=when(_among((SignalKind.CHANNEL_CLOSED.value,))).then(us),
            warned_us=when(_among((SignalKind.WARNING.value,))).then(us),
            task_us=when(_among(TASK_ENDS)).then(us),
            park_us=when(_among(PARKS)).then(us),
            late_us=when(_among((SignalKind.CLOSE_CHANNEL_REQUESTED.value,))).then(us),
            last_us=when(_among(REPEATABLE)).then(us),
            request_count=_among(REPEATABLE).cast(pl.Int64),
            signal_count=_among(COUNTED).cast(pl.Int64),
        )
    )
    return (
        rows.group_by("ikey")
        .agg(
            pl.col(heavy_pass.LEAST).min(),
            pl.col(heavy_pass.GREATEST).max(),
            pl.col(heavy_pass.SUMS).sum(),
        )
        .select("ikey", pl.col("channel_type").cast(pl.String), pl.exclude("ikey", "channel_type"))
        .select(heavy_pass.PARTIAL)
    )


def answer(signals: pl.LazyFrame) -> pl.DataFrame:
    """`flexkit.analyse.heavy_pass.answer` of all *signals*."""
    found: pl.DataFrame = heavy_pass.per_day(heavy_pass.completed(partials(signals))).collect(engine="streaming")
    return found


def _among(kinds: Sequence[str]) -> pl.Expr:
    """Whether ``kind``, a number by now, is one of *kinds*: a span of numbers where they are neighbours."""
    kind, places = pl.col("kind"), sorted(READ.index(name) for name in kinds)
    if len(places) > 1 and places == list(range(places[0], places[-1] + 1)):
        return kind.is_between(places[0], places[-1])
    return pl.any_horizontal([kind == place for place in places])
