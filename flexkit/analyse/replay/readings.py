"""Two readings of a story: one in which fixes prevent as little, one in which they prevent as much as can be.

What the evidence does not say (an intent, a trigger, a closer) is filled in where a handler's other
attempts settle it, and read both ways where they do not. Where both readings agree, it does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.attempts import TERMINAL_TASK_KINDS
from flexkit.analyse.replay.evidence import OTHER_TRIGGER
from flexkit.analyse.replay.match import SECOND, UNCALIBRATED
from flexkit.analyse.replay.rerun import KINDS, Attempts
from flexkit.terms import FixKind, Intent, SignalKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.analyse.replay.align import Story
    from flexkit.analyse.replay.rerun import Bools

ENOUGH = 10
"""So many attempts of one handler, all alike, settle what its other attempts are."""

_ALIKE = 0.98
_REACTS = 0.6
_CHANNEL_CLOSERS = (SignalKind.CLOSE_CHANNEL_REQUESTED, SignalKind.STUDIO_STEP)
_LATEST_REACTION = 30 * 60 * SECOND


@dataclass(frozen=True, slots=True)
class Reach:
    """Which attempts a fix touches: those of these handlers and channel types; empty means all."""

    handlers: tuple[str, ...] = ()
    channel_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Readings:
    """`few` and `many`: the attempts as they must be for the fewest and the most prevented warnings.

    `rows` are the attempts in the same order, with what is known of them: ``removal`` and ``terminal``
    (null: unknown), ``owner`` is the handler that keeps the terminal events.
    """

    rows: pl.DataFrame
    few: Attempts
    many: Attempts
    owner: str | None
    task_ends: pl.DataFrame

    def with_warnings(self) -> Readings:
        """The same readings of interactions with a warning alone."""
        chosen = self.rows.select(pl.col("is_warned").any().over("number")).to_series()
        few, many = (attempts.taken(chosen.to_numpy()) for attempts in (self.few, self.many))
        rows = self.rows.filter(chosen).with_columns(stretch=pl.col("stretch").rle_id().cast(pl.Int64))
        return replace(self, rows=rows, few=few, many=many)

    def narrowed(self, touched: Bools) -> Readings:
        """The same readings, with fixes that reach only the *touched* attempts."""
        return replace(self, few=self.few.narrowed(touched), many=self.many.narrowed(touched))


def read(story: Story, *, reach: Mapping[FixKind, Reach], owner: str | None = None, delta_us: int = 0) -> Readings:
    """Both readings of *story*; the owner is the handler that serves most terminal events, unless named.

    A closer of unknown time closed just before the warning, or so long before that a status read
    *delta_us* old would have seen it.
    """
    rows = _with_removal(_with_terminal(story.rows, story.task_ends))
    owner = owner or busiest(rows)
    rows = rows.with_columns(
        stretch=pl.struct("interaction", "part").rle_id().cast(pl.Int64),
        number=pl.col("interaction").rle_id().cast(pl.Int64),
    )
    stray = pl.col("terminal") & (pl.col("handler") != owner if owner else pl.lit(value=True))
    stray = pl.when(pl.col("handler") == owner).then(pl.lit(value=False)).otherwise(stray) if owner else stray
    rows = rows.with_columns(stray=stray)
    rows = rows.with_columns(shared=_shared(rows))
    ago = pl.when("is_timed").then(0).otherwise(2 * delta_us + UNCALIBRATED)
    rows = rows.with_columns(at_early=pl.col("at") - ago)
    few, many = (_attempts(rows, reach, many=much) for much in (False, True))
    return Readings(rows, few, many, owner, story.task_ends)


def busiest(rows: pl.DataFrame) -> str | None:
    """The handler that acts on the terminal events of most interactions; None where nobody does."""
    served = rows.filter(pl.col("terminal"), pl.col("handler").is_not_null())
    count = served.group_by("handler").agg(pl.col("interaction").n_unique().alias("served"))
    return count.sort("served", "handler", descending=[True, False])["handler"].first()  # type: ignore[return-value]


def _with_removal(rows: pl.DataFrame) -> pl.DataFrame:
    """``removal``: closes the channel though only the agent was to be removed; null where intent is unknown."""
    closes = pl.col("kind").is_in(_CHANNEL_CLOSERS)
    removal = (
        pl.when(pl.col("kind").is_not_null() & ~closes)
        .then(pl.lit(value=False))
        .otherwise(pl.col("intent") == Intent.REMOVE_AGENT)
    )
    rows = rows.with_columns(removal=removal)
    # Who reacts to the end of a task means to end the interaction.
    ends = pl.when("terminal").then(pl.lit(value=False))
    rows = rows.with_columns(removal=pl.coalesce("removal", ends))
    return _settled(rows, "removal", closes)


def _with_terminal(rows: pl.DataFrame, task_ends: pl.DataFrame) -> pl.DataFrame:
    """``terminal``: set off by a terminal task event; null where the trigger is unknown.

    A Studio execution or a job names no event. If most of a handler's requests to close come after the
    end of a task and before anything else happened, that is what it reacts to. Completing a task ends
    it: that is no reaction to its end.
    """
    completes = pl.col("kind") == SignalKind.COMPLETE_REQUESTED
    known = pl.when(pl.col("trigger_kind").is_null() & completes).then(pl.lit(OTHER_TRIGGER)).otherwise("trigger_kind")
    names_end = known.is_in(list(TERMINAL_TASK_KINDS))
    if task_ends.is_empty():
        # Without TaskRouter's events nobody can tell that a request was no reaction to one.
        names_end = pl.when(completes | pl.col("born").is_in(["sign"])).then(pl.lit(value=False))
    is_request = (pl.col("born") == "seen") & ~completes & ~names_end.fill_null(value=False)
    first_at = pl.col("at").min().over("interaction")
    ended = (pl.col("ended_at") <= first_at) & (pl.col("at") - pl.col("ended_at") <= _LATEST_REACTION)
    rows = rows.join(
        task_ends.select("interaction", ended_at="at"), on="interaction", how="left", maintain_order="left"
    ).with_columns(terminal=names_end, is_request=is_request.fill_null(value=False), ended=ended.fill_null(value=False))
    habits = (
        rows.filter(pl.col("is_request") & pl.col("handler").is_not_null())
        .group_by("handler")
        .agg(share=pl.col("ended").mean(), requests=pl.len())
        .filter((pl.col("share") >= _REACTS) & (pl.col("requests") >= ENOUGH // 2))
    )
    habits = habits.select("handler", reacts=pl.lit(value=True))
    rows = rows.join(habits, on="handler", how="left", maintain_order="left")
    # What the handler always reacts to may have gone unrecorded here.
    reacts = pl.col("reacts").fill_null(value=False) & pl.col("is_request")
    after_end = reacts & (pl.col("ended") | pl.col("ended_at").is_null() | pl.col("terminal").is_null())
    rows = rows.with_columns(terminal=pl.when(after_end).then(pl.lit(value=True)).otherwise("terminal"))
    return _settled(rows.drop("ended", "reacts", "ended_at", "is_request"), "terminal", pl.lit(value=True))


def _settled(rows: pl.DataFrame, column: str, among: pl.Expr) -> pl.DataFrame:
    """Fill nulls of *column* for handlers whose other attempts nearly all say the same."""
    shares = (
        rows.filter(among & pl.col("handler").is_not_null() & (pl.col("born") == "seen"))
        .group_by("handler")
        .agg(share=pl.col(column).mean(), known=pl.col(column).count())
        .filter(pl.col("known") >= ENOUGH)
    )
    settled = (
        pl.when(pl.col("share") >= _ALIKE)
        .then(pl.lit(value=True))
        .when(pl.col("share") <= 1 - _ALIKE)
        .then(pl.lit(value=False))
    )
    return (
        rows.join(shares.select("handler", settled=settled), on="handler", how="left", maintain_order="left")
        .with_columns(pl.coalesce(column, pl.when(among.fill_null(value=False)).then("settled")).alias(column))
        .drop("settled")
    )


def _shared(rows: pl.DataFrame) -> pl.Series:
    """A key for every attempt in the reading in which unknown triggers were the same one.

    An attempt without a key takes that of the handler's nearest attempt of the same kind in the
    interaction; one without a handler that of the nearest of anybody.
    """
    own = ["interaction", "handler", "kind"]
    near = pl.col("key").forward_fill().backward_fill()
    none_known = pl.struct(*own).hash(0).reinterpret(signed=True)
    by_handler = pl.coalesce("key", near.over(own), none_known)
    open_ended = rows.filter(pl.col("key").is_null())
    if open_ended.is_empty():
        return rows["key"]
    ours = rows.join(open_ended.select("interaction").unique(), on="interaction", how="semi", maintain_order="left")
    filled = (
        ours.select("row", *own, "key", "born")
        .with_columns(key=pl.when(pl.col("handler").is_not_null()).then(by_handler))
        .with_columns(key=pl.coalesce("key", near.over("interaction"), pl.col("interaction").reinterpret(signed=True)))
    )
    return (
        rows.select("row", "key")
        .join(filled.select("row", filled="key"), on="row", how="left", maintain_order="left")
        .select(pl.coalesce("key", "filled"))["key"]
    )


def _attempts(rows: pl.DataFrame, reach: Mapping[FixKind, Reach], *, many: bool) -> Attempts:
    scope = pl.sum_horizontal(
        pl.when(_touched(reach.get(kind, Reach())).fill_null(value=many)).then(1 << bit).otherwise(0)
        for bit, kind in enumerate(KINDS)
    )
    key = pl.col("shared") if many else pl.col("key")
    ids = rows.select("number", key=key)
    # A key that nobody shares can drop nothing; most are such, and cost nothing as -1.
    repeated = ids.is_duplicated() & ids["key"].is_not_null()
    dense = ids["key"].rank("dense").cast(pl.Int64)
    frame = rows.select(
        stretch="stretch",
        interaction="number",
        at=pl.col("at_early") if many else pl.col("at"),
        key=pl.when(repeated).then(dense).otherwise(-1),
        is_warned="is_warned",
        is_guarded="is_guarded",
        is_removal=pl.col("removal").fill_null(value=many),
        is_stray=pl.col("stray").fill_null(value=many),
        scope=scope.cast(pl.UInt8),
    )
    return Attempts.from_frame(frame)


def _touched(reach: Reach) -> pl.Expr:
    touched = pl.lit(value=True)
    if reach.handlers:
        touched &= pl.col("handler").is_in(reach.handlers)
    if reach.channel_types:
        touched &= pl.col("channel_type").is_in(reach.channel_types)
    return touched
