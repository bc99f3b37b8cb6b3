"""A small contact centre whose evidence is full of what must reach no page, and of text that must do nothing there."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from flexkit.collect.files import import_files
from flexkit.collect.simulate import simulate
from flexkit.locate import evidence_files
from flexkit.report.run import run_reports
from flexkit.tables.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

PERSONAL = [
    "+15551234567", "15551234567", "alice.doe@example.com", "alice.doe%40example.com", "Alice Doe", "eyJhbGciOiJIUzI1",
    "s3cr3t-T0ken", "203.0.113.77", "My card is 4111",
]  # fmt: skip
"""Of a customer, of her conversation, or a credential; in whatever field a source would carry it."""

HANDLERS = [
    "</script><script>alert('handler')</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(2))",
    '=HYPERLINK("http://evil.example","x")', "\x1b[31mred\x1b]8;;http://evil.example\x07link",
    "$\\href{javascript:alert(3)}{x}$",
    "../../../../etc/passwd", "@SUM(1+1)*cmd|' /C calc'!A0", "datum.x; alert(4)", "**bold** `code` <b>",
]  # fmt: skip
"""Names that an automation may give itself in its log."""

TITLE = "Read the status first <img src=x onerror=alert('fix')> \x1b[2J"


def planted_reports(factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The store of that contact centre, and the folder of a report about it; made once."""
    return _made(factory.getbasetemp() / "planted")


@cache
def _made(base: Path) -> tuple[Path, Path]:
    folder, out = base / "store", base / "reports"
    simulate(folder, interactions=260, days=8, seed=5, scenario="breach")
    names: dict[str, str] = {}
    _rewrite(folder / "evidence" / "completion-log.jsonl.gz", lambda line: _logged(line, names))
    _rewrite(folder / "evidence" / "webhooks.jsonl.gz", _delivered)
    (folder / "handlers.toml").unlink()
    fix = f"id = 'status-first'\ntitle = {json.dumps(TITLE)}\nkind = 'check_status_first'\n"
    (folder / "fixes.toml").write_text(f"[[fix]]\n{fix}deployed_at = 2026-11-12T09:00:00Z\n")
    import_files(Store(folder), evidence_files(folder))
    run_reports(["root_causes"], data=folder, out=out)
    return folder, out


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        changed = [change(line) for line in lines]
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.write("\n".join(changed))


def _logged(line: str, names: dict[str, str]) -> str:
    entry = json.loads(line)
    own = entry["handler"] or "none"
    entry["handler"] = names.setdefault(own, HANDLERS[len(names) % len(HANDLERS)])
    if entry["trigger_id"]:
        entry["trigger_id"] = f"alice.doe@example.com/{entry['trigger_id']}"
    return json.dumps(entry | {"customer": "Alice Doe", "phone": "+15551234567", "token": "s3cr3t-T0ken"})


def _delivered(line: str) -> str:
    delivery = json.loads(line)
    private = {"From": "+15551234567", "Author": "alice.doe@example.com", "Body": "My card is 4111 1111 1111 1111",
               "FriendlyName": "Alice Doe", "ClientIp": "203.0.113.77"}  # fmt: skip
    delivery["headers"]["authorization"] = "Bearer eyJhbGciOiJIUzI1.s3cr3t-T0ken"
    delivery["url"] += "?token=s3cr3t-T0ken&user=alice.doe%40example.com"
    if "x-www-form-urlencoded" in delivery["headers"].get("content-type", ""):
        delivery["body"] += "".join(f"&{name}={quote(value)}" for name, value in private.items())
    return json.dumps(delivery)
