"""What daily work on a store costs: one more day, ten thousand new rows, one interaction, the tables of the pages."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse import heavy_pass, increments
from flexkit.tables.schema import SIGNALS, signal_keys
from flexkit.tables.store import Store
from flexkit.tables.store_delta import DeltaFolder
from tests.bench import _signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ROWS = 10_000
_ROUNDS = 5


def table(path: Path) -> str:
    """The table, as Markdown; the store at *path* is left as it was."""
    lines = ["", "| work | seconds | CPU seconds | beside |", "|---|---|---|---|"]
    copy = path.with_name(f"{path.name}-work")
    shutil.rmtree(copy, ignore_errors=True)
    # Files of a Delta table are never changed, so links to them are a copy.
    shutil.copytree(path, copy, copy_function=os.link, ignore=shutil.ignore_patterns("cache"))
    try:
        lines += _one_more_day(copy)
        lines += _new_rows(copy)
        lines += _look_up(copy)
        lines += _tables(copy)
    finally:
        shutil.rmtree(copy)
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return "\n".join([*lines, "", f"Load at the end {loads}."])


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _line(name: str, took: tuple[float, float], beside: str = "") -> str:
    return f"| {name} | {took[0]:.3f} | {took[1]:.3f} | {beside} |"


def _counts(store: Store) -> pl.DataFrame:
    return increments.counts(store.days("signals"), store.parts(increments.__name__))


def _one_more_day(path: Path) -> list[str]:
    store = Store(path)
    whole = _timed(lambda: heavy_pass.answer(store.table("signals")).collect(engine="streaming"))
    first = _timed(lambda: _counts(store))
    newest = store.table("signals").select(pl.col("day").max(), pl.len()).collect()
    day, rows = newest.row(0)
    number = (day - _signals.FIRST_DAY).days + 1
    per_day = round(rows / (number - 1) / sum(step.share for step in _signals.STEPS)) if number > 1 else rows
    more = _signals.signals_of(per_day, number, seed=1)
    # Some of the new day's signals belong to interactions of the days before.
    old = store.table("signals").filter(pl.col("day") == day, pl.col("kind") == "task_completed").head(50).collect()
    late = old.with_columns(
        signal_id=_signals.sids(_generator(), "SG", old.height), occurred_at=pl.col("occurred_at").dt.offset_by("1d")
    )
    late = SIGNALS.conform(late.lazy().with_columns(signal_keys())).collect()
    _signals.write(DeltaFolder(str(path / "tables" / "signals"), SIGNALS), pl.concat([more, late]))
    added = _timed(lambda: _counts(store))
    equal = _counts(store).rows() == heavy_pass.answer(store.table("signals")).collect(engine="streaming").rows()
    return [
        _line("all days at once", whole),
        _line("all days, each kept", first),
        _line("one more day", added, f"{added[0] / whole[0]:.1%} of all days at once; equal: {equal}"),
    ]


def _generator() -> np.random.Generator:
    return np.random.default_rng(7)


def _new_rows(path: Path) -> list[str]:
    """Batches of ten thousand rows, and reading after a hundred of them beside reading what is compacted."""
    store = Store(path)
    plain, added = [], []
    aside = path / "plain"
    aside.mkdir()
    for number in range(_ROUNDS):
        batch = _signals.signals_of(_ROWS // 8, 3, seed=100 + number).head(_ROWS)

        def append(batch: pl.DataFrame = batch, number: int = number) -> None:
            for key, rows in batch.partition_by("day", as_dict=True).items():
                rows.write_parquet(aside / f"{key[0]}-{number}.parquet")

        plain.append(_timed(append))
        added.append(_timed(lambda batch=batch: store.add({"signals": batch})))  # type: ignore[misc]
    middle = [tuple(statistics.median(column) for column in zip(*took, strict=True)) for took in (plain, added)]
    ratio = middle[1][0] / middle[0][0]
    return [
        _line("a plain Parquet append of 10,000 rows", middle[0]),  # type: ignore[arg-type]
        _line("10,000 new rows into the store", middle[1], f"{ratio:.1f} × the plain append"),  # type: ignore[arg-type]
    ]


def _look_up(path: Path) -> list[str]:
    store = Store(path)
    named = store.table("signals").select(pl.col("interaction_sid").drop_nulls().first()).collect().item()
    times = [_timed(lambda: store.around(named).collect()) for _ in range(3)]
    return [_line("the signals around one interaction", sorted(times)[1])]


def _tables(path: Path) -> list[str]:
    store = _signals.opened(path)
    lines = []
    for name in ("completions", "duplicates", "causes"):
        made = _timed(lambda name=name: store.table(name).collect())  # type: ignore[misc]
        again = _timed(lambda name=name: store.table(name).collect())  # type: ignore[misc]
        lines += [_line(f"table '{name}', first time", made), _line(f"table '{name}', kept", again)]
    return lines
