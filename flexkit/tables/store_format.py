"""The format of a data folder, told without loading what reads its tables."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from flexkit.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 3
"""Version of the folder's layout; a store of another version is refused with a sentence."""

META = "meta.json"

_UNUSABLE = re.compile(r"[\[\]=^|\\\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""In a folder's path: Delta and Polars take a = for a partition, %20 for a blank, and cannot name the others."""


def check_format(folder: Path) -> None:
    """Refuse a *folder* whose store this flexkit cannot read; an empty one, or none, is fine. Raises `StoreError`."""
    if strange := _UNUSABLE.search("/".join(folder.absolute().parts[1:])):
        msg = f"Tables cannot be kept in {folder}: its path has {strange[0]!r}. Name a folder without it."
        raise StoreError(msg)
    meta = folder / META
    try:
        held = json.loads(meta.read_text(encoding="utf-8"))["format"]
    except FileNotFoundError:
        if (folder / "tables").is_dir():
            msg = f"{folder} has tables but no {META}: it is not a whole store. Restore that file from a copy."
            raise StoreError(msg) from None
        return
    except NotADirectoryError:
        msg = f"{folder} is not a folder. Name a folder for the data."
        raise StoreError(msg) from None
    except OSError as error:
        msg = f"Cannot read {meta}: {error.strerror}. Make the folder readable, or name another with --data."
        raise StoreError(msg) from None
    except (ValueError, KeyError, TypeError):
        msg = f"{meta} is damaged: it does not tell the store's format. Restore it from a copy."
        raise StoreError(msg) from None
    if held != FORMAT:
        msg = (
            f"{folder} was written in format {held}, this flexkit reads format {FORMAT}. "
            "Use the flexkit that wrote it, or import the evidence into a new folder."
        )
        raise StoreError(msg)
