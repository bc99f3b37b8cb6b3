"""An answer of Twilio, and what can be told of one that failed; nothing here sends anything."""

from __future__ import annotations

import datetime as dt
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flexkit.collect.network.json_text import parsed
from flexkit.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class RefusedError(FetchError):
    """Twilio answered and will not give this resource: 4xx, or a redirect. *status* says which."""

    def __init__(self, message: str, *, status: int, host: str) -> None:
        super().__init__(message)
        self.status = status
        self.host = host


class UnavailableError(FetchError):
    """A resource could not be read however often it was asked for; asking again later may help.

    *why* says so without naming the resource, so that equal reasons can be counted together.
    """

    def __init__(self, message: str, *, why: str | None = None) -> None:
        super().__init__(message)
        self.why = why or message


class Answer:
    """What Twilio answered, as the SDK expects a response, and its body as parsed once by the transport."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str], payload: Any) -> None:
        self.status_code = status
        self.headers = headers
        self.body = body
        self.payload = payload

    @property
    def text(self) -> str:
        """The body as text, for the SDK's models."""
        return self.body.decode("utf-8", "replace")

    @property
    def error_code(self) -> int | None:
        """Twilio's own code in the body of an error."""
        told = parsed(self.body)
        code = told.get("code") if isinstance(told, dict) else None
        return code if isinstance(code, int) else None

    def __repr__(self) -> str:
        return f"<Answer {self.status_code}>"


def http_date(text: str | None) -> dt.datetime | None:
    """The instant of a header such as ``Date``; None where it is absent or malformed."""
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(dt.UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of ``Retry-After`` (a number, or a date by the server's own clock); None where there is none."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until = http_date(text)
        if until is None:
            return None
        now = http_date(headers.get("Date")) or dt.datetime.now(dt.UTC)
        seconds = (until - now).total_seconds()
    return seconds if 0 < seconds < float("inf") else None
