"""The TaskRouter tasks of each interaction, and when each was created, accepted, wrapped up and ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.arrivals import Mode
from flexkit.collect.simulate.centre import SECOND, Role
from flexkit.collect.simulate.server import NEVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flexkit.collect.simulate.world import World

NO_TIME = -1


class Actor(IntEnum):
    """Who moved a task on, as TaskRouter tells it."""

    WORKER = 0
    PLATFORM = 1
    API = 2


@dataclass(frozen=True, slots=True)
class Tasks:
    """Arrays with one entry for each task; times in microseconds since 1970 UTC, -1 where it did not happen."""

    interaction: NDArray[np.int64]
    number: NDArray[np.int8]
    worker: NDArray[np.int16]
    created: NDArray[np.int64]
    accepted: NDArray[np.int64]
    wrapped: NDArray[np.int64]
    completed: NDArray[np.int64]
    timed_out: NDArray[np.int64]
    canceled: NDArray[np.int64]
    wrapped_by: NDArray[np.int8]
    completed_by: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.interaction)


def draw_tasks(world: World, rng: np.random.Generator) -> Tasks:
    """The tasks as the recorded world leaves them: the first of each interaction, then those of later agents."""
    these, plan, centre = world.interactions, world.plan, world.centre
    count = len(these)
    closed = world.resolution.closed_at
    closer = world.resolution.closer
    is_open = closer < 0
    by_agent = ~is_open & (world.attempts.role[closer] == Role.AGENT)

    def seconds(low: float, high: float) -> NDArray[np.int64]:
        return (rng.uniform(low, high, count) * SECOND).astype(np.int64)

    wrapup = (rng.lognormal(np.log(centre.wrapup), 0.8, count) * SECOND).astype(np.int64)
    at_once = ~by_agent & (rng.random(count) < centre.routing_closed)
    never = np.full(count, NO_TIME, dtype=np.int64)

    # How the agent's last task ends when the channel closes: the agent's own click, or the platform's cascade.
    echo = np.where(by_agent, seconds(0.05, 0.4), seconds(0.2, 1.5))
    shut = np.where(is_open, 0, np.minimum(closed, NEVER // 2)) + echo
    wrapped = np.where(is_open | at_once, NO_TIME, shut)
    completed = np.where(is_open, NO_TIME, np.where(at_once, shut, shut + wrapup))
    wrapped_by = np.where(by_agent, Actor.WORKER, Actor.PLATFORM)
    completed_by = np.where(at_once, Actor.PLATFORM, Actor.WORKER)
    second = plan.agent_second_at
    clicks = (second >= 0) & ~is_open & ~at_once
    completed = np.where(clicks, second + 60_000, completed)
    wrapped = np.where(clicks, np.minimum(wrapped, second - 30_000), wrapped)

    terminal = these.mode == Mode.TERMINAL
    canceled = np.where(terminal & ~these.is_answered, these.ended, never)
    timed_out = np.where(canceled >= 0, these.ended - 15_000, never)
    alone = terminal & these.is_answered
    wrapped = np.where(terminal, np.where(alone, these.ended - np.minimum(wrapup, 60 * SECOND), never), wrapped)
    completed = np.where(terminal, np.where(alone, these.ended, never), completed)
    wrapped_by = np.where(terminal, Actor.WORKER, wrapped_by)

    # A second agent: after a transfer, or when a parked conversation goes on.
    handed = these.answered + (these.ended - these.answered) // 2
    resumed = plan.resumed >= 0
    again = np.flatnonzero(these.transferred | resumed)
    begin = np.where(resumed, plan.resumed, handed)
    leave = np.where(resumed, these.ended + seconds(0.2, 0.8), handed + seconds(2, 6))
    first_again = np.zeros(count, dtype=np.bool_)
    first_again[again] = True
    tasks = Tasks(
        interaction=np.concatenate([np.arange(count), again]),
        number=np.concatenate([np.ones(count), np.full(len(again), 2)]).astype(np.int8),
        worker=np.concatenate([these.worker, these.second_worker[again]]),
        created=np.concatenate([these.arrived + seconds(0.3, 1.5), begin[again]]),
        accepted=np.concatenate(
            [np.where(these.is_answered, these.answered, NO_TIME), (begin + seconds(3, 12))[again]]
        ),
        wrapped=np.concatenate([np.where(first_again, NO_TIME, wrapped), wrapped[again]]),
        completed=np.concatenate([np.where(first_again, leave, completed), completed[again]]),
        timed_out=np.concatenate([timed_out, never[again]]),
        canceled=np.concatenate([canceled, never[again]]),
        wrapped_by=np.concatenate([wrapped_by, wrapped_by[again]]).astype(np.int8),
        completed_by=np.concatenate(
            [np.where(resumed, Actor.API, np.where(first_again, Actor.WORKER, completed_by)), completed_by[again]]
        ).astype(np.int8),
    )
    # A task that is not accepted before the end of the window is not seen to move on.
    for times in (tasks.accepted, tasks.wrapped, tasks.completed, tasks.canceled, tasks.timed_out):
        times[times >= world.end] = NO_TIME
    return tasks
