"""Clocks of one's own hosts: an error that many interactions agree on is taken off, anything else is left alone."""

from __future__ import annotations

import polars as pl
import pytest

from flexkit.analyse import causes
from flexkit.analyse.clocks import corrected
from flexkit.analyse.linking import prepared
from tests.analyse.worlds import World, sid


def centre(*, count: int, log: float = 0.0, receiver: float = 0.0, closings: bool = True) -> World:
    """*count* interactions, a minute apart, that a plugin closes and an agent completes again."""
    world = World()
    for number in range(1, count + 1):
        start, gap = 60.0 * number, 4.0 + 0.37 * number
        story = world.interaction(number).task("created", start - 30)
        story.log("close_channel", start + log, "plugin", f"a{number}", intent="end")
        story.closed(start + 0.6 + receiver)
        if closings:
            story.signal("conversation_closed", start + 0.4, "conversations", reason="API")
        story.log("complete_task", start + gap + log, "desktop", f"b{number}", outcome="rejected")
        story.warned(start + gap + 0.1)
    return world


def errors(world: World, source: str) -> list[float]:
    rows = corrected(prepared(world.signals()).collect().with_columns(origin=None))
    return sorted((rows.filter(pl.col("source") == source)["clock_error_us"] / 1e6).unique().to_list())


@pytest.mark.parametrize("skew", [-40.0, -3.0, 5.0, 50.0])
def test_a_log_that_is_off_is_put_right(skew: float) -> None:
    assert errors(centre(count=8, log=skew), "app_log") == [pytest.approx(skew, abs=0.3)]


def test_a_receiver_that_is_off_is_put_right() -> None:
    assert errors(centre(count=8, receiver=-4.0), "interactions_webhook") == [pytest.approx(-4.0, abs=0.3)]


def test_latency_is_no_error() -> None:
    world = centre(count=8)

    assert errors(world, "app_log") == [0.0]
    assert errors(world, "interactions_webhook") == [0.0]


def test_a_few_interactions_prove_nothing() -> None:
    assert errors(centre(count=3, log=7.0), "app_log") == [0.0]


def test_warnings_tell_a_small_error_where_nothing_else_does() -> None:
    assert errors(centre(count=12, log=3.0, closings=False), "app_log") == [pytest.approx(3.0, abs=0.5)]


def test_retry_delays_are_not_taken_for_a_clock() -> None:
    world = World()
    for number in range(1, 12):
        story = world.interaction(number).log("close_channel", 60 * number, "fn", f"t{number}")
        story.warned(60 * number + 15)

    assert errors(world, "app_log") == [0.0]


def test_causes_do_not_suffer_from_a_late_log() -> None:
    world = centre(count=8, log=30.0, receiver=-2.0)
    found = causes.classify(world.signals(), world.alerts()).collect()

    assert found["interaction_sid"].to_list() == [sid("KD", number) for number in range(1, 9)]
    assert set(found["cause"]) == {"channel_closed_directly"}
    assert set(found["status"]) == {"confirmed"}
