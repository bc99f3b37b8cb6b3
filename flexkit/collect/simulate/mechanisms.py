"""Why an interaction is completed, and completed again: every attempt that the centre's automations make.

Nothing here multiplies a rate. An attempt is made by somebody, on some trigger, at some time; whether it
completes the interaction, is warned about or is dropped is decided by `flexkit.collect.simulate.server`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.arrivals import Interactions, Mode
from flexkit.collect.simulate.attempts import C1, C2, C3, C4, NO_CAUSE, Attempts, Feed, Ledger, Operation
from flexkit.collect.simulate.centre import HOUR, MINUTE, SECOND, TERMINAL_ROLES, Centre, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Marks = NDArray[np.bool_]

# What sets off each role, and what it asks for, in the order of `Role`.
_FEEDS = np.array(
    [
        Feed.NONE, Feed.REQUEST, Feed.WEBHOOK, Feed.TASK_EVENT, Feed.EXECUTION, Feed.TASK_EVENT,
        Feed.REQUEST, Feed.JOB, Feed.NONE, Feed.JOB,
    ], dtype=np.int8,
)  # fmt: skip
_OPERATIONS = np.array(
    [Operation.COMPLETE_TASK, *([Operation.CLOSE_CHANNEL] * 7), *([Operation.CLOSE_CONVERSATION] * 2)], dtype=np.int8
)
# Which other listener acts too, by who acts first: owner -> Studio, Studio -> owner, sweeper -> owner.
_NEXT_TERMINAL = np.array([-1, -1, -1, Role.STUDIO, Role.OWNER, Role.OWNER, -1, -1, -1, -1], dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen in each interaction, as far as its tasks and labels need to know.

    `agent_second_at` is when an agent completes what was closed under her (-1: never), `resumed` and
    `resumed_until` are when a parked conversation goes on and ends (-1: it does not).
    """

    agent_second_at: NDArray[np.int64]
    resumed: NDArray[np.int64]
    resumed_until: NDArray[np.int64]
    parked_wrongly: Marks
    parked: Marks


@dataclass(frozen=True, slots=True)
class _AtWork:
    """Which mechanisms are at work in which interaction."""

    one: Marks
    two: Marks
    three: Marks
    four: Marks
    mixed: Marks
    parked_wrongly: Marks
    handled: Marks
    refused: Marks
    coordinated: Marks
    race: Marks


def draw_attempts(centre: Centre, these: Interactions, rng: np.random.Generator, *, end: int) -> tuple[Attempts, Plan]:
    """Every attempt of every interaction before *end*, and the plan behind them."""
    desk = _Desk(centre, these, rng)
    work = desk.mechanisms()
    slow = desk.first_attempts(work)
    desk.repeats(work.one | (work.mixed & work.four), slow, deduped=False)
    desk.repeats(work.handled, slow, deduped=True)
    agent_second_at = desk.completed_after_close(work.two)
    resumed, resumed_until = desk.parks(work)
    desk.uncoordinated(work.four, guarded=False)
    desk.uncoordinated(work.coordinated, guarded=True)
    desk.owner_looks_again(work)
    desk.races(work.race)
    parked = these.mode == Mode.PARK
    plan = Plan(agent_second_at, resumed, resumed_until, work.parked_wrongly, parked & ~work.parked_wrongly)
    return desk.ledger.finish(centre, rng, end=end), plan


@dataclass(slots=True)
class _Desk:
    """Draws mechanism after mechanism into one ledger."""

    centre: Centre
    these: Interactions
    rng: np.random.Generator
    ledger: Ledger = field(default_factory=Ledger)
    primary: NDArray[np.int8] = field(init=False)
    primary_at: NDArray[np.int64] = field(init=False)
    trigger: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.primary, self.primary_at = self._who_acts_first()
        self.trigger = self.ledger.new_triggers(len(self.these))

    def _lucky(self, share: float) -> Marks:
        marks: Marks = self.rng.random(len(self.these)) < share
        return marks

    def _active(self, eligible: Marks, share: float, weight: NDArray[np.float64]) -> Marks:
        """A draw that hits *share* of all interactions on average, within the eligible, by *weight*."""
        total = float(weight[eligible].sum())
        chance = np.clip(weight * (share * len(eligible) / total if total else 0.0), 0.0, 0.9)
        marks: Marks = eligible & (self.rng.random(len(eligible)) < chance)
        return marks

    def _after(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        return (seconds * SECOND).astype(np.int64)

    def _who_acts_first(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Role and time of the attempt that should end each interaction."""
        these, rng, count = self.these, self.rng, len(self.these)
        terminal = rng.choice(TERMINAL_ROLES, size=count, p=[0.90, 0.07, 0.03])
        by_mode = np.array(
            [Role.AGENT, Role.END_BUTTON, Role.CUSTOMER_LEFT, Role.OWNER, Role.INACTIVITY, Role.TIMER, Role.PARK]
        )
        primary = np.where(these.mode == Mode.TERMINAL, terminal, by_mode[these.mode]).astype(np.int8)
        wait = rng.lognormal(np.log(0.4), 0.4, count)
        for role in TERMINAL_ROLES:
            here = primary == role
            wait[here] = self._terminal_wait(role, int(here.sum()))
        # The job runs once a minute, and not exactly on the minute.
        due = these.ended + rng.integers(10 * MINUTE, 30 * MINUTE, count)
        on_the_minute = due // MINUTE * MINUTE + self._after(rng.lognormal(0.5, 0.6, count))
        timer = these.ended + rng.integers(15 * MINUTE, HOUR, count)
        at = np.where(these.mode == Mode.JOB, on_the_minute, these.ended + self._after(wait))
        return primary, np.where(these.mode == Mode.TIMER, timer, at)

    def _terminal_wait(self, role: Role, count: int) -> NDArray[np.float64]:
        """Seconds from a terminal task event to a listener's request."""
        if role == Role.SWEEPER:
            return 1.0 + self.rng.exponential(self.centre.sweeper_delay, count)
        delay = self.centre.owner_delay if role == Role.OWNER else self.centre.studio_delay
        return 0.15 + self.rng.lognormal(np.log(delay), 0.7, count)

    def mechanisms(self) -> _AtWork:
        """Draw what goes wrong, and what only looks as if it did. Incidents hit repeats and terminal events."""
        these, centre, mode = self.these, self.centre, self.these.mode
        one, two, three, four = (centre.rate * share for share in centre.cause_mix)
        stressed = these.factor * these.incident
        by_flow = np.where(these.flow == 0, 2.5, 1.0)
        by_channel = np.where(these.channel_type == 2, 2.0, 1.0)
        has_four = self._active(mode == Mode.TERMINAL, four, stressed * by_flow)
        has_two = self._active(mode == Mode.BUTTON, two, these.factor)
        # Six in ten jobs that come upon a conversation that was cut off do not look before they close.
        wrongly = self._active(mode == Mode.PARK, three / 0.6, these.factor)
        has_three = wrongly & self._lucky(0.6)
        free = ~(has_four | has_two | wrongly)
        retriable = np.isin(mode, (Mode.BUTTON, Mode.CUSTOMER, Mode.TERMINAL, Mode.JOB)) & free
        has_one = self._active(retriable, one, stressed * by_channel)
        plain = retriable & ~has_one
        handled = plain & self._lucky(0.03 * centre.benign)
        refused = plain & ~handled & self._lucky(0.01 * centre.benign)
        quiet: Marks = plain & ~handled & ~refused
        return _AtWork(
            one=has_one,
            two=has_two,
            three=has_three,
            four=has_four,
            mixed=(has_four | has_three) & self._lucky(centre.mixture),
            parked_wrongly=wrongly,
            handled=handled,
            refused=refused,
            coordinated=(self.primary == Role.OWNER) & quiet & self._lucky(0.10 * centre.benign),
            race=(mode == Mode.BUTTON) & quiet & self._lucky(0.004 * centre.benign),
        )

    def first_attempts(self, work: _AtWork) -> Marks:
        """The attempts that should end each interaction; where a button's reply was slow to come."""
        mode, role = self.these.mode, self.primary
        slow: Marks = work.one & (mode == Mode.BUTTON) & self._lucky(0.5)
        lost = slow & self._lucky(0.6)
        who = np.flatnonzero(mode != Mode.PARK)
        cause = np.where(work.one, C1, np.where(mode == Mode.TERMINAL, C4, NO_CAUSE))
        # A refused attempt is not processed; its retry is.
        refusal = np.where(work.refused, self.rng.choice([429, 503], len(self.these)), 0)
        self.ledger.add(
            who, role=role[who], operation=_OPERATIONS[role[who]], feed=_FEEDS[role[who]], trigger=self.trigger[who],
            sent=self.primary_at[who], cause=cause[who], silent=work.race[who], refused=refusal[who],
            reply_lost=lost[who],
        )  # fmt: skip
        who = np.flatnonzero(work.refused)
        self.ledger.add(
            who, role=role[who], operation=Operation.CLOSE_CHANNEL, feed=_FEEDS[role[who]], trigger=self.trigger[who],
            try_number=2, sent=self.primary_at[who] + self._after(self.rng.uniform(1, 20, len(who))),
        )  # fmt: skip
        return slow

    def repeats(self, chosen: Marks, slow: Marks, *, deduped: bool) -> None:
        """The first trigger is handled again: webhook retry, double click, redelivery, second execution."""
        centre, rng, who = self.centre, self.rng, np.flatnonzero(chosen)
        size, role = len(who), self.primary[who]
        double_feed = (role == Role.OWNER) & (rng.random(size) < 0.3)
        double_click = (role == Role.END_BUTTON) & ~slow[who]
        wait = centre.retry_delay + rng.uniform(0, centre.retry_jitter, size)
        twice, later = rng.uniform(*centre.double_click, size), rng.uniform(*centre.redelivery, size)
        wait = np.where(double_feed | double_click, twice, wait)
        wait = np.where(role == Role.STUDIO, rng.uniform(1, 20, size), wait)
        wait = np.where((role == Role.SWEEPER) | (role == Role.INACTIVITY), later, wait)
        again = 1 + np.minimum(rng.geometric(1 - centre.retry_again, size) - 1, centre.retry_tries - 1)
        again = np.where(double_feed | double_click | (role == Role.STUDIO), 1, again)
        at = self.primary_at[who]
        # A second execution of a flow has an identity of its own: nothing that a handler could remember.
        trigger = np.where(role == Role.STUDIO, self.ledger.new_triggers(size), self.trigger[who])
        for number in range(1, int(again.max(initial=0)) + 1):
            at = at + self._after(wait * rng.uniform(0.97, 1.03, size))
            here = again >= number
            self.ledger.add(
                who[here], role=role[here], operation=Operation.CLOSE_CHANNEL, feed=_FEEDS[role[here]], cause=C1,
                sent=at[here], trigger=trigger[here], try_number=number + 1, deduped=deduped,
            )  # fmt: skip

    def completed_after_close(self, chosen: Marks) -> NDArray[np.int64]:
        """An agent, or the customer database, completes what a button has closed; when the agent does."""
        who = np.flatnonzero(chosen)
        by_crm = self.rng.random(len(who)) < 0.15
        delay = self.rng.lognormal(np.log(self.centre.ui_second), self.centre.ui_second_sigma, len(who))
        at = self.primary_at[who] + self._after(np.maximum(delay, 0.25))
        self.ledger.add(
            who, role=np.where(by_crm, Role.CRM, Role.AGENT), cause=C2, sent=at,
            operation=np.where(by_crm, Operation.CLOSE_CONVERSATION, Operation.COMPLETE_TASK),
            feed=np.where(by_crm, Feed.JOB, Feed.NONE), trigger=self.ledger.new_triggers(len(who)),
        )  # fmt: skip
        by_agent_at = np.full(len(self.these), -1, dtype=np.int64)
        by_agent_at[who[~by_crm]] = at[~by_crm]
        return by_agent_at

    def parks(self, work: _AtWork) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The agent leaves and the conversation should go on: done right it is resumed, done wrong it is cut off."""
        these, rng, count = self.these, self.rng, len(self.these)
        parked = np.flatnonzero(these.mode == Mode.PARK)
        wrong = work.parked_wrongly[parked]
        self.ledger.add(
            parked, role=Role.PARK, feed=Feed.REQUEST, sent=these.ended[parked], removes_agent=True,
            operation=np.where(wrong, Operation.CLOSE_CHANNEL, Operation.CLOSE_PARTICIPANT),
            trigger=self.ledger.new_triggers(len(parked)),
        )  # fmt: skip

        # Done right: the customer writes again, an agent is invited again, and ends it.
        right = parked[~wrong]
        resumed, until = np.full(count, -1, dtype=np.int64), np.full(count, -1, dtype=np.int64)
        resumed[right] = these.ended[right] + self._after(60 * rng.lognormal(np.log(40), 0.9, len(right)))
        until[right] = resumed[right] + self._after(60 * rng.lognormal(np.log(6), 0.7, len(right)))
        ends = np.where(rng.random(len(right)) < 0.4, Role.END_BUTTON, Role.AGENT)
        self.ledger.add(
            right, role=ends, operation=_OPERATIONS[ends], feed=_FEEDS[ends], sent=until[right],
            trigger=self.ledger.new_triggers(len(right)),
        )  # fmt: skip

        # Done wrong: a job finds the silent conversation later.
        cut = np.flatnonzero(work.parked_wrongly)
        delay = np.maximum(rng.lognormal(np.log(self.centre.job_delay), 1.1, len(cut)), 60.0)
        job_at, job = these.ended[cut] + self._after(delay), self.ledger.new_triggers(len(cut))
        self.ledger.add(
            cut, role=Role.INACTIVITY, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, sent=job_at, trigger=job,
            cause=C3, guarded=~work.three[cut],
        )  # fmt: skip
        again = np.flatnonzero((work.mixed & work.three)[cut])
        self.ledger.add(
            cut[again], role=Role.INACTIVITY, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, cause=C1, try_number=2,
            sent=job_at[again] + self._after(rng.uniform(*self.centre.redelivery, len(again))), trigger=job[again],
        )  # fmt: skip
        return resumed, until

    def uncoordinated(self, chosen: Marks, *, guarded: bool) -> None:
        """Several automations listen to terminal task events; the *guarded* ones look before they close."""
        both = self._lucky(0.3)
        second = _NEXT_TERMINAL[self.primary]
        for role in TERMINAL_ROLES:
            who = np.flatnonzero(chosen & (self.primary != role) & (both | (second == role)))
            # One that looks takes a moment longer.
            wait = self._terminal_wait(role, len(who)) + (1.5 if guarded else 0.0)
            self.ledger.add(
                who, role=role, operation=Operation.CLOSE_CHANNEL, feed=_FEEDS[role], cause=C4, guarded=guarded,
                sent=self.these.ended[who] + self._after(wait), trigger=self.ledger.new_triggers(len(who)),
            )  # fmt: skip

    def owner_looks_again(self, work: _AtWork) -> None:
        """Where the owner was not first, it mostly comes by later, and leaves alone what is closed."""
        missed = (self.these.mode == Mode.TERMINAL) & (self.primary != Role.OWNER) & ~work.four
        who = np.flatnonzero(missed & self._lucky(0.7))
        self.ledger.add(
            who, role=Role.OWNER, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, guarded=True, cause=C4,
            sent=self.these.ended[who] + self.rng.integers(8 * MINUTE, 12 * MINUTE, len(who)),
            trigger=self.ledger.new_triggers(len(who)),
        )  # fmt: skip

    def races(self, chosen: Marks) -> None:
        """Two closers within milliseconds, both told that they succeeded."""
        who = np.flatnonzero(chosen)
        self.ledger.add(
            who, role=Role.CRM, operation=Operation.CLOSE_CHANNEL, feed=Feed.JOB, silent=True,
            sent=self.primary_at[who] + self._after(self.rng.uniform(-0.03, 0.05, len(who))),
            trigger=self.ledger.new_triggers(len(who)),
        )  # fmt: skip
