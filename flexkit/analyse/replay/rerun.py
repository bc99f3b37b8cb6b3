"""The counterfactual pass: which recorded warnings remain under each subset of the four fix kinds.

It knows nothing of signals or tables: attempts arrive aligned (`align`), one array per
property, ordered by interaction and time, and every subset costs a handful of array operations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flexkit.terms import FixKind

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

KINDS = (
    FixKind.CHECK_STATUS_FIRST,
    FixKind.IDEMPOTENT_HANDLING,
    FixKind.CLOSE_PARTICIPANT,
    FixKind.SINGLE_TERMINAL_OWNER,
)
"""The four kinds, in the order of the bits of a subset: subset 5 is the first and the third."""

SUBSETS = 1 << len(KINDS)
CHECK, IDEMPOTENT, PARTICIPANT, OWNER = (1 << bit for bit in range(len(KINDS)))


def members(subset: int) -> tuple[FixKind, ...]:
    """The fix kinds of *subset*, a number whose bits stand for `KINDS`."""
    return tuple(kind for bit, kind in enumerate(KINDS) if subset >> bit & 1)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts to complete, one array element each, ordered by interaction, then stretch, then time.

    A *stretch* is a span in which the interaction can be closed once: an interaction is one stretch
    unless it was reopened. Times are microseconds. Keys below zero belong to no other attempt.
    """

    stretch: Ints
    interaction: Ints
    at: Ints
    key: Ints
    is_warned: Bools
    """Twilio answered with a warning: it found the interaction complete."""
    is_guarded: Bools
    """Its handler skipped it because the channel was closed: acts only while it is open."""
    is_removal: Bools
    """It closes the channel though only the agent was to be removed."""
    is_stray: Bools
    """It reacts to a terminal TaskRouter event although another handler owns those."""
    scope: NDArray[np.uint8]
    """The fix kinds that would touch it, as bits."""

    @classmethod
    def from_frame(cls, rows: pl.DataFrame) -> Attempts:
        """Attempts from a frame with one column for each field."""
        return cls(**{name: rows[name].to_numpy() for name in cls.__slots__})

    def taken(self, chosen: Bools) -> Attempts:
        """Only the *chosen* attempts; they must be all of their interactions."""
        return Attempts(*(getattr(self, name)[chosen] for name in self.__slots__))

    def narrowed(self, touched: Bools) -> Attempts:
        """The same attempts, with fixes that reach only those *touched*."""
        return replace(self, scope=np.where(touched, self.scope, 0).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each subset leads to. Warnings are in the order of the attempts; NEVER is no close at all."""

    gap: Ints
    """Warnings × 8 subsets without the status check: microseconds since the close; NEVER: no warning."""
    checked: Bools
    """Warnings: whether the status check would reach the attempt."""
    closer: Ints
    """Stretches × 8 subsets: index of the attempt that closes first; NEVER: none does."""

    def remains(self, delta_us: int | Ints) -> Bools:
        """Warnings × 16 subsets: whether the warning still comes, status reads being *delta_us* old.

        A check sees the close only if it came before the read; a faster second attempt slips through.
        *delta_us* is one number, or one for each warning.
        """
        limit = np.broadcast_to(delta_us, len(self.gap))[:, None]
        found = np.zeros((len(self.gap), SUBSETS), dtype=np.bool_)
        found[:, 0::2] = self.gap != NEVER
        found[:, 1::2] = found[:, 0::2] & (~self.checked[:, None] | (self.gap <= limit))
        return found


NEVER = np.iinfo(np.int64).max


def run(attempts: Attempts, *, ttl_us: int) -> Outcome:
    """Replay *attempts* under every subset; keys are remembered for *ttl_us* microseconds.

    In chronological order, an attempt is converted (`close_participant`), dropped because another
    handler owns the event (`single_terminal_owner`), dropped because its key was taken within the time
    to live (`idempotent_handling`), dropped because the channel reads as closed (`check_status_first`),
    or executed: it closes what is open and warns on what is closed. Only the first close matters to
    later attempts, so one reduction per stretch and subset replaces the loop. The status check changes
    neither the first close nor the keys taken, so it is applied afterwards (`Outcome.remains`).
    """
    count = len(attempts.at)
    index = np.arange(count, dtype=np.int64)
    starts = np.flatnonzero(np.diff(attempts.stretch, prepend=np.int64(-1)))
    lengths = np.diff(starts, append=count)
    warned = np.flatnonzero(attempts.is_warned)
    stretch = np.repeat(np.arange(len(starts)), lengths)[warned]
    stray = attempts.is_stray & _reached(attempts, OWNER)
    removal = attempts.is_removal & _reached(attempts, PARTICIPANT)
    nobody = np.zeros(count, dtype=np.bool_)
    repeat = {False: nobody, True: nobody}
    if count:
        repeat = {owned: repeats(attempts, stray if owned else nobody, ttl_us) for owned in (False, True)}
    gap = np.full((len(warned), SUBSETS // 2), NEVER, dtype=np.int64)
    closer = np.full((len(starts), SUBSETS // 2), NEVER, dtype=np.int64)
    for column, subset in enumerate(range(0, SUBSETS, 2)):
        owned = bool(subset & OWNER)
        dropped = (stray if owned else nobody) | (repeat[owned] if subset & IDEMPOTENT else nobody)
        acts = ~dropped & ~(removal if subset & PARTICIPANT else nobody)
        if count:
            closer[:, column] = np.minimum.reduceat(np.where(acts, index, NEVER), starts)
        first = closer[stretch, column]
        hit = acts[warned] & (warned > first)
        gap[hit, column] = attempts.at[warned[hit]] - attempts.at[first[hit]]
    return Outcome(gap, _reached(attempts, CHECK)[warned], closer)


def _reached(attempts: Attempts, kind: int) -> Bools:
    reached: Bools = (attempts.scope & kind) != 0
    return reached


def repeats(attempts: Attempts, dropped: Bools, ttl_us: int) -> Bools:
    """Which attempts an idempotent handler would drop: their key was taken within *ttl_us*.

    Attempts already *dropped* and guarded ones take no key. What is dropped as a repeat does not
    extend the time to live, so each round settles the first undecided attempt of every key and the
    ones that it silences; there are as many rounds as the busiest key is taken.
    """
    found = np.zeros(len(attempts.at), dtype=np.bool_)
    keyed = np.flatnonzero((attempts.key >= 0) & ~dropped & _reached(attempts, IDEMPOTENT))
    order = keyed[np.lexsort((keyed, attempts.key[keyed], attempts.interaction[keyed]))]
    while len(order):
        group = np.stack((attempts.interaction[order], attempts.key[order]))
        fresh = np.ones(len(order), dtype=np.bool_)
        fresh[1:] = (group[:, 1:] != group[:, :-1]).any(axis=0)
        heads = np.flatnonzero(fresh)
        since = attempts.at[order] - np.repeat(attempts.at[order[heads]], np.diff(heads, append=len(order)))
        lone = np.repeat(attempts.is_guarded[order[heads]], np.diff(heads, append=len(order)))
        silenced = ~fresh & ~lone & (since <= ttl_us)
        found[order[silenced]] = True
        order = order[~fresh & ~silenced]
    return found
