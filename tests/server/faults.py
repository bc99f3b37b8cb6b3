"""Ways to fail: which requests, how often, and how. The API answers what no fault catches."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.server.http import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.http import Request

Change = "Callable[[Reply, Request], Reply]"


@dataclass
class Fault:
    """Changes the reply to requests whose host and path match *where*: after *skip* of them, *times* times."""

    where: str
    change: Callable[[Reply, Request], Reply]
    times: float = 1
    skip: int = 0
    only: Callable[[Request], bool] = field(default=lambda _: True)
    hits: int = 0
    seen: int = 0

    def applies(self, request: Request) -> bool:
        """Whether it is this request's turn to fail."""
        if re.search(self.where, request.resource) is None or not self.only(request):
            return False
        self.seen += 1
        if self.seen <= self.skip or self.hits >= self.times:
            return False
        self.hits += 1
        return True


def error(status: int, *, code: int | None = None, retry_after: str | None = None) -> Callable[..., Reply]:
    """An error as Twilio words it."""
    body = {"code": code or status * 100 + 20, "message": f"planted {status}", "status": status}
    headers = {} if retry_after is None else {"Retry-After": retry_after}

    def change(_: Reply, __: Request) -> Reply:
        return Reply(status, json.dumps(body).encode(), headers=dict(headers))

    return change


def page(status: int = 200) -> Callable[..., Reply]:
    """A web page where JSON belongs."""
    return lambda *_: Reply(status, b"<!doctype html><title>Sign in</title>", content_type="text/html")


def body(content: bytes) -> Callable[..., Reply]:
    """Another body with status 200."""
    return lambda *_: Reply(200, content)


def reset(at: int | None = None) -> Callable[..., Reply]:
    """A reset: before the answer, or after *at* bytes of its body."""

    def change(reply: Reply, _: Request) -> Reply:
        reply.is_reset, reply.cut_at = True, at
        return reply

    return change


def cut(share: float = 0.5, *, announced: bool = True) -> Callable[..., Reply]:
    """The connection ends in the middle of the body."""

    def change(reply: Reply, _: Request) -> Reply:
        reply.cut_at = int(len(reply.body) * share)
        reply.is_unannounced = not announced
        return reply

    return change


def drip(seconds: float = 0.05) -> Callable[..., Reply]:
    """One byte at a time."""

    def change(reply: Reply, _: Request) -> Reply:
        reply.drip = seconds
        return reply

    return change


def hang() -> Callable[..., Reply]:
    """No answer at all."""

    def change(reply: Reply, _: Request) -> Reply:
        reply.is_hanging = True
        return reply

    return change


def bad_gzip() -> Callable[..., Reply]:
    """Says gzip, and is not."""

    def change(reply: Reply, _: Request) -> Reply:
        reply.headers["Content-Encoding"] = "gzip"
        return reply

    return change


def redirect(to: str) -> Callable[..., Reply]:
    """Elsewhere."""
    return lambda *_: Reply(302, b"", headers={"Location": to})


def rewrite(edit: Callable[[Any, Request], Any]) -> Callable[..., Reply]:
    """The JSON of the answer, edited."""

    def change(reply: Reply, request: Request) -> Reply:
        reply.body = json.dumps(edit(json.loads(reply.body), request)).encode()
        return reply

    return change
