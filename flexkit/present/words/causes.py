"""Sentences about causes: why, by whom, since when, how fast, and what would settle the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.present.answer import Answer, Tile
from flexkit.present.labels import FIX_OF_CAUSE, cause_label, fix_label, missing_label
from flexkit.present.numbers import count, duration, listed, number, percent
from flexkit.present.words.said import Said, days_of
from flexkit.terms import Cause, Verdict

if TYPE_CHECKING:
    from flexkit.window import Window

_DUPLICATES = "Duplicates"


def causes(
    counts: pl.DataFrame, handlers: pl.DataFrame, *, completed: int, window: Window, zone: str = "UTC"
) -> Answer:
    """The answer to "why?": the most frequent cause, the automation behind it, and what to change.

    *counts* and *handlers* as `tallies.by_cause` and `tallies.by_handlers` give them; *completed* interactions of the
    window.
    """
    where = days_of(window, zone)
    total = int(counts["count"].sum())
    known = counts.filter(pl.col("cause") != Cause.UNDETERMINED)
    named = int(known["count"].sum())
    metrics: dict[str, float | int | None] = {
        "named_share": named / total if total else None,
        "duplicates": total,
        "duplicates_named": named,
        "completed_interactions": completed,
        **{f"duplicates_{cause}": amount for cause, amount in counts.select("cause", "count").iter_rows()},
    }
    if not total:
        if not completed:
            said = f"Cannot tell: nothing is held for {where}."
            return Answer(Verdict.UNDECIDED, said, "Fetch or import evidence first.", metrics=metrics)
        headline = f"No duplicate among {count(completed, 'completed interaction')} in {where}: no cause to look for."
        return Answer(Verdict.OK, headline, metrics=metrics, is_tested=False)
    tiles = [
        Tile("Duplicates", f"{total:,}", where),
        Tile("With a known cause", percent(named / total), f"{named:,} of {total:,}"),
    ]
    if known.is_empty():
        said = f"Cannot tell why: none of {count(total, 'duplicate')} has a known cause."
        action = "See below what to collect; the cheapest comes first."
        return Answer(Verdict.UNDECIDED, said, action, tuple(tiles), metrics)
    cause, amount = known.row(0, named=True)["cause"], known.row(0, named=True)["count"]
    label, share = cause_label(cause), percent(amount / total)
    tiles.insert(0, Tile("Most frequent known cause", label, f"{amount:,} of {total:,} duplicates, {share}"))
    headline = f"The most frequent known cause is “{label}”: {amount:,} of {count(total, 'duplicate')} ({share})."
    change = _lower(fix_label(FIX_OF_CAUSE.get(cause, "other")))
    action = f"Start with {_main_handler(handlers, cause)}{change}."
    if named < total / 2:
        action += " More than half have no known cause yet; see below what to collect."
    # With fewer known than this, the order of the causes could be any.
    unclear = named < total / 4
    verdict = Verdict.UNDECIDED if unclear else Verdict.OK
    return Answer(verdict, headline, action, tuple(tiles), metrics, is_tested=False)


def _main_handler(handlers: pl.DataFrame, cause: str) -> str:
    """Who to start with and what it did, as the beginning of a sentence; "" where nobody is known."""
    own = handlers.filter(pl.col("cause") == cause)
    column, other = "second_handler", "first_handler"
    if cause == Cause.CLOSED_INSTEAD_OF_PARTICIPANT:
        # The mistake lies in the close, not in the completion after it.
        column, other = other, column
    totals = own.drop_nulls(column).group_by(column).agg(pl.col("count").sum())
    if totals.is_empty():
        return ""
    name, amount = totals.sort("count", column, descending=[True, False]).row(0)
    partner = own.filter(pl.col(column) == name).sort("count", other, descending=[True, False])[other][0] or "another"
    if column == "first_handler":
        return f"{name}, which closed first in {amount:,} of them, most often before {partner}: "
    after = "its own close" if partner == name else partner
    return f"{name}, which completed again in {amount:,} of them, most often after {after}: "


def _lower(label: str) -> str:
    return label[0].lower() + label[1:]


def pareto(counts: pl.DataFrame, *, window: Window, proxies: int = 0, zone: str = "UTC") -> Said:
    """Which causes are most frequent."""
    total = int(counts["count"].sum())
    subtitle = f"{_DUPLICATES} by cause, {days_of(window, zone)}, n = {count(total, 'duplicate')}"
    aside = f" {count(proxies, 'further alert')} {_are(proxies)} about Proxy, not Flex." if proxies else ""
    if not total:
        return Said("No duplicate is held", subtitle, "An empty chart: no duplicate.", "Nothing to explain." + aside)
    top = counts.row(0, named=True)
    share = percent(top["count"] / total)
    title = (
        f"{share} have no cause that the evidence shows"
        if top["cause"] == Cause.UNDETERMINED
        else f"{share} of the duplicates: {_lower(cause_label(top['cause']))}"
    )
    words = [f"{cause_label(row['cause'])} {row['count']:,}" for row in counts.iter_rows(named=True)]
    caption = (
        "Lines are 95 % intervals of the counts. Each duplicate counts once, under its best supported cause; one "
        "interaction may have several. "
        "Undetermined means that no rule holds, not that there is no cause." + aside
    )
    return Said(title, subtitle, f"Bars by cause: {listed(words)}.", caption)


def _are(amount: int) -> str:
    return "is" if amount == 1 else "are"


def by_handler(counts: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """Who closes first and who completes again; *counts* as `frames.pairs` gives them."""
    subtitle = f"{_DUPLICATES} by who closed first and who completed again, and by cause, {days_of(window, zone)}"
    if counts.is_empty():
        return Said("No duplicate is held", subtitle, "An empty chart: no duplicate.", "Nobody to name.")
    totals = counts.group_by("handlers").agg(pl.col("count").sum()).sort("count", "handlers", descending=[True, False])
    known = totals.filter(~pl.col("handlers").str.contains("unknown"))
    everything = int(totals["count"].sum())
    bars = [f"{row['handlers']} {row['count']:,}" for row in totals.iter_rows(named=True)]
    alt = f"Bars by pair: {listed(bars)}."
    if known.is_empty():
        collect = "A completion log or a webhook capture would name them."
        return Said("Of no duplicate both handlers are known", subtitle, alt, collect)
    top = known.row(0, named=True)
    title = f"Most often {top['handlers']}: {top['count']:,} of {count(everything, 'duplicate')}"
    caption = (
        "Where it was closed instead of removing the agent, change the first of a pair, else the second: see below "
        "what each change would prevent. “Unknown” are completions that no source names a handler for."
    )
    return Said(title, subtitle, alt, caption)


def over_time(daily: pl.DataFrame, *, fixes: pl.DataFrame, window: Window, zone: str = "UTC") -> Said:
    """How each cause went over time, with the fixes marked."""
    subtitle = f"{_DUPLICATES} per day and cause, one scale, {days_of(window, zone)}"
    if daily.is_empty():
        return Said("No duplicate is held", subtitle, "An empty chart.", "Nothing to draw.")
    totals = daily.group_by("cause").agg(pl.col("count").sum()).sort("count", "cause", descending=[True, False])
    words = [f"{cause_label(row['cause'])} {row['count']:,}" for row in totals.iter_rows(named=True)]
    marked = fixes.filter(pl.col("deployed_at").is_between(window.start, window.end)) if not fixes.is_empty() else fixes
    inside = f"with {count(marked.height, 'fix', 'fixes')} marked" if marked.height else "without a fix in it"
    title = f"{cause_label(totals['cause'][0])} leads over the window, {inside}"
    caption = (
        "A cause that ends where a fix begins is a hint, not a proof: fix_effects tests it. "
        "Undetermined days may also be days on which a source is missing."
    )
    return Said(title, subtitle, f"Strips of bars per day: {listed(words)}.", caption)


def gap_times(causes: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """How long after the first close the second completion comes."""
    known = causes.filter(pl.col("cause") != Cause.PROXY_ORIGIN)["gap_seconds"].drop_nulls()
    subtitle = f"Time from the first close to the second completion, {days_of(window, zone)}, n = {len(known):,}"
    if known.is_empty():
        return Said("No gap is known", subtitle, "An empty chart.", "Both completions need a time.")
    middle = known.median()
    usual = float(middle) if isinstance(middle, int | float) else 0.0
    fast = int((known < 60).sum())
    title = f"Half come within {duration(usual)}"
    caption = (
        "Under a second: two automations race. Seconds to minutes: a retry, or an agent who completes what was already "
        "closed. Quarters of an hour and more: a parked or swept conversation."
    )
    alt = f"A histogram on a log scale: the median gap is {duration(usual)}, {fast:,} of {len(known):,} under a minute."
    return Said(title, subtitle, alt, caption)


def stands_out(found: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """What is over-represented among duplicates, compared with completed interactions without one."""
    subtitle = f"Share with a duplicate, compared within the same days with everything else, {days_of(window, zone)}"
    strong = found.filter("is_significant") if found.height else found
    caption = (
        "Red: more often than within the same days otherwise (Mantel-Haenszel), with false discoveries held to one in "
        "ten. Over-represented is not guilty: ask what it does at the end of an interaction."
    )
    if strong.is_empty():
        return Said("Nothing stands out", subtitle, "Points near the line of 1.", caption)
    top = strong.row(0, named=True)
    title = f"{number(top['ratio'])} times as likely to be completed twice: {top['label']}"
    names = listed(strong["label"].to_list()[:5])
    alt = f"Points with intervals on a log scale; {count(strong.height, 'value')} stand out: {names}."
    return Said(title, subtitle, alt, caption)


def missing(reasons: pl.DataFrame, *, undetermined: int, window: Window, zone: str = "UTC") -> Said:
    """What would settle the undetermined duplicates, the cheapest first."""
    subtitle = f"Undetermined duplicates by what they lack, {days_of(window, zone)}, n = {undetermined:,}"
    if reasons.is_empty():
        words = (
            "Every duplicate has a cause"
            if not undetermined
            else "Nothing that could be collected would settle the rest"
        )
        return Said(words, subtitle, "An empty chart.", "Nothing to collect.")
    first = reasons.row(0, named=True)
    most = reasons.sort("count", descending=True).row(0, named=True)
    title = f"{missing_label(most['missing'])}: {most['count']:,} of {count(undetermined, 'undetermined duplicate')}"
    bars = [f"{missing_label(row['missing'])} {row['count']:,}" for row in reasons.iter_rows(named=True)]
    caption = f"The cheapest first step: {first['collect']} One duplicate may lack several things."
    return Said(title, subtitle, f"Bars: {listed(bars)}.", caption)
