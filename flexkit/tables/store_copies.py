"""The copies of a batch that a table holds already: looked for in the days where they may lie."""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from deltalake import DeltaTable

    from flexkit.tables.table import Table

_MIDNIGHT = dt.timedelta(seconds=2)
"""Copies of one event may be rounded to the second: those near midnight are looked for on both days."""
_AT_MOST = 8_000_000
"""Numbers remembered, of eight bytes each."""
_AT_ONCE = 8
"""Files read together."""
_KNOWN: OrderedDict[str, pl.Series] = OrderedDict()
"""The ``ekey`` of files, the last used ones last: batch after batch goes to the same days."""
_TURN = threading.Lock()


def stored_copies(held: DeltaTable, table: Table, rows: pl.DataFrame, *, by_day: bool) -> pl.DataFrame:
    """The rows of *held* whose keys are among those of *rows*, with the columns of these."""
    key = list(table.key)
    days = _days_near(rows[table.time]) if by_day and table.time is not None else None
    scanned = pl.scan_delta(held)
    if days is not None:
        scanned = scanned.filter(pl.col("day").is_in(days))
    if "ekey" in rows.columns:
        # Most batches are new. Their numbers alone tell, and the log's statistics need not be read for them.
        files = [file for file in held.file_uris() if days is None or _may_be_of(file, days)]
        hit = _stored_keys(files, rows["ekey"])
        if hit.is_empty():
            return rows.clear()
        if "ekey" in scanned.collect_schema():
            scanned = scanned.filter(pl.col("ekey").is_in(hit.implode()) | pl.col("ekey").is_null())
    elif scanned.select(key).join(rows.lazy().select(key), on=key, how="semi").collect().is_empty():
        # First the keys alone here, too: the other columns need not be read for new rows.
        return rows.clear()
    whole = scanned.join(rows.lazy().select(key), on=key, how="semi").collect(engine="streaming")
    # A store of an older flexkit may lack columns that were added since.
    return whole.select(
        (pl.col(name) if name in whole.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in rows.schema.items()
    )


def remember(keys: Mapping[str, pl.Series]) -> None:
    """Keep the ``ekey`` of files, by their names as Delta gives them, for the next look."""
    with _TURN:
        _KNOWN.update(keys)
        count = sum(map(len, _KNOWN.values()))
        while count > _AT_MOST:
            count -= len(_KNOWN.popitem(last=False)[1])


def _days_near(instant: pl.Series) -> list[dt.date]:
    """The days on which copies of rows with these instants may lie."""
    near = pl.concat([(instant - _MIDNIGHT).dt.date(), (instant + _MIDNIGHT).dt.date()])
    return near.unique().sort().to_list()


def _may_be_of(file: str, days: Collection[dt.date]) -> bool:
    """Whether *file* may hold rows of *days*; its folder's name tells, where it names a day."""
    _, named, day = Path(file).parent.name.partition("day=")
    return not named or any(day == one.isoformat() for one in days)


def _stored_keys(files: Sequence[str], looked_for: pl.Series) -> pl.Series:
    """Those of the ``ekey`` *looked_for* that `files` hold, once each; null where a row of theirs has none.

    Files of a Delta table never change, so what was read of one stays true.
    """
    found = [looked_for.clear()]
    for keys in _keys(files):
        hit = keys.filter(keys.is_in(looked_for.implode()) | keys.is_null())
        if len(hit):
            found.append(hit)
    return pl.concat(found).unique()


def _keys(files: Sequence[str]) -> Iterator[pl.Series]:
    with _TURN:
        known = {file: _KNOWN[file] for file in files if file in _KNOWN}
        for file in known:
            _KNOWN.move_to_end(file)
    if known:
        yield pl.concat(known.values())
    unknown = [file for file in files if file not in known]
    for first in range(0, len(unknown), _AT_ONCE):
        some = unknown[first : first + _AT_ONCE]
        read = [frame.to_series() for frame in pl.collect_all([_scan(file) for file in some])]
        yield pl.concat(read)
        remember(dict(zip(some, read, strict=True)))


def _scan(file: str) -> pl.LazyFrame:
    # A file of an older flexkit has no such column.
    return pl.scan_parquet(
        file,
        schema={"ekey": pl.Int64},
        hive_partitioning=False,
        glob=False,
        missing_columns="insert",
        extra_columns="ignore",
    )
