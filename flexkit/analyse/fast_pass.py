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
from flexkit.analyse.heavy_pass import CLOSES, COUNTED, IN_VAIN, PARKS, PARTIAL, READ, REPEATABLE, SHOWN, TASK_ENDS
from flexkit.terms import SignalKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

KINDS = pl.Enum(READ)
"""Kinds of signals that the pass reads, as numbers."""
AT_ONCE = 125_000
"""Rows whose runs are added up together: few enough for a processor's cache."""
_SCHEMA = {name: pl.String if name == "channel_type" else pl.Int64 for name in PARTIAL}
_NEVER = np.iinfo(np.int64).min


def ending(signals: pl.LazyFrame) -> pl.LazyFrame:
    """Those of *signals* that end an interaction, show its end or bear on that, and were not in vain."""
    outcome = pl.col("outcome")
    return signals.filter(pl.col("kind").is_in(READ), outcome.is_null() | ~outcome.is_in(IN_VAIN))


def answer(signals: pl.LazyFrame) -> pl.DataFrame:
    """`flexkit.analyse.heavy_pass.answer` of all *signals*."""
    return counts(_runs(signals))


def partials(signals: pl.LazyFrame) -> pl.LazyFrame:
    """`flexkit.analyse.heavy_pass.partials` of *signals*."""
    return pl.defer(lambda: merged(_runs(signals)).collect(engine="streaming"), schema=_SCHEMA)


def counts(rows: pl.DataFrame) -> pl.DataFrame:
    """`flexkit.analyse.heavy_pass.per_day` of the interactions that partial *rows* tell of."""
    found: pl.DataFrame = heavy_pass.per_day(heavy_pass.completed(merged(rows))).collect(engine="streaming")
    return found


def merged(rows: pl.DataFrame) -> pl.LazyFrame:
    """`flexkit.analyse.heavy_pass.merged` of partial *rows*: only those of keys that repeat are looked at."""
    keys = rows["ikey"].sort()
    again = keys.filter(keys == keys.shift(1)).unique()
    if again.is_empty():
        return rows.lazy()
    repeats = pl.col("ikey").is_in(again.implode())
    whole: pl.LazyFrame = heavy_pass.merged([rows.lazy().filter(repeats)])
    return pl.concat([rows.lazy().filter(~repeats), whole])


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
            begun.append(pool.submit(_added_up, rows.drop_nulls("ikey")))
            # No more is read ahead than is soon added up: memory stays bounded.
            if len(begun) > 2 * threads:
                parts.append(begun.popleft().result())
        parts += [last.result() for last in begun]
    return pl.concat(parts)


def _added_up(rows: pl.DataFrame) -> pl.DataFrame:
    if rows.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    rows = rows.rechunk()
    keys, us, kind = (rows[name].to_numpy() for name in ("ikey", "us", "kind"))
    is_new = _differ(keys)
    if (~is_new[1:] & (us[1:] < us[:-1])).any():
        return _added_up(rows.sort("ikey", "us"))
    starts = np.flatnonzero(is_new)
    run = np.cumsum(is_new, dtype=np.int64)
    run -= 1
    nothing = pl.repeat(None, len(starts), dtype=pl.Int64, eager=True)

    def among(kinds: Sequence[str]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.logical_or.reduce([kind == READ.index(name) for name in kinds])
        return found

    def placed(places: Ints) -> pl.Series:
        if not len(places):
            return nothing
        # Of several values for one place the last one stays.
        found = np.full(len(starts), _NEVER)
        found[run[places]] = us[places]
        return pl.Series(found).set(pl.Series(found == _NEVER), None)

    def first(*kinds: str) -> pl.Series:
        return placed(np.flatnonzero(among(kinds))[::-1])

    def last(*kinds: str) -> pl.Series:
        return placed(np.flatnonzero(among(kinds)))

    def count(*kinds: str) -> Ints:
        until = np.cumsum(among(kinds), dtype=np.int64)[np.append(starts[1:], len(run)) - 1]
        found: Ints = np.diff(until, prepend=0)
        return found

    return pl.DataFrame(
        {
            "ikey": keys[starts],
            "closing_us": first(*SHOWN, *CLOSES),
            "closed_us": first(SignalKind.CHANNEL_CLOSED.value),
            "warned_us": first(SignalKind.WARNING.value),
            "channel_type": _greatest(rows["channel_type"], run, starts),
            "task_us": last(*TASK_ENDS),
            "park_us": last(*PARKS),
            "late_us": last(SignalKind.CLOSE_CHANNEL_REQUESTED.value),
            "last_us": last(*REPEATABLE),
            "request_count": count(*REPEATABLE),
            "signal_count": count(*COUNTED),
        },
        schema=_SCHEMA,
    )


def _greatest(texts: pl.Series, run: Ints, starts: Ints) -> pl.Series:
    """The greatest of the *texts* of each run; most runs have one only."""
    found = texts.gather(starts)
    differs = texts.ne_missing(found.gather(run))
    if not differs.any():
        return found
    others = pl.DataFrame({"run": run, "text": texts}).filter(differs).group_by("run").agg(pl.col("text").max())
    both = pl.DataFrame({"first": found.gather(others["run"]), "other": others["text"]})
    return found.scatter(others["run"], both.select(pl.max_horizontal("first", "other")).to_series())


def _differ(values: Ints) -> NDArray[np.bool_]:
    """Whether each value differs from the one before it."""
    found = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found
