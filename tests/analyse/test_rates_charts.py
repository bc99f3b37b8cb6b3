"""Control charts: textbook limits, signals, baselines, and data that no chart can use."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import rates
from flexkit.analyse.rates.expected import binomial_quantile, count_limits, tail_below
from flexkit.errors import SchemaError, UsageError
from tests.analyse.reference import held, own


def days(events: list[float], exposure: list[float] | float = 1.0, first: str = "2026-03-02") -> pl.DataFrame:
    start = dt.date.fromisoformat(first)
    dates = pl.date_range(start, start + dt.timedelta(days=len(events) - 1), eager=True)
    return pl.DataFrame({"date": dates, "events": events}).with_columns(
        exposure=pl.Series(exposure) if isinstance(exposure, list) else pl.lit(exposure)
    )


def test_c_chart_of_400_defects_in_25_wafers() -> None:
    chart = rates.control_chart(days([16.0] * 25), kind="c")

    assert chart.select("centre", "lower", "upper").row(0) == pytest.approx((16, 4, 28), abs=1e-9)


def test_individuals_agree_with_the_flow_rates_of_the_nist_handbook() -> None:
    flow = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]

    chart = rates.control_chart(days(flow), kind="xmr")

    assert chart.select("centre", "lower", "upper").row(0) == pytest.approx((50.81, 45.8159, 55.8041), abs=5e-5)


def test_individuals_of_twenty_normal_draws() -> None:
    series = own("rnorm20.csv", try_parse_dates=True).select("date", events="y")

    chart = rates.control_chart(series, kind="xmr")

    mean, moving = 0.1416238, 1.1853396
    assert chart.select("centre", "lower", "upper").row(0) == pytest.approx(
        (mean, mean - 3 * moving / 1.128, mean + 3 * moving / 1.128), abs=1e-5
    )


def test_p_chart_agrees_with_montgomery_7_1() -> None:
    table = held("montgomery_tbl_07_03.csv").select(
        date=pl.col("sample").cast(pl.Int64), events="count", exposure="size"
    )

    trial = rates.control_chart(table, kind="p", baseline=30)
    revised = rates.control_chart(
        table.head(30).with_columns(is_base=~pl.col("date").is_in([15, 23])), kind="p", baseline="is_base"
    )

    assert trial.select("centre", "upper", "lower").row(0) == pytest.approx((0.2313, 0.4102, 0.0524), abs=5e-5)
    assert trial.head(30).filter("is_signal")["date"].to_list() == [15, 23]
    assert revised.select("centre", "upper", "lower").row(0) == pytest.approx((0.2150, 0.3893, 0.0407), abs=5e-5)


def test_laney_chart_agrees_with_the_nhs_four_hour_waits() -> None:
    table = held("nhs_accidents.csv").select(date="i", events="r", exposure="n")

    plain = rates.control_chart(table, kind="p")
    laney = rates.control_chart(table, kind="p_prime")

    assert laney.select("centre", "lower", "upper").row(0) == pytest.approx((0.952900, 0.940130, 0.965670), abs=1e-6)
    assert (plain["is_signal"].sum(), laney["is_signal"].sum()) == (16, 0)


def test_u_chart_of_dyed_cloth_has_limits_that_follow_the_length() -> None:
    # Montgomery, table 7.11: defects on rolls of different length, per 50 square metres.
    metres = [500, 400, 650, 500, 475, 500, 600, 525, 600, 625]
    defects = [14, 12, 20, 11, 7, 10, 21, 16, 19, 23]

    chart = rates.control_chart(days(defects, [m / 50 for m in metres]), kind="u")

    assert chart["centre"][0] == pytest.approx(153 / 107.5)
    assert chart.select("lower", "upper").row(1) == pytest.approx((0.158, 2.689), abs=5e-4)


def test_t_chart_of_valve_failures_has_montgomerys_centre() -> None:
    hours = [286, 948, 536, 124, 816, 729, 4, 143, 431, 8, 2837, 596, 81, 227, 603, 492, 1199, 1214, 2831, 96]

    chart = rates.control_chart(days(hours), kind="t")

    assert chart["centre"][0] ** (1 / 3.6) == pytest.approx(5.386, abs=0.005)
    assert chart["lower"][0] == 0
    assert not chart["is_signal"].any()


def test_screening_leaves_out_a_moving_range_that_is_itself_a_signal() -> None:
    series = days([10.0, 11, 10, 11, 10, 40, 10, 11, 10, 11])

    plain = rates.control_chart(series, kind="xmr")
    screened = rates.control_chart(series, kind="xmr", screened=True)

    assert screened["upper"][0] < plain["upper"][0]
    assert 40.0 in screened.filter("is_signal")["value"].to_list()


def test_sparse_laney_limits_are_never_tighter_than_binomial_ones() -> None:
    events = [0, 1] * 20

    laney = rates.control_chart(days(events, 50.0), kind="u_prime")

    assert laney["sigma_z"][0] >= 1


def test_a_day_without_exposure_or_count_has_no_value_and_no_signal() -> None:
    series = days([5.0, math.nan, 4.0, 6.0], [100.0, 100.0, 0.0, 100.0])

    chart = rates.control_chart(series, kind="p")

    assert chart["value"].to_list() == [0.05, None, None, 0.06]
    assert not chart["is_signal"].any()
    assert chart["centre"][0] == pytest.approx(11 / 200)


def test_rows_may_come_in_any_order_and_lazily() -> None:
    series = days([3.0, 5, 4, 6, 20, 5], 100.0).with_columns(is_base=pl.col("events") < 10)

    shuffled = series.sample(fraction=1, shuffle=True, seed=3)

    expected = rates.control_chart(series, kind="p", baseline="is_base")
    assert rates.control_chart(shuffled.lazy(), kind="p", baseline="is_base").equals(expected)


def test_the_expected_value_chart_knows_weekdays() -> None:
    weekdays = [40.0, 42, 41, 39, 40, 12, 8]
    calm = days(weekdays * 8, 1000.0)

    chart = rates.control_chart(calm, kind="nb")

    assert not chart["is_signal"].any()
    assert chart["centre"][5] == pytest.approx(0.012, rel=0.05)


def test_the_expected_value_chart_sees_a_day_that_is_far_too_high() -> None:
    series = days([30.0, 33, 28, 31, 29, 30, 32] * 6 + [90.0], 1000.0)

    chart = rates.control_chart(series, kind="nb", baseline=42)

    assert chart.filter("is_signal")["value"].to_list() == [0.09]


def test_an_expected_value_chart_without_events_has_no_limits() -> None:
    chart = rates.control_chart(days([0.0] * 40, 100.0), kind="nb")

    assert chart["upper"].null_count() == 40
    assert not chart["is_signal"].any()


def test_limits_of_a_count_are_exactly_where_the_tail_falls_below() -> None:
    mean, alpha = np.array([3.0, 30.0, 300.0, 30.0]), np.array([0.0, 0.0, 0.1, 0.1])

    low, high = count_limits(mean, alpha, 0.00135)

    assert (1 - tail_below(high, mean, alpha) <= 0.00135).all()
    assert (1 - tail_below(high - 1, mean, alpha) > 0.00135).all()
    assert (tail_below(low, mean, alpha) > 0.00135).all()
    assert (tail_below(low - 1, mean, alpha) <= 0.00135).all()


def test_negative_binomial_tails_agree_with_scipy() -> None:
    from scipy import stats

    counts, mean, alpha = np.arange(0.0, 60.0), np.full(60, 20.0), np.full(60, 0.15)

    expected = stats.nbinom.cdf(counts, 1 / 0.15, 1 / (1 + 0.15 * 20))

    assert np.allclose(tail_below(counts, mean, alpha), expected)


def test_anhoej_rules_count_runs_and_crossings() -> None:
    calm = rates.runs_rules(np.array([1.0, -1] * 10), np.zeros(20))
    shifted = rates.runs_rules(np.array([1.0] * 10 + [-1.0] * 10), np.zeros(20))

    assert not calm.is_signal
    assert (shifted.longest_run, shifted.longest_run_max, shifted.crossings, shifted.is_signal) == (10, 7, 1, True)
    assert (shifted.start, shifted.end) == (0, 9)


def test_crossings_minimum_is_the_binomial_quantile() -> None:
    from scipy import stats

    assert [binomial_quantile(0.05, n) for n in range(60)] == [int(stats.binom.ppf(0.05, n, 0.5)) for n in range(60)]


def test_values_on_the_centre_are_no_runs() -> None:
    assert not rates.runs_rules(np.zeros(12), np.zeros(12)).is_signal


@pytest.mark.parametrize(
    ("series", "options", "error", "words"),
    [
        (days([1.0]).drop("events"), {}, SchemaError, "no column events"),
        (days([1.0]).drop("exposure"), {}, SchemaError, "no column exposure"),
        (days([1.0, 2]).with_columns(date=pl.lit(dt.date(2026, 1, 1))), {}, UsageError, "several rows"),
        (days([1.0]).with_columns(date=pl.lit(None, pl.Date)), {}, UsageError, "without a date"),
        (days([1.0]).with_columns(date=pl.lit("last Tuesday")), {}, SchemaError, "not ISO dates"),
        (days([-1.0], 10.0), {}, UsageError, "negative count"),
        (days([1.0], -10.0), {}, UsageError, "negative exposure"),
        (days([11.0], 10.0), {}, UsageError, "more events than exposure"),
        (days([0.0, 1.0]), {"kind": "t"}, UsageError, "above zero"),
        (days([1.0]), {"kind": "cusum"}, UsageError, "Unknown chart"),
        (days([1.0], 9.0), {"baseline": "calm"}, SchemaError, "not in the series"),
        (days([1.0], 9.0), {"baseline": 0}, UsageError, "at least one"),
        (days([1.0, 1], 9.0), {"baseline": [True]}, UsageError, "every row"),
        (days([1.0, 1], 0.0), {}, UsageError, "No bucket of the baseline"),
    ],
)
def test_what_no_chart_can_use_is_refused(
    series: pl.DataFrame, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        rates.control_chart(series, **options)
