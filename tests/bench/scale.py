"""How long the pass over all signals takes, beside DuckDB, pandas and Spark, and what the store's work costs."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench._rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"k": 1_000, "m": 1_000_000}
_DEFAULT = ("scan", "flexkit", "flexkit portable", "native polars", "duckdb keys", "duckdb strings", "pandas")
_SPARK = ("flexkit on spark", "spark sql")
_FEW = 10_000
_WANTED_FROM = 10_000_000
_LARGE = 50_000_000
_GB = 1000
_UNWANTED = ("altair", "nbconvert", "papermill", "scipy", "statsmodels", "pyspark", "polars")
"""What importing flexkit must not load."""


def main(argv: Sequence[str]) -> int:
    """Print the tables; 1 where two engines disagree."""
    arguments = _parser().parse_args(argv)
    if arguments.one:
        print(json.dumps(_one(arguments.one, Path(arguments.folder))))
        return 0
    if arguments.build:
        from tests.bench import _signals

        print(_signals.build(Path(arguments.folder), _count(arguments.signals), seed=arguments.seed))
        return 0
    if arguments.daily:
        from tests.bench import _work

        only_reading = _count(arguments.signals) >= _LARGE
        lines, rows = _work.work(Path(arguments.folder), only_reading=only_reading)
        lines += ["", f"Peak memory {_peak_mb(0):.0f} MB."]
        print(json.dumps({"lines": lines, "rows": [asdict(row) for row in rows]}))
        return 0
    folder = Path(arguments.folder or tempfile.gettempdir()) / "flexkit-scale"
    print(_machine())
    started = time.perf_counter()
    code = 0
    seconds: dict[int, float] = {}
    found: list[tuple[int, Row]] = [(0, _imports())]
    for text in arguments.signals.split(","):
        began = time.perf_counter()
        store = Path(_child("--build", "--signals", text, "--folder", str(folder), "--seed", str(arguments.seed)))
        print(f"\nMade or found in {time.perf_counter() - began:.0f} s: {store}")
        count = _count(text)
        failed, told = _compared(store, count, arguments, seconds)
        code |= failed
        found += [(count, row) for row in told]
        if not arguments.quick:
            told_of = json.loads(_child("--daily", "--folder", str(store), "--signals", text))
            print("\n".join(told_of["lines"]))
            found += [(count, Row(**row)) for row in told_of["rows"]]
    if len(seconds) > 1:
        least, most = min(seconds), max(seconds)
        exponent = math.log(seconds[most] / seconds[least]) / math.log(most / least)
        found.append((most, Row(f"growth from {least:,} signals", "exponent of its seconds", exponent, 1.05)))
    print("\n### All targets\n\n| signals | work | measured | wanted | met | figures |\n|---|---|---|---|---|---|")
    for count, row in found:
        share = row.unit.startswith("of ")
        measured, most = (f"{x:.1%}" if share else f"{x:.2f}" for x in (row.measured, row.most))
        # What is wanted is wanted of large stores; smaller ones are there to show what grows.
        met = "" if 0 < count < _WANTED_FROM else "yes" if row.is_met else "no"
        shown = f"{count:,}" if count else ""
        print(f"| {shown} | {row.work} | {measured} {row.unit} | ≤ {most} | {met} | {row.beside} |")
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"\nTook {(time.perf_counter() - started) / 60:.0f} minutes; load at the end {loads}.")
    return code


def _imports() -> Row:
    """The import of flexkit beside that of Polars, each in a process of its own, in turn."""
    took: dict[str, list[float]] = {"flexkit, flexkit.tables.store": [], "polars": []}
    for _ in range(5):
        for names, times in took.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {names}"], check=True)
            times.append(time.perf_counter() - began)
    ask = f"import sys, flexkit; print([name for name in {_UNWANTED!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    alone: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import flexkit"], check=True)
        alone.append(time.perf_counter() - began)
    base, own = statistics.median(took["polars"]), statistics.median(alone)
    stored = statistics.median(took["flexkit, flexkit.tables.store"])
    beside = f"{own:.2f} s, {base:.2f} s; with the store {stored:.2f} s; loaded of the unwanted: {loaded}"
    return Row("import flexkit", "× import polars", own / base, 1.3, beside)


def _targets(signals: int, seconds: dict[str, float], peaks: dict[str, float]) -> list[Row]:
    """The rows of the table that compare engines."""
    large = signals >= _LARGE
    wanted = [
        *([] if large else [("flexkit", "duckdb strings", "× DuckDB on the raw text columns", 0.40)]),
        ("flexkit", "duckdb keys", "× DuckDB on the same keys", 0.50 if large else 0.75),
        ("flexkit", "scan", "× the bare scan", 3.0),
        ("flexkit portable", "native polars", "× the same plan in Polars", 1.15),
        ("flexkit on spark", "spark sql", "× hand-written Spark SQL", 1.25),
        ("flexkit", "pandas", "× pandas", 1.0),
    ]
    names = {"flexkit": "the pass, ready for charts", "flexkit portable": "portable form on Polars"}
    found = [
        Row(names.get(own, own), unit, seconds[own] / seconds[other], most,
            f"{seconds[own]:.2f} s, {seconds[other]:.2f} s")
        for own, other, unit, most in wanted
        if own in seconds and other in seconds
    ]  # fmt: skip
    if "flexkit" in peaks:
        found.append(Row(names["flexkit"], "GB at most in memory", peaks["flexkit"] / _GB, 3.0))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench scale", description=__doc__)
    parser.add_argument("--signals", default="1m", help="how many, as 1m,10m,100m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default=",".join(_DEFAULT), help="also: flexkit on duckdb")
    parser.add_argument("--folder", default="", help="where the stores are kept; default: the temporary folder")
    parser.add_argument("--seed", type=int, default=80906)
    parser.add_argument("--quick", action="store_true", help="without tables, one more day, look-ups, adding")
    parser.add_argument("--spark", action="store_true", help="Spark too, up to 10 million")
    parser.add_argument("--daily", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    text = text.strip().lower()
    return int(float(text[:-1]) * _UNITS[text[-1]]) if text[-1] in _UNITS else int(text)


def _compared(
    store: Path, signals: int, arguments: argparse.Namespace, seconds: dict[int, float]
) -> tuple[int, list[Row]]:
    """Alternating rounds of every engine on *store*, as a table; 1 where an answer differs, and what it means."""
    engines = [name.strip() for name in arguments.engines.split(",")]
    if signals >= _LARGE:
        # A hundred million rows in pandas need more memory than most machines have.
        engines = [name for name in engines if name != "pandas"]
    elif arguments.spark:
        engines += _SPARK
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    absent: dict[str, str] = {}
    # One round more than asked: the first one warms the page cache and is not counted.
    for turn in range(arguments.rounds + 1):
        for name in engines:
            if name in absent:
                continue
            try:
                run = json.loads(_child("--one", name, "--folder", str(store)))
            except subprocess.CalledProcessError as error:
                absent[name] = str(error.stderr).strip().splitlines()[-1][:120]
                continue
            if turn:
                runs[name].append(run)
    size = sum(file.stat().st_size for file in store.rglob("*.parquet"))
    print(f"\n### {signals:,} signals, {size / 1e6:,.0f} MB ({size / signals:.0f} bytes each)\n")
    print("| engine | seconds | CPU seconds | × duckdb keys | peak MB | answer |\n|---|---|---|---|---|---|")
    middle = {name: statistics.median(run["seconds"] for run in took) for name, took in runs.items() if took}
    base = middle.get("duckdb keys")
    digests = {run["digest"] for took in runs.values() for run in took if run["digest"]}
    for name, took in runs.items():
        if name in absent:
            print(f"| {name} | not run: {absent[name]} | | | | |")
            continue
        cpu = statistics.median(run["cpu"] for run in took)
        peak = max(run["peak_mb"] for run in took)
        ratio = f"{middle[name] / base:.2f}" if base else ""
        answers = ", ".join(sorted({run["digest"] for run in took}))
        print(f"| {name} | {middle[name]:.3f} | {cpu:.3f} | {ratio} | {peak:.0f} | {answers} |")
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"\n{arguments.rounds} alternating rounds, medians; load at the end {loads}. ", end="")
    print("All answers are equal." if len(digests) <= 1 else "THE ANSWERS DIFFER.")
    if "flexkit" in middle:
        seconds[signals] = middle["flexkit"]
    peaks = {name: max(run["peak_mb"] for run in took) for name, took in runs.items() if took}
    return int(len(digests) > 1), _targets(signals, middle, peaks)


def _one(name: str, store: Path) -> dict[str, Any]:
    """Run one engine in this process; what it took and a digest of its answer."""
    from tests.bench import _signals
    from tests.bench._engines import ENGINES

    # Importing, starting and connecting is no part of it: each engine has answered the question for few rows before.
    ENGINES[name](_signals.build(store.parent, _FEW))
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    found = ENGINES[name](store)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": took,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": _peak_mb(after.ru_maxrss),
        "digest": hashlib.sha256(repr([tuple(row) for row in found]).encode()).hexdigest()[:8] if found else "",
    }


def _peak_mb(fallback_kb: int) -> float:
    """The greatest resident size of this process; ``ru_maxrss`` would include that of the process that began it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return fallback_kb / 1024
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _child(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.bench", "scale", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]


def _machine() -> str:
    held = []
    for name in ("polars", "narwhals", "deltalake", "duckdb", "pandas", "pyspark"):
        try:
            held.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(held)}"
