"""What to do when the file system or another writer gets in the way of a table, in a sentence."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl
from deltalake.exceptions import CommitFailedError, DeltaError

from flexkit.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Say what to do about failures of the file system; commits that lost a race pass unchanged."""
    try:
        yield
    except CommitFailedError:
        raise
    except (OSError, DeltaError, pl.exceptions.ComputeError) as error:
        raise StoreError(_advice(doing, error)) from error


def _advice(doing: str, error: Exception) -> str:
    said = str(error).lower()
    number = getattr(error, "errno", None)
    unchanged = "What the store held is unchanged."
    if number == errno.ENOSPC or "no space left" in said or "disk quota" in said:
        return f"Cannot {doing}: the disk is full. {unchanged} Make room and run the same command again."
    if number == errno.EFBIG or "file too large" in said:
        return f"Cannot {doing}: a file would exceed the allowed size. {unchanged} Raise the limit (ulimit -f)."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS) or "permission denied" in said or "read-only" in said:
        return f"Cannot {doing}: no permission. {unchanged} Make the folder writable, or name another with --data."
    if number == errno.ENOENT:
        return f"Cannot {doing}: the folder cannot be made there. Name another folder with --data."
    if "not a directory" in said or number == errno.ENOTDIR:
        return f"Cannot {doing}: a part of the path is a file, not a folder. Name another folder with --data."
    first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    return f"Cannot {doing}: {first}. {unchanged} If the folder was edited by hand, restore it from a copy."
