"""Faults that a fetch must survive: one case each, with what must be held afterwards.

`test_fetch_faults` runs each as a test; ``python -m tests.bench faults`` prints them as a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.server import faults as how
from tests.server.edits import (
    ALWAYS,
    as_text,
    edit_events,
    every,
    fractions,
    http_date,
    in_one_second,
    insert,
    itself,
    larger,
    next_page,
    not_json,
    on_page,
    one_interaction,
    one_window,
    overlapping,
    planted,
    remember_last,
    retry_after,
    strange,
    via_empty,
    without,
    without_invites,
)
from tests.server.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.account import Account
    from tests.server.api import TwilioServer
    from tests.server.http import Request

Json = dict[str, Any]


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
    """Whether the first fetch holds everything; otherwise the next one completes it."""
    source: str | None = None
    """Where what is missing must be reported."""
    said: str = ""
    """What the summary must say."""
    code: int = 4
    """How a fetch that is not whole ends."""


PAGED: dict[str, Any] = {
    "sources": ("alerts",),
    "serve": {"page_limit": 5},
    "account": {"interactions": 24},
    "change": in_one_second,
}

# Only what a case is about is fetched: each costs a second.
TIMED = ("alerts", "task_events")
UNITS = ("task_events", "interactions")
MOST = ("alerts", "task_events", "interactions")

CASES = [
    Case(
        "429 on every third request, no Retry-After",
        planted(".", how.error(429, code=20429), times=12, only=every(3)),
    ),
    Case("429 storm with Retry-After 1", planted(".", retry_after("1"), times=6, skip=20)),
    Case("429 with Retry-After as a date", planted("Interactions", http_date, times=2), sources=UNITS),
    Case(
        "429 with a Retry-After that is no number", planted("Interactions", retry_after("soon"), times=3), sources=UNITS
    ),
    Case("500 twice on each host", planted("v[12]/", how.error(500), times=12, only=every(4))),
    Case(
        "502 with a web page",
        planted("Conversations", how.page(502), times=2),
        sources=("task_events", "conversations"),
    ),
    Case("503 with Retry-After", planted("studio", how.error(503, retry_after="1"), times=2), sources=("studio",)),
    Case(
        "500 for ever on one list",
        lambda account: [Fault(f"{one_interaction(account)}/.*Invites", how.error(500), times=ALWAYS)],
        is_whole=False,
        source="interactions",
        said="HTTP 500",
        sources=UNITS,
    ),
    Case(
        "500 for ever on one window",
        planted("Workspaces/.*/Events$", how.error(500), times=ALWAYS, only=one_window()),
        is_whole=False,
        source="task_events",
        said="HTTP 500",
        sources=UNITS,
    ),
    Case("reset before the answer", planted(".", how.reset(), times=8, only=every(9)), sources=MOST),
    Case("reset in the middle of a body", planted(".", how.reset(60), times=8, only=every(9))),
    Case("connection closed in the middle of a body", planted(".", how.cut(), times=8, only=every(9)), sources=MOST),
    Case(
        "truncated JSON with status 200", planted(".", how.cut(announced=False), times=8, only=every(9)), sources=MOST
    ),
    Case("invalid JSON with status 200", planted(".", how.body(b'{"sid": NaN}'), times=8, only=every(9)), sources=MOST),
    Case("empty body with status 200", planted(".", how.body(b""), times=8, only=every(9)), sources=MOST),
    Case("JSON of another shape", planted(".", how.body(b'["surprise"]'), times=8, only=every(9)), sources=MOST),
    Case("a web page with status 200, once", planted("Interactions", how.page(), times=3), sources=UNITS),
    Case(
        "a web page with status 200 for ever on one host",
        planted("conversations", how.page(), times=ALWAYS),
        is_whole=False,
        source="conversations",
        said="captive portal",
        sources=("task_events", "conversations"),
    ),
    Case("says gzip and is not", planted(".", how.bad_gzip(), times=4, only=every(9)), sources=MOST),
    Case("a body that drips", planted("Interactions", how.drip(), times=2), sources=UNITS),
    Case("no answer at all", planted("Interactions", how.hang(), times=2), sources=UNITS),
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
            Fault("/Alerts$", remember_last, times=ALWAYS, only=on_page(0)),
            Fault("/Alerts$", overlapping, times=ALWAYS, only=on_page(1)),
        ],
        **PAGED,
    ),
    Case("items inserted while paging", hook=insert, **PAGED),
    Case("an expired page token", planted("/Alerts$", how.error(400, code=20001), only=on_page(1)), **PAGED),
    Case(
        "a next page on another host",
        planted("/Alerts$", next_page("https://monitor.twilio.com.evil.example.com/v1/Alerts?Page=1"), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="another host, so it was not followed",
        **PAGED,
    ),
    Case(
        "a next page over plain http",
        planted("/Alerts$", next_page(lambda url: url.replace("https:", "http:")), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="not followed",
        **PAGED,
    ),
    Case(
        "a next page that is another list",
        planted("/Alerts$", next_page("https://monitor.twilio.com/v1/Events?Page=1"), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="another list, so it was not followed",
        **PAGED,
    ),
    Case(
        "a next page that is the page itself",
        planted("/Alerts$", how.rewrite(itself), times=ALWAYS),
        is_whole=False,
        source="alerts",
        said="without end",
        **PAGED,
    ),
    Case("empty pages in the middle", planted("/Alerts$", how.rewrite(via_empty), times=ALWAYS), **PAGED),
    Case("a page larger than asked", larger, **PAGED),
    Case("pages smaller than asked", sources=TIMED, serve={"page_limit": 3}),
    Case("404 for deleted interactions", sources=UNITS, account={"deleted_share": 0.4}),
    Case("404 for a list of an interaction that is going away", sources=UNITS, change=without_invites),
    Case(
        "401 in the middle of the run",
        planted("Interactions|Alerts", how.error(401, code=20003), times=ALWAYS, skip=12),
        is_whole=False,
        code=2,
        said="stopped accepting the credentials",
        sources=MOST,
    ),
    Case(
        "this machine's clock three days ahead",
        account={"late_by": 3},
        sources=TIMED,
        serve={"date_offset": -3 * 86_400.0},
    ),
    Case(
        "this machine's clock an hour behind",
        account={"late_by": -1 / 24},
        sources=TIMED,
        serve={"date_offset": 3600.0},
    ),
    Case("unknown values and new fields", sources=MOST, change=strange),
    Case("null and missing fields", sources=TIMED, change=edit_events(without)),
    Case("attributes that are not JSON", sources=TIMED, change=edit_events(not_json)),
    Case("event data as JSON in JSON", sources=TIMED, change=edit_events(as_text)),
    Case("fractional seconds and offsets", sources=TIMED, change=fractions),
]
