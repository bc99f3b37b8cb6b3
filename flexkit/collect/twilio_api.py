"""Fetch from Twilio: what others call. It reads what the store lacks, and says what it could not get."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from flexkit.collect.fetch.fetching import Fetching
from flexkit.collect.fetch.held import RETENTION
from flexkit.collect.fetch.lock import check_account, only_fetch
from flexkit.collect.fetch.plan import EDGE, chosen_sources, plan
from flexkit.errors import UsageError
from flexkit.stopping import stoppable
from flexkit.window import Window, parse_instant, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from pathlib import Path

    from flexkit.collect.fetch.run import Jobs
    from flexkit.collect.fetch.summary import FetchPlan, FetchSummary
    from flexkit.collect.network.pace import Pace
    from flexkit.collect.network.tries import Patience
    from flexkit.settings import Settings
    from flexkit.tables.store import Store


def fetch(
    store: Store,
    settings: Settings,
    window: Window,
    *,
    sources: Collection[str] | None = None,
    keep_raw: Path | None = None,
    progress: Callable[[FetchSummary, Jobs], None] | None = None,
    patience: Patience | None = None,
    pace: Pace | None = None,
) -> FetchSummary:
    """Read what *store* lacks of *window* from Twilio, and what belongs to the interactions named there.

    *sources* (`SOURCES`) are all unless given; *keep_raw* names a folder for raw records. *progress* is
    called about twice a second. Raises `CredentialError` where Twilio refuses the credentials at the
    start, `UsageError` where the store holds another account, `FetchError` where Twilio cannot be reached
    or another fetch is at work, `StoreError` where the store cannot be written; what is missing otherwise
    is in the summary.
    """
    chosen = chosen_sources(sources or ())
    *_, account = settings.credentials()
    check_account(store.path, account)
    with only_fetch(store.path), _prompt_switching():
        fetching = Fetching(store, settings, window, sources=chosen, keep_raw=keep_raw, progress=progress)
        # The store, and its key, are made once Twilio has answered: one that refuses leaves no empty store behind.
        return _in_a_loop(fetching.run(lambda: store.redactor(_secret(settings)), patience, pace))


_SWITCHING = 2e-4


@contextlib.contextmanager
def _prompt_switching() -> Iterator[None]:
    """Let the thread that asks Twilio have its turn soon while another one stores.

    Each of its system calls gives the interpreter away; to get it back takes 5 ms unless told otherwise. Measured
    against a limit of 24 requests at once, answers then took up to three times as long while a batch was stored.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCHING))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _in_a_loop(work: Coroutine[None, None, FetchSummary]) -> FetchSummary:
    """The result of *work*; in a thread of its own where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def run_fetch(
    folder: Path,
    *,
    since: str = "",
    until: str = "",
    sources: Collection[str] = (),
    without: Collection[str] = (),
    dry_run: bool = False,
    keep_raw: Path | None = None,
    log: Callable[[str], None] = print,
) -> FetchSummary | FetchPlan:
    """`fetch` or `plan` for the command line; *since* is the end of Twilio's memory unless given."""
    from flexkit.collect.fetch.progress import shown_progress
    from flexkit.settings import settings
    from flexkit.tables.store import Store

    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    chosen = chosen_sources(sources, without)
    end = parse_instant(until, now=now) if until else now
    begin = parse_instant(since, now=end) if since else end - RETENTION + EDGE
    if begin >= end:
        msg = f"There is nothing between --since ({stamp(begin)}) and --until ({stamp(end)}). Give an earlier --since."
        raise UsageError(msg)
    window = Window(begin, end)
    if dry_run:
        return plan(Store(folder), window, sources=chosen)
    # Refused before anything is written.
    settings().credentials()
    if keep_raw is not None:
        log(f"Raw records, with all personal data in them, are kept in {keep_raw}: protect it.")
    with stoppable(), shown_progress(log) as progress:
        return fetch(Store(folder), settings(), window, sources=chosen, keep_raw=keep_raw, progress=progress)


def _secret(settings: Settings) -> str | None:
    key = settings.flexkit_pseudonym_key
    return None if key is None else key.get_secret_value()


__all__ = ["fetch", "plan", "run_fetch"]
