"""Sentences about one interaction: who closed it first, who again, why, and how that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.analyse.missing import what_to_collect
from flexkit.present.answer import Answer, Tile
from flexkit.present.labels import FIX_OF_CAUSE, cause_label, fix_label, source_label
from flexkit.present.numbers import count, duration, listed
from flexkit.present.words.said import Said, long_day
from flexkit.terms import Cause, Missing, Status, Verdict

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

_SURE = {
    Status.CONFIRMED: "confirmed",
    Status.SUPPORTED: "supported",
    Status.COMPATIBLE: "compatible with the evidence",
    Status.CONTRADICTED: "contradicted",
    Status.NOT_ASSESSABLE: "not assessable",
}


def interaction(sid: str, causes: pl.DataFrame, lines: pl.DataFrame, *, newest: dt.datetime | None = None) -> Answer:
    """What happened to one interaction and why; *causes* are its rows, *lines* its timeline.

    Without a *sid* there is none to show: for lack of duplicates, or where *newest* is None for lack of evidence.
    """
    metrics: dict[str, float | int | None] = {"duplicates": causes.height, "signals": lines.height}
    if not sid and newest is None:
        said = "Cannot tell: nothing is held."
        return Answer(Verdict.UNDECIDED, said, "Fetch or import evidence first.", metrics=metrics)
    if not sid:
        said = "No interaction was completed twice in this window, so there is none to show."
        return Answer(
            Verdict.OK, said, "Name one with the parameter interaction_sid.", metrics=metrics, is_tested=False
        )
    if lines.is_empty():
        said = f"Cannot tell: nothing is held of {sid}."
        return Answer(Verdict.UNDECIDED, said, "Check the SID, or fetch the days around it.", metrics=metrics)
    if causes.is_empty():
        said = f"{sid} was completed once: {count(lines.height, 'signal')} of it, and no duplicate."
        return Answer(Verdict.OK, said, metrics=metrics, is_tested=False)
    row = causes.sort("occurred_at").row(0, named=True)
    cause = cause_label(row["cause"])
    tiles = (
        Tile("Cause", cause, _SURE.get(row["status"], row["status"])),
        Tile("First close", row["first_handler"] or "unknown", _when(row["first_closed_at"], row["first_source"])),
        Tile("Completed again", row["second_handler"] or "unknown", _when(row["occurred_at"], row["second_source"])),
    )
    gap = "" if row["gap_seconds"] is None else f" {duration(row['gap_seconds'])} later"
    first = row["first_handler"] or "something that no source names"
    second = row["second_handler"] or "something that no source names"
    times = "twice" if causes.height == 1 else f"{causes.height + 1} times"
    what = f"{first} closed it, {second} completed it again{gap}"
    headline = f"{sid} was completed {times}: {what}. Cause: {cause.lower()}."
    known = row["cause"] != Cause.UNDETERMINED and row["status"] in {Status.CONFIRMED, Status.SUPPORTED}
    fix = FIX_OF_CAUSE.get(row["cause"])
    action = f"What would prevent it: {fix_label(fix).lower()}. " if fix else ""
    action += _next(row)
    verdict = Verdict.OK if known else Verdict.UNDECIDED
    return Answer(verdict, headline, action.strip(), tiles, metrics, is_tested=False)


def _next(row: dict[str, Any]) -> str:
    if not row["missing"]:
        return ""
    return f"What would settle it: {what_to_collect(Missing(row['missing'][0]))}"


def _when(at: dt.datetime | None, source: str | None) -> str:
    if at is None:
        return "at an unknown time"
    shown = f"{long_day(at.date())}, {at:%H:%M:%S} UTC"
    return f"{shown}, {source_label(source)}" if source else shown


def swimlanes(lines: pl.DataFrame, uncovered: pl.DataFrame) -> Said:
    """What can be seen in the swimlanes of one interaction."""
    if lines.is_empty():
        return Said("Nothing to show", "Signals by source", "An empty chart.", "No signal is held.")
    first: dt.datetime = lines["occurred_at"].sort()[0]
    counted = count(lines.height, "signal")
    is_told = "first close" in set(lines["role"])
    zero = "first close" if is_told else "first signal"
    subtitle = f"{counted} of one interaction by source, in time from its {zero}, {long_day(first.date())} (UTC)"
    again = lines.filter(role="duplicate")
    kinds = [kind.replace("_", " ") for kind in again["kind"].unique(maintain_order=True)]
    gap = again["seconds"].min()
    after = f", first after {duration(gap)}" if isinstance(gap, float) else ""
    title = f"Closed, then again: {listed(kinds)}{after}" if kinds else "Closed once"
    if kinds and not is_told:
        title = "Completed again, though nothing held tells of the first close"
    holes = [source_label(source) for source in uncovered["source"].unique(maintain_order=True)]
    lost = f" Shaded: spans of which {listed(holes)} is not held." if holes else ""
    receipt = int((lines["time_kind"] == "receipt").sum())
    has = "has" if receipt == 1 else "have"
    clocks = f" {count(receipt, 'signal')} {has} the receiver's clock, not the event's." if receipt else ""
    line = (
        "The line is the first close. Circles right of it belong to the same completion: one close sets off several "
        "events by design. "
    )
    caption = f"{line if is_told else ''}Crosses are the duplicates.{clocks}{lost}"
    return Said(title, subtitle, f"Swimlanes of {count(lines['source'].n_unique(), 'source')}; {title}.", caption)
