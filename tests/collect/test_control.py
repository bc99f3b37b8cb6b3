"""The controller against limits of both kinds, on a clock that does not wait."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field

import pytest

from flexkit.collect.network.control import Controller

LATENCY = 0.05


@dataclass
class AtOnce:
    """An account that allows *allowed* requests at once, from each of the *times* on."""

    allowed: int
    retry_after: float | None = None
    changes: list[tuple[float, int]] = field(default_factory=list)
    in_flight: int = 0

    def takes(self, now: float) -> bool:
        while self.changes and now >= self.changes[0][0]:
            self.allowed = self.changes.pop(0)[1]
        if self.in_flight >= self.allowed:
            return False
        self.in_flight += 1
        return True

    def ends(self) -> None:
        self.in_flight -= 1


@dataclass
class PerSecond:
    """An account that allows *rate* requests a second, with an allowance of *burst*."""

    rate: float
    burst: float
    retry_after: float | None = None
    at: float = 0.0
    tokens: float = -1.0

    def takes(self, now: float) -> bool:
        filled = self.burst if self.tokens < 0 else self.tokens + (now - self.at) * self.rate
        self.tokens, self.at = min(self.burst, filled), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def ends(self) -> None:
        pass


@dataclass
class Chance(AtOnce):
    """An account that refuses one request in *one_in*, for no reason."""

    one_in: float = 500
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def takes(self, now: float) -> bool:
        return self.rng.random() >= 1 / self.one_in and super().takes(now)


@dataclass
class Seen:
    rate: float
    refused_per_thousand: float
    early: int
    controller: Controller


def read(account: AtOnce | PerSecond, total: int, *, refusal: float = 0.002, seed: int = 1) -> Seen:
    """Send *total* requests as fast as the controller allows; refusals are answered after *refusal* seconds."""
    rng, controller = random.Random(seed), Controller()
    queue: list[tuple[float, int, str, object]] = []
    again: list[float] = []
    now = closed_until = wake_at = 0.0
    waiting, in_flight, done, refused, early, number = total, 0, 0, 0, 0, 0

    def push(at: float, kind: str, sent: object) -> None:
        nonlocal number, wake_at
        if kind == "wake":
            if now < wake_at <= at:
                return
            wake_at = at
        number += 1
        heapq.heappush(queue, (at, number, kind, sent))

    while done < total:
        while waiting or (again and again[0] <= now):
            wait = controller.wait(now, in_flight)
            if wait > 0:
                if wait < math.inf:
                    push(now + wait, "wake", None)
                break
            if again and again[0] <= now:
                heapq.heappop(again)
            else:
                waiting -= 1
            in_flight += 1
            sent = controller.sent(now, in_flight)
            early += now < closed_until - 1e-9
            taken = account.takes(now + 0.001)
            push(now + 0.002 + (LATENCY * rng.uniform(1.0, 1.1) if taken else refusal), "ok" if taken else "no", sent)
        if again and (not queue or again[0] < queue[0][0]) and again[0] > now:
            push(again[0], "wake", None)
        now, _, kind, sent = heapq.heappop(queue)
        if kind == "ok":
            in_flight, done = in_flight - 1, done + 1
            account.ends()
            controller.accepted(sent, now)  # type: ignore[arg-type]
        elif kind == "no":
            in_flight, refused = in_flight - 1, refused + 1
            closed_until = max(closed_until, now + (account.retry_after or 0))
            controller.refused(sent, now, account.retry_after)  # type: ignore[arg-type]
            heapq.heappush(again, now + (account.retry_after or 0) + rng.uniform(0.1, 0.3))
    return Seen(done / now, 1000 * refused / total, early, controller)


@pytest.mark.parametrize("allowed", [2, 5, 8, 24, 40])
@pytest.mark.parametrize("refusal", [0.002, 0.05])
def test_a_limit_on_requests_at_once_is_found_and_kept(allowed: int, refusal: float) -> None:
    total = 300 * allowed
    seen = read(AtOnce(allowed), total, refusal=refusal)

    assert seen.rate > 0.86 * allowed / (LATENCY * 1.05)
    # Each failed probe costs two to four, and they become rarer.
    assert seen.refused_per_thousand * total / 1000 <= 10 + total / 400
    assert seen.controller.known in (allowed, allowed + 1)


@pytest.mark.parametrize("allowed", [8, 24])
def test_with_retry_after_nothing_is_sent_early_and_little_is_lost(allowed: int) -> None:
    seen = read(AtOnce(allowed, retry_after=1.0), 500 * allowed)

    assert seen.early == 0
    assert seen.rate > 0.80 * allowed / LATENCY
    assert seen.refused_per_thousand <= 1


@pytest.mark.parametrize("burst", [10, 20])
@pytest.mark.parametrize("refusal", [0.002, 0.05])
def test_a_rate_limit_is_paced(burst: float, refusal: float) -> None:
    seen = read(PerSecond(100, burst), 6000, refusal=refusal)

    assert seen.rate > 95
    assert seen.refused_per_thousand <= 11
    assert seen.controller.rate == pytest.approx(100, rel=0.12)


@pytest.mark.parametrize("burst", [5, 10])
def test_a_rate_limit_with_retry_after_is_taken_for_one_before_many_seconds_are_lost(burst: float) -> None:
    seen = read(PerSecond(100, burst, retry_after=1.0), 4000)

    assert seen.early == 0
    assert seen.rate > 75
    assert seen.refused_per_thousand <= 5


def test_isolated_refusals_do_not_drag_it_down() -> None:
    seen = read(Chance(24, one_in=500), 6000)

    assert seen.rate > 0.88 * 24 / (LATENCY * 1.05)


def test_a_limit_that_falls_and_rises_is_followed() -> None:
    seen = read(AtOnce(24, changes=[(10.0, 8), (20.0, 40)]), 9000)

    # 10 s at 24, 10 s at 8, the rest at up to 40: never following would give 152 a second, knowing it 470.
    assert seen.rate > 220
    assert seen.refused_per_thousand <= 10


def test_nothing_leaves_while_the_account_is_closed() -> None:
    controller = Controller()
    sent = controller.sent(0.0, 1)

    controller.refused(sent, 0.1, 2.0)

    assert controller.wait(1.0, 0) == pytest.approx(1.1)
    assert controller.wait(2.2, 0) == 0


def test_no_limit_means_the_ceiling() -> None:
    seen = read(AtOnce(10_000), 10_000)

    assert seen.controller.level == seen.controller.ceiling
    assert seen.refused_per_thousand == 0
