"""The version of a store: the versions of all its tables in a short text, which names their rows exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flexkit.errors import StoreError, UsageError
from flexkit.tables.schema import TABLES
from flexkit.tables.store_delta import DeltaFolder
from flexkit.tables.store_format import FORMAT
from flexkit.tables.store_opened import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NEVER = "n"


def version_of(uri: str) -> int | None:
    """The version of the table at *uri*, or nothing where none was written yet."""
    held = current(uri, None)
    return None if held is None else held.version()


def written(versions: Mapping[str, int | None]) -> str:
    """*versions*, by the names of tables, as one text; what is absent was never written."""
    return f"{FORMAT}:{'.'.join(_NEVER if (at := versions.get(name)) is None else str(at) for name in TABLES)}"


def parsed(text: str, uri: Callable[[str], str]) -> dict[str, int | None]:
    """The versions that *text* names, of the tables at *uri* (their name to their place).

    Raises `UsageError` where it names none of this store, `StoreError` where files of it are gone.
    """
    layout, _, numbers = text.partition(":")
    parts = numbers.split(".")
    whole = layout == str(FORMAT) and 0 < len(parts) <= len(TABLES)
    if not whole or not all(part == _NEVER or part.isdecimal() for part in parts):
        msg = f"{text!r} is no data version of this store. Take it from 'data_version' in a run.json."
        raise UsageError(msg)
    found = {name: None if part == _NEVER else int(part) for name, part in zip(TABLES, parts, strict=False)}
    for name, number in found.items():
        latest = version_of(uri(name))
        if number is not None and (latest is None or number > latest):
            msg = f"This store has no version {text!r}: its {name} are at {latest}. Is it another folder's?"
            raise UsageError(msg)
        if not DeltaFolder(uri(name), TABLES[name], version=number).is_whole():
            msg = (
                f"Version {text!r} can no longer be read: files that were replaced are kept for thirty days. "
                "Run the report on the data as they are now."
            )
            raise StoreError(msg)
    return found
