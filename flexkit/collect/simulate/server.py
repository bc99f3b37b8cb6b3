"""What Twilio does with the attempts: one completes the interaction, a later one is warned about (80906).

`resolve` is the only place that decides. Running it again with more fixes in place, on the same attempts
and the same luck, gives what would have happened: the truth that a replay of the evidence is held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.attempts import Attempts, Operation
from flexkit.collect.simulate.centre import SECOND, TERMINAL_ROLES, Role
from flexkit.terms import FixKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).max
DELTA_READ = 0.8
TTL = 3600.0


class Fate(IntEnum):
    """What became of an attempt."""

    COMPLETED = 0
    WARNED = 1
    SILENT = 2
    SAW_CLOSED = 3
    SEEN_BEFORE = 4
    NOT_SENT = 5
    PARTICIPANT_ONLY = 6
    REFUSED = 7


@dataclass(frozen=True, slots=True)
class Resolution:
    """The fate of each attempt; for each interaction the index of its closer (-1: open) and when it closed."""

    fate: NDArray[np.int8]
    closer: NDArray[np.int64]
    closed_at: NDArray[np.int64]

    @property
    def warned(self) -> NDArray[np.bool_]:
        """Attempts that brought an 80906."""
        marks: NDArray[np.bool_] = self.fate == Fate.WARNED
        return marks


def resolve(
    attempts: Attempts,
    fixed: Mapping[FixKind, NDArray[np.bool_]],
    *,
    interactions: int,
    delta_read: float = DELTA_READ,
    ttl: float = TTL,
) -> Resolution:
    """Let the server see *attempts* in its order; *fixed* says which of them run each fix's code.

    A handler with `check_status_first` reads the status `delta_read` seconds before its request arrives,
    so a close in between goes unseen. `idempotent_handling` remembers a trigger for `ttl` seconds.
    """
    count = len(attempts)
    none = np.zeros(count, dtype=np.bool_)
    fate = np.full(count, Fate.COMPLETED, dtype=np.int8)
    checks = fixed.get(FixKind.CHECK_STATUS_FIRST, none) | attempts.guarded
    remembers = fixed.get(FixKind.IDEMPOTENT_HANDLING, none) | attempts.deduped

    fate[attempts.refused > 0] = Fate.REFUSED
    leaves = attempts.operation == Operation.CLOSE_PARTICIPANT
    leaves |= attempts.removes_agent & fixed.get(FixKind.CLOSE_PARTICIPANT, none)
    fate[leaves & (fate == Fate.COMPLETED)] = Fate.PARTICIPANT_ONLY
    rivals = np.isin(attempts.role, [role for role in TERMINAL_ROLES if role != Role.OWNER])
    fate[rivals & fixed.get(FixKind.SINGLE_TERMINAL_OWNER, none)] = Fate.NOT_SENT
    _forget_repeats(attempts, fate, remembers, ttl=ttl)

    # Attempts are sorted by interaction and arrival: the first that is left completes it.
    left = np.flatnonzero(fate == Fate.COMPLETED)
    who, first = np.unique(attempts.interaction[left], return_index=True)
    closer = np.full(interactions, -1, dtype=np.int64)
    closer[who] = left[first]
    closed_at = np.full(interactions, NEVER, dtype=np.int64)
    closed_at[who] = attempts.served[left[first]]

    later = left[closer[attempts.interaction[left]] != left]
    after = attempts.served[later] - closed_at[attempts.interaction[later]]
    sees = checks[later] & (after > delta_read * SECOND)
    fate[later] = np.where(sees, Fate.SAW_CLOSED, np.where(attempts.silent[later], Fate.SILENT, Fate.WARNED))
    return Resolution(fate, closer, closed_at)


def _forget_repeats(attempts: Attempts, fate: NDArray[np.int8], remembers: NDArray[np.bool_], *, ttl: float) -> None:
    """Mark attempts whose trigger was handled within *ttl* before, where the handler remembers triggers."""
    live = np.flatnonzero(fate == Fate.COMPLETED)
    order = live[np.lexsort((attempts.served[live], attempts.trigger[live]))]
    trigger = attempts.trigger[order]
    starts = np.flatnonzero(np.r_[True, trigger[1:] != trigger[:-1]]) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    handled_at = np.full(int(trigger.max(initial=-1)) + 1, -NEVER // 2, dtype=np.int64)
    for number in range(int(rank.max(initial=-1)) + 1):
        here = order[rank == number]
        repeat = remembers[here] & (attempts.served[here] - handled_at[attempts.trigger[here]] <= ttl * SECOND)
        fate[here[repeat]] = Fate.SEEN_BEFORE
        handled_at[attempts.trigger[here[~repeat]]] = attempts.served[here[~repeat]]


@dataclass(frozen=True, slots=True)
class Truth:
    """What truly happened, or would have happened, under a set of fixes.

    `warnings` counts alerts, `duplicates` distinct (interaction, trigger) pairs that were warned,
    `interactions` distinct interactions with a warning. `premature_closes` are interactions closed by an
    attempt that was meant to remove the agent only; `orphans` are interactions that the recorded world
    completes and this one leaves open. `warned` marks the attempts behind the warnings.
    """

    fixes: frozenset[FixKind]
    completed: int
    warnings: int
    duplicates: int
    interactions: int
    premature_closes: int
    orphans: int
    warned: NDArray[np.bool_]


def truth_of(attempts: Attempts, now: Resolution, recorded: Resolution, fixes: frozenset[FixKind]) -> Truth:
    """Count *now* against the *recorded* world."""
    warned = now.warned
    closer = now.closer[now.closer >= 0]
    premature = attempts.removes_agent[closer] & (attempts.operation[closer] == Operation.CLOSE_CHANNEL)
    return Truth(
        fixes=fixes,
        completed=len(closer),
        warnings=int(warned.sum()),
        duplicates=len(np.unique(attempts.trigger[warned])),
        interactions=len(np.unique(attempts.interaction[warned])),
        premature_closes=int(premature.sum()),
        orphans=int(((recorded.closer >= 0) & (now.closer < 0)).sum()),
        warned=warned,
    )
