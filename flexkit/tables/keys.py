"""Columns that follow from others: integer keys of SIDs, and what the heavy pass sorts and filters by."""

from __future__ import annotations

import polars as pl

from flexkit.terms import Outcome

ENDING_KINDS: tuple[str, ...] = (
    "channel_closed",
    "conversation_closed",
    "close_channel_requested",
    "close_conversation_requested",
    "task_completed",
    "task_canceled",
    "task_deleted",
    "task.system-deleted",
    "complete_requested",
    "channel_inactive",
    "close_participant_requested",
    "warning",
)
"""Kinds of signals that end an interaction, show its end or bear on that: what the heavy pass reads.

Stores hold the place of a kind in this list (``ending``): another order or length is another format.
"""
IN_VAIN = (Outcome.REJECTED.value, Outcome.SKIPPED.value)
"""Outcomes of requests that did nothing."""


def key64(sid: str) -> pl.Expr:
    """Column *sid* as a signed 64-bit key of its 32 hexadecimal digits; null without them.

    Both halves count, the first shifted by a bit, because SIDs made by people (tests, demos, masks) often differ in
    their last digits only, or are one digit repeated.
    """
    plain = pl.when(pl.col(sid).str.contains("^[A-Za-z]{2}[0-9a-fA-F]{32}")).then(pl.col(sid))
    first, last = (plain.str.slice(start, 16).str.decode("hex") for start in (2, 18))
    unsigned = [half.bin.reinterpret(dtype=pl.UInt64, endianness="big") for half in (first, last)]
    return (unsigned[0] // 2 ^ unsigned[1]).reinterpret(signed=True)


def ending() -> pl.Expr:
    """The place of ``kind`` among `ENDING_KINDS`; null where it is none of them, or was in vain."""
    went_through = pl.col("outcome").is_null() | ~pl.col("outcome").is_in(IN_VAIN)
    place = pl.col("kind").cast(pl.Enum(ENDING_KINDS), strict=False).to_physical().cast(pl.Int8)
    return pl.when(went_through).then(place).alias("ending")


def signal_keys() -> list[pl.Expr]:
    """The derived columns of `SIGNALS` that follow from its other columns alone (all but ``tkey``)."""
    return [
        pl.col("occurred_at").dt.epoch("us").alias("occurred_us"),
        key64("interaction_sid").alias("ikey"),
        key64("signal_id").alias("ekey"),
        ending(),
        pl.col("occurred_at").dt.date().alias("day"),
    ]
