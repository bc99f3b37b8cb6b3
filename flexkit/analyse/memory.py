"""What was found in states of the data, kept so that in the next one only what changed is found anew.

A frame that is kept lies in layers: the rows found at first, and above them what later states changed. So one
more day writes what one more day is. A layer that is no longer small beside the one below is merged with it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from flexkit.analyse.linking import prepared
from flexkit.tables.cache import identity
from flexkit.tables.streamed import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flexkit.tables.parts import Parts

_NOTE = "states"
_KEPT = 3
"""States kept: another process may still read the one before, a report of an earlier version its own."""
_FEW = 3
"""Where more than one in so many files changed, to find everything anew is no dearer."""
_SMALL = 4
"""A layer with at least one in so many rows of the one below is merged with it."""

_SIDE_BY_SIDE = 2
"""Frames that are written at the same time: most are small, and writing them is mostly waiting."""


class Evidence(Protocol):
    """Where signals and parts are kept (`flexkit.tables.store.Store`)."""

    @property
    def version(self) -> str: ...
    def files(self, name: str) -> list[str]: ...
    def in_files(self, name: str, files: Sequence[str]) -> pl.LazyFrame: ...
    def parts(self, module: str) -> Parts: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """Rows that take the place of those which the layers below have of the interactions *gone*."""

    rows: pl.LazyFrame
    gone: pl.LazyFrame | None = None
    """Keys (``ikey``); nothing in the lowest layer."""
    name: str = ""
    """Of the part that keeps it; empty where none does yet."""
    height: int = -1
    """Rows, or a few more, where that is known."""

    @classmethod
    def of(cls, rows: pl.DataFrame, gone: pl.DataFrame | None = None) -> Layer:
        """*rows* in memory, which no part keeps yet."""
        return cls(rows.lazy(), None if gone is None else gone.lazy(), height=rows.height)

    def over(self, below: Layer) -> Layer:
        """This one and the one *below* as one."""
        if self.gone is None:
            return self
        kept = _without(below.rows, self.gone.collect())
        gone = None if below.gone is None else pl.concat([below.gone, self.gone]).unique()
        known = self.height >= 0 and below.height >= 0
        return Layer(pl.concat([kept, self.rows]), gone, height=self.height + below.height if known else -1)

    def counted(self) -> int:
        """Its number of rows, or a few more."""
        return self.height if self.height >= 0 else int(self.rows.select(pl.len()).collect().item())


@dataclass(frozen=True, slots=True)
class Memory:
    """What was found in one state of the data: frames in layers, most with an ``ikey``, and a few facts about all."""

    facts: Mapping[str, Any]
    layers: Mapping[str, Sequence[Layer]]
    is_kept: bool = False

    def lazy(self, name: str) -> pl.LazyFrame:
        """One of the frames."""
        whole, *above = self.layers[name]
        for layer in above:
            whole = layer.over(whole)
        return whole.rows

    def frame(self, name: str) -> pl.DataFrame:
        """One of the frames, in memory."""
        return self.lazy(name).collect()

    def but(self, name: str, gone: pl.DataFrame) -> pl.LazyFrame:
        """A frame without the rows of those interactions that are *gone*."""
        return _without(self.lazy(name), gone)


def _without(rows: pl.LazyFrame, gone: pl.DataFrame) -> pl.LazyFrame:
    # An anti-join reads the rows first, and takes four times as long.
    return rows.filter(~pl.col("ikey").is_in(gone["ikey"].implode(), nulls_equal=True))


def changed(before: Memory | None, name: str, gone: pl.DataFrame | None, fresh: pl.DataFrame) -> list[Layer]:
    """A frame as it was *before* but for the interactions *gone*, whose rows *fresh* holds; without either, those."""
    if before is None or gone is None:
        return [Layer.of(fresh)]
    return [*before.layers[name], Layer.of(fresh, gone)]


def renewed(
    store: Evidence,
    module: str,
    by: str,
    find: Callable[[Memory | None, pl.LazyFrame | None], Memory],
    *,
    still: Callable[[], bool] = lambda: True,
) -> Memory:
    """What *find* finds in the signals of *store*, kept there as what *module* found *by* the user's declarations.

    *find* is given what it found in another state, and all signals that are held now and were not then, or the
    other way round; or nothing, where there is no such memory or it is of no use. It is not asked where the
    state itself is remembered. Nothing is kept where *still* says that *by* no longer holds.
    """
    parts, state = store.parts(module), identity(by, store.version)
    if (known := _of_state(parts, state)) is not None:
        return known
    with parts.alone():
        # Whoever held the lock before may have been at the same.
        if (known := _of_state(parts, state)) is not None:
            return known
        files, states = store.files("signals"), _states(parts)
        before, differing = _nearest(parts, [held for held in states if held["by"] == by], files)
        try:
            found = find(before, None if before is None else prepared(store.in_files("signals", differing)))
        except (OSError, pl.exceptions.PolarsError):
            if before is None:
                raise
            # A file that was replaced long ago is gone, or a part of the memory is damaged.
            found = find(None, None)
        if not still():
            return found
        # What changed depends on what it is held against, and so does the name.
        made_of = identity(state, *(layer.name for layers in found.layers.values() for layer in layers))
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            of_each = pool.map(lambda one: _merged(parts, f"{one[0]}-{made_of}", one[1]), found.layers.items())
            kept = dict(zip(found.layers, of_each, strict=True))
        frames = {name: [[layer.name, layer.height] for layer in layers] for name, layers in kept.items()}
        new = {"state": state, "by": by, "files": files, "facts": dict(found.facts), "frames": frames}
        states = [new, *(held for held in states if held["state"] != state)][:_KEPT]
        is_kept = parts.write_note(_NOTE, {"states": states})
        parts.drop_but([name for held in states for layers in held["frames"].values() for name in _names(layers)])
    return Memory(found.facts, kept, is_kept=is_kept)


def served(
    find: Callable[[], Memory],
    table: Callable[[Memory], pl.LazyFrame],
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
) -> pl.LazyFrame:
    """A *table* of that *schema*, of what *find* finds (`renewed`) when it is read."""
    unkept: list[Memory] = []

    def rows() -> pl.LazyFrame:
        found = unkept[0] if unkept else find()
        if not found.is_kept:
            # Whoever asks this frame twice does not wait twice.
            unkept[:] = [found]
        return table(found)

    return deferred(rows, schema)


def _states(parts: Parts) -> list[dict[str, Any]]:
    held = (parts.note(_NOTE) or {}).get("states")
    return held if isinstance(held, list) else []


def _of_state(parts: Parts, state: str) -> Memory | None:
    return next((_remembered(parts, held) for held in _states(parts) if held["state"] == state), None)


def _nearest(
    parts: Parts, states: Sequence[dict[str, Any]], files: Sequence[str]
) -> tuple[Memory | None, Sequence[str]]:
    """The one of *states* with most *files* in common, and those that are not; nothing where too many are not."""
    apart = [(sorted(set(files) ^ set(held["files"])), held) for held in states]
    for differing, held in sorted(apart, key=lambda one: len(one[0])):
        if len(differing) * _FEW <= len(files) and (found := _remembered(parts, held)) is not None:
            return found, differing
    return None, ()


def _remembered(parts: Parts, state: dict[str, Any]) -> Memory | None:
    """What was found in a *state*, or nothing where a part of it is lost."""
    layers: dict[str, list[Layer]] = {}
    for frame, kept in state["frames"].items():
        layers[frame] = []
        for name, height in kept:
            is_lowest = not layers[frame]
            rows, gone = parts.read(name), None if is_lowest else parts.read(_gone(name))
            if rows is None or (gone is None and not is_lowest):
                return None
            layers[frame].append(Layer(rows, gone, name, height))
    return Memory(state["facts"], layers, is_kept=True)


def _merged(parts: Parts, name: str, layers: Sequence[Layer]) -> list[Layer]:
    """*layers*, all of them kept: what is not yet is kept as *name*, with those below that are hardly greater."""
    *below, top = layers
    while below and below[-1].counted() < _SMALL * top.counted():
        top = top.over(below.pop())
    if top.name:
        return [*below, top]
    rows = parts.keep(name, top.rows)
    gone = None if top.gone is None else parts.keep(_gone(name), top.gone)
    kept = Layer(rows, gone, name, top.height)
    return [*below, Layer(rows, gone, name, kept.counted())]


def _gone(name: str) -> str:
    return f"{name}-gone"


def _names(layers: Sequence[Sequence[Any]]) -> list[str]:
    return [part for name, _ in layers for part in (name, _gone(name))]
