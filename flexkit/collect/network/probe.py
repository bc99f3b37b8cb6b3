"""A careful attempt to read faster: a rate raised step by step, and what is known when it ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

STEPS = (1.03, 1.06, 1.12, 1.25)
"""Factors by which a probe raises the rate, one after the other, as long as nothing is refused."""
EXCESS = 5.0
"""A step has passed once it sent so many more than the last would have: a small burst allowance hides less."""
BURST = 10.0
"""Burst allowance that a rate limit is assumed to have, when a probe is used to estimate it."""
NEARLY = 0.97
"""Share of a step's rate that must have been reached for the step to show anything."""


class Step(StrEnum):
    """What the current step of a probe shows."""

    OPEN = "open"
    PASSED = "passed"
    EMPTY = "empty"
    """Nothing was refused, but so much was not sent: this machine or the network was the limit."""


@dataclass(slots=True)
class Probe:
    """One attempt, from *base* requests a second and *known* in flight."""

    base: float
    known: int
    had_rate: bool
    """Whether a rate limit was known before."""
    good_rate: float = 0.0
    """The highest rate that passed; 0 where none did."""
    accepted: int = 0
    refused: int = 0
    _steps: list[tuple[float, int]] = field(default_factory=list)

    def begin(self, rate: float, now: float) -> float:
        """Begin the next step from *rate*; the rate to send at."""
        self._steps.append((now, self.accepted))
        return rate * self._factor

    @property
    def _factor(self) -> float:
        return STEPS[min(len(self._steps), len(STEPS)) - 1]

    def accept(self, sent_at: float) -> None:
        """Note an accepted request."""
        self.accepted += sent_at >= self._steps[0][0]

    def step(self, rate: float, round_trip: float, now: float) -> Step:
        """What the step at *rate* shows by *now*."""
        begun, accepted = self._steps[-1]
        enough = max(2 * round_trip, EXCESS / (rate - rate / self._factor))
        # Answers lag a round trip behind what was sent.
        spent = now - begun - round_trip
        if spent < enough:
            return Step.OPEN
        if (self.accepted - accepted) / spent >= NEARLY * rate:
            return Step.PASSED
        return Step.EMPTY if spent > 3 * enough else Step.OPEN

    def rate_after(self, at: float, round_trip: float) -> float | None:
        """The rate to keep after a refusal at *at*; None where the limit is not a rate."""
        if not self.good_rate:
            return self.base if self.had_rate else None
        likely = max((self.accepted - before - BURST) / max(at - begun, round_trip) for begun, before in self._steps)
        # Half of the first step is safe to keep even if a burst allowance hid the rest; all of it after two.
        safe = 1.015 if len(self._steps) < 3 else 1.03
        return max(self.base * safe, min(self.good_rate, likely))
