"""The five-minute answer: how often, why, whether fixes worked, and what to do first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from flexkit.present.answer import Answer, Tile
from flexkit.present.labels import cause_label, fix_label
from flexkit.present.numbers import count, percent, rough, span
from flexkit.present.words.effects import fixes as of_fixes
from flexkit.present.words.rates import NEVER, rate
from flexkit.present.words.replay import first_fix
from flexkit.terms import Cause, Verdict

if TYPE_CHECKING:
    from flexkit.analyse.rates import Rate
    from flexkit.window import Window


def overview(
    found: Rate,
    shares: pl.DataFrame,
    effects: pl.DataFrame,
    ranked: pl.DataFrame,
    *,
    window: Window,
    fail_above: float = NEVER,
    zone: str = "UTC",
) -> Answer:
    """The rate's verdict and headline, with the main cause, the fixes and the first thing to do beside it."""
    often = rate(found, window=window, fail_above=fail_above, zone=zone)
    if often.verdict == Verdict.UNDECIDED:
        return often
    judged = of_fixes(effects)
    tiles = [*often.tiles[:1], _why(shares), _worked(judged), _first(ranked)]
    breach = often.action if often.verdict == Verdict.BREACH else ""
    harmed = judged.headline if judged.verdict == Verdict.BREACH else ""
    action = " ".join(text for text in (breach, harmed, first_fix(ranked)) if text)
    metrics = {**often.metrics, **judged.metrics}
    return replace(often, action=action, tiles=tuple(tile for tile in tiles if tile), metrics=metrics)


def _why(shares: pl.DataFrame) -> Tile | None:
    known = shares.filter(pl.col("cause") != Cause.UNDETERMINED)
    total = int(shares["count"].sum())
    if known.is_empty():
        return Tile("Why", "not known", f"no cause for {count(total, 'duplicate')}") if total else None
    top = known.row(0, named=True)
    return Tile(
        "Why, most often", cause_label(top["cause"]), f"{top['count']:,} of {total:,}, {percent(top['count'] / total)}"
    )


def _worked(judged: Answer) -> Tile | None:
    total, helped = judged.metrics["fixes"], judged.metrics["fixes_helped"]
    if not total:
        return None
    harmed, undecided = judged.metrics["fixes_harmed"], judged.metrics["fixes_undecided"]
    note = f"{harmed} made it worse, {undecided} open" if harmed else f"{undecided} open"
    return Tile("Fixes that helped", f"{helped} of {total}", note)


def _first(ranked: pl.DataFrame) -> Tile | None:
    points = ranked.filter(pl.col("prevented_per_week").is_not_null()).sort("seq_rank")
    if points.is_empty():
        return None
    top = points.row(0, named=True)
    saved = span(top["prevented_per_week_lo"], top["prevented_per_week_hi"], share=False)
    return Tile(
        "Do first",
        fix_label(top["fix_id"]),
        f"about {rough(top['prevented_per_week'])} warnings less a week [{saved}]",
    )
