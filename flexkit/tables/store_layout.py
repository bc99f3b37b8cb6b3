"""How rows lie in the files of a table: which are together, in what order, in groups of how many."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl
from deltalake import ColumnProperties, WriterProperties

if TYPE_CHECKING:
    from flexkit.tables.table import Table

PARTITIONED = ("signals", "task_events", "steps")
"""Tables that are cut into UTC days; the others are small enough for one piece."""

_GROUP = 131_072
"""Most rows of a row group: a look-up by key skips most of a large day; measured half its time, for 14 % more bytes."""
_LEAST_GROUP = 16_384
_IS_ENDING = pl.col("ending").is_not_null()


def in_order(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* as files hold them: of signals what the heavy pass reads first, by interaction and time."""
    if table.name == "signals":
        return rows.sort("day", ~_IS_ENDING, "ikey", "occurred_at", "ekey")
    if table.name in PARTITIONED and table.time is not None:
        return rows.sort("day", table.time)
    return rows.sort(list(table.key))


def layout(table: Table, rows: pl.DataFrame | None = None) -> WriterProperties:
    """How files are written, of *rows* where these are all that they will hold.

    What the heavy pass reads of a day fills whole row groups, so that the others are left out at once. An instant
    hardly ever repeats: a dictionary of them only takes time.
    """
    if table.name != "signals":
        return WriterProperties(compression="ZSTD", max_row_group_size=_GROUP)
    is_day = rows is not None and rows["day"].n_unique() == 1
    ending = int(rows.select(_IS_ENDING.sum()).item()) if rows is not None and is_day else 0
    size = math.ceil(ending / math.ceil(ending / _GROUP)) if ending else _GROUP
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=max(_LEAST_GROUP, size),
        column_properties={"occurred_us": ColumnProperties(dictionary_enabled=False)},
    )
