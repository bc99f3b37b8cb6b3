"""The data folder: Delta tables, what the user declared about them, and the version that names them exactly."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import polars as pl

from flexkit.errors import StoreError, UsageError
from flexkit.tables.cache import Cache, code_of, identity
from flexkit.tables.declared import read_fixes, read_handlers
from flexkit.tables.lookup import around
from flexkit.tables.parts import Parts
from flexkit.tables.redact import Redactor
from flexkit.tables.schema import TABLES
from flexkit.tables.store_delta import NO_VERSION, Added, DeltaFolder
from flexkit.tables.store_failures import explained
from flexkit.tables.store_format import FORMAT, META, check_format
from flexkit.tables.store_key import create_once, kept_redactor, made_redactor
from flexkit.tables.store_upkeep import compact
from flexkit.tables.store_version import parsed, version_of, written
from flexkit.tables.streamed import Scans
from flexkit.window import Window, parse_instant, stamp

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from flexkit.tables.lookup import Told

_CACHE = "cache"
_DATED = ("signals", "alerts", "task_events")


class Result(Protocol):
    """How a result table is computed from a store (`flexkit.analyse.results.Result`)."""

    @property
    def compute(self) -> Callable[[Any, Window | None], pl.LazyFrame]: ...
    @property
    def time(self) -> str | None: ...
    @property
    def reads(self) -> tuple[str, ...]: ...
    @property
    def is_kept(self) -> bool: ...


class Store:
    """What is held of an account's evidence. Reading changes no table; missing tables are empty.

    *results* adds tables that are computed (`flexkit.analyse.results`); *version* reads the store as a
    run saw it (``store.version``); *spark*, a Spark session, makes the pass over all signals where that
    counts (the table ``daily``). Raises `StoreError` where the folder is no store of this format.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        results: Mapping[str, Result] | None = None,
        version: str | None = None,
        spark: Any = None,
    ) -> None:
        self.path = Path(path)
        self.spark = spark
        self._results = dict(results or {})
        check_format(self.path)
        self._pinned = None if version is None else parsed(version, self._uri)
        self._seen: tuple[str, list[tuple[dt.datetime, dt.datetime]]] | None = None

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, version={self.version!r})"

    # Reading ------------------------------------------------------------------------------------------

    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame:
        """A stored table or result by name, lazily; only rows of *window* where one is given.

        A row without a time (a participant, a tombstone) is in every window; a row of ``coverage`` is
        in each window that it overlaps. Raises `UsageError` for an unknown name.
        """
        if (result := self._results.get(name)) is not None:
            found = partial(self._kept, name, result) if result.is_kept else partial(result.compute, self)
            if result.time is None:
                return found(window)
            rows = found(None)
            return rows if window is None else rows.filter(_inside(result.time, window))
        if name not in TABLES:
            names = ", ".join([*TABLES, *self._results])
            msg = f"There is no table {name!r}. The store has: {names}."
            raise UsageError(msg)
        table = TABLES[name]
        rows = self._folder(name).scan()
        if window is not None:
            if "day" in rows.collect_schema():
                last = (window.end - dt.timedelta(microseconds=1)).date()
                rows = rows.filter(pl.col("day").is_between(window.start.date(), last))
            rows = rows.filter(_overlaps(window) if name == "coverage" else _of(table.time, window))
        return table.conform(rows)

    def coverage(self) -> pl.LazyFrame:
        """Which windows of which source are held (the ``coverage`` table)."""
        return self.table("coverage")

    def window(self, since: str = "", until: str = "", *, default: str = "28d") -> Window:
        """The window from *since* to *until* (instants, dates or spans such as ``7d`` before the end).

        Without *until* it ends with the newest event held; without *since* it is *default* long.
        """
        newest = self.newest()
        now = dt.datetime.now(dt.UTC)
        end = parse_instant(until, now=now) if until else (newest or now) + dt.timedelta(microseconds=1)
        return Window(parse_instant(since or default, now=end), end)

    def newest(self) -> dt.datetime | None:
        """The time of the newest event held, or nothing in an empty store."""
        return max((span[1] for span in self._spans()), default=None)

    def oldest(self) -> dt.datetime | None:
        """The time of the oldest event held, or nothing in an empty store."""
        return min((span[0] for span in self._spans()), default=None)

    def _spans(self) -> list[tuple[dt.datetime, dt.datetime]]:
        version = self.version
        if self._seen is None or self._seen[0] != version:
            found = [span for name in _DATED if (span := self._folder(name).span()) is not None]
            self._seen = (version, found)
        return self._seen[1]

    def fixes(self, path: str | os.PathLike[str] | None = None) -> pl.DataFrame:
        """The fixes that the user declared in ``fixes.toml`` (or in the file at *path*), by time."""
        return read_fixes(self.path / "fixes.toml" if path is None else Path(path))

    def handlers(self) -> pl.DataFrame:
        """The user's names for her automations, from ``handlers.toml`` (see `flexkit.tables.declared`)."""
        return read_handlers(self.path / "handlers.toml", kept_redactor(self.path))

    def files(self, name: str) -> list[str]:
        """The Parquet files of a stored table, for engines that read them themselves (`flexkit.tables.spark`)."""
        held = self._folder(name).current()
        return [] if held is None else held.file_uris()

    def around(self, interaction_sid: str, told: Told | None = None) -> pl.LazyFrame:
        """The signals of one interaction and those that name a part of it (`flexkit.tables.lookup.around`)."""
        return around(self.table("signals"), interaction_sid, told).lazy()

    def days(self, name: str) -> Scans:
        """The rows of a table in days, lazily; each day has a name that changes when its rows do."""
        held = self._folder(name).current()
        if held is None:
            return Scans({}, partial(self.in_files, name))
        files = pl.DataFrame(held.get_add_actions(flatten=True)).select(
            day=pl.col("partition.day").cast(pl.String), path="path"
        )
        per_day = files.group_by("day").agg(pl.col("path").sort()).sort("day")
        folder = held.table_uri.rstrip("/")
        named = {
            f"{day}-{identity(*paths)}": [f"{folder}/{unquote(path)}" for path in paths]
            for day, paths in per_day.iter_rows()
        }
        return Scans(named, partial(self.in_files, name))

    def in_files(self, name: str, files: Sequence[str]) -> pl.LazyFrame:
        """The rows of some `files` of a stored table, with the columns that these have.

        One that was replaced long ago is no longer there.
        """
        if not files:
            return TABLES[name].empty().lazy()
        return pl.scan_parquet(list(files), hive_partitioning=False, missing_columns="insert", extra_columns="ignore")

    def parts(self, module: str) -> Parts:
        """Where what *module* makes of single days is kept; changed code has another place."""
        return Parts(self.path / _CACHE / f"{module.rpartition('.')[2]}-{code_of(module)}")

    def _kept(self, name: str, result: Result, window: Window | None) -> pl.LazyFrame:
        """A result (about *window*), computed once per state of the data and of what the user declared."""

        def state() -> str:
            declared = (getattr(self, what)().write_json() for what in result.reads)
            return identity(version, code_of(result.compute.__module__), repr(window), *declared)

        def computed() -> pl.LazyFrame:
            exact = self if self._pinned is not None else Store(self.path, results=self._results, version=version)
            return result.compute(exact, window)

        version = self.version
        begun = state()
        return Cache(self.path / _CACHE).kept(name, begun, computed, still=lambda: state() == begun)

    # Versions -----------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """The exact state of all tables in a short text: the same text, the same rows."""
        return written(self._pinned or {name: version_of(self._uri(name)) for name in TABLES})

    def at(self, version: str) -> Store:
        """This store as it was at *version* (as it is, for ""); replaced files are kept for thirty days."""
        if not version or (self._pinned is not None and version == self.version):
            return self
        return Store(self.path, results=self._results, version=version, spark=self.spark)

    # Writing ------------------------------------------------------------------------------------------

    def add(self, tables: Mapping[str, pl.DataFrame]) -> dict[str, Added]:
        """Store *tables* (name to frame, as `normalize` gives them): what is held already changes nothing.

        Safe against a second writer and against being killed: each table gains all of its rows or none,
        and adding again completes the rest. Contradicting copies are added to ``rejects``.
        Raises `StoreError`; the table that failed is unchanged.
        """
        if self._pinned is not None:
            msg = "An earlier version of the store can only be read."
            raise StoreError(msg)
        if strange := sorted(set(tables) - set(TABLES)):
            msg = f"There is no table {strange[0]!r} to add to. There are: {', '.join(TABLES)}."
            raise UsageError(msg)
        self._prepare()
        added: dict[str, Added] = {}
        conflicts: list[pl.DataFrame] = []
        for name in sorted(set(tables) - {"rejects"}, key=list(TABLES).index):
            added[name], found = self._folder(name).add(tables[name])
            conflicts.append(found)
        rejects = pl.concat([tables.get("rejects", TABLES["rejects"].empty()), *conflicts], how="diagonal")
        if not rejects.is_empty():
            now = dt.datetime.now(dt.UTC)
            rejects = rejects.with_columns(pl.col("seen_at").fill_null(now)).unique("reject_id", maintain_order=True)
            added["rejects"], _ = self._folder("rejects").add(rejects)
        elif "rejects" in tables:
            added["rejects"] = Added(0, 0)
        return added

    def compact(self, names: Sequence[str] = tuple(TABLES)) -> int:
        """Write partitions of many small files as one sorted file each; how many partitions that were."""
        return sum(compact(self._folder(name)) for name in names)

    def redactor(self, key: str | None = None) -> Redactor:
        """The redactor of this store: with *key*, else with the key kept in the folder, made once.

        The kept key (``pseudonym.key``, readable by its owner only) is in no table: whoever gets the
        tables without it cannot undo the pseudonyms. It must stay the same for pseudonyms to match.
        """
        if key:
            return Redactor(key.encode())
        if (kept := kept_redactor(self.path)) is not None:
            return kept
        self._prepare()
        return made_redactor(self.path)

    # The folder ---------------------------------------------------------------------------------------

    def _uri(self, name: str) -> str:
        return str(self.path / "tables" / name)

    def _folder(self, name: str) -> DeltaFolder:
        if self._pinned is None:
            return DeltaFolder(self._uri(name), TABLES[name])
        version = self._pinned.get(name)
        return DeltaFolder(self._uri(name), TABLES[name], version=NO_VERSION if version is None else version)

    def _prepare(self) -> None:
        """Make the folder a store, once."""
        if (meta := self.path / META).is_file():
            return
        made = {"format": FORMAT, "created_at": stamp(dt.datetime.now(dt.UTC).replace(microsecond=0))}
        with explained(f"write {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
            create_once(meta, json.dumps(made) + "\n", mode=0o644)


def _of(time: str | None, window: Window) -> pl.Expr:
    return pl.lit(value=True) if time is None else _inside(time, window) | pl.col(time).is_null()


def _inside(time: str, window: Window) -> pl.Expr:
    return pl.col(time).is_between(window.start, window.end, closed="left")


def _overlaps(window: Window) -> pl.Expr:
    return (pl.col("start") < window.end) & (pl.col("end") > window.start)


__all__ = ["FORMAT", "Added", "Store"]
