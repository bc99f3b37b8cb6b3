"""One fetch at a time into one data folder, and one account; who holds it can be told, a killed one holds nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from flexkit.errors import FetchError, StoreError, UsageError
from flexkit.window import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = ".fetch.lock"
_HOLDER = ".fetch.holder.json"
_ACCOUNT = ".fetch.account"


@contextlib.contextmanager
def only_fetch(folder: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of *folder* for the block, waiting at most *wait* seconds for another fetch to end.

    The lock is the operating system's, so that it ends with the process that holds it, however that ends.
    Raises `FetchError` naming the holder, `StoreError` where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        lock.acquire(timeout=wait)
    except Timeout:
        msg = (
            f"Another fetch{_holder(folder)} is writing to {folder}. Wait until it ends, "
            "or stop it: what it has read is kept."
        )
        raise FetchError(msg) from None
    except OSError as error:
        msg = f"Cannot write {folder}: {error.strerror}. Make the folder writable, or name another with --data."
        raise StoreError(msg) from None
    try:
        _sign(folder / _HOLDER)
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / _HOLDER).unlink()
        lock.release()


def check_account(folder: Path, account: str) -> None:
    """Raise `UsageError` where *folder* holds another account: its windows would count as read for both."""
    try:
        held = (folder / _ACCOUNT).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return
    if held and held != account:
        msg = (
            f"{folder} was fetched from {held}, and TWILIO_ACCOUNT_SID is {account}. "
            "Keep accounts apart: name another folder with --data."
        )
        raise UsageError(msg)


def sign_account(folder: Path, account: str) -> None:
    """Note that *folder* holds *account*, whole or not at all."""
    place, beside = folder / _ACCOUNT, folder / f"{_ACCOUNT}.{os.getpid()}"
    try:
        beside.write_text(f"{account}\n", encoding="utf-8")
        beside.replace(place)
    except OSError as error:
        msg = f"Cannot write {place}: {error.strerror}. Make the folder writable, or name another with --data."
        raise StoreError(msg) from None


def _sign(path: Path) -> None:
    told = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": stamp(dt.datetime.now(dt.UTC).replace(microsecond=0)),
    }
    # The lock holds without it; it only names the holder.
    with contextlib.suppress(OSError):
        path.write_text(json.dumps(told), encoding="utf-8")


def _holder(folder: Path) -> str:
    try:
        told = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f" (process {int(told['pid'])} on {told['host']}, since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
