"""What each fix would have prevented, and warning by warning: the questions put to a study of the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.replay.rerun import KINDS, members
from flexkit.analyse.replay.study import DELTA_READ, TTL, Recorded, Terms, ready, study
from flexkit.analyse.replay.table import table
from flexkit.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from flexkit.analyse.replay.readings import Reach
    from flexkit.terms import FixKind
    from flexkit.window import Window


def replay(
    signals: pl.LazyFrame | pl.DataFrame | Recorded,
    alerts: pl.LazyFrame | pl.DataFrame | None = None,
    *,
    coverage: pl.LazyFrame | pl.DataFrame | None = None,
    handlers: pl.LazyFrame | pl.DataFrame | None = None,
    window: Window | None = None,
    channel_types: Sequence[str] = (),
    reach: Mapping[FixKind, Reach] | None = None,
    adoption: Mapping[FixKind, float] | None = None,
    owner: str | None = None,
    delta_read: dt.timedelta = DELTA_READ,
    ttl: dt.timedelta = TTL,
    draws: int = 40,
    replicates: int = 400,
    seed: int = 80906,
) -> pl.DataFrame:
    """What every set of the four fix kinds would have prevented: 15 rows, the single fixes first.

    *signals* and *alerts* are those tables (their contract's columns suffice), or what `recorded` made
    of them. *window* and *channel_types* choose the warnings that count; *reach* limits a fix to
    handlers or channel types, *adoption* is the share of its attempts that run it, *owner* keeps the
    terminal events (by default the handler that serves most of them). Intervals are of 90 %.

    ``prevented`` counts warnings of the window; it is null unless ``status`` is ``point``, while
    ``imputed`` always holds the best guess. ``bound_lo`` and ``bound_hi`` hold whatever the unknown is;
    where a source is missing they are the interval too. ``lo`` and ``hi`` are for the 30 days to come.
    ``unique_prevented``, ``shapley``, ``seq_rank`` and ``seq_marginal`` are given for single fixes.
    `SCHEMA` lists all columns. Raises `UsageError` where a number makes no sense.
    """
    terms = Terms(reach or {}, adoption or {}, owner, delta_read, ttl)
    found = study(ready(signals, alerts, handlers), terms, window=window, channel_types=channel_types)
    held = None if coverage is None else coverage.lazy().collect()
    scope = _scope(terms, channel_types)
    return table(found, coverage=held, scope=scope, draws=draws, replicates=replicates, seed=seed)


def ranking(replayed: pl.DataFrame, *, efforts: Mapping[FixKind, float] | None = None) -> pl.DataFrame:
    """The single fixes of a `replay` table, the one to do first on top.

    With *efforts* (days of work, say, by kind) they are ordered by warnings prevented for each unit of
    effort, ``value_per_effort``. Without, by the greedy sequence.
    """
    singles = replayed.filter(pl.col("fix_count") == 1)
    if efforts is None:
        return singles.sort("seq_rank")
    if bad := [str(kind) for kind, effort in efforts.items() if effort <= 0]:
        msg = f"The effort of {', '.join(bad)} is not above 0. Give each fix a positive number."
        raise UsageError(msg)
    work = pl.col("fix_id").replace_strict({str(kind): float(effort) for kind, effort in efforts.items()}, default=None)
    worth = pl.col("imputed") / work
    return singles.with_columns(value_per_effort=worth).sort("value_per_effort", descending=True, nulls_last=True)


def outcomes(
    signals: pl.LazyFrame | pl.DataFrame | Recorded,
    alerts: pl.LazyFrame | pl.DataFrame | None = None,
    *,
    handlers: pl.LazyFrame | pl.DataFrame | None = None,
    causes: pl.LazyFrame | pl.DataFrame | None = None,
    window: Window | None = None,
    owner: str | None = None,
    delta_read: dt.timedelta = DELTA_READ,
    ttl: dt.timedelta = TTL,
) -> pl.DataFrame:
    """One row per warning, for looking closer: who closed first, who was warned, and what would prevent it.

    ``prevents_<kind>`` is true, false, or null where the evidence does not settle it; ``prevented_by``
    lists every set of fixes that surely does. With *causes* (that table) its ``cause`` stands beside.
    """
    terms = Terms(owner=owner, delta_read=delta_read, ttl=ttl)
    found = study(ready(signals, alerts, handlers), terms, window=window)
    most, least = found.assessed.most, found.assessed.least
    sets = {subset: "+".join(members(subset)) for subset in range(1, most.shape[1])}
    each = [
        pl.when(pl.lit(pl.Series(most[:, 1 << bit] == least[:, 1 << bit])))
        .then(pl.lit(pl.Series(~most[:, 1 << bit])))
        .alias(f"prevents_{kind}")
        for bit, kind in enumerate(KINDS)
    ]
    surely = pl.DataFrame({name: ~most[:, subset] for subset, name in sets.items()})
    named_sets = pl.concat_list(pl.when(pl.col(name)).then(pl.lit(name)) for name in sets.values()).list.drop_nulls()
    frame = (
        found.assessed.warnings.select(
            "warning_id",
            occurred_at=pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"),
            first_handler="c_handler",
            first_kind="c_kind",
            second_handler="w_handler",
            second_kind="w_kind",
            gap_seconds="gap_seconds",
            is_replayable="is_replayable",
        )
        .with_columns(*each, prevented_by=surely.select(sets=named_sets)["sets"])
        .filter(pl.Series(found.counted))
    )
    sids = found.recorded.story.warnings.select("warning_id", "interaction_sid")
    frame = frame.join(sids, on="warning_id", how="left", maintain_order="left")
    if causes is not None:
        first = causes.lazy().select("interaction_sid", "cause").unique("interaction_sid", keep="first").collect()
        frame = frame.join(first, on="interaction_sid", how="left", maintain_order="left")
    return frame.select("warning_id", "interaction_sid", pl.exclude("warning_id", "interaction_sid"))


def _scope(terms: Terms, channel_types: Sequence[str]) -> str:
    """What the fixes touch, in words: ``all``, or each limit."""
    parts = [f"channel types: {', '.join(channel_types)}"] if channel_types else []
    for kind, reach in terms.reach.items():
        limits = [*reach.handlers, *reach.channel_types]
        parts += [f"{kind}: {', '.join(limits)}"] if limits else []
    return "; ".join(parts) or "all"
