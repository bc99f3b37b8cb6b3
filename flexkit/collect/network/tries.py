"""How long to wait for what, when to ask again and when to give up. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRIED = frozenset({408, 500, 502, 503, 504})
"""Answers after which another try may help; 429 is the pace's business, every other 4xx is final."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds, and how often to try."""

    connect: float = 10.0
    idle: float = 20.0
    request: float = 60.0
    """For one try, from the first byte sent to the last received: a body that drips does not pass."""
    tries: int = 6
    first_pause: float = 0.5
    longest_pause: float = 8.0
    refused: float = 900.0
    """For one request that is refused (429) again and again."""


class Fault(Exception):  # noqa: N818 - never seen outside the transport
    """One try failed in a way that another may not."""

    def __init__(self, kind: str, *, is_refusal: bool = False, wait: float | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.is_refusal = is_refusal
        self.wait = wait


@dataclass(slots=True)
class Asking:
    """One request with all its tries."""

    host: str
    address: str
    headers: Mapping[str, str]
    url: str
    begun_at: float
    faults: list[Fault] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """Faults that were no refusals."""
        return sum(not fault.is_refusal for fault in self.faults)

    def is_over(self, patience: Patience, now: float) -> bool:
        """Whether *patience* with it is at its end."""
        last = self.faults[-1]
        if (last.wait or 0) > patience.refused:
            return True
        if last.is_refusal:
            return now - self.begun_at + (last.wait or 0) > patience.refused
        return self.failures >= patience.tries

    def pause(self, patience: Patience) -> float:
        """Seconds before the next try; the line in front of the door makes a refused one wait out its Retry-After."""
        if self.faults[-1].is_refusal:
            count = len(self.faults) - self.failures
            return 0.0 if self.faults[-1].wait else random.uniform(0.1, 0.3) * min(2 ** (count - 1), 4)
        longest: float = min(patience.first_pause * 2 ** (self.failures - 1), patience.longest_pause)
        return random.uniform(0.5, 1.0) * longest

    def given_up(self, patience: Patience) -> str:
        """Why no further try is made, without naming the resource."""
        last = self.faults[-1]
        if last.is_refusal:
            spent = max(last.wait or 0, patience.refused)
            return f"refused (HTTP 429), with {spent:,.0f} seconds or more to wait."
        why = f"failed {len(self.faults)} times, at last with: {last.kind}."
        return f"{why} Is there a proxy or a captive portal on the way?" if "web page" in last.kind else why
