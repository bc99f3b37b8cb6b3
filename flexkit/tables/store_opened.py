"""Delta tables that were opened, remembered for as long as they are the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from flexkit.tables.store_failures import explained


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

    def is_current(self, version: int | None) -> bool:
        """Whether its commit is still in place and, unless an earlier *version* was asked for, the last one."""
        held = self.table.version()
        if self.commit is None or _identity(self.log / f"{held:020}.json") != self.commit:
            return False
        return version is not None or not (self.log / f"{held + 1:020}.json").exists()


_OPENED: dict[tuple[str, int | None], _Opened] = {}
_OPENED_AT_MOST = 64


def opened(uri: str, version: int | None) -> DeltaTable | None:
    """The Delta table at *uri*, as it is or at a *version*; nothing where none was written yet."""
    with explained(f"read {uri}"):
        try:
            return DeltaTable(uri, version=version)
        except TableNotFoundError:
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


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
