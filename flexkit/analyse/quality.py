"""What is held: tables, windows, gaps, age, handlers without a name, and how far it can be trusted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl

from flexkit.analyse import handlers as handler_map
from flexkit.analyse import trusting
from flexkit.analyse.coverage import spans
from flexkit.analyse.missing import what_to_collect
from flexkit.analyse.trusting import Held, Trust, trust
from flexkit.tables.schema import INSTANT, TABLES
from flexkit.terms import Missing, SignalKind, Source
from flexkit.window import stamp

RETENTION = dt.timedelta(days=30)
"""After this Twilio holds neither alerts nor TaskRouter events (source: Twilio's documentation)."""
NEAR = dt.timedelta(days=7)
"""Evidence that is this near its end is worth a warning."""
_FETCHED = (Source.DEBUGGER, Source.TASKROUTER)
_SHOWN = 12
# Kinds that flexkit makes of records that it knows: no event that it lacks a word for.
_OWN_KINDS = ("studio_execution", "interaction_created", "invite_created", "onInteractionCreated", "onChannelCreated",
              "onParticipantUpdated")  # fmt: skip
_OWN_STATES = r"^(?:channel_(?:setup|pause|transfer)|conversation_[a-z]+|task\.transfer-[a-z-]+)$"


@dataclass(frozen=True, slots=True)
class StoreStatus(Trust):
    """What a store holds, as frames; `lines` says it in words, `to_dict` as plain numbers."""

    path: str
    version: str
    tables: pl.DataFrame
    """table, rows, first_at, last_at."""
    gaps: pl.DataFrame
    """source, start, end: spans between the first and the last window of a source that are not complete."""
    unknown: pl.DataFrame
    """source, kind, signals: events of known sources that this version has no word for."""
    unnamed: pl.DataFrame
    """handler, source, operation, signals, last_seen_at: handlers that handlers.toml does not name."""
    advice: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, instants as ISO text."""
        frames = ("tables", "sources", "gaps", "shortfalls", "lateness", "rejects", "unknown", "unnamed")
        told: dict[str, Any] = {"path": self.path, "version": self.version}
        for name in frames:
            told[name] = [
                {key: stamp(value) if isinstance(value, dt.datetime) else value for key, value in row.items()}
                for row in getattr(self, name).iter_rows(named=True)
            ]
        return told | {"advice": self.advice}

    def lines(self) -> list[str]:
        """The status as text, one fact a line."""
        told = [f"{self.path} (version {self.version})", "", f"{'table':<16}{'rows':>12}  held"]
        told += [
            f"{row['table']:<16}{row['rows']:>12,}  {_span(row['first_at'], row['last_at'])}"
            for row in self.tables.iter_rows(named=True)
        ]
        told += ["", f"{'source':<22}{'signals':>12}{'days held':>11}{'days of gaps':>14}  newest"]
        told += [
            f"{row['source']:<22}{row['signals']:>12,}{row['held_days']:>11.1f}{row['gap_days']:>14.1f}  "
            f"{_span(None, row['last_at'])}{_age(row['age_hours'])}"
            for row in self.sources.iter_rows(named=True)
        ]
        if not self.gaps.is_empty():
            told += ["", "Not held between the first and the last window:"]
            told += _shown(self.gaps, lambda row: f"  {row['source']}: {_span(row['start'], row['end'])}")
        if not self.shortfalls.is_empty():
            told += ["", "Windows that are not complete:"]
            told += _shown(
                self.shortfalls,
                lambda row: f"  {row['source']}: {row['windows']} {row['state']}{_reason(row['reason'])}",
            )
        told += [""] if self.lateness.height else []
        told += [
            f"{row['what']}: half within {row['median_seconds']:.1f} s, 95 % within {row['p95_seconds']:.1f} s"
            for row in self.lateness.iter_rows(named=True)
        ]
        if not self.rejects.is_empty():
            told += ["", f"Rejected records: {self.rejects['count'].sum():,}"]
            told += _shown(self.rejects, lambda row: f"  {row['count']:,} × {row['reason']}")
        if not self.unknown.is_empty():
            told += ["", "Events that this version has no word for (kept under their own names):"]
            told += _shown(self.unknown, lambda row: f"  {row['kind']} ({row['source']}, {row['signals']:,})")
        if not self.unnamed.is_empty():
            told += ["", "Handlers that handlers.toml does not name:"]
            told += _shown(
                self.unnamed,
                lambda row: (
                    f"  {row['handler']} ({row['source']}, {row['operation']}, {_many(row['signals'], 'signal')})"
                ),
            )
        return [*told, *([""] if self.advice else []), *self.advice]


def status(store: Held, *, now: dt.datetime | None = None) -> StoreStatus:
    """What *store* holds; ages count from *now* (default: the clock)."""
    moment = trusting.moment(now)
    signals, coverage = store.table("signals"), store.coverage().collect()
    held = spans(coverage)
    gaps = trusting.holes(held)
    # One look at the signals tells of sources and of kinds; all looks are taken together.
    seen, kinds = pl.collect_all([handler_map.seen(signals, store.handlers()), trusting.kinds(signals)])
    sources = trusting.sources(kinds, held, gaps, moment)
    return StoreStatus(
        path=str(store.path),
        version=store.version,
        tables=_tables(store),
        sources=sources,
        gaps=gaps,
        shortfalls=trusting.shortfalls(coverage),
        lateness=trusting.lateness(store.table("alerts"), signals),
        rejects=trusting.rejects(store.table("rejects")),
        unknown=_unknown(kinds),
        unnamed=(unnamed := seen.filter(~pl.col("is_named")).drop("is_named")),
        advice=_advice(sources, coverage, unnamed, moment),
    )


def _tables(store: Held) -> pl.DataFrame:
    frames = []
    for name, table in TABLES.items():
        time = pl.lit(None, dtype=INSTANT) if table.time is None else pl.col(table.time)
        frames.append(
            store.table(name).select(
                table=pl.lit(name), rows=pl.len().cast(pl.Int64), first_at=time.min(), last_at=time.max()
            )
        )
    return pl.concat(pl.collect_all(frames)).filter(pl.col("rows") > 0)


def _unknown(kinds: pl.DataFrame) -> pl.DataFrame:
    known = [*map(str, SignalKind), *_OWN_KINDS]
    return (
        kinds.filter(~pl.col("kind").is_in(known), ~pl.col("kind").str.contains(_OWN_STATES))
        .select("source", "kind", "signals")
        .sort("signals", "kind", descending=[True, False])
    )


def _advice(sources: pl.DataFrame, coverage: pl.DataFrame, unnamed: pl.DataFrame, now: dt.datetime) -> list[str]:
    """What to do, before it is too late."""
    told = []
    for source in _FETCHED:
        ends = coverage.filter(pl.col("source") == source)["end"].drop_nulls()
        if ends.is_empty():
            continue
        last: dt.datetime = ends.sort()[-1]
        left = last + RETENTION - now
        if left < dt.timedelta(0):
            told.append(
                f"{source}: what came between {stamp(last)} and {stamp(now - RETENTION)} is gone at Twilio. "
                "Run 'flexkit fetch' at least every 3 weeks."
            )
        elif left < NEAR:
            told.append(
                f"{source}: the last window ends {stamp(last)}; Twilio keeps 30 days. Run 'flexkit fetch' within "
                f"{_many(left.days, 'day')}."
            )
    if sources.is_empty():
        return [*told, "Nothing is held. Run 'flexkit fetch', or read files with 'flexkit import FILE'."]
    absent = [source for source in Source if source not in set(sources["source"]) and source != Source.TWILIO_API]
    if absent:
        told.append(f"Nothing is held of {', '.join(absent)}. {what_to_collect(Missing.SOURCE_NOT_COLLECTED)}")
    if not unnamed.is_empty():
        told.append("Name the handlers above in handlers.toml in the data folder: pages then speak in those names.")
    return told


def _span(first: dt.datetime | None, last: dt.datetime | None) -> str:
    if last is None:
        return ""
    return f"{last:%Y-%m-%d %H:%M}" if first is None else f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


def _age(hours: float | None) -> str:
    if hours is None or hours < 0:
        return ""
    return f" ({hours:.0f} h ago)" if hours < 48 else f" ({hours / 24:.0f} days ago)"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _reason(text: str | None) -> str:
    return f": {text}" if text else ""


def _shown(frame: pl.DataFrame, say: Any) -> list[str]:
    told = [say(row) for row in frame.head(_SHOWN).iter_rows(named=True)]
    return told if frame.height <= _SHOWN else [*told, f"  … and {frame.height - _SHOWN} more"]


__all__ = ["NEAR", "RETENTION", "StoreStatus", "Trust", "status", "trust"]
