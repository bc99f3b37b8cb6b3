"""One resource or one list of Twilio's, read whole: next pages checked, loops ended, shifted lists read again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.windows import PAGE, SPARE
from flexkit.collect.network.answers import Answer, RefusedError, UnavailableError
from flexkit.collect.network.door import shown
from flexkit.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_PASSES = 3
"""How often a list is read that changes meanwhile, or whose page token expires."""
_EMPTY = 50
"""Empty pages in a row that are followed."""


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one page, and what it says about itself."""

    items: list[Any]
    size: int
    next_url: object = None

    @property
    def is_full(self) -> bool:
        """Whether more rows may exist than it shows."""
        return len(self.items) >= self.size


@dataclass(slots=True)
class Listing:
    """Items of a whole list, each once."""

    items: list[Any] = field(default_factory=list)
    sids: set[str] = field(default_factory=set)
    has_repeated: bool = False
    """Whether one item was on two pages: the list shifted while it was read."""
    problem: str | None = None
    """Why it is not whole."""

    def take(self, page: Page) -> bool:
        """Add what is new of *page*; whether anything was."""
        before = len(self.sids)
        for item in page.items:
            name = sid_of(item)
            if name in self.sids:
                self.has_repeated = True
                continue
            self.sids.add(name)
            self.items.append(item)
        return len(self.sids) > before


class Asker:
    """Reads through the SDK's client (its versions know host and path; its transport paces and retries)."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._door = client.http_client.door

    async def one(self, version: Any, path: str, params: Mapping[str, object] | None = None) -> Answer:
        """The answer for one resource, its payload a JSON object. Raises `RefusedError`, `UnavailableError`."""
        answer: Answer = await version.request_async("GET", path, params=params)
        return _good(answer, version.absolute_url(path))

    async def page(self, version: Any, path: str, key: str, params: Mapping[str, object] | None = None) -> Page:
        """The first page of a list whose items stand under *key*."""
        return _page((await self.one(version, path, {"PageSize": PAGE, **(params or {})})).payload, key)

    async def listing(
        self,
        version: Any,
        path: str,
        key: str,
        params: Mapping[str, object] | None = None,
        *,
        first: Page | None = None,
    ) -> Listing:
        """Every item of a list, once; *first* is its first page where that was read already.

        A list that shifted while it was read is read again until two readings agree; a page token that
        expired means starting at the first page. What came before a failure is in the listing, with its
        ``problem``; only a first page that cannot be read raises (`RefusedError`, `UnavailableError`).
        """
        before: set[str] | None = None
        found = Listing()
        for _ in range(_PASSES):
            page = first or await self.page(version, path, key, params)
            first = None
            found = Listing()
            try:
                await self._follow(found, page, version.absolute_url(path), key)
            except _ExpiredError:
                found.problem = "its page token expired again and again"
                continue
            except FetchError as error:
                found.problem = str(error)
                return found
            if not found.has_repeated or found.sids == before:
                return found
            before = found.sids
            found.problem = "it kept changing while it was read"
        return found

    async def _follow(self, found: Listing, page: Page, asked: str, key: str) -> None:
        """Read *page* and those after it into *found*."""
        followed: set[str] = set()
        idle = 0
        while True:
            idle = 0 if found.take(page) else idle + 1
            if not page.next_url:
                return
            url = self._door.next_page(page.next_url, asked)
            if url in followed or idle > (1 if page.items else _EMPTY):
                msg = f"{asked} repeats its pages without end, at {shown(url)}: read no further"
                raise UnavailableError(msg)
            followed.add(url)
            try:
                page = _page(_good(await self._client.request_async("GET", url), asked).payload, key)
            except RefusedError as refused:
                # A page token that expired, or a page that went away: the list is read from its start.
                if refused.status in (400, 404, 410):
                    raise _ExpiredError from None
                raise


class _ExpiredError(FetchError):
    """A page token is not valid any more."""


def sid_of(item: object) -> str:
    """What tells *item* from others: its SID, or all of it."""
    if isinstance(item, dict):
        for name in ("sid", "ttid"):
            if isinstance(item.get(name), str):
                return str(item[name])
    return json.dumps(item, sort_keys=True)


def _good(answer: Answer, url: str) -> Answer:
    if answer.status_code == 200:
        return answer
    raise RefusedError(_refusal(answer, url), status=answer.status_code, host=shown(url).split("/")[2])


def _refusal(answer: Answer, url: str) -> str:
    told = answer.error_code
    code = f", Twilio error {told}" if told is not None else ""
    if 300 <= answer.status_code < 400:
        return f"{shown(url)} redirects elsewhere (HTTP {answer.status_code}): not followed."
    return f"{shown(url)} was refused (HTTP {answer.status_code}{code})."


def _page(payload: Json, key: str) -> Page:
    meta = payload.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    named = meta.get("key")
    items = payload.get(named) if isinstance(named, str) else None
    items = payload.get(key) if items is None else items
    if not isinstance(items, list):
        msg = f"A list of {key} came without its {key}. Fetch again later."
        raise UnavailableError(msg)
    told = meta.get("page_size", payload.get("page_size"))
    # Judged by what the server gives, not by what it was asked for; where it does not say, by the API's default.
    size = told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else SPARE
    return Page(items, size, meta.get("next_page_url") or payload.get("next_page_uri"))
