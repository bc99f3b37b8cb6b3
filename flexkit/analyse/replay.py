"""What each fix would have prevented: the recorded evidence replayed under every set of the four fix kinds.

Every recorded attempt is asked again what it would have done with a fix in place, and whether its
warning would still have come. What the evidence does not settle is carried along as an interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay_impute import assess
from flexkit.analyse.replay_pass import KINDS, NEVER, OWNER, members
from flexkit.analyse.replay_readings import Reach
from flexkit.analyse.replay_status import Reason, ReplayStatus, judge, obstacles
from flexkit.analyse.replay_study import DELTA_READ, TTL, Recorded, Study, Terms, recorded, study
from flexkit.analyse.replay_table import ASSUMPTIONS, SCHEMA, table
from flexkit.analyse.replay_tally import adopted, tally
from flexkit.analyse.replay_verify import calibration, predictions
from flexkit.errors import UsageError
from flexkit.terms import FixKind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from flexkit.analyse.replay_readings import Readings
    from flexkit.window import Window

__all__ = [
    "ASSUMPTIONS",
    "DELTA_READ",
    "SCHEMA",
    "TTL",
    "Reach",
    "Reason",
    "Recorded",
    "ReplayStatus",
    "calibration",
    "outcomes",
    "per_handler",
    "predictions",
    "ranking",
    "recorded",
    "replay",
]

_ACTORS = 12
"""Handlers that `per_handler` looks at: those with most attempts in interactions with a warning."""


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
    found = study(_ready(signals, alerts, handlers), terms, window=window, channel_types=channel_types)
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


def per_handler(
    signals: pl.LazyFrame | pl.DataFrame | Recorded,
    alerts: pl.LazyFrame | pl.DataFrame | None = None,
    *,
    handlers: pl.LazyFrame | pl.DataFrame | None = None,
    window: Window | None = None,
    channel_types: Sequence[str] = (),
    owner: str | None = None,
    delta_read: dt.timedelta = DELTA_READ,
    ttl: dt.timedelta = TTL,
    draws: int = 10,
    seed: int = 80906,
) -> pl.DataFrame:
    """Change *this* automation in *this* way: each handler with each fix kind, the most prevented first.

    Rows are only those that prevent something. ``prevented`` (null unless ``status`` is ``point``),
    ``prevented_lo``, ``prevented_hi``, ``bound_lo``, ``bound_hi``, ``imputed`` and
    ``prevented_per_week`` are as in `replay`; ``closed_first`` and ``warned`` count the handler's part in
    the warnings, ``share`` is of all warnings. For `single_terminal_owner` the handler is one that stops
    reacting to terminal events, which ``owner`` keeps.
    """
    terms = Terms(owner=owner, delta_read=delta_read, ttl=ttl)
    found = study(_ready(signals, alerts, handlers), terms, window=window, channel_types=channel_types)
    counted = found.assessed.warnings.filter(pl.Series(found.counted))
    parts = pl.concat(
        [
            counted.group_by(handler="w_handler").agg(warned=pl.len(), closed_first=pl.lit(0, pl.UInt32)),
            counted.group_by(handler="c_handler").agg(warned=pl.lit(0, pl.UInt32), closed_first=pl.len()),
        ]
    )
    actors = (
        parts.drop_nulls("handler")
        .group_by("handler")
        .agg(pl.col("warned", "closed_first").sum().cast(pl.Int64))
        .sort(pl.col("warned") + pl.col("closed_first"), "handler", descending=[True, False])
        .head(_ACTORS)
    )
    obstacle = obstacles(found.readings, has_warnings=bool(found.counted.any()))
    premature = _premature(found)
    affected = found.readings.with_warnings()
    rows = [
        row | {"handler": handler}
        for handler in actors["handler"]
        for row in _changes(found, affected, handler, obstacle, draws=draws, rng=np.random.default_rng(seed))
    ]
    for row in rows:
        if row["fix_kind"] == FixKind.CLOSE_PARTICIPANT:
            row["prevented_premature_closes"] = premature.get(str(row["handler"]), 0)
    return (
        pl.DataFrame(rows, schema=_HANDLER_SCHEMA)
        .join(actors, on="handler", how="left")
        .filter(pl.col("bound_hi") > 0)
        .sort("imputed", "handler", "fix_kind", descending=[True, False, False])
    )


_HANDLER_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "handler": pl.String,
    "fix_kind": pl.String,
    "status": pl.String,
    "prevented": pl.Float64,
    "prevented_lo": pl.Float64,
    "prevented_hi": pl.Float64,
    "bound_lo": pl.Float64,
    "bound_hi": pl.Float64,
    "imputed": pl.Float64,
    "share": pl.Float64,
    "prevented_per_week": pl.Float64,
    "prevented_premature_closes": pl.Int64,
    "owner": pl.String,
}


def _premature(found: Study) -> dict[str, int]:
    """Interactions of the window that each handler closed though only the agent was to be removed."""
    closers = found.assessed.few.closer[:, 0]
    first = found.readings.rows[closers[closers != NEVER]]
    ours = pl.col("at").is_between(found.start_us, found.end_us, closed="left") & pl.col("removal")
    return dict(first.filter(ours).drop_nulls("handler").group_by("handler").len().iter_rows())


def _changes(
    found: Study,
    affected: Readings,
    handler: str,
    obstacle: Mapping[FixKind, Reason],
    *,
    draws: int,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """Each fix kind in one handler alone."""
    is_its = (affected.rows["handler"] == handler).fill_null(value=False).to_numpy()
    narrowed = affected.narrowed(is_its)
    assessed = assess(narrowed, delta_us=found.terms.delta_us, ttl_us=found.terms.ttl_us)
    span = (found.start_us, found.end_us)
    counts = tally(
        assessed, found.counted, adopted({}), span=span, unseen=found.unseen_share, draws=draws, replicates=1, rng=rng
    )
    rows: list[dict[str, object]] = []
    for bit, kind in enumerate(KINDS):
        subset = 1 << bit
        if subset == OWNER and handler == found.readings.owner:
            continue
        told = counts.prevented
        width = float(told.unknown[subset]) / max(counts.warnings, 1)
        status, _ = judge(members(subset), dict(obstacle), frozenset(), width)
        value = float(told.value[subset])
        point = value if status == ReplayStatus.POINT else None
        rows.append(
            {
                "fix_kind": str(kind),
                "status": status.value,
                "prevented": point,
                "prevented_lo": float(told.low[subset]),
                "prevented_hi": float(told.high[subset]),
                "bound_lo": float(told.bound_low[subset]),
                "bound_hi": float(told.bound_high[subset]),
                "imputed": value,
                "share": value / max(counts.warnings, 1),
                "prevented_per_week": None if point is None else point * 7 / max(counts.days, 1 / 24),
                "prevented_premature_closes": 0,
                "owner": found.readings.owner if subset == OWNER else None,
            }
        )
    return rows


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
    found = study(_ready(signals, alerts, handlers), terms, window=window)
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


def _ready(
    signals: pl.LazyFrame | pl.DataFrame | Recorded,
    alerts: pl.LazyFrame | pl.DataFrame | None,
    handlers: pl.LazyFrame | pl.DataFrame | None,
) -> Recorded:
    return signals if isinstance(signals, Recorded) else recorded(signals, alerts, handlers=handlers)


def _scope(terms: Terms, channel_types: Sequence[str]) -> str:
    """What the fixes touch, in words: ``all``, or each limit."""
    parts = [f"channel types: {', '.join(channel_types)}"] if channel_types else []
    for kind, reach in terms.reach.items():
        limits = [*reach.handlers, *reach.channel_types]
        parts += [f"{kind}: {', '.join(limits)}"] if limits else []
    return "; ".join(parts) or "all"
