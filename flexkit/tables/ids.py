"""Ids and keys that are made, not given: the same for the same record on every machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.keys import key64, signal_keys

if TYPE_CHECKING:
    from collections.abc import Sequence


def digests(texts: pl.Series, *, prefix: str) -> pl.Series:
    """An id for each text: *prefix* and 32 hexadecimal digits, the same for the same text on every machine."""
    made = [
        None if text is None else prefix + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        for text in texts.to_list()
    ]
    return pl.Series(texts.name, made, dtype=pl.String)


def identity(columns: Sequence[str]) -> pl.Expr:
    """One text of several columns, null shown as such, for `digests`."""
    # A unit separator cannot come from text that was scrubbed, and JSON escapes it.
    return pl.concat_str([pl.col(column).cast(pl.String).fill_null("\x00") for column in columns], separator="\x1f")


def derive(signals: pl.DataFrame) -> pl.DataFrame:
    """*signals* with the columns that follow from the others made anew."""
    return signals.with_columns(
        pl.coalesce("evidence_sid", "signal_id").alias("evidence_sid"),
        _trigger_keys(signals["trigger_id"]),
        *signal_keys(),
    )


def _trigger_keys(triggers: pl.Series) -> pl.Series:
    """A 64-bit key per trigger, for equality: from its own digits where it is a SID, else from its digest."""
    rows = triggers.alias("trigger").to_frame()
    is_sid = pl.col("trigger").str.contains("^[A-Z]{2}[0-9a-f]{32}$")
    distinct = rows.filter(~is_sid)["trigger"].drop_nulls().unique()
    made = digests(distinct, prefix="TK")
    ids = rows.select(
        trigger_key=pl.when(is_sid)
        .then("trigger")
        .otherwise(pl.col("trigger").replace_strict(distinct, made, default=None, return_dtype=pl.String))
        if len(distinct)
        else pl.when(is_sid).then("trigger")
    )
    return ids.select(key64("trigger_key").alias("tkey")).to_series()
