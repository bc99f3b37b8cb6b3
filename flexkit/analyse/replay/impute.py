"""What became of each warning under each subset: certain, bounded, or drawn from similar warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay.deck import Deck
from flexkit.analyse.replay.match import SECOND
from flexkit.analyse.replay.rerun import IDEMPOTENT, NEVER, SUBSETS, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flexkit.analyse.replay.readings import Readings
    from flexkit.analyse.replay.rerun import Bools, Outcome

_SOON = 60 * SECOND
# Seconds, beyond the age of a status read: a double click, a retry, a sweeper, a job. Time-outs are round numbers of
# seconds and alerts are cut to the second, so that edges lie between the round ones.
_GAPS = (3.5, 7.0, 12.5, 24.0, 45.0, 100.0, 450.0, 2500.0)
_WIDE_GAPS = (7.0, 45.0, 450.0)


@dataclass(frozen=True, slots=True)
class Assessment:
    """Every warning, in the order of the attempts, and what is known of its fate.

    warnings: warning_id, row, interaction, at, features of both attempts, is_replayable, has_donor.
    most, least: warnings × 16, whether it remains at the most and at the least, reads as old as stated.
    open: warnings × 16, where an attempt that nobody recorded may have taken the warned attempt's key before it.
    """

    warnings: pl.DataFrame
    few: Outcome
    many: Outcome
    most: Bools
    least: Bools
    open: Bools
    delta_us: int
    deck: Deck

    def bounds(self) -> tuple[Bools, Bools]:
        """At most and at least remaining, whatever the unknown is and however far the clocks may be off."""
        slack = np.maximum(self.warnings["skew"].to_numpy(), self.warnings["c_skew"].to_numpy()).astype(np.int64)
        older, fresher = self.delta_us + slack, np.maximum(self.delta_us - slack, 0)
        readings = [reading.remains(delta) for reading in (self.few, self.many) for delta in (older, fresher)]
        return np.logical_or.reduce(readings), np.logical_and.reduce(readings) & ~self.open

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Bools]:
        """*count* times warnings × 16: whether each remains, the unknown drawn anew each time."""
        for _ in range(count):
            limit = self.delta_us + self.deck.clock_errors(rng)
            few, many = self.few.remains(limit), self.many.remains(limit)
            yield self.deck.filled(few | many, few & many & ~self.open, rng)


def assess(readings: Readings, *, delta_us: int, ttl_us: int) -> Assessment:
    """Replay both *readings*, and find donors for the warnings on which they differ."""
    few, many = run(readings.few, ttl_us=ttl_us), run(readings.many, ttl_us=ttl_us)
    at_few, at_many = few.remains(delta_us), many.remains(delta_us)
    maybe_repeats = _after_unknown(readings, ttl_us)[:, None] & ((np.arange(SUBSETS) & IDEMPOTENT) > 0)
    most, least = at_few | at_many, at_few & at_many & ~maybe_repeats
    warnings = _features(readings, few, delta_us).with_columns(is_replayable=pl.Series((most == least).all(axis=1)))
    deck = Deck.shuffled(warnings, most)
    warnings = warnings.with_columns(has_donor=pl.Series(deck.has_donor) | pl.col("is_replayable"))
    return Assessment(warnings, few, many, most, least, maybe_repeats, delta_us, deck)


def _after_unknown(readings: Readings, ttl_us: int) -> Bools:
    """Which warned attempts came after one that nobody recorded, and may have repeated its trigger."""
    rows = readings.rows.select("number", "at", "is_warned", "born", is_unknown=pl.col("handler").is_null())
    hidden_at = pl.when("is_unknown").then("at").forward_fill().shift(1).over("number")
    since = pl.col("at") - hidden_at
    found = rows.select(
        "is_warned",
        after=((pl.col("born") == "seen") & ~pl.col("is_unknown") & (since <= ttl_us)).fill_null(value=False),
    )
    reached: Bools = (readings.many.scope & IDEMPOTENT) > 0
    after: Bools = (found["after"].to_numpy() & reached)[found["is_warned"].to_numpy()]
    return after


def _place() -> pl.Expr:
    """Which of its interaction's warnings it is: the first (0), soon after another (1), or later (2)."""
    since = pl.col("at").diff().over("interaction")
    return pl.when(since.is_null()).then(0).when(since <= _SOON).then(1).otherwise(2)


def _features(readings: Readings, outcome: Outcome, delta_us: int) -> pl.DataFrame:
    """What is known of each warning: its own attempt (w_), the closer's (c_), and the time between."""
    rows = readings.rows
    warned = rows.filter("is_warned")
    closer = outcome.closer[warned["stretch"].to_numpy(), 0]
    stated = ("handler", "kind", "removal", "stray", "born", "at", "is_timed", "source", "skew", "is_echoed")
    closers = rows.select(stated)[np.where(closer == NEVER, 0, closer)]
    both = warned.select(
        "warning_id", "row", "interaction", "at", "channel_type", "trigger_kind", "skew", "source",
        count=pl.len().over("interaction").clip(1, 3), place=_place(), w_handler="handler", w_kind="kind",
        w_born="born", w_stray="stray", w_is_echoed="is_echoed",
    ).hstack(closers.select(pl.all().name.prefix("c_")))  # fmt: skip
    seconds = (pl.col("at") - pl.col("c_at")) / SECOND
    # Whether a status check would have seen the close is the first thing that must agree.
    age = delta_us / SECOND
    fine, wide = ([age, *(edge for edge in edges if edge > age)] for edges in (_GAPS, _WIDE_GAPS))
    timed = pl.col("c_is_timed")
    return (
        both.join(readings.task_ends, on="interaction", how="left", maintain_order="left", suffix="_end")
        .with_columns(
            gap_seconds=pl.when(timed).then(seconds),
            is_fast=pl.when(timed).then(seconds <= delta_us / SECOND),
            gap=pl.when(timed).then(pl.sum_horizontal((seconds > edge).cast(pl.Int8) for edge in fine)),
            wide=pl.when(timed).then(pl.sum_horizontal((seconds > edge).cast(pl.Int8) for edge in wide)),
            ended=(pl.col("at_end") <= pl.col("c_at")).fill_null(value=False),
            is_same=pl.col("w_handler") == pl.col("c_handler"),
        )
        .drop("at_end")
    )
