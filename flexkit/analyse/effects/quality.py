"""Whether the data allow any verdict on a fix: coverage, denominators, how warnings are logged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.effects.window import as_date

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from flexkit.analyse.effects.window import Window

MAX_COVERAGE_DROP = 0.10
MIN_WARNED_SHARE = 0.5
WARNED_DROP = 0.5
VOLUME_CHANGE = 0.2
VOLUME_BAND = (0.8, 1.25)
"""Volumes after over before that a count without denominator allows for."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known about the data of one window; *blocking* reasons forbid a verdict, *notes* do not."""

    denominators: str
    coverage_before: float
    coverage_after: float
    volume_ratio: float
    blocking: tuple[str, ...]
    notes: tuple[str, ...]


def assess(
    treated: pl.DataFrame,
    around: Window,
    *,
    logging_changes: Sequence[dt.date] = (),
    is_truncated: bool = False,
) -> Quality:
    """The quality of the daily counts *treated* around a fix.

    Blocking: coverage that fell by more than ten points, warnings that vanish while duplicates stay, a change of
    logging or of alerts within the window, evidence that was cut off.
    """
    first, day = as_date(around.first), as_date(around.day)
    settled, end = as_date(around.settled), as_date(around.end)
    before = treated.filter(pl.col("date").is_between(first, day, closed="left"))
    after = treated.filter(pl.col("date").is_between(settled, end, closed="left"))
    is_count = "estimand" in treated.columns and (treated["estimand"] == "count").any()
    cover = _coverage(before, around.day - around.first), _coverage(after, around.end - around.settled)
    blocking, notes = [], []
    if cover[0] - cover[1] > MAX_COVERAGE_DROP:
        blocking.append("coverage_fell")
    if is_truncated:
        blocking.append("truncated")
    if any(first <= change < end for change in logging_changes):
        blocking.append("logging_changed")
    if _warnings_vanished(before, after):
        blocking.append("warnings_vanished")
    volume = math.nan
    if not is_count:
        daily = [float(side["exposure"].sum()) / max(side.height, 1) for side in (before, after)]
        volume = daily[1] / daily[0] if daily[0] > 0 else math.nan
        if abs(volume - 1) > VOLUME_CHANGE:
            notes.append("volume_changed")
    else:
        notes.append("counts_only")
    return Quality("missing" if is_count else "ok", cover[0], cover[1], volume, tuple(blocking), tuple(notes))


def _coverage(side: pl.DataFrame, days: int) -> float:
    """Mean completeness of the days, absent days counting as none."""
    if days <= 0:
        return math.nan
    if "completeness" not in side.columns:
        return side.height / days
    return float(side["completeness"].fill_null(0.0).sum()) / days


def _warnings_vanished(before: pl.DataFrame, after: pl.DataFrame) -> bool:
    """Whether duplicates that used to be warned of are now only inferred: then the logging changed, not the rate."""
    if "warned" not in before.columns:
        return False
    counts = [(float(side["warned"].sum()), float(side["events"].sum())) for side in (before, after)]
    if min(total for _, total in counts) < 5:
        return False
    (warned_0, total_0), (warned_1, total_1) = counts
    share = warned_0 / total_0
    if share < MIN_WARNED_SHARE or warned_1 / total_1 > share * WARNED_DROP:
        return False
    pooled = (warned_0 + warned_1) / (total_0 + total_1)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / total_0 + 1 / total_1))
    return deviation > 0 and (share - warned_1 / total_1) / deviation > 3.3
