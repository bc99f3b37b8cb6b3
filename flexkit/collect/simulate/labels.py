"""The truth beside the evidence, in files that no analysis reads: labels, counts, fixes and handlers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.collect.simulate.attempts import CAUSES
from flexkit.collect.simulate.centre import Role
from flexkit.collect.simulate.fixes import FOUR, fixes_toml
from flexkit.collect.simulate.observe import Scene, Stream, scoped
from flexkit.collect.simulate.observe_handlers import attempt_sids
from flexkit.collect.simulate.server import Fate
from flexkit.collect.simulate.sids import pick
from flexkit.collect.simulate.world import warnings
from flexkit.terms import Cause

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from flexkit.collect.simulate.evidence import Evidence
    from flexkit.collect.simulate.world import World

    _Times = NDArray[np.int64]

_INSTANT = pl.Datetime("us", "UTC")


def labels(seen: Scene) -> pl.DataFrame:
    """One row for each warned trigger of an interaction, each benign look-alike, and each Proxy alert's kind.

    Columns: interaction_sid, kind (``duplicate`` or ``benign``), cause, also (other causes at work, ``|``),
    benign (kinds, ``|``), first_handler, first_closed_at, second_handler, second_at, second_trigger,
    warning_count, alert_sids (``|``), gap_seconds.
    """
    return pl.concat([_duplicates(seen), _benign(seen)], how="diagonal").sort(
        "first_closed_at", "interaction_sid", "second_at", nulls_last=True
    )


def _first(seen: Scene, i: pl.Series) -> pl.DataFrame:
    world, ids = seen.world, seen.identity
    who = i.to_numpy()
    closer = world.resolution.closer[who]
    is_closed = closer >= 0
    names = pl.Series([world.centre.names[role] for role in Role])
    at = pl.Series(np.where(is_closed, world.resolution.closed_at[who], 0))
    role = np.where(is_closed, world.attempts.role[closer], -1)
    return pl.DataFrame(
        {
            "interaction_sid": pick(ids.interaction, who),
            "first_handler": pick(names, role),
            "first_closed_at": pl.select(pl.when(pl.Series(is_closed)).then(at)).to_series().cast(_INSTANT),
        }
    )


def _duplicates(seen: Scene) -> pl.DataFrame:
    world = seen.world
    attempts = world.attempts
    which = np.flatnonzero(world.resolution.warned)
    names = pl.Series([world.centre.names[role] for role in Role])
    rows = pl.DataFrame(
        {
            "i": attempts.interaction[which],
            "trigger": attempts.trigger[which],
            "served": attempts.served[which],
            "cause": attempts.cause[which].astype(np.int64),
            "second_handler": pick(names, attempts.role[which]),
            "second_trigger": pick(seen.identity.trigger, which),
            "alert_sid": attempt_sids(seen, which),
        }
    ).sort("i", "served")
    word = pl.Series([str(cause) for cause in CAUSES])
    triggered = rows.group_by("i", "trigger", maintain_order=True).agg(
        cause=pl.col("cause").first(),
        causes=pl.col("cause").unique(),
        second_handler=pl.col("second_handler").first(),
        second_trigger=pl.col("second_trigger").first(),
        second_at=pl.col("served").first().cast(_INSTANT),
        warning_count=pl.len(),
        alert_sids=pl.col("alert_sid").str.join("|"),
    )
    at_work = triggered.group_by("i").agg(all_causes=pl.col("causes").explode().unique().sort())
    triggered = triggered.join(at_work, on="i", how="left", maintain_order="left")
    also = [
        "|".join(word[code] for code in codes if code not in (own, -1))
        for own, codes in zip(triggered["cause"].to_list(), triggered["all_causes"].to_list(), strict=True)
    ]
    named = triggered.with_columns(
        kind=pl.lit("duplicate"),
        cause=pick(word, triggered["cause"].to_numpy()),
        also=pl.Series(also, dtype=pl.String),
    ).hstack(_first(seen, triggered["i"]))
    gap = (pl.col("second_at") - pl.col("first_closed_at")).dt.total_microseconds() / 1e6
    return named.with_columns(gap_seconds=gap).drop("i", "trigger", "causes", "all_causes")


def _benign(seen: Scene) -> pl.DataFrame:
    """Interactions without a warning that look as if they might have had one."""
    world = seen.world
    warned = np.zeros(len(world.interactions), dtype=np.bool_)
    warned[world.attempts.interaction[world.resolution.warned]] = True
    fate = world.resolution.fate

    def having(*fates: Fate) -> NDArray[np.bool_]:
        marked = np.zeros(len(warned), dtype=np.bool_)
        marked[world.attempts.interaction[np.isin(fate, fates)]] = True
        return marked

    kinds = {
        "handled_retry": having(Fate.SEEN_BEFORE),
        "guarded": having(Fate.SAW_CLOSED),
        "refused_retry": having(Fate.REFUSED),
        "race": having(Fate.SILENT),
        "park": world.plan.parked,
        "transfer": world.interactions.transferred,
        "reopened": world.interactions.returns_to >= 0,
        "two_subscriptions": scoped(world),
    }
    plain = ~warned & (world.resolution.closer >= 0)
    told = pl.DataFrame({name: marked & plain for name, marked in kinds.items()})
    spoken = told.select(
        benign=pl.concat_str([pl.when(name).then(pl.lit(name)) for name in kinds], separator="|", ignore_nulls=True)
    ).to_series()
    chosen = pl.Series(np.flatnonzero(np.logical_or.reduce([marked & plain for marked in kinds.values()])))
    return _first(seen, chosen).with_columns(kind=pl.lit("benign"), benign=spoken.gather(chosen))


def proxy_labels(alerts: pl.DataFrame) -> pl.DataFrame:
    """One row for each alert that is about a Proxy interaction."""
    found = alerts.filter((pl.col("code") == "80906") & (pl.col("i") < 0)).unique("alert_sid", maintain_order=True)
    return found.select(
        pl.col("at_us").cast(_INSTANT).alias("second_at"),
        pl.lit("proxy").alias("kind"),
        pl.lit(str(Cause.PROXY_ORIGIN)).alias("cause"),
        pl.col("alert_sid").alias("alert_sids"),
        pl.lit(1, pl.UInt32).alias("warning_count"),
    )


LABEL_COLUMNS = (
    "interaction_sid", "kind", "cause", "also", "benign", "first_handler", "first_closed_at", "second_handler",
    "second_at", "second_trigger", "gap_seconds", "warning_count", "alert_sids",
)  # fmt: skip


def write_labels(evidence: Evidence, path: Path) -> pl.DataFrame:
    """Write ``labels.csv`` and give its rows."""
    rows = pl.concat(
        [labels(evidence.seen), proxy_labels(evidence.frames[Stream.ALERTS])], how="diagonal_relaxed"
    ).select(LABEL_COLUMNS)
    rows.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    return rows


def counts(evidence: Evidence) -> dict[str, object]:
    """What truly happened, in numbers: over the window, by local day, and under each fix."""
    world = evidence.seen.world
    now = warnings(world)
    attempts = world.attempts
    dates = [date.isoformat() for date in world.calendar.days]
    completed = _completed_at(evidence.seen)
    first_warned = _first_warning(world)
    heard = evidence.frames[Stream.ALERTS].filter((pl.col("code") == "80906") & (pl.col("i") >= 0))
    return {
        "seed": world.seed,
        "scenario": world.name,
        "zone": world.centre.zone,
        "start": _iso(world.start),
        "end": _iso(world.end),
        "interactions": len(world.interactions),
        "completed": len(completed),
        "left_open": len(completed) - now.completed,
        "warned_interactions": now.interactions,
        "duplicates": now.duplicates,
        "warnings": now.warnings,
        "premature_closes": now.premature_closes,
        "heard_warnings": heard["alert_sid"].n_unique(),
        "heard_interactions": heard["i"].n_unique(),
        "heard_named_interactions": heard.filter(pl.col("resource_sid").is_not_null())["i"].n_unique(),
        "closed_on": world.calendar.closed_on.isoformat() if world.calendar.closed_on else None,
        "causes": {str(cause): int((attempts.cause[now.warned] == code).sum()) for code, cause in enumerate(CAUSES)},
        "days": [
            {"on": on, "completed": done, "warned_interactions": hit}
            for on, done, hit in zip(dates, _daily(world, completed), _daily(world, first_warned), strict=True)
        ],
        "fixes": [
            {
                "id": each.deployment.fix_id,
                "kind": str(each.deployment.kind),
                "deployed_at": _iso(each.at_us),
                **_effect(world, completed, each.at_us),
            }
            for each in world.deployed
        ],
        "prevented_by": {str(kind): now.warnings - warnings(world, frozenset({kind})).warnings for kind in FOUR},
    }


def _completed_at(seen: Scene) -> _Times:
    """When each was completed: its channel closed, or its last task ended while the channel stays open."""
    resolution, tasks = seen.world.resolution, seen.tasks
    last = np.zeros(len(resolution.closer), dtype=np.int64)
    last[tasks.interaction] = np.arange(len(tasks))
    ended = np.maximum(tasks.completed, tasks.canceled)[last]
    at = np.where(resolution.closer >= 0, resolution.closed_at, ended)
    return at[at >= 0]


def _first_warning(world: World) -> _Times:
    warned = np.flatnonzero(world.resolution.warned)
    _, first = np.unique(world.attempts.interaction[warned], return_index=True)
    return world.attempts.served[warned[first]]


def _daily(world: World, at: _Times) -> list[int]:
    hour = (at - world.start) // 3_600_000_000
    day = world.calendar.local_day[np.clip(hour, 0, len(world.calendar.local_day) - 1)]
    return [int(count) for count in np.bincount(day, minlength=len(world.calendar.days))]


def _effect(world: World, closed: _Times, at_us: int) -> dict[str, float | int | None]:
    """Share of completed interactions that were warned, before and after *at_us* (neighbouring fixes as they are)."""
    edges = sorted(each.at_us for each in world.deployed)
    start = max([edge for edge in edges if edge < at_us], default=world.start)
    end = min([edge for edge in edges if edge > at_us], default=world.end)
    first = _first_warning(world)
    before = int(((first >= start) & (first < at_us)).sum()), int(((closed >= start) & (closed < at_us)).sum())
    after = int(((first >= at_us) & (first < end)).sum()), int(((closed >= at_us) & (closed < end)).sum())
    ratio = (after[0] / after[1]) / (before[0] / before[1]) if before[0] and after[1] else None
    return {
        "warned_before": before[0], "completed_before": before[1],
        "warned_after": after[0], "completed_after": after[1], "rate_ratio": ratio,
    }  # fmt: skip


def _iso(at_us: int) -> str:
    return f"{np.datetime64(at_us, 'us').astype('datetime64[s]')}Z"


def write_truth(evidence: Evidence, path: Path) -> None:
    """Write ``truth.json``."""
    path.write_text(json.dumps(counts(evidence), indent=1) + "\n", encoding="utf-8")


def write_fixes(world: World, path: Path) -> None:
    """Write ``fixes.toml``."""
    path.write_text(fixes_toml(world.deployed, world.centre.names), encoding="utf-8")
