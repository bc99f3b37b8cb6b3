"""What the evidence is worth: rows and spans held, gaps, age, rejects, handlers without a name."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.analyse import handlers as who
from flexkit.analyse.coverage import spans
from flexkit.analyse.missing import what_to_collect
from flexkit.tables.schema import TABLES
from flexkit.terms import CoverageState, Missing, SignalKind, Source
from flexkit.window import stamp

if TYPE_CHECKING:
    from flexkit.analyse.results import Evidence

RETENTION = dt.timedelta(days=30)
"""How long Twilio keeps alerts and TaskRouter events (source: Twilio's documentation)."""
SOON = dt.timedelta(days=25)
"""Age of the newest evidence from which on a reader is warned that more will expire."""
EXPIRING = (Source.DEBUGGER, Source.TASKROUTER)
_MOST = 10
_OWN_KIND = "studio_execution"
"""A Studio execution is a signal of flexkit's own making, not an event of Twilio's."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a store holds; every frame is small. ``to_dict`` and ``lines`` say it to machines and people."""

    tables: pl.DataFrame
    """table, rows, first_at, last_at."""
    sources: pl.DataFrame
    """source, signals, first_at, last_at, windows, covered_from, covered_to, gap_count, gap_seconds, open_windows."""
    gaps: pl.DataFrame
    """source, start, end, seconds: spans between two complete windows of one source that nothing covers."""
    rejects: pl.DataFrame
    """reason, rows."""
    unknown: pl.DataFrame
    """source, kind, signals: events of known sources that this version has no word for."""
    unnamed: pl.DataFrame
    """handler, source, operation, signals, last_seen_at: seen, and not in ``handlers.toml``."""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return {
            "tables": {row.pop("table"): row for row in _plain(self.tables)},
            "sources": {row.pop("source"): row for row in _plain(self.sources)},
            "gaps": _plain(self.gaps),
            "rejects": _plain(self.rejects),
            "unknown_events": _plain(self.unknown),
            "unnamed_handlers": _plain(self.unnamed),
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """The same in sentences and small tables."""
        told = ["Tables"]
        told += [_row(r["table"], f"{r['rows']:>10,}", _span(r["first_at"], r["last_at"])) for r in _plain(self.tables)]
        told += ["", "Sources"]
        told += [
            _row(r["source"], f"{r['signals']:>10,}", _span(r["first_at"], r["last_at"]) + _gaps(r))
            for r in _plain(self.sources)
        ]
        for title, frame, name, count in (
            ("Rejected records", self.rejects, "reason", "rows"),
            ("Events without a word of their own", self.unknown, "kind", "signals"),
            ("Handlers without a name in handlers.toml", self.unnamed, "handler", "signals"),
        ):
            if not frame.is_empty():
                told += ["", f"{title} ({frame.height})"]
                told += [f"  {r[count]:>10,}  {r[name]}" for r in frame.head(_MOST).iter_rows(named=True)]
                told += [f"  … and {frame.height - _MOST} more"] if frame.height > _MOST else []
        return [*told, *(["", *self.notes] if self.notes else [])]


def status(store: Evidence, *, now: dt.datetime) -> Status:
    """What *store* holds as of *now*: lazily counted, so that its size does not matter."""
    coverage = store.coverage().collect()
    signals = store.table("signals")
    sources = _sources(signals, coverage)
    found = Status(
        tables=_tables(store),
        sources=sources,
        gaps=gaps(coverage),
        rejects=store.table("rejects").group_by("reason").agg(rows=pl.len()).sort("rows", descending=True).collect(),
        unknown=_unknown(signals),
        unnamed=who.seen(signals, store.handlers()).filter(~pl.col("is_named")).drop("is_named").collect(),
    )
    return Status(
        found.tables, found.sources, found.gaps, found.rejects, found.unknown, found.unnamed, _notes(found, now)
    )


def gaps(coverage: pl.DataFrame) -> pl.DataFrame:
    """Spans between two complete windows of one source that nothing covers: source, start, end, seconds."""
    held = spans(coverage).with_columns(next_us=pl.col("start_us").shift(-1).over("source"))
    return held.filter(pl.col("next_us") > pl.col("end_us")).select(
        "source",
        start=pl.from_epoch("end_us", time_unit="us").dt.replace_time_zone("UTC"),
        end=pl.from_epoch("next_us", time_unit="us").dt.replace_time_zone("UTC"),
        seconds=(pl.col("next_us") - pl.col("end_us")) / 1e6,
    )


def _tables(store: Evidence) -> pl.DataFrame:
    counted = []
    for name, table in TABLES.items():
        at = pl.lit(None, dtype=pl.Datetime("us", "UTC")) if table.time is None else pl.col(table.time)
        counted.append(store.table(name).select(table=pl.lit(name), rows=pl.len(), first_at=at.min(), last_at=at.max()))
    return pl.concat(pl.collect_all(counted)).filter(pl.col("rows") > 0)


def _sources(signals: pl.LazyFrame, coverage: pl.DataFrame) -> pl.DataFrame:
    seen = (
        signals.group_by("source")
        .agg(signals=pl.len(), first_at=pl.col("occurred_at").min(), last_at=pl.col("occurred_at").max())
        .collect()
    )
    between = gaps(coverage).group_by("source").agg(gap_count=pl.len(), gap_seconds=pl.col("seconds").sum())
    is_open = pl.col("state").is_in([CoverageState.PARTIAL, CoverageState.SATURATED])
    held = coverage.group_by("source").agg(
        windows=pl.len(),
        covered_from=pl.col("start").min(),
        covered_to=pl.col("end").max(),
        open_windows=is_open.sum(),
    )
    names = pl.concat([seen.select("source"), held.select("source")]).unique()
    counts = ("signals", "windows", "gap_count", "open_windows")
    return (
        names.join(seen, on="source", how="left")
        .join(held, on="source", how="left")
        .join(between, on="source", how="left")
        .with_columns(pl.col(counts).fill_null(0), pl.col("gap_seconds").fill_null(0.0))
        .sort("source")
    )


def _unknown(signals: pl.LazyFrame) -> pl.DataFrame:
    return (
        signals.filter(~pl.col("kind").is_in([*map(str, SignalKind), _OWN_KIND]))
        .group_by("source", "kind")
        .agg(signals=pl.len())
        .sort("signals", "kind", descending=[True, False])
        .collect()
    )


def _notes(found: Status, now: dt.datetime) -> list[str]:
    """What a reader should know or do, the most urgent first."""
    notes = []
    for source in EXPIRING:
        last = found.sources.filter(source=source)["last_at"]
        age = now - last[0] if len(last) and last[0] is not None else None
        if age is not None and age > RETENTION:
            lost = stamp((now - RETENTION).replace(microsecond=0))
            notes.append(
                f"The newest evidence of {source} is {age.days} days old: what Twilio held between {stamp(last[0])} "
                f"and {lost} has expired there. Fetch now to keep the rest, and on a schedule from here on."
            )
        elif age is not None and age > SOON:
            notes.append(
                f"The newest evidence of {source} is {age.days} days old; Twilio keeps 30. Run 'flexkit fetch' now."
            )
    if found.tables.is_empty():
        return [
            "Nothing is held yet. Fetch from Twilio with 'flexkit fetch', or read files with 'flexkit import FILE'."
        ]
    held = set(found.sources["source"])
    absent = [source for source in Source if source not in held and source != Source.TWILIO_API]
    if absent:
        collect = what_to_collect(Missing.SOURCE_NOT_COLLECTED)
        notes.append(f"Nothing is held of {', '.join(absent)}. {collect}")
    if not found.unnamed.is_empty():
        notes.append("Name the handlers above in handlers.toml in the data folder: pages then speak in those names.")
    return notes


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: stamp(value) if isinstance(value, dt.datetime) else value for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]


def _row(name: str, count: str, rest: str) -> str:
    return f"  {name:<22}{count}  {rest}".rstrip()


def _span(first: str | None, last: str | None) -> str:
    return f"{first} to {last}" if first else ""


def _gaps(row: dict[str, Any]) -> str:
    told = f"; {row['gap_count']} gaps, {row['gap_seconds'] / 3600:,.1f} h in all" if row["gap_count"] else ""
    return told + (f"; {row['open_windows']} windows to read again" if row["open_windows"] else "")
