"""Other people's numbers: textbook and published results, put through the functions as a statistician would."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import effects, rates
from tests.analyse.reference import held, own


def numbered(values: list[float], exposure: float = 1.0) -> pl.DataFrame:
    return pl.DataFrame({"date": range(1, len(values) + 1), "events": values, "exposure": exposure})


def seatbelts(column: str) -> pl.DataFrame:
    """Great Britain, January 1969 to December 1984, per kilometre driven; belts compulsory from 31 January 1983."""
    month = pl.col("rownames").cast(pl.Int32) - 1
    return held("rd_Seatbelts.csv").select(
        date=pl.date(1969 + month // 12, month % 12 + 1, 1), events=column, exposure="kms"
    )


# Montgomery, table 7.8: nonconformities on 26 samples of 100 printed circuit boards, and on 20 later ones.
BOARDS = [21, 24, 16, 12, 15, 5, 28, 20, 31, 25, 20, 24, 16, 19, 10, 17, 13, 22, 18, 39, 30, 24, 16, 19, 17, 15]
LATER = [16, 18, 12, 15, 24, 21, 28, 20, 25, 19, 18, 21, 16, 22, 19, 12, 14, 9, 16, 21]
# Table 7.10: errors in 20 weekly samples of 50 shipments.
SHIPMENTS = [2, 3, 8, 1, 1, 4, 1, 4, 5, 1, 8, 2, 4, 3, 4, 1, 8, 3, 7, 4]


def test_c_chart_of_circuit_boards_agrees_with_montgomery_7_3() -> None:
    trial = rates.control_chart(numbered([*BOARDS, *LATER]), kind="c", baseline=26)
    kept = numbered([*BOARDS, *LATER]).with_columns(ok=(pl.col("date") <= 26) & ~pl.col("date").is_in([6, 20]))
    revised = rates.control_chart(kept, kind="c", baseline="ok")

    assert trial.select("centre", "lower", "upper").row(0) == pytest.approx((19.85, 6.48, 33.22), abs=0.01)
    assert trial.filter("is_signal")["date"].to_list() == [6, 20]
    assert revised.select("centre", "lower", "upper").row(0) == pytest.approx((19.67, 6.36, 32.97), abs=0.01)
    assert not revised.tail(20)["is_signal"].any()


def test_u_chart_of_shipments_agrees_with_montgomery_7_4() -> None:
    chart = rates.control_chart(numbered(SHIPMENTS, 50), kind="u")

    assert chart.select("centre", "lower", "upper").row(0) == pytest.approx((0.0740, 0, 0.1894), abs=5e-5)
    assert not chart["is_signal"].any()


def test_montgomerys_tables_are_those_of_the_reference() -> None:
    assert held("montgomery_tbl_07_08.csv")["count"].to_list() == [*BOARDS, *LATER]
    assert held("montgomery_tbl_07_10.csv")["count"].to_list() == SHIPMENTS


def test_individuals_of_transformed_failure_times_agree_with_montgomery_7_6() -> None:
    hours = held("montgomery_tbl_07_14.csv").select(date="failure", events=pl.col("hours") ** 0.2777)

    chart = rates.control_chart(hours, kind="xmr")

    assert chart["centre"][0] == pytest.approx(5.386, abs=1e-3)
    assert not chart["is_signal"].any()


@pytest.mark.parametrize(("screened", "low", "high"), [(False, -4.5965, 5.9353), (True, -2.3837, 3.7225)])
def test_screening_of_an_outlier_agrees_with_the_nhs_package(low: float, high: float, *, screened: bool) -> None:
    # NHSRplotthedots tests itself on these draws with the fifteenth set to 10; its factor is 2.66, ours 3 / 1.128.
    series = own("rnorm20.csv", try_parse_dates=True).select(
        "date", events=pl.when(pl.int_range(pl.len()) == 14).then(10.0).otherwise("y")
    )

    chart = rates.control_chart(series, kind="xmr", screened=screened)

    assert chart["centre"][0] == pytest.approx(0.66942, abs=1e-5)
    assert chart.select("lower", "upper").row(0) == pytest.approx((low, high), abs=1e-3)
    assert chart.filter("is_signal")["value"].to_list() == [10.0]


def test_complaints_per_sale_are_in_control_only_for_laney() -> None:
    series = held("complaints.csv").select(date="month", events="complaints", exposure="sales")

    plain, laney = (rates.control_chart(series, kind=kind) for kind in ("u", "u_prime"))

    share = series["events"] / series["exposure"]
    centre = series["events"].sum() / series["exposure"].sum()
    scores = ((share - centre) / (centre / series["exposure"]).sqrt()).to_numpy()
    assert laney["sigma_z"][0] == pytest.approx(np.abs(np.diff(scores)).mean() / 1.128)
    assert (plain["is_signal"].sum(), laney["is_signal"].sum()) == (13, 0)


def test_every_ward_of_the_hospital_infections_has_its_chart() -> None:
    table = held("hospital_infections.csv").select("hospital", "infection", date="month", events="n", exposure="days")

    charts = [
        rates.control_chart(part, kind="u_prime")
        for _, part in table.partition_by("hospital", "infection", as_dict=True).items()
    ]

    assert len(charts) == 18
    assert all(chart.height == 24 and chart["upper"].is_not_null().all() for chart in charts)


@pytest.mark.parametrize(
    ("events", "low", "high"), [(0, 0.0, 0.292), (1, 0.016, 0.501), (2, 0.065, 0.648), (3, 0.139, 0.766)]
)
def test_jeffreys_agrees_with_brown_cai_and_dasgupta_2001(events: int, low: float, high: float) -> None:
    # Their table 5, n = 7. The lower limit for none and the upper for all are moved to the ends, as they advise.
    found = rates.interval(events, 7, kind="jeffreys")

    assert found == pytest.approx((low, high), abs=6e-4 if events else 0.12)


def test_exact_binomial_of_none_in_twenty() -> None:
    # Clopper, Pearson 1934: the limit p with (1 - p)^20 = 0.025.
    assert rates.interval(0, 20, kind="beta") == pytest.approx((0, 1 - 0.025**0.05))
    assert rates.interval(20, 20, kind="beta") == pytest.approx((0.025**0.05, 1))


def test_aspirin_and_heart_attacks_agree_with_agresti() -> None:
    # Physicians' Health Study 1989: 189 of 11 034 with placebo, 104 of 11 037 with aspirin.
    assert rates.difference_interval(189, 11034, 104, 11037) == pytest.approx((0.0047, 0.0107), abs=1e-4)


def test_deaths_by_horse_kick_vary_as_poisson_said() -> None:
    # Bortkiewicz 1898: 200 corps-years with 0, 1, 2, 3, 4 deaths in 109, 65, 22, 3, 1 of them.
    deaths = np.repeat([0, 1, 2, 3, 4], [109, 65, 22, 3, 1])
    shuffled = np.random.default_rng(1).permutation(deaths).tolist()

    found = effects.estimate(numbered(shuffled), 101, variance="quasi", trend=False)

    assert rates.interval(122, 200, kind="poisson_exact") == pytest.approx((0.5066, 0.7284), abs=1e-4)
    assert found["events_before"] + found["events_after"] == 122
    assert found["phi"] == pytest.approx(1.0, abs=0.06)


def test_exact_ratio_of_breast_cancer_rates_agrees_with_the_stata_manual() -> None:
    # 15 cancers in 19 017 person-years without, 41 in 28 010 with fluoroscopy (Boice, Monson 1977).
    series = pl.DataFrame({"date": [0, 1], "events": [15, 41], "exposure": [19017, 28010]})

    found = effects.estimate(series, 1, model="exact", variance="poisson")

    assert [found[name] for name in ("rr", "rr_low", "rr_high")] == pytest.approx([1.8558, 1.0057, 3.609], abs=5e-4)


def test_minimum_wages_agree_with_card_and_krueger_1994() -> None:
    # Full-time employment per restaurant in New Jersey and Pennsylvania, before and after.
    panel = pl.DataFrame(
        {
            "unit": ["NJ", "NJ", "PA", "PA"],
            "date": [1, 2, 1, 2],
            "value": [20.44, 21.03, 23.33, 21.17],
            "is_treated": [False, True, False, False],
        }
    )

    assert effects.did_2x2(panel)["effect"] == pytest.approx(2.75, abs=0.011)


def test_seat_belts_saved_front_passengers_as_harvey_and_durbin_found() -> None:
    # Harvey, Durbin 1986: front seat passengers down by 30 %, rear ones up by 3 %, not significant.
    changed = dt.date(1983, 2, 1)

    against_rear = effects.estimate(seatbelts("front"), changed, control=seatbelts("rear"), model="did")
    drivers = effects.estimate(seatbelts("drivers"), changed, harmonics=2, trend=True)

    assert against_rear["rr"] == pytest.approx(0.70, abs=0.03)
    assert against_rear["rr_high"] < 1
    assert drivers["rr_low"] < 0.82 < drivers["rr_high"] < 1  # their 18 % for drivers


def test_van_drivers_killed_fell_as_durbin_and_koopman_found() -> None:
    # Durbin, Koopman 2000: a reduction of 24.3 %.
    found = effects.estimate(seatbelts("VanKilled"), dt.date(1983, 2, 1), harmonics=2, trend=True)

    assert found["rr"] == pytest.approx(0.757, abs=0.03)
    assert found["rr_low"] < 0.757 < found["rr_high"] < 1


def test_the_season_of_the_seat_belt_data_does_not_hide_the_law() -> None:
    # R's help page shows the law as a step in February 1983.
    found = rates.change_points(seatbelts("drivers").select("date", "events"), family="normal")

    assert found["date"].to_list()[-1] == dt.date(1983, 2, 1)


def test_infections_fell_to_two_fifths_per_day_of_risk() -> None:
    table = held("cdi.csv").select(date="month", events="n", exposure="days")
    before, after = table.head(24), table.tail(12)

    found = effects.estimate(table, dt.date(2014, 11, 1))

    ratio = (after["events"].sum() / after["exposure"].sum()) / (before["events"].sum() / before["exposure"].sum())
    assert found["rr"] == pytest.approx(ratio, abs=1e-6)
    assert found["rr_high"] < 0.6
