"""Daily counts in a zone's own days, breakdowns, the rates table, and what makes a rate doubtful."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import rates
from flexkit.errors import SchemaError, UsageError
from flexkit.tables.schema import INSTANT, SIDS

BERLIN = "Europe/Berlin"


def completed(*rows: tuple[str, str, str], source: str = "taskrouter") -> pl.DataFrame:
    """Completed interactions: id, channel type, instant; all first closed by a handler named like the channel."""
    return pl.DataFrame(
        {
            "interaction_sid": [row[0] for row in rows],
            "channel_type": [row[1] for row in rows],
            "first_closed_at": [dt.datetime.fromisoformat(row[2]).astimezone(dt.UTC) for row in rows],
            "first_source": [source] * len(rows),
            "first_handler": [f"{row[1]}-hook" for row in rows],
        },
        schema_overrides={"first_closed_at": INSTANT, "interaction_sid": pl.String, "channel_type": pl.String},
    )


def twice(*rows: tuple[str, str, str | None], alerts: int = 1) -> pl.DataFrame:
    """Duplicates: id, instant, handler; each with that many alerts."""
    return pl.DataFrame(
        {
            "interaction_sid": [row[0] for row in rows],
            "second_at": [dt.datetime.fromisoformat(row[1]).astimezone(dt.UTC) for row in rows],
            "second_handler": [row[2] for row in rows],
            "alert_sids": [[f"NO{number}" for number in range(alerts)]] * len(rows),
        },
        schema_overrides={
            "second_at": INSTANT, "alert_sids": SIDS, "second_handler": pl.String, "interaction_sid": pl.String
        },
    )  # fmt: skip


def centre(days: int = 60, per_day: int = 40, share: float = 0.1, seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A small centre: *per_day* interactions a day from 2 March 2026, a share of them completed twice."""
    rng = np.random.default_rng(seed)
    size = days * per_day
    start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    closed = [start + dt.timedelta(minutes=float(minute)) for minute in np.sort(rng.uniform(0, days * 1440, size))]
    done = pl.DataFrame(
        {
            "interaction_sid": [f"KD{number:032x}" for number in range(size)],
            "channel_type": rng.choice(["web", "sms"], size, p=[0.7, 0.3]),
            "first_closed_at": closed,
            "first_source": "taskrouter",
            "first_handler": rng.choice(["a", "b"], size),
        },
        schema_overrides={"first_closed_at": INSTANT},
    )
    again = done.filter(pl.Series(rng.random(size) < share)).select(
        "interaction_sid",
        second_at=pl.col("first_closed_at") + dt.timedelta(seconds=9),
        second_handler=pl.lit("sweeper"),
        alert_sids=pl.lit(["NO1"]),
    )
    return done, again


def test_an_interaction_counts_once_however_often_it_was_completed() -> None:
    done = completed(("KD1", "web", "2026-03-02T10:00Z"), ("KD2", "web", "2026-03-02T11:00Z"))
    again = twice(("KD1", "2026-03-02T10:01Z", "x"), ("KD1", "2026-03-02T10:02Z", "y"), alerts=2)

    counts = rates.daily_counts(done, again)

    row = counts.row(0, named=True)
    assert (row["events"], row["exposure"], row["duplicates"], row["warnings"]) == (1, 2, 2, 4)


def test_days_are_those_of_the_centres_own_zone() -> None:
    # 23:30 UTC is half past midnight in Berlin in winter.
    done = completed(("KD1", "web", "2026-03-01T23:30Z"), ("KD2", "web", "2026-03-02T12:00Z"))

    berlin = rates.daily_counts(done, twice(), tz=BERLIN)
    utc = rates.daily_counts(done, twice(), tz="UTC")

    assert berlin["date"].to_list() == [dt.date(2026, 3, 2)]
    assert utc["exposure"].to_list() == [1, 1]


def test_days_of_a_change_of_clocks_have_23_and_25_hours() -> None:
    spring = completed(("KD1", "web", "2026-03-28T12:00Z"), ("KD2", "web", "2026-03-30T12:00Z"))
    autumn = completed(("KD1", "web", "2026-10-24T12:00Z"), ("KD2", "web", "2026-10-26T12:00Z"))

    assert rates.daily_counts(spring, twice(), tz=BERLIN)["hours"].to_list() == [24.0, 23.0, 24.0]
    assert rates.daily_counts(autumn, twice(), tz=BERLIN)["hours"].to_list() == [24.0, 25.0, 24.0]


def test_a_zone_whose_clocks_change_at_midnight_has_its_day() -> None:
    # In Beirut clocks went from 0:00 to 1:00 on 31 March 2024: that midnight does not exist.
    done = completed(("KD1", "web", "2024-03-30T12:00Z"), ("KD2", "web", "2024-04-01T12:00Z"))

    counts = rates.daily_counts(done, twice(), tz="Asia/Beirut")

    assert counts["hours"].to_list() == [24.0, 23.0, 24.0]


def test_days_in_between_count_zero_and_the_newest_is_partial() -> None:
    done = completed(("KD1", "web", "2026-03-02T10:00Z"), ("KD2", "web", "2026-03-05T18:00Z"))

    counts = rates.daily_counts(done, twice())

    assert counts["exposure"].to_list() == [1, 0, 0, 1]
    assert counts["is_partial"].to_list() == [False, False, False, True]
    assert counts["completeness"][-1] == pytest.approx(0.75)


def test_a_day_that_a_source_does_not_cover_is_a_gap_not_a_zero() -> None:
    done, again = centre(days=5)
    day = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    coverage = pl.DataFrame(
        {
            "source": ["debugger", "debugger", "taskrouter"],
            "start": [day, day + dt.timedelta(days=3), day],
            "end": [day + dt.timedelta(days=2), day + dt.timedelta(days=5), day + dt.timedelta(days=5)],
            "state": ["complete"] * 3,
        }
    )

    counts = rates.daily_counts(done, again, coverage=coverage, until=day + dt.timedelta(days=5))

    assert counts["is_gap"].to_list() == [False, False, True, False, False]
    assert rates.overall(counts).days == 4


def test_adding_up_dimensions_counts_no_interaction_twice() -> None:
    done, again = centre(days=20)
    whole = rates.daily_counts(done, again)
    fine = rates.daily_counts(done, again, by=["channel_type", "first_handler", "handler"])

    for keep in ([], ["channel_type"], ["handler"]):
        folded = rates.collapse(rates.collapse(fine, keep))
        assert folded.select("date", "events", "exposure").equals(whole.select("date", "events", "exposure"))


def test_a_handler_that_completes_twice_is_held_against_all_completed_interactions() -> None:
    done, again = centre(days=20)
    counts = rates.daily_counts(done, again, by=["handler"])

    units = rates.by_unit(counts, "handler")

    assert units["unit"].to_list() == ["sweeper"]
    assert units["exposure"][0] == pytest.approx(rates.overall(rates.daily_counts(done, again)).exposure)


def test_causes_break_the_events_down() -> None:
    done, again = centre(days=20)
    causes = again.select("interaction_sid", occurred_at="second_at", cause=pl.lit("duplicate_processing"))

    counts = rates.daily_counts(done, again, by=["cause"], causes=causes)

    assert counts.filter(pl.col("cause") == "duplicate_processing")["events"].sum() == again.height


def test_with_alerts_alone_there_are_counts_but_no_rate() -> None:
    done = completed(("KD1", "web", "2026-03-02T10:00Z"), ("KD2", "web", "2026-03-03T10:00Z"), source="debugger")
    again = twice(("KD1", "2026-03-02T10:00Z", None), ("KD2", "2026-03-03T10:00Z", None))

    counts = rates.daily_counts(done, again)
    found = rates.overall(counts)

    assert not rates.has_denominator(done)
    assert counts["estimand"].unique().to_list() == ["count"]
    assert counts["exposure"].to_list() == [24.0, 24.0]
    assert "counts_only" in found.flags


def test_no_evidence_gives_no_days() -> None:
    empty = completed()

    counts = rates.daily_counts(empty, twice(), by=["channel_type"])

    assert counts.height == 0
    assert {"date", "channel_type", "events", "exposure", "is_gap"} <= set(counts.columns)
    assert math.isnan(rates.overall(counts).rate)
    assert rates.rates_table(counts, unit="channel_type").height == 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"tz": "Berlin"}, UsageError, "not an IANA time zone"),
        ({"by": ["team"]}, SchemaError, "no column team"),
        ({"by": ["cause"]}, UsageError, "needs the causes"),
        ({"until": dt.datetime(2026, 3, 9)}, UsageError, "no time zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_counted_is_refused(options: dict[str, object], error: type[Exception], words: str) -> None:
    done, again = centre(days=3)
    with pytest.raises(error, match=words):
        rates.daily_counts(done, again, **options)


def test_clustered_days_widen_the_process_interval_but_not_the_descriptive_one() -> None:
    dates = pl.date_range(dt.date(2026, 3, 2), dt.date(2026, 4, 12), eager=True)
    even = pl.DataFrame({"date": dates, "events": [10] * 42, "exposure": 1000.0})
    clustered = even.with_columns(events=pl.Series([2, 18] * 21))

    calm, wild = rates.overall(even), rates.overall(clustered)

    assert calm.phi == 1
    assert wild.phi > 5
    assert wild.hi - wild.lo > 2 * (calm.hi - calm.lo)
    assert (wild.described_lo, wild.described_hi) == (calm.described_lo, calm.described_hi)


def test_days_that_resemble_their_neighbours_widen_it_further() -> None:
    dates = pl.date_range(dt.date(2026, 3, 2), dt.date(2026, 4, 12), eager=True)
    alternating = pl.DataFrame({"date": dates, "events": [5, 15] * 21, "exposure": 1000.0})
    in_blocks = alternating.with_columns(events=pl.Series(([5] * 7 + [15] * 7) * 3))

    assert rates.overall(in_blocks).vif > 2 > rates.overall(alternating).vif


def test_no_event_is_an_upper_bound_and_never_certain() -> None:
    dates = pl.date_range(dt.date(2026, 3, 2), dt.date(2026, 3, 29), eager=True)
    found = rates.overall(pl.DataFrame({"date": dates, "events": 0, "exposure": 100.0}))

    assert (found.rate, found.lo) == (0.0, 0.0)
    assert found.hi > 0.001
    assert found.rule_of_three == pytest.approx(3 / 2800)
    assert {"no_events", "phi_borrowed"} <= set(found.flags)


def test_an_incident_is_named_and_set_aside() -> None:
    dates = pl.date_range(dt.date(2026, 3, 2), dt.date(2026, 3, 29), eager=True)
    events = [10] * 28
    events[12] = 95
    found = rates.overall(pl.DataFrame({"date": dates, "events": events, "exposure": 1000.0}))

    assert found.incident_days == 1
    assert found.without_incidents == pytest.approx(0.01)


def test_warnings_have_a_rate_of_their_own() -> None:
    done = completed(*[(f"KD{n}", "web", f"2026-03-{n + 1:02d}T10:00Z") for n in range(1, 11)])
    again = twice(("KD1", "2026-03-02T10:01Z", "x"), ("KD2", "2026-03-03T10:01Z", "x"), alerts=9)

    found = rates.overall(rates.daily_counts(done, again), estimand="warn_rate")

    assert found.rate == pytest.approx(18 / 9)


def test_a_lone_unit_far_off_is_an_outlier_of_the_funnel() -> None:
    dates = pl.date_range(dt.date(2026, 3, 2), dt.date(2026, 3, 29), eager=True)
    units = [(name, 10 if name != "h" else 60) for name in "abcdefgh"]
    counts = pl.concat(
        pl.DataFrame({"date": dates, "channel_type": name, "events": events, "exposure": 1000.0})
        for name, events in units
    )

    found = rates.funnel(counts, "channel_type")

    assert found.filter("is_outlier")["unit"].to_list() == ["h"]


def test_hours_of_the_week_are_local_and_complete() -> None:
    done = completed(("KD1", "web", "2026-03-01T23:30Z"), ("KD2", "web", "2026-03-02T00:10Z"))
    cells = rates.hour_week(done, twice(("KD1", "2026-03-02T10:00Z", "x")), tz=BERLIN)

    assert cells.height == 168
    monday_at_zero = cells.filter(pl.col("weekday") == 1, pl.col("hour") == 0).row(0, named=True)
    assert (monday_at_zero["events"], monday_at_zero["exposure"], monday_at_zero["is_sparse"]) == (1, 1, True)
    assert cells["rate"].null_count() == 166


def test_the_hour_that_the_clocks_repeat_is_one_hour() -> None:
    done = completed(("KD1", "web", "2026-10-25T00:30Z"), ("KD2", "web", "2026-10-25T01:30Z"))

    cells = rates.hour_week(done, twice(), tz=BERLIN)

    assert cells.filter(pl.col("weekday") == 7, pl.col("hour") == 2)["exposure"].item() == 2


def test_young_cohorts_are_not_mature() -> None:
    done = completed(*[(f"KD{n}", "web", f"2026-03-{n:02d}T10:00Z") for n in range(1, 11)])
    again = twice(*[(f"KD{n}", f"2026-03-{n + 2:02d}T10:00Z", "job") for n in range(1, 6)])

    found = rates.cohorts(done, again, now=dt.datetime(2026, 3, 11, tzinfo=dt.UTC))

    assert found.filter(pl.col("date") == dt.date(2026, 3, 3))["events"].item() == 1
    assert found.filter(~pl.col("is_mature"))["date"].min() == dt.date(2026, 3, 9)


def test_warnings_per_affected_interaction() -> None:
    again = twice(
        ("KD1", "2026-03-02T10:00Z", "x"), ("KD1", "2026-03-02T11:00Z", "x"), ("KD2", "2026-03-02T12:00Z", "x")
    )

    found = rates.multiplicity(again)

    assert (found.interactions, found.mean) == (2, 1.5)
    assert found.lo <= 1.5 <= found.hi
    assert math.isnan(rates.multiplicity(twice()).mean)


def test_time_between_needs_three_instants() -> None:
    two = twice(("KD1", "2026-03-02T10:00Z", "x"), ("KD2", "2026-03-05T10:00Z", "x"))
    three = pl.concat([two, twice(("KD3", "2026-03-06T10:00Z", "x"))])

    assert rates.time_between(two).height == 0
    assert rates.time_between(three)["value"].to_list() == [3.0, 1.0]


def test_completeness_by_age_is_recovered_from_lags() -> None:
    rng = np.random.default_rng(2)
    now = dt.datetime(2026, 3, 31, tzinfo=dt.UTC)
    occurred = now - np.array([dt.timedelta(hours=float(age)) for age in rng.uniform(0, 480, 20_000)])
    lag = rng.exponential(6.0, 20_000)
    recorded = [moment + dt.timedelta(hours=float(hours)) for moment, hours in zip(occurred, lag, strict=True)]
    records = pl.DataFrame({"generated_at": list(occurred), "created_at": recorded})

    curve = rates.completeness(records, now=now)

    for hours in (3, 6, 12, 24):
        share = curve.filter(pl.col("age_hours") == hours)["share"].item()
        assert share == pytest.approx(1 - math.exp(-hours / 6), abs=0.02)


def test_days_whose_records_have_not_all_arrived_are_partial() -> None:
    done, again = centre(days=5)
    curve = pl.DataFrame({"age_hours": [0.0, 12.0, 36.0], "share": [0.7, 0.9, 1.0]})
    end = dt.datetime(2026, 3, 7, tzinfo=dt.UTC)

    counts = rates.daily_counts(done, again, arrival=curve, until=end)

    assert counts["is_partial"].to_list() == [False, False, False, True, True]
    assert counts["completeness"].to_list() == pytest.approx([1, 1, 1, 0.95, 0.7])


def test_completeness_without_both_instants_is_empty() -> None:
    assert (
        rates.completeness(pl.DataFrame({"generated_at": []}), now=dt.datetime(2026, 3, 31, tzinfo=dt.UTC)).height == 0
    )


def test_the_rates_table_has_a_row_per_day_and_unit() -> None:
    done, again = centre()
    counts = rates.daily_counts(done, again, by=["channel_type"])

    table = rates.rates_table(counts, unit="channel_type")

    assert table.schema == pl.Schema(rates.RATES)
    assert table.group_by("unit").len().sort("unit").rows() == [("all", 60), ("sms", 60), ("web", 60)]
    last = table.filter(pl.col("unit") == "all").row(-1, named=True)
    assert last["is_partial"]
    assert last["limit_hi"] is None
    assert (table.filter(pl.col("lo").is_not_null()).select((pl.col("lo") <= pl.col("rate")).all())).item()


@pytest.mark.parametrize(("days", "share", "chart"), [(60, 0.1, "nb"), (20, 0.1, "p_prime"), (60, 0.01, "cusum")])
def test_the_data_choose_the_chart(days: int, share: float, chart: str) -> None:
    done, again = centre(days=days, share=share)

    table = rates.rates_table(rates.daily_counts(done, again))

    assert table["chart"].unique().to_list() == [chart]


def test_limits_come_from_the_days_before_the_first_fix() -> None:
    done, again = centre()
    fixes = pl.DataFrame({"fix_id": ["f"], "deployed_at": [dt.datetime(2026, 4, 10, 9, tzinfo=dt.UTC)]})

    table = rates.rates_table(rates.daily_counts(done, again), fixes=fixes)

    base = table.filter("is_baseline")
    assert base["bucket_start"].max() == dt.date(2026, 4, 9)
    assert table.filter(pl.col("bucket_start") >= dt.date(2026, 4, 10))["phase"].unique().to_list() == [1]


def test_a_stable_process_is_called_stable_and_a_moved_one_moved() -> None:
    done, again = centre(days=70)
    calm = rates.stability(rates.rates_table(rates.daily_counts(done, again)))
    late = again.filter(pl.col("second_at") < dt.datetime(2026, 4, 6, tzinfo=dt.UTC))
    fixes = pl.DataFrame(
        {"fix_id": ["guard"], "title": ["Check first"], "deployed_at": [dt.datetime(2026, 4, 5, 9, tzinfo=dt.UTC)]}
    )
    counts = rates.daily_counts(done, pl.concat([late, again.filter(pl.col("second_at").dt.day() == 20)]))
    moved = rates.stability(rates.rates_table(counts, fixes=fixes), fixes=fixes)

    assert calm.state == "stable"
    assert moved.state == "moved"
    assert moved.moves[0].on == dt.date(2026, 4, 6)
    assert moved.moves[0].fixes == ("Check first",)
    assert moved.level < calm.level / 2


def test_a_drift_is_one_finding_though_limits_are_crossed_meanwhile() -> None:
    rng = np.random.default_rng(1)
    days = pl.date_range(dt.date(2026, 1, 5), dt.date(2026, 4, 4), eager=True)
    levels = np.where(np.arange(90) < 60, 10, 22)
    counts = pl.DataFrame({"date": days, "events": rng.poisson(levels), "exposure": 1000.0})

    signals = [rule for _, rule in rates.stability(rates.rates_table(counts)).signals]

    assert signals.count("high") > 10
    assert signals.count("drift_high") <= 1


def test_stability_of_too_few_days_is_undecided() -> None:
    done, again = centre(days=10)

    assert rates.stability(rates.rates_table(rates.daily_counts(done, again))).state == "undecided"


def test_a_rise_of_a_rare_event_raises_the_cusum() -> None:
    from flexkit.analyse.rates.series import read_series
    from flexkit.analyse.rates.sparse import cusum

    rng = np.random.default_rng(5)
    dates = pl.date_range(dt.date(2026, 1, 5), dt.date(2026, 6, 3), eager=True)
    events = np.concatenate([rng.poisson(0.3, 100), rng.poisson(1.5, 50)])
    series = read_series(pl.DataFrame({"date": dates, "events": events, "exposure": 100.0}))

    chart = cusum(series, np.arange(150) < 100)

    assert not chart["is_signal"][:100].any()
    assert chart["is_signal"][100:120].any()


def test_weekly_limits_use_whole_weeks_only() -> None:
    done, again = centre(days=40)

    chart = rates.weekly_chart(rates.daily_counts(done, again))

    assert chart.height == 5
    assert chart["date"][1] - chart["date"][0] == dt.timedelta(days=7)
