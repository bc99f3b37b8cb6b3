"""The key of a store's pseudonyms: the user's own, else one kept in the folder, made once."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from flexkit.environment import may_hold
from flexkit.errors import StoreError
from flexkit.tables.redact import Redactor
from flexkit.tables.store_failures import explained

if TYPE_CHECKING:
    from pathlib import Path

_KEY = "pseudonym.key"


def kept_redactor(folder: Path) -> Redactor | None:
    """The redactor with the key that the settings name, else with the one kept in *folder*; nothing without either."""
    if may_hold("FLEXKIT_PSEUDONYM_KEY"):
        from flexkit.settings import settings

        if (chosen := settings().flexkit_pseudonym_key) is not None:
            return Redactor(chosen.get_secret_value().encode())
    try:
        key = (folder / _KEY).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return Redactor(key.encode()) if key else None


def made_redactor(folder: Path) -> Redactor:
    """The redactor with a new key, kept in *folder*, or with that of another process that was faster."""
    with explained(f"write {folder}"):
        create_once(folder / _KEY, secrets.token_hex(32), mode=0o600)
    if (kept := kept_redactor(folder)) is None:
        msg = f"The key in {folder / _KEY} is empty. Restore it, or delete it to begin new pseudonyms."
        raise StoreError(msg)
    return kept


def create_once(path: Path, text: str, *, mode: int) -> None:
    """Write *path* whole or not at all; a file that another process made first stays."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
