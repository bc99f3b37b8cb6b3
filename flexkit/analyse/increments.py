"""Completed interactions per day, kept up to date day by day instead of counted anew: exact, to the last row.

What a day tells about its interactions is kept. When days are added or gain rows, only the interactions
that these days name are looked at again, on all their days: their old share of the counts is taken away
and their new share is added. All counts are whole numbers, so nothing drifts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.analyse import extracts, heavy_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flexkit.analyse.extracts import Kept

COUNTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "day": pl.Int64,
    "channel_type": pl.String,
    "completed_count": pl.Int64,
    "affected_count": pl.Int64,
    "gap_us": pl.Int64,
}
_NOTE = "counts"
_FEW = 3
"""Where more than one in so many days changed, adding up everything is no dearer."""


def counts(days: Mapping[str, pl.LazyFrame], kept: Kept) -> pl.DataFrame:
    """`heavy_pass.answer` of all *days*: names that change with their rows, and their signals.

    The result is that of all signals at once, whatever spans midnight. What was *kept* of days that did
    not change is used, what is new is kept.
    """
    before = kept.note(_NOTE)
    if before is not None and set(before["days"]) == set(days):
        return _counts(before["counts"])
    parts = extracts.of_days(["moments"], days, kept)["moments"]
    found = None if before is None else _updated(before, parts, kept)
    if found is None:
        found = _sum(extracts.together("moments", parts, kept))
    kept.write_note(_NOTE, {"days": sorted(parts), "counts": found.to_dict(as_series=False)})
    return found


def _updated(before: Mapping[str, Any], parts: Mapping[str, pl.DataFrame | None], kept: Kept) -> pl.DataFrame | None:
    """The counts of *before* with the changed days' interactions counted anew; nothing where that is no gain."""
    gone = [extracts.part_of("moments", day) for day in before["days"] if day not in parts]
    is_same = {day: day in before["days"] for day in parts}
    fresh = {day: part for day, part in parts.items() if not is_same[day]}
    stale = kept.read(*gone) if gone else None
    if (gone and stale is None) or len(gone) + len(fresh) > len(parts) / _FEW:
        return None
    same = extracts.together("moments", {day: part for day, part in parts.items() if is_same[day]}, kept)
    left = [] if stale is None else [stale]
    new, old = (
        pl.concat([*some, pl.LazyFrame(schema=_PARTIAL)]).collect()
        for some in (extracts.together("moments", fresh, kept), left)
    )
    keys = pl.concat([new["ikey"], old["ikey"]]).unique().sort()
    touched = pl.concat([*same, pl.LazyFrame(schema=_PARTIAL)]).filter(pl.col("ikey").is_in(keys.implode())).collect()
    was, now = _sum([touched.lazy(), old.lazy()]), _sum([touched.lazy(), new.lazy()])
    numbers = list(heavy_pass.NUMBERS)
    return (
        pl.concat([_counts(before["counts"]), was.with_columns(-pl.col(numbers)), now])
        .group_by("day", "channel_type")
        .agg(pl.col(numbers).sum())
        .filter(pl.col("completed_count") != 0)
        .sort("day", "channel_type")
    )


def _sum(parts: Iterable[pl.LazyFrame]) -> pl.DataFrame:
    """The counts of *parts* together."""
    rows = pl.concat([*parts, pl.LazyFrame(schema=_PARTIAL)])
    found: pl.DataFrame = heavy_pass.per_day(heavy_pass.completed(heavy_pass.merged([rows]))).collect(
        engine="streaming"
    )
    return found.cast(COUNTS)  # type: ignore[arg-type]


def _counts(columns: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema=COUNTS)


_PARTIAL: dict[str, pl.DataType | type[pl.DataType]] = {
    name: pl.String if name == "channel_type" else pl.Int64 for name in heavy_pass.PARTIAL
}
