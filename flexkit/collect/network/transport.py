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
import os
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type
from twilio.http import AsyncHttpClient
from twilio.rest import Client
from yarl import URL

from flexkit.collect.network.answers import (
    NO_HEADERS,
    Answer,
    UnavailableError,
    http_date,
    retry_after,
)
from flexkit.collect.network.door import Door, certificates, shown
from flexkit.collect.network.json_text import NOTHING, parsed
from flexkit.collect.network.pace import Pace, Turn
from flexkit.collect.network.tries import RETRIED, Asking, Fault, Patience
from flexkit.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.settings import Settings

LARGEST_BODY = 64 * 1024 * 1024
HOST_IS_DOWN = 8
"""Requests in a row that a host left unanswered, all tries included, before it is not asked any more."""
_SILENT = logging.getLogger("flexkit.silent")
_SILENT.disabled = True


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
        self._shut: set[str] = set()
        self._authorization: dict[tuple[str, str], str] = {}
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(Fault),
            stop=lambda state: self._is_over(state.args[0]),
            retry_error_callback=lambda state: self._give_up(state.args[0]),
        )
        limits = aiohttp.ClientTimeout(
            total=self.patience.request, sock_connect=self.patience.connect, sock_read=self.patience.idle
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=door.is_plain or certificates(), limit=0, ttl_dns_cache=300),
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
        if host in self._shut:
            raise UnavailableError(_not_any_more(host))
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = self._basic(auth)
        asking = Asking(host, address, sent, url, asyncio.get_running_loop().time())
        try:
            answer = await self._ask(asking)
        except Fault:
            # Tenacity costs a tenth of a request's CPU, so it comes in where something failed. A copy per
            # request: it keeps its state per thread, not per coroutine.
            if self._is_over(asking):
                self._give_up(asking)
            answer = await self._retrying.copy()(self._ask_again, asking)
        self._unanswered[host] = 0
        return answer

    async def _ask(self, asking: Asking) -> Answer:
        """One try: an answer, or a fault that another try may not have."""
        fault: Fault | None = None
        status, headers, body = 0, NO_HEADERS, b""
        async with self.pace.turn(asking.host) as turn:
            if asking.host in self._shut:
                raise UnavailableError(_not_any_more(asking.host))
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
                fault = Fault(_happened(error))
            if status == 429:
                fault = self._refused(asking.host, turn, headers)
            elif status:
                turn.answer()
        if self.clock_offset is None and status:
            self._learn_clock(headers)
        payload = NOTHING
        if fault is None and status in RETRIED:
            fault = Fault(f"HTTP {status}", wait=retry_after(headers))
            if fault.wait:
                self.pace.hold(asking.host, fault.wait)
        elif fault is None and status == 200:
            payload = parsed(body)
            fault = _misshapen(payload, body)
        # Raised out here, so that no exception holds the request with its credentials as its context.
        if fault is not None:
            self.counts["refusals"] += fault.is_refusal
            self.faults[fault.kind] += 1
            asking.faults.append(fault)
            raise fault
        if status == 200:
            self.answered_hosts.add(asking.host)
        return Answer(status, body, headers, payload)

    def _refused(self, host: str, turn: Turn, headers: Mapping[str, str]) -> Fault:
        wait = retry_after(headers)
        if (wait or 0) > self.patience.refused:
            # Longer than anybody would wait: this host is over for this run, and the others are not held up.
            self._shut.add(host)
            turn.answer()
        else:
            turn.refuse(wait)
        return Fault("HTTP 429", is_refusal=True, wait=wait)

    async def _ask_again(self, asking: Asking) -> Answer:
        await asyncio.sleep(asking.pause(self.patience))
        self.counts["retries"] += 1
        return await self._ask(asking)

    def _is_over(self, asking: Asking) -> bool:
        return asking.is_over(self.patience, asyncio.get_running_loop().time())

    def _give_up(self, asking: Asking) -> NoReturn:
        self._unanswered[asking.host] += 1
        if self._unanswered[asking.host] >= HOST_IS_DOWN:
            self._shut.add(asking.host)
        why = asking.given_up(self.patience)
        msg = f"{shown(asking.address)} {why}"
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


def _not_any_more(host: str) -> str:
    return f"{host} left too many requests unanswered, or told us to wait too long, and was not asked any more."


def _misshapen(payload: object, body: bytes) -> Fault | None:
    """What is wrong with an answer that says that all is well."""
    if payload is NOTHING:
        return Fault("a web page instead of JSON" if body.lstrip()[:1] == b"<" else "invalid JSON")
    return None if isinstance(payload, dict) else Fault("JSON of another shape than Twilio's")


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


def _reason(error: OSError) -> str:
    # The event loop puts the address in place of the system's own words.
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "refused"


def _happened(error: Exception) -> str:  # noqa: PLR0911 - one sentence per kind
    """What went wrong, in words that hold nothing of the request."""
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "certificate not trusted (set REQUESTS_CA_BUNDLE to your organisation's roots)"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "proxy failed (see HTTPS_PROXY)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({_reason(error.os_error)})"
    if isinstance(error, aiohttp.ClientPayloadError | ValueError):
        return "damaged body"
    return "connection lost"
