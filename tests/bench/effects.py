"""Do the methods keep their promises? Coverage, false verdicts, power, alarms: simulated through the product's code.

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

from flexkit.analyse import effects, rates
from flexkit.analyse.effects.fixes import parse_fixes
from flexkit.analyse.effects.gates import SELECTION_DAYS, spike_before
from flexkit.analyse.effects.looks import latest_look
from flexkit.analyse.effects.placebo import Placebo, placebo_dates
from flexkit.analyse.effects.window import window
from flexkit.analyse.rates.series import read_series

VOLUME = 2000
WEEK = np.array([1, 1.05, 1.05, 1, 0.95, 0.45, 0.35])
FIRST_DAY = dt.date(2026, 1, 5)


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
    bursts: float = 0.0
    spike: float = 1.0

    def mood(self, rng: np.random.Generator) -> np.ndarray:
        """The day effects: a stationary AR(1) of the log rate."""
        shocks = rng.standard_normal(self.before + self.after) * self.sigma
        mood = np.empty(len(shocks))
        state = 0.0
        for day, shock in enumerate(shocks):
            state = self.rho * state + (math.sqrt(1 - self.rho**2) if day else 1.0) * shock
            mood[day] = state
        return mood

    def days(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Events and exposure of every day."""
        size = self.before + self.after
        mood = self.mood(rng)
        weekday = (np.arange(size) + rng.integers(7)) % 7
        exposure = np.round(VOLUME * WEEK[weekday] / WEEK.mean() * np.exp(0.1 * rng.standard_normal(size)))
        rate = self.level / VOLUME * np.exp(mood - self.sigma**2 / 2)
        if self.incidents:
            # Half an incident a month, 2 to 30 hours at four to eight times the rate, when incidents is 1.
            hit = rng.random(size) < self.incidents / 60
            rate = rate * np.where(hit, 1 + rng.uniform(2, 30, size) / 24 * rng.uniform(3, 7, size), 1)
        if self.bursts:
            rate = rate * np.where(rng.random(size) < self.bursts, 8.0, 1.0)
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
                replace(base, name=f"{name}, 7 % of days at 8 times", bursts=0.07),
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


def shared(reps: int, seed: int) -> list[dict[str, object]]:
    """Coverage with a control that shares the treated series' shocks: alone, and with the control."""
    rows: list[dict[str, object]] = []
    for number, (name, step, drift) in enumerate(
        (
            ("shared day effects", 0.0, 0.0),
            ("shared step of +50 % at the fix", math.log(1.5), 0.0),
            ("control drifts", 0.0, 0.02),
        )
    ):
        rng = np.random.default_rng([seed, 1000 + number])
        tally = {"alone": [0, []], "with control": [0, []]}
        used = 0
        for _ in range(reps):
            world = World(name, 30, 56, 28, 0.5, 0.4, 1.0)
            mood = world.mood(rng) + np.where(np.arange(84) >= 56, step, 0.0)
            exposure = np.full(84, float(VOLUME))
            rate = world.level / VOLUME * np.exp(mood)
            treated = rng.poisson(exposure * rate * np.where(np.arange(84) >= 56, 0.6, 1.0))
            other = rng.poisson(exposure * rate * np.exp(drift * np.arange(84)))
            dates = pl.date_range(FIRST_DAY, FIRST_DAY + dt.timedelta(days=83), eager=True)
            frame = pl.DataFrame({"date": dates, "events": treated, "exposure": exposure})
            control = pl.DataFrame({"date": dates, "events": other, "exposure": exposure})
            for way, given in (("alone", None), ("with control", control)):
                found = effects.estimate(frame, world.changed_at, control=given)
                tally[way][0] += found["rr_low"] <= 0.6 <= found["rr_high"]
                tally[way][1].append(math.log(found["rr_high"] / found["rr_low"]))
                used += found["model"].startswith("did")
        rows += [
            {
                "world": name,
                "estimate": way,
                "fixes": reps,
                "coverage": hits / reps,
                "width (log)": float(np.median(widths)),
                "control used": used / reps if way == "with control" else math.nan,
            }
            for way, (hits, widths) in tally.items()
        ]
    return rows


def spikes(reps: int, seed: int) -> list[dict[str, object]]:
    """How often a fix without effect, made because of a bad week, is called an improvement."""
    rows: list[dict[str, object]] = []
    for number, (level, rho, sigma, spike) in enumerate(
        (
            (30, 0.0, 0.3, 1.4),
            (30, 0.5, 0.3, 1.4),
            (30, 0.5, 0.4, 1.4),
            (3, 0.5, 0.4, 1.4),
            (30, 0.5, 0.4, 1.0),
            (3, 0.5, 0.4, 1.0),
        )
    ):
        rng = np.random.default_rng([seed, 2000 + number])
        naive = interval = verdict = 0
        for _ in range(reps):
            world = World("", level, 56, 28, rho, sigma, 1.0, spike=spike)
            frame = world.frame(rng)
            if spike == 1.0:
                world, frame = after_the_worst_week(world, rng)
            day = world.changed_at
            week = frame.filter(pl.col("date").is_between(day - dt.timedelta(days=7), day, closed="left"))
            later = frame.filter(pl.col("date") >= day)
            naive += _naive_improvement(week, later)
            interval += effects.estimate(frame, day)["rr_high"] < 1
            verdict += _verdict(frame, day, 28) == "helped"
        rows.append(
            {
                "events a day": level,
                "rho": rho,
                "sigma": sigma,
                "what triggered the fix": "a week at 1.4 times the rate" if spike > 1 else "the worst week of twelve",
                "fixes": reps,
                "week before against after": naive / reps,
                "interval below 1": interval / reps,
                "verdict helped": verdict / reps,
                "at most": 0.06,
            }
        )
    return rows


def after_the_worst_week(world: World, rng: np.random.Generator) -> tuple[World, pl.DataFrame]:
    """The same world, but its fix comes after the worst of twelve weeks that could have triggered it."""
    long = replace(world, before=84 + 56, after=world.after)
    frame = long.frame(rng)
    rate = (frame["events"] / frame["exposure"]).to_numpy()
    weeks = [rate[56 + 7 * week : 63 + 7 * week].mean() for week in range(12)]
    day = 63 + 7 * int(np.argmax(weeks))
    part = frame.slice(day - 56, 56 + world.after)
    first = part["date"][0]
    return world, part.with_columns(pl.col("date") - (first - FIRST_DAY))


def looks(reps: int, seed: int) -> list[dict[str, object]]:
    """How often a fix without effect gets a verdict of help or harm at any look in the eight weeks after it."""
    rows: list[dict[str, object]] = []
    for number, (level, rho, sigma) in enumerate(
        ((30, 0.0, 0.0), (30, 0.3, 0.3), (30, 0.5, 0.4), (3, 0.0, 0.0), (3, 0.5, 0.4))
    ):
        rng = np.random.default_rng([seed, 3000 + number])
        ever = month = naive = 0
        # The trap is only for contrast, and asks 22 times: a fifth of the fixes show it.
        trapped = max(reps // 5, 1)
        for fix in range(reps):
            world = World("", level, 56, 57, rho, sigma, 1.0)
            frame = world.frame(rng)
            told = [_verdict(frame, world.changed_at, days) in {"helped", "harmed"} for days in (14, 21, 28, 56)]
            ever += any(told)
            month += any(told[:3])
            naive += fix < trapped and any(_excludes_one(frame, world, days) for days in range(7, 29))
        rows.append(
            {
                "events a day": level,
                "rho": rho,
                "sigma": sigma,
                "fixes": reps,
                "interval without looks, days 7 to 28": naive / trapped,
                "verdict, days 7 to 28": month / reps,
                "verdict, days 7 to 56": ever / reps,
                "at most": 0.06,
            }
        )
    return rows


def placebo(reps: int, seed: int) -> list[dict[str, object]]:
    """How often the placebo test calls a fix without effect one of the 5 % largest steps, after a year of days."""
    worlds = [
        World(f"{level:g}/d, {after} days after{kind}", level, 365, after, rho, sigma, 1.0, **more)
        for level, rho, sigma, after, kind, more in (
            (30, 0.0, 0.0, 28, "", {}),
            (30, 0.3, 0.3, 28, "", {}),
            (30, 0.5, 0.4, 28, "", {}),
            (30, 0.8, 0.4, 28, "", {}),
            (3, 0.0, 0.0, 28, "", {}),
            (3, 0.5, 0.4, 28, "", {}),
            (30, 0.5, 0.4, 28, ", incidents", {"incidents": 1.0}),
            (30, 0.5, 0.4, 28, ", 10 % of days lost", {"lost_days": 0.1}),
            (30, 0.5, 0.4, 14, "", {}),
            (30, 0.8, 0.4, 14, "", {}),
        )
    ]
    rows: list[dict[str, object]] = []
    ranks: list[float] = []
    for number, world in enumerate(worlds):
        rng = np.random.default_rng([seed, 4000 + number])
        found = [_placebo(world, world.frame(rng), with_analysis=not fix) for fix in range(reps)]
        rows.append(_false_alarms(world.name, world, [each.rank for each in found], max(each.count for each in found)))
        ranks += [each.rank for each in found]
    return [*rows, _false_alarms("all", None, ranks, None)]


def _placebo(world: World, frame: pl.DataFrame, *, with_analysis: bool) -> Placebo:
    """The placebo dates of one fix: called directly, because a whole analysis takes ten times as long."""
    series, fix = read_series(frame), parse_fixes(_fix(world.changed_at), tz="UTC")[0]
    end = int(series.start[-1]) + 1
    _, flags = spike_before(window(series, fix, [], complete_until=end).rows)
    dropped = SELECTION_DAYS if "selection_window_dropped" in flags else 0
    found = placebo_dates(series, day=fix.day, settled=fix.settled, end=end, since=0, dropped=dropped)
    if with_analysis and effects.analyse_all(frame, _fix(world.changed_at))[0].placebo != found:
        msg = "The bench's placebo dates are not those of an analysis; mend the bench."
        raise AssertionError(msg)
    return found


def _false_alarms(name: str, world: World | None, ranks: list[float], dates: int | None) -> dict[str, object]:
    alarms = sum(rank <= 0.05 for rank in ranks)
    low, high = rates.interval(alarms, len(ranks))
    return {
        "regime": name,
        "rho": world.rho if world else "",
        "sigma": world.sigma if world else "",
        "fixes": len(ranks),
        "placebo dates": dates or "",
        "false alarms at 5 %": alarms / len(ranks),
        "95 % interval": f"{low:.3f} to {high:.3f}",
        "at 10 %": sum(rank <= 0.10 for rank in ranks) / len(ranks),
        "to reach": "0.03 to 0.07",
    }


def power(reps: int, seed: int) -> list[dict[str, object]]:
    """How often an effect as large as the reported smallest detectable one is seen; the formula aims at 80 %."""
    rows: list[dict[str, object]] = []
    for number, (level, rho, sigma, after) in enumerate(
        ((10, 0.0, 0.0, 28), (30, 0.3, 0.3, 28), (30, 0.5, 0.4, 28), (3, 0.0, 0.0, 28), (30, 0.5, 0.4, 56))
    ):
        rng = np.random.default_rng([seed, 5000 + number])
        world = World("", level, 56, after, rho, sigma, 1.0)
        mdes = [effects.estimate(world.frame(rng), world.changed_at)["mde"] for _ in range(max(reps // 5, 20))]
        smallest = float(np.nanmedian(mdes))
        changed = replace(world, rr=smallest)
        seen = sum(effects.estimate(changed.frame(rng), changed.changed_at)["p_value"] < 0.05 for _ in range(reps))
        rows.append(
            {
                "events a day": level,
                "rho": rho,
                "sigma": sigma,
                "days after": after,
                "smallest detectable ratio": smallest,
                "fixes": reps,
                "seen": seen / reps,
            }
        )
    return rows


def charts(reps: int, seed: int) -> list[dict[str, object]]:
    """Control charts on 100 days after a baseline of 56: false alarms, and how soon a doubled rate shows."""
    rows: list[dict[str, object]] = []
    moods = ((3, 0.0, 0.0), (30, 0.0, 0.0), (30, 0.3, 0.3), (30, 0.6, 0.3), (300, 0.3, 0.3))
    for number, (level, rho, sigma) in enumerate(moods):
        rng = np.random.default_rng([seed, 6000 + number])
        calm = World("", level, 56, 100, rho, sigma, 1.0)
        doubled = replace(calm, after=7, rr=2.0)
        row: dict[str, object] = {"events a day": level, "rho": rho, "sigma": sigma, "charts": reps}
        quiet = [calm.frame(rng) for _ in range(reps)]
        loud = [doubled.frame(rng) for _ in range(reps)]
        for kind in ("p", "p_prime", "nb"):
            drawn = [rates.control_chart(frame, kind=kind, baseline=56)["is_signal"][56:] for frame in quiet]
            seen = [rates.control_chart(frame, kind=kind, baseline=56)["is_signal"][56:].any() for frame in loud]
            row[f"{kind}: false in 100 days"] = float(np.mean([alarms.sum() for alarms in drawn]))
            row[f"{kind}: doubling seen in 7 days"] = float(np.mean(seen))
        rows.append(row)
    return rows


def moves(reps: int, seed: int) -> list[dict[str, object]]:
    """Change points: how many in 120 days without change, and whether a doubled rate is found within five days."""
    rows: list[dict[str, object]] = []
    for number, (level, rho, sigma) in enumerate(((3, 0.0, 0.0), (30, 0.0, 0.0), (30, 0.5, 0.3), (300, 0.3, 0.3))):
        rng = np.random.default_rng([seed, 7000 + number])
        calm = World("", level, 60, 60, rho, sigma, 1.0)
        false = [rates.change_points(calm.frame(rng)).height for _ in range(reps)]
        doubled = replace(calm, rr=2.0)
        near = pl.col("date").is_between(
            doubled.changed_at - dt.timedelta(days=5), doubled.changed_at + dt.timedelta(days=5)
        )
        found = [rates.change_points(doubled.frame(rng)).filter(near).height > 0 for _ in range(reps)]
        rows.append(
            {
                "events a day": level,
                "rho": rho,
                "sigma": sigma,
                "series": reps,
                "false in 120 days": float(np.mean(false)),
                "doubling found within 5 days": float(np.mean(found)),
            }
        )
    return rows


def _fix(day: dt.date) -> pl.DataFrame:
    # In the evening before, so that the first day after is *day* itself.
    deployed = dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(hours=1)
    return pl.DataFrame({"fix_id": ["fix"], "deployed_at": [deployed]})


def _verdict(frame: pl.DataFrame, day: dt.date, days: int) -> str:
    """The verdict *days* after the fix. One of help or harm needs the look's boundary crossed, which is asked first."""
    seen = frame.filter(pl.col("date") < day + dt.timedelta(days=days))
    look = latest_look(days)
    if look is None or effects.estimate(seen, day)["p_value"] > look.p_value:
        return "boundary_not_crossed"
    found = effects.effects(frame, _fix(day), now=day + dt.timedelta(days=days))
    return str(found["verdict"][0])


def _excludes_one(frame: pl.DataFrame, world: World, days: int) -> bool:
    seen = frame.filter(pl.col("date") < world.changed_at + dt.timedelta(days=days))
    # The same interval without dated looks; the variance of published software keeps it quick and shows the trap.
    found = effects.estimate(seen, world.changed_at, variance="quasi")
    return found["rr_high"] < 1 or found["rr_low"] > 1


def _naive_improvement(week: pl.DataFrame, later: pl.DataFrame) -> bool:
    before, after = (float(part["events"].sum()) for part in (week, later))
    ratio = (after / float(later["exposure"].sum())) / (before / float(week["exposure"].sum()))
    return math.log(ratio) + 1.96 * math.sqrt(1 / max(before, 1) + 1 / max(after, 1)) < 0


TABLES = {
    "coverage": ("Coverage of the 95 % interval", coverage),
    "control": ("With a control", shared),
    "spike": ("A fix without effect, triggered by a spike", spikes),
    "looks": ("Looking again and again at a fix without effect", looks),
    "placebo": ("The placebo test", placebo),
    "power": ("Power at the smallest detectable effect", power),
    "charts": ("Control charts", charts),
    "moves": ("Change points", moves),
}


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
    parser.add_argument("--reps", type=int, default=500, help="simulated fixes per row (default: 500)")
    parser.add_argument("--seed", type=int, default=80906)
    parser.add_argument("--only", choices=sorted(TABLES), action="append", help="one table; may be repeated")
    arguments = parser.parse_args(argv)
    for name, (title, simulate) in TABLES.items():
        if arguments.only and name not in arguments.only:
            continue
        started = time.perf_counter()
        rows = simulate(arguments.reps, arguments.seed)
        print(f"**{title}** ({time.perf_counter() - started:.0f} s)\n\n{markdown(rows)}\n", flush=True)
    return 0
