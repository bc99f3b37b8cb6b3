"""Why an interaction is completed, and completed again: every attempt that the centre's automations make.

Nothing here multiplies a rate. An attempt is made by somebody, on some trigger, at some time; whether it
completes the interaction, is warned about or is dropped is decided by `flexkit.collect.simulate.server`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.arrivals import Interactions, Mode
from flexkit.collect.simulate.centre import HOUR, MINUTE, SECOND, Centre, Role
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


_DTYPES = {
    "interaction": np.int64, "role": np.int8, "operation": np.int8, "feed": np.int8, "sent": np.int64,
    "trigger": np.int64, "try_number": np.int16, "cause": np.int8, "removes_agent": np.bool_,
    "guarded": np.bool_, "deduped": np.bool_, "refused": np.int16, "silent": np.bool_, "reply_lost": np.bool_,
}  # fmt: skip
_DEFAULTS = {"try_number": 1, "cause": -1}


@dataclass(slots=True)
class _Ledger:
    """Collects attempts in columns; a trigger number is given to each new cause of action."""

    parts: list[dict[str, NDArray[np.generic]]] = field(default_factory=list)
    triggers: int = 0

    def new_triggers(self, count: int) -> NDArray[np.int64]:
        first = self.triggers
        self.triggers += count
        return np.arange(first, self.triggers, dtype=np.int64)

    def add(self, interaction: NDArray[np.int64], **columns: ArrayLike) -> None:
        part: dict[str, NDArray[np.generic]] = {"interaction": interaction.astype(np.int64)}
        for name, dtype in _DTYPES.items():
            if name != "interaction":
                value = np.asarray(columns.get(name, _DEFAULTS.get(name, 0))).astype(dtype)
                part[name] = np.broadcast_to(value, interaction.shape)
        self.parts.append(part)

    def finish(self, centre: Centre, rng: np.random.Generator, *, end: int) -> Attempts:
        held = {name: np.concatenate([part[name] for part in self.parts]) for name in _DTYPES}
        count = len(held["sent"])
        latency = rng.lognormal(np.log(centre.latency), 0.5, count) * SECOND
        held["served"] = held["sent"] + np.minimum(latency, 0.12 * SECOND).astype(np.int64)
        held["luck"] = rng.random(count)
        keep = held["served"] < end
        order = np.lexsort((held["served"][keep], held["interaction"][keep]))
        return Attempts(**{name: values[keep][order] for name, values in held.items()})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen in each interaction: its first attempt, and which mechanisms are at work."""

    primary: NDArray[np.int8]
    primary_at: NDArray[np.int64]
    primary_trigger: NDArray[np.int64]
    agent_second_at: NDArray[np.int64]
    resumed: NDArray[np.int64]
    resumed_until: NDArray[np.int64]
    parked_wrongly: NDArray[np.bool_]
    benign: dict[str, NDArray[np.bool_]]


def draw_attempts(
    centre: Centre, these: Interactions, rng: np.random.Generator, *, end: int
) -> tuple[Attempts, Plan]:
    """Every attempt of every interaction before *end*, and the plan behind them."""
    count = len(these)
    ledger = _Ledger()
    mode = these.mode

    def lucky(share: float) -> NDArray[np.bool_]:
        return rng.random(count) < share

    def active(eligible: NDArray[np.bool_], share: float, weight: NDArray[np.float64]) -> NDArray[np.bool_]:
        """A draw that hits *share* of all interactions on average, within the eligible, by weight."""
        total = float(weight[eligible].sum())
        chance = np.clip(weight * (share * count / total if total else 0.0), 0.0, 0.9)
        return eligible & (rng.random(count) < chance)

    # Who acts first, when, and on what.
    primary, primary_at = _first_attempts(centre, these, rng)
    trigger = ledger.new_triggers(count)

    # Which mechanisms are at work. Incidents hit repeated and uncoordinated processing.
    stressed = these.factor * these.incident
    one, two, three, four = (centre.rate * share for share in centre.cause_mix)
    flow_weight = np.where(these.flow == 0, 2.5, 1.0)
    channel_weight = np.where(these.channel_type == 2, 2.0, 1.0)
    has_four = active(mode == Mode.TERMINAL, four, stressed * flow_weight)
    has_two = active(mode == Mode.BUTTON, two, these.factor)
    wrongly = active(mode == Mode.PARK, three / 0.6, these.factor)
    has_three = wrongly & lucky(0.6)
    free = ~(has_four | has_two | wrongly)
    retriable = np.isin(mode, (Mode.BUTTON, Mode.CUSTOMER, Mode.TERMINAL, Mode.JOB))
    has_one = active(retriable & free, one, stressed * channel_weight)
    mixed = (has_four | has_three) & lucky(centre.mixture)
    plain = retriable & free & ~has_one
    handled = plain & lucky(0.03 * centre.benign)
    refused = plain & ~handled & lucky(0.01 * centre.benign)
    coordinated = (primary == Role.OWNER) & plain & ~handled & ~refused & lucky(0.10 * centre.benign)
    race = (mode == Mode.BUTTON) & plain & ~handled & ~refused & lucky(0.004 * centre.benign)

    # First attempts. A refused one is not processed; its retry is.
    acts = mode != Mode.PARK
    feed = np.asarray(_FEEDS, dtype=np.int8)[primary]
    who = np.flatnonzero(acts)
    slow = has_one & (mode == Mode.BUTTON) & lucky(0.5)
    ledger.add(
        who, role=primary[who], operation=np.asarray(_OPERATIONS, dtype=np.int8)[primary[who]], feed=feed[who],
        sent=primary_at[who], trigger=trigger[who], cause=np.where(has_one[who], C1, np.where(mode[who] == Mode.TERMINAL, C4, -1)), silent=race[who],
        refused=np.where(refused[who], rng.choice([429, 503], len(who)), 0), reply_lost=slow[who] & lucky(0.6)[who],
    )  # fmt: skip
    who = np.flatnonzero(refused)
    ledger.add(
        who, role=primary[who], operation=Operation.CLOSE_CHANNEL, feed=feed[who], trigger=trigger[who], try_number=2,
        sent=primary_at[who] + (rng.uniform(1, 20, len(who)) * SECOND).astype(np.int64),
    )  # fmt: skip

    # The same trigger again (also where the handler already knows to ignore it).
    for chosen, deduped in ((has_one | (mixed & has_four), False), (handled, True)):
        _repeat(ledger, centre, rng, np.flatnonzero(chosen), primary, feed, primary_at, trigger, slow, deduped=deduped)

    # The agent, or the customer database, completes what a button has closed.
    who = np.flatnonzero(has_two)
    by_crm = rng.random(len(who)) < 0.15
    delay = np.maximum(rng.lognormal(np.log(centre.ui_second), centre.ui_second_sigma, len(who)), 0.25)
    second_at = primary_at[who] + (delay * SECOND).astype(np.int64)
    ledger.add(
        who, role=np.where(by_crm, Role.CRM, Role.AGENT), cause=C2, sent=second_at,
        operation=np.where(by_crm, Operation.CLOSE_CONVERSATION, Operation.COMPLETE_TASK),
        feed=np.where(by_crm, Feed.JOB, Feed.NONE), trigger=ledger.new_triggers(len(who)),
    )  # fmt: skip
    agent_second_at = np.full(count, -1, dtype=np.int64)
    agent_second_at[who[~by_crm]] = second_at[~by_crm]

    resumed, resumed_until = _parks(ledger, centre, these, rng, wrongly=wrongly, three=has_three, mixed=mixed)

    # Several automations listen to terminal task events; some of them look before they close.
    for chosen, guarded in ((has_four, False), (coordinated, True)):
        both = lucky(0.3)
        for role, delay in ((Role.OWNER, centre.owner_delay), (Role.STUDIO, centre.studio_delay),
                            (Role.SWEEPER, centre.sweeper_delay)):  # fmt: skip
            next_role = _NEXT_TERMINAL[primary]
            who = np.flatnonzero(chosen & (primary != role) & (both | (next_role == role)))
            wait = _terminal_wait(rng, role, delay, len(who)) + (1.5 if guarded else 0.0)
            ledger.add(
                who, role=role, operation=Operation.CLOSE_CHANNEL, feed=_FEEDS[role], cause=C4, guarded=guarded,
                sent=these.ended[who] + (wait * SECOND).astype(np.int64), trigger=ledger.new_triggers(len(who)),
            )  # fmt: skip

    # Where the owner was not first, it mostly looks again later, and leaves what is closed alone.
    who = np.flatnonzero((mode == Mode.TERMINAL) & (primary != Role.OWNER) & ~has_four & ~coordinated & lucky(0.7))
    ledger.add(
        who, role=Role.OWNER, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, guarded=True, cause=C4,
        sent=these.ended[who] + rng.integers(8 * MINUTE, 12 * MINUTE, len(who)),
        trigger=ledger.new_triggers(len(who)),
    )  # fmt: skip

    # Two closers within milliseconds, both told that they succeeded.
    who = np.flatnonzero(race)
    ledger.add(
        who, role=Role.CRM, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, silent=True,
        sent=primary_at[who] + (rng.uniform(-0.03, 0.05, len(who)) * SECOND).astype(np.int64),
        trigger=ledger.new_triggers(len(who)),
    )  # fmt: skip

    plan = Plan(
        primary, primary_at, trigger, agent_second_at, resumed, resumed_until, wrongly,
        {"handled_retry": handled, "refused_retry": refused, "guarded": coordinated | (wrongly & ~has_three),
         "race": race, "park": (mode == Mode.PARK) & ~wrongly},
    )  # fmt: skip
    return ledger.finish(centre, rng, end=end), plan


_FEEDS = (
    Feed.NONE, Feed.REQUEST, Feed.WEBHOOK, Feed.TASK_EVENT, Feed.EXECUTION, Feed.TASK_EVENT,
    Feed.REQUEST, Feed.JOB, Feed.NONE, Feed.JOB,
)  # fmt: skip
_OPERATIONS = (
    Operation.COMPLETE_TASK, Operation.CLOSE_CHANNEL, Operation.CLOSE_CHANNEL, Operation.CLOSE_CHANNEL,
    Operation.CLOSE_CHANNEL, Operation.CLOSE_CHANNEL, Operation.CLOSE_CHANNEL, Operation.CLOSE_CHANNEL,
    Operation.CLOSE_CONVERSATION, Operation.CLOSE_CONVERSATION,
)  # fmt: skip
# Which other listener acts too, by who acts first: owner -> Studio, Studio -> owner, sweeper -> owner.
_NEXT_TERMINAL = np.array([-1, -1, -1, Role.STUDIO, Role.OWNER, Role.OWNER, -1, -1, -1, -1], dtype=np.int8)


def _terminal_wait(rng: np.random.Generator, role: Role, delay: float, count: int) -> NDArray[np.float64]:
    """Seconds from a terminal task event to a listener's request."""
    if role == Role.SWEEPER:
        return 1.0 + rng.exponential(delay, count)
    return 0.15 + rng.lognormal(np.log(delay), 0.7, count)


def _first_attempts(
    centre: Centre, these: Interactions, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Role and time of the attempt that should end each interaction."""
    count = len(these)
    terminal = rng.choice([Role.OWNER, Role.STUDIO, Role.SWEEPER], size=count, p=[0.90, 0.07, 0.03])
    by_mode = np.array(
        [Role.AGENT, Role.END_BUTTON, Role.CUSTOMER_LEFT, Role.OWNER, Role.INACTIVITY, Role.TIMER, Role.PARK]
    )
    primary = np.where(these.mode == Mode.TERMINAL, terminal, by_mode[these.mode]).astype(np.int8)
    wait = rng.lognormal(np.log(0.4), 0.4, count)
    for role, delay in ((Role.OWNER, centre.owner_delay), (Role.STUDIO, centre.studio_delay),
                        (Role.SWEEPER, centre.sweeper_delay)):  # fmt: skip
        here = primary == role
        wait[here] = _terminal_wait(rng, role, delay, int(here.sum()))
    at = these.ended + (wait * SECOND).astype(np.int64)
    idle = these.mode == Mode.JOB
    # The job runs once a minute, and not exactly on the minute.
    due = these.ended + rng.integers(10 * MINUTE, 30 * MINUTE, count)
    on_the_minute = due // MINUTE * MINUTE + (rng.lognormal(0.5, 0.6, count) * SECOND).astype(np.int64)
    timer = these.ended + rng.integers(15 * MINUTE, HOUR, count)
    return primary, np.where(idle, on_the_minute, np.where(these.mode == Mode.TIMER, timer, at))


def _repeat(
    ledger: _Ledger, centre: Centre, rng: np.random.Generator, who: NDArray[np.int64], primary: NDArray[np.int8],
    feed: NDArray[np.int8], primary_at: NDArray[np.int64], trigger: NDArray[np.int64], slow: NDArray[np.bool_],
    *, deduped: bool,
) -> None:  # fmt: skip
    """The first attempt's trigger is handled again: webhook retry, double click, redelivery, second execution."""
    size = len(who)
    role = primary[who]
    tries = 1 + np.minimum(rng.geometric(1 - centre.retry_again, size) - 1, centre.retry_tries - 1)
    grid = centre.retry_delay + rng.uniform(0, centre.retry_jitter, size)
    twice = rng.uniform(*centre.double_click, size)
    later = rng.uniform(*centre.redelivery, size)
    double_feed = (role == Role.OWNER) & (rng.random(size) < 0.3)
    double_click = (role == Role.END_BUTTON) & ~slow[who]
    step = np.where(double_feed | double_click, twice, grid)
    step = np.where(role == Role.STUDIO, rng.uniform(1, 20, size), step)
    step = np.where((role == Role.SWEEPER) | (role == Role.INACTIVITY), later, step)
    once = double_feed | double_click | (role == Role.STUDIO)
    tries = np.where(once, 1, tries)
    at = primary_at[who].astype(np.float64)
    for number in range(1, int(tries.max(initial=0)) + 1):
        here = tries >= number
        at = at + step * SECOND * rng.uniform(0.97, 1.03, size)
        ledger.add(
            who[here], role=role[here], operation=Operation.CLOSE_CHANNEL, feed=feed[who][here], cause=C1,
            sent=at[here].astype(np.int64), trigger=trigger[who][here], try_number=number + 1, deduped=deduped,
        )  # fmt: skip


def _parks(
    ledger: _Ledger, centre: Centre, these: Interactions, rng: np.random.Generator,
    *, wrongly: NDArray[np.bool_], three: NDArray[np.bool_], mixed: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """The agent leaves and the conversation should go on: done right it is resumed, done wrong it is cut off."""
    count = len(these)
    parked = np.flatnonzero(these.mode == Mode.PARK)
    wrong = wrongly[parked]
    ledger.add(
        parked, role=Role.PARK, feed=Feed.REQUEST, sent=these.ended[parked], trigger=ledger.new_triggers(len(parked)),
        operation=np.where(wrong, Operation.CLOSE_CHANNEL, Operation.CLOSE_PARTICIPANT), removes_agent=True,
    )  # fmt: skip

    # Done right: the customer writes again, an agent is invited again, and ends it.
    resumed = np.full(count, -1, dtype=np.int64)
    until = np.full(count, -1, dtype=np.int64)
    right = parked[~wrong]
    resumed[right] = these.ended[right] + (rng.lognormal(np.log(40), 0.9, len(right)) * MINUTE).astype(np.int64)
    until[right] = resumed[right] + (rng.lognormal(np.log(6), 0.7, len(right)) * MINUTE).astype(np.int64)
    by_button = rng.random(len(right)) < 0.4
    ledger.add(
        right, role=np.where(by_button, Role.END_BUTTON, Role.AGENT), sent=until[right],
        operation=np.where(by_button, Operation.CLOSE_CHANNEL, Operation.COMPLETE_TASK),
        feed=np.where(by_button, Feed.REQUEST, Feed.NONE), trigger=ledger.new_triggers(len(right)),
    )  # fmt: skip

    # Done wrong: a job finds the silent conversation later; some jobs look before they close.
    cut = np.flatnonzero(wrongly)
    delay = np.maximum(rng.lognormal(np.log(centre.job_delay), 1.1, len(cut)), 60.0)
    job_at = these.ended[cut] + (delay * SECOND).astype(np.int64)
    job = ledger.new_triggers(len(cut))
    ledger.add(
        cut, role=Role.INACTIVITY, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, sent=job_at, trigger=job, cause=C3,
        guarded=~three[cut],
    )  # fmt: skip
    again = np.flatnonzero((mixed & three)[cut])
    ledger.add(
        cut[again], role=Role.INACTIVITY, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, cause=C1, try_number=2,
        sent=job_at[again] + (rng.uniform(*centre.redelivery, len(again)) * SECOND).astype(np.int64),
        trigger=job[again],
    )  # fmt: skip
    return resumed, until
