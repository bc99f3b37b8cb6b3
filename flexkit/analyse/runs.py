"""Signals sorted once by a 64-bit key, so that each interaction is a run of rows: its first, its last, its texts.

Text is told apart by small numbers while it is sorted, and the moments of all runs are taken at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.heavy_pass import places as _places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).max


def read(signals: pl.LazyFrame, *more: str) -> pl.LazyFrame:
    """What of *signals* is sorted: ``ikey``, ``us``, ``ending``, and *more* columns of those that were not in vain."""
    return signals.filter(pl.col("ending").is_not_null()).select("ikey", *more, "ending", us="occurred_us")


class Runs:
    """Rows of `read`, by interaction and then by time: each interaction is one run. *texts* are asked for later."""

    def __init__(self, rows: pl.DataFrame, *, texts: Sequence[str] = ()) -> None:
        rows = rows.with_columns(pl.col(texts).cast(pl.Categorical))
        rows = rows.sort("ikey", maintain_order=True)
        keys, us = rows["ikey"].to_numpy(), rows["us"].to_numpy()
        is_new = np.ones(len(keys), dtype=np.bool_)
        is_new[1:] = keys[1:] != keys[:-1]
        run = np.cumsum(is_new, dtype=np.int64) - 1
        # Days are read in order and sorted inside, so that only few runs are not yet in the order of time.
        astray = np.unique(run[1:][(us[1:] < us[:-1]) & ~is_new[1:]])
        if len(astray):
            among = np.zeros(run[-1] + 1, dtype=np.bool_)
            among[astray] = True
            places = np.flatnonzero(among[run])
            order = np.arange(len(keys))
            order[places] = places[np.lexsort((us[places], run[places]))]
            rows = rows[pl.Series(order)]
        self.rows = rows
        self.run = run
        self.starts = np.flatnonzero(is_new)
        self.us = rows["us"].to_numpy()
        self.keys = pl.Series("ikey", keys[self.starts])
        self._ending = rows["ending"].to_numpy()
        self._ranks: dict[str, tuple[Ints, pl.Series]] = {}

    def among(self, kinds: Sequence[str]) -> Ints:
        """The places of the rows that are of one of *kinds*."""
        return np.flatnonzero(np.isin(self._ending, _places(kinds)))

    def first(self, places: Ints) -> pl.Series:
        """The first instant of each run among the rows at *places*, null where it has none of them."""
        run = self.run[places]
        chosen = np.ones(len(run), dtype=np.bool_)
        chosen[1:] = run[1:] != run[:-1]
        return self._spread(run[chosen], self.us[places[chosen]])

    def last(self, places: Ints) -> pl.Series:
        """The last instant, likewise."""
        run = self.run[places]
        chosen = np.ones(len(run), dtype=np.bool_)
        chosen[:-1] = run[1:] != run[:-1]
        return self._spread(run[chosen], self.us[places[chosen]])

    def count(self, places: Ints) -> pl.Series:
        """How many of the rows at *places* each run has."""
        return pl.Series(np.bincount(self.run[places], minlength=len(self.starts)).astype(np.int64))

    def _spread(self, runs: Ints, values: Ints) -> pl.Series:
        found = np.full(len(self.starts), _NEVER)
        found[runs] = values
        return pl.Series(found).set(pl.Series(found == _NEVER), None)

    def standing_at(self, moments: pl.Series, places: Ints) -> Ints:
        """Those of the *places* whose instant is that of their run in *moments*."""
        of_run = moments.fill_null(_NEVER).to_numpy()
        found: Ints = places[self.us[places] == of_run[self.run[places]]]
        return found

    def text(self, name: str, places: Ints, *, greatest: bool = False) -> pl.Series:
        """The least (or *greatest*) text of column *name* of each run among the rows at *places*, else null."""
        if name not in self._ranks:
            self._ranks[name] = _ranked(self.rows[name])
        ranks, texts = self._ranks[name]
        known = places[ranks[places] >= 0]
        best = np.full(len(self.starts), -1 if greatest else _NEVER, dtype=np.int64)
        (np.maximum if greatest else np.minimum).at(best, self.run[known], ranks[known])
        found = pl.Series(best)
        return texts.gather(found.set((found < 0) | (found == _NEVER), None))


def _ranked(column: pl.Series) -> tuple[Ints, pl.Series]:
    """Where each row's text stands in the order of all texts of the categorical *column* (-1: null), and those."""
    codes = column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1
    where = np.full(int(codes.max(initial=0)) + 1, -1, dtype=np.int64)
    where[codes] = np.arange(len(codes))
    held = np.flatnonzero(where[1:] >= 0) + 1
    texts = column.gather(pl.Series(where[held])).cast(pl.String)
    order = texts.arg_sort().to_numpy()
    ranks = np.full(len(where), -1, dtype=np.int64)
    ranks[held[order]] = np.arange(len(held))
    return ranks[codes], texts.gather(pl.Series(order))
