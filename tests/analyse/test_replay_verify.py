"""Predicted against realised: every deployed fix is held against what was expected of it."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pytest

from flexkit.analyse.replay import calibration, predictions
from flexkit.errors import SchemaError
from flexkit.terms import FixKind
from tests.analyse.replay_world import START, World, typical


def fixes(*rows: dict[str, object]) -> pl.DataFrame:
    """Fixes as the data folder declares them."""
    schema = {
        "fix_id": pl.String, "kind": pl.String, "deployed_at": pl.Datetime("us", "UTC"),
        "channel_types": pl.List(pl.String), "handlers": pl.List(pl.String), "adoption": pl.Float64,
    }  # fmt: skip
    defaults = {"deployed_at": START + dt.timedelta(days=9)}
    return pl.DataFrame([{**defaults, **row} for row in rows], schema=schema)


def predicted(*points: tuple[str, float, float, float]) -> pl.DataFrame:
    """Predictions by hand: fix, ratio, low, high."""
    names = ["fix_id", "predicted_rr", "predicted_rr_lo", "predicted_rr_hi"]
    return pl.DataFrame(points, schema=names, orient="row")


def realised(*points: tuple[str, float, float, float]) -> pl.DataFrame:
    """Effects by hand: fix, ratio, low, high."""
    return pl.DataFrame(points, schema=["fix_id", "rr", "rr_low", "rr_high"], orient="row")


def test_a_prediction_is_made_from_the_days_before_the_fix_alone() -> None:
    world = typical(12)
    # After the fix everything is different, and none of it may show.
    for number in range(400, 460):
        world.close(number, 0.2, "close-fn", trigger_id=f"t{number}", intent="end")
        world.closed_again(number, 15.2, "close-fn", trigger_id=f"t{number}", intent="end")

    (told,) = predictions(world.signals(), fixes=fixes({"fix_id": "keys", "kind": "idempotent_handling"})).iter_rows(
        named=True
    )

    assert told["interactions_window"] == 48
    assert told["prevented_share"] == pytest.approx(0.25, abs=0.02)
    assert told["predicted_rr"] == pytest.approx(0.75, abs=0.02)
    assert told["predicted_rr_lo"] < 0.70
    assert told["predicted_rr_hi"] > 0.80


def test_adoption_and_handlers_limit_what_is_expected() -> None:
    told = predictions(
        typical(12).signals(),
        fixes=fixes(
            {"fix_id": "half", "kind": "idempotent_handling", "adoption": 0.5},
            {"fix_id": "idle", "kind": "check_status_first", "handlers": ["idle-job"]},
            {"fix_id": "sms", "kind": "check_status_first", "channel_types": ["sms"]},
            {"fix_id": "own", "kind": "other"},
        ),
    )

    shares = dict(told.select("fix_id", "prevented_share").iter_rows())
    assert shares["half"] == pytest.approx(0.125, abs=0.01)
    assert shares["idle"] == pytest.approx(0.25, abs=0.01)
    assert shares["sms"] is None
    assert shares["own"] is None


def test_a_fix_before_all_evidence_has_no_prediction() -> None:
    early = {"fix_id": "early", "kind": "idempotent_handling", "deployed_at": START - dt.timedelta(days=5)}

    (told,) = predictions(typical(2).signals(), fixes=fixes(early)).iter_rows(named=True)

    assert (told["status"], told["predicted_rr"]) == ("not_identifiable", None)


def test_fixes_without_a_time_are_refused() -> None:
    with pytest.raises(SchemaError, match="deployed_at"):
        predictions(World().signals(), fixes=pl.DataFrame({"fix_id": ["a"], "kind": ["other"]}))


def test_effects_without_an_interval_are_refused() -> None:
    with pytest.raises(SchemaError, match="rr_low, rr_high"):
        calibration(predicted(("a", 0.5, 0.4, 0.6)), pl.DataFrame({"fix_id": ["a"], "rr": [0.5]}))


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        ((0.55, 0.45, 0.67), "as_predicted"),
        ((0.95, 0.85, 1.06), "under_delivers"),
        ((0.10, 0.05, 0.20), "over_delivers"),
        ((math.nan, math.nan, math.nan), "undecided"),
        ((0.0, 0.0, 0.2), "undecided"),
    ],
)
def test_a_fix_is_judged_by_the_difference_and_its_interval(effect: tuple[float, float, float], verdict: str) -> None:
    (row,) = calibration(predicted(("a", 0.5, 0.45, 0.56)), realised(("a", *effect))).iter_rows(named=True)

    assert row["verdict"] == verdict


def test_a_fix_that_has_no_effect_yet_is_undecided_and_keeps_its_row() -> None:
    (row,) = calibration(predicted(("a", 0.5, 0.4, 0.6)), realised()).iter_rows(named=True)

    assert (row["verdict"], row["rr"], row["fixes_compared"]) == ("undecided", None, 0)
    assert row["slope"] is None


def test_the_ratio_says_which_part_of_the_expected_effect_came() -> None:
    told = calibration(
        predicted(("all", 0.5, 0.4, 0.6), ("none", 0.5, 0.4, 0.6), ("nothing", 1.0, 1.0, 1.0)),
        realised(("all", 0.5, 0.4, 0.6), ("none", 1.0, 0.8, 1.25), ("nothing", 0.9, 0.8, 1.0)),
    )

    assert told["ratio"].to_list() == [pytest.approx(1.0), pytest.approx(0.0), None]


def test_past_predictions_correct_the_next_once_four_fixes_are_known() -> None:
    points = [("a", 0.8), ("b", 0.6), ("c", 0.5), ("d", 0.3)]
    expected = predicted(*((name, rr, rr * 0.9, rr * 1.1) for name, rr in points), ("next", 0.4, 0.3, 0.5))
    # Every fix brought seven tenths of what was expected, on the scale of logarithms.
    seen = realised(*((name, rr**0.7, rr**0.7 * 0.9, rr**0.7 * 1.1) for name, rr in points))

    told = calibration(expected, seen)

    assert told["slope"][0] == pytest.approx(0.7)
    assert told["slope_lo"][0] < 0.7 < told["slope_hi"][0]
    assert told.row(4, named=True)["corrected_rr"] == pytest.approx(0.4**0.7)
    few = calibration(expected, seen.head(3))
    assert few["corrected_rr"].null_count() == 5
    assert few["fixes_compared"][0] == 3


def test_every_replayable_kind_can_be_predicted() -> None:
    kinds = [kind for kind in FixKind if kind != FixKind.OTHER]

    told = predictions(typical(6).signals(), fixes=fixes(*({"fix_id": kind, "kind": kind} for kind in kinds)))

    assert told["predicted_rr"].null_count() == 0
    assert told["fix_id"].to_list() == kinds
