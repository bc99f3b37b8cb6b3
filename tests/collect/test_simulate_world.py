"""The simulated centre: reproducible, its calendar real, its causes as frequent as asked for."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from flexkit.collect.simulate import build, scenario_names, warnings
from flexkit.collect.simulate.arrivals import microseconds
from flexkit.collect.simulate.centre import DAY, HOUR
from flexkit.collect.simulate.server import Fate
from flexkit.errors import UsageError


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no scenario 'busy'.*calm, breach"):
        build(interactions=10, days=7, seed=1, name="busy")


@pytest.mark.parametrize(("interactions", "days"), [(0, 7), (10, 0)])
def test_an_empty_centre_is_refused(interactions: int, days: int) -> None:
    with pytest.raises(UsageError, match="at least one interaction and one day"):
        build(interactions=interactions, days=days, seed=1)


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    one, same, other = (build(interactions=500, days=14, seed=seed) for seed in (3, 3, 4))

    assert (one.attempts.served == same.attempts.served).all()
    assert one.centre == same.centre
    assert one.centre != other.centre


def test_one_interaction_on_one_day_is_a_world() -> None:
    world = build(interactions=1, days=1, seed=2)

    assert len(world.interactions) == 1


@pytest.mark.parametrize("name", [name for name in scenario_names() if name != "empty"])
def test_every_scenario_can_be_built(name: str) -> None:
    assert warnings(build(interactions=800, days=28, seed=11, name=name)).completed > 700


def test_the_window_has_whole_local_days_across_the_change_of_clocks() -> None:
    world = build(interactions=100, days=84, seed=1, name="sample")

    zone = ZoneInfo("Europe/Berlin")
    assert world.start == microseconds(dt.datetime(2026, 8, 24, tzinfo=zone).astimezone(dt.UTC))
    assert world.end - world.start == 84 * DAY + HOUR


def test_nobody_writes_on_the_day_that_the_centre_is_closed() -> None:
    world = build(interactions=5_000, days=28, seed=9, traits={"zone": "America/New_York"})
    closed = world.calendar.closed_on
    assert closed is not None
    start = microseconds(dt.datetime.combine(closed, dt.time(), ZoneInfo("America/New_York")).astimezone(dt.UTC))

    first_contacts = world.interactions.arrived[world.interactions.returns_to < 0]
    assert not ((first_contacts >= start) & (first_contacts < start + DAY)).any()
    assert ((first_contacts >= start - DAY) & (first_contacts < start)).any()


def test_weekends_and_nights_are_quiet() -> None:
    world = build(interactions=20_000, days=28, seed=4, traits={"zone": "Asia/Tokyo"})
    local = (world.interactions.arrived + 9 * HOUR) // HOUR
    hours, weekday = local % 24, (local // 24 + 3) % 7

    assert (weekday >= 5).mean() < 0.25
    assert ((hours >= 1) & (hours < 5)).mean() < 0.02


@pytest.mark.parametrize("seed", [1, 2])
def test_the_share_of_interactions_completed_twice_is_what_was_asked_for(seed: int) -> None:
    plain = {"incidents_per_month": 0.0, "day_sigma": 0.0, "rate": 0.04, "cause_mix": (0.4, 0.2, 0.1, 0.3)}
    world = build(interactions=40_000, days=28, seed=seed, traits=plain)
    truth = warnings(world)

    assert truth.interactions / truth.completed == pytest.approx(0.04, rel=0.12)
    causes = np.bincount(world.attempts.cause[truth.warned] + 1, minlength=5)
    assert causes[0] <= 3, "nearly every warning is explained by a mechanism"
    assert (causes[1:] > 100).all()


def test_bad_days_are_followed_by_bad_days_where_that_is_asked_for() -> None:
    world = build(interactions=40_000, days=84, seed=6, traits={"day_sigma": 0.5, "day_rho": 0.8})
    by_day = np.log([world.calendar.factor[world.calendar.local_day == day][0] for day in range(84)])

    assert np.corrcoef(by_day[1:], by_day[:-1])[0, 1] > 0.4


def test_what_only_looks_like_trouble_is_there_and_brings_no_warning() -> None:
    world = build(interactions=30_000, days=28, seed=7, name="random")
    fate = world.resolution.fate

    for kind in (Fate.SEEN_BEFORE, Fate.SAW_CLOSED, Fate.REFUSED, Fate.SILENT, Fate.PARTICIPANT_ONLY):
        assert (fate == kind).sum() > 10, kind
    assert world.interactions.transferred.sum() > 500
    assert (world.interactions.returns_to >= 0).sum() > 50


def test_a_deployed_fix_works_from_its_time_on_and_only_where_it_reaches() -> None:
    world = build(interactions=30_000, days=84, seed=10, name="sample")
    guard, owner = world.deployed
    fate, served = world.resolution.fate, world.attempts.served
    guarded = world.fixed[guard.deployment.kind]

    assert owner.at_us - guard.at_us >= 14 * DAY
    assert not guarded[served < guard.at_us].any()
    assert set(world.attempts.role[guarded]) == set(guard.deployment.roles or ())
    assert not (fate[served < owner.at_us] == Fate.NOT_SENT).any()
    assert (fate[served > owner.at_us + DAY] == Fate.NOT_SENT).any()


def test_centres_differ_so_that_no_rule_can_be_tuned_to_one() -> None:
    centres = [build(interactions=1, days=1, seed=seed, name="random").centre for seed in range(40)]

    for trait in ("zone", "closed_reply", "alert_style", "task_feed", "retry_delay", "reservation_events"):
        assert len({getattr(centre, trait) for centre in centres}) > 1, trait
    assert len({tuple(centre.names.values()) for centre in centres}) > 30
