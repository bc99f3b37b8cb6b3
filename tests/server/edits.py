"""What faults change in an account or in an answer; each stands for something that was seen or is feared."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from tests.server import faults as how
from tests.server.faults import Fault
from tests.server.words import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.account import Account
    from tests.server.api import TwilioServer
    from tests.server.http import Reply, Request

Json = dict[str, Any]
ALWAYS = 10**6


def planted(where: str, change: Callable[..., Reply], **options: Any) -> Callable[[Account], list[Fault]]:
    """One fault on the requests that match *where*."""
    return lambda _: [Fault(where, change, **options)]


def every(number: int) -> Callable[[Request], bool]:
    """True for each *number*-th request."""
    count = 0

    def only(_: Request) -> bool:
        nonlocal count
        count += 1
        return count % number == 0

    return only


def on_page(number: int) -> Callable[[Request], bool]:
    """True for requests for one page."""
    return lambda request: request.query.get("Page", "0") == str(number)


def one_window(place: int = 3) -> Callable[[Request], bool]:
    """True for requests for one window: the one that was asked for as the *place*-th."""
    starts: list[str] = []

    def only(request: Request) -> bool:
        start = request.query["StartDate"]
        if start not in starts:
            starts.append(start)
        return starts.index(start) == place - 1

    return only


def in_one_second(account: Account) -> None:
    """All alerts in one second, so that they must be paged."""
    at = iso(account.now - dt.timedelta(hours=4))
    for alert in account.alerts:
        alert["date_generated"] = alert["date_created"] = at
        account.items[f"monitor.twilio.com/v1/Alerts/{alert['sid']}"]["date_generated"] = at


def one_interaction(account: Account) -> str:
    """An interaction that exists and is closed."""
    for path, (key, rows) in account.lists.items():
        if key == "channels" and rows[0]["status"] == "closed":
            return path.split("/")[3]
    raise AssertionError


def without_invites(account: Account) -> None:
    """One interaction of which a list is not there any more."""
    del account.lists[next(path for path in account.lists if one_interaction(account) in path and "Invites" in path)]


def retry_after(value: str) -> Callable[..., Reply]:
    return how.error(429, code=20429, retry_after=value)


def http_date(reply: Reply, request: Request) -> Reply:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1.5)
    return retry_after(soon.strftime("%a, %d %b %Y %H:%M:%S GMT"))(reply, request)


def edit_events(edit: Callable[[Json], None]) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        for events in account.events.values():
            for event in events:
                edit(event)

    return change


def strange(account: Account) -> None:
    """Unknown values and new fields everywhere."""
    for event in account.events[account.workspace_sids[0]][::3]:
        event["event_type"] = "task.teleported"
        event["new_field"] = {"deep": [1, None]}
    for key, rows in account.lists.values():
        if key == "channels":
            rows[0] |= {"status": "hibernating", "colour": "blue"}
    for alert in account.alerts:
        alert |= {"log_level": "fatal", "hint": None}


def without(event: Json) -> None:
    if event["event_type"] == "task.created":
        return
    event["event_data"] = {**event["event_data"], "task_attributes": None}
    for name in ("actor_sid", "actor_url", "description", "source_ip_address"):
        event[name] = None
    del event["url"]


def not_json(event: Json) -> None:
    if event["event_type"] != "task.created":
        event["event_data"] = {**event["event_data"], "task_attributes": "{customer: 'Zoë'"}


def as_text(event: Json) -> None:
    event["event_data"] = json.dumps(event["event_data"])


def fractions(account: Account) -> None:
    for event in account.events[account.workspace_sids[0]]:
        at = dt.datetime.fromtimestamp(event["event_date_ms"] / 1000, dt.UTC)
        event["event_date"] = at.isoformat(timespec="milliseconds")
    for alert in account.alerts:
        alert["date_created"] = alert["date_created"].replace("Z", ".250Z")


def overlapping(reply: Reply, request: Request) -> Reply:
    """Page 1 begins with the last item of page 0."""
    told = json.loads(reply.body)
    told["alerts"].insert(0, overlapping.last)  # type: ignore[attr-defined]
    reply.body = json.dumps(told).encode()
    return reply


def remember_last(reply: Reply, _: Request) -> Reply:
    if rows := json.loads(reply.body)["alerts"]:
        overlapping.last = rows[-1]  # type: ignore[attr-defined]
    return reply


def next_page(url: str | Callable[[str], str]) -> Callable[..., Reply]:
    def edit(told: Json, _: Request) -> Json:
        if told["meta"]["next_page_url"]:
            told["meta"]["next_page_url"] = url(told["meta"]["next_page_url"]) if callable(url) else url
        return told

    return how.rewrite(edit)


def itself(told: Json, _: Request) -> Json:
    told["meta"]["next_page_url"] = told["meta"]["url"]
    return told


def via_empty(told: Json, request: Request) -> Json:
    """An empty page between each page and the next."""
    if told["meta"]["next_page_url"] and "Empty" not in request.query:
        told["meta"]["next_page_url"] += "&Empty=1"
    elif "Empty" in request.query:
        told["alerts"] = []
        told["meta"]["next_page_url"] = (
            told["meta"]["url"].replace("&Empty=1", "") + f"&PageToken=PT{told['meta']['page']}"
        )
    return told


def larger(account: Account) -> list[Fault]:
    """Eight rows where five were asked for, and the rest on the next page."""

    def edit(told: Json, request: Request) -> Json:
        rows = list(reversed(account.alerts))
        if len(told["alerts"]) == 5 and request.query.get("Page", "0") == "0":
            start = next(place for place, row in enumerate(rows) if row["sid"] == told["alerts"][0]["sid"])
            told["alerts"] = rows[start : start + 8]
        return told

    return [Fault("/Alerts$", how.rewrite(edit), times=ALWAYS)]


def insert(server: TwilioServer, request: Request) -> None:
    """A new alert comes in while the second page is asked for."""
    if request.resource.endswith("/Alerts") and request.query.get("Page") == "1" and server.inserted < 2:
        server.inserted += 1
        new = {**server.account.alerts[-1], "sid": f"NO{server.inserted:032x}", "error_code": "11200"}
        server.account.alerts.append(new)
