"""What was made of single days, and of a state of the data, kept beside the tables for the next time.

A kept part is named by everything that it was made from: a day that gains rows has another name.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.tables.cache import alone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


_END = b"PAR1"
_GROUP = 16_384
"""Rows of a group in a part: where a part is sorted by a key, a look-up reads one group of it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A folder of kept parts, and of notes on what was made of them; it need not be writable."""

    folder: Path

    def read(self, *names: str) -> pl.LazyFrame | None:
        """The parts of those *names* together, or nothing where one of them is not kept whole."""
        return self.scan(names) if names and all(map(self.has, names)) else None

    def scan(self, names: Iterable[str]) -> pl.LazyFrame:
        """Parts that are there, together."""
        return pl.scan_parquet(self._paths(names))

    def has(self, name: str) -> bool:
        """Whether the part of that *name* is kept whole."""
        # Written aside and renamed, a part is whole or not there; its last bytes tell of other damage.
        try:
            with (self.folder / f"{name}.parquet").open("rb", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - len(_END)))
                return size > len(_END) and file.read() == _END
        except OSError:
            return False

    def having(self, names: Sequence[str], keys: pl.DataFrame) -> list[str]:
        """Those of the parts, each of which has an ``ikey``, with rows of the interactions *keys*."""
        paths = dict(zip(map(str, self._paths(names)), names, strict=True))
        rows = pl.scan_parquet(list(paths), include_file_paths="path")
        found = rows.filter(pl.col("ikey").is_in(keys["ikey"].implode())).select(pl.col("path").unique())
        return [paths[path] for path in found.collect(engine="streaming")["path"]]

    def keep(self, name: str, rows: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
        """Keep *rows* as *name*, where the folder can be written; the rows either way."""
        kept = self._replace(
            self._path(name),
            lambda file: rows.lazy().sink_parquet(file, compression="lz4", row_group_size=_GROUP, maintain_order=True),
        )
        return pl.scan_parquet(self._path(name)) if kept else rows.lazy().collect().lazy()

    def alone(self) -> AbstractContextManager[None]:
        """Where one process makes new parts, the others wait (`flexkit.tables.cache.alone`)."""
        return alone(self.folder.with_name(f"{self._made_by}.lock"))

    def note(self, name: str) -> dict[str, Any] | None:
        """What `write_note` kept last under that *name*, or nothing."""
        try:
            held = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return held if isinstance(held, dict) else None

    def write_note(self, name: str, state: dict[str, Any]) -> bool:
        """Keep *state* under that *name*; whether that could be done."""
        return self._replace(self.folder / f"{name}.json", lambda file: file.write(json.dumps(state).encode()))

    def drop_but(self, needed: Iterable[str]) -> None:
        """Drop the parts that are not among the *needed*, and what other code had made of the same."""
        names = {self._path(name).name for name in needed}
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.parquet"):
                if path.name not in names:
                    path.unlink(missing_ok=True)
            for other in self.folder.parent.glob(f"{self._made_by}-*"):
                if other.is_dir() and other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)

    def _paths(self, names: Iterable[str]) -> list[Path]:
        return [self._path(name) for name in names]

    @property
    def _made_by(self) -> str:
        return self.folder.name.rpartition("-")[0]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _replace(self, path: Path, write: Any) -> bool:
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside.open("xb") as file:
                write(file)
            aside.replace(path)
        except (OSError, pl.exceptions.PolarsError):
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            return False
        return True
