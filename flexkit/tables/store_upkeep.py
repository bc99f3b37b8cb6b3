"""Small files of one Delta table written as one, and files that nobody needs any more removed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import polars as pl
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from flexkit.tables.store_delta import DeltaFolder, among, commit_after
from flexkit.tables.store_failures import explained
from flexkit.tables.store_layout import in_order, layout
from flexkit.tables.store_opened import settings

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

SMALL_FILES = 10
"""Files in a partition before they are written as one, sorted for the heavy pass."""
_KEEP_HOURS = 24 * 30
"""How long replaced files are kept: earlier versions can be read that long, and no reader loses its files."""


def compact(folder: DeltaFolder, *, at_least: int = SMALL_FILES) -> int:
    """Write each partition of *at_least* files as one sorted file; how many partitions that were.

    What it replaces can still be read for thirty days. A writer that comes between wins: its
    partition stays as it is until next time.
    """
    held = folder.opened()
    if held is None:
        return 0
    with explained(f"compact {folder.uri}"):
        compacted = sum(_rewritten(folder, day) for day in _crowded(folder, held, at_least))
        if compacted:
            held.update_incremental()
            _settled(held, settings(folder.table))
            # In full: also what writers left that were killed, or lost a race, before they could commit.
            held.vacuum(retention_hours=_KEEP_HOURS, dry_run=False, full=True)
    return compacted


def _settled(held: DeltaTable, wanted: Mapping[str, str]) -> None:
    """Give a table of an older flexkit the settings of new ones; next time, where a writer comes between."""
    kept = held.metadata().configuration
    if missing := {name: value for name, value in wanted.items() if kept.get(name) != value}:
        with suppress(CommitFailedError):
            held.alter.set_table_properties(missing)


def _crowded(folder: DeltaFolder, held: DeltaTable, at_least: int) -> list[dt.date | None]:
    files = pl.DataFrame(held.get_add_actions(flatten=True))
    if not folder.is_cut:
        return [None] if files.height >= at_least else []
    days = files.group_by(pl.col("partition.day").cast(pl.Date).alias("day")).len().filter(pl.col("len") >= at_least)
    return sorted(days["day"].to_list())


def _rewritten(folder: DeltaFolder, day: dt.date | None) -> int:
    held = folder.opened()
    if held is None:
        return 0
    commit = commit_after(held)
    rows = pl.scan_delta(held)
    if day is not None:
        rows = rows.filter(pl.col("day") == day)
    try:
        whole = in_order(folder.table, rows.collect())
        write_deltalake(
            held,
            whole,
            mode="overwrite",
            schema_mode="merge",
            predicate=None if day is None else among([day]),
            writer_properties=layout(folder.table, whole),
            commit_properties=commit,
        )
    except CommitFailedError:
        return 0
    return 1
