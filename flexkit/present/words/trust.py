"""Sentences about the evidence: what is held of each source, what is missing, how new it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.present.answer import Provenance
from flexkit.present.labels import source_label
from flexkit.present.numbers import count, duration, listed, percent, sentence
from flexkit.present.words.said import Said, days_of
from flexkit.window import stamp

if TYPE_CHECKING:
    import datetime as dt

    from flexkit.analyse.trusting import Trust
    from flexkit.window import Window


def coverage(days: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """Which sources are held for the whole window, and which days are missing."""
    subtitle = f"What is held of each source and day, {days_of(window, zone)}"
    if days.is_empty():
        return Said("No source is held", subtitle, "An empty chart.", "Nothing on this page can be trusted yet.")
    short = days.filter(pl.col("state") != "complete")
    lacking = short.group_by("source").agg(days=pl.len()).sort("days", "source", descending=[True, False])
    total = days["date"].n_unique()
    words = [f"{source_label(source)} on {amount} of {count(total, 'day')}" for source, amount in lacking.iter_rows()]
    if not words:
        sources = days["source"].n_unique()
        title = f"All {sources} sources are held for every day"
        if sources == 1:
            title = f"Only one source is held, for every day: {source_label(days['source'][0])}"
        return Said(title, subtitle, f"A grid of {count(sources, 'source')}, complete on every day.", _STATES)
    title = f"Incomplete: {listed(words[:3])}"
    return Said(title, subtitle, f"A grid of sources and days; incomplete: {listed(words)}.", _STATES)


_STATES = (
    "p: part of the day. s: Twilio gave no more than its limit. e: expired at Twilio before it was read. ×: nothing "
    "held, which does not mean that nothing happened. A source that is not listed was never collected."
)


def provenance(
    days: pl.DataFrame, *, window: Window, version: str, newest: dt.datetime | None, trust: Trust | None = None
) -> Provenance:
    """Window, data version, coverage, lateness and rejects of a page: what it stands on."""
    by_source = days.group_by("source", maintain_order=True).agg(
        days=pl.len(),
        complete=(pl.col("state") == "complete").sum(),
        gaps=(pl.col("state") == "gap").sum(),
        rows=pl.col("rows").sum(),
    )
    rows: list[dict[str, Any]] = by_source.to_dicts()
    held = [f"{source_label(row['source'])} {percent(row['complete'] / row['days'])}" for row in rows]
    said = f"Days held completely: {listed(held)}." if held else "No source is held for this window."
    return Provenance(
        window=(stamp(window.start), stamp(window.end)),
        data_version=version,
        coverage=tuple(rows),
        sentence=" ".join([said, *(_late(trust) + _rejected(trust) if trust else [])]),
        newest="" if newest is None else f"{newest.day} {newest:%b %Y, %H:%M} UTC",
    )


def _late(trust: Trust) -> list[str]:
    late = trust.lateness.drop_nulls("p95_seconds") if trust.lateness.height else trust.lateness
    return [f"{row['what']}: 95 % within {duration(row['p95_seconds'])}." for row in late.iter_rows(named=True)]


def _rejected(trust: Trust) -> list[str]:
    total = int(trust.rejects["count"].sum()) if trust.rejects.height else 0
    if not total:
        return []
    most = trust.rejects.sort("count", descending=True).row(0, named=True)
    were = "was" if total == 1 else "were"
    return [
        f"{count(total, 'record')} did not fit and {were} set aside, most often because: {sentence(most['reason'])}"
    ]
