"""Results kept as Parquet beside the tables: computed once per state of the data, whoever asks.

A kept result is named by everything that it was computed from, so that another state has another name:
nothing ever becomes stale, and no clock is asked. Where the folder cannot be written the result is
computed each time, silently.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flexkit import __version__
from flexkit.tables.streamed import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEPT = 3
"""States kept of each result: another kernel may still read the one before, a report of an earlier version its own."""
_WAIT_SECONDS = 900
"""How long another process that computes the same result is waited for."""
_ABANDONED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Cache:
    """The folder of kept results; it need not exist, nor be writable."""

    folder: Path

    def kept(
        self, name: str, identity: str, compute: Callable[[], pl.LazyFrame], *, still: Callable[[], bool]
    ) -> pl.LazyFrame:
        """The result *name* in the state *identity*: as kept, else computed and kept when it is collected.

        *still* says, after computing, whether *identity* still describes what was read; else nothing is
        kept. Filters and columns of the reader reach the file.
        """
        path = self.folder / f"{name}-{identity}.parquet"
        # What is kept need not even be planned: a plan over a dozen tables costs more than reading the rows.
        held = _scanned(path)
        planned = held if held is not None else compute()
        schema = planned.collect_schema()

        unkept: list[pl.LazyFrame] = []

        def rows() -> pl.LazyFrame:
            if (kept := self._read(path, schema)) is not None:
                return kept
            if not unkept:
                made = self._computed(path, planned if held is None else compute(), schema, still)
                if self._read(path, schema) is not None:
                    return made
                # Whoever asks this frame twice does not wait twice.
                unkept.append(made)
            return unkept[0]

        return deferred(rows, schema)

    def _read(self, path: Path, schema: pl.Schema) -> pl.LazyFrame | None:
        held = _scanned(path)
        return held if held is not None and held.collect_schema() == schema else None

    def _computed(self, path: Path, frame: pl.LazyFrame, schema: pl.Schema, still: Callable[[], bool]) -> pl.LazyFrame:
        with alone(self.folder / f"{path.name.rpartition('-')[0]}.lock"):
            # Whoever held the lock before may have been at the same.
            if (held := self._read(path, schema)) is not None:
                return held
            rows = frame.collect()
            if still():
                self._keep(path, rows)
            return rows.lazy()

    def _keep(self, path: Path, rows: pl.DataFrame) -> None:
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with aside.open("xb") as file:
                rows.write_parquet(file, compression="zstd", compression_level=1)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            self._drop_old(path)
        except (OSError, pl.exceptions.PolarsError):
            # A read-only folder or a full disk: the result is as good without being kept.
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)

    def _drop_old(self, path: Path) -> None:
        name = path.name.rpartition("-")[0]
        states = sorted(self.folder.glob(f"{name}-*.parquet"), key=lambda file: file.stat().st_mtime_ns)
        for old in states[:-_KEPT]:
            if old != path:
                old.unlink(missing_ok=True)
        # What a killed process left half-written; only litter is judged by its age.
        for litter in self.folder.glob(f".{name}-*.parquet.*"):
            if time.time() - litter.stat().st_mtime > _ABANDONED_SECONDS:
                litter.unlink(missing_ok=True)


def _scanned(path: Path) -> pl.LazyFrame | None:
    """The rows kept in *path*, lazily, their schema known to be whole; nothing where there is no such file."""
    try:
        held = pl.scan_parquet(path)
        held.collect_schema()
    except (OSError, pl.exceptions.PolarsError):
        return None
    return held


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process computes what the lock at *path* is for, the others wait; where none can be had, each for itself."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=_WAIT_SECONDS)
    try:
        path.parent.mkdir(exist_ok=True)
        lock.acquire()
    except (OSError, Timeout, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def identity(*parts: str) -> str:
    """A short name for everything in *parts* and the flexkit that computes."""
    made = hashlib.blake2b(digest_size=12)
    for part in (__version__, *parts):
        made.update(part.encode())
        made.update(b"\x00")
    return made.hexdigest()


@functools.cache
def code_of(module: str) -> str:
    """The source of the package that *module* is in, in a digest: changed code computes anew, and other Polars."""
    made = hashlib.blake2b(pl.__version__.encode(), digest_size=12)
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is not None:
        for source in sorted(Path(file).parent.rglob("*.py")):
            with contextlib.suppress(OSError):
                made.update(source.read_bytes())
    return made.hexdigest()
