"""A half-open span of time in UTC, and how people write one."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from flexkit.errors import UsageError

_SPAN = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, ``[start, end)``, in UTC."""

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.tzinfo is None:
                msg = f"Window {name} {instant.isoformat()} has no time zone. Add one, such as 'Z' for UTC."
                raise UsageError(msg)
        object.__setattr__(self, "start", self.start.astimezone(dt.UTC))
        object.__setattr__(self, "end", self.end.astimezone(dt.UTC))
        if self.start >= self.end:
            msg = (
                f"Window ends before it starts: {self.start.isoformat()} >= {self.end.isoformat()}. "
                "Swap 'since' and 'until'."
            )
            raise UsageError(msg)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.end - self.start).total_seconds()

    @property
    def days(self) -> float:
        """Length in days of 24 hours."""
        return self.seconds / 86_400

    def reaching(self, days: float) -> Window:
        """This window, begun earlier where it is shorter than *days*: for baselines and comparisons."""
        return Window(min(self.start, self.end - dt.timedelta(days=days)), self.end)

    def not_before(self, instant: dt.datetime | None) -> Window:
        """This window, begun later where *instant*, such as the first evidence held, lies inside it."""
        return Window(instant, self.end) if instant is not None and instant in self else self

    def __contains__(self, instant: object) -> bool:
        return isinstance(instant, dt.datetime) and self.start <= instant < self.end

    def __str__(self) -> str:
        return f"{stamp(self.start)} to {stamp(self.end)}"


def stamp(instant: dt.datetime) -> str:
    """An instant as ISO 8601 in UTC, to the second (to the microsecond where it has a fraction)."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def parse_instant(text: str, *, now: dt.datetime) -> dt.datetime:
    """An ISO instant with a zone, a date (midnight UTC), or a span such as ``7d`` or ``24h`` before *now*."""
    words = text.strip()
    if span := _SPAN.fullmatch(words):
        try:
            return now - dt.timedelta(**{_UNITS[span["unit"]]: int(span["count"])})
        except OverflowError:
            msg = f"{text!r} is too long a span. Write a date instead, such as 2026-10-14."
            raise UsageError(msg) from None
    try:
        if len(words) == len("2026-01-31"):
            return dt.datetime.combine(dt.date.fromisoformat(words), dt.time(), dt.UTC)
        instant = dt.datetime.fromisoformat(words)
    except ValueError:
        msg = (
            f"{text!r} is not a time. Write an instant (2026-10-14T09:00:00Z), a date (2026-10-14) "
            "or a span before now (7d, 24h)."
        )
        raise UsageError(msg) from None
    if instant.tzinfo is None:
        msg = f"{text!r} has no time zone. Add one: {words}Z for UTC, or an offset such as {words}+02:00."
        raise UsageError(msg)
    return instant.astimezone(dt.UTC)
