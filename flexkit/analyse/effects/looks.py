"""When a verdict may be given: dated looks, with boundaries that make up for looking more than once."""

from __future__ import annotations

from dataclasses import dataclass

LOOKS: tuple[tuple[int, float], ...] = ((7, 4.05), (14, 2.86), (21, 2.34), (28, 2.02), (56, 1.96))
"""Days after the fix, and the normal deviate that the effect must exceed (O'Brien-Fleming for the first four).

The interval stands as it is after 28 days; looking once more after 56 raises the false verdicts of a fix without
effect only a little (measured: see the table of `python -m tests.bench effects`).
"""
LAST_LOOK = LOOKS[-1][0]


@dataclass(frozen=True, slots=True)
class Look:
    """One dated look: its number from 1, the days of data that it uses, its boundary, and the p value for that."""

    number: int
    days: int
    z: float

    @property
    def p_value(self) -> float:
        """Two-sided p value at the boundary."""
        from scipy import special

        return float(2 * special.ndtr(-self.z))


def latest_look(age_days: int) -> Look | None:
    """The last look that has come *age_days* after the fix; None before the first."""
    passed = [Look(number, days, z) for number, (days, z) in enumerate(LOOKS, start=1) if days <= age_days]
    return passed[-1] if passed else None


def next_look(age_days: int) -> int | None:
    """Days after the fix of the next look; None after the last."""
    coming = [days for days, _ in LOOKS if days > age_days]
    return coming[0] if coming else None
