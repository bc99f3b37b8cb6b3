"""Faults that a fetch must survive: one case each, with what must be held afterwards.

`test_fetch_faults` runs each as a test; ``python -m tests.bench fetch --faults`` prints them as a table.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.server import faults as how
from tests.server.account import Account, iso
from tests.server.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.api import TwilioServer
    from tests.server.http import Reply, Request

Json = dict[str, Any]
ALWAYS = 10**6


@dataclass
class Case:
    """One fault: how it is planted, and what it may cost."""

    name: str
    faults: Callable[[Account], list[Fault]] = field(default=lambda _: [])
    change: Callable[[Account], None] = field(default=lambda _: None)
    serve: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    """Sources that are fetched; all unless given."""
    hook: Callable[[TwilioServer, Request], None] | None = None
    is_whole: bool = True
    """Whether the first fetch holds everything; otherwise it ends with 4 and the next one completes it."""
    completes: bool = True
    """Whether the next fetch, without the fault, holds everything."""
    source: str | None = None
    """Where what is missing must be reported."""
    said: str = ""
    """What the summary must say."""


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


def the_first_window() -> Callable[[Request], bool]:
    """True for requests for the window that was asked for first."""
    first: list[str] = []

    def only(request: Request) -> bool:
        first.append(request.query["StartDate"])
        return request.query["StartDate"] == first[0]

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


def _retry_after(value: str) -> Callable[..., Reply]:
    return how.error(429, code=20429, retry_after=value)


def _http_date(reply: Reply, request: Request) -> Reply:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1.5)
    return _retry_after(soon.strftime("%a, %d %b %Y %H:%M:%S GMT"))(reply, request)


def _edit_events(edit: Callable[[Json], None]) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        for events in account.events.values():
            for event in events:
                edit(event)

    return change


def _strange(account: Account) -> None:
    """Unknown values and new fields everywhere."""
    for event in account.events[account.workspace_sids[0]][::3]:
        event["event_type"] = "task.teleported"
        event["new_field"] = {"deep": [1, None]}
    for key, rows in account.lists.values():
        if key == "channels":
            rows[0] |= {"status": "hibernating", "colour": "blue"}
    for alert in account.alerts:
        alert |= {"log_level": "fatal", "hint": None}


def _without(event: Json) -> None:
    if event["event_type"] == "task.created":
        return
    event["event_data"] = {**event["event_data"], "task_attributes": None}
    for name in ("actor_sid", "actor_url", "description", "source_ip_address"):
        event[name] = None
    del event["url"]


def _not_json(event: Json) -> None:
    if event["event_type"] != "task.created":
        event["event_data"] = {**event["event_data"], "task_attributes": "{customer: 'Zoë'"}


def _as_text(event: Json) -> None:
    event["event_data"] = json.dumps(event["event_data"])


def _fractions(account: Account) -> None:
    for event in account.events[account.workspace_sids[0]]:
        at = dt.datetime.fromtimestamp(event["event_date_ms"] / 1000, dt.UTC)
        event["event_date"] = at.isoformat(timespec="milliseconds")
    for alert in account.alerts:
        alert["date_created"] = alert["date_created"].replace("Z", ".250Z")


def _overlapping(reply: Reply, request: Request) -> Reply:
    """Page 1 begins with the last item of page 0."""
    told = json.loads(reply.body)
    told["alerts"].insert(0, _overlapping.last)  # type: ignore[attr-defined]
    reply.body = json.dumps(told).encode()
    return reply


def _remember_last(reply: Reply, _: Request) -> Reply:
    if rows := json.loads(reply.body)["alerts"]:
        _overlapping.last = rows[-1]  # type: ignore[attr-defined]
    return reply


def _next_page(url: str | Callable[[str], str]) -> Callable[..., Reply]:
    def edit(told: Json, _: Request) -> Json:
        if told["meta"]["next_page_url"]:
            told["meta"]["next_page_url"] = url(told["meta"]["next_page_url"]) if callable(url) else url
        return told

    return how.rewrite(edit)


def _itself(told: Json, _: Request) -> Json:
    told["meta"]["next_page_url"] = told["meta"]["url"]
    return told


def _via_empty(told: Json, request: Request) -> Json:
    """An empty page between each page and the next."""
    if told["meta"]["next_page_url"] and "Empty" not in request.query:
        told["meta"]["next_page_url"] += "&Empty=1"
    elif "Empty" in request.query:
        told["alerts"] = []
        told["meta"]["next_page_url"] = (
            told["meta"]["url"].replace("&Empty=1", "") + f"&PageToken=PT{told['meta']['page']}"
        )
    return told


def _larger(account: Account) -> list[Fault]:
    """Eight rows where five were asked for, and the rest on the next page."""

    def edit(told: Json, request: Request) -> Json:
        rows = list(reversed(account.alerts))
        if len(told["alerts"]) == 5 and request.query.get("Page", "0") == "0":
            start = next(place for place, row in enumerate(rows) if row["sid"] == told["alerts"][0]["sid"])
            told["alerts"] = rows[start : start + 8]
        return told

    return [Fault("/Alerts$", how.rewrite(edit), times=ALWAYS)]


def _insert(server: TwilioServer, request: Request) -> None:
    """A new alert comes in while the second page is asked for."""
    if request.resource.endswith("/Alerts") and request.query.get("Page") == "1" and server.inserted < 2:
        server.inserted += 1
        new = {**server.account.alerts[-1], "sid": f"NO{server.inserted:032x}", "error_code": "11200"}
        server.account.alerts.append(new)


PAGED: dict[str, Any] = {
    "sources": ("alerts",),
    "serve": {"page_limit": 5},
    "account": {"interactions": 24},
    "change": in_one_second,
}

TIMED = ("alerts", "task_events")

CASES = [
    Case(
        "429 on every third request, no Retry-After", planted(".", how.error(429, code=20429), times=12, only=every(3))
    ),
    Case("429 storm with Retry-After 1", planted(".", _retry_after("1"), times=6, skip=20)),
    Case("429 with Retry-After as a date", planted("Interactions", _http_date, times=2)),
    Case("429 with a Retry-After that is no number", planted("Interactions", _retry_after("soon"), times=3)),
    Case("500 twice on each host", planted("v[12]/", how.error(500), times=12, only=every(4))),
    Case("502 with a web page", planted("Conversations", how.page(502), times=2)),
    Case("503 with Retry-After", planted("studio", how.error(503, retry_after="1"), times=2)),
    Case(
        "500 for ever on one list",
        lambda account: [Fault(f"{one_interaction(account)}/.*Invites", how.error(500), times=ALWAYS)],
        is_whole=False,
        source="interactions",
        said="HTTP 500",
    ),
    Case(
        "500 for ever on one window",
        planted("Workspaces/.*/Events$", how.error(500), times=ALWAYS, only=the_first_window()),
        is_whole=False,
        source="task_events",
        said="HTTP 500",
    ),
    Case("reset before the answer", planted(".", how.reset(), times=8, only=every(9))),
    Case("reset in the middle of a body", planted(".", how.reset(60), times=8, only=every(9))),
    Case("connection closed in the middle of a body", planted(".", how.cut(), times=8, only=every(9))),
    Case("truncated JSON with status 200", planted(".", how.cut(announced=False), times=8, only=every(9))),
    Case("invalid JSON with status 200", planted(".", how.body(b'{"sid": NaN}'), times=8, only=every(9))),
    Case("empty body with status 200", planted(".", how.body(b""), times=8, only=every(9))),
    Case("JSON of another shape", planted(".", how.body(b'["surprise"]'), times=8, only=every(9))),
    Case("a web page with status 200, once", planted("Interactions", how.page(), times=3)),
    Case(
        "a web page with status 200 for ever on one host",
        planted("conversations", how.page(), times=ALWAYS),
        is_whole=False,
        source="conversations",
        said="captive portal",
    ),
    Case("says gzip and is not", planted(".", how.bad_gzip(), times=4, only=every(9))),
    Case("a body that drips", planted("Interactions", how.drip(), times=2)),
    Case("no answer at all", planted("Interactions", how.hang(), times=2)),
    Case(
        "a redirect to another host",
        planted("Alerts$", how.redirect("https://evil.example.com/v1/Alerts"), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="HTTP 302",
        sources=("alerts",),
    ),
    Case(
        "the same item on two pages",
        lambda _: [
            Fault("/Alerts$", _remember_last, times=ALWAYS, only=on_page(0)),
            Fault("/Alerts$", _overlapping, times=ALWAYS, only=on_page(1)),
        ],
        **PAGED,
    ),
    Case("items inserted while paging", hook=_insert, **PAGED),
    Case("an expired page token", planted("/Alerts$", how.error(400, code=20001), only=on_page(1)), **PAGED),
    Case(
        "a next page on another host",
        planted("/Alerts$", _next_page("https://monitor.twilio.com.evil.example.com/v1/Alerts?Page=1"), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="another host, so it was not followed",
        **PAGED,
    ),
    Case(
        "a next page over plain http",
        planted("/Alerts$", _next_page(lambda url: url.replace("https:", "http:")), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="not followed",
        **PAGED,
    ),
    Case(
        "a next page that is another list",
        planted("/Alerts$", _next_page("https://monitor.twilio.com/v1/Events?Page=1"), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="another list, so it was not followed",
        **PAGED,
    ),
    Case(
        "a next page that is the page itself",
        planted("/Alerts$", how.rewrite(_itself), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="without end",
        **PAGED,
    ),
    Case("empty pages in the middle", planted("/Alerts$", how.rewrite(_via_empty), times=ALWAYS), **PAGED),
    Case("a page larger than asked", _larger, **PAGED),
    Case("pages smaller than asked", sources=TIMED, serve={"page_limit": 3}),
    Case(
        "404 for a list of an interaction that is going away",
        lambda account: [Fault(f"{one_interaction(account)}/.*Invites", how.error(404), times=0)],
    ),
    Case("this machine's clock three days ahead", account={"late_by": 3}, serve={"date_offset": -3 * 86_400.0}),
    Case("this machine's clock an hour behind", account={"late_by": -1 / 24}, serve={"date_offset": 3600.0}),
    Case("unknown values and new fields", change=_strange),
    Case("null and missing fields", sources=TIMED, change=_edit_events(_without)),
    Case("attributes that are not JSON", sources=TIMED, change=_edit_events(_not_json)),
    Case("event data as JSON in JSON", sources=TIMED, change=_edit_events(_as_text)),
    Case("fractional seconds and offsets", sources=TIMED, change=_fractions),
]
