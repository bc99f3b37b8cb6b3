"""One fetch under way: what all readers share, the pool that they work in, and what a failure means for the rest."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.summary import AGAIN
from flexkit.collect.network.answers import RefusedError, UnavailableError
from flexkit.errors import CredentialError, FetchError, StoreError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Iterator

    from flexkit.collect.fetch.held import Held
    from flexkit.collect.fetch.pages import Asker
    from flexkit.collect.fetch.sink import Sink
    from flexkit.collect.fetch.summary import FetchSummary
    from flexkit.collect.network.transport import Transport
    from flexkit.tables.normalize import RecordKind
    from flexkit.window import Window

WORKERS = 96
"""Readers at work; how many requests are in flight is the pace's decision."""
_FORBIDDEN = 3
"""Resources of one source that are refused (403) before the source is given up."""


class StopError(FetchError):
    """The whole fetch must stop; all that came is kept."""


@dataclass
class Run:
    """What the readers of one fetch share."""

    client: Any
    transport: Transport
    asker: Asker
    sink: Sink
    held: Held
    summary: FetchSummary
    window: Window
    sources: frozenset[str]
    now: Callable[[], dt.datetime]
    jobs: Jobs
    interactions: set[str] = field(default_factory=set)
    conversations: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    found: set[str] = field(default_factory=set)
    """Sources of which a single resource was found."""
    gone: dict[str, list[tuple[RecordKind, str]]] = field(default_factory=dict)
    """Single resources that Twilio does not know (404), and that have no tombstone yet."""
    open_units: set[str] = field(default_factory=set)
    """Resources of which an earlier fetch could not read a part."""
    _forbidden: dict[str, int] = field(default_factory=dict)

    def wants(self, source: str) -> bool:
        """Whether *source* is switched on and was not refused."""
        return source in self.sources and source not in self.closed

    @contextlib.contextmanager
    def guard(self, source: str, resource: str, *, whole: bool = False) -> Iterator[None]:
        """Note what keeps *resource* of *source* from being read, and go on; *whole* if it is the source itself.

        Refused credentials and a store that cannot be written end the fetch instead.
        """
        try:
            yield
        except RefusedError as refused:
            self.refuse(source, resource, refused, whole=whole)
        except (StoreError, CredentialError, StopError):
            raise
        except FetchError as error:
            self.miss(source, resource, error)

    def miss(self, source: str, resource: str, error: FetchError) -> None:
        """Note that *resource* could not be read."""
        self.summary.miss(source, resource, error.why if isinstance(error, UnavailableError) else str(error))

    def refuse(self, source: str, resource: str, refused: RefusedError, *, whole: bool = False) -> None:
        """Note that *resource* was *refused*, and what that means for its source."""
        if refused.status == 401 and refused.host in self.transport.answered_hosts:
            msg = (
                f"Twilio stopped accepting the credentials of {self.summary.account} at {refused.host} (HTTP 401). "
                "Check that the key still exists, then run 'flexkit fetch' again."
            )
            raise StopError(msg) from None
        if refused.status in (401, 403):
            self._forbidden[source] = self._forbidden.get(source, 0) + 1
            reason = f"{refused.host} does not let these credentials read it (HTTP {refused.status})."
            advice = f"Allow it for the API key, or leave it out with --without {source}."
            self.summary.miss(source, resource, reason, advice)
            if whole or self._forbidden[source] >= _FORBIDDEN:
                self.closed.add(source)
        elif refused.status == 404:
            reason = f"{refused.host} knows nothing there (HTTP 404)."
            self.summary.miss(source, resource, reason, "Is the product enabled for this account?", is_open=whole)
        else:
            self.summary.miss(source, resource, f"{refused.host} refused it (HTTP {refused.status}).", AGAIN)


class Jobs:
    """A pool of readers that work off a queue; new jobs may come from jobs."""

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = workers
        self._queue: asyncio.Queue[tuple[Callable[..., Awaitable[None]], tuple[Any, ...]]] = asyncio.Queue()
        self.known = 0
        self.done = 0

    def add(self, job: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Add a job at the end of the queue."""
        self.known += 1
        self._queue.put_nowait((job, arguments))

    async def run(self) -> None:
        """Work until nothing is left. The first error ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._work()) for _ in range(self._workers)]
                await self._queue.join()
                for worker in workers:
                    worker.cancel()
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _work(self) -> None:
        while True:
            job, arguments = await self._queue.get()
            await job(*arguments)
            self.done += 1
            self._queue.task_done()
