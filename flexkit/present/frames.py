"""Results in the columns that charts draw: names for people, one unit of time, what belongs to one fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.handlers import AGENT
from flexkit.analyse.standout import ANY_CAUSE
from flexkit.analyse.tallies import worth_reading
from flexkit.present.labels import cause_label, fix_label, kind_words, missing_label, source_label
from flexkit.present.verdicts import verdict_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flexkit.analyse.effects import Analysis
    from flexkit.analyse.trusting import Trust
    from flexkit.window import Window

_PER_WEEK = 7 / pl.col("window_days").clip(1 / 24)


def named_sources(days: pl.DataFrame) -> pl.DataFrame:
    """*days* of `tallies.coverage_days` with the sources as a page calls them."""
    return days.with_columns(_said("source", source_label))


def named_missing(reasons: pl.DataFrame) -> pl.DataFrame:
    """*reasons* of `tallies.open_questions` with a `label` for each."""
    return reasons.with_columns(_said("missing", missing_label).alias("label"))


def prevented(ranked: pl.DataFrame) -> pl.DataFrame:
    """The single fixes of a `replay` table, per week, for `charts.prevented`."""
    is_point = pl.col("prevented_per_week").is_not_null()
    return ranked.select(
        label=_said("fix_id", fix_label),
        prevented="prevented_per_week",
        lo=pl.when(is_point).then("prevented_per_week_lo"),
        hi=pl.when(is_point).then("prevented_per_week_hi"),
        bound_lo=pl.col("bound_lo") * _PER_WEEK,
        bound_hi=pl.col("bound_hi") * _PER_WEEK,
        premature=pl.col("prevented_premature_closes") * _PER_WEEK,
    )


def sequence(ranked: pl.DataFrame) -> pl.DataFrame:
    """The single fixes of a `replay` table in the order that prevents most first, per week, for `charts.sequence`."""
    gain, total = pl.col("seq_marginal") * _PER_WEEK, pl.col("warnings_window") * _PER_WEEK
    steps = ranked.drop_nulls("seq_rank").sort("seq_rank").with_columns(after=total - gain.cum_sum())
    return steps.select(label=_said("fix_id", fix_label), before=pl.col("after") + gain, after="after", prevented=gain)


def pairs(counts: pl.DataFrame, *, most: int = 16) -> pl.DataFrame:
    """The *counts* of `tallies.by_handlers` with each pair as one text, the rare ones together: names may carry ids."""
    first, second = (pl.col(name).fill_null("unknown") for name in ("first_handler", "second_handler"))
    twice = pl.when(pl.col("first_handler") == pl.col("second_handler"))
    pair = twice.then(pl.format("{}, twice", first)).otherwise(pl.format("{}, then {}", first, second))
    named = counts.select(pair.alias("handlers"), "cause", "count")
    totals = named.group_by("handlers").agg(pl.col("count").sum()).sort("count", "handlers", descending=[True, False])
    if totals.height <= most:
        return named
    shown = pl.col("handlers").is_in(totals["handlers"].head(most - 1).implode())
    rest = pl.format("{} other pairs", pl.lit(totals.height - most + 1))
    together = named.with_columns(pl.when(shown).then("handlers").otherwise(rest))
    return together.group_by("handlers", "cause", maintain_order=True).agg(pl.col("count").sum())


def changes(per_handler: pl.DataFrame, *, most: int = 12) -> pl.DataFrame:
    """Which automation to change in which way, of `replay.per_handler`, as a page lists it; only what prevents some."""
    helps = pl.coalesce("prevented", "bound_hi") + pl.col("prevented_premature_closes") > 0
    return (
        per_handler.filter(helps)
        .head(most)
        .select(
            _WHO,
            change=_said("fix_kind", fix_label),
            warnings_prevented="prevented",
            at_least="bound_lo",
            at_most="bound_hi",
            share="share",
            closes_too_early_prevented="prevented_premature_closes",
        )
    )


# A person at work is no automation, whatever a source calls her.
_WHO = pl.col("handler").replace({"worker": AGENT, "user": AGENT})


def reading_list(found: pl.DataFrame) -> pl.DataFrame:
    """The interactions of `tallies.worth_reading` as a page lists them."""
    return found.with_columns(_said("cause", cause_label))


def largest_units(units: pl.DataFrame, *, most: int = 400) -> pl.DataFrame:
    """Those *units* of `rates.funnel` that a chart has room for: outliers first, then by size."""
    kept = units.sort("is_outlier", "exposure", "unit", descending=[True, True, False]).head(most)
    return kept.sort("exposure", "unit", descending=[True, False])


MOST_GAPS = 400
"""Gaps between duplicates up to which each is drawn; of more, the longest that ended on each day."""


def longest_gaps(gaps: pl.DataFrame) -> pl.DataFrame:
    """The *gaps* of `rates.time_between` that a chart has room for, by time."""
    if gaps.height <= MOST_GAPS:
        return gaps
    day = pl.col("date").dt.date()
    return gaps.sort("value", descending=True).unique(day, keep="first", maintain_order=True).sort("date")


def about(analyses: Sequence[Analysis], fix_id: str = "") -> Analysis | None:
    """The analysis of *fix_id*; without one, the newest fix with an estimate, else the newest."""
    if fix_id:
        return next((one for one in analyses if one.fix.fix_id == fix_id), None)
    estimated = [one for one in analyses if np.isfinite(one.current["rr"])]
    return max(estimated or analyses, key=lambda one: one.fix.deployed_at, default=None)


def forest(effects: pl.DataFrame) -> pl.DataFrame:
    """The fixes of an `effects` table for `charts.forest`."""
    return effects.select(
        label="title", rr="rr", lo="rr_lo", hi="rr_hi", verdict=_said("verdict", verdict_label)
    ).filter(pl.col("rr").is_finite() & (pl.col("rr") > 0))


def counterfactual(one: Analysis | None) -> pl.DataFrame:
    """Observed and expected duplicates around one fix, for `charts.counterfactual`."""
    from flexkit.analyse.effects import COUNTERFACTUAL
    from flexkit.analyse.effects import counterfactual as of

    days = pl.DataFrame(schema=COUNTERFACTUAL) if one is None else of(one)
    phases = {"before": "before", "after": "after", "washout": "ramp", "selection": "dropped", "excluded": "excluded"}
    counted = days.filter(pl.col("side") != "excluded")["date"]
    return days.filter(pl.col("date").is_between(counted.min(), counted.max())).select(
        "date",
        observed=pl.when(pl.col("side") != "excluded").then("events"),
        expected="expected",
        lower="low",
        upper="high",
        phase=pl.col("side").replace_strict(phases, return_dtype=pl.String),
        avoided="avoided",
        avoided_lower="avoided_low",
        avoided_upper="avoided_high",
    )


def placebo(one: Analysis | None) -> pl.DataFrame:
    """The step at the fix and at dates on which nothing was changed, for `charts.placebo`."""
    if one is None:
        return pl.DataFrame(schema={"date": pl.Date, "ratio": pl.Float64, "is_fix": pl.Boolean})
    return one.placebo.frame(one.around.day).select("date", ratio=pl.col("log_rr").exp(), is_fix="is_fix")


def residuals(one: Analysis | None) -> pl.DataFrame:
    """What the fitted model left over each day, in standard errors, for `charts.residuals`."""
    fitted = None if one is None else one.fitted
    if fitted is None:
        return pl.DataFrame(schema={"date": pl.Date, "residual": pl.Float64})
    mean = np.maximum(fitted.expected * np.where(fitted.after, np.exp(fitted.log_rr), 1.0), 1e-9)
    left = (fitted.series.events - mean) / np.sqrt(max(fitted.dispersion.phi, 1.0) * mean)
    return pl.DataFrame({"date": fitted.series.dates.cast(pl.Date), "residual": left})


def compared(checked: pl.DataFrame, effects: pl.DataFrame) -> pl.DataFrame:
    """Predicted and realised ratio of each fix (`replay.calibration`), for `charts.predicted_and_realised`."""
    titles = effects.select("fix_id", label="title")
    return checked.join(titles, on="fix_id", how="inner", maintain_order="left").select(
        "label",
        # Where evidence is incomplete only bounds are predicted: their middle stands for them.
        predicted=pl.coalesce("predicted_rr", (pl.col("predicted_rr_lo") * pl.col("predicted_rr_hi")).sqrt()),
        predicted_lo="predicted_rr_lo",
        predicted_hi="predicted_rr_hi",
        rr="rr",
        lo="rr_low",
        hi="rr_high",
        verdict=pl.col("verdict").str.replace_all("_", " "),
    )


def balances(effects: pl.DataFrame) -> pl.DataFrame:
    """What may have become worse while duplicates fell: fix, measure, ratio, interval, as a page lists it."""
    if effects.is_empty():
        return pl.DataFrame(schema={"fix": pl.String, "measure": pl.String})
    rows = effects.select("title", "balancing").explode("balancing").drop_nulls("balancing").unnest("balancing")
    return rows.select(
        fix="title",
        measure=_said("measure", lambda name: _MEASURES.get(name, name)),
        ratio=pl.col("rr").fill_nan(None),
        at_least=pl.when(pl.col("rr").is_not_nan()).then("lo"),
        at_most=pl.col("hi").fill_nan(None),
        # Without a ratio nothing can be said; "no" would say something.
        is_worse=pl.when(pl.col("rr").is_nan())
        .then(pl.lit("cannot tell: too few of them"))
        .when("is_worse")
        .then(pl.lit("yes"))
        .otherwise(pl.lit("no")),
    )


_MEASURES = {
    "left_open": "Interactions left open",
    "left_wrapping": "Tasks left wrapping up",
    "recontact": "Customers who came back",
}


def _said(column: str, say: Callable[[str], str]) -> pl.Expr:
    return pl.col(column).map_elements(say, return_dtype=pl.String).alias(column)


def lanes(lines: pl.DataFrame) -> pl.DataFrame:
    """A `timeline` for `charts.swimlanes`: sources by name, kinds as words, times as text."""
    return lines.select(
        "seconds", lane=_said("source", source_label), label=_KIND, role="role", handler=_WHO, clock=_CLOCK
    )


def evidence(lines: pl.DataFrame) -> pl.DataFrame:
    """A `timeline` as a page lists it, times to the millisecond."""
    return lines.select(
        _CLOCK.alias("time_(UTC)"),
        source=_said("source", source_label),
        what=_KIND,
        part="role",
        handler=_WHO,
        outcome="outcome",
        evidence="evidence_sid",
        trigger="trigger_id",
    )


_KIND = kind_words(pl.col("kind"))
_CLOCK = pl.col("occurred_at").dt.to_string("%Y-%m-%d %H:%M:%S%.3f")


def holes(uncovered: pl.DataFrame) -> pl.DataFrame:
    """Spans of `timeline.uncovered` for `charts.swimlanes`."""
    return uncovered.select("start", "end", lane=_said("source", source_label))


def rules(explained: pl.DataFrame) -> pl.DataFrame:
    """Every rule of `explain.explain`, those that hold first: cause, what it says, why it does not hold."""
    if explained.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(("holds", "cause", "what_it_says", "because", "rule"), pl.String))
    return explained.select(
        "holds", _said("cause", cause_label), what_it_says="sentence", because="because", rule="rule"
    ).sort("holds", descending=True, maintain_order=True)


def stands_out(found: pl.DataFrame, *, most: int = 12) -> pl.DataFrame:
    """What `standout.standout` found for duplicates of any cause, for `charts.stands_out`."""
    return (
        found.filter(pl.col("cause") == ANY_CAUSE)
        .sort("stands_out", "excess_low", descending=True)
        .head(most)
        .select(
            label=pl.format("{} {}", _DIMENSION, pl.col("value").str.replace(_SID, "$1…$2")),
            ratio="rr",
            lo="rr_low",
            hi="rr_high",
            events="events",
            exposure="interactions",
            is_significant="stands_out",
            compared_with="compared_with",
        )
        .filter(pl.col("ratio").is_finite() & (pl.col("ratio") > 0) & (pl.col("lo") > 0) & pl.col("hi").is_finite())
    )


_WORDS = pl.col("dimension").str.replace_all("_", " ").str.replace(" sid", "")
_DIMENSION = _WORDS.str.slice(0, 1).str.to_uppercase() + _WORDS.str.slice(1)
_SID = "^([A-Z]{2}[0-9a-f]{4})[0-9a-f]{24}([0-9a-f]{4})$"


def sources(trust: Trust) -> pl.DataFrame:
    """What is held of each source, how new it is, and where it falls short, as a page lists it."""
    short = trust.shortfalls.group_by("source").agg(falls_short=pl.format("{} ({})", "state", "windows").str.join(", "))
    return trust.sources.join(short, on="source", how="left", maintain_order="left").select(
        _said("source", source_label),
        "signals",
        newest="last_at",
        days_held=pl.col("held_days").round(1),
        days_of_gaps=pl.col("gap_days").round(1),
        falls_short="falls_short",
    )


def most_worth_reading(causes: pl.DataFrame, window: Window) -> str:
    """The first interaction of the reading list of *window*; "" where there is none."""
    inside = causes.filter(pl.col("occurred_at").is_between(window.start, window.end, closed="left"))
    found = worth_reading(inside, most=1)["interaction_sid"].to_list()
    return str(found[0]) if found else ""
