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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"k": 1_000, "m": 1_000_000}
_DEFAULT = ("scan", "flexkit", "native polars", "duckdb keys", "duckdb strings", "flexkit on duckdb", "pandas")


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
    folder = Path(arguments.folder or tempfile.gettempdir()) / "flexkit-scale"
    print(_machine())
    code = 0
    seconds: dict[int, float] = {}
    for text in arguments.signals.split(","):
        store = Path(_child("--build", "--signals", text, "--folder", str(folder), "--seed", str(arguments.seed)))
        code |= _compared(store, _count(text), arguments, seconds)
        if arguments.work:
            from tests.bench import _work

            print(_work.table(store))
    if len(seconds) > 1:
        least, most = min(seconds), max(seconds)
        exponent = math.log(seconds[most] / seconds[least]) / math.log(most / least)
        print(f"\nGrowth of flexkit's seconds from {least:,} to {most:,} signals: exponent {exponent:.2f}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench scale", description=__doc__)
    parser.add_argument("--signals", default="1m", help="how many, as 1m,10m,100m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default=",".join(_DEFAULT), help="also: flexkit on spark, spark sql")
    parser.add_argument("--folder", default="", help="where the stores are kept; default: the temporary folder")
    parser.add_argument("--seed", type=int, default=80906)
    parser.add_argument("--work", action="store_true", help="also: adding, one more day, tables, look-ups")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    text = text.strip().lower()
    return int(float(text[:-1]) * _UNITS[text[-1]]) if text[-1] in _UNITS else int(text)


def _compared(store: Path, signals: int, arguments: argparse.Namespace, seconds: dict[int, float]) -> int:
    """Alternating rounds of every engine on *store*, as a table; 1 where an answer differs."""
    engines = [name.strip() for name in arguments.engines.split(",")]
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
    return int(len(digests) > 1)


def _one(name: str, store: Path) -> dict[str, Any]:
    """Run one engine in this process; what it took and a digest of its answer."""
    from tests.bench._engines import ENGINES, warm

    warm(name)
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
