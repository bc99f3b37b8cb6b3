"""fixes.toml and handlers.toml: what is wrong in them is said with file, entry and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flexkit.errors import UsageError
from flexkit.tables.declared import FIXES, HANDLERS, read_fixes, read_handlers
from flexkit.tables.redact import Redactor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[fix]]\nid = 'a'", "deployed_at of fix 'a' is missing"),
        ("[[fix]]\nid = 'a'\ndeployed_at = 2026-10-14T09:00:00", "has no time zone; write 2026-10-14T09:00:00Z"),
        ("[[fix]]\nid = 'a'\ndeployed_at = 2026-10-14", "is not an instant"),
        ("[[fix]]\nid = 'a'\ndeployed_at = 'soon'", "'soon' is not a time"),
        ("[[fix]]\ndeployed_at = 2026-10-14T09:00:00Z", "'id' of [[fix]] number 1"),
        ("[[fix]]\nid = 'a'\nkind = 'magic'\ndeployed_at = 2026-10-14T09:00:00Z", "unknown kind 'magic'"),
        ("[[fix]]\nid = 'a'\nramp = 1\ndeployed_at = 2026-10-14T09:00:00Z", "unknown key 'ramp'"),
        ("[[fix]]\nid = 'a'\nramp_hours = -1\ndeployed_at = 2026-10-14T09:00:00Z", "ramp_hours of fix 'a'"),
        ("[[fix]]\nid = 'a'\nhandlers = [1]\ndeployed_at = 2026-10-14T09:00:00Z", "not a list of texts"),
        ("[[fix]]\nid = 'a'\ndeployed_at = 2026-10-14T09:00:00Z\n" * 2, "two fixes have the id 'a'"),
        ("[fix]\nid = 'a'", "begin each entry with [[fix]]"),
        ("[[fixes]]\nid = 'a'", "unknown key 'fixes'"),
        ("[[fix]\n", "it is not TOML"),
        ("\xff", None),
    ],
)
def test_a_wrong_fix_is_refused_with_file_and_advice(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "fixes.toml"
    path.write_bytes(text.encode("latin-1") if message is None else text.encode())

    with pytest.raises(UsageError, match=re.escape(message or "it cannot be read")) as raised:
        read_fixes(path)

    assert str(raised.value).startswith(str(path))


def test_fixes_come_by_time_with_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "fixes.toml").write_text(
        """
[[fix]]
id = "second"
title = "One owner"
kind = "single_terminal_owner"
deployed_at = 2026-10-14T11:00:00+02:00
ramp_hours = 6
channel_types = ["web"]
handlers = "close-fn"

[[fix]]
id = "first"
deployed_at = "2026-10-01T00:00:00Z"
""",
        encoding="utf-8-sig",
    )

    fixes = read_fixes(tmp_path / "fixes.toml")

    assert dict(fixes.schema) == FIXES
    assert fixes.drop("deployed_at").rows() == [
        ("first", "first", "other", 0.0, [], []),
        ("second", "One owner", "single_terminal_owner", 6.0, ["web"], ["close-fn"]),
    ]
    assert fixes["deployed_at"].dt.strftime("%H:%M %Z").to_list() == ["00:00 UTC", "09:00 UTC"]


def test_no_file_is_no_fix_and_no_handler(tmp_path: Path) -> None:
    assert read_fixes(tmp_path / "fixes.toml").is_empty()
    assert dict(read_handlers(tmp_path / "handlers.toml").schema) == HANDLERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[handler]]\nlogged = 'x'", "'name' of [[handler]] number 1"),
        ("[[handler]]\nname = 'x'", "matches nothing"),
        ("[[handler]]\nname = 'x'\nlogged = 'x'\nintent = 'harm'", "unknown intent 'harm'"),
        ("[[handler]]\nname = 'x'\ncolour = 'red'", "unknown key 'colour'"),
        ("[[handler]]\nname = 'x'\nmatch = { color = 'red' }", "unknown key 'color'"),
        ("[[handler]]\nname = 'x'\nmatch = 'y'", "is not a table"),
        ("[[handler]]\nname = 'x'\nip = 'here'", "no IP address or range"),
        ("[[handler]]\nname = 'x'\nip = '10.0.0.0/8'", "more than 4096 addresses"),
        ("[[handler]]\nname = 'x'\nwidget = 3", "not a list of texts"),
    ],
)
def test_a_wrong_handler_is_refused_with_file_and_advice(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "handlers.toml").write_text(text)

    with pytest.raises(UsageError, match=re.escape(message)):
        read_handlers(tmp_path / "handlers.toml")


def test_a_handler_is_matched_by_patterns_and_pseudonyms(tmp_path: Path) -> None:
    (tmp_path / "handlers.toml").write_text(
        """
[[handler]]
name = "close"
title = "Close button"
events = ["task.completed"]
url_path = "/hooks/close*"
match = { handler = ["close-fn", "close.v2"], ip = "198.51.100.8/31" }
"""
    )
    redactor = Redactor(b"k")

    row = read_handlers(tmp_path / "handlers.toml", redactor).row(0, named=True)

    assert re.fullmatch(row["url_path"], "x.example.com/hooks/close-it")
    assert re.fullmatch(row["logged"], "close.v2")
    assert not re.fullmatch(row["logged"], "closexv2")
    assert row["ip_hashes"] == [redactor.pseudonym("198.51.100.8"), redactor.pseudonym("198.51.100.9")]
    assert (row["title"], row["events"], row["widget"]) == ("Close button", ["task.completed"], None)
    assert read_handlers(tmp_path / "handlers.toml")["ip_hashes"].to_list() == [None]
