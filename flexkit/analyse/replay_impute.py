"""What became of each warning under each subset: certain, bounded, or drawn from similar warnings.

A warning whose outcome the evidence does not settle borrows that of a warning that is alike in all that
is known of both (a hot deck), many times over, so that the spread of the draws shows the ignorance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay_match import SECOND
from flexkit.analyse.replay_pass import NEVER, SUBSETS, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from flexkit.analyse.replay_pass import Outcome
    from flexkit.analyse.replay_readings import Readings

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

GAP_BINS = [3.0, 10.0, 60.0, 300.0, 900.0, 3600.0]
"""Seconds, after the age of a status read: a double click, a retry, a sweeper, a job."""

_DONORS = 3
_JITTER = 50_000
_WARNED, _CLOSER = ("w_handler", "w_kind"), ("c_handler", "c_kind")
_BOTH = (*_WARNED, *_CLOSER)
# What must agree, the most first. Handlers must, as long as anything but the trigger's identity is
# unknown: what one of them never writes down, another cannot stand in for.
_RECORDED = (
    (*_BOTH, "count", "ended", "gap"),
    (*_BOTH, "ended", "gap"),
    (*_BOTH, "ended", "is_fast"),
    (*_BOTH, "is_fast"),
    _BOTH,
    ("is_same", "w_kind", "c_kind", "c_removal", "w_stray", "c_stray", "ended", "gap"),
    ("is_same", "w_kind", "c_kind", "c_removal", "w_stray", "c_stray", "is_fast"),
)
_WARNED_ONLY = (
    (*_WARNED, "count", "ended", "gap"),
    (*_WARNED, "ended", "gap"),
    (*_WARNED, "ended", "is_fast"),
    (*_WARNED, "is_fast"),
    ("ended", "is_fast"),
    (*_WARNED, "count", "ended"),
    (*_WARNED, "ended"),
    _WARNED,
)
_CLOSER_ONLY = (
    (*_CLOSER, "c_removal", "count", "ended", "gap"),
    (*_CLOSER, "c_removal", "ended", "gap"),
    (*_CLOSER, "ended", "gap"),
    (*_CLOSER, "ended", "is_fast"),
    (*_CLOSER, "is_fast"),
    ("ended", "is_fast"),
    (*_CLOSER, "count", "ended"),
    (*_CLOSER, "ended"),
    _CLOSER,
)
_UNRECORDED = (("count", "ended", "gap"), ("ended", "gap"), ("ended", "is_fast"), ("count", "ended"), ("ended",))
_KNOWN = ("seen", "sign")
_UNRECORDED = (("count", "ended", "gap"), ("ended", "gap"), ("count", "ended"), ("ended",))


@dataclass(frozen=True, slots=True)
class Assessment:
    """Every warning, in the order of the attempts, and what is known of its fate.

    warnings: warning_id, row, interaction, at, features of both attempts, is_replayable, has_donor.
    most, least: warnings × 16, whether it remains at the most and at the least, reads as old as stated.
    """

    warnings: pl.DataFrame
    few: Outcome
    many: Outcome
    most: Bools
    least: Bools
    delta_us: int
    deck: _Deck

    def bounds(self) -> tuple[Bools, Bools]:
        """At most and at least remaining, whatever the unknown is and however far the clocks may be off."""
        slack = np.maximum(self.warnings["skew"].to_numpy(), self.warnings["c_skew"].to_numpy()).astype(np.int64)
        older, fresher = self.delta_us + slack, np.maximum(self.delta_us - slack, 0)
        readings = [reading.remains(delta) for reading in (self.few, self.many) for delta in (older, fresher)]
        return np.logical_or.reduce(readings), np.logical_and.reduce(readings)

    def draws(self, count: int, rng: np.random.Generator) -> Iterator[Bools]:
        """*count* times warnings × 16: whether each remains, the unknown drawn anew each time."""
        for _ in range(count):
            limit = self.delta_us + self.deck.clock_errors(rng)
            few, many = self.few.remains(limit), self.many.remains(limit)
            yield self.deck.filled(few | many, few & many, rng)


def assess(readings: Readings, *, delta_us: int, ttl_us: int) -> Assessment:
    """Replay both *readings*, and find donors for the warnings on which they differ."""
    few, many = run(readings.few, ttl_us=ttl_us), run(readings.many, ttl_us=ttl_us)
    at_few, at_many = few.remains(delta_us), many.remains(delta_us)
    most, least = at_few | at_many, at_few & at_many
    warnings = _features(readings, few, delta_us).with_columns(is_replayable=pl.Series((most == least).all(axis=1)))
    deck = _Deck.shuffled(warnings, most)
    warnings = warnings.with_columns(has_donor=pl.Series(deck.has_donor) | pl.col("is_replayable"))
    return Assessment(warnings, few, many, most, least, delta_us, deck)


def _features(readings: Readings, outcome: Outcome, delta_us: int) -> pl.DataFrame:
    """What is known of each warning: its own attempt (w_), the closer's (c_), and the time between."""
    rows = readings.rows
    warned = rows.filter("is_warned")
    closer = outcome.closer[warned["stretch"].to_numpy(), 0]
    stated = ("handler", "kind", "removal", "stray", "born", "at", "at_early", "source", "skew", "is_echoed")
    closers = rows.select(stated)[np.where(closer == NEVER, 0, closer)]
    both = warned.select(
        "warning_id", "row", "interaction", "at", "channel_type", "trigger_kind", "skew", "source",
        count=pl.len().over("interaction").clip(1, 3), w_handler="handler", w_kind="kind", w_born="born",
        w_stray="stray", w_is_echoed="is_echoed",
    ).hstack(closers.select(pl.all().name.prefix("c_")))  # fmt: skip
    seconds = (pl.col("at") - pl.col("c_at")) / SECOND
    # Whether a status check would have seen the close is the first thing that must agree.
    bins = [delta_us / SECOND, *(edge for edge in GAP_BINS if edge > delta_us / SECOND)]
    timed = pl.col("c_at") == pl.col("c_at_early")
    return (
        both.join(readings.task_ends, on="interaction", how="left", maintain_order="left", suffix="_end")
        .with_columns(
            gap_seconds=pl.when(timed).then(seconds),
            is_fast=pl.when(timed).then(seconds <= delta_us / SECOND),
            gap=pl.when(timed).then(seconds.cut(bins).to_physical()),
            ended=(pl.col("at_end") <= pl.col("c_at")).fill_null(value=False),
            is_same=pl.col("w_handler") == pl.col("c_handler"),
        )
        .drop("at_end")
    )


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
class _Deck:
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

    @classmethod
    def shuffled(cls, warnings: pl.DataFrame, outcomes: Bools) -> _Deck:
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
        return cls(recorded, others, unsettled, group, clock[:total], clock[total:], spread)

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
        return result
