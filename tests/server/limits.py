"""Limits of an account: so many requests at once, so many a second, and whether a Retry-After was kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

GRACE = 0.02
"""Seconds within which a request may have left before the refusal could be read."""


@dataclass
class Limit:
    """Refuses more than *at_once* in flight, and more than *per_second* with an allowance of *burst*."""

    at_once: int | None = None
    per_second: float | None = None
    burst: float = 10.0
    retry_after: float | None = None
    refused: int = 0
    accepted: int = 0
    violations: int = 0
    in_flight: int = 0
    highest: int = 0
    first_at: float | None = None
    last_at: float = 0.0
    _held: float = 0.0
    """Seconds that all accepted requests together were in flight here."""
    _tokens: float = field(default=-1.0)
    _filled_at: float = 0.0
    _closed: tuple[float, float] = (0.0, 0.0)

    def enter(self) -> bool:
        """Whether one more may be served now."""
        now = time.monotonic()
        self.first_at = self.first_at or now
        begun, ends = self._closed
        if begun + GRACE < now < ends:
            self.violations += 1
        if (self.at_once is not None and self.in_flight >= self.at_once) or not self._has_token(now):
            self.refused += 1
            if self.retry_after:
                self._closed = (now, now + self.retry_after)
            return False
        self._held -= now
        self.in_flight += 1
        self.highest = max(self.highest, self.in_flight)
        return True

    def leave(self) -> None:
        """One was served."""
        self.in_flight -= 1
        self.accepted += 1
        self.last_at = time.monotonic()
        self._held += self.last_at

    def _has_token(self, now: float) -> bool:
        if self.per_second is None:
            return True
        if self._tokens < 0:
            self._tokens, self._filled_at = self.burst, now
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def report(self) -> dict[str, float]:
        """What was seen."""
        seconds = self.last_at - (self.first_at or self.last_at)
        return {
            "accepted": self.accepted,
            "held_ms": 1000 * self._held / max(self.accepted, 1),
            "refused": self.refused,
            "violations": self.violations,
            "highest": self.highest,
            "seconds": seconds,
            "rate": self.accepted / seconds if seconds else 0.0,
        }
