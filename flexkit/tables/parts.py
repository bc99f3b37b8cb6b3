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

    def scan(self, names: Iterable[str], *, is_whole: bool = False) -> pl.LazyFrame:
        """Parts that are there, together.

        *is_whole* says that rows of most of them are wanted: what a file tells of its columns is not looked at.
        """
        return pl.scan_parquet(
            [self._path(name) for name in names], glob=False, hive_partitioning=False, use_statistics=not is_whole
        )

    def has(self, name: str) -> bool:
        """Whether the part of that *name* is kept whole."""
        # Written aside and renamed, a part is whole or not there; its last bytes tell of other damage.
        try:
            file = os.open(self._path(name), os.O_RDONLY)
        except OSError:
            return False
        try:
            return os.lseek(file, -len(_END), os.SEEK_END) > 0 and os.read(file, len(_END)) == _END
        except OSError:
            # It is shorter than that.
            return False
        finally:
            os.close(file)

    def having(self, names: Sequence[str], keys: pl.DataFrame) -> list[str]:
        """Those of the parts, each of which has an ``ikey``, with rows of the interactions *keys*."""
        paths = {self._path(name): name for name in names}
        rows = pl.scan_parquet(
            list(paths), glob=False, hive_partitioning=False, use_statistics=False, include_file_paths="path"
        )
        found = rows.filter(pl.col("ikey").is_in(keys["ikey"].implode())).select(pl.col("path").unique())
        return [paths[path] for path in found.collect(engine="streaming")["path"]]

    def keep(self, name: str, rows: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
        """Keep *rows* as *name*, where the folder can be written; the rows either way."""
        kept = self._replace(
            self.folder / f"{name}.parquet",
            lambda file: rows.lazy().sink_parquet(file, compression="lz4", row_group_size=_GROUP, maintain_order=True),
        )
        return pl.scan_parquet(self._path(name), glob=False) if kept else rows.lazy().collect().lazy()

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
        names = {f"{name}.parquet" for name in needed}
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.parquet"):
                if path.name not in names:
                    path.unlink(missing_ok=True)
            for other in self.folder.parent.glob(f"{self._made_by}-*"):
                if other.is_dir() and other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)

    @property
    def _made_by(self) -> str:
        return self.folder.name.rpartition("-")[0]

    def _path(self, name: str) -> str:
        # Asked for hundreds of times: text is put together in a fraction of the time of a path.
        return f"{self.folder}{os.sep}{name}.parquet"

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
