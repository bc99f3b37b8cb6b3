"""Sentences about the replay: what each fix would have prevented, and which comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.present import frames
from flexkit.present.labels import fix_label
from flexkit.present.numbers import count, listed, number, percent, rough, span
from flexkit.present.words.said import Said, days_of

if TYPE_CHECKING:
    from flexkit.window import Window

_REASONS = {
    "no_warnings": "there is no warning to replay",
    "no_attempts": "no attempt of an affected interaction is recorded",
    "no_trigger_identity": "no attempt names what set it off",
    "no_intent": "no attempt says whether it meant to remove the agent",
    "no_trigger_kind": "no attempt says which event set it off",
    "source_not_covered": "a source that it needs is held for less than nine tenths of the window",
    "wide_bounds": "too much of the evidence is incomplete",
}


def first_fix(ranked: pl.DataFrame) -> str:
    """What to do first and what it would save, in one sentence; why that cannot be told, otherwise."""
    if ranked.is_empty() or not ranked["warnings_window"][0]:
        return "There is no warning to replay, so no fix to put first."
    points = ranked.filter(pl.col("prevented").is_not_null()).sort("seq_rank")
    if points.is_empty():
        reasons = ranked["reasons"].explode().drop_nulls().unique(maintain_order=True).to_list()
        return f"Which fix to do first cannot be told: {listed([_REASONS.get(word, word) for word in reasons])}."
    top = points.row(0, named=True)
    share = "" if top["prevented_share"] is None else f", {percent(top['prevented_share'])} of all"
    return (
        f"Do first: {_lower(fix_label(top['fix_id']))}, which would prevent about "
        f"{rough(top['prevented_per_week'])} warnings a week "
        f"(90 % interval {span(top['prevented_per_week_lo'], top['prevented_per_week_hi'], share=False)}){share}."
    )


def what_first(ranked: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """What each fix would have prevented alone."""
    warned = int(ranked["warnings_window"][0]) if ranked.height else 0
    subtitle = (
        f"Warnings that each fix alone would prevent, per week, replayed over {days_of(window, zone)}, "
        f"n = {count(warned, 'warning')}"
    )
    words = first_fix(ranked)
    if not warned:
        return Said(words.rstrip("."), subtitle, "An empty chart.", "Fixes are replayed on the warnings that are held.")
    singles = [
        f"{fix_label(row['fix_id'])} {rough(row['prevented_per_week'])}"
        if row["prevented_per_week"] is not None
        else f"{fix_label(row['fix_id'])} not known"
        for row in ranked.iter_rows(named=True)
    ]
    caption = (
        "Blue: the replay's figure with its 90 % interval. Dashed: what incomplete evidence leaves possible. "
        "Triangles: closes that come too early and would be prevented too; only removing the agent stops those. "
        "A duplicate may be warned of more than once. "
        f"{_assumptions(ranked)}"
    )
    title = words.partition(", which would")[0].rstrip(".")
    return Said(title, subtitle, f"Bars per fix: {listed(singles) or 'none'}.", caption)


def in_order(ranked: pl.DataFrame, *, window: Window, zone: str = "UTC") -> Said:
    """What remains after each fix, the one that prevents most first."""
    steps = frames.sequence(ranked)
    subtitle = f"Warnings per week that remain after each fix, replayed over {days_of(window, zone)}"
    useful = steps.filter(pl.col("prevented") > 0)
    if useful.is_empty():
        return Said("No fix would prevent a warning", subtitle, "An empty chart.", "See above why.")
    last = useful.row(-1, named=True)
    leave = "leaves" if useful.height == 1 else "leave"
    title = f"{count(useful.height, 'fix', 'fixes')} {leave} about {rough(max(last['after'], 0.0))} a week"
    words = [f"{row['label']} prevents {rough(row['prevented'])}" for row in useful.iter_rows(named=True)]
    caption = (
        "Green: what a fix prevents; blue: what remains after it and those above it. Checking the status first "
        "silences most warnings, but leaves the wrong first close: read it together with the triangles above."
    )
    return Said(title, subtitle, f"Bars in order: {listed(words)}.", caption)


def _assumptions(ranked: pl.DataFrame) -> str:
    if ranked.is_empty():
        return ""
    row: dict[str, Any] = ranked.row(0, named=True)
    return (
        f"Assumed: others go on as they did, a status read is {number(row['delta_read'])} s old, a handled trigger is "
        f"remembered for {number(row['ttl'] / 3600)} h, and the mix stays as it is."
    )


def _lower(label: str) -> str:
    return label[0].lower() + label[1:]
