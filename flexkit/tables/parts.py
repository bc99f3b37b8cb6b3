"""What each day of a table tells, kept beside the tables, so that a new day costs what a new day costs.

A kept part is named by the exact files of its day: a day that gains rows has another name.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path


_END = b"PAR1"


@dataclass(frozen=True, slots=True)
class Parts:
    """A folder of kept parts and of the last sum that was made of them; it need not be writable."""

    folder: Path

    def read(self, name: str) -> pl.LazyFrame | None:
        """The part of that *name*, or nothing where it is not kept whole."""
        path = self._path(name)
        # Written aside and renamed, a part is whole or not there; its last bytes tell of other damage.
        try:
            with path.open("rb") as file:
                file.seek(-len(_END), os.SEEK_END)
                is_whole = file.tell() > len(_END) and file.read() == _END
        except OSError:
            return None
        return pl.scan_parquet(path) if is_whole else None

    def keep(self, name: str, rows: pl.DataFrame) -> pl.LazyFrame:
        """Keep *rows* as *name*, where the folder can be written; the rows either way."""
        # Uncompressed: these columns are keys and instants, which shrink little and are looked through often.
        self._replace(self._path(name), lambda file: rows.write_parquet(file, compression="uncompressed"))
        return rows.lazy()

    def last(self) -> dict[str, Any] | None:
        """What `remember` kept last, or nothing."""
        try:
            held = json.loads((self.folder / "last.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return held if isinstance(held, dict) else None

    def remember(self, state: dict[str, Any], *, needs: set[str]) -> None:
        """Keep *state* as the last, and drop the parts that are not among those that it *needs*."""
        before = self.last() or {}
        self._replace(self.folder / "last.json", lambda file: file.write(json.dumps(state).encode()))
        # Another process may be adding up the parts of the state before: those go next time.
        needed = {self._path(name).name for name in needs | set(before.get("parts", ()))}
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.parquet"):
                if path.name not in needed:
                    path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _replace(self, path: Path, write: Any) -> None:
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside.open("xb") as file:
                write(file)
            aside.replace(path)
        except (OSError, pl.exceptions.PolarsError):
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
