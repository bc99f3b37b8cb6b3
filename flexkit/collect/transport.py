"""The one door to Twilio: the SDK's client over an own transport that only reads, paces, retries and checks.

The SDK brings authentication, hosts, regions and user agent; its own HTTP clients are not used. Measured,
they cost five times the CPU; the asynchronous one ignores time-outs and, without pooling, hands the answer
to another coroutine; neither keeps ``Retry-After`` for the caller, and both log query strings.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type
from twilio.http import AsyncHttpClient
from twilio.rest import Client
from yarl import URL

from flexkit.collect.answers import (
    NO_HEADERS,
    NOTHING,
    Answer,
    UnavailableError,
    http_date,
    parsed,
    retry_after,
)
from flexkit.collect.door import Door, certificates, shown
from flexkit.collect.pace import Pace
from flexkit.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.settings import Settings

LARGEST_BODY = 64 * 1024 * 1024
HOST_IS_DOWN = 8
"""Requests in a row that a host left unanswered, all tries included, before it is not asked any more."""
_RETRIED = frozenset({408, 500, 502, 503, 504})
_SILENT = logging.getLogger("flexkit.silent")
_SILENT.disabled = True


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds, and how often to try."""

    connect: float = 10.0
    idle: float = 20.0
    request: float = 60.0
    """For one try, from the first byte sent to the last received: a body that drips does not pass."""
    tries: int = 6
    first_pause: float = 0.5
    longest_pause: float = 8.0
    refused: float = 900.0
    """For one request that is refused (429) again and again."""


@dataclass(slots=True)
class _Asking:
    """One request with all its tries."""

    host: str
    address: str
    headers: Mapping[str, str]
    url: str
    begun_at: float
    faults: list[_Fault] = field(default_factory=list)

    @property
    def failures(self) -> int:
        return sum(not fault.is_refusal for fault in self.faults)


class _Fault(Exception):  # noqa: N818 - never seen outside this module
    """One try failed in a way that another may not."""

    def __init__(self, kind: str, *, is_refusal: bool = False, wait: float | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.is_refusal = is_refusal
        self.wait = wait


class Transport(AsyncHttpClient):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's HTTP client, replaced: GET only, allowed hosts only, paced, retried, never logged."""

    def __init__(self, door: Door, *, pace: Pace | None = None, patience: Patience | None = None) -> None:
        super().__init__(_SILENT, is_async=True)
        self.door = door
        self.pace = pace or Pace()
        self.patience = patience or Patience()
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.clock_offset: dt.timedelta | None = None
        self.answered_hosts: set[str] = set()
        self._unanswered: Counter[str] = Counter()
        self._authorization: dict[tuple[str, str], str] = {}
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Fault),
            stop=lambda state: self._is_over(state.args[0]),
            retry_error_callback=lambda state: self._give_up(state.args[0]),
        )
        limits = aiohttp.ClientTimeout(
            total=self.patience.request, sock_connect=self.patience.connect, sock_read=self.patience.idle
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=certificates(), limit=0, ttl_dns_cache=300),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=limits,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def request(  # noqa: PLR0917 - the SDK's signature
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: object = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the SDK's signature; see Patience
        allow_redirects: bool = False,  # noqa: ARG002, FBT001, FBT002 - the SDK's signature; none are followed
    ) -> Answer:
        """Ask once, and again where that can help; the SDK calls this. Raises `FetchError`."""
        if method.upper() != "GET" or data:
            msg = f"flexkit only reads; refused {method.upper()} {shown(url)}."
            raise FetchError(msg)
        host, address = self.door.address(url, params)
        if self._unanswered[host] >= HOST_IS_DOWN:
            msg = f"{host} left {HOST_IS_DOWN} requests in a row unanswered and was not asked any more."
            raise UnavailableError(msg)
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = self._basic(auth)
        asking = _Asking(host, address, sent, url, asyncio.get_running_loop().time())
        try:
            answer = await self._ask(asking)
        except _Fault:
            # Tenacity costs a tenth of a request's CPU, so it comes in where something failed. A copy per
            # request: it keeps its state per thread, not per coroutine.
            if self._is_over(asking):
                self._give_up(asking)
            answer = await self._retrying.copy()(self._ask_again, asking)
        self._unanswered[host] = 0
        return answer

    async def _ask(self, asking: _Asking) -> Answer:
        """One try: an answer, or a fault that another try may not have."""
        fault: _Fault | None = None
        status, headers, body = 0, NO_HEADERS, b""
        async with self.pace.turn(asking.host) as turn:
            self.counts["requests"] += 1
            try:
                async with self._session.get(
                    URL(asking.address, encoded=True),
                    headers=asking.headers,
                    proxy=self.door.proxy(asking.host),
                    allow_redirects=False,
                ) as response:
                    status, headers = response.status, response.headers
                    body = await _body(response)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                fault = _Fault(_happened(error))
            if status == 429:
                wait = retry_after(headers)
                fault = _Fault("HTTP 429", is_refusal=True, wait=wait)
                turn.refuse(wait)
            elif status:
                turn.answer()
        if self.clock_offset is None and status:
            self._learn_clock(headers)
        if fault is None and status in _RETRIED:
            fault = _Fault(f"HTTP {status}", wait=retry_after(headers))
            if fault.wait:
                self.pace.hold(asking.host, fault.wait)
        payload = NOTHING if fault is not None or status != 200 else parsed(body)
        if status == 200 and payload is NOTHING and fault is None:
            fault = _Fault("a web page instead of JSON" if body.lstrip()[:1] == b"<" else "invalid JSON")
        elif status == 200 and fault is None and not isinstance(payload, dict):
            fault = _Fault("JSON of another shape than Twilio's")
        # Raised out here, so that no exception holds the request with its credentials as its context.
        if fault is not None:
            self.counts["refusals"] += fault.is_refusal
            self.faults[fault.kind] += 1
            asking.faults.append(fault)
            raise fault
        if status == 200:
            self.answered_hosts.add(asking.host)
        return Answer(status, body, headers, payload)

    async def _ask_again(self, asking: _Asking) -> Answer:
        await asyncio.sleep(self._pause(asking))
        self.counts["retries"] += 1
        return await self._ask(asking)

    def _is_over(self, asking: _Asking) -> bool:
        last = asking.faults[-1]
        if last.is_refusal:
            spent = asyncio.get_running_loop().time() - asking.begun_at
            return spent + (last.wait or 0) > self.patience.refused
        return asking.failures >= self.patience.tries or (last.wait or 0) > self.patience.refused

    def _pause(self, asking: _Asking) -> float:
        """Seconds before the next try; the line makes a refused one wait out its Retry-After."""
        if asking.faults[-1].is_refusal:
            count = len(asking.faults) - asking.failures
            return 0.0 if asking.faults[-1].wait else random.uniform(0.1, 0.3) * min(2 ** (count - 1), 4)
        longest: float = min(self.patience.first_pause * 2 ** (asking.failures - 1), self.patience.longest_pause)
        return random.uniform(0.5, 1.0) * longest

    def _give_up(self, asking: _Asking) -> NoReturn:
        last = asking.faults[-1]
        self._unanswered[asking.host] += 1
        if last.is_refusal:
            why = f"refused (HTTP 429) for {self.patience.refused:.0f} seconds."
        else:
            why = f"failed {len(asking.faults)} times, at last with: {last.kind}."
            if "web page" in last.kind:
                why += " Is there a proxy or a captive portal on the way?"
        msg = f"{shown(asking.url)} {why}"
        raise UnavailableError(msg, why=why)

    def _learn_clock(self, headers: Mapping[str, str]) -> None:
        """How far Twilio's clock is ahead of ours, from the Date of an answer."""
        sent_at = http_date(headers.get("Date"))
        if sent_at is not None:
            self.clock_offset = sent_at - dt.datetime.now(dt.UTC)

    def _basic(self, auth: tuple[str, str]) -> str:
        if auth not in self._authorization:
            token = base64.b64encode(f"{auth[0]}:{auth[1]}".encode()).decode("ascii")
            self._authorization[auth] = f"Basic {token}"
        return self._authorization[auth]


def open_client(settings: Settings, *, patience: Patience | None = None, pace: Pace | None = None) -> Client:
    """The SDK's client over a `Transport`, with the credentials of *settings*; needs a running event loop.

    Close it with ``await client.http_client.close()``. Raises `CredentialError` where a variable is missing.
    """
    username, password, account = settings.credentials()
    return Client(
        username,
        password,
        account_sid=account,
        region=settings.twilio_region,
        edge=settings.twilio_edge,
        http_client=Transport(Door(settings.flexkit_twilio_base_url), pace=pace, patience=patience),
        # Not empty, or the SDK would read the environment again, which settings did.
        environment={"TWILIO_ACCOUNT_SID": account},
    )


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body; one without end is refused."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_BODY:
            msg = "body too large"
            raise ValueError(msg)
    return b"".join(pieces)


def _happened(error: Exception) -> str:  # noqa: PLR0911 - one sentence per kind
    """What went wrong, in words that hold nothing of the request."""
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "certificate not trusted (set REQUESTS_CA_BUNDLE to your organisation's roots)"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found (is the network up?)"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "proxy failed (see HTTPS_PROXY)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or 'refused'})"
    if isinstance(error, aiohttp.ClientPayloadError | ValueError):
        return "damaged body"
    return "connection lost"
