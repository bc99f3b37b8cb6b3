"""Sentences about fixes: from the effects table of small worlds, harm before help, doubt before both."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import effects
from flexkit.present import charts, frames, words
from flexkit.report.drawing import draw
from flexkit.terms import Verdict

if TYPE_CHECKING:
    from flexkit.present.answer import Answer

START = dt.date(2026, 6, 1)


def daily(before: float, after: float, *, days: int = 120, change: int = 60, seed: int = 3) -> pl.DataFrame:
    """Daily counts that go from one share of 600 to another on day *change*."""
    rng = np.random.default_rng(seed)
    shares = np.where(np.arange(days) < change, before, after)
    return pl.DataFrame(
        {"date": [START + dt.timedelta(days=n) for n in range(days)], "events": rng.binomial(600, shares),
         "exposure": [600.0] * days}
    )  # fmt: skip


def fixes(*days: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"fix_id": f"fix-{day}", "title": f"Fix of day {day}", "kind": "check_status_first", "ramp_hours": 4.0,
             "deployed_at": dt.datetime.combine(START, dt.time(9), dt.UTC) + dt.timedelta(days=day),
             "channel_types": [], "handlers": []}
            for day in days
        ],
        schema={"fix_id": pl.String, "title": pl.String, "kind": pl.String, "ramp_hours": pl.Float64,
                "deployed_at": pl.Datetime("us", "UTC"), "channel_types": pl.List(pl.String),
                "handlers": pl.List(pl.String)},
    )  # fmt: skip


def answered(counts: pl.DataFrame, declared: pl.DataFrame) -> Answer:
    return words.fixes(effects.effects(counts, declared))


def test_without_a_fix_there_is_nothing_to_judge() -> None:
    answer = answered(daily(0.03, 0.03), fixes())

    assert answer.verdict == Verdict.UNDECIDED
    assert "fixes.toml" in answer.action


def test_a_fix_that_helped_says_by_how_much_at_least_and_on_what_it_rests() -> None:
    answer = answered(daily(0.04, 0.015), fixes(60))

    assert answer.verdict == Verdict.OK
    assert answer.headline.startswith("“Fix of day 60” helped, by at least ")
    assert "were expected (ratio" in answer.headline
    assert "It rests on" in answer.action
    assert "would have shown" in answer.action
    assert answer.metrics["fixes_helped"] == 1


def test_a_fix_that_harmed_is_a_breach() -> None:
    answer = answered(daily(0.015, 0.04), fixes(60))

    assert answer.verdict == Verdict.BREACH
    assert "made it worse" in answer.headline


def test_a_fix_of_yesterday_waits_for_a_dated_look() -> None:
    answer = answered(daily(0.04, 0.015), fixes(117))

    assert answer.verdict == Verdict.UNDECIDED
    assert answer.headline.startswith("Cannot tell")
    assert "fewer than 14 days" in answer.headline + answer.action


def test_none_afterwards_is_a_bound_and_never_fixed() -> None:
    answer = answered(daily(0.03, 0.0), fixes(60))

    assert "no duplicate in" in answer.headline
    assert "at most" in answer.headline
    assert answer.tiles[0].text.startswith("≥ −")


def test_none_afterwards_is_said_of_counts_without_a_denominator_too() -> None:
    counts = daily(0.03, 0.0).with_columns(exposure=24.0, estimand=pl.lit("count"))

    answer = answered(counts, fixes(60))

    assert "completed interactions" not in answer.headline
    assert "none of" not in answer.headline


@pytest.mark.parametrize("place", [-400, 400])
def test_a_fix_outside_the_data_is_undecided_with_the_reason(place: int) -> None:
    answer = answered(daily(0.03, 0.03), fixes(place))

    assert answer.verdict == Verdict.UNDECIDED
    assert answer.headline.startswith("Cannot tell whether “Fix of day")


def test_every_figure_of_a_fix_has_its_words_and_draws() -> None:
    counts, declared = daily(0.04, 0.015), fixes(60)
    table = effects.effects(counts, declared)
    one = frames.about(effects.analyse_all(counts, declared))
    days = frames.counterfactual(one)

    said = words.counterfactual(one, table, days)
    drawn = [
        charts.counterfactual(days, fixes=declared, title=said.title, subtitle=said.subtitle),
        charts.forest(frames.forest(table), title="t", subtitle="s"),
        charts.placebo(frames.placebo(one), title="t", subtitle="s"),
        charts.residuals(frames.residuals(one), title="t", subtitle="s"),
    ]

    assert all("<path" in draw(chart.to_dict()) for chart in drawn)
    assert "avoided" in said.title
    assert words.forest(table).title == "1 fix helped"
    assert "placebo date" in words.placebo(one, table).title
    assert "autocorrelation" in words.residuals(one, table).title


def test_a_fix_in_a_gap_has_no_rank_among_placebo_dates() -> None:
    counts = daily(0.04, 0.015).with_columns(is_gap=pl.int_range(120).is_between(98, 115))

    one = frames.about(effects.analyse_all(counts, fixes(95)))
    table = effects.effects(counts, fixes(95))

    assert one is not None
    assert one.placebo.count > 0
    assert words.placebo(one, table).title == "The fix has no step to hold against other dates"


def test_without_a_fix_every_figure_says_so() -> None:
    table = effects.effects(daily(0.03, 0.03), fixes())

    assert frames.about([]) is None
    assert words.counterfactual(None, table, frames.counterfactual(None)).title == "No fix to look at"
    assert words.forest(table).title == "No fix has an estimate"
    assert words.placebo(None, table).title.startswith("No placebo date")
    assert words.residuals(None, table).title == "No model was fitted"
    assert frames.placebo(None).is_empty()
    assert frames.residuals(None).is_empty()
    assert frames.balances(table).is_empty()


def test_the_fix_to_look_at_can_be_named() -> None:
    analyses = effects.analyse_all(daily(0.04, 0.02), fixes(40, 80))

    assert (first := frames.about(analyses, "fix-40")) is not None
    assert first.fix.fix_id == "fix-40"
    assert (newest := frames.about(analyses)) is not None
    assert newest.fix.fix_id == "fix-80"
    assert frames.about(analyses, "no-such-fix") is None
