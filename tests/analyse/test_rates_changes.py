"""Change points: published changes, their sets of dates, and series that have none."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import rates
from flexkit.errors import UsageError
from tests.analyse.reference import coal, held


def two_levels(first: float, second: float, *, size: int = 60, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    events = np.concatenate([rng.poisson(first, size), rng.poisson(second, size)])
    start = dt.date(2026, 1, 5)
    dates = pl.date_range(start, start + dt.timedelta(days=2 * size - 1), eager=True)
    return pl.DataFrame({"date": dates, "events": events, "exposure": 1000})


@pytest.mark.parametrize("penalty", ["default", "mbic", 20.0])
def test_coal_mining_disasters_have_one_change_after_1891(penalty: str | float) -> None:
    found = rates.change_points(coal(), penalty=penalty)

    assert found["date"].to_list() == [1892]
    assert found.select("rate_before", "rate_after").row(0) == pytest.approx((3.0976, 0.9014), abs=1e-4)
    # The set, as published (Carlin, Gelfand, Smith 1992), names the last year of the old level.
    assert found.select("low", "high").row(0) == (1886, 1896)


def test_the_set_of_a_sharp_change_holds_its_date() -> None:
    found = rates.change_points(two_levels(5, 60))

    assert found.select("low", "date", "high").row(0) == (dt.date(2026, 3, 5), dt.date(2026, 3, 6), dt.date(2026, 3, 6))


def test_the_nile_fell_in_1899() -> None:
    flow = held("rd_Nile.csv").select(date="time", events="value")

    found = rates.change_points(flow, family="normal")

    assert found["date"].to_list() == [1899]
    assert found.select("rate_before", "rate_after").row(0) == pytest.approx((1097.75, 849.9722), abs=1e-4)


def test_great_inventions_and_discoveries_agree_with_killick_and_eckley() -> None:
    series = held("rd_discoveries.csv").select(date="time", events="value")

    found = rates.change_points(series, penalty="sic", min_segment=2)

    # The published dates, 1883, 1888 and 1932, are the last years of the old levels.
    assert found["date"].to_list() == [1884, 1889, 1933]


def test_clostridium_infections_fell_from_19_to_7_after_month_24() -> None:
    series = held("cdi.csv").select(date="month", events="n")

    found = rates.change_points(series)

    assert found["date"].to_list() == [dt.date(2014, 11, 1)]
    assert [round(rate) for rate in found.select("rate_before", "rate_after").row(0)] == [19, 7]


def test_a_doubled_rate_is_found_on_the_first_day_of_the_new_level() -> None:
    found = rates.change_points(two_levels(30, 60))

    assert found["date"].to_list() == [dt.date(2026, 3, 6)]
    assert found["low"][0] <= found["date"][0] <= found["high"][0]


def test_the_exposure_explains_a_change_of_volume() -> None:
    busy = two_levels(30, 60).with_columns(
        exposure=pl.when(pl.col("date") < dt.date(2026, 3, 6)).then(1000).otherwise(2000)
    )

    assert rates.change_points(busy).height == 0


def test_a_weekly_pattern_is_no_change() -> None:
    pattern = [40, 42, 41, 39, 40, 10, 8] * 12
    dates = pl.date_range(dt.date(2026, 1, 5), dt.date(2026, 1, 5) + dt.timedelta(days=83), eager=True)

    assert rates.change_points(pl.DataFrame({"date": dates, "events": pattern, "exposure": 1})).height == 0


def test_missing_days_are_left_out() -> None:
    holes = two_levels(30, 60).with_columns(
        events=pl.when(pl.col("date").dt.day() == 15).then(None).otherwise(pl.col("events"))
    )

    assert rates.change_points(holes)["date"].to_list() == [dt.date(2026, 3, 6)]


@pytest.mark.parametrize(
    "series",
    [
        two_levels(30, 60).clear(),
        two_levels(30, 60).head(13),
        two_levels(0, 0),
        two_levels(30, 60).with_columns(exposure=0),
    ],
    ids=["empty", "short", "all zero", "no exposure"],
)
def test_where_nothing_can_be_told_there_is_no_change(series: pl.DataFrame) -> None:
    found = rates.change_points(series)

    assert found.height == 0
    assert found.columns == ["date", "low", "high", "rate_before", "rate_after"]


def test_a_constant_series_of_values_has_no_change() -> None:
    series = two_levels(30, 60).with_columns(events=5.0)

    assert rates.change_points(series, family="normal").height == 0


def test_a_larger_penalty_never_finds_more() -> None:
    series = two_levels(20, 30, seed=4)

    counts = [rates.change_points(series, penalty=penalty).height for penalty in (0.0, 3.0, 10.0, 30.0, 1000.0)]

    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_pelt_finds_what_a_full_search_finds() -> None:
    from flexkit.analyse.rates.changepoints import _costs, _pelt

    rng = np.random.default_rng(8)
    for _ in range(20):
        events = rng.poisson(np.repeat(rng.uniform(1, 12, 4), 10)).astype(float)
        exposure = rng.uniform(0.5, 2, 40)
        for with_length in (False, True):
            costs = _costs(events, exposure, "poisson", 1.0, with_length=with_length)
            assert _pelt(costs, 6.0, 3) == _full_search(costs, 6.0, 3)


def _full_search(costs: object, penalty: float, shortest: int) -> list[int]:
    size = 40
    best: list[tuple[float, list[int]]] = [(-penalty, [])] + [(np.inf, [])] * size
    for last in range(shortest, size + 1):
        options = [
            (best[first][0] + float(costs.between(np.array([first]), last)[0]) + penalty, [*best[first][1], first])
            for first in range(last - shortest + 1)
            if np.isfinite(best[first][0])
        ]
        best[last] = min(options)
    return [cut for cut in best[size][1] if cut]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"penalty": "aic"}, "Unknown penalty"),
        ({"penalty": -1.0}, "at least zero"),
        ({"min_segment": 0}, "at least one"),
    ],
)
def test_arguments_without_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        rates.change_points(two_levels(3, 6), **options)
