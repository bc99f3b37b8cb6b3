"""Twilio's API over an account: paths, pages, windows and errors as Twilio documents them."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import orjson

from tests.server.bulk import BulkAccount
from tests.server.http import HttpServer, Reply, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.server.account import Account
    from tests.server.faults import Fault
    from tests.server.limits import Limit

Json = dict[str, Any]
PASSWORD = "correct horse battery staple"  # noqa: S105 - a planted secret that tests search for


class TwilioServer:
    """Serves *account* on a loopback port from a thread of its own; a context manager."""

    def __init__(
        self,
        account: Account,
        *,
        faults: list[Fault] | None = None,
        limit: Limit | None = None,
        latency: float = 0.0,
        page_limit: int = 1000,
        date_offset: float = 0.0,
        keep_log: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.account = account
        self.faults = faults or []
        self.limit = limit
        self.latency = latency
        self.page_limit = page_limit
        self.date_offset = date_offset
        self.password = PASSWORD
        self.log: list[Request] = []
        self.on_request: Callable[[Request], None] | None = None
        self.inserted = 0
        self._keep_log = keep_log
        self._http = HttpServer(self._reply, tls)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bodies: dict[str, bytes] = {}

    # Running ------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        ready = threading.Event()

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(self._http.start())
            ready.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self._http.stop())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def stop_listening(self) -> None:
        """Go away in the middle of things; called from the server's own loop."""
        if self._loop is not None:
            self._loop.create_task(self._http.stop())

    async def serve(self, port: int = 0) -> int:
        """Listen in the running loop; the port."""
        await self._http.start(port)
        return self._http.port

    @property
    def url(self) -> str:
        """The base URL."""
        plain = f"http://127.0.0.1:{self._http.port}"
        return plain if self._http.tls is None else f"https://localhost:{self._http.port}"

    @property
    def connections(self) -> int:
        """Connections that were opened."""
        return self._http.connections

    def asked(self, where: str) -> list[Request]:
        """The requests whose host and path contain *where*."""
        return [request for request in self.log if where in request.resource]

    def forget(self) -> None:
        """Forget what was asked, and what an account held that a test has changed since."""
        self.log.clear()
        self._bodies.clear()

    # Answering ----------------------------------------------------------------------------------------

    async def _reply(self, request: Request) -> Reply:
        if self._keep_log:
            self.log.append(request)
        if self.on_request is not None:
            self.on_request(request)
        if self.limit is not None and not self.limit.enter():
            wait = self.limit.retry_after
            headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
            return _error(429, 20429, "Too Many Requests", headers)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            reply = self.answer(request)
            for fault in self.faults:
                if fault.applies(request):
                    reply = fault.change(reply, request)
            reply.date_offset += self.date_offset
            return reply
        finally:
            if self.limit is not None:
                self.limit.leave()

    def answer(self, request: Request) -> Reply:
        """The reply of an account in which nothing fails."""
        if request.method != "GET":
            return _error(405, 20004, "Method not allowed")
        if request.credentials[1] != self.password:
            return _error(401, 20003, "Authenticate")
        account, resource = self.account, request.resource
        if resource == "monitor.twilio.com/v1/Alerts":
            found = _inside(
                account.alerts, "date_generated", request.query.get("StartDate"), request.query.get("EndDate")
            )
            return self._page(request, "alerts", list(reversed(found)))
        if resource == "monitor.twilio.com/v1/Events":
            found = _inside(account.audit, "event_date", request.query.get("StartDate"), request.query.get("EndDate"))
            return self._page(request, "events", list(reversed(found)))
        if resource.startswith("taskrouter.twilio.com/v1/Workspaces/") and resource.endswith("/Events"):
            return self._events(request)
        if resource.endswith("/Executions"):
            flow = resource.split("/")[-2]
            if flow not in account.executions:
                return _error(404, 20404, "not found")
            window = request.query.get("DateCreatedFrom"), request.query.get("DateCreatedTo")
            return self._page(
                request, "executions", list(reversed(_inside(account.executions[flow], "date_created", *window)))
            )
        if resource in account.lists:
            return self._page(request, *account.lists[resource])
        if (item := account.items.get(resource)) is not None:
            if (body := self._bodies.get(resource)) is None:
                body = self._bodies[resource] = json.dumps(item).encode()
            return Reply(200, body)
        return _error(404, 20404, f"The requested resource {request.path} was not found")

    def _events(self, request: Request) -> Reply:
        """TaskRouter events: no paging, and the last fifteen minutes unless a window is asked for."""
        events = self.account.events.get(request.path.split("/")[3])
        if events is None:
            return _error(404, 20404, "workspace not found")
        start, end = request.query.get("StartDate"), request.query.get("EndDate")
        if start is None:
            minutes = int(request.query.get("Minutes", "15"))
            start = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)).isoformat()
        size = self._size(request)
        if isinstance(self.account, BulkAccount):
            until = _millis(end) if end else dt.datetime.now(dt.UTC).timestamp() * 1000
            texts = ",".join(self.account.event_page(_millis(start), until, size))
            meta = json.dumps({"key": "events", "page": 0, "page_size": size, "next_page_url": None})
            return Reply(200, f'{{"events": [{texts}], "meta": {meta}}}'.encode())
        low = bisect_left(events, _millis(start), key=_event_ms)
        high = bisect_right(events, _millis(end), key=_event_ms) if end else len(events)
        found = events[max(low, high - size) : high][::-1]
        return self._paged(request, "events", found, size, page=0, token=None)

    def _page(self, request: Request, key: str, items: list[Json]) -> Reply:
        size = self._size(request)
        page = int(request.query.get("Page", "0"))
        if page and not request.query.get("PageToken"):
            return _error(400, 20001, "Invalid PageToken")
        found = items[page * size : (page + 1) * size]
        token = f"PT{page + 1}" if (page + 1) * size < len(items) else None
        return self._paged(request, key, found, size, page=page, token=token)

    def _paged(
        self, request: Request, key: str, items: list[Json], size: int, *, page: int, token: str | None
    ) -> Reply:
        base = f"https://{request.resource}"
        plain = {name: value for name, value in request.query.items() if name not in ("Page", "PageToken", "PageSize")}

        def url(number: int, mark: str | None = None) -> str:
            token = {"PageToken": mark} if mark else {}
            return f"{base}?{urlencode({**plain, 'PageSize': size, 'Page': number, **token})}"

        meta = {
            "key": key,
            "page": page,
            "page_size": size,
            "first_page_url": url(0),
            "previous_page_url": url(page - 1, f"PT{page - 1}") if page else None,
            "next_page_url": url(page + 1, token) if token else None,
            "url": url(page),
        }
        return Reply(200, _json({key: items, "meta": meta}))

    def _size(self, request: Request) -> int:
        return max(1, min(int(request.query.get("PageSize", "50")), self.page_limit))


def _json(value: Json) -> bytes:
    """*value* as quickly as it can be written: the server must not be what a fetch waits for."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Half a surrogate pair: Twilio sends what it was given.
        return json.dumps(value).encode()


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    told = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Reply(status, json.dumps(told).encode(), headers=headers or {})


def _millis(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp() * 1000


def _event_ms(event: Json) -> float:
    return float(event["event_date_ms"])


def _inside(items: list[Json], field: str, start: str | None, end: str | None) -> list[Json]:
    """Items from *start* to *end*, both inclusive."""
    return [
        item
        for item in items
        if (start is None or _millis(item[field]) >= _millis(start))
        and (end is None or _millis(item[field]) <= _millis(end))
    ]
