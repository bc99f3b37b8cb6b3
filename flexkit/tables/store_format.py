"""The format of a data folder, told without loading what reads its tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flexkit.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
"""Version of the folder's layout; a store of another version is refused with a sentence."""

META = "meta.json"


def check_format(folder: Path) -> None:
    """Refuse a *folder* whose store this flexkit cannot read; an empty one, or none, is fine. Raises `StoreError`."""
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
