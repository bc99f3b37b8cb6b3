"""What the user declares in her data folder: fixes (``fixes.toml``) and names for handlers (``handlers.toml``).

``handlers.toml`` names each automation once, so that every page speaks in those names::

    [[handler]]
    name = "close-fn"                        # required; several entries may share a name
    title = "End chat button"                # optional: for people
    intent = "end"                           # optional: end or remove_agent
    kind = "function"                        # optional, free: function, flow, agent, …
    events = ["task.completed"]              # optional: the events that set it off

    [handler.match]                          # what its traces look like; these keys may also stand above
    logged = "close-*"                       # its name in the completion log (also: handler)
    url_path = "/hooks/close*"               # host and path that it receives deliveries at, or path alone
    user_agent = "axios/*"
    flow = "FW…"                             # Studio flow
    widget = "close_*"                       # Studio widget
    worker = "WK…"                           # worker, or "*" for any
    ip = ["203.0.113.7", "198.51.100.0/28"]  # addresses or ranges of at most 4096; kept as pseudonyms only
    event = "task.canceled"                  # name of the event that shows it

Each value is a text, in which ``*`` stands for anything, or a list of texts of which one must fit. An
entry matches where *all* that its match gives fits. `read_handlers` gives one row per entry, in file
order (the first that matches counts), with the columns of `HANDLERS`.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import tomllib
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.errors import UsageError
from flexkit.tables.redact import scrub
from flexkit.tables.schema import INSTANT
from flexkit.terms import FixKind, Intent
from flexkit.window import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flexkit.tables.redact import Redactor

FIXES: dict[str, pl.DataType | type[pl.DataType]] = {
    "fix_id": pl.String,
    "title": pl.String,
    "kind": pl.String,
    "deployed_at": INSTANT,
    "ramp_hours": pl.Float64,
    "channel_types": pl.List(pl.String),
    "handlers": pl.List(pl.String),
}
"""One row per fix; ``ramp_hours`` is 0 and the lists are empty where the file says nothing."""

_PATTERNS = ("url_path", "user_agent", "flow", "widget", "worker", "event", "logged")

HANDLERS: dict[str, pl.DataType | type[pl.DataType]] = {
    "handler": pl.String,
    "order": pl.Int64,
    **dict.fromkeys(_PATTERNS, pl.String),
    "ip_hashes": pl.List(pl.String),
    "intent": pl.String,
    "kind": pl.String,
    "title": pl.String,
    "events": pl.List(pl.String),
}
"""One row per entry: the name; its place in the file, from 0; the match as regular expressions that fit a
whole value, null where the entry does not ask; pseudonyms of its addresses, as in ``source_ip_hash``.
What each is held against in `signals`: url_path: subscription; user_agent; flow: flow_sid; widget;
worker: worker_sid; event: event_name; logged: handler; ip_hashes: source_ip_hash."""

_MOST_ADDRESSES = 4096
_REMEMBERED = 8


def read_fixes(path: Path) -> pl.DataFrame:
    """The fixes in the file at *path* (columns `FIXES`), by time; no rows where there is no file.

    Raises `UsageError` with the file, the entry and what to do.
    """
    return _fixes(path, _content(path))


@functools.lru_cache(maxsize=_REMEMBERED)
def _fixes(path: Path, text: str) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for number, entry in enumerate(_entries(path, text, "fix"), start=1):
        fix_id = _text(path, "fix", number, entry, "id", required=True)
        if fix_id in {row["fix_id"] for row in rows}:
            raise _wrong(path, f"two fixes have the id {fix_id!r}", "give each fix its own id")
        kind = _text(path, "fix", number, entry, "kind") or FixKind.OTHER.value
        if kind not in list(FixKind):
            raise _wrong(path, f"fix {fix_id!r} has the unknown kind {kind!r}", f"use one of {', '.join(FixKind)}")
        known = ("id", "title", "kind", "deployed_at", "ramp_hours", "channel_types", "handlers")
        _only(path, f"fix {fix_id!r}", entry, known)
        rows.append(
            {
                "fix_id": fix_id,
                "title": _text(path, "fix", number, entry, "title"),
                "kind": kind,
                "deployed_at": _instant(path, fix_id or "", entry.get("deployed_at")),
                "ramp_hours": _hours(path, fix_id or "", entry.get("ramp_hours", 0)),
                "channel_types": _texts(path, f"fix {fix_id!r}", entry, "channel_types"),
                "handlers": _texts(path, f"fix {fix_id!r}", entry, "handlers"),
            }
        )
    title = pl.coalesce(scrub(pl.col("title")), "fix_id").alias("title")
    return pl.DataFrame(rows, schema=FIXES).with_columns(title).sort("deployed_at", "fix_id")


def read_handlers(path: Path, redactor: Redactor | None = None) -> pl.DataFrame:
    """The handler map in the file at *path* (columns `HANDLERS`); no rows where there is no file.

    Without a *redactor* addresses cannot be matched and stay null. Raises `UsageError`.
    """
    return _handlers(path, _content(path), redactor)


@functools.lru_cache(maxsize=_REMEMBERED)
def _handlers(path: Path, text: str, redactor: Redactor | None) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for number, entry in enumerate(_entries(path, text, "handler"), start=1):
        name = _text(path, "handler", number, entry, "name", required=True)
        what = f"handler {name!r}"
        match = _match(path, what, entry)
        intent = _text(path, "handler", number, entry, "intent")
        if intent is not None and intent not in list(Intent):
            raise _wrong(path, f"{what} has the unknown intent {intent!r}", f"use one of {', '.join(Intent)}")
        addresses = _addresses(path, what, _texts(path, what, match, "ip"))
        rows.append(
            {
                "handler": name,
                "order": number - 1,
                **{pattern: _pattern(pattern, _texts(path, what, match, pattern)) for pattern in _PATTERNS},
                "ip_hashes": [redactor.pseudonym(a) for a in addresses] if redactor and addresses else None,
                "intent": intent,
                "kind": _text(path, "handler", number, entry, "kind"),
                "title": _text(path, "handler", number, entry, "title"),
                "events": _texts(path, what, entry, "events"),
            }
        )
    return pl.DataFrame(rows, schema=HANDLERS).with_columns(scrub(pl.col("title")))


def _match(path: Path, what: str, entry: Mapping[str, object]) -> dict[str, object]:
    """What an entry asks for, whether it stands in ``match`` or beside the name."""
    nested = entry.get("match", {})
    if not isinstance(nested, dict):
        raise _wrong(path, f"'match' of {what} is not a table", 'write match = { logged = "…" }')
    known = ("ip", "handler", *_PATTERNS)
    _only(path, what, entry, ("name", "title", "intent", "kind", "events", "match", *known))
    _only(path, f"'match' of {what}", nested, known)
    match = {key: value for key, value in (*entry.items(), *nested.items()) if key in known}
    if "handler" in match:
        match.setdefault("logged", match.pop("handler"))
    if not match:
        raise _wrong(path, f"{what} matches nothing", f"give at least one of ip, {', '.join(_PATTERNS)}")
    return match


def _content(path: Path) -> str:
    """The text of the file, which names what was read from it: many results ask for it; "" for no file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"it cannot be read ({type(error).__name__})", "make it readable, in UTF-8") from None


def _entries(path: Path, text: str, name: str) -> list[dict[str, Any]]:
    try:
        declared = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, f"it is not TOML: {error}", "correct that place") from None
    entries = declared.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _wrong(path, f"{name!r} is not a list of tables", f"begin each entry with [[{name}]]")
    _only(path, "the file", declared, (name,))
    return entries


def _only(path: Path, what: str, entry: Mapping[str, object], known: Sequence[str]) -> None:
    if strange := sorted(set(entry) - set(known)):
        raise _wrong(path, f"{what} has the unknown key {strange[0]!r}", f"use {', '.join(known)}")


def _text(
    path: Path, table: str, number: int, entry: Mapping[str, object], key: str, *, required: bool = False
) -> str | None:
    value = entry.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _wrong(path, f"{key!r} of [[{table}]] number {number} is not a text", f'write {key} = "…"')
    return value.strip()


def _texts(path: Path, what: str, entry: Mapping[str, object], key: str) -> list[str]:
    value = entry.get(key, [])
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) and item.strip() for item in listed):
        raise _wrong(path, f"{key!r} of {what} is not a list of texts", f'write {key} = ["…"]')
    return [item.strip() for item in listed]


def _instant(path: Path, fix_id: str, value: object) -> dt.datetime:
    what = f"deployed_at of fix {fix_id!r}"
    if isinstance(value, str):
        try:
            return parse_instant(value, now=dt.datetime.now(dt.UTC))
        except UsageError as error:
            raise _wrong(path, f"{what}: {error}", "write an instant such as 2026-10-14T09:00:00Z") from None
    if not isinstance(value, dt.datetime):
        said = "is missing" if value is None else "is not an instant"
        raise _wrong(path, f"{what} {said}", "write deployed_at = 2026-10-14T09:00:00Z")
    if value.tzinfo is None:
        raise _wrong(path, f"{what} has no time zone", f"write {value.isoformat()}Z for UTC, or an offset")
    return value.astimezone(dt.UTC)


def _hours(path: Path, fix_id: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 24 * 365:
        raise _wrong(path, f"ramp_hours of fix {fix_id!r} is not a number of hours", "write ramp_hours = 6")
    return float(value)


def _pattern(key: str, texts: Sequence[str]) -> str | None:
    """Texts in which ``*`` stands for anything as one regular expression for a whole value."""
    if not texts:
        return None
    special = set(".^$+?()[]{}|\\/&~#-")
    # A path alone fits any host.
    whole = [f"*{text}" if key == "url_path" and text.startswith("/") else text for text in texts]
    plain = ["".join(".*" if c == "*" else f"\\{c}" if c in special else c for c in text) for text in whole]
    return f"^(?:{'|'.join(plain)})$"


def _addresses(path: Path, what: str, ranges: Sequence[str]) -> list[str]:
    found: list[str] = []
    for text in ranges:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise _wrong(path, f"{text!r} of {what} is no IP address or range", "write 203.0.113.0/28") from None
        if network.num_addresses > _MOST_ADDRESSES:
            raise _wrong(
                path, f"the range {text} of {what} has more than {_MOST_ADDRESSES} addresses", "name smaller ranges"
            )
        found.extend(str(address) for address in network)
    return found


def _wrong(path: Path, what: str, advice: str) -> UsageError:
    return UsageError(f"{path}: {what}; {advice}.")
