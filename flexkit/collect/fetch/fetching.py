"""One fetch from its first question to its summary: in which order, and what is done when something fails."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.by_sid import bury_the_rest, read_conversation, read_interaction, reread_execution
from flexkit.collect.fetch.by_time import start_alerts, start_audit_events
from flexkit.collect.fetch.configuration import read_flows, read_listeners, read_workspaces
from flexkit.collect.fetch.held import RETENTION, Held, unseen
from flexkit.collect.fetch.lock import sign_account
from flexkit.collect.fetch.pages import Asker
from flexkit.collect.fetch.plan import MARGIN, TIMED, late, obtainable
from flexkit.collect.fetch.run import Jobs, Run, StopError
from flexkit.collect.fetch.sink import Covered, Sink, texts
from flexkit.collect.fetch.summary import FetchSummary
from flexkit.collect.network.answers import RefusedError, UnavailableError
from flexkit.collect.network.transport import open_client
from flexkit.errors import CredentialError, ExitCode, FetchError, StoreError
from flexkit.tables.normalize import RecordKind
from flexkit.terms import CoverageState, Source
from flexkit.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flexkit.collect.network.pace import Pace
    from flexkit.collect.network.tries import Patience
    from flexkit.settings import Settings
    from flexkit.tables.redact import Redactor
    from flexkit.tables.store import Store

_SKEW = dt.timedelta(minutes=2)
_NOW = dt.timedelta(minutes=1)


class Fetching:
    """One fetch from its first question to its summary."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        window: Window,
        *,
        sources: frozenset[str],
        keep_raw: Path | None,
        progress: Callable[[FetchSummary, Jobs], None] | None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._asked = window
        self._sources = sources
        self._keep_raw = keep_raw
        self._progress = progress
        self._offset = dt.timedelta()
        self.summary = FetchSummary(account=settings.twilio_account_sid or "")

    def now(self) -> dt.datetime:
        """Now by Twilio's clock: ours may be wrong."""
        return dt.datetime.now(dt.UTC) + self._offset

    async def run(self, redactor: Callable[[], Redactor], patience: Patience | None, pace: Pace | None) -> FetchSummary:
        """Read, store, sum up."""
        begun, used = time.monotonic(), time.process_time()
        client = open_client(self._settings, patience=patience, pace=pace)
        asker = Asker(client)
        try:
            configuration = await self._knock(client, asker)
            sign_account(self._store.path, client.account_sid)
            window = self._window(client.http_client.clock_offset)
            held = Held(self._store)
            sink = Sink(self._store, redactor(), self.summary, now=self.now, keep_raw=self._keep_raw)
            jobs = Jobs()
            run = Run(
                client, client.http_client, asker, sink, held, self.summary, window, self._sources, self.now, jobs
            )
            watching = asyncio.create_task(self._watch(run))
            try:
                await self._begin(run, configuration)
                await self._work(run)
            finally:
                try:
                    await sink.flush()
                finally:
                    watching.cancel()
                    sink.close()
            await self._compact()
        finally:
            await client.http_client.close()
            self._count(client.http_client)
            self.summary.seconds = time.monotonic() - begun
            self.summary.cpu_seconds = time.process_time() - used
        return self.summary

    async def _compact(self) -> None:
        try:
            await asyncio.to_thread(self._store.compact)
        except StoreError as error:
            self.summary.warn(f"All that was read is stored, but not compacted: {error}")

    async def _knock(self, client: Any, asker: Asker) -> dict[str, Any] | None:
        """Ask for the Flex configuration first: it shows whether the credentials and the clock are right."""
        try:
            return dict((await asker.one(client.flex_api.v1, "/Configuration")).payload)
        except RefusedError as refused:
            first: FetchError = refused
        except UnavailableError as error:
            first = error
        # One product that refuses is one thing, an account that is refused another: a second one tells.
        try:
            await asker.one(client.monitor.v1, "/Alerts", {"PageSize": 1})
        except RefusedError as refused:
            if refused.status == 401:
                msg = (
                    f"Twilio refused the credentials of {self.summary.account} at {refused.host} (HTTP 401). Check "
                    f"{self._variables()}, and TWILIO_REGION where the account is in another region."
                )
                raise CredentialError(msg) from None
        except UnavailableError as error:
            if isinstance(first, UnavailableError):
                base = self._settings.flexkit_twilio_base_url
                proxy = "Is the network up? Where a proxy is needed, set HTTPS_PROXY."
                advice = proxy if base is None else "Is FLEXKIT_TWILIO_BASE_URL right?"
                msg = f"Twilio cannot be reached: {error} {advice}"
                raise FetchError(msg) from None
        if "configuration" in self._sources:
            reason = first.why if isinstance(first, UnavailableError) else str(first)
            is_gone = isinstance(first, RefusedError) and first.status == 404
            self.summary.miss("configuration", "Flex configuration", reason, is_open=not is_gone)
        return None

    def _variables(self) -> str:
        if self._settings.twilio_api_key is not None:
            return "TWILIO_API_KEY and TWILIO_API_SECRET"
        return "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"

    def _window(self, offset: dt.timedelta | None) -> Window:
        """The window that can be had, by Twilio's clock."""
        if offset is not None and abs(offset) > _SKEW:
            self._offset = offset
            minutes = offset.total_seconds() / 60
            self.summary.warn(
                f"This machine's clock is {abs(minutes):,.0f} minutes {'behind' if minutes > 0 else 'ahead of'} "
                "Twilio's: Twilio's was used. Set the clock."
            )
        local, asked = dt.datetime.now(dt.UTC), self._asked
        # A window that ends now ends when Twilio says that it is now.
        end = self.now() if asked.end >= local - _NOW else asked.end
        # A start such as 7d was reckoned from our clock: where that is ahead, it must move back with the end.
        start = min(asked.start, asked.start + self._offset, end - 2 * MARGIN)
        span, warnings = obtainable(Window(start, end), self.now())
        for warning in warnings:
            self.summary.warn(warning)
        self.summary.window = span
        return span

    async def _begin(self, run: Run, configuration: dict[str, Any] | None) -> None:
        """Queue everything that can be asked at once; the rest follows from the answers."""
        held, jobs = run.held, run.jobs
        # What can still change is looked at again, though a shorter window was asked for.
        recent = Window(min(run.window.start, self.now() - RETENTION), run.window.end)
        for warning in late(held, self.now()):
            self.summary.warn(warning)
        await run.sink.put("alerts", RecordKind.ALERT, [], "", covered=self._expired(held, run.window))
        run.open_units |= {f"interaction:{sid}" for sid in held.open_units("interaction")}
        run.open_units |= {f"execution:{sid}" for sid in held.open_units("execution")}
        if configuration is not None and run.wants("configuration"):
            await run.sink.put(
                "configuration", RecordKind.FLEX_CONFIGURATION, texts([configuration]), "/v1/Configuration"
            )
        if run.wants("alerts"):
            start_alerts(run)
        if run.wants("task_events") or run.wants("configuration"):
            jobs.add(read_workspaces, run, self._known_workspaces(held, configuration))
        if run.wants("audit_events"):
            start_audit_events(run)
        if run.wants("configuration"):
            instance = (configuration or {}).get("flex_instance_sid")
            jobs.add(read_listeners, run, instance if isinstance(instance, str) else None)
        if run.wants("studio"):
            jobs.add(read_flows, run)
            for flow, sid in held.executions_to_reread(recent):
                jobs.add(reread_execution, run, flow, sid)
        self._queue_units(run, recent)

    def _known_workspaces(self, held: Held, configuration: dict[str, Any] | None) -> list[str]:
        named = (configuration or {}).get("taskrouter_workspace_sid")
        return list(dict.fromkeys([*held.workspaces(), *([named] if isinstance(named, str) else [])]))

    def _queue_units(self, run: Run, recent: Window) -> None:
        """Interactions and conversations that the store names and does not hold, or that can still change."""
        held = run.held
        asked = Window(min(self._asked.start, run.window.start), run.window.end)
        broken = {name.partition(":")[2] for name in run.open_units if name.startswith("interaction:")}
        run.interactions |= held.interactions_read() - broken
        run.conversations |= held.conversations_read()
        if run.wants("interactions"):
            for sid in unseen([*sorted(broken), *held.interactions_to_read(asked, recent)], run.interactions):
                run.jobs.add(read_interaction, run, sid)
        if run.wants("conversations"):
            for sid in unseen(held.conversations_to_read(asked, recent), run.conversations):
                run.jobs.add(read_conversation, run, sid)

    async def _work(self, run: Run) -> None:
        try:
            await run.jobs.run()
            await bury_the_rest(run)
            await self._cover_units(run)
        except StopError as stop:
            self.summary.stopped, self.summary.stop_code = str(stop), ExitCode.USAGE

    async def _cover_units(self, run: Run) -> None:
        """Note for which window the interactions and conversations that the evidence names were read."""
        for source in ("interactions", "conversations"):
            if source in self._sources:
                is_open = any(gap.source == source and gap.is_open for gap in self.summary.gaps.values())
                state = CoverageState.PARTIAL if is_open else CoverageState.COMPLETE
                rows = self.summary.tally(source).records
                reason = "some could not be read" if is_open else None
                covered = Covered(Source.TWILIO_API, source, run.window, rows, state, reason)
                await run.sink.put(source, RecordKind.INTERACTION, [], "", covered=[covered])

    async def _watch(self, run: Run) -> None:
        while self._progress is not None:
            self._count(run.transport)
            self._progress(self.summary, run.jobs)
            await asyncio.sleep(0.5)

    def _count(self, transport: Any) -> None:
        counts = transport.counts
        self.summary.requests, self.summary.retries = counts["requests"], counts["retries"]
        self.summary.refusals, self.summary.faults = counts["refusals"], dict(transport.faults)

    def _expired(self, held: Held, window: Window) -> list[Covered]:
        """What was asked for, or never read, and is gone by now."""
        gone: list[Covered] = []
        reason = "older than Twilio keeps it; other archives of it can be imported"
        for source, prefix, name in TIMED:
            if name not in self._sources:
                continue
            for resource in held.resources(source, prefix) or ([prefix] if prefix == "alerts" else []):
                last = held.last_end(source, resource)
                begins = min(self._asked.start, last) if last is not None else self._asked.start
                if begins < window.start:
                    spans = held.open_windows(source, resource, Window(begins, window.start))
                    gone += [Covered(source, resource, span, 0, CoverageState.EXPIRED, reason) for span in spans]
        return gone
