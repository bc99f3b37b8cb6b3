"""Small batches: their files are what delta-rs would have written, and no copy of a row is overlooked."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from flexkit.errors import UsageError
from flexkit.tables import store_copies, store_opened
from flexkit.tables.schema import COVERAGE, SIGNALS
from flexkit.tables.store import Store
from flexkit.tables.store_append import append_files
from flexkit.tables.store_copies import stored_copies
from flexkit.tables.store_delta import DeltaFolder, commit_after
from flexkit.tables.store_opened import settings
from tests.tables.writer import BEGIN, batch

SECOND = dt.timedelta(seconds=1)


def made(path: Path, rows: pl.DataFrame) -> DeltaTable:
    return DeltaTable.create(str(path), schema=rows.schema, partition_by=["day"])


def log_of(table: DeltaTable) -> pl.DataFrame:
    """What the log tells of a table's files."""
    return pl.DataFrame(table.get_add_actions(flatten=True)).sort("partition.day")


def rows_of(path: Path) -> pl.DataFrame:
    return pl.scan_delta(str(path)).collect().sort("signal_id")


def orphan(tmp_path: Path, *, age: dt.timedelta) -> Path:
    """A file of rows that no commit names, as a writer leaves it who was killed."""
    file = tmp_path / "tables" / "signals" / "day=2026-10-01" / "part-00000-killed.parquet"
    batch(7, days=1).drop("day").write_parquet(file)
    then = time.time() - age.total_seconds()
    os.utime(file, (then, then))
    return file


# Files ------------------------------------------------------------------------------------------------


def test_files_of_a_small_batch_hold_and_tell_what_those_of_delta_rs_do(tmp_path: Path) -> None:
    rows = batch(0, rows=600).with_columns(
        attempt=pl.when(pl.int_range(pl.len()) > 150).then(3).cast(pl.Int64),
        handler=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("café 'x'")),
        deliveries=pl.lit(["a|1|b", None, ""], dtype=pl.List(pl.String)),
        occurred_at=pl.col("occurred_at") + pl.duration(microseconds=pl.int_range(pl.len())),
    )
    ours, theirs = made(tmp_path / "ours", rows), made(tmp_path / "theirs", rows)

    told_of = ("occurred_at", "attempt", "handler")
    append_files(ours, tmp_path / "ours", rows, commit_after(ours), by_day=True, told=told_of)
    write_deltalake(theirs, rows, mode="append", partition_by=["day"])

    assert rows_of(tmp_path / "ours").equals(rows_of(tmp_path / "theirs"))
    ours.update_incremental()
    one, other = log_of(ours), log_of(theirs)
    columns = [f"{what}.{name}" for what in ("min", "max", "null_count") for name in told_of]
    assert one.select("num_records", "partition.day", *columns).equals(
        other.select("num_records", "partition.day", *columns)
    )
    sizes = [Path(file).stat().st_size for file in ours.file_uris()]
    assert sorted(sizes) == one["size_bytes"].sort().to_list()


def test_bounds_are_true_where_instants_have_microseconds_and_columns_are_null(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add({"signals": batch(0, days=1)})
    fine = batch(5, days=1).with_columns(occurred_at=pl.col("occurred_at") + dt.timedelta(microseconds=999_999))
    store.add({"signals": fine})

    last = fine["occurred_at"].max()
    assert store.table("signals").filter(pl.col("occurred_at") == last).collect().height == 1
    assert store.table("signals").filter(pl.col("attempt") == 1).collect().is_empty()


def test_a_table_of_an_older_flexkit_gets_the_settings_of_new_ones_when_it_is_compacted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = tmp_path / "tables" / "signals"
    made(path, batch(0))
    for number in range(10):
        store.add({"signals": batch(number, days=1)})
    before = store.table("signals").collect().sort("signal_id")

    assert store.compact(["signals"]) == 1

    assert DeltaTable(str(path)).metadata().configuration == settings(SIGNALS)
    assert rows_of(path).select(before.columns).equals(before)
    version = store.version
    assert store.compact(["signals"]) == 0
    assert store.version == version


def test_a_table_that_is_not_cut_into_days_gets_one_file_a_batch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = COVERAGE.conform(pl.LazyFrame({"coverage_id": ["a", "b"], "start": [BEGIN, None]})).collect()

    store.add({"coverage": rows.head(1)})
    store.add({"coverage": rows})

    assert store.table("coverage").collect().sort("coverage_id").equals(rows)
    assert len(store.files("coverage")) == 2


def test_a_commit_that_comes_late_adds_nothing(tmp_path: Path) -> None:
    rows = batch(0)
    made(tmp_path, rows)
    first, second = DeltaTable(str(tmp_path)), DeltaTable(str(tmp_path))
    append_files(first, tmp_path, rows, commit_after(first), by_day=True)

    with pytest.raises(CommitFailedError):
        append_files(second, tmp_path, rows, commit_after(second), by_day=True)

    assert rows_of(tmp_path)["signal_id"].to_list() == rows["signal_id"].sort().to_list()


def test_what_a_killed_writer_left_is_not_read_and_goes_after_thirty_days(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(10):
        store.add({"signals": batch(number, days=1)})
    before = store.table("signals").collect().height
    old = orphan(tmp_path, age=dt.timedelta(days=31))
    young = old.rename(old.with_name("part-00000-old.parquet"))
    old = orphan(tmp_path, age=dt.timedelta(days=29))

    assert store.table("signals").collect().height == before
    assert store.compact(["signals"]) == 1

    assert store.table("signals").collect().height == before
    assert [file.exists() for file in (young, old)] == [False, True]


# Copies -----------------------------------------------------------------------------------------------


def adversarial() -> pl.DataFrame:
    """Rows at both sides of midnight, some without a number, some with the number of another row."""
    rows = batch(0, rows=400)
    third = pl.int_range(pl.len()) % 3
    midnight = pl.lit(BEGIN + dt.timedelta(days=1))
    at = pl.when(third == 0).then(midnight - SECOND).when(third == 1).then(midnight + SECOND).otherwise("occurred_at")
    return rows.with_columns(
        occurred_at=at,
        ekey=pl.when(pl.int_range(pl.len()) % 7 == 0)
        .then(None)
        .when(pl.int_range(pl.len()) % 11 == 0)
        .then(pl.col("ekey").first())
        .otherwise("ekey"),
    ).with_columns(day=pl.col("occurred_at").dt.date())


def plainly(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """The stored copies of *rows* without anything that saves work."""
    return pl.scan_delta(str(path)).join(rows.lazy().select("signal_id"), on="signal_id", how="semi").collect()


@pytest.mark.parametrize("remembered", [0, 250, 8_000_000])
def test_every_stored_copy_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: int) -> None:
    monkeypatch.setattr(store_copies, "_AT_MOST", remembered)
    rows = adversarial()
    held = made(tmp_path, rows)
    for number in range(12):
        some = rows.gather_every(24, number)
        append_files(held, tmp_path, some, commit_after(held), by_day=True)
        held.update_incremental()
    moved = rows.with_columns(pl.col("occurred_at") + pl.duration(seconds=pl.int_range(pl.len()) % 3 - 1))
    tries = {"all": moved, "none": batch(9), "half": moved.gather_every(12, 3), "late": moved.tail(5)}

    def same(about: str) -> None:
        for name, looked_for in tries.items():
            found = stored_copies(held, SIGNALS, looked_for, by_day=True)
            assert found.sort("signal_id").equals(plainly(tmp_path, looked_for).sort("signal_id")), (about, name)

    same("at first")
    same("again")
    # Files that were replaced by one that holds the same rows and more.
    second = rows.filter(pl.col("day") == dt.date(2026, 10, 2))
    write_deltalake(held, second, mode="overwrite", predicate="day = '2026-10-02'")
    same("replaced")


def test_copies_are_found_in_files_that_have_no_numbers_yet(tmp_path: Path) -> None:
    rows = batch(0)
    made(tmp_path, rows.drop("ekey"))
    write_deltalake(str(tmp_path), rows.drop("ekey"), mode="append", partition_by=["day"])
    held = DeltaTable(str(tmp_path))

    found = stored_copies(held, SIGNALS, batch(1), by_day=True)

    assert found["signal_id"].sort().to_list() == batch(0)["signal_id"].tail(100).sort().to_list()
    assert found["ekey"].null_count() == found.height == 100


def test_rows_without_an_instant_are_refused(tmp_path: Path) -> None:
    rows = batch(0).with_columns(occurred_at=None, day=None)

    with pytest.raises(UsageError, match="200 rows of signals have no occurred_at"):
        Store(tmp_path).add({"signals": rows})


# Tables that stay open --------------------------------------------------------------------------------


def test_a_writer_sees_what_others_wrote_since_its_last_batch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add({"signals": batch(0)})
    uri = str(tmp_path / "tables" / "signals")
    mine = store_opened._WRITTEN.pop(uri)
    for number in (1, 2):
        # As another process does, which has not my table.
        store_opened._WRITTEN.clear()
        DeltaFolder(uri, SIGNALS).add(batch(number))
    store_opened._WRITTEN[uri] = mine

    again = store.add({"signals": batch(2)})["signals"]
    more = store.add({"signals": batch(3)})["signals"]

    assert (again.new_rows, more.new_rows) == (0, 100)
    assert store.table("signals").collect()["signal_id"].n_unique() == store.table("signals").collect().height == 500


def test_a_writer_sees_that_the_folder_was_made_anew(tmp_path: Path) -> None:
    Store(tmp_path).add({"signals": batch(0)})
    shutil.rmtree(tmp_path / "tables")

    assert Store(tmp_path).add({"signals": batch(0)})["signals"].new_rows == 200
    assert Store(tmp_path).table("signals").collect().height == 200


def test_readers_keep_the_rows_of_their_version_while_batches_are_added(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add({"signals": batch(0)})
    seen = store.table("signals")

    store.add({"signals": batch(1)})

    assert seen.collect().height == 200
