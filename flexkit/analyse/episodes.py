"""Completed interactions, and the completions that came after an interaction was complete.

The one heavy pass: from all signals to one row per completed interaction and one per duplicate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import completed, extracts, linking
from flexkit.analyse.affected import cases
from flexkit.analyse.attempts import SECOND
from flexkit.analyse.completed import COMPLETIONS, instant
from flexkit.analyse.nameless import Nameless
from flexkit.tables.schema import INSTANT, SIDS, SIGNALS
from flexkit.tables.streamed import streamed

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = ("interaction_sid", "occurred_at", "source", "kind")
"""Columns of `signals` that the analysis cannot do without."""

DUPLICATES: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_closed_at": INSTANT,
    "first_source": pl.String,
    "first_handler": pl.String,
    "second_at": INSTANT,
    "second_source": pl.String,
    "second_handler": pl.String,
    "gap_seconds": pl.Float64,
    "alert_sids": SIDS,
    "evidence_kind": pl.String,
}


def completions(signals: pl.LazyFrame, twice: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """One row per completed interaction.

    ``first_closed_at`` is when it was first complete: its channel or conversation was seen or requested
    closed, else its last task ended, else (where only a warning tells) when the warning found it so.
    ``signal_count`` counts the signals that end it or show its end, ``completion_count`` its completion
    episodes: one, and one more for each duplicate. A task that ended because its agent was removed, while
    the channel stayed open, completes nothing.

    *twice* are the `duplicates` where they are known; else they are taken from *signals*. Raises
    `SchemaError` where a column of the contract is absent that cannot be done without.
    """
    SIGNALS.require(signals, *NEEDED)
    twice = duplicates(signals) if twice is None else twice

    def pieces() -> Iterator[pl.DataFrame]:
        known = linking.prepared(signals)
        told = extracts.of(known)
        seen = completed.Sources(known, told, Nameless.of(told))
        for piece in completed.pieces(seen, completed.repeats(twice)):
            yield piece.select(*COMPLETIONS)

    return streamed(pieces, COMPLETIONS)


def duplicates(signals: pl.LazyFrame, alerts: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """One row per completion of an interaction that was already complete.

    Warned: an 80906 alert in *alerts*, or a warning among *signals*, belongs to the interaction.
    Inferred: a completing request went through on a complete interaction though no alert tells
    (`flexkit.analyse.pairing` has the conditions). ``evidence_kind`` is ``both`` where an alert tells and
    the second completion itself is among the signals. Attempts and alerts of one later trigger are one
    row; ``first_…`` is null where nothing tells who closed first. Alerts about Proxy, and alerts that
    name nothing that leads to an interaction, are no rows here; `flexkit.analyse.causes` keeps them.
    """
    SIGNALS.require(signals, *NEEDED)
    return cases(signals, alerts).select(
        "interaction_sid",
        "channel_type",
        instant("first_us").alias("first_closed_at"),
        "first_source",
        "first_handler",
        instant("second_us").alias("second_at"),
        "second_source",
        "second_handler",
        ((pl.col("second_us") - pl.col("first_us")).clip(0) / SECOND).alias("gap_seconds"),
        "alert_sids",
        "evidence_kind",
    )
