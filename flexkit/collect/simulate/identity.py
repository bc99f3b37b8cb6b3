"""Every identifier of a world, and the invented people behind its customers and agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.collect.simulate.attempts import Feed
from flexkit.collect.simulate.centre import CHANNEL_TYPES, Role
from flexkit.collect.simulate.sids import generator, pick, sid, sids, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from flexkit.collect.simulate.tasks import Tasks
    from flexkit.collect.simulate.world import World

EVENT_TYPES = (
    "task.created",
    "reservation.accepted",
    "workflow.timeout",
    "task.canceled",
    "reservation.wrapup",
    "task.wrapup",
    "reservation.completed",
    "task.completed",
)

_FIRST = ("Avery", "Blake", "Casey", "Devon", "Emery", "Finley", "Harper", "Jordan", "Kendall", "Logan", "Morgan",
          "Parker", "Quinn", "Reese", "Rowan", "Sawyer", "Skyler", "Taylor")  # fmt: skip
_LAST = ("Example", "Sample", "Placeholder", "Specimen", "Testcase", "Fiction", "Mockley", "Dummy", "Nobody",
         "Invented", "Madeup", "Standin")  # fmt: skip
# Area codes with the exchange 555 and numbers 0100-0199, which are reserved for fiction.
_AREAS = ("202", "212", "303", "312", "404", "415", "503", "512", "602", "617", "702", "713", "808", "907")
_FLOWS = ("Inbound web chat", "Inbound messaging", "Order status", "Returns desk", "Appointments", "Billing")
_QUEUES = ("Everyone", "Sales", "Support", "Billing", "Escalations", "Spanish", "Night desk")


@dataclass(frozen=True, slots=True)
class Account:
    """SIDs of which a centre has one."""

    account: str
    instance: str
    workspace: str
    chat_service: str
    proxy_service: str
    workflow: str
    after_task_flow: str


@dataclass(frozen=True, slots=True)
class Identity:
    """SIDs by interaction, task, attempt; and who the customers and agents are."""

    account: Account
    interaction: pl.Series
    channel: pl.Series
    media: pl.Series
    channel_type: pl.Series
    customer_participant: pl.Series
    customer_name: pl.Series
    customer_phone: pl.Series
    customer_email: pl.Series
    task: pl.Series
    reservation: pl.Series
    agent_participant: pl.Series
    worker: pl.Series
    worker_name: pl.Series
    queue: pl.Series
    queue_name: pl.Series
    flow: pl.Series
    flow_name: pl.Series
    events: Mapping[str, pl.Series]
    trigger: pl.Series
    execution: pl.Series
    left_token: pl.Series


def identify(world: World, tasks: Tasks) -> Identity:
    """The identifiers of *world*: they depend on its seed alone, not on what its fixes change."""
    seed, these, count = world.seed, world.interactions, len(world.interactions)
    centre = world.centre
    account = Account(
        account=sid(seed, "AC", "account"),
        instance=sid(seed, "GO", "instance"),
        workspace=sid(seed, "WS", "workspace"),
        chat_service=sid(seed, "IS", "chat"),
        proxy_service=sid(seed, "KS", "proxy"),
        workflow=sid(seed, "WW", "workflow"),
        after_task_flow=sid(seed, "FW", "after-task"),
    )
    channel_type = pick(pl.Series(CHANNEL_TYPES), these.channel_type)
    conversation = sids(seed, "CH", "conversation", count)
    conference = sids(seed, "CF", "conference", count)
    media = pl.select(pl.when(channel_type == "voice").then(conference).otherwise(conversation)).to_series()
    who = generator(seed, "people").integers(0, [len(_FIRST), len(_LAST), len(_AREAS), 100], (count, 4))
    first, last, area, line = who[these.customer].T
    first_name, last_name = pick(pl.Series(_FIRST), first), pick(pl.Series(_LAST), last)
    number = pl.Series(line).cast(pl.String).str.zfill(2)
    phone = "+1" + pick(pl.Series(_AREAS), area) + "55501" + number
    name = first_name + " " + last_name
    email = first_name.str.to_lowercase() + "." + last_name.str.to_lowercase() + number + "@example.com"
    agents = generator(seed, "agents").integers(0, [len(_FIRST), len(_LAST)], (centre.workers, 2))
    agent_name = pick(pl.Series(_FIRST), agents[:, 0]) + " " + pick(pl.Series(_LAST), agents[:, 1])
    events = {name: sids(seed, "EV", name, len(tasks)) for name in EVENT_TYPES}
    execution = sids(seed, "FN", "attempt", len(world.attempts))
    left_token = tokens(seed, "left", count)
    return Identity(
        account=account,
        interaction=sids(seed, "KD", "interaction", count),
        channel=sids(seed, "UO", "channel", count),
        media=media,
        channel_type=channel_type,
        customer_participant=sids(seed, "UT", "customer", count),
        customer_name=name,
        customer_phone=phone,
        customer_email=email,
        task=sids(seed, "WT", "task", len(tasks)),
        reservation=sids(seed, "WR", "reservation", len(tasks)),
        agent_participant=sids(seed, "UT", "agent", len(tasks)),
        worker=sids(seed, "WK", "worker", centre.workers),
        worker_name=agent_name,
        queue=sids(seed, "WQ", "queue", centre.queues),
        queue_name=pl.Series(_QUEUES[: centre.queues]),
        flow=sids(seed, "FW", "flow", centre.flows),
        flow_name=pl.Series(_FLOWS[: centre.flows]),
        events=events,
        trigger=_triggers(world, events, execution, left_token),
        execution=execution,
        left_token=left_token,
    )


def _triggers(world: World, events: Mapping[str, pl.Series], execution: pl.Series, left_token: pl.Series) -> pl.Series:
    """The trigger id that each attempt's handler could log; null for an agent's click."""
    attempts = world.attempts
    # Only the first task of an interaction ends without an agent, so task and interaction have one index.
    who = attempts.interaction
    answered = world.interactions.is_answered[who]
    owned = pl.select(
        pl.when(pl.Series(answered)).then(pick(events["task.completed"], who)).otherwise(
            pick(events["task.canceled"], who)
        )
    ).to_series()  # fmt: skip
    swept = pl.select(
        pl.when(pl.Series(answered)).then(pick(events["task.wrapup"], who)).otherwise(
            pick(events["workflow.timeout"], who)
        )
    ).to_series()  # fmt: skip
    serial = _serial(world.seed, attempts.trigger)
    feed, role = pl.Series(attempts.feed), pl.Series(attempts.role)
    return pl.select(
        pl.when(feed == Feed.REQUEST)
        .then("req-" + serial)
        .when(feed == Feed.JOB)
        .then("job-" + serial)
        .when(feed == Feed.WEBHOOK)
        .then(pick(left_token, who))
        .when(feed == Feed.EXECUTION)
        .then(execution)
        .when((feed == Feed.TASK_EVENT) & (role == Role.SWEEPER))
        .then(swept)
        .when(feed == Feed.TASK_EVENT)
        .then(owned)
    ).to_series()


def _serial(seed: int, trigger: NDArray[np.int64]) -> pl.Series:
    """A short distinct name for each trigger number: letters, so that nothing mistakes it for a phone number."""
    count = int(trigger.max(initial=0)) + 1
    digits = generator(seed, "trigger").bytes(6 * count).hex()
    return pick(pl.Series([f"r{digits[at : at + 12]}x" for at in range(0, 12 * count, 12)]), trigger)
