"""Completed interactions per day, kept up to date day by day instead of counted anew: exact, to the last row.

What a day tells about its interactions is kept. When days are added or gain rows, only the interactions
that these days name are looked at again, on all their days: their old share of the counts is taken away
and their new share is added. All counts are whole numbers, so nothing drifts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from flexkit.analyse import fast_pass, heavy_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COUNTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "day": pl.Int64,
    "channel_type": pl.String,
    "completed_count": pl.Int64,
    "affected_count": pl.Int64,
    "gap_us": pl.Int64,
}
_FEW = 3
"""Where more than one in so many days changed, adding up everything is no dearer."""


class Kept(Protocol):
    """Where parts are kept (`flexkit.tables.parts.Parts`)."""

    def read(self, name: str) -> pl.LazyFrame | None: ...
    def keep(self, name: str, rows: pl.DataFrame) -> pl.LazyFrame: ...
    def last(self) -> dict[str, Any] | None: ...
    def remember(self, state: dict[str, Any], *, needs: set[str]) -> None: ...


def counts(days: Mapping[str, pl.LazyFrame], kept: Kept) -> pl.DataFrame:
    """`heavy_pass.answer` of all *days*: names that change with their rows, and their signals.

    The result is that of all signals at once, whatever spans midnight. What was *kept* of days that did
    not change is used, what is new is kept.
    """
    before = kept.last()
    if before is not None and set(before["parts"]) == set(days):
        return _counts(before["counts"])
    parts = {name: _part(name, signals, kept) for name, signals in days.items()}
    found = None if before is None else _updated(before, parts, kept)
    if found is None:
        found = _sum(parts.values())
    kept.remember({"parts": sorted(parts), "counts": found.to_dict(as_series=False)}, needs=set(parts))
    return found


def _part(name: str, signals: pl.LazyFrame, kept: Kept) -> pl.LazyFrame:
    if (held := kept.read(name)) is not None:
        return held
    return kept.keep(name, fast_pass.partials(signals).collect(engine="streaming").sort("ikey"))


def _updated(before: Mapping[str, Any], parts: Mapping[str, pl.LazyFrame], kept: Kept) -> pl.DataFrame | None:
    """The counts of *before* with the changed days' interactions counted anew; nothing where that is no gain."""
    gone = [name for name in before["parts"] if name not in parts]
    fresh = [name for name in parts if name not in before["parts"]]
    if len(gone) + len(fresh) > len(parts) / _FEW:
        return None
    stale = [kept.read(name) for name in gone]
    same = [kept.read(name) for name in parts if name not in fresh]
    taken, left = [part for part in stale if part is not None], [part for part in same if part is not None]
    if len(taken) + len(left) < len(stale) + len(same):
        return None
    new = pl.concat([parts[name] for name in fresh] or [pl.LazyFrame(schema=_PARTIAL)]).collect()
    old = pl.concat(taken or [pl.LazyFrame(schema=_PARTIAL)]).collect()
    keys = pl.concat([new["ikey"], old["ikey"]]).unique().sort()
    touched = pl.concat([*left, pl.LazyFrame(schema=_PARTIAL)]).filter(pl.col("ikey").is_in(keys.implode())).collect()
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
