"""What was found in one state of the data, kept so that in the next one only what changed is found anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from flexkit.analyse.linking import prepared
from flexkit.tables.cache import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_NOTE = "last"
_FEW = 3
"""Where more than one in so many files changed, to find everything anew is no dearer."""


class Evidence(Protocol):
    """Where signals and parts are kept (`flexkit.tables.store.Store`)."""

    @property
    def version(self) -> str: ...
    def files(self, name: str) -> list[str]: ...
    def in_files(self, name: str, files: Sequence[str]) -> pl.LazyFrame: ...
    def parts(self, module: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Memory:
    """What was found in one state of the data: frames, most with an ``ikey``, and a few facts about all of it."""

    facts: Mapping[str, Any]
    frames: Mapping[str, pl.LazyFrame]

    def frame(self, name: str) -> pl.DataFrame:
        """One of the frames, in memory."""
        return self.frames[name].collect()

    def but(self, name: str, gone: pl.DataFrame) -> pl.LazyFrame:
        """A frame without the rows of those interactions that are *gone*."""
        return self.frames[name].join(gone.lazy(), on="ikey", how="anti", maintain_order="left")


def renewed(
    store: Evidence, module: str, by: str, find: Callable[[Memory | None, pl.LazyFrame | None], Memory]
) -> Memory:
    """What *find* finds in the signals of *store*, kept there as what *module* found *by* the user's declarations.

    *find* is given what it found in the last state, and all signals that are held now and were not then, or the
    other way round; or nothing, where there is no such memory or it is of no use.
    """
    parts, files = store.parts(module), store.files("signals")
    before, changed, last = None, None, parts.note(_NOTE)
    if last is not None and last["by"] == by:
        differing = sorted(set(files) ^ set(last["files"]))
        frames = {name: parts.read(part) for name, part in last["frames"].items()}
        held = {name: frame for name, frame in frames.items() if frame is not None}
        if len(held) == len(frames) and len(differing) * _FEW <= len(files):
            before, changed = Memory(last["facts"], held), prepared(store.in_files("signals", differing))
    try:
        found = find(before, changed)
    except (OSError, pl.exceptions.PolarsError):
        if before is None:
            raise
        # A file that was replaced long ago is gone, or a part of the memory is damaged.
        found = find(None, None)
    state = identity(by, store.version)
    names = {name: f"{name}-{state}" for name in found.frames}
    kept = {name: parts.keep(names[name], frame) for name, frame in found.frames.items()}
    parts.drop_but([*names.values(), *([] if last is None else last["frames"].values())])
    parts.write_note(_NOTE, {"by": by, "files": files, "facts": dict(found.facts), "frames": names})
    return Memory(found.facts, kept)
