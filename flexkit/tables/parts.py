"""What was made of single days, and of a state of the data, kept beside the tables for the next time.

A kept part is named by everything that it was made from: a day that gains rows has another name.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.tables.cache import alone, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager


_END = b"PAR1"
_NOTE = "joined"
_PLACE = "_place"
_LONE = 32
"""Parts of one kind up to which each stays in a file of its own."""
_READ_SECONDS = 3_600
"""How long a part that was put in one file with others may still be read where it was."""
_GROUP = 16_384
"""Rows of a group in a part: where a part is sorted by a key, a look-up reads one group of it."""


@dataclass(frozen=True, slots=True)
class _Joined:
    """Parts that lie in one file with others."""

    files: Mapping[str, Sequence[str]]
    """Such files, and the names of the parts in each: `_PLACE` counts them."""
    places: Mapping[str, tuple[str, int]]
    """Where each of those parts is."""

    @classmethod
    def of(cls, files: Mapping[str, Sequence[str]]) -> _Joined:
        return cls(files, {name: (file, place) for file, names in files.items() for place, name in enumerate(names)})

    def apart(self, names: Iterable[str]) -> tuple[list[str], dict[str, list[int]]]:
        """Those of *names* that lie alone, and the places of the others in their files."""
        lone: list[str] = []
        places: dict[str, list[int]] = {}
        for name in names:
            if (found := self.places.get(name)) is None:
                lone.append(name)
            else:
                places.setdefault(found[0], []).append(found[1])
        return lone, places


@dataclass(frozen=True)
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
        lone, joined = self._joined.apart(names)
        rows = [self._places(file, places, is_whole=is_whole).drop(_PLACE) for file, places in joined.items()]
        if lone:
            rows.append(_scanned([self._path(name) for name in lone], is_whole=is_whole))
        return rows[0] if len(rows) == 1 else pl.concat(rows)

    def has(self, name: str) -> bool:
        """Whether the part of that *name* is kept whole."""
        return name in self._joined.places or self._is_whole(name)

    def _is_whole(self, name: str) -> bool:
        # Written aside and renamed, a file is whole or not there; its last bytes tell of other damage.
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
        lone, joined = self._joined.apart(names)
        paths = {self._path(name): name for name in lone}
        wanted = pl.col("ikey").is_in(keys["ikey"].implode())
        found: list[str] = []
        if lone:
            rows = _scanned(paths, is_whole=True, include_file_paths="path").filter(wanted)
            found += [paths[path] for path in _values(rows, "path")]
        for file, places in joined.items():
            rows = self._places(file, places, is_whole=True).filter(wanted)
            found += [self._joined.files[file][place] for place in _values(rows, _PLACE)]
        return found

    def join(self, name: str, names: Sequence[str], *, fresh: int) -> None:
        """Put the parts of those *names*, all of them kept, in one file as well, where many of them lie alone.

        They are read as before, but faster: to open a file takes as long as to read thousands of rows. *name* says
        what kind of parts they are, the last *fresh* of which stay alone: they will soon be others. The files that
        they had stay too (`drop_copies`), as somebody may be reading them.
        """
        old = set(names[: len(names) - fresh])
        if len(self._joined.apart(old)[0]) <= _LONE:
            return
        # What lies with others already may have no file of its own any more.
        names = [one for one in names if one in old or one in self._joined.places]
        file = f"{name}-{identity(*names)}"
        each = (self.scan([one]).with_columns(pl.lit(at, pl.Int32).alias(_PLACE)) for at, one in enumerate(names))
        if self._sink(file, pl.concat(each)):
            others = {other: held for other, held in self._files().items() if not other.startswith(f"{name}-")}
            self.write_note(_NOTE, {"files": {**others, file: names}})
        # What could not be read somebody else may have put in one file meanwhile.
        self.__dict__.pop("_joined", None)

    def keep(self, name: str, rows: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
        """Keep *rows* as *name*, where the folder can be written; the rows either way."""
        if self._sink(name, rows.lazy()):
            return pl.scan_parquet(self._path(name), glob=False)
        return rows.lazy().collect().lazy()

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

    def drop_copies(self) -> None:
        """Drop the files of parts that have been in one file for so long that nobody reads them any more."""
        with contextlib.suppress(OSError):
            for file, names in self._joined.files.items():
                if time.time() - Path(self._path(file)).stat().st_mtime > _READ_SECONDS:
                    for name in names:
                        Path(self._path(name)).unlink(missing_ok=True)

    def drop_but(self, needed: Iterable[str]) -> None:
        """Drop the parts that are not among the *needed*, and what other code had made of the same."""
        names = {f"{name}.parquet" for name in (*needed, *self._joined.files)}
        self.drop_copies()
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.parquet"):
                if path.name not in names:
                    path.unlink(missing_ok=True)
            for other in self.folder.parent.glob(f"{self._made_by}-*"):
                if other.is_dir() and other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)

    @cached_property
    def _joined(self) -> _Joined:
        return _Joined.of({file: names for file, names in self._files().items() if self._is_whole(file)})

    def _files(self) -> dict[str, list[str]]:
        held: dict[str, list[str]] = (self.note(_NOTE) or {}).get("files", {})
        return held

    def _sink(self, name: str, rows: pl.LazyFrame) -> bool:
        return self._replace(
            self.folder / f"{name}.parquet",
            lambda file: rows.sink_parquet(file, compression="lz4", row_group_size=_GROUP, maintain_order=True),
        )

    def _places(self, file: str, places: Sequence[int], *, is_whole: bool) -> pl.LazyFrame:
        """The parts at some *places* of a *file* of several, which `_PLACE` tells."""
        rows = _scanned([self._path(file)], is_whole=is_whole)
        if len(places) == len(self._joined.files[file]):
            return rows
        return rows.filter(pl.col(_PLACE).is_in(places))

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


def _scanned(paths: Iterable[str], *, is_whole: bool, include_file_paths: str | None = None) -> pl.LazyFrame:
    return pl.scan_parquet(
        list(paths), glob=False, hive_partitioning=False, use_statistics=not is_whole,
        include_file_paths=include_file_paths,
    )  # fmt: skip


def _values(rows: pl.LazyFrame, column: str) -> list[Any]:
    return rows.select(pl.col(column).unique()).collect(engine="streaming")[column].to_list()
