"""An attempt to complete an interaction: who made it, on what trigger, when, and how well it was protected."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from flexkit.collect.simulate.centre import SECOND, Centre
from flexkit.terms import Cause

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CAUSES = (
    Cause.DUPLICATE_PROCESSING,
    Cause.CHANNEL_CLOSED_DIRECTLY,
    Cause.CLOSED_INSTEAD_OF_PARTICIPANT,
    Cause.UNCOORDINATED_TERMINAL,
)
C1, C2, C3, C4 = range(4)
NO_CAUSE = -1

_LONGEST_WAIT = 0.12
"""Seconds that a request takes at most, so that a repeat does not overtake what it repeats."""


class Operation(IntEnum):
    """What an attempt asks for."""

    CLOSE_CHANNEL = 0
    CLOSE_PARTICIPANT = 1
    COMPLETE_TASK = 2
    CLOSE_CONVERSATION = 3


class Feed(IntEnum):
    """What set an attempt off, and so what its trigger id looks like."""

    NONE = 0
    REQUEST = 1
    WEBHOOK = 2
    TASK_EVENT = 3
    EXECUTION = 4
    JOB = 5


# What sets off each role, and what it asks for, in the order of `flexkit.collect.simulate.centre.Role`.
FEEDS = np.array(
    [
        Feed.NONE, Feed.REQUEST, Feed.WEBHOOK, Feed.TASK_EVENT, Feed.EXECUTION, Feed.TASK_EVENT,
        Feed.REQUEST, Feed.JOB, Feed.NONE, Feed.JOB,
    ], dtype=np.int8,
)  # fmt: skip
OPERATIONS = np.array(
    [Operation.COMPLETE_TASK, *([Operation.CLOSE_CHANNEL] * 7), *([Operation.CLOSE_CONVERSATION] * 2)], dtype=np.int8
)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Arrays with one entry for each attempt, sorted by interaction and then by arrival at the server.

    `cause` is the index of the cause that explains the attempt if it comes second (-1: none is meant).
    `guarded` and `deduped` are protections that the handler always had; `refused` is the HTTP status of a
    request that Twilio did not process; `silent` marks the loser of a race that was told it succeeded.
    """

    interaction: NDArray[np.int64]
    role: NDArray[np.int8]
    operation: NDArray[np.int8]
    feed: NDArray[np.int8]
    sent: NDArray[np.int64]
    served: NDArray[np.int64]
    trigger: NDArray[np.int64]
    try_number: NDArray[np.int16]
    cause: NDArray[np.int8]
    removes_agent: NDArray[np.bool_]
    guarded: NDArray[np.bool_]
    deduped: NDArray[np.bool_]
    refused: NDArray[np.int16]
    silent: NDArray[np.bool_]
    reply_lost: NDArray[np.bool_]
    luck: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.interaction)


_DTYPES: dict[str, Any] = {
    "interaction": np.int64, "role": np.int8, "operation": np.int8, "feed": np.int8, "sent": np.int64,
    "trigger": np.int64, "try_number": np.int16, "cause": np.int8, "removes_agent": np.bool_,
    "guarded": np.bool_, "deduped": np.bool_, "refused": np.int16, "silent": np.bool_, "reply_lost": np.bool_,
}  # fmt: skip
_DEFAULTS = {"try_number": 1, "cause": NO_CAUSE}


@dataclass(slots=True)
class Ledger:
    """Collects attempts in columns; a trigger number is given to each new cause of action."""

    parts: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    triggers: int = 0

    def new_triggers(self, count: int) -> NDArray[np.int64]:
        """*count* trigger numbers that nobody else has."""
        first = self.triggers
        self.triggers += count
        return np.arange(first, self.triggers, dtype=np.int64)

    def add(self, interaction: NDArray[np.int64], **columns: ArrayLike) -> None:
        """One attempt for each *interaction*; a column that is not given has its default."""
        part: dict[str, NDArray[Any]] = {"interaction": interaction.astype(np.int64)}
        for name, dtype in _DTYPES.items():
            if name != "interaction":
                column = np.asarray(columns.get(name, _DEFAULTS.get(name, 0))).astype(dtype)
                part[name] = np.broadcast_to(column, interaction.shape)
        self.parts.append(part)

    def finish(self, centre: Centre, rng: np.random.Generator, *, end: int) -> Attempts:
        """All attempts that reach the server before *end*, in its order."""
        held = {name: np.concatenate([part[name] for part in self.parts]) for name in _DTYPES}
        count = len(held["sent"])
        latency = np.minimum(rng.lognormal(np.log(centre.latency), 0.5, count), _LONGEST_WAIT) * SECOND
        held["served"] = held["sent"] + latency.astype(np.int64)
        held["luck"] = rng.random(count)
        keep = held["served"] < end
        order = np.lexsort((held["served"][keep], held["interaction"][keep]))
        return Attempts(**{name: column[keep][order] for name, column in held.items()})
