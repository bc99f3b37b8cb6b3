"""The data folder: Delta tables, what the user declared about them, and the version that names them exactly."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import polars as pl

from flexkit.environment import may_hold
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
from flexkit.tables.store_upkeep import compact
from flexkit.window import Window, parse_instant, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CACHE = "cache"
_KEY = "pseudonym.key"
_DATED = ("signals", "alerts", "task_events")
_NEVER = "n"


class Result(Protocol):
    """How a result table is computed from a store, and the instant that dates its rows."""

    @property
    def compute(self) -> Callable[[Any, Window | None], pl.LazyFrame]: ...
    @property
    def time(self) -> str | None: ...


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
        self._pinned = None if version is None else self._parsed(version)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, version={self.version!r})"

    # Reading ------------------------------------------------------------------------------------------

    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame:
        """A stored table or result by name, lazily; only rows of *window* where one is given.

        A row without a time (a participant, a tombstone) is in every window; a row of ``coverage`` is
        in each window that it overlaps. Raises `UsageError` for an unknown name.
        """
        if (result := self._results.get(name)) is not None:
            if not getattr(result, "is_kept", True):
                return result.compute(self, window)
            if result.time is None:
                return self._kept(name, result, window)
            rows = self._kept(name, result, None)
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
        return [span for name in _DATED if (span := self._folder(name).span()) is not None]

    def fixes(self, path: str | os.PathLike[str] | None = None) -> pl.DataFrame:
        """The fixes that the user declared in ``fixes.toml`` (or in the file at *path*), by time."""
        return read_fixes(self.path / "fixes.toml" if path is None else Path(path))

    def handlers(self) -> pl.DataFrame:
        """The user's names for her automations, from ``handlers.toml`` (see `flexkit.tables.declared`)."""
        return read_handlers(self.path / "handlers.toml", self._redactor_if_any())

    def files(self, name: str) -> list[str]:
        """The Parquet files of a stored table, for engines that read them themselves (`flexkit.tables.spark`)."""
        held = self._folder(name).current()
        return [] if held is None else held.file_uris()

    def around(self, interaction_sid: str) -> pl.LazyFrame:
        """The signals of one interaction and those that name a part of it (`flexkit.tables.lookup.around`)."""
        return around(self.table("signals"), interaction_sid).lazy()

    def days(self, name: str) -> dict[str, pl.LazyFrame]:
        """The rows of a table in days, lazily; each day has a name that changes when its rows do."""
        held = self._folder(name).current()
        if held is None:
            return {}
        files = pl.DataFrame(held.get_add_actions(flatten=True)).select(
            day=pl.col("partition.day").cast(pl.String), path="path"
        )
        per_day = files.group_by("day").agg(pl.col("path").sort()).sort("day")
        folder = held.table_uri.rstrip("/")
        return {
            f"{day}-{identity(*paths)}": self.in_files(name, [f"{folder}/{unquote(path)}" for path in paths])
            for day, paths in per_day.iter_rows()
        }

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
        # What a result does not tell it may have read, it may have read.
        reads: tuple[str, ...] = getattr(result, "reads", ("handlers", "fixes"))

        def state() -> str:
            declared = (getattr(self, what)().write_json() for what in reads)
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
        numbers = self._pinned or {name: self._version_of(name) for name in TABLES}
        shown = (_NEVER if numbers.get(name) is None else str(numbers[name]) for name in TABLES)
        return f"{FORMAT}:{'.'.join(shown)}"

    def at(self, version: str) -> Store:
        """This store as it was at *version* (as it is, for ""); replaced files are kept for thirty days."""
        return Store(self.path, results=self._results, version=version, spark=self.spark) if version else self

    def _version_of(self, name: str) -> int | None:
        held = DeltaFolder(self._uri(name), TABLES[name]).current()
        return None if held is None else held.version()

    def _parsed(self, version: str) -> dict[str, int | None]:
        layout, _, numbers = version.partition(":")
        parts = numbers.split(".")
        whole = layout == str(FORMAT) and 0 < len(parts) <= len(TABLES)
        if not whole or not all(part == _NEVER or part.isdecimal() for part in parts):
            msg = f"{version!r} is no data version of this store. Take it from 'data_version' in a run.json."
            raise UsageError(msg)
        pinned = {name: None if part == _NEVER else int(part) for name, part in zip(TABLES, parts, strict=False)}
        for name, number in pinned.items():
            latest = self._version_of(name)
            if number is not None and (latest is None or number > latest):
                msg = f"This store has no version {version!r}: its {name} are at {latest}. Is it another folder's?"
                raise UsageError(msg)
            if not DeltaFolder(self._uri(name), TABLES[name], version=number).is_whole():
                msg = (
                    f"Version {version!r} can no longer be read: files that were replaced are kept for thirty days. "
                    "Run the report on the data as they are now."
                )
                raise StoreError(msg)
        return pinned

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
        if (kept := self._redactor_if_any()) is not None:
            return kept
        self._prepare()
        with explained(f"write {self.path}"):
            _create_once(self.path / _KEY, secrets.token_hex(32), mode=0o600)
        kept = self._redactor_if_any()
        if kept is None:
            msg = f"The key in {self.path / _KEY} is empty. Restore it, or delete it to begin new pseudonyms."
            raise StoreError(msg)
        return kept

    def _redactor_if_any(self) -> Redactor | None:
        if may_hold("FLEXKIT_PSEUDONYM_KEY"):
            from flexkit.settings import settings

            if (chosen := settings().flexkit_pseudonym_key) is not None:
                return Redactor(chosen.get_secret_value().encode())
        try:
            key = (self.path / _KEY).read_text(encoding="ascii").strip()
        except OSError:
            return None
        return Redactor(key.encode()) if key else None

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
            _create_once(meta, json.dumps(made) + "\n", mode=0o644)


def _of(time: str | None, window: Window) -> pl.Expr:
    return pl.lit(value=True) if time is None else _inside(time, window) | pl.col(time).is_null()


def _inside(time: str, window: Window) -> pl.Expr:
    return pl.col(time).is_between(window.start, window.end, closed="left")


def _overlaps(window: Window) -> pl.Expr:
    return (pl.col("start") < window.end) & (pl.col("end") > window.start)


def _create_once(path: Path, text: str, *, mode: int) -> None:
    """Write *path* whole or not at all; a file that another process made first stays."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


__all__ = ["FORMAT", "Added", "Store"]
