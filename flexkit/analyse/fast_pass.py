"""The heavy pass on Polars alone: what `flexkit.analyse.heavy_pass` gives, to the last row, in less time.

Files hold the signals of an interaction side by side, so that most interactions are one run of rows as they are
read: no table of all keys is needed to add them up. Those that have several runs, because their signals lie in
several days or files, are put together by the rules of the portable form. Tests hold the two together.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse import heavy_pass
from flexkit.analyse.heavy_pass import COUNTED, LEAST, MOMENTS, NUMBERS, PARTIAL, REPEATABLE, SUMS
from flexkit.tables.keys import ENDING_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

AT_ONCE = 600_000
"""Rows whose runs are added up together."""
_SCHEMA = {name: pl.String if name == "channel_type" else pl.Int64 for name in PARTIAL}
_NEVER = np.iinfo(np.int64).min
_BITS = (*MOMENTS.values(), [kind for kind in ENDING_KINDS if kind not in COUNTED])
_TOLD = np.array([sum((kind in some) << place for place, some in enumerate(_BITS)) for kind in ENDING_KINDS], "u1")
"""Of each kind, a bit for each of the moments that it bears on."""
_UNCOUNTED = 1 << len(MOMENTS)
"""The bit of kinds that neither end an interaction nor show its end."""


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
        if some.is_empty():
            return rows
        others = rows.lazy().filter(~pl.col("ikey").is_in(some["ikey"].unique().implode()))
        whole: pl.LazyFrame = heavy_pass.merged([some.lazy()])
        return pl.concat([others, whole]).collect(engine="streaming")

    return pl.defer(compute, schema=_SCHEMA)


def _per_day(rows: pl.LazyFrame) -> pl.DataFrame:
    found: pl.DataFrame = heavy_pass.per_day(heavy_pass.completed(rows)).collect(engine="streaming")
    return found


def _repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Those of partial *rows* whose key is in several of them."""
    keys = np.sort(rows["ikey"].to_numpy())
    again = pl.Series(np.unique(keys[~_differ(keys)]))
    if again.is_empty():
        return rows.clear()
    # Streamed, the pieces that *rows* are of are not put together first.
    return rows.lazy().filter(pl.col("ikey").is_in(again.implode())).collect(engine="streaming")


def _runs(signals: pl.LazyFrame) -> pl.DataFrame:
    """Partial rows of *signals*, one for each run of neighbours of one interaction."""
    ends = signals.filter(pl.col("ending").is_not_null(), pl.col("ikey").is_not_null())
    read = ends.select("ikey", "channel_type", "ending", us="occurred_us")
    threads = pl.thread_pool_size()
    parts, begun = [pl.DataFrame(schema=_SCHEMA)], deque[Future[pl.DataFrame]]()
    with ThreadPoolExecutor(threads) as pool:
        for pieces in _together(read.collect_batches(maintain_order=True, engine="streaming")):
            begun.append(pool.submit(_added_up, pieces))
            # No more is read ahead than is soon added up: memory stays bounded.
            if len(begun) > threads:
                parts.append(begun.popleft().result())
        parts += [last.result() for last in begun]
    return pl.concat(parts)


def _together(batches: Iterable[pl.DataFrame]) -> Iterator[list[pl.DataFrame]]:
    """*batches* as they are read, in lists of about `AT_ONCE` rows: to join them would copy them."""
    pieces, held = [], 0
    for rows in batches:
        pieces.append(rows)
        held += rows.height
        if held >= AT_ONCE:
            yield pieces
            pieces, held = [], 0
    yield pieces


def _added_up(pieces: Sequence[pl.DataFrame]) -> pl.DataFrame:
    runs = [_Runs.of(rows) for rows in pieces if rows.height]
    if not runs:
        return pl.DataFrame(schema=_SCHEMA)
    moments = np.full((len(MOMENTS), sum(len(some.starts) for some in runs)), _NEVER)
    counts = np.zeros((2, moments.shape[1]), np.int64)
    at = 0
    for some in runs:
        within = slice(at, at := at + len(some.starts))
        some.add_up(moments[:, within], *counts[:, within])
    return pl.DataFrame(
        {
            "ikey": np.concatenate([some.keys[some.starts] for some in runs]),
            **{
                name: pl.Series(found).set(pl.Series(found == _NEVER), None)
                for name, found in zip(MOMENTS, moments, strict=True)
            },
            "channel_type": pl.concat([some.greatest() for some in runs]),
            **dict(zip(SUMS, counts, strict=True)),
        },
        schema=_SCHEMA,
    )


def _differ(values: Ints) -> NDArray[np.bool_]:
    """Whether each value differs from the one before it."""
    found = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


@dataclass(frozen=True, slots=True)
class _Runs:
    """Rows as they were read, and where in them each run of neighbours of one interaction begins."""

    keys: Ints
    us: Ints
    ending: NDArray[np.int8]
    texts: pl.Series
    is_new: NDArray[np.bool_]
    starts: Ints

    @classmethod
    def of(cls, rows: pl.DataFrame) -> _Runs:
        keys, us, ending = (rows[name].to_numpy() for name in ("ikey", "us", "ending"))
        is_new = _differ(keys)
        if (~is_new[1:] & (us[1:] < us[:-1])).any():
            return cls.of(rows.sort("ikey", "us"))
        return cls(keys, us, ending, rows["channel_type"], is_new, np.flatnonzero(is_new))

    def numbers(self) -> Ints:
        """Of each row the number of its run, from 0."""
        found: Ints = np.cumsum(self.is_new)
        found -= 1
        return found

    def add_up(self, moments: Ints, requests: Ints, signals: Ints) -> None:
        """Write to *moments*, which hold nothing yet, when each of `MOMENTS` was in each run, and the two counts."""
        run, told = self.numbers(), _TOLD.take(self.ending)
        signals[:] = np.diff(self.starts, append=len(run))
        np.subtract.at(signals, run[np.flatnonzero((told & _UNCOUNTED) != 0)], 1)
        for place, (name, kinds) in enumerate(MOMENTS.items()):
            rows = np.flatnonzero((told & (1 << place)) != 0)
            if kinds == REPEATABLE:
                requests[:] = np.bincount(run[rows], minlength=len(requests))
            # Of several values for one place the last one stays.
            if name in LEAST:
                rows = rows[::-1]
            moments[place, run[rows]] = self.us[rows]

    def greatest(self) -> pl.Series:
        """The greatest text of each run; most runs have one only."""
        texts, is_new = self.texts, pl.Series(self.is_new)
        found = texts.filter(is_new)
        before, after = texts.head(len(texts) - 1), texts.slice(1)
        # Where nothing is null the plain comparison costs a fraction.
        is_other = before.ne_missing(after) if texts.null_count() else before != after
        if not (is_other & ~is_new.slice(1)).any():
            return found
        run = self.numbers()
        differs = texts.ne_missing(found.gather(run))
        others = pl.DataFrame({"run": run, "text": texts}).filter(differs).group_by("run").agg(pl.col("text").max())
        both = pl.DataFrame({"first": found.gather(others["run"]), "other": others["text"]})
        return found.scatter(others["run"], both.select(pl.max_horizontal("first", "other")).to_series())
