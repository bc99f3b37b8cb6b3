"""Sentences about rates: how often, whether it changes, where and when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.rates.table import is_count
from flexkit.present.answer import Answer, Tile
from flexkit.present.frames import MOST_GAPS
from flexkit.present.numbers import count, duration, listed, percent, rough, span
from flexkit.present.words.said import Said, day, days_of
from flexkit.terms import Verdict

if TYPE_CHECKING:
    from flexkit.analyse.rates import Move, Rate, Stability
    from flexkit.window import Window

NEVER = 1.0
"""A threshold that no share exceeds."""
_MEASURE = "Share of completed interactions with a duplicate"
_SIGNALS = {
    "high": "above the upper limit",
    "low": "below the lower limit",
    "drift_high": "in a rise too slow for any single day to show (EWMA)",
    "drift_low": "in a fall too slow for any single day to show (EWMA)",
    "cusum": "in a run of too many (CUSUM)",
}


def rate(found: Rate, *, window: Window, fail_above: float = NEVER, zone: str = "UTC") -> Answer:
    """The answer to "how often?": the share with its interval and counts, against the threshold if one is set."""
    where = days_of(window, zone)
    completed = count(found.exposure, "completed interaction")
    metrics: dict[str, float | int | None] = {
        "dup_share": found.rate,
        "dup_share_low": found.lo,
        "dup_share_high": found.hi,
        "duplicate_interactions": int(found.events),
        "completed_interactions": int(found.exposure) if found.estimand == "dup_share" else None,
    }
    if found.estimand != "dup_share":
        return _counted(found, where, metrics)
    if found.exposure <= 0:
        said = f"Cannot tell: no completed interaction is held for {where}."
        return Answer(Verdict.UNDECIDED, said, _GET_SOME, metrics=metrics)
    tiles = (
        Tile("Completed twice", _share(found), f"{found.events:,.0f} of {found.exposure:,.0f} completed"),
        Tile("95 % interval", span(found.lo, found.hi), "of the process behind it, day-to-day variation included"),
        Tile("Per day", rough(found.events / max(found.days, 1)), f"over {count(found.days, 'day')}"),
    )
    counts = f"{found.events:,.0f} of {completed}"
    if found.events == 0:
        headline = f"No duplicate in {completed}: at most {percent(found.hi)} (95 %)."
    else:
        headline = f"{percent(found.rate)} were completed twice: {counts} (95 % interval {span(found.lo, found.hi)})."
    if found.rate > fail_above:
        unsure = found.lo <= fail_above
        action = f"Above the threshold of {percent(fail_above)}" + (
            ", though the interval reaches below it. " if unsure else ". "
        )
        return Answer(Verdict.BREACH, headline, action + "See root_causes for what to change first.", tiles, metrics)
    kept = "" if fail_above >= NEVER else f"Not above the threshold of {percent(fail_above)}"
    if kept:
        kept += ", though the interval reaches above it." if found.hi > fail_above else "."
    return Answer(Verdict.OK, headline, kept, tiles, metrics, is_tested=fail_above < NEVER)


_GET_SOME = "Fetch or import evidence first: 'flexkit fetch', or 'flexkit import FILE…'."


def _counted(found: Rate, where: str, metrics: dict[str, float | int | None]) -> Answer:
    """The answer where only alerts are held: counts, never a rate."""
    if not found.events:
        said = f"Cannot tell: nothing is held for {where}."
        return Answer(Verdict.UNDECIDED, said, _GET_SOME, metrics={**metrics, "dup_share": None})
    said = (
        f"Cannot tell how often: {count(found.events, 'interaction')} with a warning in {where}, but no completed "
        "interactions are held to compare them with."
    )
    action = "Collect TaskRouter events or Interactions webhooks: 'flexkit fetch' reads the last 30 days."
    tiles = (Tile("Interactions with a warning", f"{found.events:,.0f}", "a count, not a rate"),)
    return Answer(Verdict.UNDECIDED, said, action, tiles, {**metrics, "dup_share": None, "warnings": int(found.events)})


def _share(found: Rate) -> str:
    return f"≤ {percent(found.hi)}" if found.events == 0 else percent(found.rate)


def rate_over_time(found: Stability, *, window: Window, zone: str = "UTC") -> Said:
    """Whether the process is stable, and when it moved."""
    counted = found.estimand == "count"
    measure = "Interactions with a warning" if counted else _MEASURE
    subtitle = f"{measure} per day, all channel types, {days_of(window, zone)}"
    limits = _limits(found)
    if found.days and not found.level:
        none = "No warning is held" if counted else f"No duplicate on {count(found.days, 'day')}"
        return Said(none, subtitle, "A line at zero, or nothing.", "A count of zero is as good as what is held.")
    if found.state == "undecided":
        return Said(
            f"Too few days to call it stable or not: {count(found.days, 'usable day')}",
            subtitle,
            f"A line of the daily share over {count(found.days, 'day')}.",
            "At least 14 days with duplicates are needed to tell a change from chance.",
        )
    moves = [_move(found, move) for move in found.moves]
    title = f"Stable at {_level(found, found.level)}"
    if found.moves:
        title = _last_move(found)
    elif found.state == "signals":
        title = f"No lasting change from {_level(found, found.level)}, but {_noted(found)}"
    notes = _outside(found)
    caption = " ".join(
        text
        for text in (
            limits,
            f"The level changed: {'; '.join(moves)}." if moves else "",
            notes,
            "Runs are longer than chance makes them (Anhøj's rules)." if found.runs_signal and not moves else "",
            "Do not read a reason into a single day inside the limits.",
        )
        if text
    )
    alt = f"A line of the daily share with its limits: {title[0].lower()}{title[1:]}."
    return Said(title, subtitle, alt, caption)


def _outside(found: Stability, *, most: int = 5) -> str:
    """The newest days outside the limits, by the rule that says so."""
    days: dict[str, list[str]] = {}
    for on, rule in found.signals[-most:]:
        days.setdefault(rule, []).append(f"{on.day} {on:%b}")
    return " ".join(f"{listed(own)}: {_SIGNALS.get(rule, rule)}." for rule, own in days.items())


def _limits(found: Stability) -> str:
    names = {
        "nb": "Limits: what the baseline's weekdays and their variation lead to expect (p < 0.00135)",
        "p_prime": "Limits: three sigma, widened by day-to-day variation (Laney p′)",
        "u_prime": "Limits: three sigma, widened by day-to-day variation (Laney u′)",
        "cusum": "Duplicates are too rare for daily limits: a CUSUM watches for a rise",
    }
    base = f", from {count(found.baseline_days, 'baseline day')}" if found.baseline_days else ""
    return names.get(found.chart, "") + (f"{base}." if found.chart in names else "")


def _noted(found: Stability) -> str:
    singles = [on for on, rule in found.signals if rule in {"high", "low", "cusum"}]
    if singles:
        return f"{count(len(singles), 'day')} outside the limits"
    return "a drift" if found.signals else "unusually long runs"


def _move(found: Stability, move: Move) -> str:
    near = f", near the fix {listed([f'“{title}”' for title in move.fixes])}" if move.fixes else ""
    return (
        f"{_level(found, move.rate_before)} to {_level(found, move.rate_after)} on {day(move.on)} "
        f"(95 %: {day(move.low)} to {day(move.high)}{near})"
    )


def _last_move(found: Stability) -> str:
    move = found.moves[-1]
    way = "fell" if move.rate_after < move.rate_before else "rose"
    what = "The share" if found.estimand != "count" else "Interactions with a warning"
    now, before = _level(found, move.rate_after), _level(found, move.rate_before)
    return f"{what} {way} from {before} to {now} on {day(move.on)}"


def _level(found: Stability, rate: float) -> str:
    """A level as its measure is read: a share in percent, counts (held per hour) per day."""
    return f"{rough(24 * rate)} a day" if found.estimand == "count" else percent(rate)


def breakdown(units: pl.DataFrame, *, what: str, window: Window, zone: str = "UTC") -> Said:
    """Which unit is completed twice most often, if they can be told apart."""
    subtitle = f"{_MEASURE}, by {what}, with 95 % intervals, {days_of(window, zone)}"
    if is_count(units):
        return _no_share(subtitle)
    known = units.filter(pl.col("exposure") > 0)
    if known.height < 2:
        return Said(
            f"Only one {what}: nothing to compare", subtitle, f"The share of one {what}.", "Counts stand beside."
        )
    top = known.sort("rate", descending=True).row(0, named=True)
    rest = known.filter(pl.col("unit") != top["unit"])
    is_apart = bool((rest["hi"] < top["lo"]).any())
    name, share = top["unit"], percent(top["rate"])
    title = f"{name} is completed twice most often: {share}" if is_apart else f"No {what} stands clearly apart"
    alt = f"Points with intervals for {count(known.height, what)}; the highest is {name} at {share}."
    caption = (
        "Intervals include day-to-day variation. Two that do not overlap differ; two that overlap may or may not. "
        "The dashed line is all together."
    )
    return Said(title, subtitle, alt, caption)


def funnel(units: pl.DataFrame, *, what: str, window: Window, zone: str = "UTC") -> Said:
    """Which units lie outside what their size allows."""
    subtitle = f"{_MEASURE}, by {what} and its size, {days_of(window, zone)}"
    if is_count(units):
        return _no_share(subtitle)
    outside = units.filter("is_outlier")["unit"].to_list()
    title = f"{listed(outside[:3])} lies outside what chance allows" if len(outside) == 1 else (
        f"{count(len(outside), what)} lie outside what chance allows" if outside
        else f"No {what} lies outside what chance allows"
    )  # fmt: skip
    alt = f"A funnel plot of {count(units.height, what)}; outside the 99.8 % limits: {listed(outside) or 'none'}."
    caption = (
        "Small units scatter widely by chance alone, large ones hardly: only what lies outside the solid lines "
        "(99.8 %) is worth a question. Dotted lines are 95 %. Do not rank the units inside."
    )
    return Said(title, subtitle, alt, caption)


def _no_share(subtitle: str) -> Said:
    words = "Without completed interactions there is nothing to compare warnings with: see above what to collect."
    return Said("Cannot tell: no completed interactions are held", subtitle, "An empty chart.", words)


def heatmap(cells: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """At which hour of the week interactions are completed twice most often."""
    subtitle = f"{_MEASURE}, by hour and weekday of the first completion, {days_of(window, zone)}"
    known = cells.filter(~pl.col("is_sparse"))
    caption = "Crosses are hours with fewer than 30 completed interactions: too few for a colour."
    if known.is_empty() or not known["events"].sum():
        return Said("Too few interactions to compare hours", subtitle, "A grid of hours, mostly crosses.", caption)
    top = known.sort("lo", descending=True).row(0, named=True)
    usual = float(known["events"].sum()) / float(known["exposure"].sum())
    where = f"{_WEEKDAYS[top['weekday'] - 1]} {top['hour']}:00 to {top['hour'] + 1}:00"
    share = f"{percent(top['rate'])}, {top['events']} of {top['exposure']:,}"
    title = f"Most often on {where}: {share}" if top["lo"] > usual else "No hour of the week stands clearly apart"
    alt = f"A grid of 24 hours by 7 days; the clearest hour is {where} ({share})."
    warning = " With 168 cells one of them looks high by chance: ask what runs at that hour before believing it."
    return Said(title, subtitle, alt, caption + warning)


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def days_between(gaps: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """How long it takes from one affected interaction to the next."""
    subtitle = f"Days from one interaction with a duplicate to the next, {days_of(window, zone)}"
    if gaps.is_empty():
        words = "Fewer than three affected interactions: nothing to space"
        return Said(words, subtitle, "An empty chart.", "For rates this small look at a longer window.")
    usual = gaps["value"].median()
    longest = gaps["value"].max()
    known = [float(value) for value in (usual, longest) if isinstance(value, int | float) and math.isfinite(value)]
    title = f"Usually {duration(known[0] * 86_400)} from one to the next, at most {duration(known[-1] * 86_400)}"
    caption = (
        "Higher is better. A diamond is a gap longer than the process so far explains. For telling how rare they are, "
        "not for alarms."
    )
    if gaps.height > MOST_GAPS:
        caption = f"Of {count(gaps.height, 'gap')} the longest of each day is drawn. {caption}"
    return Said(title, subtitle, f"Stems of {count(gaps.height, 'gap')} in days.", caption)
