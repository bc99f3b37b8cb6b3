"""One study: the evidence aligned once, a fix's terms, and the warnings that count."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.handlers import named
from flexkit.analyse.replay.align import align
from flexkit.analyse.replay.evidence import gather
from flexkit.analyse.replay.impute import assess
from flexkit.analyse.replay.readings import Reach, read
from flexkit.errors import FlexkitError, UsageError
from flexkit.terms import FixKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flexkit.analyse.replay.align import Story
    from flexkit.analyse.replay.impute import Assessment
    from flexkit.analyse.replay.readings import Readings
    from flexkit.window import Window

DELTA_READ = dt.timedelta(seconds=0.8)
"""How old a status is, by default, when a handler acts on it."""

TTL = dt.timedelta(hours=1)
"""How long an idempotent handler remembers a trigger, by default."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms under which fixes are replayed.

    *reach*: the handlers and channel types that a fix touches (all by default); *adoption*: the share of
    its attempts that run it (all); *owner*: who keeps the terminal events (who serves most of them).
    """

    reach: Mapping[FixKind, Reach] = field(default_factory=dict)
    adoption: Mapping[FixKind, float] = field(default_factory=dict)
    owner: str | None = None
    delta_read: dt.timedelta = DELTA_READ
    ttl: dt.timedelta = TTL

    def __post_init__(self) -> None:
        for name, value in (("delta_read", self.delta_read), ("ttl", self.ttl)):
            if value < dt.timedelta(0):
                msg = f"{name} is {value.total_seconds():g} s, but a time cannot be negative. Give 0 or more."
                raise UsageError(msg)
        for kind, share in self.adoption.items():
            if not 0 < share <= 1:
                msg = f"The adoption of {kind} is {share}, but it is a share. Give a number above 0, up to 1."
                raise UsageError(msg)
        if strange := {*self.reach, *self.adoption} - set(FixKind) | ({FixKind.OTHER} & {*self.reach, *self.adoption}):
            msg = (
                f"Fix kind {', '.join(sorted(strange))} cannot be replayed. "
                f"Use one of {', '.join(kind for kind in FixKind if kind != FixKind.OTHER)}."
            )
            raise UsageError(msg)

    @property
    def delta_us(self) -> int:
        """`delta_read` in microseconds."""
        return self.delta_read // dt.timedelta(microseconds=1)

    @property
    def ttl_us(self) -> int:
        """`ttl` in microseconds."""
        return self.ttl // dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Evidence made ready for replays: align once, ask often. `seen` are the sources that gave anything."""

    story: Story
    seen: frozenset[str]


@dataclass(frozen=True, slots=True)
class Study:
    """Recorded evidence, replayed under some terms; `counted` marks the warnings of the window."""

    recorded: Recorded
    terms: Terms
    readings: Readings
    assessed: Assessment
    counted: NDArray[np.bool_]
    start_us: int
    end_us: int

    @property
    def unseen_share(self) -> float:
        """About which share of the warnings left no alert: attempts on what was closed that raised none."""
        rows = self.readings.rows
        closers = self.assessed.few.closer[:, 0]
        is_closer = np.zeros(len(rows), dtype=np.bool_)
        is_closer[closers[closers < len(rows)]] = True
        is_seen = (rows["born"] == "seen").to_numpy()
        warned, guarded = rows["is_warned"].to_numpy(), rows["is_guarded"].to_numpy()
        silent = int((is_seen & ~warned & ~guarded & ~is_closer).sum())
        return silent / max(silent + int((is_seen & warned).sum()), 1)


def recorded(
    signals: pl.LazyFrame | pl.DataFrame,
    alerts: pl.LazyFrame | pl.DataFrame | None = None,
    *,
    handlers: pl.LazyFrame | pl.DataFrame | None = None,
) -> Recorded:
    """Evidence aligned into one story; *handlers* is the map that names automations and their intents.

    Raises `SchemaError` where a column of the contract is absent that cannot be done without.
    """
    lazy = signals.lazy()
    if handlers is not None and (entries := handlers.lazy().collect()).height:
        lazy = named(lazy, entries)
    evidence = gather(lazy, None if alerts is None else alerts.lazy())
    seen = set(evidence.attempts["source"].drop_nulls().unique())
    seen |= {"debugger"} if evidence.warnings.height else set()
    seen |= {"taskrouter"} if evidence.task_ends.height else set()
    return Recorded(align(evidence), frozenset(seen))


def ready(
    signals: pl.LazyFrame | pl.DataFrame | Recorded,
    alerts: pl.LazyFrame | pl.DataFrame | None,
    handlers: pl.LazyFrame | pl.DataFrame | None,
) -> Recorded:
    """Evidence aligned into one story, if it is not yet."""
    return signals if isinstance(signals, Recorded) else recorded(signals, alerts, handlers=handlers)


def study(held: Recorded, terms: Terms, *, window: Window | None = None, channel_types: Sequence[str] = ()) -> Study:
    """Replay *held* under *terms*; the warnings that count are those of *window* and *channel_types*."""
    readings = read(held.story, reach=terms.reach, owner=terms.owner, delta_us=terms.delta_us)
    assessed = assess(readings, delta_us=terms.delta_us, ttl_us=terms.ttl_us)
    if not assessed.most[:, 0].all() or len(assessed.warnings) != held.story.warnings.height:
        # By construction this cannot be; if it is, no number that follows would mean anything.
        msg = (
            f"A replay without any fix gives {int(assessed.most[:, 0].sum())} of {held.story.warnings.height} "
            "recorded warnings. This is an error in flexkit: report it with the evidence of one such interaction."
        )
        raise FlexkitError(msg)
    start, end = _span(held.story, window)
    at = assessed.warnings["at"].to_numpy()
    counted = (at >= start) & (at < end)
    if channel_types:
        typed = assessed.warnings["channel_type"].is_in(list(channel_types)).fill_null(value=False)
        counted &= typed.to_numpy()
    return Study(held, terms, readings, assessed, counted, start, end)


def _span(story: Story, window: Window | None) -> tuple[int, int]:
    """Microseconds from the start to the end of *window*, as far as anything was recorded in it."""
    seen = story.rows.filter(pl.col("born") != "phantom")["at"]
    first, last = seen.min(), seen.max()
    if not isinstance(first, int) or not isinstance(last, int):
        first, last = 0, 0
    if window is None:
        return first, last + 1
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    start, end = ((instant - epoch) // dt.timedelta(microseconds=1) for instant in (window.start, window.end))
    # A window that reaches beyond the evidence is as long as the evidence: nobody looked at the rest.
    held = max(start, first), min(end, last + 1)
    return held if held[0] < held[1] else (start, end)
