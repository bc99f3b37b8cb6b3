"""One interaction is found by its key, with everything that a timeline of it needs."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flexkit.analyse import extracts
from flexkit.analyse.explain import explain
from flexkit.analyse.timeline import timeline
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables import lookup
from flexkit.tables.keys import signal_keys
from flexkit.tables.parts import Parts
from flexkit.tables.schema import SIGNALS
from flexkit.tables.store import Store
from tests.analyse.worlds import NOON, World, sid

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


def test_another_interaction_of_the_same_conversation_comes_along_within_a_week(tmp_path: Path) -> None:
    world = World()
    world.interaction(1).closed(0)
    world.interaction(2).closed(7 * 86_400, conversation_sid=sid("CH", 1))
    world.interaction(3).closed(8 * 86_400, conversation_sid=sid("CH", 1))
    world.interaction(4).closed(86_400)

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


def tangled(seed: int) -> pl.DataFrame:
    """Signals of five weeks that share parts in every way: by chance, across days, nameless, misnamed, undated."""
    chance = random.Random(seed)
    parts = {"channel_sid": "UO", "conversation_sid": "CH", "task_sid": "WT"}

    def signal(number: int) -> dict[str, Any]:
        source = chance.choice(["studio", "studio", "taskrouter", "debugger", "app_log"])
        named = chance.choice([None, None, "CALL-17", *(sid("KD", one) for one in (1, 2, 3, 3, 1 << 64 | 1))])
        seconds = chance.uniform(0, 35 * 86_400)
        return {
            "signal_id": f"s{number}",
            "evidence_sid": f"e{number}",
            "occurred_at": chance.choice([None, *[NOON + dt.timedelta(seconds=seconds)] * 12]),
            "interaction_sid": named,
            "source": source,
            "kind": "warning" if source == "debugger" else chance.choice(["studio_step", "task_completed"]),
            "trigger_id": chance.choice([None, sid("FN", 1), sid("FN", 2), sid("FN", 3)]),
            **{
                name: chance.choice([None, None, None, sid(prefix, chance.randrange(12))])
                for name, prefix in parts.items()
            },
        }

    rows = [signal(number) for number in range(90)]
    return pl.DataFrame(rows, schema=SIGNALS.dtypes).with_columns(*signal_keys())


def keep(days: dict[str, pl.LazyFrame], parts: Parts) -> None:
    extracts.of_days(("loose", "runs", "links"), days, parts)


def by_looking_at_each(signals: pl.DataFrame, kd: str) -> set[str]:
    """What `lookup.around` promises, one row after the other."""
    rows = signals.to_dicts()

    def named(some: list[dict[str, Any]]) -> set[str]:
        return {row[link] for row in some for link in lookup.LINKS if row[link]}

    def shares(row: dict[str, Any], some: list[dict[str, Any]]) -> bool:
        return bool(named([row]) & named(some))

    own = [row for row in rows if row["interaction_sid"] == kd]
    for _ in range(2):
        own += [row for row in rows if row["ikey"] is None and row not in own and shares(row, own)]
    days = [row["day"] for row in own if row["day"]]
    runs = {row["trigger_id"] for row in own if row["source"] == "studio"} - {None}
    week = dt.timedelta(days=7)

    def counts(row: dict[str, Any]) -> bool:
        if not own or row in own or (row["day"] and not (days and min(days) - week <= row["day"] <= max(days) + week)):
            return False
        is_run = row["source"] == "studio" and row["trigger_id"] in runs
        if row["ikey"] is None:
            return is_run and row["interaction_sid"] is None and not named([row])
        return is_run or shares(row, own)

    return {row["signal_id"] for row in (*own, *filter(counts, rows))}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_tangled_with_it_is_what_a_look_at_each_signal_finds(tmp_path: Path, seed: int) -> None:
    signals = tangled(seed)
    cut = signals.partition_by("day", as_dict=True)
    # As `Store.days` gives them: the rows of a day do not say which.
    days = {f"{day}-0": rows.drop("day").lazy() for (day,), rows in cut.items()}
    keep(days, Parts(tmp_path))
    told = extracts.told(days, Parts(tmp_path))

    assert told is not None
    for kd in (sid("KD", number) for number in (1, 2, 3, 4, 1 << 64 | 1)):
        expected = signals.filter(pl.col("signal_id").is_in(by_looking_at_each(signals, kd))).sort("signal_id")
        assert lookup.around(signals.lazy(), kd).sort("signal_id").equals(expected)
        assert lookup.around(signals.lazy(), kd, told).sort("signal_id").equals(expected)


def test_a_look_up_reads_what_is_kept_only_where_all_of_it_is(tmp_path: Path) -> None:
    signals = tangled(99).drop_nulls("day")
    store = Store(tmp_path)
    store.add({"signals": signals})
    days, parts = store.days("signals"), store.parts(extracts.__name__)
    kd = sid("KD", 3)
    expected = sorted(by_looking_at_each(store.table("signals").collect(), kd))

    assert extracts.told(days, parts) is None
    assert not parts.folder.exists()
    keep(days, parts)
    told = extracts.told(days, parts)
    assert told is not None
    assert sorted(store.around(kd, told).collect()["signal_id"]) == expected
    # Another day came, or somebody tidied up.
    assert extracts.told([*days, "2026-12-01-0"], parts) is None
    next(parts.folder.glob("links-*")).unlink()
    assert extracts.told(days, parts) is None
    assert sorted(store.around(kd).collect()["signal_id"]) == expected
