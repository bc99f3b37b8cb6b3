"""A hot deck: what the evidence does not settle about a warning is borrowed from warnings that are alike.

Borrowed many times over, so that the spread of the draws shows the ignorance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay.rerun import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flexkit.analyse.replay.rerun import Bools, Floats, Ints

_DONORS = 3
_JITTER = 50_000
_WARNED, _CLOSER = ("w_handler", "w_kind"), ("c_handler", "c_kind")
_BOTH = (*_WARNED, *_CLOSER)
# What must agree, the most first. Handlers must, as long as anything but the trigger's identity is
# unknown: what one of them never writes down, another cannot stand in for.
_RECORDED = (
    (*_BOTH, "count", "place", "ended", "gap"),
    (*_BOTH, "place", "ended", "gap"),
    (*_BOTH, "place", "ended", "wide"),
    (*_BOTH, "ended", "wide"),
    (*_BOTH, "ended", "is_fast"),
    (*_BOTH, "is_fast"),
    _BOTH,
    ("is_same", "w_kind", "c_kind", "c_removal", "w_stray", "c_stray", "ended", "wide"),
    ("is_same", "w_kind", "c_kind", "c_removal", "w_stray", "c_stray", "is_fast"),
)
_WARNED_ONLY = (
    (*_WARNED, "count", "place", "ended", "gap"),
    (*_WARNED, "place", "ended", "gap"),
    (*_WARNED, "place", "ended", "wide"),
    (*_WARNED, "ended", "wide"),
    (*_WARNED, "ended", "is_fast"),
    (*_WARNED, "is_fast"),
    ("ended", "is_fast"),
    (*_WARNED, "count", "place", "ended"),
    (*_WARNED, "place", "ended"),
    (*_WARNED, "ended"),
    _WARNED,
)
_CLOSER_ONLY = (
    (*_CLOSER, "c_removal", "count", "place", "ended", "gap"),
    (*_CLOSER, "c_removal", "place", "ended", "gap"),
    (*_CLOSER, "c_removal", "place", "ended", "wide"),
    (*_CLOSER, "ended", "wide"),
    (*_CLOSER, "ended", "is_fast"),
    (*_CLOSER, "is_fast"),
    ("ended", "is_fast"),
    (*_CLOSER, "count", "place", "ended"),
    (*_CLOSER, "place", "ended"),
    (*_CLOSER, "ended"),
    _CLOSER,
)
_KNOWN = ("seen", "sign")
_UNRECORDED = (("count", "place", "ended", "gap"), ("place", "ended", "wide"), ("place", "ended"), ("ended",))


@dataclass(frozen=True, slots=True)
class _Cells:
    """Where the donors of each needy warning lie: `pool[start : start + size]`, size 0 where none is alike."""

    pool: Ints
    start: Ints
    size: Ints

    @classmethod
    def of(cls, needy: pl.DataFrame, donors: pl.DataFrame, levels: tuple[tuple[str, ...], ...], total: int) -> _Cells:
        """Cells of *donors* for *needy*, each from the first of *levels* that has enough of them."""
        start, size = np.zeros(total, dtype=np.int64), np.zeros(total, dtype=np.int64)
        pools: list[Ints] = []
        offset = 0
        for features in levels:
            seeking = needy.filter(pl.all_horizontal(pl.col(features).is_not_null()))
            cells = (
                donors.join(seeking, on=features, how="semi")
                .group_by(features, maintain_order=True)
                .agg(pl.col("line").sort_by("code", "line"))
                .with_columns(size=pl.col("line").list.len().cast(pl.Int64))
                .filter(pl.col("size") >= _DONORS)
                .with_columns(start=offset + pl.col("size").cum_sum() - pl.col("size"))
            )
            if cells.is_empty():
                continue
            found = seeking.select("line", *features).join(cells.select(*features, "start", "size"), on=features)
            at = found["line"].to_numpy()
            start[at], size[at] = found["start"].to_numpy(), found["size"].to_numpy()
            pools.append(cells["line"].explode().to_numpy().astype(np.int64))
            offset += len(pools[-1])
            needy = needy.join(found, on="line", how="anti", maintain_order="left")
        return cls(np.concatenate(pools) if pools else np.zeros(0, dtype=np.int64), start, size)

    @classmethod
    def joined(cls, cells: Iterable[_Cells]) -> _Cells:
        """Cells of disjoint needy warnings as one."""
        parts = list(cells)
        shifts = np.cumsum([0, *(len(part.pool) for part in parts[:-1])])
        starts = [np.where(part.size > 0, part.start + shift, 0) for part, shift in zip(parts, shifts, strict=True)]
        sizes = [part.size for part in parts]
        return cls(np.concatenate([part.pool for part in parts]), np.sum(starts, axis=0), np.sum(sizes, axis=0))

    def donors(self, luck: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """The needy that have donors, and one donor for each, by the needy's own *luck* between 0 and 1.

        Every cell's donors are first drawn anew, with replacement, from that cell: few donors mean a
        wide spread (the approximate Bayesian bootstrap of Rubin and Schenker, 1986). Donors lie in the
        order of their outcomes, so equal luck means a like outcome.
        """
        has = np.flatnonzero(self.size)
        starts, first = np.unique(self.start[has], return_index=True)
        sizes = self.size[has][first]
        cell = np.repeat(np.arange(len(starts)), sizes)
        within = (rng.random(len(cell)) * sizes[cell]).astype(np.int64)
        within = within[np.lexsort((within, cell))]
        drawn = self.pool.copy()
        begins = np.cumsum(sizes) - sizes
        drawn[np.arange(len(cell)) - begins[cell] + starts[cell]] = self.pool[starts[cell] + within]
        return has, drawn[self.start[has] + (luck[has] * self.size[has]).astype(np.int64)]


@dataclass(frozen=True, slots=True)
class Deck:
    """Donors for what is unknown, in two rounds, and the clocks whose errors blur the gaps.

    First the unknown of recorded pairs is filled, from pairs that are wholly known. Then warnings that
    lost an attempt borrow from all recorded pairs, those filled before included: pairs that need no
    filling are not a fair sample, because some mechanisms are easier to read than others.
    """

    recorded: _Cells
    others: _Cells
    needy: Bools
    group: Ints
    own_clock: Ints
    closer_clock: Ints
    spread: Floats
    unlogged: Floats

    @classmethod
    def shuffled(cls, warnings: pl.DataFrame, outcomes: Bools) -> Deck:
        """The deck for *warnings* with their features and *outcomes* by subset."""
        code = outcomes.astype(np.int64) @ (1 << np.arange(SUBSETS, dtype=np.int64))
        lines, total = warnings.with_row_index("line").with_columns(code=pl.Series(code)), len(warnings)
        is_known = {side: pl.col(f"{side}_born").is_in(_KNOWN) for side in ("w", "c")}
        is_recorded = is_known["w"] & is_known["c"]
        needy = lines.filter(~pl.col("is_replayable"))
        recorded = _Cells.of(
            needy.filter(is_recorded), lines.filter(is_recorded & pl.col("is_replayable")), _RECORDED, total
        )
        settled = lines.filter(is_recorded & (pl.Series(recorded.size > 0) | pl.col("is_replayable")))
        others = _Cells.joined(
            _Cells.of(
                needy.filter(*(~is_known[side] if side in lacks else is_known[side] for side in is_known)),
                # What a second source shows as well does not get lost, so it stands for nothing that was.
                settled.filter(~pl.col(f"{side}_is_echoed") for side in lacks),
                levels,
                total,
            )
            for lacks, levels in (("c", _WARNED_ONLY), ("w", _CLOSER_ONLY), ("wc", _UNRECORDED))
        )
        clocks = pl.concat(
            [
                warnings.select(source="source", handler="w_handler", skew="skew"),
                warnings.select(source="c_source", handler="c_handler", skew="c_skew"),
            ]
        )
        clock = clocks.select(pl.struct("source", "handler").rank("dense")).to_series().to_numpy().astype(np.int64) - 1
        spread = np.zeros(int(clock.max(initial=-1)) + 1)
        # A bound that is hardly ever passed is three standard deviations wide.
        spread[clock] = clocks["skew"].to_numpy() / 3
        group = warnings["interaction"].rank("dense").to_numpy().astype(np.int64) - 1
        unsettled = ~warnings["is_replayable"].to_numpy()
        return cls(
            recorded, others, unsettled, group, clock[:total], clock[total:], spread, _unlogged(lines, is_known)
        )  # fmt: skip

    @property
    def has_donor(self) -> Bools:
        """Which warnings have somebody to borrow from."""
        found: Bools = (self.recorded.size + self.others.size) > 0
        return found

    def clock_errors(self, rng: np.random.Generator) -> Ints:
        """One draw of what may be wrong with each gap: the same for all pairs of the same two clocks."""
        error = rng.normal(0, 1, len(self.spread)) * self.spread
        jitter = rng.normal(0, _JITTER, len(self.needy))
        total: Ints = (error[self.own_clock] - error[self.closer_clock] + jitter).astype(np.int64)
        return total

    def filled(self, most: Bools, least: Bools, rng: np.random.Generator) -> Bools:
        """One draw of all outcomes."""
        result = most.copy()
        luck = rng.random(int(self.group.max(initial=-1)) + 1)[self.group]
        unknown = self.needy[:, None] & (most != least)
        lost = np.flatnonzero(self.needy & ~self.has_donor)
        # Nobody is like these: anything from none to all of them, in every draw another share, and
        # all warnings of one interaction alike.
        spared = unknown[lost] & (luck[lost] < rng.random())[:, None]
        result[lost] = np.where(spared, least[lost], result[lost])
        for cells in (self.recorded, self.others):
            who, donor = cells.donors(luck, rng)
            result[who] = np.where(unknown[who], result[donor], result[who])
        # Somebody who writes no log acts on a trigger of his own: no fix but the status check stops him.
        alone = rng.random(len(luck))[self.group] < self.unlogged
        result[alone] = most[alone]
        return result


def _unlogged(lines: pl.DataFrame, is_known: Mapping[str, pl.Expr]) -> Floats:
    """For each warning, how likely the missing attempt is that of somebody who logs nothing at all.

    Chance loses closers and warned attempts alike. Where clearly more of the one are missing than of the
    other, the excess was never written down, and those who do log say nothing of it.
    """
    lacks = {side: ~is_known[side] & is_known[other] for side, other in (("w", "c"), ("c", "w"))}
    counts = lines.select(**{side: lacks[side].sum() for side in lacks}).row(0, named=True)
    shares = np.zeros(len(lines))
    for side, other in (("w", "c"), ("c", "w")):
        more, fewer = counts[side], counts[other]
        if more > fewer + 2 * math.sqrt(more + fewer):
            shares[lines.select(lacks[side]).to_series().to_numpy()] = 1 - fewer / more
    return shares
