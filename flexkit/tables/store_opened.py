"""Delta tables made and opened; those that were opened are remembered for as long as they are the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from flexkit.tables.store_failures import explained

if TYPE_CHECKING:
    import polars as pl

    from flexkit.tables.table import Table


class LocalTable(DeltaTable):
    """A Delta table whose files have their names as the file system knows them: deltalake quotes a blank as %20."""

    def file_uris(self, *args: Any, **options: Any) -> list[str]:
        """The files of the table; see `DeltaTable.file_uris`."""
        return [unquote(file) for file in super().file_uris(*args, **options)]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A table that was opened, and how to see whether it is still the newest."""

    table: DeltaTable
    log: Path
    commit: tuple[int, int] | None

    @classmethod
    def of(cls, uri: str, table: DeltaTable) -> _Opened:
        log = Path(uri) / "_delta_log"
        return cls(table, log, _identity(log / f"{table.version():020}.json"))

    def is_in_place(self) -> bool:
        """Whether its commit is still the one that is there: nobody made another table in its folder."""
        return self.commit is not None and _identity(self.log / f"{self.table.version():020}.json") == self.commit

    def is_current(self, version: int | None) -> bool:
        """Whether it is in place and, unless an earlier *version* was asked for, the newest."""
        newer = self.log / f"{self.table.version() + 1:020}.json"
        return self.is_in_place() and (version is not None or not newer.exists())


_SETTINGS = {
    "delta.logRetentionDuration": "interval 60 days",
    # A log is read from its last checkpoint on: with one in 90 commits opening took six times as long.
    "delta.checkpointInterval": "20",
}


def told(table: Table) -> tuple[str, ...]:
    """The columns whose bounds the log tells of each file: those by which files differ, the days apart."""
    return (table.time or table.key[0],)


def settings(table: Table) -> dict[str, str]:
    """How Delta keeps *table*. With the bounds of all columns a log takes half as long again to read and to write."""
    return _SETTINGS | {"delta.dataSkippingStatsColumns": ",".join(told(table))}


def created(uri: str, table: Table, schema: pl.Schema, *, by_day: bool) -> DeltaTable:
    """*table* made at *uri*, with the columns of *schema*; where somebody was faster, as they made it."""
    cut = ["day"] if by_day else None
    return LocalTable.create(uri, schema=schema, mode="ignore", partition_by=cut, configuration=settings(table))


_OPENED: dict[tuple[str, int | None], _Opened] = {}
_OPENED_AT_MOST = 64


def opened(uri: str, version: int | None) -> DeltaTable | None:
    """The Delta table at *uri*, as it is or at a *version*; nothing where none was written yet."""
    with explained(f"read {uri}"):
        try:
            # deltalake takes a hundred times as long to say so.
            if "://" not in uri:
                Path(uri).stat()
            return LocalTable(uri, version=version)
        except (FileNotFoundError, TableNotFoundError):
            return None


def current(uri: str, version: int | None) -> DeltaTable | None:
    """The table as `opened` gives it, for reading only: opened once for each of its versions.

    Opening costs 6 ms and more; whether a commit was made since costs two looks at the log's folder.
    """
    if (known := _OPENED.get((uri, version))) is not None and known.is_current(version):
        return known.table
    if (held := opened(uri, version)) is not None:
        while len(_OPENED) >= _OPENED_AT_MOST:
            _OPENED.pop(next(iter(_OPENED)), None)
        _OPENED[uri, version] = _Opened.of(uri, held)
    return held


_WRITTEN: dict[str, _Opened] = {}
"""Tables of writers; one that is in use is not among them."""


def taken(uri: str) -> DeltaTable | None:
    """The newest Delta table at *uri* for one writer alone, who gives it back when it has written.

    A process that adds batch after batch reads only the commits since its last one.
    """
    known = _WRITTEN.pop(uri, None)
    if known is None or not known.is_in_place():
        return opened(uri, None)
    with explained(f"read {uri}"):
        known.table.update_incremental()
    return known.table


def given_back(uri: str, table: DeltaTable) -> None:
    """Keep *table* for the next writer at *uri*."""
    while len(_WRITTEN) >= _OPENED_AT_MOST:
        _WRITTEN.pop(next(iter(_WRITTEN)), None)
    _WRITTEN[uri] = _Opened.of(uri, table)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
