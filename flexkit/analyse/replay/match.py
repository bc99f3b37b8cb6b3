"""Which warning answers which attempt: clocks are calibrated, then pairs are made one to one."""

from __future__ import annotations

import polars as pl

from flexkit.terms import Outcome, SignalKind

SECOND = 1_000_000
WITHIN = 6 * SECOND
"""A warning further than this from every attempt has lost its attempt."""

PAIRS_TO_CALIBRATE = 5
CALIBRATED = 300_000
UNCALIBRATED = 2_500_000
"""How far a clock may still be off, in microseconds, with and without calibration."""

_WEEK = 7 * 86_400 * SECOND
# Whose clock it may be, from the whole log to the one machine; clocks also drift.
_CLOCKS = (["source"], ["source", "week"], ["source", "handler"])


_AT_ONCE = 1_500_000
_SHOWS_CLOSE = 750_000


def calibrate(attempts: pl.DataFrame, warnings: pl.DataFrame) -> pl.DataFrame:
    """Attempts on Twilio's clock, with ``skew``: the microseconds by which each may still be off, and ``within``.

    A warning is dated by Twilio when its attempt arrives there, so the median distance between an
    attempt and its warning is the error of the clock that wrote the attempt down. The source's offset
    is refined by week and by handler where those differ from it by more than chance. ``within`` is how
    near its warning an attempt must be: a calibrated clock tells coincidence from cause.
    """
    attempts = attempts.with_columns(within=pl.lit(WITHIN))
    moved = attempts.drop("within").with_columns(week=pl.col("at") // _WEEK, shift=pl.lit(0, pl.Int64))
    apart = moved.join(_later_pairs(attempts, warnings), on="attempt_id").with_columns(
        offset=pl.col("at") - pl.col("warning_at")
    )
    known: dict[str, pl.DataFrame] = {}
    for by in _CLOCKS:
        offsets = _offsets(apart, by)
        known[by[-1]] = offsets
        found = offsets.filter(pl.col("differs") | (len(by) == 1)).select(*by, "median")
        apart, moved = (
            frame.join(found, on=by, how="left", nulls_equal=True, maintain_order="left")
            .with_columns(pl.col(column) + sign * pl.col("median").fill_null(0))
            .drop("median")
            for frame, column, sign in ((apart, "offset", -1), (moved, "shift", 1))
        )
    residual = pl.col("offset").abs().median() * 1.4826
    within = apart.group_by("source").agg(within=(4 * residual).clip(_AT_ONCE, WITHIN).cast(pl.Int64), n=pl.len())
    within = within.filter(pl.col("n") >= PAIRS_TO_CALIBRATE).drop("n")
    moved = moved.join(within, on="source", how="left", nulls_equal=True, maintain_order="left")
    # Where machines disagree, one that was never warned may be as far off as any.
    apart_from_others = known["handler"].filter(pl.col("differs"))["source"].unique().implode()
    of_source = pl.col("source").is_in(known["source"]["source"].implode())
    alone = pl.col("source").is_in(apart_from_others) & ~pl.struct("source", "handler").is_in(
        known["handler"].select(pl.struct("source", "handler")).to_series().implode()
    )
    skew = pl.when(of_source & ~alone).then(CALIBRATED).otherwise(UNCALIBRATED)
    return moved.with_columns(
        at=pl.col("at") - pl.col("shift"), skew=skew, within=pl.col("within").fill_null(WITHIN)
    ).drop("week", "shift")


def _offsets(apart: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """The median offset of each clock that has pairs enough, and whether it differs from zero by more than chance."""
    median = pl.col("offset").median()
    spread = 1.4826 * (pl.col("offset") - median).abs().median()
    # Standard error of a median, with alerts cut to the second at least.
    noise = 1.2533 * pl.max_horizontal(spread, pl.lit(0.3 * SECOND)) / pl.len().sqrt()
    return (
        apart.group_by(by)
        .agg(median=median.round().cast(pl.Int64), differs=median.abs() > 3 * noise, pairs=pl.len())
        .filter(pl.col("pairs") >= PAIRS_TO_CALIBRATE)
    )


def pair(attempts: pl.DataFrame, warnings: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """Attempt and warning, one to one, the closest first: attempt_id, warning_id, warning_at.

    The first attempt of an interaction, and its first request to close, are taken last: one of them
    closed what the others found closed, unless the closer went unrecorded. So they must be at the
    warning's very moment, and after the close that *closed* (interaction, closed_at) shows, if it does.
    """
    later = _later_pairs(attempts, warnings)
    free = attempts.join(later, on="attempt_id", how="anti")
    left = warnings.join(later, on="warning_id", how="anti")
    first = _near(free, left).join(closed, on="interaction", how="left", maintain_order="left")
    shown = (pl.col("attempt_at") <= pl.col("closed_at") + _SHOWS_CLOSE).fill_null(value=False)
    lone = first.filter((pl.col("apart") <= _AT_ONCE) & ~shown)
    return pl.concat((later, one_to_one(lone.select(later.columns), "attempt_id", "warning_id")))


def _later_pairs(attempts: pl.DataFrame, warnings: pl.DataFrame) -> pl.DataFrame:
    """Pairs of warnings with attempts that cannot have closed their interaction."""
    near = _near(attempts, warnings).filter(~pl.col("is_first"))
    return one_to_one(near.select("attempt_id", "warning_id", "warning_at"), "attempt_id", "warning_id")


def _near(attempts: pl.DataFrame, warnings: pl.DataFrame) -> pl.DataFrame:
    """Every attempt with every warning of its interaction that is near, the nearest first."""
    # A skipped attempt sent nothing that could be warned about.
    sent = attempts.filter((pl.col("outcome") != Outcome.SKIPPED).fill_null(value=True))
    ours = sent.join(warnings.select("interaction").unique(), on="interaction", how="semi")
    closes = pl.col("kind") != SignalKind.COMPLETE_REQUESTED
    is_first = pl.col("interaction").is_first_distinct() | (
        closes & pl.struct("interaction", closes.alias("closes")).is_first_distinct()
    )
    return (
        ours.sort("interaction", "at", "attempt_id")
        .select("interaction", "attempt_id", "within", attempt_at="at", is_first=is_first)
        .join(warnings.select("interaction", "warning_id", warning_at="at"), on="interaction")
        .with_columns(apart=(pl.col("attempt_at") - pl.col("warning_at")).abs())
        .filter(pl.col("apart") < pl.col("within"))
        .sort("apart", "attempt_id", "warning_id")
    )


def one_to_one(pairs: pl.DataFrame, left: str, right: str) -> pl.DataFrame:
    """Greedy pairs from candidates in order of preference: each *left* and each *right* at most once.

    A candidate that is the first of both its sides is what going down the list would take, so every
    round takes all of those at once; rounds are bounded by the candidates of one interaction.
    """
    taken = [pairs.clear()]
    while pairs.height:
        mutual = pairs.filter(pl.col(left).is_first_distinct() & pl.col(right).is_first_distinct())
        taken.append(mutual)
        pairs = pairs.join(mutual, on=left, how="anti", maintain_order="left")
        pairs = pairs.join(mutual, on=right, how="anti", maintain_order="left")
    return pl.concat(taken)
