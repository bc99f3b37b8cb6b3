"""The words of one figure: its finding, its measure, what can be seen, and what to conclude."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flexkit.window import Window


@dataclass(frozen=True, slots=True)
class Said:
    """Title and subtitle of a chart, its alternative text, and the caption under it."""

    title: str
    subtitle: str
    alt: str
    caption: str


def day(on: dt.date) -> str:
    """A day as a sentence names it: ``14 October``."""
    return f"{on.day} {on:%B}"


def long_day(on: dt.date) -> str:
    """A day with its year: ``14 Oct 2026``."""
    return f"{on.day} {on:%b %Y}"


def days_of(window: Window, zone: str) -> str:
    """The local days that *window* touches: ``24 Sep to 21 Oct 2026 (Europe/Berlin)``."""
    from zoneinfo import ZoneInfo

    first = window.start.astimezone(ZoneInfo(zone)).date()
    last = (window.end - dt.timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()
    start = f"{first.day} {first:%b}" + ("" if first.year == last.year else f" {first.year}")
    return f"{start} to {long_day(last)} ({zone})"
