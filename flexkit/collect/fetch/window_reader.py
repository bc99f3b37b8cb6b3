"""Resources that are asked for by time: alerts, TaskRouter events, Studio executions, audit events.

Each open span is cut into slices that fit one page. A slice that comes back full is halved, down to one
second, because TaskRouter does not page and because a page token may expire; a full second of a list that
pages is paged, of one that does not it is kept and marked as saturated.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.pages import Listing
from flexkit.collect.fetch.sink import Covered
from flexkit.collect.fetch.windows import Slices, joined
from flexkit.collect.network.answers import RefusedError, UnavailableError
from flexkit.errors import FetchError
from flexkit.terms import CoverageState
from flexkit.window import stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flexkit.collect.fetch.pages import Page
    from flexkit.collect.fetch.run import Run
    from flexkit.terms import Source
    from flexkit.window import Window

AT_ONCE = 2
"""Slices of one resource that are read side by side; a page of a thousand events is a megabyte and a half."""
_SLACK = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timed:
    """A resource that is asked for by time."""

    name: str
    """What the fetch calls its source."""
    source: Source
    resource: str
    version: Any
    path: str
    key: str
    since: str
    until: str
    time: str
    """The field that dates an item."""
    does_page: bool = True

    def asking(self, window: Window) -> dict[str, str]:
        """The parameters that ask for *window*, both ends included."""
        return {self.since: stamp(window.start), self.until: stamp(window.end)}


class WindowReader:
    """Reads the open windows of one resource; *keep* takes the items of a slice and returns what is to be awaited."""

    def __init__(self, run: Run, timed: Timed, keep: Callable[[list[Any], list[Covered]], Awaitable[None]]) -> None:
        self._run = run
        self._timed = timed
        self._keep = keep
        self._slices = Slices(run.held.open_windows(timed.source, timed.resource, run.window))
        self._changed = asyncio.Event()
        self._reading = 0

    def start(self) -> None:
        """Hand the work to the pool."""
        for _ in range(AT_ONCE):
            self._run.jobs.add(self._work)

    async def _work(self) -> None:
        while True:
            window = self._slices.take()
            if window is None:
                if not self._reading:
                    return
                # Another reader may still bring halves of a full slice.
                self._changed.clear()
                await self._changed.wait()
                continue
            self._reading += 1
            try:
                # Awaited out here: while it waits for the store, no frame holds the parsed page any more.
                keeping = await self._read(window)
                if keeping is not None:
                    await keeping
            finally:
                self._reading -= 1
                self._changed.set()

    async def _read(self, window: Window) -> Awaitable[None] | None:
        """Read one slice; what is left to do is to keep it."""
        timed, run = self._timed, self._run
        try:
            page = await run.asker.page(timed.version, timed.path, timed.key, timed.asking(window))
        except RefusedError as refused:
            return self._refused(window, refused)
        except FetchError as error:
            return self._left_open([window], error.why if isinstance(error, UnavailableError) else str(error))
        if page.is_full and self._is_outside(page, window):
            return self._left_open([window], f"{timed.resource} answered with other times than were asked for")
        if page.is_full and self._slices.split(window):
            return None
        return await self._settle(window, page)

    async def _settle(self, window: Window, page: Page) -> Awaitable[None]:
        timed = self._timed
        if page.is_full and not timed.does_page:
            listing = Listing(page.items)
            state, reason = CoverageState.SATURATED, "more rows in one second than a page holds; the rest is not told"
            self._run.summary.warn(f"{timed.resource}: the second at {stamp(window.start)} holds more than one page.")
        else:
            listing = await self._run.asker.listing(
                timed.version, timed.path, timed.key, timed.asking(window), first=page
            )
            state, reason = CoverageState.COMPLETE, None
        if listing.problem is not None:
            state, reason = CoverageState.PARTIAL, listing.problem
            self._run.summary.miss(timed.name, f"{timed.resource} {window}", listing.problem)
        rows = len(listing.items)
        self._slices.settle(window, rows)
        return self._keep(listing.items, [Covered(timed.source, timed.resource, window, rows, state, reason)])

    def _refused(self, window: Window, refused: RefusedError) -> Awaitable[None]:
        """One slice was refused: so is the rest, unless it was the question itself (400)."""
        left = [window] if refused.status == 400 else joined([window, *self._slices.rest()])
        self._run.refuse(self._timed.name, self._timed.resource, refused, whole=refused.status != 400)
        return self._left_open(left, f"refused (HTTP {refused.status})", is_told=True)

    def _left_open(self, windows: list[Window], reason: str, *, is_told: bool = False) -> Awaitable[None]:
        timed = self._timed
        if not is_told:
            self._run.summary.miss(timed.name, f"{timed.resource} {windows[0]}", reason)
        state = CoverageState.PARTIAL
        return self._keep([], [Covered(timed.source, timed.resource, span, 0, state, reason) for span in windows])

    def _is_outside(self, page: Page, window: Window) -> bool:
        """Whether no item of *page* is near *window*: then its times were not heeded, and halving has no end."""
        first, last = stamp(window.start - _SLACK), stamp(window.end + _SLACK)
        times = [item.get(self._timed.time) for item in page.items if isinstance(item, dict)]
        told = [time for time in times if isinstance(time, str)]
        return bool(told) and not any(first <= time <= last for time in told)
