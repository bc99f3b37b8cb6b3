"""Causes brought up to date: what new evidence may bear on is judged anew, everything else is taken as it was.

What is remembered of an interaction follows from its own signals, from whose parts it shares, from its
warnings, from the clocks of its days, and then from habits, coverage and the configuration. Each of these is
compared with what it was. Without a memory everything is new: there is one way to compute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import clocks, judging, linking, memory
from flexkit.analyse.abreast import both
from flexkit.analyse.affected import Gathered
from flexkit.analyse.coverage import FAR_US
from flexkit.analyse.extracts import IS_WARNING
from flexkit.analyse.facts import listens, settled, surrounded
from flexkit.analyse.habits import added, of_handlers, totals, usual
from flexkit.analyse.memory import Layer, Memory
from flexkit.tables.lookup import LINKS
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flexkit.analyse.affected import Overview
    from flexkit.analyse.nameless import Nameless

_AT_ONCE = 100_000
"""Duplicates that are judged together."""


def judgements(
    seen: Overview, windows: pl.DataFrame | None, before: Memory | None = None, changed: pl.LazyFrame | None = None
) -> Memory:
    """Every duplicate with its cause (``judged``: the columns of the ``causes`` table, and ``ikey``), and ``strays``.

    *windows* are those of the table ``coverage``. *before* is what this function gave for other data under
    the same handler map and configuration; *changed* are all signals that are held now and were not then, or
    the other way round. The result is the same with and without them.
    """
    facts = {"has_alerts": seen.has_alerts, "has_windows": windows is not None}
    if before is None or changed is None or any(before.facts[name] != fact for name, fact in facts.items()):
        before = None
    if before is None or changed is None:
        touched, warned = None, prints(seen.warned)
    else:
        touched, warned = touched_by(changed, seen.nameless, before, "warned", lambda: seen.warned)
    with tempfile.TemporaryDirectory(prefix="flexkit-") as folder:
        fresh = _gathered(seen, seen.keys(touched), Path(folder) / "fresh")
        timed = _with(before, "timed", touched, fresh.timed)
        facts["holds_closings"] = any(map(clocks.holds_closings, (fresh.timed.lazy(), timed)))
        if before is not None and before.facts["holds_closings"] != facts["holds_closings"]:
            return judgements(seen, windows)
        errors, moved = _clocks(before, timed, fresh.timed, touched, has_closings=facts["holds_closings"])
        late = None if moved is None or moved.is_empty() else _gathered(seen, moved, Path(folder) / "late")
        gathered = [some for some in (fresh, late) if some is not None]
        pairs, told = [], []
        for some in gathered:
            for found in some.affected(errors):
                pairs.append(surrounded(found).with_columns(linking.key()))
                told.append(of_handlers(found))
    redone = touched if moved is None or touched is None else pl.concat([touched, moved]).unique()
    found_anew = {
        "timed": [some.timed for some in gathered],
        "keys": [some.keys for some in gathered],
        "days": [some.days for some in gathered],
        "pairs": pairs,
        "told": told,
    }
    changes = {name: pl.concat(frames) for name, frames in found_anew.items()}
    summed = totals(changes["told"])
    if before is not None and redone is not None:
        gone = linking.of_interactions(before.lazy("told"), redone).collect()
        summed = added(before.frame("totals"), summed, totals(gone))
    habits = usual(summed, seen.habits)
    whole = {
        "owners": seen.nameless.owners,
        "executions": seen.nameless.runs,
        "warned": warned,
        "logs": errors.logs,
        "receipts": errors.receipts,
        "totals": summed,
        "habits": habits,
        "strays": judging.stray(seen.strays),
    }
    if windows is not None:
        whole["windows"] = windows.select("source", "start", "end", "state").unique()
    facts["has_controls"] = seen.has_others(_with(before, "keys", redone, changes["keys"]))
    if before is not None and before.facts["has_controls"] != facts["has_controls"]:
        again, to_judge = None, _with(before, "pairs", redone, changes["pairs"]).collect()
    else:
        again, to_judge = _to_judge(whole, changes["pairs"], before, redone)
    listener = listens(seen.configuration)
    made = [
        judging.judged(
            settled(some.drop("pair").with_row_index("pair"), habits, windows, other_listener=listener),
            windows,
            has_controls=facts["has_controls"],
        ).with_columns(linking.key())
        for some in (to_judge.iter_slices(_AT_ONCE) if to_judge.height else [to_judge])
    ]
    layers = {name: [Layer.of(rows)] for name, rows in whole.items()}
    layers |= {name: memory.changed(before, name, redone, rows) for name, rows in changes.items()}
    # Read by interaction: what is sorted nearly is sorted quickly.
    layers["judged"] = memory.changed(before, "judged", again, pl.concat(made).sort("interaction_sid"))
    return Memory(facts, layers)


def touched_by(
    changed: pl.LazyFrame, nameless: Nameless, before: Memory, name: str, now: Callable[[], pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keys of the interactions that are others now than *before*, and the `prints` of what *now* gives.

    *changed* are the signals that came or went. *now* gives what else bears on an interaction; *before* has the
    `prints` of that under this *name*.
    """

    def found() -> tuple[pl.DataFrame, pl.DataFrame]:
        marks = prints(now())
        return unlike(before.frame(name), marks), marks

    named, (others, marks) = both(lambda: _named_by(changed, nameless, before), found)
    return pl.concat([named, others]).unique(), marks


def _named_by(changed: pl.LazyFrame, nameless: Nameless, before: Memory) -> pl.DataFrame:
    named = changed.filter(pl.col("ikey").is_not_null()).select("ikey").unique()
    bare = changed.filter(pl.col("interaction_sid").is_null(), ~IS_WARNING).select("trigger_id", *LINKS)
    found, loose = pl.collect_all([named, bare.unique()], engine="streaming")
    parts = [found]
    ways = (("owners", nameless.owners, list(LINKS)), ("executions", nameless.runs, ["trigger_id"]))
    for name, now, on in ways:
        then = before.frame(name).select(now.columns)
        both = pl.concat([then, now])
        parts += [
            unlike(prints(then), prints(now)),
            both.join(loose.select(on), on=on, how="semi", nulls_equal=True).select("ikey"),
        ]
    return pl.concat(parts)


def _gathered(seen: Overview, keys: pl.DataFrame, folder: Path) -> Gathered:
    folder.mkdir()
    return Gathered.of(seen, keys, folder)


def _with(before: Memory | None, name: str, gone: pl.DataFrame | None, fresh: pl.DataFrame) -> pl.LazyFrame:
    """All rows of a frame that is now as it was *before*, but for the interactions *gone*: *fresh* are theirs."""
    if before is None or gone is None:
        return fresh.lazy()
    return pl.concat([before.but(name, gone).select(fresh.columns), fresh.lazy()])


def prints(rows: pl.DataFrame) -> pl.DataFrame:
    """Each of the *rows* (``ikey``) in a number that differs where anything in it does."""
    lists = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.List)]
    plain = rows.with_columns(pl.col(lists).list.join("\x1f", ignore_nulls=True))
    return rows.select("ikey", print=plain.hash_rows(seed=1).reinterpret(signed=True))


def unlike(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Keys of the rows that have their print (`prints`) in one of two frames only."""
    sides = ((then, now), (now, then))
    return pl.concat(one.join(other.select("print"), on="print", how="anti").select("ikey") for one, other in sides)


def _clocks(
    before: Memory | None, timed: pl.LazyFrame, fresh: pl.DataFrame, touched: pl.DataFrame | None, *, has_closings: bool
) -> tuple[clocks.Errors, pl.DataFrame | None]:
    """The errors of clocks, and the interactions that are not *touched* but on days whose error is another now."""
    if before is None or touched is None:
        return clocks.errors(timed.collect()), None
    then = clocks.Errors(before.frame("logs"), before.frame("receipts"))
    gone = linking.of_interactions(before.lazy("timed"), touched).select(day=clocks.DAY).collect()
    changed = pl.concat([gone, fresh.select(day=clocks.DAY)])["day"].unique().to_list()
    near = timed.filter(clocks.near(changed)).collect()
    errors = clocks.errors(near, then, changed, has_closings=has_closings)
    sides = ((Source.APP_LOG, then.logs, errors.logs), (Source.INTERACTIONS_WEBHOOK, then.receipts, errors.receipts))
    moved = [touched.clear().select("ikey")]
    for source, old, new in sides:
        if len(days := _days_of(old, new)):
            on_those = (pl.col("source") == source) & pl.col("day").is_in(days.implode())
            moved.append(before.but("days", touched).filter(on_those).select("ikey").collect())
    return errors, pl.concat(moved).unique()


def _days_of(then: pl.DataFrame, now: pl.DataFrame) -> pl.Series:
    both = pl.concat([then, now])
    return both.filter(~both.is_duplicated())["day"].unique()


def _to_judge(
    frames: Mapping[str, pl.DataFrame], fresh: pl.DataFrame, before: Memory | None, redone: pl.DataFrame | None
) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """Whose causes are judged anew, and their duplicates: *fresh* ones, and what is judged by other things now."""
    if before is None or redone is None:
        return None, fresh
    tests = _covered_anew(frames, before)
    if len(others := _others(frames["habits"], before.frame("habits"))):
        tests += [pl.col(f"{side}_handler").is_in(others.implode()) for side in ("first", "second")]
    if not tests:
        return redone, fresh
    pairs = before.but("pairs", redone)
    concerned = pairs.filter(pl.any_horizontal(test.fill_null(value=False) for test in tests)).select("ikey").collect()
    old = pairs.join(concerned.lazy(), on="ikey", how="semi").select(fresh.columns).collect()
    return pl.concat([redone, concerned]).unique(), pl.concat([old, fresh])


def _others(now: pl.DataFrame, then: pl.DataFrame) -> pl.Series:
    both = pl.concat([then.select(now.columns), now])
    return both.filter(~both.is_duplicated())["handler"].unique()


def _covered_anew(frames: Mapping[str, pl.DataFrame], before: Memory) -> list[pl.Expr]:
    """Whether a duplicate's time is reached by windows of coverage that came or went, or is not known."""
    if "windows" not in frames:
        return []
    both = pl.concat([before.frame("windows"), frames["windows"]])
    windows = both.filter(~both.is_duplicated()).select(
        start=pl.col("start").dt.timestamp("us") - FAR_US, end=pl.col("end").dt.timestamp("us") + FAR_US
    )
    from_us, to_us = pl.col("from_us"), pl.col("to_us")
    reached = [(to_us >= start) & (from_us <= end) for start, end in _joined(windows.drop_nulls())]
    return [*reached, pl.any_horizontal(from_us.is_null(), to_us.is_null())] if reached else []


def _joined(windows: pl.DataFrame) -> list[tuple[int, int]]:
    """*windows* as few spans: joined where they overlap or touch."""
    ordered = windows.sort("start").with_columns(reached=pl.col("end").cum_max().shift(1))
    is_new = (pl.col("start") > pl.col("reached")).fill_null(value=True)
    spans = ordered.group_by(span=is_new.cum_sum()).agg(pl.col("start").min(), pl.col("end").max())
    return spans.select("start", "end").rows()
