"""The effects table: scopes and controls, neighbours, looks, verdicts, balancing, and fixes that cannot be judged."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from flexkit.analyse import effects
from flexkit.analyse.effects import scope
from flexkit.analyse.effects.fixes import parse_fixes
from flexkit.analyse.effects.looks import LOOKS, latest_look
from flexkit.analyse.effects.multiplicity import shrink
from flexkit.analyse.effects.placebo import Placebo, placebo_dates
from flexkit.analyse.rates.series import read_series
from flexkit.errors import SchemaError, UsageError

FIRST = dt.date(2026, 1, 5)


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def noon(number: int) -> dt.datetime:
    return dt.datetime.combine(day(number), dt.time(12), dt.UTC)


def fix(number: int, fix_id: str = "fix", **more: Any) -> dict[str, Any]:
    return {"fix_id": fix_id, "deployed_at": noon(number), **more}


def frame_of(*fixes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(fixes), infer_schema_length=None)


def daily(levels: np.ndarray | float, days: int = 90, *, seed: int = 1, exposure: float = 2000.0) -> pl.DataFrame:
    """Daily counts around the given expected numbers of events."""
    rng = np.random.default_rng(seed)
    dates = pl.date_range(FIRST, day(days - 1), eager=True)
    return pl.DataFrame({"date": dates, "events": rng.poisson(np.broadcast_to(levels, days)), "exposure": exposure})


def step(rr: float, at: int = 56, days: int = 90, level: float = 30) -> np.ndarray:
    return level * np.where(np.arange(days) > at, rr, 1.0)


def only(table: pl.DataFrame) -> dict[str, Any]:
    assert table.height == 1
    return table.row(0, named=True)


def test_a_fix_that_halved_the_rate_helped() -> None:
    row = only(effects.effects(daily(step(0.5)), frame_of(fix(56))))

    assert row["verdict"] == "helped"
    assert row["is_decided"]
    assert row["rr_lo"] < 0.5 < row["rr_hi"] < 1
    assert (row["n_pre"], row["n_post"], row["washout_days"]) == (56, 33, 1)
    assert row["rate_post_expected"] == pytest.approx(0.015, rel=0.1)
    assert row["look_no"] == 4
    assert row["look_on"] == day(84)
    assert row["next_look_on"] == day(112)
    assert (row["placebo_m"], row["placebo_rank"]) == (0, 1.0)


def test_a_fix_that_made_it_worse_harmed() -> None:
    row = only(effects.effects(daily(step(1.8)), frame_of(fix(56))))

    assert (row["verdict"], row["reasons"]) == ("harmed", ["rate_rose"])


def test_a_fix_without_effect_is_no_material_change_where_the_data_suffice() -> None:
    row = only(effects.effects(daily(step(1.0, level=300), seed=3), frame_of(fix(56))))

    assert row["verdict"] == "no_material_change"


def test_no_fix_no_row() -> None:
    table = effects.effects(daily(30.0), frame_of(fix(56)).clear())

    assert table.height == 0
    assert table.schema == pl.Schema(effects.EFFECTS)


@pytest.mark.parametrize(
    ("counts", "number", "verdict", "reason"),
    [
        (daily(30.0), -20, "cannot_tell_data", "change_before_data"),
        (daily(30.0), 120, "too_early", "change_after_data"),
        (daily(30.0), 85, "too_early", "too_few_days_after"),
        (daily(30.0), 10, "cannot_tell_data", "too_few_before"),
        (daily(0.0), 56, "cannot_tell_data", "no_events"),
        (daily(30.0, exposure=0.0), 56, "cannot_tell_data", "no_data_before"),
        (daily(30.0).with_columns(events=math.nan), 56, "cannot_tell_data", "no_data_before"),
        (daily(30.0).with_columns(is_gap=pl.lit(value=True)), 56, "cannot_tell_data", "no_data_before"),
        (daily(30.0).clear(), 56, "cannot_tell_data", "change_before_data"),
    ],
    ids=["before all", "after all", "four days", "ten days before", "all zero", "no exposure", "NaN", "gap", "empty"],
)
def test_what_cannot_be_told_has_a_verdict_and_a_reason_but_no_numbers(
    counts: pl.DataFrame, number: int, verdict: str, reason: str
) -> None:
    row = only(effects.effects(counts, frame_of(fix(number))))

    assert row["verdict"] == verdict
    assert not row["is_decided"]
    assert reason in row["reasons"]
    assert row["rr"] is None or row["rr_lo"] < 1 < row["rr_hi"]


def test_two_fixes_at_one_instant_cannot_be_told_apart() -> None:
    table = effects.effects(daily(step(0.4)), frame_of(fix(56, "a"), fix(56, "b")))

    assert table["verdict"].to_list() == ["not_separable"] * 2
    assert table["bundled_with"].to_list() == [["b"], ["a"]]
    assert table["rr"][0] == pytest.approx(table["rr"][1])
    assert table["rr_hi"][0] < 1


@pytest.mark.parametrize(("apart", "separable"), [(2, False), (21, True)])
def test_fixes_close_together_are_bundled_and_distant_ones_are_not(apart: int, separable: bool) -> None:  # noqa: FBT001
    levels = step(0.5) * np.where(np.arange(90) > 56 + apart, 0.6, 1.0)

    table = effects.effects(daily(levels), frame_of(fix(56, "a"), fix(56 + apart, "b")))

    assert table["separable"].to_list() == [separable] * 2
    if separable:
        assert table["rr_lo"][0] < 0.5 < table["rr_hi"][0]
        assert table["vif_overlap"][0] > 1


def test_a_later_fix_that_is_far_away_ends_the_window() -> None:
    levels = step(0.5, days=130) * np.where(np.arange(130) > 100, 0.2, 1.0)

    first = effects.effects(daily(levels, 130), frame_of(fix(56, "a"), fix(100, "b"))).row(0, named=True)

    assert first["window_to"] == day(99)
    assert first["rr_lo"] < 0.5 < first["rr_hi"]


def test_the_verdict_changes_only_at_dated_looks() -> None:
    counts = daily(step(0.55, days=120), 120, seed=5)
    verdicts = {}
    for age in range(5, 57):
        row = only(effects.effects(counts, frame_of(fix(56)), now=day(57 + age)))
        look = latest_look(age)
        assert row["look_no"] == (None if look is None else look.number)
        verdicts.setdefault(row["look_no"], set()).add((row["verdict"], row["look_rr"] if look else None))
        assert row["is_interim"] == (age not in {days for days, _ in LOOKS})
    assert all(len(found) == 1 for found in verdicts.values())
    assert verdicts[1] == {("too_early", next(iter(verdicts[1]))[1])}


def test_a_fix_of_one_channel_type_is_held_against_the_others() -> None:
    rng = np.random.default_rng(4)
    shock = np.exp(0.3 * rng.standard_normal(90)) * np.where(np.arange(90) > 56, 1.5, 1.0)
    web, sms = daily(step(0.5) * shock, seed=6), daily(30 * shock, seed=7)
    counts = pl.concat([web.with_columns(channel_type=pl.lit("web")), sms.with_columns(channel_type=pl.lit("sms"))])

    row = only(effects.effects(counts, frame_of(fix(56, channel_types=["web"]))))
    without = only(effects.effects(counts, frame_of(fix(56, channel_types=["web"])), control="off"))

    assert row["control_used"]
    assert row["model"].startswith("did")
    assert row["events_pre"] == without["events_pre"] == web.filter(pl.col("date") < day(56))["events"].sum()
    assert row["rr_lo"] < 0.5 < row["rr_hi"] < 1
    assert row["log_rr_se"] < without["log_rr_se"]


def test_one_channel_type_only_leaves_no_control() -> None:
    counts = daily(step(0.5)).with_columns(channel_type=pl.lit("web"))

    row = only(effects.effects(counts, frame_of(fix(56, channel_types=["web"]))))

    assert not row["control_used"]
    assert row["verdict"] == "helped"


def test_handlers_share_the_exposure_of_all_interactions() -> None:
    mine, others = daily(step(0.3), seed=8), daily(20.0, seed=9)
    counts = pl.concat([mine.with_columns(handler=pl.lit("close-fn")), others.with_columns(handler=pl.lit("crm"))])
    fixed = frame_of(fix(56, kind="check_status_first", handlers=["close-fn"]))

    row = only(effects.effects(counts, fixed))

    assert row["exposure_pre"] == 56 * 2000
    assert row["control_used"]
    assert row["rr_lo"] < 0.3 < row["rr_hi"] < 1


def test_what_another_fix_touched_is_no_control() -> None:
    web, sms = daily(step(0.5), seed=6), daily(30.0, seed=7)
    counts = pl.concat([web.with_columns(channel_type=pl.lit("web")), sms.with_columns(channel_type=pl.lit("sms"))])
    fixes = frame_of(fix(56, "a", channel_types=["web"]), fix(60, "b", channel_types=["sms"]))

    assert effects.effects(counts, fixes)["control_used"].to_list() == [False, False]


def test_a_scope_that_the_counts_do_not_know_is_said() -> None:
    row = only(effects.effects(daily(step(0.5)), frame_of(fix(56, handlers=["nobody"]))))

    assert "scope_not_seen" in row["flags"]


@pytest.mark.parametrize("scoped", [{"channel_types": ["fax"]}, {"handlers": ["nobody"]}])
def test_a_fix_of_what_is_not_in_the_data_did_not_help(scoped: dict[str, list[str]]) -> None:
    counts = daily(step(0.5)).with_columns(channel_type=pl.lit("web"), handler=pl.lit("crm"))

    row = only(effects.effects(counts, frame_of(fix(56, **scoped))))

    assert (row["verdict"], row["reasons"]) == ("cannot_tell_data", ["scope_not_seen"])


def test_where_handlers_are_mostly_unknown_a_fix_may_reach_them() -> None:
    known, unknown = daily(3.0, seed=3), daily(step(0.5))
    counts = pl.concat(
        [known.with_columns(handler=pl.lit("agent")), unknown.with_columns(handler=pl.lit(None, pl.String))]
    )

    row = only(effects.effects(counts, frame_of(fix(56, handlers=["crm"]))))

    assert row["verdict"] == "helped"
    assert "scope_not_seen" in row["flags"]


def test_the_scope_of_a_fix_follows_its_kind() -> None:
    cells = {"first_handler": ["a", "b", "b"], "handler": ["b", "a", "b"], "events": [1, 10, 100]}
    counts = pl.DataFrame({"date": [FIRST] * 3, **cells, "exposure": 1000.0})

    def touched(kind: str) -> float:
        parsed = parse_fixes(frame_of(fix(0, kind=kind, handlers=["a"])), tz="UTC")[0]
        return float(scope.treated(counts, parsed)["events"].sum())

    assert touched("check_status_first") == 10
    assert touched("close_participant") == 1
    assert touched("single_terminal_owner") == 11


def test_a_measure_that_got_worse_turns_a_success_into_harm() -> None:
    open_ = daily(step(4.0, level=8), seed=11).with_columns(measure=pl.lit("left_open"))
    calm = daily(8.0, seed=12).with_columns(measure=pl.lit("recontact"))

    row = only(effects.effects(daily(step(0.4)), frame_of(fix(56)), balancing=pl.concat([open_, calm])))

    assert (row["verdict"], row["reasons"]) == ("harmed", ["worse:left_open"])
    assert {entry["measure"]: entry["is_worse"] for entry in row["balancing"]} == {
        "left_open": True,
        "recontact": False,
    }


def test_balancing_measures_are_counted_from_the_evidence() -> None:
    def moment(hours: float) -> dt.datetime:
        return dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC) + dt.timedelta(hours=hours)

    signals = pl.DataFrame(
        [
            ("KD1", "CH1", "WT1", "task_created", moment(0)),
            ("KD1", "CH1", "WT1", "task_wrapup", moment(1)),
            ("KD1", "CH1", "WT1", "task_completed", moment(1.5)),
            ("KD2", "CH2", "WT2", "task_created", moment(0)),
            ("KD2", "CH2", "WT2", "task_wrapup", moment(2)),
            ("KD3", "CH1", "WT3", "task_created", moment(5)),
            ("KD3", "CH1", "WT3", "task_completed", moment(6)),
        ],
        schema=["interaction_sid", "conversation_sid", "task_sid", "kind", "occurred_at"],
        orient="row",
    )
    completions = pl.DataFrame({"interaction_sid": ["KD1", "KD3"], "first_closed_at": [moment(1.5), moment(6)]})

    counts = effects.balancing_counts(signals, completions, now=moment(100))

    by_measure = {row["measure"]: (row["events"], row["exposure"]) for row in counts.iter_rows(named=True)}
    assert by_measure == {"left_open": (1.0, 3.0), "left_wrapping": (1.0, 2.0), "recontact": (1.0, 2.0)}
    assert not counts["is_partial"].any()


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ({"completeness": pl.when(pl.col("date") > day(56)).then(0.7).otherwise(1.0)}, {}, "coverage_fell"),
        ({"warned": pl.when(pl.col("date") > day(56)).then(0).otherwise(pl.col("events"))}, {}, "warnings_vanished"),
        ({}, {"logging_changes": [day(60)]}, "logging_changed"),
        ({}, {"is_truncated": True}, "truncated"),
    ],
)
def test_data_that_changed_with_the_fix_forbid_a_verdict(
    change: dict[str, pl.Expr], options: dict[str, Any], reason: str
) -> None:
    row = only(effects.effects(daily(step(0.5)).with_columns(**change), frame_of(fix(56)), **options))

    assert (row["verdict"], row["reasons"]) == ("cannot_tell_data", [reason])


def test_counts_without_a_denominator_allow_for_a_change_of_volume() -> None:
    def counted(rr: float) -> dict[str, Any]:
        counts = daily(step(rr, level=200)).with_columns(exposure=24.0, estimand=pl.lit("count"))
        return only(effects.effects(counts, frame_of(fix(56))))

    small, large = counted(0.85), counted(0.4)

    assert small["rr_hi"] < 1
    assert (small["verdict"], small["reasons"]) == ("unclear", ["volume_may_explain_it"])
    assert small["tipping_volume"] == small["rr"]
    assert (small["estimand"], small["denominators"]) == ("count", "missing")
    assert large["verdict"] == "helped"


def test_no_duplicate_after_the_fix_is_a_bound_and_a_date() -> None:
    counts = daily(np.where(np.arange(90) > 56, 0.0, 0.3), seed=13)
    row = only(effects.effects(counts, frame_of(fix(56))))

    assert (row["model"], row["rr"]) == ("exact", 0.0)
    assert row["rr_hi"] > 0
    assert row["ready_on"] is not None


def test_a_fix_announced_as_a_reaction_loses_the_week_before_it() -> None:
    row = only(effects.effects(daily(step(0.5)), frame_of(fix(56, triggered_by_spike=True))))

    assert row["rtm_flag"]
    assert (row["n_pre"], row["selection_days_dropped"]) == (49, 7)


def test_on_target_causes_move_and_the_others_do_not() -> None:
    on, off = daily(step(0.4), seed=14), daily(20.0, seed=15)
    counts = pl.concat(
        [
            on.with_columns(cause=pl.lit("duplicate_processing")),
            off.with_columns(cause=pl.lit("uncoordinated_terminal")),
        ]
    )

    row = only(effects.effects(counts, frame_of(fix(56, kind="idempotent_handling"))))

    assert row["on_target_lo"] < 0.4 < row["on_target_hi"] < 0.8
    assert row["off_target_lo"] < 1 < row["off_target_hi"]


@pytest.mark.parametrize(
    ("predicted", "word"), [(0.5, "as_predicted"), (0.15, "under_delivers"), (0.95, "over_delivers")]
)
def test_what_came_is_held_against_what_was_predicted(predicted: float, word: str) -> None:
    forecast = pl.DataFrame(
        {
            "fix_id": ["fix"],
            "predicted_rr": [predicted],
            "predicted_lo": [predicted * 0.9],
            "predicted_hi": [predicted * 1.1],
        }
    )

    row = only(effects.effects(daily(step(0.5)), frame_of(fix(56)), predicted=forecast))

    assert row["realised_vs_predicted"] == word


def test_several_fixes_are_shrunken_towards_each_other() -> None:
    levels = (
        60
        * np.where(np.arange(250) > 60, 0.7, 1.0)
        * np.where(np.arange(250) > 120, 0.75, 1)
        * np.where(np.arange(250) > 180, 0.9, 1)
    )

    table = effects.effects(daily(levels, 250), frame_of(fix(60, "a"), fix(120, "b"), fix(180, "c")))

    spread, shrunken = table["rr"].max() - table["rr"].min(), table["rr_eb"].max() - table["rr_eb"].min()
    assert 0 <= shrunken < spread
    assert (table["q_value"] >= table["p_value"] - 1e-12).all()


def test_benjamini_hochberg_agrees_with_the_example_of_1995() -> None:
    p_values = np.array(
        [
            0.0001,
            0.0004,
            0.0019,
            0.0095,
            0.0201,
            0.0278,
            0.0298,
            0.0344,
            0.0459,
            0.3240,
            0.4262,
            0.5719,
            0.6528,
            0.7590,
            1.0,
        ]
    )

    assert (effects.benjamini_hochberg(p_values) <= 0.05).sum() == 4
    assert (p_values * len(p_values) <= 0.05).sum() == 3


def test_false_discovery_rates_agree_with_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(5).uniform(size=40) ** 3

    assert np.allclose(effects.benjamini_hochberg(p_values), multipletests(p_values, method="fdr_bh")[1])
    assert np.isnan(effects.benjamini_hochberg(np.array([np.nan, 0.01]))[0])


def test_fewer_than_three_effects_are_not_shrunken() -> None:
    assert np.isnan(shrink(np.array([-0.3, -0.5]), np.array([0.1, 0.1]))).all()


def test_placebo_dates_lie_before_the_fix_and_rank_a_real_effect_first() -> None:
    series = read_series(daily(step(0.3, at=150, days=180), 180))
    start = int(series.start[0])

    found = placebo_dates(series, day=start + 150, settled=start + 151, end=start + 180, since=0)

    assert found.count == 7
    assert all(number + 29 <= start + 150 for number in found.days)
    assert found.rank == pytest.approx(1 / 8)
    assert found.frame(start + 150).filter("is_fix")["date"].to_list() == [day(150)]


@pytest.mark.parametrize(("after", "apart"), [(7, 7), (14, 7), (21, 14), (28, 14), (56, 14)])
def test_placebo_dates_share_at_most_half_of_their_days_after(after: int, apart: int) -> None:
    # Seven days apart with 28 after, large steps came in clusters and 7 to 10 % of fixes without effect ranked first.
    series = read_series(daily(30.0, 200 + after))
    start = int(series.start[0])

    found = placebo_dates(series, day=start + 199, settled=start + 200, end=start + 200 + after, since=0)

    assert set(-np.diff(found.days)) == {apart}
    assert all((start + 199 - number) % 7 == 0 for number in found.days)


def test_a_placebo_date_in_a_gap_has_no_step() -> None:
    # It was taken for a date after which every event had stopped, which no fix can beat.
    counts = daily(step(0.3, at=330, days=360), 360).with_columns(is_gap=pl.col("date").is_between(day(100), day(160)))

    row = only(effects.effects(counts, frame_of(fix(330))))

    assert (row["placebo_m"], row["placebo_rank"]) == (13, pytest.approx(1 / 14))


def test_placebo_dates_leave_out_the_spike_that_triggered_the_fix() -> None:
    levels = np.where((np.arange(260) >= 222) & (np.arange(260) < 229), 90.0, 30.0)
    series = read_series(daily(levels, 260))
    start = int(series.start[0])

    def found(dropped: int) -> Placebo:
        return placebo_dates(series, day=start + 229, settled=start + 230, end=start + 258, since=0, dropped=dropped)

    assert found(0).rank < 0.1
    assert abs(found(7).reference) < 0.1
    assert found(7).rank > 0.2


def test_a_short_history_has_no_placebo_dates() -> None:
    series = read_series(daily(30.0, 60))
    start = int(series.start[0])

    found = placebo_dates(series, day=start + 40, settled=start + 41, end=start + 60, since=0)

    assert found.count == 0


def test_the_counterfactual_covers_the_window_and_adds_up() -> None:
    counts = daily(step(0.5)).with_columns(is_gap=pl.col("date") == day(60))
    analysis = effects.analyse_all(counts, frame_of(fix(56)))[0]

    shown = effects.counterfactual(analysis)

    assert shown.schema == pl.Schema(effects.COUNTERFACTUAL)
    assert shown.filter(pl.col("date") == day(56))["side"].item() == "washout"
    assert shown.filter(pl.col("date") == day(60))["side"].item() == "excluded"
    last = shown.row(-1, named=True)
    assert last["avoided"] == pytest.approx(analysis.current["avoided"])
    assert last["avoided_low"] < last["avoided"] < last["avoided_high"]
    before = shown.filter(pl.col("side") == "before")
    inside = before.select(pl.col("events").is_between("low", "high").mean()).item()
    assert inside > 0.85


def test_the_counterfactual_of_too_few_events_still_has_an_expectation() -> None:
    counts = daily(np.where(np.arange(90) > 56, 0.0, 0.3), seed=13)

    shown = effects.counterfactual(effects.analyse_all(counts, frame_of(fix(56)))[0])

    assert shown.filter(pl.col("side") == "after")["expected"].min() > 0


def test_counts_for_fixes_keep_only_the_dimensions_that_scopes_need() -> None:
    done = pl.DataFrame(
        {
            "interaction_sid": ["KD1", "KD2"],
            "channel_type": ["web", "sms"],
            "first_handler": ["a", "b"],
            "first_closed_at": [noon(0), noon(1)],
        }
    )
    again = done.head(1).select(
        "interaction_sid", second_at="first_closed_at", second_handler=pl.lit("x"), alert_sids=pl.lit(["NO"])
    )

    plain = effects.counts_for_fixes(done, again, frame_of(fix(1, channel_types=[], handlers=[])))
    scoped = effects.counts_for_fixes(done, again, frame_of(fix(1, channel_types=["web"], handlers=["a"])))

    assert "channel_type" not in plain.columns
    assert {"channel_type", "first_handler", "handler"} <= set(scoped.columns)


@pytest.mark.parametrize(
    ("counts", "fixes", "error", "words"),
    [
        (daily(30.0).drop("exposure"), frame_of(fix(56)), SchemaError, "no column exposure"),
        (daily(30.0), frame_of(fix(56)).drop("deployed_at"), SchemaError, "no column deployed_at"),
        (daily(30.0), frame_of({"fix_id": "a", "deployed_at": dt.datetime(2026, 3, 1)}), UsageError, "no time zone"),  # noqa: DTZ001
        (daily(30.0), frame_of(fix(56), {"fix_id": "b", "deployed_at": None}), UsageError, "has no deployed_at"),
        (
            daily(30.0),
            frame_of(fix(56, rollout_end=noon(60).replace(tzinfo=None))),
            UsageError,
            "rollout_end .* no time zone",
        ),
        (daily(30.0), frame_of(fix(56, rollout_end=noon(50))), UsageError, "before it was deployed"),
        (daily(30.0), frame_of(fix(56), fix(60)), UsageError, "Two fixes have the id"),
        (daily(30.0), frame_of(fix(56, kind="hope")), UsageError, "unknown kind"),
        (daily(30.0), frame_of(fix(56, target_rr=1.2)), UsageError, "between 0 and 1"),
    ],
)
def test_what_is_no_fix_or_no_count_is_refused(
    counts: pl.DataFrame, fixes: pl.DataFrame, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        effects.effects(counts, fixes)


def test_weeks_are_no_days() -> None:
    weeks = daily(30.0, 30).with_columns(date=pl.date_range(FIRST, FIRST + dt.timedelta(weeks=29), "1w", eager=True))

    with pytest.raises(UsageError, match="need daily counts"):
        effects.effects(weeks, frame_of(fix(56)))
