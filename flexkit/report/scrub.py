"""Keep secrets and places of this machine out of what a run leaves, whatever a cell printed."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexkit.environment import may_hold

if TYPE_CHECKING:
    from collections.abc import Iterable

# Absolute paths tell who ran a report, and where. Only their last part is kept.
_ROOTS = r"home|Users|root|tmp|var|opt|usr|mnt|media|srv|etc|private|Volumes|nix|snap"
_POSIX = re.compile(rf"(?<![\w/.:])/(?:{_ROOTS})(?:/[^\s/'\"<>:,;()\[\]]+)+/?")
_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\s\\/'\"<>:,;()\[\]]+\\)*[^\s\\/'\"<>:,;()\[\]]*")
_SECRET_SETTINGS = ("twilio_api_secret", "twilio_auth_token", "flexkit_pseudonym_key")


class Scrubber:
    """Replaces this machine's paths and this account's secrets in text and in whatever holds text."""

    def __init__(self, *places: Path) -> None:
        known = {Path.home(), Path.cwd(), Path(sys.prefix), Path(tempfile.gettempdir()), *places}
        folders = sorted({str(place) for place in _resolved(known)} - {os.sep}, key=len, reverse=True)
        known_folders = "|".join(re.escape(folder) for folder in folders)
        self._known = re.compile(rf"(?<![\w/.])(?:{known_folders})(?:[\\/][^\s\\/'\"<>:,;()\[\]]+)*")

    @cached_property
    def _secrets(self) -> list[str]:
        if not may_hold(*(name.upper() for name in _SECRET_SETTINGS)):
            return []
        return [secret for name in _SECRET_SETTINGS if (secret := _secret(name))]

    def text(self, text: str) -> str:
        """*text* with each absolute path cut to its last part, and without this account's secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        for pattern in (self._known, _POSIX, _WINDOWS):
            text = pattern.sub(_last_part, text)
        return text

    def line(self, text: str) -> str:
        """One line that a cell printed: scrubbed like all evidence, without paths; its indent is kept."""
        from flexkit.tables.redact import scrub_text

        if not text.strip():
            return text
        indent = text[: len(text) - len(text.lstrip())]
        return indent + scrub_text(self.text(text), limit=2000)

    def sentence(self, text: str) -> str:
        """One line of an error: scrubbed like all evidence, without paths, at most 300 characters."""
        from flexkit.tables.redact import scrub_text

        lines = text.strip().splitlines()
        return scrub_text(self.text(lines[0]) if lines else "", limit=300)

    def tree(self, value: Any) -> Any:
        """JSON with every text in it scrubbed, names of fields too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(inner) for inner in value]
        if isinstance(value, dict):
            return {self.text(str(name)): self.tree(inner) for name, inner in value.items()}
        return value


def _last_part(match: re.Match[str]) -> str:
    last = re.split(r"[\\/]", match.group().rstrip("\\/"))[-1]
    return f"…/{last}" if last else "…"


def _resolved(places: Iterable[Path]) -> set[Path]:
    return {form for place in places for form in (place.absolute(), place.resolve())}


def _secret(name: str) -> str | None:
    from flexkit.settings import settings

    value = getattr(settings(), name)
    text: str | None = None if value is None else value.get_secret_value()
    return text if text and len(text) >= 4 else None
