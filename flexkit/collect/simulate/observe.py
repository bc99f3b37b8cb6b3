"""What the world's sources see of it: one frame for each stream of evidence, before anything is lost.

``at_us`` is the time that the source writes (its own clock, microseconds since 1970 UTC) and ``order_us``
the place of the record in its file. Nothing here reads which cause was at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.collect.simulate.arrivals import Mode
from flexkit.collect.simulate.centre import CHANNEL_TYPES, SECOND, Role
from flexkit.collect.simulate.identity import EVENT_TYPES, Identity, identify
from flexkit.collect.simulate.sids import generator, pick, tokens
from flexkit.collect.simulate.tasks import NO_TIME, Actor, Tasks, draw_tasks
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flexkit.collect.simulate.world import World

MILLISECOND = 1_000
VOICE = CHANNEL_TYPES.index("voice")


class Stream(StrEnum):
    """A stream of evidence: what one source writes."""

    INTERACTIONS = "interactions"
    CONVERSATIONS = "conversations"
    TASK_EVENTS = "task_events"
    ALERTS = "alerts"
    COMPLETION_LOG = "completion_log"
    EXECUTIONS = "executions"
    STEPS = "steps"


SOURCES: Mapping[Stream, Source] = {
    Stream.INTERACTIONS: Source.INTERACTIONS_WEBHOOK,
    Stream.CONVERSATIONS: Source.CONVERSATIONS,
    Stream.TASK_EVENTS: Source.TASKROUTER,
    Stream.ALERTS: Source.DEBUGGER,
    Stream.COMPLETION_LOG: Source.APP_LOG,
    Stream.EXECUTIONS: Source.STUDIO,
    Stream.STEPS: Source.STUDIO,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A world with its tasks and identifiers: what every observer looks at."""

    world: World
    tasks: Tasks
    identity: Identity


def scene(world: World) -> Scene:
    """The tasks and identifiers of *world*."""
    tasks = draw_tasks(world, generator(world.seed, "tasks"))
    return Scene(world, tasks, identify(world, tasks))


def finish(frame: pl.DataFrame, world: World, *, resolution: int = MILLISECOND) -> pl.DataFrame:
    """*frame* within the window, its times cut to *resolution*, with the columns that damage needs."""
    return (
        frame.filter(pl.col("at_us").is_between(world.start, world.end, closed="left"))
        .with_columns(pl.col("at_us") // resolution * resolution)
        .with_columns(order_us=pl.col("at_us"), is_naive=pl.lit(value=False))
        .sort("at_us", maintain_order=True)
    )


def interactions_webhooks(seen: Scene) -> pl.DataFrame:
    """Deliveries of Interactions webhooks: stamped by the receiver, because they carry no time themselves."""
    world, tasks, ids = seen.world, seen.tasks, seen.identity
    these, plan, centre = world.interactions, world.plan, world.centre
    rng = generator(world.seed, "interactions-webhooks")
    everyone = np.arange(len(these))
    closed = np.flatnonzero(world.resolution.closer >= 0)
    left = np.where(tasks.wrapped >= 0, tasks.wrapped, tasks.completed)
    gone = np.flatnonzero(left >= 0)
    joined = np.flatnonzero(tasks.accepted >= 0)
    if not centre.participant_events:
        gone, joined = gone[:0], joined[:0]
    # A customer's leaving is delivered again for every time that its webhook was handled again.
    calls = np.flatnonzero(world.attempts.role == Role.CUSTOMER_LEFT)
    caller = world.attempts.interaction[calls]
    parked = np.flatnonzero(plan.resumed >= 0) if centre.leave_sets_inactive else everyone[:0]

    parts = [
        _status(seen, everyone, these.arrived + SECOND, "active"),
        _status(seen, parked, these.ended[parked] + SECOND // 2, "inactive"),
        _status(seen, parked, plan.resumed[parked], "active"),
        _status(seen, closed, world.resolution.closed_at[closed] + SECOND // 10, "closed"),
        _participant(seen, "onParticipantJoined", tasks.interaction[joined], tasks.accepted[joined], task=joined),
        _participant(seen, "onParticipantLeft", tasks.interaction[gone], left[gone] + SECOND // 5, task=gone),
        _participant(seen, "onParticipantLeft", caller, world.attempts.sent[calls] - SECOND // 2).with_columns(
            token=pick(ids.left_token, caller)
        ),
    ]
    frame = pl.concat(parts, how="diagonal")
    size = frame.height
    fresh = tokens(world.seed, "interactions-webhooks", size)
    delay = (rng.lognormal(np.log(0.2), 0.6, (2, size)) * SECOND).astype(np.int64)
    frame = frame.with_columns(
        at_us=pl.col("at_us") + pl.Series(delay[0]),
        token=pl.coalesce(pl.col("token"), fresh),
        path=pl.lit("/flex/interactions"),
        spare_us=pl.col("at_us") + pl.Series(delay[1]),
        is_scoped=pl.Series(scoped(world)[frame["i"].to_numpy()]),
        is_slow=pl.Series(rng.random(size) < 0.004),
    )
    own = frame.filter(pl.col("is_scoped") & (pl.col("event") == "onChannelStatusUpdated")).with_columns(
        at_us=pl.col("spare_us"), path=pl.lit("/flex/interaction-scoped")
    )
    own = own.with_columns(token=tokens(world.seed, "scoped-webhooks", own.height))
    # The receiver answered too late and was called again: same token, another time.
    again = frame.filter("is_slow").with_columns(at_us=pl.col("at_us") + 15 * SECOND)
    return finish(pl.concat([frame, own, again]).drop("spare_us", "is_scoped", "is_slow"), world)


def scoped(world: World) -> NDArray[np.bool_]:
    """Interactions that have a webhook of their own beside the global one: both are delivered."""
    marks: NDArray[np.bool_] = (
        generator(world.seed, "scoped").random(len(world.interactions)) < world.centre.scoped_webhooks
    )
    return marks


def _common(seen: Scene, i: NDArray[np.integer], at: NDArray[np.int64]) -> pl.DataFrame:
    ids = seen.identity
    return pl.DataFrame(
        {
            "i": i,
            "at_us": at,
            "interaction_sid": pick(ids.interaction, i),
            "channel_sid": pick(ids.channel, i),
            "media_sid": pick(ids.media, i),
            "channel_type": pick(ids.channel_type, i),
        }
    ).with_columns(pl.lit(None, pl.String).alias(name) for name in ("participant_sid", "task_sid", "status", "token"))


def _status(seen: Scene, i: NDArray[np.integer], at: NDArray[np.int64], status: str) -> pl.DataFrame:
    return _common(seen, i, at).with_columns(event=pl.lit("onChannelStatusUpdated"), status=pl.lit(status))


def _participant(
    seen: Scene, event: str, i: NDArray[np.integer], at: NDArray[np.int64], *, task: NDArray[np.integer] | None = None
) -> pl.DataFrame:
    ids = seen.identity
    frame = _common(seen, i, at).with_columns(event=pl.lit(event))
    if task is None:
        return frame.with_columns(
            participant_sid=pick(ids.customer_participant, i), participant_type=pl.lit("customer")
        )
    return frame.with_columns(
        participant_sid=pick(ids.agent_participant, task),
        participant_type=pl.lit("agent"),
        task_sid=pick(ids.task, task),
    )


def conversations_webhooks(seen: Scene) -> pl.DataFrame:
    """``onConversationStateUpdated``: the one push that says when a conversation closed, and by what."""
    world, ids = seen.world, seen.identity
    rng = generator(world.seed, "conversations")
    resolution, closer = world.resolution, world.resolution.closer
    i = np.flatnonzero((closer >= 0) & (world.interactions.channel_type != VOICE))
    timer = world.attempts.role[closer[i]] == Role.TIMER
    echo = (rng.uniform(0.05, 0.4, len(i)) * SECOND).astype(np.int64)
    travel = (rng.lognormal(-1.5, 0.5, len(i)) * SECOND).astype(np.int64)
    frame = pl.DataFrame(
        {
            "i": i,
            # A timer closes the conversation first, and the channel follows.
            "at_us": resolution.closed_at[i] + np.where(timer, 0, echo),
            "conversation_sid": pick(ids.media, i),
            "reason": pl.select(pl.when(pl.Series(timer)).then(pl.lit("TIMER")).otherwise(pl.lit("API"))).to_series(),
            "received_us": resolution.closed_at[i] + echo + travel,
            "token": tokens(world.seed, "conversations", len(i)),
        }
    )
    return finish(frame, world)


def task_events(seen: Scene) -> pl.DataFrame:
    """TaskRouter events of every task, with the delay and the actor that TaskRouter gives them."""
    world, tasks = seen.world, seen.tasks
    times: dict[str, tuple[NDArray[np.int64], int, NDArray[np.int8] | None]] = {
        "task.created": (tasks.created, 0, None),
        "reservation.accepted": (tasks.accepted, 0, np.full(len(tasks), Actor.WORKER, dtype=np.int8)),
        "workflow.timeout": (tasks.timed_out, 0, None),
        "task.canceled": (tasks.canceled, 0, None),
        "reservation.wrapup": (tasks.wrapped, -4_000, tasks.wrapped_by),
        "task.wrapup": (tasks.wrapped, 0, tasks.wrapped_by),
        "reservation.completed": (tasks.completed, -3_000, tasks.completed_by),
        "task.completed": (tasks.completed, 0, tasks.completed_by),
    }
    parts = []
    wanted = [name for name in EVENT_TYPES if world.centre.reservation_events or name.startswith(("task", "workflow"))]
    for name in wanted:
        at, shift, actor = times[name]
        here = np.flatnonzero(at != NO_TIME)
        parts.append(
            pl.DataFrame(
                {
                    "k": here,
                    "at_us": at[here] + shift,
                    "actor": np.full(len(here), Actor.PLATFORM, dtype=np.int8) if actor is None else actor[here],
                    "event_sid": pick(seen.identity.events[name], here),
                }
            ).with_columns(event=pl.lit(name))
        )
    return finish(_with_task(seen, pl.concat(parts)), world)


_STATES = {
    "task.created": "pending", "reservation.accepted": "assigned", "workflow.timeout": "pending",
    "task.canceled": "canceled", "reservation.wrapup": "wrapping", "task.wrapup": "wrapping",
    "reservation.completed": "completed", "task.completed": "completed",
}  # fmt: skip


def _with_task(seen: Scene, frame: pl.DataFrame) -> pl.DataFrame:
    world, tasks, ids = seen.world, seen.tasks, seen.identity
    k = frame["k"].to_numpy()
    i = tasks.interaction[k]
    is_answered = tasks.accepted[k] != NO_TIME
    worker = np.where(is_answered, tasks.worker[k], -1)
    platform = pl.col("actor") == Actor.PLATFORM
    api = pl.col("actor") == Actor.API
    return frame.with_columns(
        i=pl.Series(i),
        task_sid=pick(ids.task, k),
        reservation_sid=pick(ids.reservation, np.where(is_answered, k, -1)),
        worker_sid=pick(ids.worker, worker),
        worker_name=pick(ids.worker_name, worker),
        queue_sid=pick(ids.queue, world.interactions.queue[i]),
        queue_name=pick(ids.queue_name, world.interactions.queue[i]),
        interaction_sid=pick(ids.interaction, i),
        channel_sid=pick(ids.channel, i),
        media_sid=pick(ids.media, i),
        channel_type=pick(ids.channel_type, i),
        customer_name=pick(ids.customer_name, i),
        customer_phone=pick(ids.customer_phone, i),
        age=(frame["at_us"] - pl.Series(tasks.created[k])) // SECOND,
        state=pl.col("event").replace_strict(_STATES),
    ).with_columns(
        actor_type=pl.when(platform).then(pl.lit("workspace")).when(api).then(pl.lit("account")).otherwise(
            pl.lit("worker")
        ),
        actor_sid=pl.when(platform).then(pl.lit(ids.account.workspace)).when(api).then(
            pl.lit(ids.account.account)
        ).otherwise("worker_sid"),
        via=pl.when(platform).then(pl.lit("twilio")).when(api).then(pl.lit("api")).otherwise(pl.lit("web")),
        # Addresses of a range that is reserved for documentation.
        source_ip=pl.when(platform).then(None).when(api).then(pl.lit("198.51.100.7")).otherwise(
            pl.format("192.0.2.{}", pl.Series(np.maximum(worker, 0) + 10))
        ),
        reason=pl.when(pl.col("event") == "task.canceled").then(
            pl.lit("Task canceled on Workflow timeout")
        ).when(pl.col("event") == "task.completed").then(pl.lit("done")),
    )  # fmt: skip


def is_terminal_mode(world: World) -> NDArray[np.bool_]:
    """Interactions whose task ended without anybody closing the channel."""
    marks: NDArray[np.bool_] = world.interactions.mode == Mode.TERMINAL
    return marks
