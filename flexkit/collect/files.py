"""Evidence that a user already holds: captured webhooks, Event Streams, REST pages, completion logs, alert CSV.

Each file is recognised by its content and streamed in batches, so that its size does not matter. A file
that cannot be read at all is reported and leaves nothing behind; a record that does not fit is a reject
with file, line and reason. The good files of a run are stored whatever happens to the others.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING

import polars as pl

from flexkit.collect import alert_csv, reading
from flexkit.collect.imported import FileSummary, ImportSummary, printable
from flexkit.collect.recognise import FAMILIES, UNRECOGNISED, recognise
from flexkit.collect.signature import signature_problem
from flexkit.errors import ExitCode, ImportFileError, StoreError, UsageError
from flexkit.tables.ids import digests, identity
from flexkit.tables.merge import CONTRADICTION
from flexkit.tables.normalize import RECORDS, RecordKind, normalize, unknown_events
from flexkit.tables.schema import COVERAGE
from flexkit.terms import CoverageState, Source

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from flexkit.tables.redact import Redactor
    from flexkit.tables.store import Store

BATCH = 50_000
"""Records that are normalized at once."""
_BATCH_CHARACTERS = 64 * 1024 * 1024

# Which source a table's rows show, and the instant that dates them.
_SOURCES = (("alerts", Source.DEBUGGER, "generated_at"), ("task_events", Source.TASKROUTER, "occurred_at"))

Record = tuple[str, str, str, str | None]
"""Kind, JSON text, origin, and why it is refused (if it is)."""


def import_files(
    store: Store,
    paths: Iterable[str | os.PathLike[str]],
    *,
    csv_columns: Mapping[str, str] | None = None,
    tz: str | None = None,
    keep_raw: str | os.PathLike[str] | None = None,
    auth_token: str | None = None,
    pseudonym_key: str | None = None,
) -> ImportSummary:
    """Read the files at *paths* into *store*; importing a file again changes nothing.

    *csv_columns* maps alert fields to the columns of a CSV table whose times are in *tz*. With an
    *auth_token* the signatures of captured webhooks are checked. *keep_raw* names a folder for copies
    of the files as they are (they hold personal data). Raises `StoreError` where the store cannot be
    written; everything that concerns a file is in the summary.
    """
    redactor = store.redactor(pseudonym_key)
    summary = ImportSummary()
    for name in paths:
        path = Path(name)
        importing = _Import(store, redactor, path, csv_columns=csv_columns, tz=tz, auth_token=auth_token)
        summary.files.append(importing.run())
        if keep_raw is not None and importing.summary.failure is None:
            _keep(path, Path(keep_raw))
    if keep_raw is not None:
        summary.notes.append(
            f"Raw records, with all personal data in them, were kept in {printable(str(keep_raw))}: protect it."
        )
    store.compact()
    return summary


class _Import:
    """The import of one file."""

    def __init__(
        self,
        store: Store,
        redactor: Redactor,
        path: Path,
        *,
        csv_columns: Mapping[str, str] | None,
        tz: str | None,
        auth_token: str | None,
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._path = path
        self._columns = csv_columns
        self._tz = tz
        self._token = auth_token
        self._name = printable(path.name)
        self._spans: dict[str, list[tuple[dt.datetime, dt.datetime, int]]] = {}
        self._kinds: Counter[str] = Counter()
        self.summary = FileSummary(printable(str(path)))

    def run(self) -> FileSummary:
        """Stream the file into the store; what prevents that is in the summary."""
        try:
            with reading.opened(self._path) as file:
                seen_at = self._written_at()
                for batch in _batches(self._records(file)):
                    self._add(batch, seen_at)
                self._cover(seen_at)
        except ImportFileError as error:
            self.summary.failure = str(error)
        except UsageError as error:
            self.summary.failure = str(error)
            self.summary.exit_code = ExitCode.USAGE
        self.summary.kind = self._kind()
        return self.summary

    def _written_at(self) -> dt.datetime:
        """When the file was written: the best that is known of when its snapshots were read.

        It stays the same when the file is imported again, which the time of the import would not.
        """
        written = dt.datetime.fromtimestamp(self._path.stat().st_mtime, dt.UTC)
        return min(written, dt.datetime.now(dt.UTC))

    def _records(self, file: IO[bytes]) -> Iterator[Record]:
        """Kind, JSON text, origin and problem of each record."""
        layout = reading.layout(file)
        if layout == "csv":
            for row in alert_csv.alerts(reading.lines(file), self._columns, self._tz):
                self._kinds["alert_csv"] += 1
                yield RecordKind.ALERT, row.record, f"{self._name}:{row.line}", row.problem
            return
        pieces = reading.json_lines(file) if layout == "lines" else reading.json_document(file)
        for piece in pieces:
            origin = f"{self._name}:{piece.line}"
            if piece.problem is not None:
                yield "", piece.text or "", origin, piece.problem
                continue
            for kind, text in recognise(piece.value, piece.text):
                if kind is None:
                    yield "", text, origin, UNRECOGNISED
                    continue
                self._kinds[FAMILIES.get(kind, "rest")] += 1
                yield kind, text, origin, self._signature(kind, piece.value)

    def _signature(self, kind: str, value: object) -> str | None:
        if self._token is None or kind != RecordKind.WEBHOOK or not isinstance(value, dict):
            return None
        return signature_problem(value, self._token)

    def _add(self, batch: list[Record], seen_at: dt.datetime) -> None:
        rows = pl.DataFrame(
            batch,
            schema={"kind": pl.String, "record": pl.String, "origin": pl.String, "problem": pl.String},
            orient="row",
        )
        records = rows.with_columns(pl.lit(seen_at).cast(RECORDS["seen_at"]).alias("seen_at"))
        tables = normalize(records, redactor=self._redactor, with_where=True)
        added = self._store.add(tables)
        self.summary.records += len(batch)
        for name, done in added.items():
            self.summary.count(name, done)
        if (rejects := tables.get("rejects")) is not None:
            self.summary.reject(rejects)
        given = 0 if rejects is None else rejects.height
        if "rejects" in added and (clashes := added["rejects"].rows - given) > 0:
            self.summary.rejected[CONTRADICTION] = self.summary.rejected.get(CONTRADICTION, 0) + clashes
        for event, count in unknown_events(tables).items():
            self.summary.unknown[event] = self.summary.unknown.get(event, 0) + count
        self._span(tables)

    def _span(self, tables: Mapping[str, pl.DataFrame]) -> None:
        """Remember the first and last event of every source."""
        found: list[tuple[str, dt.datetime, dt.datetime, int]] = []
        for name, known, time in _SOURCES:
            if name in tables:
                held = tables[name].select(
                    pl.lit(known.value), pl.col(time).min(), pl.col(time).max().alias("last"), pl.len()
                )
                found.extend(held.iter_rows())
        if "signals" in tables:
            covered = [known.value for _, known, _ in _SOURCES]
            held = (
                tables["signals"]
                .filter(~pl.col("source").is_in(covered))
                .group_by("source")
                .agg(pl.col("occurred_at").min(), pl.col("occurred_at").max().alias("last"), pl.len())
            )
            found.extend(held.iter_rows())
        for source, first, last, count in found:
            if first is not None:
                self._spans.setdefault(source, []).append((first, last, count))

    def _cover(self, seen_at: dt.datetime) -> None:
        """Write what the file covers: from the first to the last event of each source in it."""
        if not self._spans:
            return
        rejected = sum(self.summary.rejected.values())
        rows = pl.DataFrame(
            [
                {
                    "source": source,
                    "resource": f"file: {self._kind()}",
                    "start": min(first for first, _, _ in spans),
                    "end": max(last for _, last, _ in spans) + dt.timedelta(microseconds=1),
                    "rows": sum(count for _, _, count in spans),
                    "state": (CoverageState.PARTIAL if rejected else CoverageState.COMPLETE).value,
                    "reason": f"{rejected} records were rejected" if rejected else None,
                    "fetched_at": seen_at,
                }
                for source, spans in sorted(self._spans.items())
            ],
            schema={name: dtype for name, dtype in COVERAGE.dtypes.items() if name != "coverage_id"},
        )
        parts = ["source", "resource", "start", "end", "fetched_at"]
        ids = digests(rows.select(identity(parts)).to_series(), prefix="CV")
        self._store.add({"coverage": rows.with_columns(coverage_id=ids)})
        self.summary.first = min(first for spans in self._spans.values() for first, _, _ in spans)
        self.summary.last = max(last for spans in self._spans.values() for _, last, _ in spans)

    def _kind(self) -> str:
        return " and ".join(sorted(self._kinds)) or "unknown"


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Lists of at most `BATCH` records, of bounded size."""
    batch: list[Record] = []
    characters = 0
    for record in records:
        batch.append(record)
        characters += len(record[1])
        if len(batch) >= BATCH or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _keep(path: Path, folder: Path) -> None:
    """Copy a raw file into *folder*, readable by its owner only."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = folder / f"{int(path.stat().st_mtime)}-{printable(path.name).replace('/', '_')}"
        shutil.copyfile(path, target)
        target.chmod(0o600)
    except OSError as error:
        msg = f"Cannot keep the raw file in {folder}: {error.strerror}. Name a folder that can be written."
        raise StoreError(msg) from error
