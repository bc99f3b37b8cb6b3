"""Records on their way into the store: gathered into bounded batches, data first, coverage second."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from flexkit.collect.network.json_text import written
from flexkit.errors import StoreError
from flexkit.tables.ids import digests, identity
from flexkit.tables.normalize import RECORDS, RecordKind, normalize
from flexkit.tables.schema import COVERAGE
from flexkit.terms import CoverageState, Source

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from flexkit.collect.fetch.summary import FetchSummary
    from flexkit.tables.redact import Redactor
    from flexkit.tables.store import Store
    from flexkit.tables.store_delta import Added
    from flexkit.window import Window

RECORDS_AT_ONCE = 12_000
CHARACTERS_AT_ONCE = 3 * 1024 * 1024
SECONDS_AT_ONCE = 10.0
"""A batch is stored when it has so many records or characters, or is so old: what a kill can lose at most."""
A_PAGE = 100
"""Records that come together from which on they are taken for a page of a long list."""
SHARE = 8.0
"""Where storing is slow, a batch may be so many times as old as the last one took to store."""

# Rows of these tables say "all that belongs to it is held": they are stored after everything else.
_LAST = ("interactions", "executions")


@dataclass(frozen=True, slots=True)
class Covered:
    """One window of one resource that was read, or could not be."""

    source: Source
    resource: str
    window: Window
    rows: int
    state: CoverageState = CoverageState.COMPLETE
    reason: str | None = None


@dataclass
class _Batch:
    kinds: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    seen: list[dt.datetime] = field(default_factory=list)
    marks: list[Covered] = field(default_factory=list)
    covered: list[Covered] = field(default_factory=list)
    characters: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.records or self.marks or self.covered)

    def fills(self, batches: int = 1) -> bool:
        """Whether it holds what makes so many *batches*."""
        return len(self.records) >= batches * RECORDS_AT_ONCE or self.characters >= batches * CHARACTERS_AT_ONCE


def texts(items: Iterable[Any]) -> list[str]:
    """JSON text of each of *items*."""
    return [written(item) for item in items]


class Sink:
    """Takes records from many readers; stores one batch at a time in a thread, and makes readers wait for it."""

    def __init__(
        self,
        store: Store,
        redactor: Redactor,
        summary: FetchSummary,
        *,
        now: Callable[[], dt.datetime],
        keep_raw: Path | None = None,
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._summary = summary
        self._now = now
        self._batch = _Batch()
        self._storing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: BaseException | None = None
        self._patience = SECONDS_AT_ONCE
        # One thread of its own: every further thread would keep memory of its own.
        self._thread = ThreadPoolExecutor(1, "flexkit-store")
        self._raw = None if keep_raw is None else _raw_file(keep_raw, now())

    async def put(
        self,
        source: str,
        kind: RecordKind,
        texts: Iterable[str],
        origin: str,
        *,
        marks: Iterable[Covered] = (),
        covered: Iterable[Covered] = (),
    ) -> None:
        """Add records of one kind (see `texts`) that came from *origin*, and what they cover; waits while storing lags.

        *marks* are stored before the records (a resource of which a part is missing), *covered* after them.
        """
        if self._failure is not None:
            raise self._failure
        batch, seen = self._batch, self._now()
        count = 0
        for text in texts:
            batch.kinds.append(kind.value)
            batch.records.append(text)
            batch.origins.append(origin)
            batch.seen.append(seen)
            batch.characters += len(text)
            count += 1
        spans = list(covered)
        batch.marks += marks
        batch.covered += spans
        self._summary.tally(source).records += count
        for window in spans:
            self._summary.tally(source).windows[window.state.value] += 1
        # Readers of pages fill a batch with few requests: they wait first, so that the line to Twilio stays full.
        while self._batch.fills(1 if count >= A_PAGE else 2) and self._is_storing:
            await self._stored()
        if self._batch.fills() and not self._is_storing:
            self._begin()
        elif not self._batch.is_empty and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._is_due)

    async def flush(self) -> None:
        """Store what is left. Raises what kept a batch from being stored."""
        while self._is_storing:
            await self._stored()
        self._begin()
        await self._stored()

    def close(self) -> None:
        """Stop the clock and the thread, and close the file of raw records."""
        self._thread.shutdown(wait=False)
        if self._timer is not None:
            self._timer.cancel()
        if self._raw is not None:
            self._raw.close()

    @property
    def _is_storing(self) -> bool:
        return self._storing is not None and not self._storing.done()

    async def _stored(self) -> None:
        """Wait for the batch that is being stored."""
        if self._storing is not None:
            # Shielded: cancelling one reader must not cancel what all of them read.
            await asyncio.shield(self._storing)
        if self._failure is not None:
            raise self._failure

    def _is_due(self) -> None:
        self._timer = None
        if self._is_storing:
            self._timer = asyncio.get_running_loop().call_later(1.0, self._is_due)
        else:
            self._begin()

    def _begin(self) -> None:
        """Take the batch away and store it in a thread."""
        if self._batch.is_empty or self._failure is not None:
            return
        batch, self._batch = self._batch, _Batch()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._storing = asyncio.create_task(self._store_one(batch))

    async def _store_one(self, batch: _Batch) -> None:
        begun = time.monotonic()
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, every reader is told
            self._failure = error
            return
        self._patience = max(SECONDS_AT_ONCE, SHARE * (time.monotonic() - begun))
        for added in done:
            self._summary.stored(added)

    def _write(self, batch: _Batch) -> list[Mapping[str, Added]]:
        """Records, then what marks them as whole, then coverage: killed anywhere, the next fetch completes it."""
        if self._raw is not None:
            self._keep_raw(self._raw, batch)
        added: list[Mapping[str, Added]] = []
        if batch.marks:
            self._store.add({"coverage": coverage_rows(batch.marks, self._now())})
        if batch.records:
            records = pl.DataFrame(
                {"kind": batch.kinds, "record": batch.records, "seen_at": batch.seen, "origin": batch.origins},
                schema=RECORDS,
            )
            tables = normalize(records, redactor=self._redactor, now=self._now())
            added.append(self._store.add({name: rows for name, rows in tables.items() if name not in _LAST}))
            added.append(self._store.add({name: rows for name, rows in tables.items() if name in _LAST}))
        if batch.covered:
            self._store.add({"coverage": coverage_rows(batch.covered, self._now())})
        return added

    def _keep_raw(self, file: IO[str], batch: _Batch) -> None:
        try:
            file.write("".join(f"{record}\n" for record in batch.records))
            file.flush()
        except OSError as error:
            msg = f"Cannot keep raw records: {error.strerror}. Make room, or leave out --keep-raw."
            raise StoreError(msg) from None


def coverage_rows(covered: Iterable[Covered], fetched_at: dt.datetime) -> pl.DataFrame:
    """Rows of the coverage table; windows of one resource that touch and are alike become one."""
    rows: list[dict[str, Any]] = []
    order = sorted(covered, key=lambda one: (one.source, one.resource, one.state, one.reason or "", one.window.start))
    for one in order:
        row = {
            "source": one.source.value,
            "resource": one.resource,
            "start": one.window.start,
            "end": one.window.end,
            "rows": one.rows,
            "state": one.state.value,
            "reason": one.reason,
            "fetched_at": fetched_at,
        }
        last = rows[-1] if rows else None
        alike = ("source", "resource", "state", "reason")
        if last is not None and all(last[name] == row[name] for name in alike) and last["end"] == row["start"]:
            last["end"], last["rows"] = row["end"], last["rows"] + row["rows"]
        else:
            rows.append(row)
    schema = {name: dtype for name, dtype in COVERAGE.dtypes.items() if name != "coverage_id"}
    frame = pl.DataFrame(rows, schema=schema)
    parts = ["source", "resource", "start", "end", "fetched_at"]
    return frame.with_columns(coverage_id=digests(frame.select(identity(parts)).to_series(), prefix="CV"))


def _raw_file(folder: Path, now: dt.datetime) -> IO[str]:
    """A file for raw records, readable by its owner only."""
    path = folder / f"fetch-{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl.gz"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return gzip.open(path, "wt", encoding="utf-8")
    except OSError as error:
        msg = f"Cannot keep raw records in {folder}: {error.strerror}. Name a folder that can be written."
        raise StoreError(msg) from None
