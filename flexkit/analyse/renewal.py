"""Causes brought up to date: what new evidence may bear on is judged anew, everything else is taken as it was.

What is remembered of an interaction follows from its own signals, from whose parts it shares, from its
warnings, from the clocks of its days, and then from habits, coverage and the configuration. Each of these is
compared with what it was. Without a memory everything is new: there is one way to compute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.analyse import clocks, judging, linking
from flexkit.analyse.affected import Gathered
from flexkit.analyse.coverage import FAR_US
from flexkit.analyse.extracts import IS_WARNING
from flexkit.analyse.facts import listens, settled, surrounded
from flexkit.analyse.habits import of_handlers, usual
from flexkit.analyse.memory import Memory
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.analyse.affected import Overview
    from flexkit.analyse.nameless import Nameless

_AT_ONCE = 100_000
"""Duplicates that are judged together."""


def judgements(
    seen: Overview, windows: pl.DataFrame | None, before: Memory | None = None, changed: pl.LazyFrame | None = None
) -> Memory:
    """Every duplicate with its cause (``judged``: the columns of the ``causes`` table, and ``ikey``).

    *windows* are those of the table ``coverage``. *before* is what this function gave for other data under
    the same handler map and configuration; *changed* are all signals that are held now and were not then, or
    the other way round. The result is the same with and without them.
    """
    facts = {"has_alerts": seen.has_alerts, "has_windows": windows is not None}
    if before is None or changed is None or any(before.facts[name] != fact for name, fact in facts.items()):
        before = None
    warned = _prints(seen.warned)
    touched = None
    if before is not None and changed is not None:
        touched = pl.concat([touched_by(changed, seen.nameless, before), differing(before.frame("warned"), warned)])
        touched = touched.unique()
    with tempfile.TemporaryDirectory(prefix="flexkit-") as folder:
        fresh = _gathered(seen, seen.keys(touched), Path(folder) / "fresh")
        timed = _with(before, "timed", touched, fresh.timed)
        facts["holds_closings"] = clocks.holds_closings(timed)
        if before is not None and before.facts["holds_closings"] != facts["holds_closings"]:
            return judgements(seen, windows)
        errors, moved = _clocks(before, timed, fresh.timed, touched)
        late = None if moved is None or moved.is_empty() else _gathered(seen, moved, Path(folder) / "late")
        pairs, told, days = [], [], []
        for gathered in (fresh, late):
            for found in () if gathered is None else gathered.affected(errors):
                pairs.append(surrounded(found).with_columns(linking.key()))
                told.append(of_handlers(found))
            days += [] if gathered is None else [gathered.days]
    redone = touched if moved is None or touched is None else pl.concat([touched, moved]).unique()
    frames = {
        "owners": seen.nameless.owners,
        "executions": seen.nameless.runs,
        "warned": warned,
        "timed": timed,
        "logs": errors.logs,
        "receipts": errors.receipts,
        "keys": _with(before, "keys", touched, fresh.keys),
        "days": _with(before, "days", redone, pl.concat(days)),
        "pairs": _with(before, "pairs", redone, pl.concat(pairs)),
        "told": _with(before, "told", redone, pl.concat(told)),
    }
    frames["habits"] = usual(frames["told"], seen.habits)
    if windows is not None:
        frames["windows"] = windows.select("source", "start", "end", "state").unique()
    facts["has_controls"] = seen.has_others(frames["keys"])
    kept, anew = _to_judge(frames, facts, before, redone)
    listener = listens(seen.configuration)
    made = [
        judging.judged(
            settled(some.drop("pair").with_row_index("pair"), frames["habits"], windows, other_listener=listener),
            windows,
            has_controls=facts["has_controls"],
        ).with_columns(linking.key())
        for some in (anew.iter_slices(_AT_ONCE) if anew.height else [anew])
    ]
    frames["judged"] = pl.concat([*kept, *made])
    return Memory(facts, {name: frame.lazy() for name, frame in frames.items()})


def touched_by(changed: pl.LazyFrame, nameless: Nameless, before: Memory) -> pl.DataFrame:
    """Keys of the interactions whose signals are others now than *before*: *changed* are those that came or went."""
    named = changed.filter(pl.col("ikey").is_not_null()).select("ikey").unique()
    bare = changed.filter(pl.col("interaction_sid").is_null(), ~IS_WARNING).select("trigger_id", *linking.LINKS)
    found, loose = pl.collect_all([named, bare.unique()], engine="streaming")
    parts = [found]
    ways = (("owners", nameless.owners, list(linking.LINKS)), ("executions", nameless.runs, ["trigger_id"]))
    for name, now, on in ways:
        then = before.frame(name)
        both = pl.concat([then.select(now.columns), now])
        parts += [differing(then, now), both.join(loose.select(on), on=on, how="semi", nulls_equal=True).select("ikey")]
    return pl.concat(parts).unique()


def _gathered(seen: Overview, keys: pl.DataFrame, folder: Path) -> Gathered:
    folder.mkdir()
    return Gathered.of(seen, keys, folder)


def _with(before: Memory | None, name: str, gone: pl.DataFrame | None, fresh: pl.DataFrame) -> pl.DataFrame:
    return (
        fresh
        if before is None or gone is None
        else pl.concat([before.but(name, gone).select(fresh.columns).collect(), fresh])
    )


def _prints(rows: pl.DataFrame) -> pl.DataFrame:
    """Each of the *rows* in a number that differs where anything in it does."""
    lists = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.List)]
    plain = rows.with_columns(pl.col(lists).list.join("\x1f", ignore_nulls=True))
    return rows.select("ikey", print=plain.hash_rows(seed=1).reinterpret(signed=True))


def differing(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Keys of the rows that are in one of two frames only."""
    then = then.select(now.columns)
    only = (one.join(other, on=now.columns, how="anti", nulls_equal=True) for one, other in ((then, now), (now, then)))
    return pl.concat(rows.select("ikey") for rows in only)


def _clocks(
    before: Memory | None, timed: pl.DataFrame, fresh: pl.DataFrame, touched: pl.DataFrame | None
) -> tuple[clocks.Errors, pl.DataFrame | None]:
    """The errors of clocks, and the interactions that are not *touched* but on days whose error is another now."""
    if before is None or touched is None:
        return clocks.errors(timed), None
    then = clocks.Errors(before.frame("logs"), before.frame("receipts"))
    gone = before.frames["timed"].join(touched.lazy(), on="ikey", how="semi").collect()
    changed = pl.concat([gone.select(fresh.columns), fresh]).select(clocks.DAY).to_series().unique().to_list()
    errors = clocks.errors(timed, then, changed)
    sides = ((Source.APP_LOG, then.logs, errors.logs), (Source.INTERACTIONS_WEBHOOK, then.receipts, errors.receipts))
    others = before.but("days", touched).collect()
    moved = []
    for source, old, new in sides:
        days = _days_of(old, new)
        moved.append(others.filter(pl.col("source") == source, pl.col("day").is_in(days.implode())).select("ikey"))
    return errors, pl.concat(moved).unique()


def _days_of(then: pl.DataFrame, now: pl.DataFrame) -> pl.Series:
    both = pl.concat([then, now])
    return both.filter(~both.is_duplicated())["day"].unique()


def _to_judge(
    frames: Mapping[str, pl.DataFrame], facts: Mapping[str, Any], before: Memory | None, redone: pl.DataFrame | None
) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """What was judged before and stays, and the duplicates to judge: what they are judged by is another now."""
    pairs = frames["pairs"]
    if before is None or redone is None or before.facts["has_controls"] != facts["has_controls"]:
        return [], pairs
    others = _others(frames["habits"], before.frame("habits"))
    by_others = pl.any_horizontal(pl.col(f"{side}_handler").is_in(others.implode()) for side in ("first", "second"))
    concerned = pairs.filter(by_others.fill_null(value=False) | _covered_anew(frames, before)).select("ikey")
    anew = pl.concat([redone, concerned]).unique()
    return [before.but("judged", anew).collect()], pairs.join(anew, on="ikey", how="semi", maintain_order="left")


def _others(now: pl.DataFrame, then: pl.DataFrame) -> pl.Series:
    both = pl.concat([then.select(now.columns), now])
    return both.filter(~both.is_duplicated())["handler"].unique()


def _covered_anew(frames: Mapping[str, pl.DataFrame], before: Memory) -> pl.Expr:
    """Whether a window of coverage that came or went reaches a duplicate's time."""
    if "windows" not in frames:
        return pl.lit(value=False)
    both = pl.concat([before.frame("windows"), frames["windows"]])
    windows = both.filter(~both.is_duplicated()).select(
        start=pl.col("start").dt.timestamp("us") - FAR_US, end=pl.col("end").dt.timestamp("us") + FAR_US
    )
    reached = [(pl.col("to_us") >= start) & (pl.col("from_us") <= end) for start, end in _joined(windows.drop_nulls())]
    return pl.any_horizontal(*reached, pl.lit(value=False)).fill_null(value=True)


def _joined(windows: pl.DataFrame) -> list[tuple[int, int]]:
    """*windows* as few spans: joined where they overlap or touch."""
    ordered = windows.sort("start").with_columns(reached=pl.col("end").cum_max().shift(1))
    is_new = (pl.col("start") > pl.col("reached")).fill_null(value=True)
    spans = ordered.group_by(span=is_new.cum_sum()).agg(pl.col("start").min(), pl.col("end").max())
    return spans.select("start", "end").rows()
