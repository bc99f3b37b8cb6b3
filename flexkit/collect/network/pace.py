"""The line in front of the door: who may send when, for all sources of a run together. No HTTP here.

One controller speaks for the account. A host that refuses again and again while the others answer has a
limit of its own: it is set apart, waits by itself and holds up nobody else.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from flexkit.collect.network.control import Controller, Sent

STRIKES = 3
"""Rounds of refusals without an answer, while other hosts answer, after which a host is set apart."""
LONGEST_WAIT = 30.0
_HAIR = 0.002
"""Beyond a Retry-After, so that no clock finds the request early."""


@dataclass(slots=True)
class _Host:
    """One host: who waits for it, and whether it is set apart."""

    line: deque[tuple[int, asyncio.Future[Sent]]] = field(default_factory=deque)
    stopped_until: float = -math.inf
    in_flight: int = 0
    strikes: int = 0
    struck_at: float = -math.inf
    is_apart: bool = False


class Turn:
    """A place in flight, taken by ``async with``; *refuse* it when the answer was 429."""

    __slots__ = ("_host", "_pace", "is_answered", "is_refused", "retry_after", "sent")

    def __init__(self, pace: Pace, host: _Host) -> None:
        self._pace = pace
        self._host = host
        self.sent = Sent(0.0, 0)
        self.retry_after: float | None = None
        self.is_refused = False
        self.is_answered = False

    async def __aenter__(self) -> Self:
        """Wait for the place."""
        self.sent = await self._pace.place(self._host)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Give the place to the next in line, who sends before this answer is looked into."""
        self._pace.end(self, self._host)
        if kind is None:
            await self._pace.after_sending()

    def refuse(self, retry_after: float | None) -> None:
        """Note that the request was refused, to be sent again after *retry_after* seconds (None: not said)."""
        self.is_refused, self.retry_after = True, retry_after

    def answer(self) -> None:
        """Note that the request was answered, whatever the answer said."""
        self.is_answered = True


class Pace:
    """Gives turns to send: in order of arrival, as many at once and a second as the account allows."""

    def __init__(self, controller: Controller | None = None) -> None:
        self.controller = controller or Controller()
        self.in_flight = 0
        self.highest = 0
        self._hosts: dict[str, _Host] = {}
        self._number = 0
        self._answered: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def turn(self, name: str) -> Turn:
        """A turn to send to host *name*; it begins and ends with its ``async with`` block."""
        return Turn(self, self._hosts.get(name) or self._hosts.setdefault(name, _Host()))

    async def place(self, host: _Host) -> Sent:
        """Wait in line for a place in flight to *host*."""
        ready: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        self._number += 1
        host.line.append((self._number, ready))
        self._pump()
        try:
            return await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():
                self._leave(host)
                self._pump()
            raise

    def end(self, turn: Turn, host: _Host) -> None:
        """Free the place of *turn*, learn from it, and let others send."""
        self._leave(host)
        self._learn(host, turn, asyncio.get_running_loop().time())
        self._pump()

    async def after_sending(self) -> None:
        """Wait until those that may send now have sent, then for one's turn to look into an answer.

        Answers come in bunches. Were all of a bunch parsed before the first of its places is used again, or before
        the loop looks for the next answers, a place would stand empty for a tenth of its time (measured, 24 at once).
        """
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answered.append(ready)
        if len(self._answered) == 1:
            asyncio.get_running_loop().call_soon(self._next_answer)
        await ready

    def _next_answer(self) -> None:
        """Let one answer be looked into, and the next one when the loop has come round."""
        ready = self._answered.popleft()
        if self._answered:
            asyncio.get_running_loop().call_soon(self._next_answer)
        if not ready.done():
            ready.set_result(None)

    def hold(self, name: str, seconds: float) -> None:
        """Send nothing to host *name* for *seconds* (a 503 with Retry-After)."""
        host = self._hosts.setdefault(name, _Host())
        host.stopped_until = max(host.stopped_until, asyncio.get_running_loop().time() + seconds + _HAIR)

    def _leave(self, host: _Host) -> None:
        self.in_flight -= 1
        host.in_flight -= 1

    def _learn(self, host: _Host, turn: Turn, now: float) -> None:
        if turn.is_refused:
            self._strike(host, turn, now)
            return
        if turn.is_answered:
            host.strikes, host.is_apart = 0, False
            self.controller.accepted(turn.sent, now)

    def _strike(self, host: _Host, turn: Turn, now: float) -> None:
        retry_after = None if turn.retry_after is None else turn.retry_after + _HAIR
        if turn.sent.at >= host.struck_at:
            host.strikes += 1
            host.struck_at = now + (retry_after or 0)
        others_answer = any(other.strikes == 0 and other is not host for other in self._hosts.values())
        host.is_apart = host.is_apart or (host.strikes >= STRIKES and others_answer)
        if host.is_apart:
            own = min(0.25 * 2**host.strikes, LONGEST_WAIT)
            host.stopped_until = max(host.stopped_until, now + max(own, retry_after or 0))
        else:
            self.controller.refused(turn.sent, now, retry_after)

    def _pump(self) -> None:
        """Give turns to those in front for as long as the controller allows."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            host, opens_at = self._first(now)
            if host is None:
                self._wake_at(opens_at)
                return
            wait = self.controller.wait(now, self.in_flight)
            if wait > 0:
                self._wake_at(now + wait)
                return
            _, ready = host.line.popleft()
            if ready.done():
                continue
            self.in_flight += 1
            host.in_flight += 1
            self.highest = max(self.highest, self.in_flight)
            ready.set_result(self.controller.sent(now, self.in_flight))

    def _first(self, now: float) -> tuple[_Host | None, float]:
        """The host whose first waiter came first among those that are open; else when one opens."""
        first, number, opens_at = None, math.inf, math.inf
        for host in self._hosts.values():
            while host.line and host.line[0][1].done():
                host.line.popleft()
            if not host.line or (host.is_apart and host.in_flight):
                continue
            if host.stopped_until > now:
                opens_at = min(opens_at, host.stopped_until)
            elif host.line[0][0] < number:
                first, number = host, host.line[0][0]
        return first, opens_at

    def _wake_at(self, at: float) -> None:
        if math.isinf(at):
            return
        if self._timer is not None and self._timer_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._woken)

    def _woken(self) -> None:
        self._timer, self._timer_at = None, math.inf
        self._pump()
