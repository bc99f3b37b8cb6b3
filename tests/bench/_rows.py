"""One line of a benchmark's table of targets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured: what, how much, of which at most so much is wanted; further figures beside it."""

    work: str
    unit: str
    measured: float
    most: float
    beside: str = ""

    @property
    def is_met(self) -> bool:
        """Whether no more was measured than is wanted."""
        return self.measured <= self.most
