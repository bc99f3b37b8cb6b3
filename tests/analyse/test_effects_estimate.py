"""The effect of one change: published results, the parts against known software, and data that cannot tell."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import effects
from flexkit.analyse.effects.design import build
from flexkit.analyse.effects.exact import exact_ratio
from flexkit.analyse.effects.fit import fit_step
from flexkit.analyse.effects.latent import latent_error
from flexkit.analyse.effects.power import days_for_elimination, days_until, detectable
from flexkit.analyse.rates.glm import fit_glm, newey_west
from flexkit.analyse.rates.series import read_series
from flexkit.errors import SchemaError, UsageError
from tests.analyse.reference import held

FIRST = dt.date(2026, 1, 5)


def daily(
    before: int = 56,
    after: int = 28,
    *,
    rate: float = 0.015,
    rr: float = 0.5,
    seed: int = 1,
    mood: float = 0.0,
    exposure: float = 2000.0,
) -> pl.DataFrame:
    """Daily counts with a step of *rr* after *before* days."""
    rng = np.random.default_rng(seed)
    size = before + after
    level = rate * np.exp(mood * rng.standard_normal(size)) * np.where(np.arange(size) >= before, rr, 1.0)
    dates = pl.date_range(FIRST, FIRST + dt.timedelta(days=size - 1), eager=True)
    return pl.DataFrame({"date": dates, "events": rng.poisson(level * exposure).astype(float), "exposure": exposure})


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


@pytest.mark.parametrize(
    ("variance", "published"), [("poisson", (0.894, 0.865, 0.925)), ("quasi", (0.894, 0.839, 0.953))]
)
def test_the_sicilian_smoking_ban_agrees_with_lopez_bernal_2017(
    variance: Any, published: tuple[float, float, float]
) -> None:
    series = held("sicily.csv").select(date=pl.date("year", "month", 1), events="aces", exposure="stdpop")

    found = effects.estimate(series, dt.date(2005, 1, 1), trend=True, variance=variance)

    assert (found["rr"], found["rr_low"], found["rr_high"]) == pytest.approx(published, abs=6e-4)
    assert found["model"] == "step+trend"
    if variance == "quasi":
        assert found["phi"] == pytest.approx(3.559, abs=6e-4)


def test_seasons_and_a_change_of_slope_agree_with_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    months = pl.date_range(dt.date(2019, 1, 1), dt.date(2023, 12, 1), "1mo", eager=True)
    time = np.arange(60) - 36.0
    after = (time >= 0) * 1.0
    angle = 2 * np.pi * np.arange(60) / 12
    exposure = rng.uniform(900, 1100, 60)
    events = rng.poisson(exposure * 0.1 * np.exp(0.01 * time - 0.3 * after + 0.01 * after * time + 0.2 * np.sin(angle)))
    series = pl.DataFrame({"date": months, "events": events, "exposure": exposure})
    columns = [np.ones(60), after, time, after * time]
    for order in (1, 2):
        columns += [np.sin(order * angle), np.cos(order * angle)]
    expected = sm.GLM(events, np.column_stack(columns), sm.families.Poisson(), offset=np.log(exposure)).fit(scale="X2")

    found = effects.estimate(
        series, dt.date(2022, 1, 1), variance="quasi", slope_change=True, harmonics=2, weekday=False
    )

    assert math.log(found["rr"]) == pytest.approx(expected.params[1], abs=1e-8)
    assert found["log_rr_se"] == pytest.approx(expected.bse[1], abs=1e-8)
    assert found["trend_rr"] == pytest.approx(math.exp(expected.params[2]), abs=1e-8)
    low, high = np.exp(expected.conf_int()[3])
    assert (found["slope_low"], found["slope_rr"], found["slope_high"]) == pytest.approx(
        (low, math.exp(expected.params[3]), high), abs=1e-8
    )


def test_newey_west_agrees_with_statsmodels() -> None:
    import statsmodels.api as sm

    frame = daily(mood=0.3)
    after = (np.arange(84) >= 56) * 1.0
    design = np.column_stack([np.ones(84), after])
    events, offset = frame["events"].to_numpy(), np.log(frame["exposure"].to_numpy())
    robust = sm.GLM(events, design, sm.families.Poisson(), offset=offset).fit(
        cov_type="HAC", cov_kwds={"maxlags": 7, "use_correction": True}
    )

    ours = newey_west(fit_glm(events, design, offset=offset), lags=7)

    assert np.allclose(ours, robust.cov_params(), rtol=1e-6)


def test_germinating_seeds_have_the_published_deviance_and_dispersion() -> None:
    seeds = held("rd_crowder.seeds.csv")
    gen = (seeds["gen"] == "O75").cast(pl.Float64).to_numpy()
    extract = (seeds["extract"] == "cucumber").cast(pl.Float64).to_numpy()
    design = np.column_stack([np.ones(21), gen, extract, gen * extract])

    fit = fit_glm(
        seeds["germ"].to_numpy().astype(float), design, family="binomial", trials=seeds["n"].to_numpy().astype(float)
    )

    assert float(fit.deviance) == pytest.approx(33.28, abs=5e-3)
    assert float(np.square(fit.pearson).sum()) / 17 == pytest.approx(1.8618, abs=5e-5)


def test_models_fitted_at_once_equal_models_fitted_singly() -> None:
    rng = np.random.default_rng(4)
    design = np.stack([np.column_stack([np.ones(40), np.arange(40) >= cut]) for cut in (10, 20, 30)]).astype(float)
    events = rng.poisson(5.0, 40).astype(float)
    mask = np.ones((3, 40))
    mask[1, :5] = 0

    batch = fit_glm(events, design, mask=mask)

    for number in range(3):
        kept = mask[number] > 0
        single = fit_glm(events[kept], design[number][kept])
        assert np.allclose(batch.coefficients[number], single.coefficients)
        assert np.allclose(batch.covariance[number], single.covariance)


def test_a_negative_binomial_fit_agrees_with_statsmodels() -> None:
    import statsmodels.api as sm

    frame = daily(mood=0.4)
    design = np.column_stack([np.ones(84), np.arange(84) >= 56]).astype(float)
    events = frame["events"].to_numpy()
    expected = sm.GLM(events, design, sm.families.NegativeBinomial(alpha=0.2)).fit(tol=1e-12)

    fit = fit_glm(events, design, alpha=0.2)

    assert np.allclose(fit.coefficients, expected.params, atol=1e-7)
    assert np.allclose(fit.covariance, expected.cov_params(), rtol=1e-5)


def test_the_latent_likelihood_agrees_with_dense_matrices() -> None:
    from flexkit.analyse.effects.latent import _grid, _restricted_likelihood

    frame = daily(20, 10, mood=0.5).filter(pl.col("date").dt.day() != 11)
    series = read_series(frame)
    after = series.start >= (day(20) - dt.date(1970, 1, 1)).days
    design = build(series, after, weekday=False).matrix
    fit = fit_glm(series.events, design, offset=np.log(series.exposure))
    grid, noise = _grid(), 1 / fit.weights
    apart = np.abs(series.index[:, None] - series.index[None, :])

    ours = _restricted_likelihood(fit, series.index, noise, grid)

    expected, variances = [], []
    influence = (design @ fit.covariance[1]) * fit.weights
    for rho, shared, own, prior in zip(grid.rho, grid.shared, grid.own, grid.log_prior, strict=True):
        covariance = np.diag(noise + own) + shared * np.where(apart == 0, 1.0, rho**apart)
        inverse = np.linalg.inv(covariance)
        inner = design.T @ inverse @ design
        rest = fit.working - design @ np.linalg.solve(inner, design.T @ inverse @ fit.working)
        logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(inner)[1]
        expected.append(prior - (logs + rest @ inverse @ rest) / 2)
        variances.append(influence @ covariance @ influence)
    assert np.allclose(ours, expected)
    assert np.allclose(latent_error(fit, 1, series.index).variance, variances)


def test_the_default_interval_is_never_narrower_than_quasi_poisson() -> None:
    for seed in range(8):
        frame = daily(seed=seed, mood=0.4)
        default = effects.estimate(frame, day(56))
        quasi = effects.estimate(frame, day(56), variance="quasi")
        assert default["log_rr_se"] >= quasi["log_rr_se"] - 1e-12
        assert default["rr_high"] / default["rr_low"] > quasi["rr_high"] / quasi["rr_low"]


def test_a_halved_rate_is_found_with_what_it_avoided() -> None:
    found = effects.estimate(daily(), day(56))

    assert found["rr_low"] < 0.5 < found["rr_high"] < 1
    assert found["model"] == "step"
    assert (found["buckets_before"], found["buckets_after"]) == (56, 28)
    assert found["avoided_low"] < 28 * 15 < found["avoided_high"]
    assert found["p_harm"] < 0.001
    assert found["p_target"] > 0.99
    assert found["flags"] == []


def test_a_worse_rate_is_harm() -> None:
    found = effects.estimate(daily(rr=1.6), day(56))

    assert found["rr_low"] > 1
    assert found["p_harm"] > 0.999
    assert found["avoided_high"] < 0


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_and_instants_give_the_same_answer(zone: str | None) -> None:
    frame = daily()
    instants = frame.with_columns(pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone(zone))

    assert effects.estimate(instants, day(56)) == effects.estimate(frame, day(56))


def test_a_change_inside_a_day_leaves_that_day_out() -> None:
    frame = daily()
    inside = dt.datetime.combine(day(56), dt.time(9), dt.UTC)

    found = effects.estimate(frame, inside)

    assert (found["buckets_before"], found["buckets_after"]) == (56, 27)
    assert "change_bucket_dropped" in found["flags"]


def test_the_ramp_is_left_out() -> None:
    found = effects.estimate(daily(), day(56), ramp=dt.timedelta(days=3))

    assert found["buckets_after"] == 25
    assert "ramp_dropped" in found["flags"]


def test_years_weeks_and_months_are_fine_too() -> None:
    rng = np.random.default_rng(6)
    events = rng.poisson(np.where(np.arange(40) >= 24, 60, 100))
    numbers = pl.DataFrame({"date": range(1980, 2020), "events": events, "exposure": 1})
    weeks = pl.date_range(FIRST, FIRST + dt.timedelta(weeks=39), "1w", eager=True)
    months = pl.date_range(dt.date(2020, 1, 1), dt.date(2023, 4, 1), "1mo", eager=True)

    by_year = effects.estimate(numbers, 2004)
    by_week = effects.estimate(numbers.with_columns(weeks.alias("date")), FIRST + dt.timedelta(weeks=24))
    by_month = effects.estimate(numbers.with_columns(months.alias("date")), dt.date(2022, 1, 1))

    for found in (by_year, by_week, by_month):
        assert found["rr"] == pytest.approx(by_year["rr"])
        assert found["rr_low"] < 0.6 < found["rr_high"] < 1


def test_a_bad_week_that_triggered_the_change_is_dropped() -> None:
    frame = daily(rr=1.0).with_columns(
        events=pl.when(pl.col("date").is_between(day(49), day(55))).then(pl.col("events") * 1.6).otherwise("events")
    )

    found = effects.estimate(frame, day(56))

    assert "selection_window_dropped" in found["flags"]
    assert found["buckets_before"] == 49
    assert found["rr_low"] < 1 < found["rr_high"]


def test_a_drift_before_the_change_is_not_taken_for_its_effect() -> None:
    falling = pl.Series(np.exp(-0.008 * np.arange(108)))
    frame = daily(80, 28, rr=1.0).with_columns(events=(pl.col("events") * falling).round())

    found = effects.estimate(frame, day(80))

    assert "trend_model" in found["flags"]
    assert found["rr_low"] < 1 < found["rr_high"]


def test_a_shared_shock_cancels_against_a_control() -> None:
    rng = np.random.default_rng(7)
    shock = np.where(np.arange(84) >= 56, 1.6, 1.0) * np.exp(0.6 * rng.standard_normal(84))
    treated, other = daily(rr=0.6, seed=8), daily(rr=1.0, seed=9)
    treated = treated.with_columns(events=pl.Series(rng.poisson(30 * shock * np.where(np.arange(84) >= 56, 0.6, 1))))
    other = other.with_columns(events=pl.Series(rng.poisson(30 * shock)))

    alone = effects.estimate(treated, day(56))
    beside = effects.estimate(treated, day(56), control=other, trend=False)

    assert beside["model"] == "did"
    assert beside["rr_low"] < 0.6 < beside["rr_high"] < 1
    assert beside["log_rr_se"] < alone["log_rr_se"]


def test_did_agrees_with_a_binomial_model_of_statsmodels() -> None:
    import statsmodels.api as sm

    treated, other = daily(rr=0.6, seed=8), daily(rr=1.0, seed=9, exposure=1500.0)
    total = (treated["events"] + other["events"]).to_numpy()
    design = np.column_stack([np.ones(84), np.arange(84) >= 56]).astype(float)
    expected = sm.GLM(
        treated["events"].to_numpy() / total, design, sm.families.Binomial(), var_weights=total,
        offset=np.full(84, np.log(2000 / 1500)),
    ).fit(scale="X2")  # fmt: skip

    found = effects.estimate(treated, day(56), control=other, model="did", variance="quasi", trend=False)

    assert math.log(found["rr"]) == pytest.approx(expected.params[1], abs=1e-6)
    assert found["log_rr_se"] == pytest.approx(expected.bse[1], abs=1e-6)


@pytest.mark.parametrize(
    ("control", "flag"),
    [
        (daily(rr=1.0, rate=0.0001), "control_too_few_events"),
        (
            daily(rr=1.0).with_columns(exposure=pl.when(pl.col("date") >= day(56)).then(4000).otherwise(2000)),
            "control_volume_moved",
        ),
    ],
)
def test_a_control_that_fails_its_gates_is_rejected(control: pl.DataFrame, flag: str) -> None:
    found = effects.estimate(daily(), day(56), control=control)

    assert {flag, "control_rejected"} <= set(found["flags"])
    assert found["model"] == "step"


def test_a_drifting_control_gets_a_trend() -> None:
    rng = np.random.default_rng(10)
    drifting = daily(rr=1.0).with_columns(events=pl.Series(rng.poisson(30 * np.exp(0.02 * np.arange(84)))))

    found = effects.estimate(daily(rr=0.6), day(56), control=drifting)

    assert found["model"] == "did+trend"
    assert found["rr_low"] < 0.6 < found["rr_high"]


def test_weekly_uses_whole_weeks() -> None:
    found = effects.estimate(daily(58, 30), day(58), model="weekly")

    assert (found["model"], found["buckets_before"], found["buckets_after"]) == ("weekly", 8, 4)
    assert found["rr_low"] < 0.5 < found["rr_high"]


def test_no_event_after_is_an_upper_bound_not_a_cure() -> None:
    found = effects.estimate(daily(rate=0.001, rr=0.0), day(56))

    assert (found["model"], found["rr"], found["rr_low"]) == ("exact", 0.0, 0.0)
    assert 0.02 < found["rr_high"] < 0.2
    assert "zero_after" in found["flags"]


def test_the_upper_bound_is_three_over_what_was_expected() -> None:
    # So many events before that their number is as good as known.
    bound = exact_ratio(10_000, 100_000, 0, 1000).high

    assert bound == pytest.approx(3 / 100, rel=0.01)


def test_events_that_come_only_after_have_no_finite_ratio() -> None:
    frame = daily(rr=1.0).with_columns(events=pl.when(pl.col("date") >= day(56)).then(1.0).otherwise(0.0))

    found = effects.estimate(frame, day(56))

    assert found["rr"] == math.inf
    assert found["rr_low"] > 1
    assert found["p_harm"] > 0.9


def test_the_exact_ratio_is_the_conditional_binomial() -> None:
    from scipy import stats

    found = exact_ratio(14, 100, 3, 50)
    test = stats.binomtest(3, 17, 50 / 150)
    low, high = test.proportion_ci(method="exact")

    assert (found.low, found.high) == pytest.approx((low / (1 - low) * 2, high / (1 - high) * 2))
    assert found.p_value == pytest.approx(2 * stats.binom.cdf(3, 17, 1 / 3))


NAN = math.nan


@pytest.mark.parametrize(
    ("frame", "changed", "reason"),
    [
        (daily(), day(-10), "change_before_data"),
        (daily(), day(200), "change_after_data"),
        (daily(), day(0), "change_before_data"),
        (daily(5, 28), day(5), "too_few_before"),
        (daily(56, 3), day(56), "too_few_after"),
        (daily(rate=0.0), day(56), "no_events"),
        (daily().with_columns(exposure=0.0), day(56), "no_data_before"),
        (daily().with_columns(events=NAN), day(56), "no_data_before"),
        (daily().with_columns(events=pl.lit(None, pl.Float64)), day(56), "no_data_before"),
        (daily().with_columns(is_gap=pl.col("date") >= day(50)), day(56), "no_data_after"),
        (daily().clear(), day(56), "no_data_before"),
    ],
    ids=["before all", "after all", "at the start", "short before", "short after", "all zero", "no exposure", "NaN",
         "null", "gap", "empty"],
)  # fmt: skip
def test_what_cannot_be_told_is_undecided_with_its_reason(frame: pl.DataFrame, changed: dt.date, reason: str) -> None:
    found = effects.estimate(frame, changed)

    assert found["model"] == "undecided"
    assert {"undecided", reason} <= set(found["flags"])
    assert all(math.isnan(found[name]) for name in ("rr", "rr_low", "rr_high", "p_value", "avoided", "mde"))


def test_a_control_without_events_tells_nothing() -> None:
    found = effects.estimate(daily(), day(56), control=daily(rate=0.0), model="did")

    assert (found["model"], found["flags"][:2]) == ("undecided", ["undecided", "control_no_events"])


def test_counts_without_any_variation_are_not_certain() -> None:
    # Found with variance "quasi": an interval of width 1e-14, and p = 0.02 for no difference at all.
    found = effects.estimate(daily().with_columns(events=10), day(56), variance="quasi")

    assert (found["model"], found["flags"]) == ("undecided", ["undecided", "no_fit"])


@pytest.mark.parametrize(("before", "after", "reason"), [(20, 28, "too_few_before"), (56, 10, "too_few_after")])
def test_a_short_side_gives_numbers_that_count_as_undecided(before: int, after: int, reason: str) -> None:
    found = effects.estimate(daily(before, after), day(before))

    assert {"undecided", reason} <= set(found["flags"])
    assert math.isfinite(found["rr"])


def test_days_that_say_nothing_are_left_out_and_named() -> None:
    frame = daily().with_columns(
        events=pl.when(pl.col("date") == day(10)).then(None).otherwise("events"),
        exposure=pl.when(pl.col("date") == day(11)).then(0.0).otherwise("exposure"),
        is_partial=pl.col("date") == day(83),
    )

    found = effects.estimate(frame, day(56))

    assert (found["buckets_before"], found["buckets_after"]) == (54, 27)
    assert {"missing_values_dropped", "zero_exposure_dropped", "gaps_dropped", "gaps"} <= set(found["flags"])
    assert found["rr_low"] < 0.5 < found["rr_high"]


@pytest.mark.parametrize(
    ("frame", "options", "error", "words"),
    [
        (daily().drop("events"), {}, SchemaError, "no column events"),
        (daily().with_columns(events=-1.0), {}, UsageError, "negative count"),
        (pl.concat([daily(), daily()]), {}, UsageError, "several rows"),
        (daily(), {"model": "bayes"}, UsageError, "Unknown model"),
        (daily(), {"model": "did"}, UsageError, "Pass control="),
        (daily(), {"variance": "robust"}, UsageError, "Unknown variance"),
        (daily(), {"level": 1.0}, UsageError, "between 0 and 1"),
        (daily(), {"harmonics": -1}, UsageError, "harmonics"),
        (daily(), {"baseline_days": 0}, UsageError, "positive number"),
        (daily(), {"ramp": dt.timedelta(days=-1)}, UsageError, "negative"),
    ],
)
def test_questions_without_sense_are_refused(
    frame: pl.DataFrame, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        effects.estimate(frame, day(56), **options)


def test_a_number_is_no_date_of_change() -> None:
    with pytest.raises(UsageError, match="series has dates"):
        effects.estimate(daily(), 56)


def test_columns_that_say_the_same_do_not_break_the_fit() -> None:
    series = read_series(daily())
    after = np.arange(84) >= 56
    twice = build(series, after, weekday=False, others=after[:, None].astype(float))

    assert twice.matrix.shape[1] == 2
    assert math.isfinite(fit_step(series, after, twice, variance="qar1", level=0.95).error)


def test_the_baseline_can_be_limited() -> None:
    assert effects.estimate(daily(120, 28), day(120), baseline_days=56)["buckets_before"] == 56


def test_what_could_have_been_seen_follows_the_formula() -> None:
    ratio = detectable(560, 280, inflation=1.0, df=1e6)
    threshold = (1.959964 + 0.841621) * math.sqrt(1 / 560 + 1 / (280 * ratio))

    assert -math.log(ratio) >= threshold > -math.log(ratio + 0.005)
    assert math.isnan(detectable(3, 2, inflation=2.0, df=5))


def test_moods_of_days_do_not_grow_as_events_fall() -> None:
    # Days vary by three tenths: 56 before and 28 after tell a fall of a fifth, and more events would tell no more.
    moods = 0.3**2 * (1 / 56 + 1 / 28)
    few, many = (detectable(level * 56, level * 28, inflation=1.0, df=1e6, extra=moods) for level in (30, 30_000))

    assert many == pytest.approx(math.exp(-2.8016 * math.sqrt(moods)), abs=0.01)
    assert 0.75 < few < many


def test_days_to_wait_grow_with_what_is_to_be_seen() -> None:
    waits = [days_until(target, 560, 56, inflation=1.5, df=40) for target in (0.5, 0.7)]

    assert waits[0] < waits[1] < days_until(0.7, 560, 56, inflation=1.5, df=40, extra=0.1)
    assert days_until(0.95, 560, 56, inflation=1.5, df=40) is None


def test_elimination_takes_three_expected_events() -> None:
    assert days_for_elimination(0.5, phi=1.0) == pytest.approx(6.0, abs=0.01)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(40))
def test_no_series_however_odd_breaks_an_estimate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.choice([1, 3, 20, 45, 90]))
    level = float(rng.choice([0, 0.05, 3, 300]))
    events = rng.poisson(level * np.exp(rng.choice([0.0, 2.0]) * rng.standard_normal(size))).astype(float)
    exposure = np.full(size, float(rng.choice([1e-6, 1, 1e9])))
    events[rng.random(size) < rng.choice([0, 0.3])] = NAN
    exposure[rng.random(size) < rng.choice([0, 0.3])] = 0.0
    events[: size // 2] *= rng.choice([0.0, 1.0])
    dates = pl.date_range(FIRST, day(size - 1), eager=True)
    frame = pl.DataFrame({"date": dates, "events": events, "exposure": exposure})
    other = frame.with_columns(events=pl.Series(rng.poisson(3, size)).cast(pl.Float64))

    for options in ({}, {"variance": "poisson"}, {"model": "exact"}, {"model": "weekly"}, {"control": other}):
        found = effects.estimate(frame, day(int(rng.integers(size + 2))), **options)
        if found["model"] != "undecided":
            assert found["rr_low"] <= found["rr"] <= found["rr_high"]
        else:
            assert "undecided" in found["flags"]
