"""Warnings counted: what each subset prevents, its side effects, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay.rerun import KINDS, NEVER, PARTICIPANT, SUBSETS, members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flexkit.analyse.replay.impute import Assessment
    from flexkit.analyse.replay.readings import Readings
    from flexkit.analyse.replay.rerun import Bools, Floats
    from flexkit.terms import FixKind

DAY_US = 86_400_000_000
HORIZON = 30
WEEK = 7
LEAST_WEEKS = 4
MISREAD = 0.01
"""Share of outcomes that is taken to be read wrongly even from a log that looks whole (measured: less)."""

# Where records are lost, some that look whole are not: taken as three quarters of the visibly incomplete share. Set
# on simulated centres with a fifth of all signals lost (at .5 one set of fixes of fifteen was covered in 78 % of 50),
# checked on others: `python -m tests.bench replay`.
_MISREAD_WITH_LOSS = 0.75
Z90 = 1.645
"""Normal quantile of a two-sided interval of 90 %."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number for each of the 16 subsets, with an interval and with worst-case bounds.

    `unknown` is how far apart the evidence alone leaves the bounds; the bounds themselves hold the interval.
    """

    value: Floats
    low: Floats
    high: Floats
    bound_low: Floats
    bound_high: Floats
    unknown: Floats


@dataclass(frozen=True, slots=True)
class Tally:
    """Prevented warnings and interactions per subset; per 30 days ahead; and the draws behind them.

    warnings, interactions: how many there were. noisy: draws × 16, prevented warnings with all that is
    uncertain about them. ahead_low, ahead_high: prevented warnings in 30 days to come, NaN where the
    window has less than two days to go by.
    """

    warnings: int
    interactions: int
    days: float
    replayable_share: float
    prevented: Estimate
    freed: Estimate
    noisy: Floats
    ahead_low: Floats
    ahead_high: Floats


@dataclass(frozen=True, slots=True)
class SideEffects:
    """Counts per subset: interactions closed when only the agent should have left, and never closed at all."""

    premature: int
    premature_prevented: Floats
    orphans: Floats
    legit_suppressed: Floats


def adopted(adoption: Mapping[FixKind, float]) -> Floats:
    """16 × 16: how the subsets mix when each fix runs only in a share of the interactions, independently."""
    mix = np.zeros((SUBSETS, SUBSETS))
    for subset in range(SUBSETS):
        for running in range(SUBSETS):
            if running & ~subset == 0:
                shares = (adoption.get(kind, 1.0) for kind in members(subset & running))
                others = (1 - adoption.get(kind, 1.0) for kind in members(subset & ~running))
                mix[subset, running] = math.prod(shares) * math.prod(others)
    return mix


def tally(
    assessed: Assessment, counted: Bools, mix: Floats, *, span: tuple[int, int], unseen: float, draws: int,
    replicates: int, rng: np.random.Generator,
) -> Tally:  # fmt: skip
    """Count the *counted* warnings of *span* (microseconds); about *unseen* of all warnings left no alert."""
    start_us, end_us = span
    warnings = assessed.warnings.filter(pl.Series(counted))
    total = len(warnings)
    days = max(1, math.ceil((end_us - start_us) / DAY_US))
    day = np.clip((warnings["at"].to_numpy() - start_us) // DAY_US, 0, days - 1).astype(np.int64)
    group = warnings["interaction"].rle_id().to_numpy().astype(np.int64)
    groups = int(group.max(initial=-1)) + 1
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    unread = 1 - (float(warnings["is_replayable"].mean() or 0.0) if total else 1.0)  # type: ignore[arg-type]
    noise = math.sqrt(min(MISREAD + _MISREAD_WITH_LOSS * unread + unseen, 1.0))

    by_warning, by_interaction = np.zeros((draws, SUBSETS)), np.zeros((draws, SUBSETS))
    noisy = [np.zeros((draws, SUBSETS)), np.zeros((draws, SUBSETS))]
    by_day = np.zeros((draws, days, SUBSETS))
    in_days = np.argsort(day, kind="stable")
    day_starts = np.flatnonzero(np.diff(day[in_days], prepend=-1))
    days_seen = day[in_days][day_starts]
    for number, remains in enumerate(assessed.draws(draws, rng)):
        left = remains[counted]
        held = _any(left, starts)
        by_warning[number], by_interaction[number] = total - left.sum(axis=0), groups - held.sum(axis=0)
        if total:
            by_day[number, days_seen] = np.add.reduceat((~left)[in_days], day_starts, axis=0, dtype=np.float64)
        # The same interactions drawn anew: what a few misread or unseen ones would change.
        weight = rng.poisson(1.0, groups).astype(np.float64)
        for part, values, weights in ((0, left, weight[group]), (1, held, weight)):
            size, seen = len(values), (by_warning, by_interaction)[part][number]
            again = size - (weights @ values) / max(weights.sum(), 1.0) * size
            noisy[part][number] = seen + noise * (again - seen)

    # Adoption mixes counts of subsets, so it can wait until everything is counted.
    by_warning, by_interaction, by_day, *noisy = (
        counts @ mix.T for counts in (by_warning, by_interaction, by_day, *noisy)
    )
    most, least = (fate[counted] for fate in assessed.bounds())
    bounds = [(total - fate.sum(axis=0)) @ mix.T for fate in (most, least)]
    by_group = [(groups - _any(fate, starts).sum(axis=0)) @ mix.T for fate in (most, least)]
    ahead = _ahead(by_day, replicates, rng)
    return Tally(
        total, groups, (end_us - start_us) / DAY_US, 1 - unread,
        _estimate(by_warning, noisy[0], bounds, total=total, noise=noise),
        _estimate(by_interaction, noisy[1], by_group, total=groups, noise=noise),
        noisy[0], *ahead,
    )  # fmt: skip


def _any(fate: Bools, starts: NDArray[np.int64]) -> Bools:
    """Whether any warning of each interaction remains."""
    found: Bools = np.logical_or.reduceat(fate, starts, axis=0) if len(starts) else fate
    return found


def _estimate(draws: Floats, noisy: Floats, bounds: Sequence[Floats], *, total: int, noise: float) -> Estimate:
    value = draws.mean(axis=0)
    spread = noisy.std(axis=0, ddof=1) if len(noisy) > 1 else np.zeros(SUBSETS)
    # Where nearly all or nearly none are prevented, one more or less is still possible.
    spread = np.hypot(spread, noise)
    half = Z90 * spread * math.sqrt(1 + 1 / max(len(draws), 1))
    # Without any fix nothing is prevented, and that is certain.
    half[0] = 0.0
    low, high = np.clip(value - half, 0, total), np.clip(value + half, 0, total)
    least, most = bounds
    return Estimate(value, low, high, np.minimum(least, low), np.maximum(most, high), most - least)


def _ahead(by_day: Floats, replicates: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Prevented warnings in 30 days to come: weeks drawn anew for the past, and again for the future."""
    draws, days, _ = by_day.shape
    if days < 2:
        return np.full(SUBSETS, np.nan), np.full(SUBSETS, np.nan)
    # Days that follow each other are alike, and weekdays differ: whole weeks, where there are enough.
    block = WEEK if days >= LEAST_WEEKS * WEEK else 1
    totals = np.zeros((replicates, SUBSETS))
    for number in range(replicates):
        past = _blocks(days, days, block, rng)
        future = past[_blocks(days, HORIZON, block, rng)]
        totals[number] = by_day[number % draws][future].sum(axis=0)
    low, middle, high = np.quantile(totals, [0.05, 0.5, 0.95], axis=0)
    # A few blocks understate how much they vary: Student's t instead of the normal, and k / (k - 1).
    blocks = max(days / block, 2.0)
    stretch = _student(blocks - 1) * math.sqrt(blocks / (blocks - 1))
    return np.maximum(middle - (middle - low) * stretch, 0.0), middle + (high - middle) * stretch


def _student(df: float) -> float:
    """Student's quantile over the normal one, for a two-sided 90 % (first two terms of Fisher's expansion)."""
    z = Z90
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return (z + first / df + second / df**2) / z


def _blocks(days: int, wanted: int, block: int, rng: np.random.Generator) -> NDArray[np.int64]:
    begins = rng.integers(0, days, -(-wanted // block))
    drawn: NDArray[np.int64] = ((begins[:, None] + np.arange(block)) % days).ravel()[:wanted]
    return drawn


def side_effects(readings: Readings, assessed: Assessment, mix: Floats, *, span: tuple[int, int]) -> SideEffects:
    """What each subset does to interactions that closed in *span*, as far as the evidence is certain."""
    start_us, end_us = span
    few = readings.few
    closer = assessed.few.closer
    index = np.where(closer == NEVER, 0, closer)
    is_closed = closer != NEVER
    closed_at = few.at[index[:, 0]] if len(few.at) else np.zeros(0, dtype=np.int64)
    ours = is_closed[:, 0] & (closed_at >= start_us) & (closed_at < end_us)
    starts = np.flatnonzero(np.diff(few.stretch, prepend=np.int64(-1)))
    later = np.diff(few.interaction[starts], prepend=np.int64(-1)) == 0
    removal = few.is_removal[index] & is_closed if len(few.at) else np.zeros(closer.shape, dtype=np.bool_)
    premature = removal[ours].sum(axis=0)
    orphans = (~is_closed[ours]).sum(axis=0)
    late = (~is_closed[ours & later]).sum(axis=0)
    # The status check changes no first close: each count holds with and without it.
    both = [np.repeat(counts.astype(np.float64), 2) for counts in (premature, orphans, late)]
    return SideEffects(int(premature[0]), mix @ (premature[0] - both[0]), mix @ both[1], mix @ both[2])


def shapley(values: Floats) -> Floats:
    """Each fix's fair share: its marginal gain averaged over all orders. *values* are … × 2^k, by subset bits.

    Source: Shapley (1953), A value for n-person games.
    """
    players = int(values.shape[-1]).bit_length() - 1
    shares = np.zeros((*values.shape[:-1], players))
    for player in range(players):
        for subset in range(values.shape[-1]):
            if subset >> player & 1:
                continue
            size = subset.bit_count()
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            shares[..., player] += weight * (values[..., subset | 1 << player] - values[..., subset])
    return shares


def in_sequence(values: Floats) -> list[tuple[int, float]]:
    """The greedy order: each time the fix that adds most to those before it, as (player, gain)."""
    players = int(values.shape[-1]).bit_length() - 1
    done, order = 0, []
    for _ in range(players):
        gains = {player: float(values[done | 1 << player] - values[done])
                 for player in range(players) if not done >> player & 1}  # fmt: skip
        best = max(gains, key=lambda player: (gains[player], -player))
        order.append((best, gains[best]))
        done |= 1 << best
    return order


EFFECTS = ("suppresses_symptom", "removes_first_wrong_close")
"""A fix may only keep the second completion quiet, or undo the close that came too early."""


def effect(subset: int) -> str:
    """Which of `EFFECTS` a subset has."""
    return EFFECTS[bool(subset & PARTICIPANT)]


def subset_of(kinds: frozenset[FixKind]) -> int:
    """The number of a set of fix kinds."""
    return sum(1 << bit for bit, kind in enumerate(KINDS) if kind in kinds)
