"""Does the effect method keep its promises? Coverage, false verdicts and power, simulated through the product's code.

``python -m tests.bench effects`` prints Markdown tables; ``--reps`` shrinks them, ``--seed`` moves them, ``--only``
picks one. The worlds: daily counts around a log-normal AR(1) day effect (deviation sigma, autocorrelation rho), with
weekday and volume swings, incidents, days that lost all events, and a fix of known effect.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import time
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from flexkit.analyse import effects

VOLUME = 2000
WEEK = np.array([1, 1.05, 1.05, 1, 0.95, 0.45, 0.35])
FIRST_DAY = dt.date(2026, 1, 5)
LOOK_DAYS = tuple(range(7, 57))


@dataclass(frozen=True)
class World:
    """One regime: what the days look like, and what the fix does to them."""

    name: str
    level: float
    before: int
    after: int
    rho: float = 0.0
    sigma: float = 0.0
    rr: float = 0.5
    incidents: float = 0.0
    lost_days: float = 0.0
    spike: float = 1.0

    def days(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Events and exposure of every day."""
        size = self.before + self.after
        shocks = rng.standard_normal(size) * self.sigma
        mood = np.empty(size)
        state = 0.0
        for day in range(size):
            keep = math.sqrt(1 - self.rho**2) if day else 1.0
            state = self.rho * state + keep * shocks[day]
            mood[day] = state
        weekday = (np.arange(size) + rng.integers(7)) % 7
        exposure = np.round(VOLUME * WEEK[weekday] / WEEK.mean() * np.exp(0.1 * rng.standard_normal(size)))
        rate = self.level / VOLUME * np.exp(mood - self.sigma**2 / 2)
        if self.incidents:
            # Half an incident a month, 2 to 30 hours at four to eight times the rate, when incidents is 1.
            hit = rng.random(size) < self.incidents / 60
            rate = rate * np.where(hit, 1 + rng.uniform(2, 30, size) / 24 * rng.uniform(3, 7, size), 1)
        rate[self.before :] *= self.rr
        rate[self.before - 7 : self.before] *= self.spike
        events = rng.poisson(np.minimum(exposure * rate, exposure))
        if self.lost_days:
            events = np.where(rng.random(size) < self.lost_days, 0, events)
        return events, exposure

    def frame(self, rng: np.random.Generator) -> pl.DataFrame:
        """The days as a frame that `estimate` takes."""
        events, exposure = self.days(rng)
        dates = pl.date_range(FIRST_DAY, FIRST_DAY + dt.timedelta(days=len(events) - 1), eager=True)
        return pl.DataFrame({"date": dates, "events": events, "exposure": exposure})

    @property
    def changed_at(self) -> dt.date:
        """When the fix comes."""
        return FIRST_DAY + dt.timedelta(days=self.before)


def regimes() -> list[World]:
    """The regimes of the coverage table: two levels, four windows, four kinds of day-to-day variation, and trouble."""
    plain = [
        World(f"{level:g}/d {before}+{after}", level, before, after, rho, sigma)
        for level, before, after, rho, sigma in (
            (3, 28, 14, 0, 0), (3, 28, 28, 0.5, 0.4), (3, 56, 28, 0.8, 0.4), (3, 90, 30, 0.8, 0.4),
            (30, 28, 14, 0, 0), (30, 28, 14, 0.5, 0.4), (30, 28, 14, 0.8, 0.4), (30, 28, 28, 0, 0.4),
            (30, 28, 28, 0.8, 0.4), (30, 56, 28, 0.5, 0.4), (30, 56, 28, 0.8, 0.4), (30, 90, 30, 0.8, 0.4),
            (300, 56, 28, 0.5, 0.4), (300, 56, 28, 0.8, 0.4), (1, 28, 14, 0.5, 0.4), (0.3, 56, 28, 0, 0),
        )
    ]  # fmt: skip
    troubled = []
    for rho in (0.5, 0.8):
        for level, before, after in ((3, 28, 14), (3, 56, 28), (30, 28, 28), (30, 56, 28)):
            base = World("", level, before, after, rho, 0.4)
            name = f"{level:g}/d {before}+{after}"
            troubled += [
                replace(base, name=f"{name}, no effect", rr=1.0),
                replace(base, name=f"{name}, harm", rr=1.5),
                replace(base, name=f"{name}, incidents", incidents=1.0),
                replace(base, name=f"{name}, 10 % of days lost", lost_days=0.1),
            ]
    return plain + troubled


def coverage(reps: int, seed: int, worlds: list[World] | None = None) -> list[dict[str, object]]:
    """How often the 95 % interval of the default estimate holds the true ratio, regime by regime."""
    rows: list[dict[str, object]] = []
    for number, world in enumerate(worlds or regimes()):
        rng = np.random.default_rng([seed, number])
        hits, widths, undecided = 0, [], 0
        for _ in range(reps):
            found = effects.estimate(world.frame(rng), world.changed_at)
            if not math.isfinite(found["rr_high"]):
                undecided += 1
                continue
            hits += found["rr_low"] <= world.rr <= found["rr_high"]
            if found["rr_low"] > 0:
                widths.append(math.log(found["rr_high"] / found["rr_low"]))
        told = reps - undecided
        rows.append(
            {
                "regime": world.name,
                "rho": world.rho,
                "sigma": world.sigma,
                "true ratio": world.rr,
                "fixes": told,
                "coverage": hits / told if told else math.nan,
                "width (log)": float(np.median(widths)) if widths else math.nan,
                "to reach": 0.88 if world.rho > 0.5 else 0.92,
            }
        )
    return rows


def markdown(rows: list[dict[str, object]]) -> str:
    """*rows* as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench effects", description=__doc__)
    parser.add_argument("--reps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=80906)
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    print(markdown(coverage(arguments.reps, arguments.seed)))
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0
