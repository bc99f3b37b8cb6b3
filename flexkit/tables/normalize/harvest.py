"""What the normalizers of all kinds share: rows in, checked rows and rejects out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import derive, digests, identity
from flexkit.tables.normalize.checks import PROBLEM
from flexkit.tables.normalize.decode import IS_OBJECT, fields
from flexkit.tables.redact import masked, scrub
from flexkit.tables.schema import INSTANT, REJECTS, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.tables.redact import Redactor

NOT_AN_OBJECT = "the record is not one JSON object: repair the file or export it again"

WHERE = "record_origin"
"""Column of file and line, or API path, of the record that a row came from; tables do not store it."""

EVIDENCE = ("kind", "record", "seen_at", WHERE)


@dataclass
class Harvest:
    """Rows of every table as the normalizers find them, and what did not fit."""

    redactor: Redactor
    now: dt.datetime
    frames: dict[str, list[pl.DataFrame]] = field(default_factory=dict)

    def read(self, records: pl.DataFrame, table: str, wanted: Mapping[str, str]) -> pl.DataFrame:
        """*records* with a column of text for each field *wanted* (`fields`); what is no JSON object is rejected."""
        rows = records.select(*EVIDENCE).hstack(fields(records["record"], wanted))
        rows = rows.with_columns(horizon=self.horizon())
        self.reject(table, rows.filter(~pl.col(IS_OBJECT)).with_columns(problem=pl.lit(NOT_AN_OBJECT)))
        return rows.filter(pl.col(IS_OBJECT))

    def horizon(self) -> pl.Expr:
        """The latest instant to believe: a day after the record was read, or after now."""
        return pl.max_horizontal(pl.col("seen_at"), pl.lit(self.now).cast(INSTANT)) + dt.timedelta(days=1)

    def sift(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows without a problem; the others become rejects of *table*."""
        self.reject(table, rows.filter(pl.col(PROBLEM).is_not_null()))
        # Polars 2.1 panics when it formats a column in pieces of which a filter has emptied one.
        return rows.filter(pl.col(PROBLEM).is_null()).rechunk()

    def reject(self, table: str, rows: pl.DataFrame) -> None:
        """Keep *rows* as rejects: masked record, reason, where they came from."""
        if rows.is_empty():
            return
        shown = pl.Series("record", [masked(record) for record in rows["record"].fill_null("").to_list()])
        rejects = rows.select(
            pl.lit(table).alias("table"),
            scrub(pl.col(PROBLEM)).alias("reason"),
            scrub(pl.col(WHERE), limit=300).alias("source"),
            "seen_at",
            pl.col("record").alias("whole"),
        ).with_columns(shown)
        named = rejects.with_columns(
            reject_id=digests(rejects.select(identity(["table", "reason", "whole"])).to_series(), prefix="RJ")
        )
        self.keep(REJECTS.name, named)

    def keep(self, table: str, rows: pl.DataFrame) -> None:
        """Keep *rows* of *table*; missing columns are null, extra ones are dropped."""
        if not rows.is_empty():
            self._add(table, rows)

    def keep_signals(self, rows: pl.DataFrame) -> None:
        """Keep *rows* of signals with their derived columns.

        They bring ``signal_id``, or ``identity``: the text from which it is made.
        """
        if rows.is_empty():
            return
        if "signal_id" not in rows.columns:
            rows = rows.with_columns(signal_id=digests(rows["identity"], prefix="SG"))
        self._add("signals", rows)
        self.frames["signals"][-1] = derive(self.frames["signals"][-1])

    def _add(self, table: str, rows: pl.DataFrame) -> None:
        where = rows[WHERE] if WHERE in rows.columns else pl.Series([None] * rows.height, dtype=pl.String)
        whole = TABLES[table].conform(rows.lazy()).collect().with_columns(where.alias(WHERE))
        self.frames.setdefault(table, []).append(whole)


def delivered(rows: pl.DataFrame, *, id_column: str) -> pl.DataFrame:
    """*rows* with ``deliveries``: how this copy of an event came, where *id_column* holds the delivery's id.

    An event is one signal however often it came, but a handler may log any delivery's id as its trigger.
    """
    if id_column not in rows.columns:
        return rows.with_columns(deliveries=pl.lit(None, pl.List(pl.String)))
    empty = pl.lit("")
    received = pl.col("received_at").dt.epoch("us").cast(pl.String) if "received_at" in rows.columns else empty
    receiver = pl.col("subscription") if "subscription" in rows.columns else empty
    parts = [pl.col(id_column), received.fill_null(""), receiver.fill_null("")]
    known = pl.col(id_column).is_not_null()
    return rows.with_columns(deliveries=pl.when(known).then(pl.concat_list(pl.concat_str(parts, separator="|"))))
