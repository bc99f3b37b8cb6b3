"""Hold predicted against true prevention in simulated centres, which can be run again with a fix in place."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse import replay
from flexkit.analyse.replay.rerun import SUBSETS, members
from flexkit.analyse.replay.status import Reason, ReplayStatus
from flexkit.collect.simulate.damage import Degradation
from flexkit.collect.simulate.frames import observed_frames
from flexkit.collect.simulate.world import build, warnings
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_US = 86_400_000_000
EVIDENCE: dict[str, tuple[str, Degradation]] = {
    "full evidence": ("clean", Degradation()),
    "20 % of all signals lost": ("clean", Degradation(loss=dict.fromkeys(Source, 0.2))),
    "20 % of the completion log lost": ("clean", Degradation(loss={Source.APP_LOG: 0.2})),
    "each centre logs by its own habits": ("random", Degradation()),
    "3 % lost, 30 % of keys missing, clocks 1 s off": (
        "clean",
        Degradation(loss=dict.fromkeys(Source, 0.03), missing_key=0.3, skew=1.0),
    ),
    "10 % lost, 60 % of keys missing, clocks 2 s off": (
        "clean",
        Degradation(loss=dict.fromkeys(Source, 0.1), missing_key=0.6, skew=2.0),
    ),
    "no completion log": ("clean", Degradation(missing=frozenset({Source.APP_LOG}))),
    "no TaskRouter events": ("clean", Degradation(missing=frozenset({Source.TASKROUTER}))),
}
"""What is known of a centre: its scenario, and what happened to the evidence."""

_TOLD = ("imputed", "prevented_lo", "prevented_hi", "bound_lo", "bound_hi")


@dataclass(frozen=True, slots=True)
class Held:
    """One subset in one centre: what was said and what is true, as shares of the recorded warnings."""

    loss: str
    subset: int
    status: str
    warnings: int
    truth: float
    guess: float
    low: float
    high: float
    bound_low: float
    bound_high: float
    ahead_truth: float
    ahead_low: float
    ahead_high: float


def centre(job: tuple[int, int, int, str]) -> list[Held]:
    """All subsets in the centre of *seed*: predicted from its first half, and what its second half brought."""
    seed, interactions, days, loss = job
    name, damage = EVIDENCE[loss]
    world = build(interactions=2 * interactions, days=2 * days, seed=seed, name=name)
    middle = world.start + days * DAY_US
    seen = observed_frames(world, damage)
    half = pl.lit(middle).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    signals = seen.signals.lazy().filter(pl.col("occurred_at") < half)
    alerts = seen.alerts.lazy().filter(pl.col("generated_at") < half)
    coverage = seen.coverage.with_columns(end=pl.min_horizontal("end", half))
    told = replay.replay(signals, alerts, coverage=coverage)
    served = world.attempts.served
    ours = served < middle
    ahead = (served >= middle) & (served < middle + 30 * DAY_US)
    recorded = warnings(world).warned
    total = int(recorded[ours].sum())
    # A lost alert is not in what a prediction of alerts speaks of.
    kept = 1 - damage.loss.get(Source.DEBUGGER, 0.0)
    held = []
    for subset in range(1, SUBSETS):
        kinds = members(subset)
        left = warnings(world, frozenset(kinds)).warned
        row = told.row(by_predicate=pl.col("fix_id") == "+".join(kinds), named=True)
        count = row["warnings_window"]
        guess, low, high, least, most = (row[name] / max(count, 1) for name in _TOLD)
        if row["status"] == ReplayStatus.NOT_IDENTIFIABLE or Reason.SOURCE_NOT_COVERED in row["reasons"]:
            # Nobody is shown a guess here, only the bounds.
            guess = float("nan")
        held.append(
            Held(
                loss, subset, row["status"], count, 1 - left[ours].sum() / total, guess, low, high, least, most,
                kept * float(recorded[ahead].sum() - left[ahead].sum()), row["lo"], row["hi"],
            )
        )  # fmt: skip
    return held


def tables(held: list[Held]) -> Iterator[str]:
    """A Markdown table for each kind of evidence."""
    frame = pl.DataFrame([{name: getattr(row, name) for name in Held.__slots__} for row in held])
    error = (pl.col("guess") - pl.col("truth")).fill_nan(None)
    slack = 1e-9

    def within(low: str, high: str, truth: str = "truth") -> pl.Expr:
        return pl.col(truth).is_between(pl.col(low) - slack, pl.col(high) + slack).mean()

    summary = frame.group_by("loss", "subset", maintain_order=True).agg(
        centres=pl.len(),
        warnings=pl.col("warnings").mean(),
        truth=pl.col("truth").mean(),
        bias=error.mean(),
        mean_abs=error.abs().mean(),
        covers=within("low", "high"),
        width=(pl.col("high") - pl.col("low")).mean(),
        bounds=within("bound_low", "bound_high"),
        bounds_width=(pl.col("bound_high") - pl.col("bound_low")).mean(),
        ahead=within("ahead_low", "ahead_high", "ahead_truth"),
        points=(pl.col("status") == ReplayStatus.POINT).mean(),
    )
    for (loss,), rows in summary.group_by("loss", maintain_order=True):
        first = rows.row(0, named=True)
        yield f"\n**{loss}** ({first['centres']} centres, {first['warnings']:.0f} warnings each on average)\n"
        yield (
            "| fixes | truly prevented | bias | mean abs. error | 90 % interval covers (width) "
            "| bounds hold (width) | next 30 days covered | shown as a point |"
        )
        yield "|---|---|---|---|---|---|---|---|"
        for row in rows.sort(pl.col("subset").bitwise_count_ones(), "subset").iter_rows(named=True):
            bias = "–" if row["bias"] is None else f"{100 * row['bias']:+.2f}"
            mean = "–" if row["bias"] is None else f"{100 * row['mean_abs']:.2f}"
            yield (
                f"| {' + '.join(members(row['subset']))} | {row['truth']:.1%} | {bias} "
                f"| {mean} | {row['covers']:.0%} ({100 * row['width']:.1f}) "
                f"| {row['bounds']:.0%} ({100 * row['bounds_width']:.0f}) | {row['ahead']:.0%} | {row['points']:.0%} |"
            )


def speed(interactions: int) -> Iterator[str]:
    """Seconds to replay that many interactions, from signals in memory."""
    world = build(interactions=interactions, days=56, seed=7, name="random")
    seen = observed_frames(world)
    began = time.perf_counter()
    ready = replay.recorded(seen.signals, seen.alerts)
    aligned = time.perf_counter()
    told = replay.replay(ready, coverage=seen.coverage)
    done = time.perf_counter()
    replay.per_handler(ready)
    handled = time.perf_counter()
    yield "\n| interactions | signals | warnings | align, s | 16 subsets, s | per handler, s |"
    yield "|---|---|---|---|---|---|"
    yield (
        f"| {interactions:,} | {seen.signals.height:,} | {told['warnings_window'][0]:,} | {aligned - began:.2f} "
        f"| {done - aligned:.2f} | {handled - done:.2f} |"
    )


def main(argv: list[str]) -> int:
    """Print the validation of the replay as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench replay", description=__doc__)
    parser.add_argument("--centres", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first centre; the others follow it")
    parser.add_argument("--interactions", type=int, default=8_000, help="in the window that is predicted from")
    parser.add_argument("--days", type=int, default=56)
    parser.add_argument("--evidence", choices=sorted(EVIDENCE), action="append", help="default: all")
    parser.add_argument("--speed", type=int, default=0, metavar="N", help="also time the replay of N interactions")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args(argv)
    jobs = [
        (seed, asked.interactions, asked.days, loss)
        for loss in (asked.evidence or EVIDENCE)
        for seed in range(asked.seed, asked.seed + asked.centres)
    ]
    held: list[Held] = []
    runs: Iterator[list[Held]] = map(centre, jobs)
    if asked.processes > 1:
        runs = ProcessPoolExecutor(asked.processes).map(centre, jobs, chunksize=4)
    for number, run in enumerate(runs, start=1):
        held += run
        if number % 50 == 0:
            print(f"{number} of {len(jobs)} centres", file=sys.stderr)
    print(f"Replay against the simulator's own re-runs; {np.unique([row.subset for row in held]).size} sets of fixes.")
    print(f"Seeds {asked.seed} to {asked.seed + asked.centres - 1}.")
    print("Shares are of the recorded warnings; bias and errors in percentage points.")
    for line in tables(held):
        print(line)
    if asked.speed:
        for line in speed(asked.speed):
            print(line)
    return 0
