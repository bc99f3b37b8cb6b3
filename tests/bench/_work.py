"""What daily work on a store costs: one more day, ten thousand new rows, one interaction, the tables of the pages."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse import extracts, fast_pass, increments
from flexkit.tables import store_upkeep
from flexkit.tables.keys import signal_keys
from flexkit.tables.schema import SIGNALS
from flexkit.tables.store import Store
from flexkit.tables.store_delta import DeltaFolder
from tests.bench import _signals
from tests.bench._rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ROWS = 10_000
_ROUNDS = 5
_DAYS = 3
_BATCHES = 100
_A_DAY = 11
"""Batches that fall on one day."""


def work(path: Path, *, only_reading: bool = False) -> tuple[list[str], list[Row]]:
    """What the tables of the pages cost in the store at *path*, as lines, and what daily work does.

    The store is left as it was. With *only_reading* nothing is added but days.
    """
    copy = path.with_name(f"{path.name}-work")
    shutil.rmtree(copy, ignore_errors=True)
    # Files of a Delta table are never changed, so links to them are a copy.
    shutil.copytree(path, copy, copy_function=os.link, ignore=shutil.ignore_patterns("cache"))
    try:
        first, kept = _all_results(copy), _all_results(copy)
        lines = ["", "| table | rows | first time | kept |", "|---|---|---|---|"]
        for name in _RESULTS:
            count = _signals.opened(copy).table(name).select(pl.len()).collect().item()
            lines.append(f"| {name} | {count:,} | {_told(first[name])} | {_told(kept[name])} |")
        kept_of, held = (_bytes(copy / name) for name in ("cache", "tables"))
        lines += ["", f"What is kept of results takes {kept_of / 1e6:,.0f} MB, tables {held / 1e6:,.0f} MB."]
        found = [*_more_days(copy, first), *_look_up(copy)]
        if not only_reading:
            found += [*_new_rows(copy), *_reading_after_batches(copy)]
        return lines, found
    finally:
        shutil.rmtree(copy)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _middle(took: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(one[0] for one in took), statistics.median(one[1] for one in took)


def _told(took: tuple[float, float]) -> str:
    return f"{took[0]:.3f} s ({took[1]:.3f} CPU)"


_RESULTS = ("causes", "duplicates", "completions", "daily")
"""What the one pass gives."""


def _all_results(path: Path) -> dict[str, tuple[float, float]]:
    """What each result takes to be read whole, in a store that is opened anew."""
    return {
        name: _timed(lambda name=name: _signals.opened(path).table(name).collect())  # type: ignore[misc]
        for name in _RESULTS
    }


def _more_days(path: Path, full: dict[str, tuple[float, float]]) -> list[Row]:
    """One day after the other, each held against the full computation, which took *full*."""
    whole = sum(took for took, _ in full.values())
    days = sorted((_one_more_day(path) for _ in range(_DAYS)), key=lambda day: day[0])
    shares = [took / whole for took, *_ in days]
    _, after, _ = days[_DAYS // 2]
    each = ", ".join(f"{name} {_told(after[name])} of {_told(full[name])}" for name in _RESULTS)
    equal = all(equal for *_, equal in days)
    beside = f"{_DAYS} days {', '.join(f'{share:.1%}' for share in shares)}; {each}; counts equal: {equal}"
    return [Row("one more day", "of the full computation", statistics.median(shares), 0.05, beside)]


def _one_more_day(path: Path) -> tuple[float, dict[str, tuple[float, float]], bool]:
    """A day is added: the seconds that all results then take, each result's, and whether they are right."""
    store = _signals.opened(path)
    per_day = store.table("signals").group_by("day").len().sort("day").collect()
    # Of the days after the last whole one only ends of long interactions are held.
    day, rows = per_day.filter(pl.col("len") > pl.col("len").max() / 2).tail(1).row(0)
    number = (day - _signals.FIRST_DAY).days + 1
    more = _signals.signals_of(round(rows / sum(step.share for step in _signals.STEPS)), number, seed=1)
    # Some of the new day's signals belong to interactions of the days before.
    old = store.table("signals").filter(pl.col("day") == day, pl.col("kind") == "task_completed").head(50).collect()
    ids = _signals.sids(np.random.default_rng([7, number]), "SG", old.height)
    late = old.with_columns(signal_id=ids, occurred_at=pl.col("occurred_at").dt.offset_by("1d"))
    late = SIGNALS.conform(late.lazy().with_columns(signal_keys())).collect()
    _signals.write(DeltaFolder(str(path / "tables" / "signals"), SIGNALS), pl.concat([more, late]))
    after = _all_results(path)
    found = increments.counts(store.days("signals"), store.parts(extracts.__name__))
    equal = found.rows() == fast_pass.answer(store.table("signals")).rows()
    return sum(took for took, _ in after.values()), after, equal


def _batch(seed: int, day: int = 3) -> pl.DataFrame:
    return _signals.signals_of(_ROWS // 8, day, seed=seed).head(_ROWS)


def _new_rows(path: Path) -> list[Row]:
    """Batches of ten thousand rows into the store, beside files of the same rows, looking for copies or not."""
    new = _Batches(path, [_batch(100 + number) for number in range(_ROUNDS)])
    # The prototype's case. What is held is read whole and compared, which the yardstick does not do.
    halves = [
        pl.concat([_batch(100 + number).head(_ROWS // 2), _batch(200 + number).head(_ROWS // 2)])
        for number in range(_ROUNDS)
    ]
    half = _Batches(path, halves)
    beside = f"; where half of the rows are held already and compared {_told(half.added)}, {_told(half.careful)}"
    name = "10,000 new rows into the store"
    return [
        new.row(name, "× Parquet files of the same rows, without a look for copies", new.plain),
        new.row(name, "× Parquet files of the same rows, with a look for copies", new.careful, beside),
    ]


class _Batches:
    """What it took to add batches to the store at *path*, and to write files of them aside, by turns."""

    def __init__(self, path: Path, batches: list[pl.DataFrame]) -> None:
        self._aside = path / f"plain-{uuid.uuid4()}"
        self._aside.mkdir()
        self._signals = path / "tables" / "signals"
        store = Store(path)
        plain, careful, added = [], [], []
        self._count = 0
        for batch in batches:
            plain.append(_timed(lambda batch=batch: self._append(batch)))  # type: ignore[misc]
            careful.append(_timed(lambda batch=batch: self._append_new(batch)))  # type: ignore[misc]
            added.append(_timed(lambda batch=batch: store.add({"signals": batch})))  # type: ignore[misc]
        self.first, self.added = added[0], _middle(added)
        self.plain, self.careful = _middle(plain), _middle(careful)

    def row(self, work: str, unit: str, yardstick: tuple[float, float], more: str = "") -> Row:
        beside = f"{_told(self.added)}, {_told(yardstick)}; the first batch of a process {_told(self.first)}{more}"
        return Row(work, unit, self.added[0] / yardstick[0], 2, beside)

    def _append(self, batch: pl.DataFrame) -> None:
        for key, some in batch.partition_by("day", as_dict=True).items():
            self._count += 1
            some.write_parquet(self._aside / f"{key[0]}-{self._count}.parquet")

    def _append_new(self, batch: pl.DataFrame) -> None:
        folders = [self._signals / f"day={day}" for day in batch["day"].unique()]
        files = [file for folder in folders for file in folder.glob("*.parquet")]
        held = pl.scan_parquet(files).select("signal_id").join(batch.lazy(), on="signal_id", how="semi").collect()
        self._append(batch.join(held, on="signal_id", how="anti"))


def _reading_after_batches(path: Path) -> list[Row]:
    """The pass after a hundred batches, compacted as commands do it, and after all is compacted."""
    store = Store(path)
    working = [
        _timed(
            lambda number=number: (
                store.add({"signals": _batch(1000 + number, number // _A_DAY)}),
                store.compact(["signals"]),
            )
        )  # type: ignore[misc]
        for number in range(_BATCHES)
    ]
    files = len(store.files("signals"))
    folder = DeltaFolder(str(path / "tables" / "signals"), SIGNALS)

    def read() -> object:
        return fast_pass.answer(store.table("signals"))

    read()
    after = _middle([_timed(read) for _ in range(_ROUNDS)])
    store_upkeep.compact(folder, at_least=2)
    read()
    compacted = _middle([_timed(read) for _ in range(_ROUNDS)])
    beside = f"{_told(after)} of {files} files, {_told(compacted)}; a batch with its upkeep {_told(_middle(working))}"
    return [Row(f"reading after {_BATCHES} batches", "× a compacted store", after[0] / compacted[0], 1.25, beside)]


_FIRST_LOOK = """
import contextlib, io, json, resource, sys, time
from pathlib import Path
import rich.console
from flexkit.present.timeline import show
from tests.bench import _signals
before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    show(_signals.opened(Path(sys.argv[1])), sys.argv[2])
seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime]))
"""
"""One look-up, the first of its process: the store is opened, nothing but modules is there before."""
_LOOKED_UP = 3


def _look_up(path: Path) -> list[Row]:
    from flexkit.present.timeline import show

    store = _signals.opened(path)
    signals, causes = store.table("signals"), store.table("causes").select("interaction_sid")
    newest = signals.select(pl.col("interaction_sid").drop_nulls().first()).collect()["interaction_sid"]
    # Of those that were completed twice there is more to tell, and from the middle there are days on both sides.
    twice = causes.unique(maintain_order=True).collect()["interaction_sid"]
    named = [*newest, *twice.gather_every(max(1, len(twice) // _LOOKED_UP), offset=len(twice) // 7).head(_LOOKED_UP)]
    with contextlib.redirect_stdout(io.StringIO()):
        times = [_timed(lambda sid=sid: show(store, sid)) for sid in named for _ in range(3)]  # type: ignore[misc]
    firsts = [
        json.loads(subprocess.check_output([sys.executable, "-c", _FIRST_LOOK, str(path), sid], text=True))
        for sid in named
    ]
    middle, first = _middle(times), _middle(firsts)
    told = f"{_told(middle)}; slowest of {len(times)}: {max(one[0] for one in times):.3f} s"
    return [
        Row("flexkit show", "seconds after start-up", middle[0], 1, told),
        Row("flexkit show, first of a process", "seconds after start-up", first[0], 1, _told(first)),
    ]
