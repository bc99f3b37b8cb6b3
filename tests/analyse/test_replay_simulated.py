"""Simulated centres know the truth: they are run again with the fix in place, on the same random numbers."""

from __future__ import annotations

import polars as pl
import pytest

from flexkit.analyse import replay
from flexkit.analyse.replay.rerun import SUBSETS, members
from flexkit.collect.simulate.damage import Degradation
from flexkit.collect.simulate.frames import observed_frames
from flexkit.collect.simulate.world import build, warnings
from flexkit.terms import FixKind, Source


def held_against_truth(
    seed: int, *, name: str = "clean", damage: Degradation | None = None
) -> tuple[pl.DataFrame, dict[str, float]]:
    """A replay of one centre, and the true share that each set of fixes would have prevented."""
    world = build(interactions=6_000, days=42, seed=seed, name=name)
    seen = observed_frames(world, damage)
    told = replay.replay(seen.signals, seen.alerts, coverage=seen.coverage, replicates=50)
    recorded = warnings(world).warnings
    sets = [members(subset) for subset in range(1, SUBSETS)]
    return told, {"+".join(kinds): 1 - warnings(world, frozenset(kinds)).warnings / recorded for kinds in sets}


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_with_full_evidence_every_set_of_fixes_is_within_a_point_or_two(seed: int) -> None:
    told, truth = held_against_truth(seed)

    for row in told.iter_rows(named=True):
        assert row["status"] == "point"
        assert row["prevented_share"] == pytest.approx(truth[row["fix_id"]], abs=0.02), row["fix_id"]
        assert row["bound_lo"] / row["warnings_window"] <= truth[row["fix_id"]] + 1e-9


def test_side_effects_are_those_of_the_world_run_again() -> None:
    world = build(interactions=6_000, days=42, seed=11, name="clean")
    seen = observed_frames(world)
    told = replay.replay(seen.signals, seen.alerts, replicates=50)

    for kind in list(FixKind)[:4]:
        truth = warnings(world, frozenset([kind]))
        row = told.row(by_predicate=pl.col("fix_id") == kind.value, named=True)
        assert row["orphans"] == pytest.approx(truth.orphans, abs=2), kind
        premature = row["premature_closes"] - row["prevented_premature_closes"]
        assert premature == pytest.approx(truth.premature_closes, abs=2), kind


def test_a_fifth_of_all_signals_lost_widens_the_interval_and_the_bounds_still_hold() -> None:
    lost = Degradation(loss=dict.fromkeys(Source, 0.2))
    whole, truth = held_against_truth(11)
    told, _ = held_against_truth(11, damage=lost)

    width = pl.col("prevented_share_hi") - pl.col("prevented_share_lo")
    assert told.select(width.mean()).item() > whole.select(width.mean()).item()
    assert told["replayable_share"][0] < 0.9
    for row in told.iter_rows(named=True):
        share = truth[row["fix_id"]]
        assert row["imputed"] / row["warnings_window"] == pytest.approx(share, abs=0.06), row["fix_id"]
        assert row["bound_lo"] / row["warnings_window"] - 0.02 <= share, row["fix_id"]
        assert share <= row["bound_hi"] / row["warnings_window"] + 0.02, row["fix_id"]


def test_without_the_log_that_holds_the_attempts_no_point_is_shown() -> None:
    told, truth = held_against_truth(12, name="no_app_log")

    assert told["prevented"].null_count() == 15
    for row in told.filter(pl.col("fix_count") == 1).iter_rows(named=True):
        assert row["bound_hi"] / row["warnings_window"] >= truth[row["fix_id"]] - 0.02, row["fix_id"]


def test_without_task_events_only_the_owner_of_terminal_events_cannot_be_told() -> None:
    told, truth = held_against_truth(12, name="no_taskrouter")

    status = dict(told.filter(pl.col("fix_count") == 1).select("fix_id", "status").iter_rows())
    assert status.pop("single_terminal_owner") != "point"
    assert set(status.values()) == {"point"}
    keys = told.row(by_predicate=pl.col("fix_id") == "idempotent_handling", named=True)
    assert keys["prevented_share"] == pytest.approx(truth["idempotent_handling"], abs=0.02)


def test_alerts_alone_name_no_number() -> None:
    told, _ = held_against_truth(12, name="alerts_only")

    assert told["status"].unique().to_list() == ["not_identifiable"]
