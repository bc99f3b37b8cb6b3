"""What a fix reaches in daily counts, and what it leaves untouched and could serve as its control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.errors import SchemaError
from flexkit.terms import FixKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flexkit.analyse.effects.fixes import Fix

CHANNEL = "channel_type"
SECOND, FIRST = "handler", "first_handler"
ACTS_AS = {
    FixKind.CHECK_STATUS_FIRST: (SECOND,),
    FixKind.IDEMPOTENT_HANDLING: (SECOND,),
    FixKind.CLOSE_PARTICIPANT: (FIRST,),
}
"""Whose duplicates a fix of handlers can prevent: those that they send, or those that follow their first close."""
MOSTLY = 0.9
"""Where more of the events are without a name than the rest of this, a fix may reach those."""
_DAY = ("estimand", "hours", "completeness", "is_partial", "is_gap", "is_holiday")
_COUNTS = ("events", "duplicates", "warnings", "warned")


def check_daily(daily: pl.DataFrame) -> None:
    """Raise `SchemaError` where *daily* lacks what every estimate needs."""
    if missing := [name for name in ("date", "events", "exposure") if name not in daily.columns]:
        msg = f"The daily counts have no column {', '.join(missing)}. They have: {', '.join(daily.columns) or 'none'}."
        raise SchemaError(msg)


def can_separate(daily: pl.DataFrame, fix: Fix) -> bool:
    """Whether the counts tell what *fix* reaches from what it does not."""
    return _knows_channels(daily, fix) or _knows_handlers(daily, fix)


def reaches_nothing(daily: pl.DataFrame, fix: Fix) -> bool:
    """Whether the counts name the channel type or handler of nearly all events, but none that *fix* reaches."""
    misses_channels = bool(fix.channel_types) and _named(daily, [CHANNEL]) and not _knows_channels(daily, fix)
    misses_handlers = bool(fix.handlers) and _named(daily, _actors(daily, fix)) and not _knows_handlers(daily, fix)
    return misses_channels or misses_handlers


def treated(daily: pl.DataFrame, fix: Fix) -> pl.DataFrame:
    """Daily counts of what *fix* reaches: date, events, exposure and the day's flags.

    Its channel types set both counts; its handlers only the events, because what a handler does twice can happen to
    any completed interaction. A scope that the counts do not know counts as all.
    """
    return _added(daily, _channels(daily, fix), _events(daily, fix))


def untouched(daily: pl.DataFrame, fix: Fix, others: Iterable[Fix]) -> pl.DataFrame | None:
    """Daily counts that neither *fix* nor any of *others* reaches; None where there are none.

    For a fix of handlers: the other handlers' duplicates in the same channel types (not those whose handler is
    unknown). For a fix of channel types: the other channel types.
    """
    if not can_separate(daily, fix):
        return None
    if _knows_handlers(daily, fix):
        exposed = _channels(daily, fix)
        known = pl.any_horizontal(pl.col(name).is_not_null() for name in _actors(daily, fix))
        events = exposed & ~_events(daily, fix) & known
    else:
        exposed = ~_channels(daily, fix)
        events = exposed
    for other in others:
        if _knows_handlers(daily, other):
            events &= ~_events(daily, other)
        else:
            exposed &= ~_channels(daily, other)
            events &= ~_channels(daily, other)
    if not daily.select(events.any()).item() or not daily.select(exposed.any()).item():
        return None
    return _added(daily, exposed, events)


def intersects(daily: pl.DataFrame, one: Fix, other: Fix) -> bool:
    """Whether two fixes reach some of the same duplicates."""
    both = _events(daily, one) & _events(daily, other)
    return bool(daily.select(both.any()).item())


def _named(daily: pl.DataFrame, columns: Iterable[str]) -> bool:
    """Whether every one of *columns* that the counts have is known for nearly all events."""
    held = [name for name in columns if name in daily.columns]
    total = float(daily["events"].sum() or 0)
    known = [float(daily.filter(pl.col(name).is_not_null())["events"].sum() or 0) for name in held]
    return bool(held) and total > 0 and min(known) >= MOSTLY * total


def _knows_channels(daily: pl.DataFrame, fix: Fix) -> bool:
    if not fix.channel_types or CHANNEL not in daily.columns:
        return False
    seen = set(daily[CHANNEL].drop_nulls().unique().to_list())
    return bool(seen & fix.channel_types)


def _actors(daily: pl.DataFrame, fix: Fix) -> list[str]:
    return [name for name in ACTS_AS.get(fix.kind, (SECOND, FIRST)) if name in daily.columns]


def _knows_handlers(daily: pl.DataFrame, fix: Fix) -> bool:
    held = _actors(daily, fix)
    if not fix.handlers or not held:
        return False
    return any(bool(set(daily[name].drop_nulls().unique().to_list()) & fix.handlers) for name in held)


def _channels(daily: pl.DataFrame, fix: Fix) -> pl.Expr:
    if not _knows_channels(daily, fix):
        return pl.lit(value=True)
    return pl.col(CHANNEL).is_in(sorted(fix.channel_types)).fill_null(value=False)


def _events(daily: pl.DataFrame, fix: Fix) -> pl.Expr:
    chosen = _channels(daily, fix)
    if not _knows_handlers(daily, fix):
        return chosen
    names = sorted(fix.handlers)
    acted = [pl.col(name).is_in(names).fill_null(value=False) for name in _actors(daily, fix)]
    return chosen & pl.any_horizontal(acted)


def _added(daily: pl.DataFrame, exposed: pl.Expr, events: pl.Expr) -> pl.DataFrame:
    """Events where *events* holds, per exposure where *exposed* does, day by day."""
    held = daily.columns
    cells = [name for name in (CHANNEL, FIRST, "unit") if name in held]
    is_count = "estimand" in held and (daily["estimand"] == "count").any()
    size = (
        daily.filter(exposed)
        .group_by("date", *cells)
        .agg(pl.col("exposure").max())
        .group_by("date")
        .agg(pl.col("exposure").max() if is_count else pl.col("exposure").sum())
    )
    counted = [pl.when(events).then(pl.col(name)).otherwise(0).sum().alias(name) for name in _COUNTS if name in held]
    same = [pl.col(name).first() for name in _DAY if name in held]
    # A missing count stays missing: adding up would make it a zero.
    is_missing = (pl.col("events").is_null() | pl.col("events").is_nan() if daily["events"].dtype.is_float()
                  else pl.col("events").is_null())  # fmt: skip
    broken = (is_missing & events).any().alias("_missing")
    days = daily.group_by("date").agg(*counted, *same, broken).join(size, on="date", how="left")
    whole = days.with_columns(
        events=pl.when(~pl.col("_missing")).then(pl.col("events")), exposure=pl.col("exposure").fill_null(0)
    )
    return whole.drop("_missing").sort("date")
