"""Few new rows appended to a Delta table as Parquet files of our own, in one commit.

delta-rs takes twice as long to write a small batch as Polars does, so Polars writes it; what is in the
table is for delta-rs to say: a file counts once the commit that names it is in the log. A writer that is
killed before leaves files that nobody reads (`flexkit.tables.store_upkeep` removes them in time).
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

import polars as pl
from deltalake.transaction import AddAction

from flexkit.tables.store_copies import remember

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import RemoveAction


def append_files(
    held: DeltaTable,
    folder: Path,
    rows: pl.DataFrame,
    commit: CommitProperties,
    *,
    by_day: bool,
    told: Sequence[str] = (),
) -> None:
    """Add *rows* to the table *held* at *folder*; they must have its columns. The log tells the bounds of *told*.

    Raises `deltalake.exceptions.CommitFailedError` where *commit* says so; then nothing was added.
    """
    cut = rows.partition_by("day", as_dict=True, include_key=False) if by_day else {(): rows}
    days = [{"day": str(*day)} if by_day else {} for day in cut]
    parts = [(_path(day), day, some) for day, some in zip(days, cut.values(), strict=True)]
    try:
        pl.collect_all(
            some.lazy().sink_parquet(folder / path, compression="lz4", statistics=False, mkdir=True, lazy=True)
            for path, _, some in parts
        )
    except BaseException:
        # No commit names them yet. After it was tried they stay: what may be in the log is never removed.
        for path, *_ in parts:
            (folder / path).unlink(missing_ok=True)
        raise
    if "ekey" in rows.columns:
        remember({f"{folder.absolute()}/{path}": some["ekey"] for path, _, some in parts})
    added: list[AddAction | RemoveAction] = [
        _added(path, (folder / path).stat(), day, statistics(some, told)) for path, day, some in parts
    ]
    cut_by = ["day"] if by_day else None
    held.create_write_transaction(added, "append", held.schema(), cut_by, commit_properties=commit)


def _path(values: Mapping[str, str]) -> str:
    """A new name in the table's folder, for rows of one partition; its *values* are none where the table is whole."""
    return "/".join((*map("=".join, values.items()), f"part-00000-{uuid.uuid4()}-c000.lz4.parquet"))


def _added(path: str, file: os.stat_result, values: Mapping[str, str], stats: Mapping[str, Any]) -> AddAction:
    """The *file* at *path* as the log tells of it."""
    return AddAction(
        path=path,
        size=file.st_size,
        partition_values=values,
        modification_time=file.st_mtime_ns // 1_000_000,
        data_change=True,
        stats=json.dumps(stats),
    )


def statistics(rows: pl.DataFrame, told: Sequence[str]) -> dict[str, Any]:
    """What the log tells of a file of *rows* (Delta protocol, "Per-file Statistics"), for readers that skip files."""
    nulls = {name: rows[name].null_count() for name in told}
    bounded = [name for name, count in nulls.items() if count < rows.height]
    return {
        "numRecords": rows.height,
        "minValues": {name: _value(rows[name].min()) for name in bounded},
        "maxValues": {name: _value(rows[name].max()) for name in bounded},
        "nullCount": nulls,
    }


def _value(value: Any) -> str:
    if isinstance(value, dt.datetime):
        # Cut to the millisecond, as the protocol has it: readers take the greatest for one millisecond more.
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return str(value)
