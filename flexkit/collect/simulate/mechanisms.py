"""Why an interaction is completed, and completed again: every attempt that the centre's automations make.

Nothing here multiplies a rate. An attempt is made by somebody, on some trigger, at some time; whether it
completes the interaction, is warned about or is dropped is decided by `flexkit.collect.simulate.server`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.arrivals import Interactions, Mode
from flexkit.collect.simulate.at_work import AtWork, draw_at_work, lucky
from flexkit.collect.simulate.attempts import (
    C1,
    C2,
    C3,
    C4,
    FEEDS,
    NO_CAUSE,
    OPERATIONS,
    Attempts,
    Feed,
    Ledger,
    Operation,
)
from flexkit.collect.simulate.centre import HOUR, MINUTE, SECOND, TERMINAL_ROLES, Centre, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Marks = NDArray[np.bool_]

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


def draw_attempts(centre: Centre, these: Interactions, rng: np.random.Generator, *, end: int) -> tuple[Attempts, Plan]:
    """Every attempt of every interaction before *end*, and the plan behind them."""
    desk = _Desk(centre, these, rng)
    work = draw_at_work(centre, these, desk.primary, rng)
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
        return lucky(self.rng, len(self.these), share)

    @staticmethod
    def _after(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
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

    def first_attempts(self, work: AtWork) -> Marks:
        """The attempts that should end each interaction; where a button's reply was slow to come."""
        mode, role = self.these.mode, self.primary
        slow: Marks = work.one & (mode == Mode.BUTTON) & self._lucky(0.5)
        lost = slow & self._lucky(0.6)
        who = np.flatnonzero(mode != Mode.PARK)
        cause = np.where(work.one, C1, np.where(mode == Mode.TERMINAL, C4, NO_CAUSE))
        # A refused attempt is not processed; its retry is.
        refusal = np.where(work.refused, self.rng.choice([429, 503], len(self.these)), 0)
        self.ledger.add(
            who, role=role[who], operation=OPERATIONS[role[who]], feed=FEEDS[role[who]], trigger=self.trigger[who],
            sent=self.primary_at[who], cause=cause[who], silent=work.race[who], refused=refusal[who],
            reply_lost=lost[who],
        )  # fmt: skip
        who = np.flatnonzero(work.refused)
        self.ledger.add(
            who, role=role[who], operation=Operation.CLOSE_CHANNEL, feed=FEEDS[role[who]], trigger=self.trigger[who],
            try_number=2, sent=self.primary_at[who] + self._after(self.rng.uniform(1, 20, len(who))),
        )  # fmt: skip
        return slow

    def repeats(self, chosen: Marks, slow: Marks, *, deduped: bool) -> None:
        """The first trigger is handled again: webhook retry, double click, redelivery, second execution."""
        centre, rng, who = self.centre, self.rng, np.flatnonzero(chosen)
        size, role = len(who), self.primary[who]
        double_feed = (role == Role.OWNER) & (rng.random(size) < 0.3)
        double_click = (role == Role.END_BUTTON) & ~slow[who]
        once = double_feed | double_click | (role == Role.STUDIO)
        wait = centre.retry_delay + rng.uniform(0, centre.retry_jitter, size)
        twice, later = rng.uniform(*centre.double_click, size), rng.uniform(*centre.redelivery, size)
        wait = np.where(double_feed | double_click, twice, wait)
        wait = np.where(role == Role.STUDIO, rng.uniform(1, 20, size), wait)
        wait = np.where((role == Role.SWEEPER) | (role == Role.INACTIVITY), later, wait)
        again = 1 + np.minimum(rng.geometric(1 - centre.retry_again, size) - 1, centre.retry_tries - 1)
        again = np.where(once, 1, again)
        at = self.primary_at[who]
        # A second execution of a flow has an identity of its own: nothing that a handler could remember.
        trigger = np.where(role == Role.STUDIO, self.ledger.new_triggers(size), self.trigger[who])
        for number in range(1, int(again.max(initial=0)) + 1):
            at = at + self._after(wait * rng.uniform(0.97, 1.03, size))
            here = again >= number
            self.ledger.add(
                who[here], role=role[here], operation=Operation.CLOSE_CHANNEL, feed=FEEDS[role[here]], cause=C1,
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

    def parks(self, work: AtWork) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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
            right, role=ends, operation=OPERATIONS[ends], feed=FEEDS[ends], sent=until[right],
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
                who, role=role, operation=Operation.CLOSE_CHANNEL, feed=FEEDS[role], cause=C4, guarded=guarded,
                sent=self.these.ended[who] + self._after(wait), trigger=self.ledger.new_triggers(len(who)),
            )  # fmt: skip

    def owner_looks_again(self, work: AtWork) -> None:
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
