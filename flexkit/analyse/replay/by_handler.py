"""Which automation to change in which way: every handler replayed with each fix in it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay.impute import assess
from flexkit.analyse.replay.rerun import KINDS, NEVER, OWNER, members
from flexkit.analyse.replay.status import Reason, ReplayStatus, judge, obstacles
from flexkit.analyse.replay.study import DELTA_READ, TTL, Recorded, Study, Terms, ready, study
from flexkit.analyse.replay.tally import adopted, tally
from flexkit.terms import FixKind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from flexkit.analyse.replay.readings import Readings
    from flexkit.window import Window

_ACTORS = 12
"""Handlers that `per_handler` looks at: those with most attempts in interactions with a warning."""


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

    Rows are only those that prevent a warning or a close too early. ``prevented`` (null unless ``status``
    is ``point``), ``prevented_lo``, ``prevented_hi``, ``bound_lo``, ``bound_hi``, ``imputed`` and
    ``prevented_per_week`` are as in `replay`; ``closed_first`` and ``warned`` count the handler's part in
    the warnings, ``share`` is of all warnings. For `single_terminal_owner` the handler is one that stops
    reacting to terminal events, which ``owner`` keeps.
    """
    terms = Terms(owner=owner, delta_read=delta_read, ttl=ttl)
    found = study(ready(signals, alerts, handlers), terms, window=window, channel_types=channel_types)
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
    # Who closes too early may cause no warning any more, and still cuts customers off.
    premature = _premature(found)
    unwarned = pl.DataFrame({"handler": sorted(premature.keys() - set(actors["handler"]))}, {"handler": pl.String})
    actors = pl.concat([actors, unwarned], how="diagonal").fill_null(0)
    obstacle = obstacles(found.readings, has_warnings=bool(found.counted.any()))
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
        .filter((pl.col("bound_hi") > 0) | (pl.col("prevented_premature_closes") > 0))
        .sort("imputed", "prevented_premature_closes", "handler", "fix_kind", descending=[True, True, False, False])
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
