"""Spans of time to read: what is open, cut into slices that fit one page, halved where they do not. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections import deque
from typing import TYPE_CHECKING

from flexkit.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECOND = dt.timedelta(seconds=1)
PAGE = 1000
"""Rows that a page is asked to have; the server may lower it."""
SPARE = 50
"""Rows of a full page where the server does not say how many it gives: the API's default."""

_FIRST_WIDTH = 3600.0
LONGEST_WIDTH = 7 * 86_400.0
"""Seconds of the widest slice: weeks without a row take few requests, and a full one is halved."""
_WANTED_ROWS = 600
"""Rows that a slice is cut to hold: well below a page, so that few have to be halved."""


def joined(spans: Iterable[Window]) -> list[Window]:
    """*spans* in order of time, those that overlap or touch made one."""
    found: list[Window] = []
    for span in sorted(spans, key=lambda span: span.start):
        if found and span.start <= found[-1].end:
            if span.end > found[-1].end:
                found[-1] = Window(found[-1].start, span.end)
        else:
            found.append(span)
    return found


def missing(wanted: Window, held: Sequence[Window]) -> list[Window]:
    """The parts of *wanted* that no window of *held* covers."""
    found: list[Window] = []
    start = wanted.start
    for span in joined(held):
        if span.end <= start:
            continue
        if span.start >= wanted.end:
            break
        if span.start > start:
            found.append(Window(start, span.start))
        start = span.end
        if start >= wanted.end:
            return found
    found.append(Window(start, wanted.end))
    return found


def whole_seconds(span: Window) -> Window:
    """*span* widened to whole seconds, the resolution in which Twilio takes times."""
    start = span.start.replace(microsecond=0)
    end = span.end.replace(microsecond=0)
    return Window(start, end if end == span.end else end + SECOND)


def halves(span: Window) -> tuple[Window, Window] | None:
    """The two halves of *span* in whole seconds; None where it is one second long."""
    seconds = round(span.seconds)
    if seconds <= 1:
        return None
    middle = span.start + dt.timedelta(seconds=seconds // 2)
    return Window(span.start, middle), Window(middle, span.end)


class Slices:
    """Hands out slices of *spans*, oldest first: what is about to expire is read first.

    Their width follows the rows that earlier slices held, within an hour to begin with and a week at most.
    """

    def __init__(self, spans: Iterable[Window]) -> None:
        self._spans = deque(whole_seconds(span) for span in joined(spans))
        self._returned: list[Window] = []
        self._width = _FIRST_WIDTH

    def take(self) -> Window | None:
        """The next slice, or nothing where all were handed out."""
        if self._returned:
            return self._returned.pop()
        if not self._spans:
            return None
        span = self._spans.popleft()
        end = span.start + dt.timedelta(seconds=max(1, math.floor(self._width)))
        if end >= span.end:
            return span
        self._spans.appendleft(Window(end, span.end))
        return Window(span.start, end)

    def settle(self, window: Window, rows: int) -> None:
        """Learn that *window* held *rows* rows, to cut the next ones by."""
        fitting = window.seconds * _WANTED_ROWS / rows if rows else math.inf
        self._width = min(max(1.0, fitting), 4 * max(self._width, window.seconds), LONGEST_WIDTH)

    def split(self, window: Window) -> bool:
        """Take *window* back as two halves, for it was full; False where it cannot be halved."""
        two = halves(window)
        if two is None:
            return False
        self._returned.extend(reversed(two))
        self._width = min(self._width, max(1.0, window.seconds / 2))
        return True

    def rest(self) -> list[Window]:
        """What was not handed out, taken away."""
        left = joined([*self._returned, *self._spans])
        self._returned.clear()
        self._spans.clear()
        return left
