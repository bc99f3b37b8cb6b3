"""How fast an account may be read: a controller that learns its limit from what was refused. No clock, no I/O.

Twilio publishes no limit for most of these resources; it answers 429, sometimes with ``Retry-After``. Two kinds
of limit exist and look alike at first: so many requests *at once*, and so many requests *a second*. The
controller keeps a level (requests in flight) and, where lowering the level does not end the refusals, a rate.

* It grows by half per round trip until something is refused, then stays one below what was refused.
* It asks for more rarely: a refused probe doubles the wait before the next, and the wait is at least ten times
  the ``Retry-After`` that a probe would cost.
* A probe is paced: it raises the rate by a few percent before it raises the level, so that a true rate limit
  is found and kept instead of being run into.
* A single refusal among many answers changes nothing; a limit that is real refuses again at once.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from flexkit.collect.network.probe import Probe, Step

FIRST_LEVEL = 4
GROWTH_ANSWERS = 2
"""Answers for one more in flight while growing: by half per round trip, for a few refusals once."""
PROBE_SECONDS = 5.0
PROBE_COST = 10.0
PROBE_LONGEST = 300.0
RECENT = 100
CHANCE = 3
"""Refusals among the last hundred answers that are taken for chance at a level that was fine before."""
FEW = 12
"""Levels below which growing past a limit is refused too rarely to wait for three refusals."""
SOON = 2.0
"""Seconds of sending within which refusals that follow each other are no chance."""
ENOUGH = 15
"""Answers between two refusals that are enough to estimate a rate from."""
SPARE = 1.1
"""In flight beyond what a known rate needs: answers do not always come as quickly as they can."""
_TICK = 1e-6
MEMORY = 3.0
"""Seconds of sending that rates are estimated from."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request under way: when it left, and how many were in flight with it."""

    at: float
    level: int


@dataclass(slots=True)
class Controller:
    """The allowed level and rate, learned from answers. Times are seconds of any monotonic clock."""

    ceiling: int = 64
    level: int = FIRST_LEVEL
    known: int | None = None
    """Level believed to be allowed; None while nothing was ever refused."""
    rate: float | None = None
    """Requests a second, where a rate limit was found or is being probed."""
    stopped_until: float = -math.inf
    round_trip: float = 0.1

    _next_send: float = -math.inf
    _credit: int = 0
    _quickest: float = 0.1
    _best: float = 0.0
    _counted: int = 0
    _counting_since: float = math.inf
    _cut_at: float = -math.inf
    _ready_at: float = -math.inf
    _epoch: list[Sent] = field(default_factory=list)
    _judge_at: float = math.inf
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    _accepted: deque[float] = field(default_factory=deque)
    _refused_at: float = -math.inf
    _struck_at: float = -math.inf
    _stops: float = 0.0
    _stops_before: float = 0.0
    _stops_at_cut: float = 0.0
    _last_stop: float = 0.0
    _again: int = 0
    _lowered: bool = False
    _doubted: bool = False
    _soon: int = 0
    _interval: float = PROBE_SECONDS
    _cost: float = 0.0
    _probe_at: float = math.inf
    _probe: Probe | None = None

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until one more may leave: 0 at once, infinity when only an answer can make room."""
        self._judge(now)
        if now < self.stopped_until:
            return self.stopped_until - now
        # A refused place is not filled again before it is known why it was refused.
        if in_flight >= self.level - len(self._epoch):
            return max(0.001, self._judge_at - now)
        if self.rate is not None and now < self._next_send - _TICK:
            return self._next_send - now
        return 0.0

    def sent(self, now: float, in_flight: int) -> Sent:
        """Note that one more left; *in_flight* counts it."""
        if self.rate is not None:
            # A late sender may catch up by one request, never by a burst.
            self._next_send = max(self._next_send + 1 / self.rate, now)
        return Sent(now, in_flight)

    def accepted(self, sent: Sent, now: float) -> None:
        """Note an answer that was not a refusal, whatever it said."""
        took = now - sent.at
        self.round_trip += 0.1 * (took - self.round_trip)
        self._quickest = min(took, self._quickest + 0.002 * (took - self._quickest))
        self._count(now)
        self._recent.append(False)
        self._accepted.append(sent.at)
        if self._accepted[0] < now - 2 * MEMORY - self._cost:
            self._accepted.popleft()
        self._judge(now)
        if sent.at < self._cut_at or self._epoch:
            return
        if self._probe is not None:
            self._climb(self._probe, sent, now)
        elif self.known is not None and self.level < self.known:
            self.level += 1
            self._ready_at = now
        elif self.known is None and sent.level >= self.level - 1:
            self._credit += 1
            if self._credit >= GROWTH_ANSWERS:
                self._credit = 0
                self.level = min(self.level + 1, self.ceiling)
        elif now >= self._probe_at and sent.level >= self.level - 1 and self.level < self.ceiling:
            base = self.rate or max(self._best, self.level / self.round_trip)
            self._raise(Probe(base, self.known or self.level, had_rate=self.rate is not None), base, now)

    def refused(self, sent: Sent, now: float, retry_after: float | None) -> None:
        """Note a 429. Nothing may leave before *retry_after* seconds have passed."""
        self._recent.append(True)
        if retry_after:
            self._cost = max(retry_after, 0.5 * self._cost)
            self._stop(now, now + retry_after)
        if sent.at < self._cut_at:
            # It left before the last cut: old news, but it may show that the cut was too small.
            if self.known is not None and self.rate is None:
                self.known = max(min(self.known, sent.level - 1), self.known // 2, 1)
                self.level = min(self.level, self.known)
            return
        if not self._epoch:
            # Judged once everything that was under way has been answered.
            self._judge_at = now + self.round_trip
        self._epoch.append(sent)
        self._judge_at = max(self._judge_at, self.stopped_until)

    def _count(self, now: float) -> None:
        """Keep the best rate of any second, forgetting it slowly: what the account and this machine can do."""
        self._counting_since = min(self._counting_since, now)
        self._counted += 1
        span = now - self._counting_since
        if span >= 1.0:
            self._best = max(self._counted / span, 0.98 * self._best)
            self._counted, self._counting_since = 0, now

    def _stop(self, now: float, until: float) -> None:
        begins = max(now, self.stopped_until)
        self.stopped_until = max(self.stopped_until, until)
        self._stops += max(0.0, self.stopped_until - begins)

    def _judge(self, now: float) -> None:
        if now < self._judge_at:
            return
        epoch, self._epoch, self._judge_at = self._epoch, [], math.inf
        at = epoch[0].at
        self._soon = self._soon + 1 if at - self._struck_at - self._last_stop < SOON else 0
        self._struck_at = at
        # One refusal in a round trip may be chance. On new ground it is believed where a second look would
        # cost another Retry-After; on old ground, when it comes again and again.
        is_new_ground = self.known is None or self._probe is not None
        needed = 1 if self._cost and (is_new_ground or self._soon > 1) else 2 if self.level < FEW else 3
        count = len(epoch)
        if self._probe is not None:
            self._probe.refused += count
            count, needed = self._probe.refused, min(needed, 2)
        is_limit = count >= needed or sum(self._recent) > CHANCE
        if is_limit:
            self._cut(now, epoch)
        elif self.rate is not None and self._probe is None and sum(self._recent) > 1:
            self.rate *= 0.985
            self._recent.clear()
        if is_limit or self._cost:
            self._stops_before, self._last_stop = self._stops, self._stops - self._stops_before

    def _cut(self, now: float, epoch: list[Sent]) -> None:
        before, probe, self._probe = self.known or self.level, self._probe, None
        at = epoch[0].at
        is_again = at - self._ready_at < MEMORY
        between = self._between(at) if is_again else 0.0
        is_at_once = is_again and between == 0.0
        known = max(1, min(before, min(sent.level for sent in epoch) - 1))
        if probe is not None:
            fitting = known if probe.good_rate and not probe.had_rate and known > probe.known else 0
            if fitting and not self._cost:
                # More was allowed, up to one less than was refused: so many at once, until that is refused too.
                self.rate, self._doubted = None, True
            else:
                self.rate = probe.rate_after(at, self.round_trip)
                fitting = self._fitting(SPARE * (self.rate or 0.0))
            known = max(probe.known, fitting)
        elif is_at_once:
            # Refused at once although less was sent: wait, as a Retry-After would make us, and cut no deeper.
            self._again += 1
            self._stop(now, now + min(1.0, 0.05 * 2**self._again))
            known = before
        elif is_again and (
            self.rate is not None or (self._cost and self._lowered) or self._doubted or known < 0.7 * before
        ):
            # Refused far below what was allowed a moment ago: so many a second, not so many at once.
            # Between two refusals the account answered all that it allows: that is its rate.
            self.rate = 0.98 * between if self.rate is None else min(0.97 * self.rate, 0.98 * between)
            known = max(known, self._fitting(SPARE * self.rate))
        elif is_again:
            # Answers under way look as if they were still in flight over there: the limit is one lower, or so.
            self._lowered = True
        elif self.rate is not None:
            self.rate *= 0.97
            known = before
        if not is_at_once:
            self._again, self._refused_at = 0, at
            self._stops_at_cut = self._stops_before
        if not is_again:
            self._lowered = False
        if probe is None:
            self._doubted = False
        is_better = probe is not None and self.rate is not None and self.rate > 1.05 * probe.base
        self._best *= min(1.0, known / before)
        self._interval = min(2 * self._interval, PROBE_LONGEST) if probe and not is_better else PROBE_SECONDS
        self._interval = max(self._interval, PROBE_COST * self._cost)
        self._probe_at = now + self._interval
        self._cut_at = self._ready_at = now
        self._recent.clear()
        self.known = known
        # Start again from below: if the limit is a rate, the whole level at once would be refused again, which is
        # dear where each refusal costs a Retry-After.
        self.level = max(1, min(self.level, known // (4 if self._cost else 2)))

    def _between(self, at: float) -> float:
        """Accepted a second from the last cut to the refusal at *at*; 0 where that is too short to tell.

        A rate limit that refused at both ends let through exactly its rate in between, unless its burst
        allowance filled up while little was sent (that makes it too low), or had filled up before sending was
        at full level again (that makes it too high): the truth lies between the two.
        """
        whole = [sent for sent in self._accepted if self._refused_at < sent <= at]
        if len(whole) < ENOUGH:
            return 0.0
        low = len(whole) / max(at - self._refused_at - self._stopped(), self.round_trip)
        busy = sum(sent > self._ready_at for sent in whole)
        return low if busy < ENOUGH else math.sqrt(low * busy / (at - self._ready_at))

    def _stopped(self) -> float:
        """Seconds since the last cut in which nothing could be sent."""
        return self._stops_before - self._stops_at_cut

    def _fitting(self, rate: float) -> int:
        """In flight at *rate*, when answers come as quickly as they can: a slow moment must not raise it."""
        return math.ceil(rate * self._quickest)

    def _raise(self, probe: Probe, rate: float, now: float) -> None:
        """Take the next step of *probe* from *rate*."""
        self._probe = probe
        self.rate = probe.begin(rate, now)
        wanted = max((self.known or self.level) + 1, self._fitting(self.rate) + 1)
        self.level = self.known = min(wanted, self.ceiling)

    def _climb(self, probe: Probe, sent: Sent, now: float) -> None:
        """Go on with *probe* once its last step was answered without a refusal."""
        rate = self.rate or probe.base
        probe.accept(sent.at)
        shown = probe.step(rate, self.round_trip, now)
        if shown is Step.EMPTY:
            self._end(probe, now)
        if shown is not Step.PASSED:
            return
        probe.good_rate = rate
        if self.level >= self.ceiling:
            self._probe, self.rate, self._probe_at = None, None, math.inf
            return
        self._raise(probe, rate, now)

    def _end(self, probe: Probe, now: float) -> None:
        """Give up *probe*, which showed nothing."""
        self._probe = None
        self.rate = max(probe.base, probe.good_rate) if probe.had_rate else None
        self.known = max(probe.known, self._fitting(SPARE * (self.rate or 0.0)))
        self.level = min(self.level, self.known)
        self._probe_at = now + self._interval
