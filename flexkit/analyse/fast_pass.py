"""The heavy pass on Polars alone: what `flexkit.analyse.heavy_pass` gives, to the last row, in less time.

Files hold the signals of an interaction side by side, so that most interactions are one run of rows as they are
read: no table of all keys is needed to add them up. Those that have several runs, because their signals lie in
several days or files, are put together by the rules of the portable form. Tests hold the two together.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse import heavy_pass
from flexkit.analyse.heavy_pass import COUNTED, IN_VAIN, LEAST, MOMENTS, NUMBERS, PARTIAL, READ, REPEATABLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

KINDS = pl.Enum(READ)
"""Kinds of signals that the pass reads, as numbers."""
AT_ONCE = 600_000
"""Rows whose runs are added up together."""
_SCHEMA = {name: pl.String if name == "channel_type" else pl.Int64 for name in PARTIAL}
_NEVER = np.iinfo(np.int64).min
_TOLD = np.array([sum((kind in some) << place for place, some in enumerate(MOMENTS.values())) for kind in READ], "u1")
"""Of each kind, a bit for each of the moments that it bears on."""
_HALF = 1 << 32
_COUNTED = np.array([(kind in REPEATABLE) + (kind in COUNTED) * _HALF for kind in READ])
"""Of each kind, what it adds to the two counts, each in one half of a number."""


def ending(signals: pl.LazyFrame) -> pl.LazyFrame:
    """Those of *signals* that end an interaction, show its end or bear on that, and were not in vain."""
    outcome = pl.col("outcome")
    return signals.filter(pl.col("kind").is_in(READ), outcome.is_null() | ~outcome.is_in(IN_VAIN))


def answer(signals: pl.LazyFrame) -> pl.DataFrame:
    """`flexkit.analyse.heavy_pass.answer` of all *signals*.

    All are counted as if each run were an interaction; then what the few with several runs were counted as is
    taken away, and what they are together is added.
    """
    rows = _runs(signals)
    some = _repeats(rows)
    if some.is_empty():
        return _per_day(rows.lazy())
    less = _per_day(some.lazy()).with_columns(-pl.col(NUMBERS))
    found: pl.DataFrame = (
        pl.concat([_per_day(rows.lazy()), less, _per_day(heavy_pass.merged([some.lazy()]))])
        .group_by("day", "channel_type")
        .agg(pl.col(NUMBERS).sum())
        .filter(pl.col("completed_count") != 0)
        .sort("day", "channel_type")
    )
    return found


def partials(signals: pl.LazyFrame) -> pl.LazyFrame:
    """`flexkit.analyse.heavy_pass.partials` of *signals*."""

    def compute() -> pl.DataFrame:
        rows = _runs(signals)
        some = _repeats(rows)
        others = rows.lazy().filter(~pl.col("ikey").is_in(some["ikey"].unique().implode()))
        whole: pl.LazyFrame = heavy_pass.merged([some.lazy()])
        return pl.concat([others, whole]).collect(engine="streaming")

    return pl.defer(compute, schema=_SCHEMA)


def _per_day(rows: pl.LazyFrame) -> pl.DataFrame:
    found: pl.DataFrame = heavy_pass.per_day(heavy_pass.completed(rows)).collect(engine="streaming")
    return found


def _repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Those of partial *rows* whose key is in several of them."""
    keys = rows["ikey"].sort()
    again = keys.filter(keys == keys.shift(1)).unique()
    return rows.filter(pl.col("ikey").is_in(again.implode())) if len(again) else rows.clear()


def _runs(signals: pl.LazyFrame) -> pl.DataFrame:
    """Partial rows of *signals*, one for each run of neighbours of one interaction."""
    ends = ending(signals).select(
        "ikey", "channel_type", us="occurred_us", kind=pl.col("kind").cast(KINDS).to_physical()
    )
    batches = ends.collect_batches(chunk_size=AT_ONCE, maintain_order=True, engine="streaming")
    threads = pl.thread_pool_size()
    parts, begun = [pl.DataFrame(schema=_SCHEMA)], deque[Future[pl.DataFrame]]()
    with ThreadPoolExecutor(threads) as pool:
        for rows in batches:
            begun.append(pool.submit(_added_up, rows.drop_nulls("ikey").rechunk()))
            # No more is read ahead than is soon added up: memory stays bounded.
            if len(begun) > threads:
                parts.append(begun.popleft().result())
        parts += [last.result() for last in begun]
    return pl.concat(parts)


def _added_up(rows: pl.DataFrame) -> pl.DataFrame:
    if rows.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    keys, us, kind = (rows[name].to_numpy() for name in ("ikey", "us", "kind"))
    is_new = _differ(keys)
    if (~is_new[1:] & (us[1:] < us[:-1])).any():
        return _added_up(rows.sort("ikey", "us"))
    starts = np.flatnonzero(is_new)
    run = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(keys)))
    told = _TOLD[kind]
    counted = np.add.reduceat(_COUNTED[kind], starts)

    def moment(name: str, bit: int) -> pl.Series:
        places = np.flatnonzero((told & bit) != 0)
        if not len(places):
            return pl.repeat(None, len(starts), dtype=pl.Int64, eager=True)
        # Of several values for one place the last one stays.
        if name in LEAST:
            places = places[::-1]
        found = np.full(len(starts), _NEVER)
        found[run[places]] = us[places]
        return pl.Series(found).set(pl.Series(found == _NEVER), None)

    return pl.DataFrame(
        {
            "ikey": keys[starts],
            **{name: moment(name, 1 << place) for place, name in enumerate(MOMENTS)},
            "channel_type": _greatest(rows["channel_type"], is_new, run),
            "request_count": counted % _HALF,
            "signal_count": counted // _HALF,
        }
    ).select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())


def _greatest(texts: pl.Series, is_new: NDArray[np.bool_], run: Ints) -> pl.Series:
    """The greatest of the *texts* of each run; most runs have one only."""
    found = texts.filter(pl.Series(is_new))
    if not (_differ(texts.rle_id().to_numpy()) & ~is_new).any():
        return found
    differs = texts.ne_missing(found.gather(run))
    others = pl.DataFrame({"run": run, "text": texts}).filter(differs).group_by("run").agg(pl.col("text").max())
    both = pl.DataFrame({"first": found.gather(others["run"]), "other": others["text"]})
    return found.scatter(others["run"], both.select(pl.max_horizontal("first", "other")).to_series())


def _differ(values: Ints) -> NDArray[np.bool_]:
    """Whether each value differs from the one before it."""
    found = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found
