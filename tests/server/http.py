"""HTTP/1.1 on a loopback socket, raw enough to break: answers, half answers, silence. It knows nothing of Twilio."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable


@dataclass(slots=True)
class Request:
    """One request as it came: Twilio's host and path (the base URL puts the host first in the path)."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)
    status: int = 0

    @property
    def resource(self) -> str:
        """Host and path."""
        return f"{self.host}{self.path}"

    @property
    def credentials(self) -> tuple[str, str]:
        """User name and password."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        if kind != "Basic":
            return "", ""
        user, _, password = base64.b64decode(token).decode().partition(":")
        return user, password


@dataclass(slots=True)
class Reply:
    """What to answer, and how to fail at it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay: float = 0.0
    cut_at: int | None = None
    """Send so many bytes of the body, then cut the connection."""
    is_reset: bool = False
    """Cut with a reset instead of a close."""
    is_unannounced: bool = False
    """Send no Content-Length: a cut body looks whole to HTTP."""
    drip: float = 0.0
    """Seconds between single bytes."""
    is_hanging: bool = False
    """Never answer."""
    is_gzip: bool = False
    date_offset: float = 0.0


Handler = "Callable[[Request], Awaitable[Reply]]"


class HttpServer:
    """Serves one handler on a free port of the loopback address."""

    def __init__(self, handler: Callable[[Request], Awaitable[Reply]], tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self.tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_gone = False
        self.connections = 0
        self.open_connections = 0
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection, those too that were accepted at this moment."""
        self._is_gone = True
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open_connections += 1
        try:
            while not self._is_gone and (request := await _read(reader)) is not None:
                reply = await self._handler(request)
                request.status = reply.status
                if not await _write(writer, reply):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            with contextlib.suppress(Exception):
                writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    if length := int(headers.get("content-length", "0")):
        await reader.readexactly(length)
    parts = urlsplit(target)
    _, host, path = parts.path.split("/", 2) if parts.path.count("/") > 1 else ("", parts.path[1:], "")
    query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Request(method, host, f"/{unquote(path)}", query, headers)


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Send *reply*; False when the connection is to be dropped."""
    if reply.is_hanging:
        await asyncio.sleep(3600)
    body = gzip.compress(reply.body, 1) if reply.is_gzip else reply.body
    lines = [
        f"HTTP/1.1 {reply.status} X",
        f"Content-Type: {reply.content_type}",
        f"Date: {formatdate(time.time() + reply.date_offset, usegmt=True)}",
        *(f"{name}: {value}" for name, value in reply.headers.items()),
    ]
    if reply.is_gzip:
        lines.append("Content-Encoding: gzip")
    lines.append("Connection: close" if reply.is_unannounced else f"Content-Length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if reply.drip:
        writer.write(head)
        for place in range(len(body)):
            writer.write(body[place : place + 1])
            await writer.drain()
            await asyncio.sleep(reply.drip)
        return True
    if reply.cut_at is None and not reply.is_reset:
        writer.write(head + body)
        await writer.drain()
        return not reply.is_unannounced
    writer.write((head + body)[: len(head) + reply.cut_at] if reply.cut_at is not None else b"")
    await writer.drain()
    if reply.is_reset:
        # Closing with unread data, or with zero linger, sends a reset.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()
    return False
