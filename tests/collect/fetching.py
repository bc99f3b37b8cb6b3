"""What the tests of fetching share: a quick patience, settings for a server, and what a store holds."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from flexkit.collect.network.tries import Patience
from flexkit.collect.twilio_api import fetch
from flexkit.settings import Settings
from flexkit.tables.store import Store
from flexkit.window import Window
from tests.server.account import Account
from tests.server.api import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from flexkit.collect.fetch.summary import FetchSummary
    from tests.server.api import TwilioServer

KEYS = {
    "alerts": "alert_sid",
    "task_events": "event_sid",
    "interactions": "interaction_sid",
    "channels": "channel_sid",
    "participants": "participant_sid",
    "invites": "invite_sid",
    "conversations": "conversation_sid",
    "executions": "execution_sid",
    "steps": "step_sid",
}
TABLES = {
    "alerts": ("alerts",),
    "task_events": ("task_events",),
    "interactions": ("interactions", "channels", "participants", "invites"),
    "conversations": ("conversations",),
    "studio": ("executions", "steps"),
}
QUICK = Patience(connect=2.0, idle=1.0, request=1.5, tries=4, first_pause=0.02, longest_pause=0.1, refused=20.0)


def small(**changes: Any) -> Account:
    """A small account of one day."""
    return Account(**({"interactions": 8, "days": 0.5, "open_share": 0.13, "deleted_share": 0.13, "seed": 3} | changes))


def settings_for(server: TwilioServer, **changes: Any) -> Settings:
    """Settings with the credentials of *server*'s account."""
    given = {
        "twilio_account_sid": server.account.sid,
        "twilio_auth_token": PASSWORD,
        "flexkit_twilio_base_url": server.url,
    }
    return Settings(_env_file=None, **(given | changes))


def days(count: float) -> Window:
    """The last *count* days."""
    now = dt.datetime.now(dt.UTC)
    return Window(now - dt.timedelta(days=count), now)


def fetched(folder: Path, server: TwilioServer, **options: Any) -> tuple[FetchSummary, Store]:
    """Fetch a day (or *window*) from *server* into a store in *folder*."""
    store = Store(folder)
    chosen: dict[str, Any] = {"patience": QUICK} | options
    window = chosen.pop("window", None) or days(1)
    settings = chosen.pop("settings", None) or settings_for(server)
    return fetch(store, settings, window, **chosen), store


def held(store: Store) -> dict[str, set[str]]:
    """The keys that *store* holds, per table; a key that is there twice fails."""
    found = {}
    for table, key in KEYS.items():
        keys = store.table(table).select(key).collect().to_series().to_list()
        if table != "channels":  # One row per time that a channel was seen.
            assert len(keys) == len(set(keys)), f"{table} holds a row twice"
        found[table] = set(keys)
    return found


def truth(server: TwilioServer, sources: Collection[str] = ()) -> dict[str, set[str]]:
    """What `held` is after a complete fetch of *sources* (of all, unless given)."""
    tables = [table for source, tables in TABLES.items() if not sources or source in sources for table in tables]
    whole = server.account.truth()
    return {table: whole[table] if table in tables else set() for table in KEYS}
