"""One Delta table: optimistic inserts and joins of copies, lazy reads. No table is special here.

Events are immutable, so storing is insert-if-absent: an anti-join on the key within the touched days,
then an append as a transaction that fails if anybody else committed since the anti-join read (a plain
append by two writers silently doubled rows). A copy that adds something to a stored row is joined with
it (`flexkit.tables.merge`) and replaced with a MERGE whose partition predicates are literals: without
them delta-rs reads every partition.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from flexkit.errors import StoreError
from flexkit.tables.merge import WHERE, merged
from flexkit.tables.schema import REJECTS
from flexkit.tables.store_failures import explained
from flexkit.tables.store_opened import current, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.tables.table import Table

NO_VERSION = -1
"""Stands for "this table was not there yet"."""

PARTITIONED = ("signals", "task_events", "steps")
"""Tables that are cut into UTC days; the others are small enough for one piece."""

_APP = "flexkit-ingest"
_TRIES = 40
_REWRITTEN_AT_ONCE = 200_000
"""Rows of the touched days up to which they are written anew instead of merged."""
_MIDNIGHT = dt.timedelta(seconds=2)
"""Copies of one event may be rounded to the second: those near midnight are looked for on both days."""
ZSTD = WriterProperties(compression="ZSTD", max_row_group_size=131_072)
"""Groups this small let a look-up by key skip most of a large day: measured half its time, for 14 % more bytes."""
QUICK = WriterProperties(compression="LZ4_RAW", max_row_group_size=131_072)
"""For batches that compaction will write anew: measured half the time, for half as many bytes again."""
_SMALL_BATCH = 50_000
SETTINGS = {"delta.logRetentionDuration": "interval 60 days", "delta.checkpointInterval": "20"}
"""Of new tables. A log is read from its last checkpoint on: with one in 90 commits opening took six times as long."""


@dataclass(frozen=True, slots=True)
class Added:
    """What an addition to one table did: rows given, rows that were new, rows that learned something."""

    rows: int
    new_rows: int
    changed_rows: int = 0


class DeltaFolder:
    """The rows of one table in one folder (or object-store URL)."""

    def __init__(self, uri: str, table: Table, *, version: int | None = None) -> None:
        self.uri = uri
        self.table = table
        self.version = version

    # Reading ------------------------------------------------------------------------------------------

    def opened(self) -> DeltaTable | None:
        """The Delta table at this folder's version, or nothing where none was written yet."""
        return None if self.version == NO_VERSION else opened(self.uri, self.version)

    def current(self) -> DeltaTable | None:
        """The table as `opened` gives it, for reading only: opened once for each of its versions."""
        return None if self.version == NO_VERSION else current(self.uri, self.version)

    def is_whole(self) -> bool:
        """Whether every file of this version is still there; replaced files are kept for thirty days only."""
        held = self.current()
        if held is None:
            return True
        names = [unquote(uri.removeprefix("file://")) for uri in held.file_uris()]
        return all(Path(name).exists() for name in names if "://" not in name)

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily, with the columns of the table (and ``day`` where it is partitioned)."""
        held = self.current()
        if held is None:
            return self.table.empty().lazy()
        return pl.scan_delta(held)

    def span(self) -> tuple[dt.datetime, dt.datetime] | None:
        """The first and the last instant held; of a table in days only those two days are read."""
        held = self.current()
        if held is None or self.table.time is None:
            return None
        rows = pl.scan_delta(held)
        if self.is_cut:
            days = sorted(dt.date.fromisoformat(part["day"]) for part in held.partitions() if part["day"])
            rows = rows.filter(pl.col("day").is_in(days[:1] + days[-1:]))
        time = pl.col(self.table.time)
        first, last = rows.select(time.min(), time.max().alias("last")).collect().row(0)
        return None if first is None else (first, last)

    # Writing ------------------------------------------------------------------------------------------

    def add(self, rows: pl.DataFrame) -> tuple[Added, pl.DataFrame]:
        """Store *rows* (one per key): what is new is inserted, what adds to a stored row is joined with it.

        Also gives a reject for each key whose copies contradict each other. Nothing is stored on failure.
        """
        if rows.is_empty():
            return Added(0, 0), REJECTS.empty()
        incoming = self._conformed(rows)
        for attempt in range(_TRIES):
            try:
                with explained(f"write {self.uri}"):
                    return self._try_to_add(incoming)
            except CommitFailedError:
                # Another writer was faster; what it wrote is read before the next try.
                time.sleep(random.uniform(0, min(0.02 * 2**attempt, 1.0)))
        msg = (
            f"Other processes kept writing to {self.uri} for {_TRIES} tries. Nothing of this batch was stored in "
            "it; run the same command again when they are done (what is stored twice is counted once)."
        )
        raise StoreError(msg)

    def _conformed(self, rows: pl.DataFrame) -> pl.DataFrame:
        where = rows[WHERE] if WHERE in rows.columns else pl.Series([None] * rows.height, dtype=pl.String)
        plain = self.table.conform(rows.lazy()).collect().with_columns(where.alias(WHERE))
        if self.is_cut and "day" not in plain.columns:
            plain = plain.with_columns(day=pl.col(self._time).dt.date())
        return plain

    @property
    def is_cut(self) -> bool:
        """Whether the table is cut into days."""
        return self.table.name in PARTITIONED

    @property
    def _time(self) -> str:
        return self.table.time or ""

    def _try_to_add(self, incoming: pl.DataFrame) -> tuple[Added, pl.DataFrame]:
        held = self.opened() or self._created(incoming)
        # Read before the look-up: a commit that comes between them makes ours fail.
        commit = commit_after(held)
        key = list(self.table.key)
        rows, conflicts = merged(self.table, incoming)
        stored = self._stored(held, rows)
        known = stored.select(key)
        fresh = rows.join(known, on=key, how="anti") if known.height else rows
        changed, more = (
            self._joined(rows.join(known, on=key, how="semi"), stored)
            if known.height
            else (rows.clear(), REJECTS.empty())
        )
        added = Added(incoming.height, fresh.height, changed.height)
        if fresh.is_empty() and changed.is_empty():
            return added, pl.concat([conflicts, more])
        writing = in_order(self.table, pl.concat([fresh, changed])).drop(WHERE)
        if changed.is_empty():
            self._append(held, writing, commit)
        else:
            before = stored.join(changed.select(key), on=key, how="semi")
            self._replace(held, writing, before, commit)
        return added, pl.concat([conflicts, more])

    def _created(self, rows: pl.DataFrame) -> DeltaTable:
        return DeltaTable.create(
            self.uri,
            schema=rows.drop(WHERE).schema,
            mode="ignore",
            partition_by=["day"] if self.is_cut else None,
            configuration=SETTINGS,
        )

    def _stored(self, held: DeltaTable, rows: pl.DataFrame) -> pl.DataFrame:
        """The stored rows whose keys are among those of *rows*."""
        key = list(self.table.key)
        scanned = pl.scan_delta(held)
        if self.is_cut:
            instant = pl.col(self._time)
            near = rows.select(day=pl.concat_list((instant - _MIDNIGHT).dt.date(), (instant + _MIDNIGHT).dt.date()))[
                "day"
            ].explode()
            scanned = scanned.filter(pl.col("day").is_in(near.unique().implode()))
        # First the keys alone: most batches are new, and the other columns need not be read for them.
        if "ekey" in rows.columns and "ekey" in scanned.collect_schema():
            # Numbers are looked through in a third of the time of text.
            near_key = pl.col("ekey").is_in(rows["ekey"].implode()) | pl.col("ekey").is_null()
            if scanned.filter(near_key).select("ekey").collect(engine="streaming").is_empty():
                return rows.drop(WHERE).clear()
            scanned = scanned.filter(near_key)
        found = scanned.select(key).join(rows.lazy().select(key), on=key, how="semi").collect()
        if found.is_empty():
            return rows.drop(WHERE).clear()
        whole = scanned.join(found.lazy(), on=key, how="semi").collect()
        # A store of an older flexkit may lack columns that were added since.
        return whole.select(
            (pl.col(name) if name in whole.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in rows.drop(WHERE).schema.items()
        )

    def _joined(self, repeated: pl.DataFrame, stored: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Stored rows that change when *repeated* copies join them, and the contradictions."""
        both = pl.concat([repeated, stored], how="diagonal")
        joined, conflicts = merged(self.table, both)
        plain = [name for name, dtype in stored.schema.items() if not isinstance(dtype, pl.List)]
        lists = [name for name in stored.columns if name not in plain]
        compared: list[str | pl.Expr] = [*plain, *(pl.col(name).list.join(",").alias(name) for name in lists)]
        same = joined.with_row_index("row").select("row", *compared)
        unchanged = same.join(stored.select(compared), on=stored.columns, how="semi", nulls_equal=True)["row"]
        return joined.filter(~pl.int_range(pl.len()).is_in(unchanged.implode())), conflicts

    def _append(self, held: DeltaTable, rows: pl.DataFrame, commit: CommitProperties) -> None:
        write_deltalake(
            held,
            rows,
            mode="append",
            schema_mode="merge",
            partition_by=["day"] if self.is_cut else None,
            writer_properties=QUICK if rows.height <= _SMALL_BATCH else ZSTD,
            commit_properties=commit,
        )

    def _replace(self, held: DeltaTable, rows: pl.DataFrame, before: pl.DataFrame, commit: CommitProperties) -> None:
        """Insert *rows*, in place of those in *before* that have the same key, in one commit."""
        days = sorted({*rows["day"], *before["day"]}) if self.is_cut else []
        if self._row_count(held, days) <= _REWRITTEN_AT_ONCE:
            self._rewrite(held, rows, days, commit)
            return
        matches = " AND ".join(f"s.{name} = t.{name}" for name in self.table.key)
        if self.is_cut:
            matches = f"t.{among(before['day'].to_list())} AND {matches}"
        (
            held.merge(
                rows,
                predicate=matches,
                source_alias="s",
                target_alias="t",
                merge_schema=True,
                writer_properties=ZSTD,
                commit_properties=commit,
            )
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .execute()
        )

    def _row_count(self, held: DeltaTable, days: Sequence[dt.date]) -> int:
        files = pl.DataFrame(held.get_add_actions(flatten=True))
        if self.is_cut:
            files = files.filter(pl.col("partition.day").cast(pl.Date).is_in(list(days)))
        return int(files["num_records"].sum())

    def _rewrite(self, held: DeltaTable, rows: pl.DataFrame, days: Sequence[dt.date], commit: CommitProperties) -> None:
        """Write *days* (or the whole table) anew: few rows are written faster than they are merged."""
        kept = pl.scan_delta(held)
        if self.is_cut:
            kept = kept.filter(pl.col("day").is_in(list(days)))
        others = kept.join(rows.lazy().select(self.table.key), on=list(self.table.key), how="anti").collect()
        write_deltalake(
            held,
            in_order(self.table, pl.concat([others, rows], how="diagonal")),
            mode="overwrite",
            schema_mode="merge",
            predicate=among(days) if self.is_cut else None,
            writer_properties=ZSTD,
            commit_properties=commit,
        )


def among(days: Sequence[dt.date]) -> str:
    """That ``day`` is one of *days*, in SQL."""
    return f"day IN ({', '.join(repr(day.isoformat()) for day in sorted(set(days)))})"


def in_order(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* as files hold them: for the heavy pass, terminal signals together, by interaction and time."""
    if table.name == "signals":
        return rows.sort("day", ~pl.col("is_terminal"), "ikey", "occurred_at", "ekey")
    if table.name in PARTITIONED and table.time is not None:
        return rows.sort("day", table.time)
    return rows.sort(list(table.key))


def commit_after(held: DeltaTable) -> CommitProperties:
    """A commit that fails if anybody else wrote to *held* since it was opened."""
    version = held.transaction_version(_APP) or 0
    return CommitProperties(app_transactions=[Transaction(_APP, version + 1)], max_commit_retries=0)
