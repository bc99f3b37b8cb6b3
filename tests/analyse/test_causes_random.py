"""Whatever evidence comes in: nothing crashes, no alert is lost, no order of rows matters, and promises are kept."""

from __future__ import annotations

import random

import polars as pl
import pytest

from flexkit.analyse import causes, episodes
from flexkit.terms import Cause, Missing, SignalKind, Status
from tests.analyse.worlds import Story, World, sid


def anything(seed: int) -> World:
    """A world in which anything may happen at any time, in any combination, with parts of it missing."""
    chance = random.Random(seed)
    world = World()
    for number in range(1, 9):
        story = world.interaction(number)
        for _ in range(chance.randrange(0, 14)):
            one_thing(story, chance)
        if chance.random() < 0.7:
            story.warned(*[chance.choice([0.4, 5, 15.2, 90, 400]) for _ in range(chance.randrange(1, 4))])
    for row in world.rows:
        for column in ("interaction_sid", "channel_sid", "conversation_sid", "handler", "trigger_id", "outcome",
                       "time_kind"):  # fmt: skip
            if chance.random() < 0.12:
                row[column] = None
    return world


def one_thing(story: Story, chance: random.Random) -> None:
    seconds = chance.choice([-300, -1, 0, 0, 0.3, 1, 2, 5, 15, 15, 60, 90, 400]) + chance.choice([0, 0, 0.1, 0.7])
    what = chance.randrange(7)
    handler, trigger = chance.choice(["a", "b", "park"]), chance.choice([None, "t1", "t2", story.event(), sid("KD", 1)])
    if what <= 2:
        operations = ["close_channel", "close_channel", "complete_task", "close_participant", "close_conversation"]
        story.log(
            chance.choice(operations),
            seconds,
            handler,
            trigger,
            outcome=chance.choice(["accepted", "rejected", "skipped", "unknown", None]),
            intent=chance.choice([None, "end", "remove_agent"]),
            status_before=chance.choice([None, "active", "closed"]),
        )
    elif what == 3:
        story.task(chance.choice(["created", "wrapup", "completed", "canceled", "workflow_timeout"]), seconds,
                   actor=chance.choice([None, "worker", "twilio"]))  # fmt: skip
    elif what == 4:
        story.closed(seconds)
    elif what == 5:
        story.step(seconds, execution=chance.randrange(3), widget=chance.choice(["close_it", "http_1", "send_to_flex"]))
    else:
        story.signal(chance.choice(["channel_active", "channel_inactive", "conversation_closed", "brand.new"]), seconds,
                     chance.choice(["interactions_webhook", "conversations"]))  # fmt: skip


def classified(signals: pl.LazyFrame, world: World) -> pl.DataFrame:
    return causes.classify(signals, world.alerts()).collect()


@pytest.mark.parametrize("seed", range(12))
def test_promises_are_kept_in_any_world(seed: int) -> None:
    world = anything(seed)
    found = classified(world.signals(), world)
    duplicates = episodes.duplicates(world.signals(), world.alerts()).collect()

    alerts = found["alert_sids"].explode().drop_nulls()
    assert sorted(alerts) == sorted(row["alert_sid"] for row in world.alert_rows)
    assert set(found["cause"]) <= set(map(str, Cause))
    assert set(found["status"]) <= set(map(str, Status))
    assert set(found["missing"].explode().drop_nulls()) <= set(map(str, Missing))
    confirmed = found.filter(pl.col("status") == "confirmed")
    assert (confirmed["alert_sids"].list.len() > 0).all()
    undetermined = found.filter(pl.col("cause") == "undetermined")
    assert (undetermined["missing"].list.len() > 0).all()
    assert (undetermined["rules"].list.len() == 0).all()
    assert not found.select(pl.col("also").list.contains(pl.col("cause")).any()).item()
    named = found.drop_nulls("interaction_sid")
    keys = ["interaction_sid", "occurred_at"]
    assert (
        named.select(keys).sort(keys).rows()
        == duplicates.select("interaction_sid", "second_at").sort("interaction_sid", "second_at").rows()
    )
    assert (duplicates["gap_seconds"].drop_nulls() >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    world = anything(100 + seed)
    straight = world.signals().collect()
    shuffled = straight.sample(fraction=1, shuffle=True, seed=seed)

    assert classified(straight.lazy(), world).equals(classified(shuffled.lazy(), world))
    by_sid = pl.col("interaction_sid")
    for compute in (episodes.completions, episodes.duplicates):
        one, other = (compute(frame.lazy()).collect().sort(by_sid, pl.nth(5)) for frame in (straight, shuffled))
        assert one.equals(other)


def test_twice_the_same_rows_are_once_the_evidence() -> None:
    world = anything(7)
    once = classified(world.signals(), world)
    doubled = pl.concat([world.signals(), world.signals()])

    assert classified(doubled, world).drop("evidence_sids").equals(once.drop("evidence_sids"))


def test_every_interaction_stands_alone() -> None:
    world = anything(11)
    together = classified(world.signals(), world).filter(pl.col("interaction_sid") == sid("KD", 3))
    own = [name for name in ("interaction_sid", "channel_sid", "conversation_sid") if name]
    mine = world.signals().filter(
        pl.any_horizontal(pl.col(name).str.ends_with(f"{3:032x}").fill_null(value=False) for name in own)
    )

    alone = causes.classify(mine, None).collect().filter(pl.col("interaction_sid") == sid("KD", 3))

    assert alone["occurred_at"].to_list() == together["occurred_at"].to_list()
    assert SignalKind.WARNING in set(world.signals().collect()["kind"])
