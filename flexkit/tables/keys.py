"""Columns that follow from others: integer keys of SIDs, and what the heavy pass sorts and filters by."""

from __future__ import annotations

import polars as pl

TERMINAL_KINDS: tuple[str, ...] = (
    "channel_closed",
    "close_channel_requested",
    "close_participant_requested",
    "close_conversation_requested",
    "complete_requested",
    "conversation_closed",
    "reservation_completed",
    "reservation_wrapup",
    "task_canceled",
    "task_completed",
    "task_deleted",
    "task_wrapup",
    "warning",
    "workflow_timeout",
)
"""Kinds of signals that can complete an interaction, or show that it was completed (``is_terminal``).

A Studio step is not among them: whether it can close anything is known only from its flow's definition.
"""

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
"""Kinds of signals that the heavy pass reads: files hold them before all others."""


def key64(sid: str) -> pl.Expr:
    """Column *sid* as a signed 64-bit key of its 32 hexadecimal digits; null without them.

    Both halves count, the first shifted by a bit, because SIDs made by people (tests, demos, masks) often differ in
    their last digits only, or are one digit repeated.
    """
    plain = pl.when(pl.col(sid).str.contains("^[A-Za-z]{2}[0-9a-fA-F]{32}")).then(pl.col(sid))
    first, last = (plain.str.slice(start, 16).str.decode("hex") for start in (2, 18))
    unsigned = [half.bin.reinterpret(dtype=pl.UInt64, endianness="big") for half in (first, last)]
    return (unsigned[0] // 2 ^ unsigned[1]).reinterpret(signed=True)


def signal_keys() -> list[pl.Expr]:
    """The derived columns of `SIGNALS` that follow from its other columns alone (all but ``tkey``)."""
    return [
        pl.col("occurred_at").dt.epoch("us").alias("occurred_us"),
        key64("interaction_sid").alias("ikey"),
        key64("signal_id").alias("ekey"),
        pl.col("kind").is_in(TERMINAL_KINDS).alias("is_terminal"),
        pl.col("occurred_at").dt.date().alias("day"),
    ]
