"""The API for measurements: answers made beforehand and sent by a bare protocol, so that the client gets the cores."""

from __future__ import annotations

import asyncio
import base64
import json
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.server.api import PASSWORD, TwilioServer
from tests.server.http import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.account import Account
    from tests.server.limits import Limit

_PAGE = "?PageSize=1000"
"""How flexkit asks for a list."""


class CannedServer:
    """Serves *account* in the running loop, within *limit*; what was not made beforehand is made when asked for."""

    def __init__(self, account: Account, *, limit: Limit | None = None, latency: float = 0.0) -> None:
        self.limit = limit
        self.latency = latency
        self.connections = 0
        self._early = 0.0
        self._api = TwilioServer(account, keep_log=False)
        self.token = b"Basic " + base64.b64encode(f"{account.sid}:{PASSWORD}".encode())
        wait = limit.retry_after if limit is not None else None
        body = json.dumps({"code": 20429, "message": "Too Many Requests", "status": 429}).encode()
        self.refusal = _sent(Reply(429, body, headers={} if wait is None else {"Retry-After": f"{wait:g}"}))
        self._answers = {f"/{name}": self._made(f"/{name}") for name in account.items}
        self._answers |= {f"/{name}{_PAGE}": self._made(f"/{name}{_PAGE}") for name in account.lists}

    async def serve(self) -> int:
        """Listen; the port."""
        server = await asyncio.get_running_loop().create_server(lambda: _Line(self), "127.0.0.1", 0, backlog=1024)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def after_latency(self, answer: Callable[[str], None], target: str) -> None:
        """Call *answer* for *target* when *latency* has passed: on average exactly, though timers come late."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.latency

        def come() -> None:
            # Timers come late by up to a millisecond: by what they were late so far, the next are set early.
            self._early = min(max(0.0, self._early + 0.02 * (loop.time() - due)), self.latency / 10)
            answer(target)

        loop.call_at(due - self._early, come)

    def answer(self, target: str) -> bytes:
        """The whole answer to a GET of *target*."""
        return self._answers.get(target) or self._made(target)

    def _made(self, target: str) -> bytes:
        parts = urlsplit(target)
        host, _, path = parts.path[1:].partition("/")
        authorization = {"authorization": self.token.decode()}
        return _sent(
            self._api.answer(Request("GET", host, f"/{unquote(path)}", dict(parse_qsl(parts.query)), authorization))
        )


class _Line(asyncio.Protocol):
    """One connection. Requests without a body, one at a time."""

    def __init__(self, server: CannedServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections += 1

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        head, self._head = self._head, b""
        server = self._server
        if server.token not in head or not head.startswith(b"GET "):
            self._transport.abort()
        elif server.limit is not None and not server.limit.enter():
            self._transport.write(server.refusal)
        else:
            server.after_latency(self._answer, head[4 : head.index(b" ", 4)].decode("ascii"))

    def _answer(self, target: str) -> None:
        if self._server.limit is not None:
            self._server.limit.leave()
        self._transport.write(self._server.answer(target))


def _sent(reply: Reply) -> bytes:
    told = {
        "Content-Type": "application/json",
        "Content-Length": str(len(reply.body)),
        "Date": formatdate(usegmt=True),
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in told.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + reply.body
