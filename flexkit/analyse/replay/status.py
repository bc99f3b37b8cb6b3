"""Whether the evidence carries a number at all: what a fix needs to know, and what there is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.coverage import spans
from flexkit.terms import CoverageState, FixKind, Source

if TYPE_CHECKING:
    from flexkit.analyse.replay.readings import Readings

LEAST_COVERAGE = 0.9
WIDEST_BOUNDS = 0.2


class ReplayStatus(StrEnum):
    """What may be said of a prediction."""

    POINT = "point"
    BOUNDS_ONLY = "bounds_only"
    NOT_IDENTIFIABLE = "not_identifiable"


class Reason(StrEnum):
    """Why a prediction is less than a number."""

    NO_WARNINGS = "no_warnings"
    NO_ATTEMPTS = "no_attempts"
    NO_TRIGGER_IDENTITY = "no_trigger_identity"
    NO_INTENT = "no_intent"
    NO_TRIGGER_KIND = "no_trigger_kind"
    SOURCE_NOT_COVERED = "source_not_covered"
    WIDE_BOUNDS = "wide_bounds"


NEEDS: dict[FixKind, tuple[Source, ...]] = {
    FixKind.CHECK_STATUS_FIRST: (Source.DEBUGGER, Source.APP_LOG),
    FixKind.IDEMPOTENT_HANDLING: (Source.DEBUGGER, Source.APP_LOG),
    FixKind.CLOSE_PARTICIPANT: (Source.DEBUGGER, Source.APP_LOG),
    FixKind.SINGLE_TERMINAL_OWNER: (Source.DEBUGGER, Source.APP_LOG, Source.TASKROUTER),
}
"""Sources without which a fix of that kind cannot be replayed."""


def obstacles(readings: Readings, *, has_warnings: bool) -> dict[FixKind, Reason]:
    """The kinds of fix about which the attempts of interactions with a warning say nothing."""
    rows = readings.rows
    warned = rows.filter("is_warned").select("interaction").unique()
    ours = rows.join(warned, on="interaction", how="semi")
    if not has_warnings:
        return dict.fromkeys(NEEDS, Reason.NO_WARNINGS)
    if ours.filter(pl.col("born") == "seen").is_empty():
        return dict.fromkeys(NEEDS, Reason.NO_ATTEMPTS)
    logged = ours.filter(pl.col("born") == "seen")
    found = {}
    if logged["key"].null_count() == logged.height:
        found[FixKind.IDEMPOTENT_HANDLING] = Reason.NO_TRIGGER_IDENTITY
    if logged["intent"].null_count() == logged.height and ours["removal"].null_count():
        found[FixKind.CLOSE_PARTICIPANT] = Reason.NO_INTENT
    if logged["terminal"].null_count() == logged.height:
        found[FixKind.SINGLE_TERMINAL_OWNER] = Reason.NO_TRIGGER_KIND
    return found


def uncovered(coverage: pl.DataFrame | None, seen: frozenset[str], *, start_us: int, end_us: int) -> frozenset[Source]:
    """Sources that are held for less than nine tenths of the window.

    A source of which coverage says nothing is judged by whether any signal of it was *seen*: a completion
    log that was handed over as a file has no windows.
    """
    length = max(end_us - start_us, 1)
    held = {}
    if coverage is not None and not coverage.is_empty():
        # A window with rejected or missing rows is held in the main; what it lacks shows as unreplayable.
        is_held = pl.col("state").is_in([CoverageState.COMPLETE, CoverageState.PARTIAL])
        complete = coverage.filter(is_held).with_columns(state=pl.lit(CoverageState.COMPLETE.value))
        start, end = pl.col("start_us").clip(start_us, end_us), pl.col("end_us").clip(start_us, end_us)
        shares = spans(complete).group_by("source").agg(share=(end - start).sum() / length)
        held = dict(shares.iter_rows())
        held = {source: held.get(source, 0.0) for source in coverage["source"].unique()}
    absent = {source for source in Source if held.get(source, 1.0 if source in seen else 0.0) < LEAST_COVERAGE}
    return frozenset(absent)


def judge(
    kinds: tuple[FixKind, ...], obstacle: dict[FixKind, Reason], missing: frozenset[Source], width: float
) -> tuple[ReplayStatus, list[str]]:
    """The status of a set of fixes, and why it is no better; *width* is that of the bounds, as a share."""
    reasons = sorted({obstacle[kind].value for kind in kinds if kind in obstacle})
    if reasons:
        return ReplayStatus.NOT_IDENTIFIABLE, reasons
    if any(source in missing for kind in kinds for source in NEEDS[kind]):
        reasons.append(Reason.SOURCE_NOT_COVERED.value)
    if width > WIDEST_BOUNDS:
        reasons.append(Reason.WIDE_BOUNDS.value)
    return (ReplayStatus.BOUNDS_ONLY if reasons else ReplayStatus.POINT), reasons
