"""Who listens to what, and which Studio flow can close something: configuration is evidence too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.by_sid import read_execution
from flexkit.collect.fetch.by_time import start_task_events
from flexkit.collect.fetch.sink import Covered, texts
from flexkit.collect.fetch.window_reader import Timed, WindowReader
from flexkit.collect.network.answers import RefusedError
from flexkit.errors import FetchError
from flexkit.tables.normalize import RecordKind
from flexkit.tables.normalize.configuration import closers
from flexkit.terms import Source

if TYPE_CHECKING:
    from flexkit.collect.fetch.run import Run

_CREATES = "send-to-flex"
"""Type of the Studio widget that creates an interaction."""


async def read_workspaces(run: Run, known: list[str]) -> None:
    """The workspaces with their callbacks; then the events of each. *known* ones stand in for a refused list."""
    source = "task_events" if run.wants("task_events") else "configuration"
    found: list[str] = []
    with run.guard(source, "workspaces"):
        listing = await run.asker.listing(run.client.taskrouter.v1, "/Workspaces", "workspaces")
        found = _sids(listing.items)
        if listing.problem is not None:
            run.summary.miss(source, "workspaces", listing.problem)
        if run.wants("configuration"):
            await run.sink.put("configuration", RecordKind.WORKSPACE, texts(listing.items), "/v1/Workspaces")
    if run.wants("task_events"):
        for workspace in found or known:
            start_task_events(run, workspace)


async def read_listeners(run: Run, instance: str | None) -> None:
    """Interactions webhooks of the Flex *instance*, and Event Streams subscriptions with their sinks."""
    if instance is not None:
        # These are documented, but not modelled by the SDK.
        path = f"/Instances/{instance}/InteractionWebhooks"
        await _list(run, RecordKind.WEBHOOK_CONFIG, run.client.flex_api.v1, path, "data")
    await _list(run, RecordKind.SINK, run.client.events.v1, "/Sinks", "sinks")
    with run.guard("configuration", "subscriptions"):
        listing = await run.asker.listing(run.client.events.v1, "/Subscriptions", "subscriptions")
        for item in listing.items:
            if isinstance(item, dict) and isinstance(item.get("sid"), str):
                path = f"/Subscriptions/{item['sid']}/SubscribedEvents"
                types = await run.asker.listing(run.client.events.v1, path, "types")
                item["types"] = [each.get("type") for each in types.items if isinstance(each, dict)]
        await run.sink.put("configuration", RecordKind.SUBSCRIPTION, texts(listing.items), "/v1/Subscriptions")


async def _list(run: Run, kind: RecordKind, version: Any, path: str, key: str) -> None:
    with run.guard("configuration", path.rpartition("/")[2]):
        listing = await run.asker.listing(version, path, key)
        if listing.problem is not None:
            run.summary.miss("configuration", path.rpartition("/")[2], listing.problem)
        await run.sink.put("configuration", kind, texts(listing.items), f"/v1{path}")


# Studio -----------------------------------------------------------------------------------------------


async def read_flows(run: Run) -> None:
    """The flows; each is looked into."""
    with run.guard("studio", "flows", whole=True):
        listing = await run.asker.listing(run.client.studio.v2, "/Flows", "flows")
        if listing.problem is not None:
            run.summary.miss("studio", "flows", listing.problem)
        for flow in _sids(listing.items):
            run.jobs.add(_read_flow, run, flow)


async def _read_flow(run: Run, flow: str) -> None:
    """One flow's definition; and its executions where it creates interactions or can close something."""
    if not run.wants("studio"):
        return
    path = f"/Flows/{flow}"
    # A flow that cannot be looked into is taken for one that matters.
    is_involved = is_closing = True
    try:
        answer = await run.asker.one(run.client.studio.v2, path)
    except RefusedError as refused:
        run.refuse("studio", flow, refused)
        if refused.status == 404:
            return
    except FetchError as error:
        run.miss("studio", flow, error)
    else:
        definition = json.dumps(answer.payload.get("definition"))
        is_closing = bool(closers(definition))
        is_involved = is_closing or _CREATES in definition
        await run.sink.put("studio", RecordKind.FLOW, texts([answer.payload]), f"/v2{path}")
    if is_involved:
        _start_executions(run, flow, is_closing=is_closing)


def executions(run: Run, flow: str) -> Timed:
    """Executions of one flow, by when they began."""
    return Timed(
        name="studio",
        source=Source.STUDIO,
        resource=f"executions:{flow}",
        version=run.client.studio.v2,
        path=f"/Flows/{flow}/Executions",
        key="executions",
        since="DateCreatedFrom",
        until="DateCreatedTo",
        time="date_created",
    )


def _start_executions(run: Run, flow: str, *, is_closing: bool) -> None:
    timed = executions(run, flow)
    ended = run.held.executions_ended(run.window)

    async def keep(items: list[Any], covered: list[Covered]) -> None:
        readable = [item for item in items if _is_readable(item)]
        odd = [item for item in items if not _is_readable(item)]
        await run.sink.put("studio", RecordKind.EXECUTION, texts(odd), f"/v2{timed.path}")
        unread = [item for item in readable if item["sid"] not in ended or f"execution:{item['sid']}" in run.open_units]
        # A window is covered when every execution in it is stored with its steps.
        part = _Slice(run, len(unread), covered)
        if not unread:
            await part.one_is_read(0)
        for item in unread:
            run.jobs.add(_read_one, run, item, part, is_closing)

    WindowReader(run, timed, keep).start()


@dataclass
class _Slice:
    """A slice of executions that waits for the last of them to be read."""

    run: Run
    unread: int
    covered: list[Covered]

    async def one_is_read(self, count: int = 1) -> None:
        self.unread -= count
        if self.unread <= 0:
            await self.run.sink.put("studio", RecordKind.EXECUTION, [], "", covered=self.covered)


async def _read_one(run: Run, execution: dict[str, Any], part: _Slice, is_closing: bool) -> None:  # noqa: FBT001
    await read_execution(run, execution, is_closing=is_closing)
    await part.one_is_read()


def _is_readable(item: object) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in ("sid", "flow_sid"))


def _sids(items: list[Any]) -> list[str]:
    return [item["sid"] for item in items if isinstance(item, dict) and isinstance(item.get("sid"), str)]
