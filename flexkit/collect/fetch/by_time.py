"""What is asked for by time: alerts and their details, TaskRouter events, audit events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.by_sid import find
from flexkit.collect.fetch.held import NOT_OPEN, unseen
from flexkit.collect.fetch.sink import Covered, texts
from flexkit.collect.fetch.window_reader import Timed, WindowReader
from flexkit.tables.normalize import RecordKind
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flexkit.collect.fetch.run import Run


def alerts(run: Run) -> Timed:
    """Monitor alerts of every code; 80906 cannot be asked for alone."""
    return Timed(
        name="alerts",
        source=Source.DEBUGGER,
        resource="alerts",
        version=run.client.monitor.v1,
        path="/Alerts",
        key="alerts",
        since="StartDate",
        until="EndDate",
        time="date_generated",
    )


def audit_events(run: Run) -> Timed:
    """Monitor's audit events: they date changes of configuration."""
    return Timed(
        name="audit_events",
        source=Source.TWILIO_API,
        resource="audit_events",
        version=run.client.monitor.v1,
        path="/Events",
        key="events",
        since="StartDate",
        until="EndDate",
        time="event_date",
    )


def task_events(run: Run, workspace: str) -> Timed:
    """TaskRouter events of one workspace; the API does not page them."""
    return Timed(
        name="task_events",
        source=Source.TASKROUTER,
        resource=f"events:{workspace}",
        version=run.client.taskrouter.v1,
        path=f"/Workspaces/{workspace}/Events",
        key="events",
        since="StartDate",
        until="EndDate",
        time="event_date",
        does_page=False,
    )


def start_alerts(run: Run) -> None:
    """Read the open windows of alerts, and the detail of every 80906 that is not held yet."""
    timed = alerts(run)
    detailed = run.held.alerts_with_detail()

    def keep(items: list[Any], covered: list[Covered]) -> Awaitable[None]:
        warnings = [item for item in items if isinstance(item, dict) and str(item.get("error_code")) == NOT_OPEN]
        sids = [sid for item in warnings if isinstance(sid := item.get("sid"), str)]
        for sid in unseen(sids, detailed):
            run.jobs.add(_alert_detail, run, sid)
        told = texts(items)
        find(run, told)
        return run.sink.put("alerts", RecordKind.ALERT, told, "/v1/Alerts", covered=covered)

    for sid in unseen(run.held.alerts_without_detail(run.window), detailed):
        run.jobs.add(_alert_detail, run, sid)
    WindowReader(run, timed, keep).start()


async def _alert_detail(run: Run, sid: str) -> None:
    if not run.wants("alerts"):
        return
    with run.guard("alerts", sid):
        answer = await run.asker.one(run.client.monitor.v1, f"/Alerts/{sid}")
        told = texts([answer.payload])
        find(run, told)
        await run.sink.put("alerts", RecordKind.ALERT, told, f"/v1/Alerts/{sid}")


def start_audit_events(run: Run) -> None:
    """Read the open windows of audit events."""
    timed = audit_events(run)

    def keep(items: list[Any], covered: list[Covered]) -> Awaitable[None]:
        return _put(run, timed, RecordKind.AUDIT_EVENT, texts(items), covered)

    WindowReader(run, timed, keep).start()


def start_task_events(run: Run, workspace: str) -> None:
    """Read the open windows of a workspace's events, and the interactions that they name."""
    timed = task_events(run, workspace)

    def keep(items: list[Any], covered: list[Covered]) -> Awaitable[None]:
        told = texts(items)
        find(run, told)
        return _put(run, timed, RecordKind.TASK_EVENT, told, covered)

    WindowReader(run, timed, keep).start()


def _put(run: Run, timed: Timed, kind: RecordKind, told: list[str], covered: list[Covered]) -> Awaitable[None]:
    return run.sink.put(timed.name, kind, told, f"/{timed.version.version}{timed.path}", covered=covered)
