"""Which addresses may be asked, and how a request gets there: allowed hosts, base URL, proxies, certificates."""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from flexkit.errors import FetchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCTS = ("conversations", "events", "flex-api", "monitor", "studio", "taskrouter")
"""Twilio's products that flexkit reads; a host is ``product[.edge][.region].twilio.com``."""

_HOST = re.compile(rf"(?:{'|'.join(PRODUCTS)})(?:\.[a-z0-9-]+){{0,2}}\.twilio\.com")
# No user, no port, no fragment, nothing that a library could read in another way.
_ASKED = re.compile(rf"https://(?P<host>{_HOST.pattern})(?P<tail>/[!-\"$-\[\]-~]*)")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Door:
    """Lets requests out to Twilio's products only, or to *base* (``https://HOST/PATH`` becomes ``BASE/HOST/PATH``)."""

    def __init__(self, base: str | None = None) -> None:
        self._base = None if base is None else _checked_base(base)
        self._proxies: dict[str, str | None] = {}

    def address(self, url: str, params: Mapping[str, object] | None = None) -> tuple[str, str]:
        """Host that is asked and address to send to, for *url* with *params*; a foreign *url* is refused."""
        asked = _ASKED.fullmatch(url)
        if asked is None:
            msg = f"Refused to send credentials to {shown(url)}: flexkit reads Twilio's products over https only."
            raise FetchError(msg)
        host, tail = asked["host"], asked["tail"]
        address = url if self._base is None else f"{self._base}/{host}{tail}"
        if params:
            given = urlencode({key: value for key, value in params.items() if value is not None})
            address += ("&" if "?" in tail else "?") + given
        return host, address

    def next_page(self, url: object, asked: str) -> str:
        """*url* of the page after *asked*, as Twilio's own address; refused unless it is the same list."""
        text = url if isinstance(url, str) else ""
        if self._base is not None and text.startswith(f"{self._base}/"):
            text = "https://" + text.removeprefix(f"{self._base}/")
        if text.startswith("/"):
            text = f"https://{urlsplit(asked).netloc}{text}"
        found, wanted = urlsplit(text), urlsplit(asked)
        same_product = found.netloc.split(".")[0] == wanted.netloc.split(".")[0]
        if found.scheme != "https" or _HOST.fullmatch(found.netloc) is None or not same_product:
            msg = f"{shown(asked)} names {shown(text)} as its next page: another host, so it was not followed."
            raise FetchError(msg)
        if found.path != wanted.path:
            msg = f"{shown(asked)} names {shown(text)} as its next page: another list, so it was not followed."
            raise FetchError(msg)
        # Asked where the first page was: a link may name the host of another region, where the key means nothing.
        return f"https://{wanted.netloc}{found.path}{'?' if found.query else ''}{found.query}"

    def proxy(self, host: str) -> str | None:
        """The proxy for Twilio's *host* (or for the base URL) as the environment names it; looked up once."""
        if host not in self._proxies:
            parts = urlsplit(self._base or f"https://{host}")
            is_direct = bool(parts.hostname and proxy_bypass(parts.hostname))
            given = None if is_direct else getproxies().get(parts.scheme) or getproxies().get("all")
            self._proxies[host] = None if not given else _checked_proxy(given, f"{parts.scheme}_proxy".upper())
        return self._proxies[host]

    @property
    def is_plain(self) -> bool:
        """Whether requests go to the loopback address without TLS."""
        return (self._base or "").startswith("http://")


def certificates() -> ssl.SSLContext:
    """Trust for TLS: ``REQUESTS_CA_BUNDLE`` or ``SSL_CERT_FILE`` where set, else the system's and certifi's roots."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    try:
        if bundle:
            is_folder = os.path.isdir(bundle)  # noqa: PTH112 - a path from the environment, passed on as it is
            return ssl.create_default_context(
                cafile=None if is_folder else bundle, capath=bundle if is_folder else None
            )
        context = ssl.create_default_context()
        import certifi

        context.load_verify_locations(certifi.where())
    except OSError as error:
        msg = (
            f"Cannot read the certificates in {bundle or 'the certifi package'}: {error.strerror or 'no certificate'}. "
            "Correct REQUESTS_CA_BUNDLE or SSL_CERT_FILE."
        )
        raise UsageError(msg) from None
    return context


def _checked_proxy(given: str, variable: str) -> str:
    """*given* with its scheme, which many leave out; a proxy that is no HTTP proxy is refused."""
    proxy = given if "://" in given else f"http://{given}"
    if not proxy.lower().startswith(("http://", "https://")):
        msg = f"{variable} names a {proxy.partition(':')[0][:10]} proxy. Name an HTTP proxy (http://HOST:PORT)."
        raise UsageError(msg)
    return proxy


def _checked_base(base: str) -> str:
    parts = urlsplit(base)
    is_loopback = parts.hostname in _LOOPBACK
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        msg = "FLEXKIT_TWILIO_BASE_URL is not an address. Write https://HOST or http://127.0.0.1:PORT."
        raise UsageError(msg)
    if parts.username or parts.password:
        msg = "FLEXKIT_TWILIO_BASE_URL holds a user name or password. Credentials go into TWILIO_… variables."
        raise UsageError(msg)
    if parts.scheme == "http" and not is_loopback:
        msg = (
            f"FLEXKIT_TWILIO_BASE_URL is {base!r}: credentials would leave this machine unencrypted. "
            "Use https; plain http is allowed for the loopback address only."
        )
        raise UsageError(msg)
    return base.rstrip("/")


def shown(url: str) -> str:
    """Scheme, host and path of *url* for a message: no user, no query, no control characters."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path
    return "".join(c if c.isprintable() else "\ufffd" for c in shown)[:200] or "an empty address"
