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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from flexkit.errors import StoreError, UsageError
from flexkit.tables.merge import WHERE, merged
from flexkit.tables.schema import REJECTS
from flexkit.tables.store_append import append_files
from flexkit.tables.store_copies import stored_copies
from flexkit.tables.store_failures import explained
from flexkit.tables.store_layout import PARTITIONED, in_order, layout
from flexkit.tables.store_opened import created, current, given_back, opened, taken, told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from flexkit.tables.table import Table

NO_VERSION = -1
"""Stands for "this table was not there yet"."""

_APP = "flexkit-ingest"
_TRIES = 40
_REWRITTEN_AT_ONCE = 200_000
"""Rows of the touched days up to which they are written anew instead of merged."""
_SMALL_BATCH = 50_000
"""Rows of a batch that compaction will write anew: it is written quickly, for half as many bytes again."""


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
        return all(Path(name).exists() for name in held.file_uris() if "://" not in name)

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
        with ThreadPoolExecutor(1) as beside:
            # While one core makes the rows ready, the other looks up what is stored.
            ready = beside.submit(_ready, self.table, incoming)
            for attempt in range(_TRIES):
                try:
                    with explained(f"write {self.uri}"):
                        return self._try_to_add(incoming, ready)
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
        fits = list(rows.schema.items()) == list(self.table.dtypes.items())
        plain = (rows if fits else self.table.conform(rows.lazy()).collect()).with_columns(where.alias(WHERE))
        if self.is_cut and "day" not in plain.columns:
            plain = plain.with_columns(day=pl.col(self._time).dt.date())
        if self.is_cut and (count := plain["day"].null_count()):
            msg = f"{count} rows of {self.table.name} have no {self._time}, which tells their day. Leave them out."
            raise UsageError(msg)
        return plain

    @property
    def is_cut(self) -> bool:
        """Whether the table is cut into days."""
        return self.table.name in PARTITIONED

    @property
    def _time(self) -> str:
        return self.table.time or ""

    def _try_to_add(
        self, incoming: pl.DataFrame, ready: Future[tuple[pl.DataFrame, pl.DataFrame]]
    ) -> tuple[Added, pl.DataFrame]:
        held = taken(self.uri) or created(self.uri, self.table, incoming.drop(WHERE).schema, by_day=self.is_cut)
        # Read before the look-up: a commit that comes between them makes ours fail.
        commit = commit_after(held)
        key = list(self.table.key)
        stored = stored_copies(held, self.table, incoming.drop(WHERE), by_day=self.is_cut)
        rows, conflicts = ready.result()
        if stored.is_empty():
            self._append(held, rows.drop(WHERE), commit)
            given_back(self.uri, held)
            return Added(incoming.height, rows.height), conflicts
        known = stored.select(key)
        fresh = rows.join(known, on=key, how="anti", maintain_order="left")
        changed, more = self._joined(rows.join(known, on=key, how="semi"), stored)
        if not changed.is_empty():
            before = stored.join(changed.select(key), on=key, how="semi")
            self._replace(held, in_order(self.table, pl.concat([fresh, changed])).drop(WHERE), before, commit)
        elif not fresh.is_empty():
            self._append(held, fresh.drop(WHERE), commit)
        given_back(self.uri, held)
        return Added(incoming.height, fresh.height, changed.height), pl.concat([conflicts, more])

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
        if rows.height <= _SMALL_BATCH and "://" not in self.uri and _fits(held, rows):
            append_files(held, Path(self.uri), rows, commit, by_day=self.is_cut, told=told(self.table))
            return
        write_deltalake(
            held,
            rows,
            mode="append",
            schema_mode="merge",
            partition_by=["day"] if self.is_cut else None,
            writer_properties=layout(self.table, rows),
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
                writer_properties=layout(self.table),
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
        whole = in_order(self.table, pl.concat([others, rows], how="diagonal"))
        write_deltalake(
            held,
            whole,
            mode="overwrite",
            schema_mode="merge",
            predicate=among(days) if self.is_cut else None,
            writer_properties=layout(self.table, whole),
            commit_properties=commit,
        )


def _ready(table: Table, incoming: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """*incoming* with one row per key, as files hold them, and its contradictions."""
    rows, conflicts = merged(table, incoming)
    return in_order(table, rows), conflicts


def _fits(held: DeltaTable, rows: pl.DataFrame) -> bool:
    """Whether the table has the columns of *rows*: one of an older flexkit may lack some."""
    return dict(pl.Schema(held.schema().to_arrow())) == dict(rows.schema)


def among(days: Sequence[dt.date]) -> str:
    """That ``day`` is one of *days*, in SQL."""
    return f"day IN ({', '.join(repr(day.isoformat()) for day in sorted(set(days)))})"


def commit_after(held: DeltaTable) -> CommitProperties:
    """A commit that fails if anybody else wrote to *held* since it was opened."""
    after = Transaction(_APP, held.version() + 1)
    return CommitProperties(app_transactions=[after], max_commit_retries=0)
