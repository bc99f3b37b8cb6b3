"""One interaction is found by its key, with everything that a timeline of it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.analyse.explain import explain
from flexkit.analyse.timeline import timeline
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables import lookup
from flexkit.tables.keys import signal_keys
from flexkit.tables.store import Store
from tests.analyse.worlds import World, sid

if TYPE_CHECKING:
    from pathlib import Path


def stored(folder: Path, world: World) -> Store:
    store = Store(folder)
    store.add({"signals": world.signals().with_columns(*signal_keys()).collect(), "alerts": world.alerts().collect()})
    return store


def found(store: Store, number: int) -> list[str]:
    return sorted(store.around(sid("KD", number)).collect()["signal_id"])


def test_an_interaction_that_nobody_saw_gives_nothing(tmp_path: Path) -> None:
    world = World()
    world.interaction(1).closed(0)

    assert found(stored(tmp_path, world), 2) == []
    assert found(Store(tmp_path / "empty"), 1) == []


@pytest.mark.parametrize("few", [0, 8])
def test_what_names_only_a_part_is_found_in_two_steps(
    tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_FEW", few)
    world = World()
    lost = {"interaction_sid": None}
    world.interaction(1).closed(0)
    # The channel alone, then a task that only this record ties to the channel.
    world.interaction(1).task("wrapup", 5, **lost)
    world.interaction(1).task("completed", 90_000, **lost, channel_sid=None, conversation_sid=None)
    world.interaction(2).closed(0).task("completed", 7, **lost)

    assert found(stored(tmp_path, world), 1) == ["s0", "s1", "s2"]


def test_another_interaction_of_the_same_conversation_comes_along(tmp_path: Path) -> None:
    world = World()
    world.interaction(1).closed(0)
    world.interaction(2).closed(86_400, conversation_sid=sid("CH", 1))
    world.interaction(3).closed(86_400)

    assert found(stored(tmp_path, world), 1) == ["s0", "s1"]


def test_keys_that_collide_are_told_apart_by_the_sid(tmp_path: Path) -> None:
    world = World()
    world.interaction(1).closed(0)
    # The first half is shifted by a bit before it counts: its last bit is lost in the key.
    world.interaction(1 << 64 | 1, channel_sid=sid("UO", 7), conversation_sid=sid("CH", 7)).closed(0)
    store = stored(tmp_path, world)

    assert store.table("signals").select(pl.col("ikey").n_unique()).collect().item() == 1
    assert found(store, 1) == ["s0"]


@pytest.mark.parametrize("scenario", ["sample", "noisy"])
def test_a_timeline_and_its_reasons_are_those_of_all_signals(tmp_path: Path, scenario: str) -> None:
    seen = observed_frames(build(interactions=200, days=4, seed=7, name=scenario))
    store = Store(tmp_path)
    store.add({"signals": seen.signals, "alerts": seen.alerts})
    signals, alerts = store.table("signals"), store.table("alerts")
    chosen = signals.select(pl.col("interaction_sid").drop_nulls().unique().sort()).collect()["interaction_sid"]

    for interaction in chosen.gather_every(40):
        whole = timeline(signals, interaction, alerts=alerts)
        assert timeline(store.around(interaction), interaction, alerts=alerts).equals(whole)
        reasons = explain(signals, interaction, alerts=alerts)
        assert explain(store.around(interaction), interaction, alerts=alerts).equals(reasons)
        assert whole.height
