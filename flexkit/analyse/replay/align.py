"""Attempts and warnings made into one consistent story, with what stays unknown kept as two readings.

After alignment a replay without any fix reproduces the recorded warnings exactly: what the evidence
lacks for that (a first closer, an attempt behind a warning) is inserted and marked as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.replay.match import (
    CALIBRATED,
    PAIRS_TO_CALIBRATE,
    SECOND,
    UNCALIBRATED,
    calibrate,
    one_to_one,
    pair,
)
from flexkit.terms import Intent, Outcome, SignalKind

if TYPE_CHECKING:
    from flexkit.analyse.replay.evidence import Evidence

AGENT, TIMER = "agent", "conversation timer"
"""Names for closers that no handler stands for: somebody in the Flex UI, the conversation's own timer."""

_TOLERANCE = 3 * SECOND
_COMPLETING = SECOND
# TaskRouter and alerts share Twilio's clock; an alert is only cut to the second.
_SAME_CLOCK = 1_500_000
_FARTHEST_CLOCK = 15 * SECOND
_STRETCH = ["interaction", "part"]


@dataclass(frozen=True, slots=True)
class Story:
    """Aligned attempts, ordered by interaction, stretch and time.

    rows: row, interaction, part, at, is_timed, handler, kind, intent, trigger_kind, key, source, skew,
    channel_type, is_warned, is_guarded, is_echoed, born (``seen``, ``sign``, ``phantom``, ``synthetic``),
    warning_id. A closer that is not timed closed at some time before `at`.
    warnings and task_ends are as in the evidence.
    """

    rows: pl.DataFrame
    warnings: pl.DataFrame
    task_ends: pl.DataFrame


def align(evidence: Evidence) -> Story:
    """One consistent story of *evidence*; every warning belongs to exactly one attempt of it."""
    attempts = evidence.attempts.with_row_index("attempt_id")
    attempts = calibrate(attempts, evidence.warnings)
    signs = _on_time(evidence.signs, attempts)
    closed = _signs_of_close(signs)
    pairs = pair(attempts, evidence.warnings, closed.select("interaction", "closed_at"))
    attempts = (
        attempts.join(pairs.select("attempt_id", "warning_id"), on="attempt_id", how="left", maintain_order="left")
        .filter(~pl.col("is_failure") | pl.col("warning_id").is_not_null())
        .with_columns(born=pl.lit("seen"))
    )
    attempts = _echoed_by_agents(attempts, signs)
    orphaned = evidence.warnings.join(pairs, on="warning_id", how="anti")
    rows = pl.concat((attempts, _behind(orphaned, signs)), how="diagonal_relaxed")
    rows = _in_parts(rows, evidence.reopens).with_columns(
        is_warned=pl.col("warning_id").is_not_null(),
        is_guarded=(pl.col("outcome") == Outcome.SKIPPED).fill_null(value=False),
        is_rejected=(pl.col("outcome") == Outcome.REJECTED).fill_null(value=False),
        key=_token(),
    )
    rows = _with_closers(rows, closed)
    columns = [*_STRETCH, "at", "is_timed", "handler", "kind", "intent", "trigger_kind", "key", "source", "skew"]
    columns += ["channel_type", "is_warned", "is_guarded", "is_echoed", "born", "warning_id"]
    rows = rows.select(columns).sort(*_STRETCH, "at", "is_warned", maintain_order=True).with_row_index("row")
    return Story(rows, evidence.warnings, evidence.task_ends)


def _echoed_by_agents(attempts: pl.DataFrame, signs: pl.DataFrame) -> pl.DataFrame:
    """Completions of a task that TaskRouter tells of too: they would be seen without the log."""
    completed = attempts.filter(pl.col("kind") == SignalKind.COMPLETE_REQUESTED)
    shown = (
        completed.join(signs.filter(pl.col("sign") == "worker"), on="interaction", suffix="_sign")
        .filter((pl.col("at") - pl.col("at_sign")).abs() <= _SAME_CLOCK)
        .select("attempt_id")
    )
    echoed = pl.col("is_echoed") | pl.col("attempt_id").is_in(shown["attempt_id"].unique().implode())
    return attempts.with_columns(is_echoed=echoed)


def _token() -> pl.Expr:
    """The identity of a trigger for one handler; null where either is unknown.

    A second Studio execution has an id of its own: to what it runs it is another trigger.
    """
    known = pl.col("trigger_id").is_not_null() & pl.col("handler").is_not_null()
    return pl.when(known).then(pl.struct("handler", "trigger_id").hash(0).reinterpret(signed=True))


def _behind(warnings: pl.DataFrame, signs: pl.DataFrame) -> pl.DataFrame:
    """An attempt for each warning that no recorded attempt explains: an agent's where one acted just then."""
    worker = signs.filter(pl.col("sign") == "worker").with_row_index("sign_id")
    near = (
        warnings.join(worker, on="interaction", suffix="_sign")
        .with_columns(apart=(pl.col("at") - pl.col("at_sign")).abs())
        .filter(pl.col("apart") <= _SAME_CLOCK)
        .sort("apart", "warning_id", "sign_id")
        .select("warning_id", "sign_id", "handler", "at", "at_sign")
    )
    agents = one_to_one(near, "warning_id", "sign_id")
    known = pl.col("sign_id").is_not_null()
    # The two clocks are one, but a task is completed a little before or after its warning is written.
    lag = agents.select((pl.col("at_sign") - pl.col("at")).median()).item()
    usual = lag if agents.height >= PAIRS_TO_CALIBRATE else 0
    return warnings.join(agents.drop("at"), on="warning_id", how="left", maintain_order="left").select(
        "interaction",
        "warning_id",
        at=pl.coalesce(pl.col("at_sign") - round(usual), "at"),
        skew=pl.lit(CALIBRATED, pl.Int32),
        born=pl.when(known).then(pl.lit("sign")).otherwise(pl.lit("synthetic")),
        handler=pl.when(known).then(pl.coalesce("handler", pl.lit(AGENT))),
        kind=pl.when(known).then(pl.lit(str(SignalKind.COMPLETE_REQUESTED))),
        intent=pl.when(known).then(pl.lit(str(Intent.END))),
        trigger_kind=pl.when(known).then(pl.lit("other")),
        trigger_id=pl.when(known).then(pl.col("warning_id")),
        is_echoed=known,
    )


def _in_parts(rows: pl.DataFrame, reopens: pl.DataFrame) -> pl.DataFrame:
    """Number the stretches of reopened interactions: a close ends one, the next begins when it is active."""
    if reopens.is_empty():
        return rows.with_columns(part=pl.lit(0, pl.UInt32))
    marks = reopens.unique().with_columns(is_mark=pl.lit(value=True))
    both = pl.concat((rows.with_columns(is_mark=pl.lit(value=False)), marks), how="diagonal_relaxed").sort(
        "interaction", "at", maintain_order=True
    )
    passed = pl.col("is_mark").cum_sum().over("interaction").alias("part")
    return both.with_columns(passed).filter(~pl.col("is_mark")).drop("is_mark")


def _with_closers(rows: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """Every stretch with a warning has exactly one first closer before it, recorded, moved or inserted."""
    passive = pl.col("is_warned") | pl.col("is_guarded") | pl.col("is_rejected")
    completes = pl.col("kind") == SignalKind.COMPLETE_REQUESTED
    rows = rows.with_columns(closes=~passive & ~completes, completes=~passive & completes)
    # Most interactions have one attempt and no warning: it closed them, or there is nothing to tell.
    is_plain = ~pl.col("interaction").is_duplicated() & ~pl.col("is_warned")
    plain = rows.filter(is_plain & (pl.col("closes") | pl.col("completes"))).with_columns(is_timed=pl.lit(value=True))
    rows = rows.filter(~is_plain)
    stretches = _stretches(rows.sort(*_STRETCH, "at", maintain_order=True), closed)
    shared = stretches.select(*_STRETCH, "verdict", "acted_at", "closer_at")
    rows = rows.join(shared, on=_STRETCH, how="left", maintain_order="left")
    is_closer = (pl.col("closes") | pl.col("completes")) & (pl.col("at") == pl.col("acted_at"))
    is_closer &= pl.col("verdict") != "phantom"
    # What was skipped or refused before the close met something else than a closed channel; a task that
    # is completed without a warning is a wrap-up. Where nothing closed, there is nothing to replay.
    stays = (
        pl.when(pl.col("is_warned"))
        .then(pl.lit(value=True))
        .when(pl.col("is_guarded") | pl.col("is_rejected"))
        .then(pl.col("at") > pl.col("closer_at"))
        .otherwise(pl.col("closes") | is_closer)
    )
    moves = is_closer & (pl.col("verdict") == "moved")
    rows = rows.filter(stays.fill_null(value=False)).with_columns(
        at=pl.when(moves.fill_null(value=False)).then("closer_at").otherwise("at")
    )
    rows = _without_known_skips(rows.with_columns(is_timed=pl.lit(value=True)))
    return pl.concat((plain, rows, _phantoms(stretches)), how="diagonal_relaxed")


def _stretches(rows: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """For each stretch: who acted first, when the first warning came, and what that says of the closer."""
    at, is_closing = pl.col("at"), pl.col("closes") | pl.col("completes")
    # A sign of a close belongs to the first stretch; which of several it was is not told.
    in_first = pl.col("part") == 0
    per = (
        rows.select(
            *_STRETCH,
            "channel_type",
            warned_at=pl.when("is_warned").then(at),
            closing_at=pl.when("closes").then(at),
            completed_at=pl.when("completes").then(at),
            skew=pl.when(is_closing).then("skew"),
        )
        .group_by(_STRETCH, maintain_order=True)
        .agg(pl.col("warned_at", "closing_at", "completed_at", "skew").min(), pl.col("channel_type").min())
        .join(closed, on="interaction", how="left", maintain_order="left")
        .with_columns(
            closed_at=pl.when(in_first).then("closed_at"), closed_by=pl.when(in_first).then("closed_by")
        )
    )  # fmt: skip
    # A request to close decides. A completed task comes next, where a sign of the close agrees: one agent
    # may complete hers while another goes on.
    agreeing = (
        rows.filter("completes")
        .join(per.drop_nulls("closed_at").select(*_STRETCH, "closed_at"), on=_STRETCH)
        .filter((at - pl.col("closed_at")).abs() <= _COMPLETING)
        .group_by(_STRETCH)
        .agg(agreed_at=at.min())
    )
    per = per.join(agreeing, on=_STRETCH, how="left", maintain_order="left").with_columns(
        completed_at=pl.when(pl.col("closed_at").is_null()).then("completed_at").otherwise("agreed_at")
    )
    late = pl.col("closing_at") > pl.min_horizontal(pl.col("closed_at") + _TOLERANCE, pl.col("warned_at"))
    closing = pl.when(~late.fill_null(value=False)).then("closing_at")
    acted = pl.coalesce(closing, "completed_at", "closing_at")
    per = per.with_columns(acted_at=acted)
    late = (pl.col("acted_at") > pl.col("closed_at") + _TOLERANCE).fill_null(value=False)
    known = pl.col("acted_at").is_not_null() & ~late
    behind = pl.col("acted_at") - pl.col("warned_at")
    verdict = (
        pl.when(pl.col("warned_at").is_null() | (known & (behind <= 0))).then(pl.lit("as is"))
        .when(known & (behind <= 2 * pl.col("skew"))).then(pl.lit("moved"))
        .otherwise(pl.lit("phantom"))
    )  # fmt: skip
    before = pl.col("warned_at") - 1
    return per.with_columns(verdict=verdict).with_columns(
        closer_at=pl.when(pl.col("verdict") == "as is").then("acted_at")
        .when(pl.col("verdict") == "moved").then(before)
        .otherwise(pl.min_horizontal(pl.col("closed_at"), before))
    )  # fmt: skip


def _without_known_skips(rows: pl.DataFrame) -> pl.DataFrame:
    """Drop skips that a key or an open channel explains: they would be skipped again."""
    repeated = (pl.col("key").is_not_null() & ~pl.struct("interaction", "key").is_first_distinct()).fill_null(
        value=False
    )
    if not rows["is_guarded"].any():
        return rows
    return rows.sort("interaction", "at", maintain_order=True).filter(
        ~pl.col("is_guarded") | ~(repeated | pl.col("is_open_skip").fill_null(value=False))
    )


def _on_time(signs: pl.DataFrame, attempts: pl.DataFrame) -> pl.DataFrame:
    """Signs of a close, each source's shifted by how long after the first request to close it usually comes."""
    first = (
        attempts.filter(pl.col("kind") != SignalKind.COMPLETE_REQUESTED)
        .group_by("interaction")
        .agg(first_at=pl.col("at").min())
    )
    is_close = pl.col("sign") != "worker"
    lag = pl.col("at") - pl.col("first_at")
    usual = (
        signs.filter(is_close)
        .join(first, on="interaction")
        .filter(lag.abs() <= _FARTHEST_CLOCK)
        .group_by("source")
        .agg(usual=lag.median().cast(pl.Int64), pairs=pl.len())
        .filter(pl.col("pairs") >= PAIRS_TO_CALIBRATE)
    )
    shift = pl.when(is_close).then(pl.col("usual").fill_null(0)).otherwise(0)
    return signs.join(usual, on="source", how="left", maintain_order="left").with_columns(pl.col("at") - shift)


def _signs_of_close(signs: pl.DataFrame) -> pl.DataFrame:
    """When each interaction with a warning was closed at the latest, and who did it if a sign tells."""
    closed = signs.filter(pl.col("sign") != "worker").group_by("interaction").agg(closed_at=pl.col("at").min())
    around = signs.join(closed, on="interaction").filter(pl.col("sign") != "closed")
    since = pl.col("at") - pl.col("closed_at")
    worker = (pl.col("sign") == "worker") & since.is_between(-_COMPLETING, _SAME_CLOCK)
    timer = (pl.col("sign") == "timer") & since.is_between(-_TOLERANCE, _TOLERANCE)
    by = (
        around.filter(worker | timer)
        .sort("interaction", "at")
        .group_by("interaction")
        .agg(closed_by=pl.col("sign").first())
    )
    return closed.join(by, on="interaction", how="left")


def _phantoms(stretches: pl.DataFrame) -> pl.DataFrame:
    """The first closers that nobody recorded: unknown, unless a timer or an agent shows."""
    missing = stretches.filter(pl.col("verdict") == "phantom")
    known = pl.col("closed_by").is_not_null()
    # A sign that came after the warning was late itself: it says that the close was before, not when.
    timed = pl.col("closed_at") < pl.col("warned_at")
    name = pl.when(pl.col("closed_by") == "timer").then(pl.lit(TIMER)).when(known).then(pl.lit(AGENT))
    return missing.select(
        *_STRETCH,
        "channel_type",
        at="closer_at",
        is_timed=timed.fill_null(value=False),
        skew=pl.lit(UNCALIBRATED, pl.Int32),
        born=pl.when(known).then(pl.lit("sign")).otherwise(pl.lit("phantom")),
        handler=name,
        kind=pl.when(known).then(pl.lit(str(SignalKind.COMPLETE_REQUESTED))),
        intent=pl.when(known).then(pl.lit(str(Intent.END))),
        trigger_kind=pl.when(known).then(pl.lit("other")),
        is_warned=pl.lit(value=False),
        is_guarded=pl.lit(value=False),
        is_echoed=known,
    )
