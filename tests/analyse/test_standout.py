"""What stands out: a culprit is found, a bad day accuses nobody, and luck is kept in check."""

from __future__ import annotations

import datetime as dt
import random

import polars as pl
import pytest

from flexkit.analyse import standout
from flexkit.analyse.causes import CAUSES
from flexkit.analyse.episodes import COMPLETIONS
from tests.analyse.worlds import World, sid

DAY = dt.datetime(2026, 10, 5, 9, tzinfo=dt.UTC)
C1 = "duplicate_processing"


class Centre:
    """Completed interactions with their day, handler and whether they were completed twice."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, dt.datetime, str | None]] = []
        self.again: list[tuple[str, dt.datetime, str]] = []

    def add(self, count: int, handler: str | None, *, day: int = 0, duplicates: int = 0, channel: str = "web",
            cause: str = C1) -> None:  # fmt: skip
        for number in range(count):
            kd = sid("KD", len(self.done) + 1)
            when = DAY + dt.timedelta(days=day, minutes=number % 600)
            self.done.append((kd, channel, when, handler))
            if number < duplicates:
                self.again.append((kd, when, cause))

    def found(self, **options: object) -> pl.DataFrame:
        done = pl.DataFrame(
            [
                {"interaction_sid": k, "channel_type": c, "first_closed_at": t, "first_handler": h}
                for k, c, t, h in self.done
            ],
            schema=COMPLETIONS,
        )
        again = pl.DataFrame(
            [{"interaction_sid": k, "occurred_at": t, "cause": c} for k, t, c in self.again], schema=CAUSES
        )
        return standout.standout(again, done, **options)  # type: ignore[arg-type]


def test_nothing_completed_twice_finds_nothing() -> None:
    centre = Centre()
    centre.add(100, "fn")

    assert centre.found().schema == pl.Schema(standout.STANDOUT)
    assert centre.found().is_empty()


def test_a_culprit_stands_out_with_its_ratio_and_what_it_is_compared_with() -> None:
    centre = Centre()
    for day in range(5):
        centre.add(100, "retrying", day=day, duplicates=12)
        centre.add(400, "sound", day=day, duplicates=8)

    row = centre.found(dimensions=["first_handler"]).filter(cause="any", value="retrying").row(0, named=True)

    assert row["stands_out"]
    assert row["rr"] == pytest.approx(6.0, rel=1e-6)
    assert row["rr_low"] < 6.0 < row["rr_high"]
    assert (row["events"], row["interactions"], row["other_events"], row["other_interactions"]) == (60, 500, 40, 2000)
    assert "same days" in row["compared_with"]
    sound = centre.found(dimensions=["first_handler"]).filter(cause="any", value="sound").row(0, named=True)
    assert not sound["stands_out"]
    assert sound["rr"] == pytest.approx(1 / 6, rel=1e-6)


def test_one_day_alone_is_the_plain_ratio_of_risks() -> None:
    centre = Centre()
    centre.add(200, "a", duplicates=20)
    centre.add(300, "b", duplicates=10)

    row = centre.found(dimensions=["first_handler"]).filter(cause="any", value="a").row(0, named=True)

    # By hand: (20/200) / (10/300); the variance of its logarithm is 1/20 - 1/200 + 1/10 - 1/300.
    assert row["rr"] == pytest.approx(3.0)
    assert row["rr_high"] == pytest.approx(3.0 * 2.718281828 ** (1.959964 * (0.05 - 0.005 + 0.1 - 1 / 300) ** 0.5))


def test_a_bad_day_accuses_nobody() -> None:
    centre = Centre()
    centre.add(100, "new", day=0, duplicates=40)
    centre.add(100, "old", day=0, duplicates=40)
    for day in range(1, 6):
        centre.add(20, "new", day=day)
        centre.add(300, "old", day=day, duplicates=3)

    row = centre.found(dimensions=["first_handler"]).filter(cause="any", value="new").row(0, named=True)

    assert row["rate"] > 2 * row["other_rate"] * 0.9
    assert not row["stands_out"]


def test_a_handler_that_alone_has_duplicates_has_a_finite_ratio() -> None:
    centre = Centre()
    centre.add(100, "bad", duplicates=20)
    centre.add(300, "good")

    row = centre.found(dimensions=["first_handler"]).filter(cause=C1, value="bad").row(0, named=True)

    assert row["stands_out"]
    assert row["rr"] > 50
    assert row["rr_low"] > 3


def test_what_is_rare_is_not_tested() -> None:
    centre = Centre()
    centre.add(10, "rare", duplicates=4)
    centre.add(500, "other", duplicates=5)

    assert "rare" not in centre.found(dimensions=["first_handler"])["value"].to_list()


def test_luck_rarely_stands_out() -> None:
    falsely = 0
    for seed in range(20):
        chance = random.Random(seed)
        centre = Centre()
        for day in range(10):
            for handler in range(12):
                size = chance.randrange(20, 60)
                centre.add(size, f"h{handler}", day=day, duplicates=sum(chance.random() < 0.05 for _ in range(size)))
        falsely += bool(centre.found(dimensions=["first_handler"]).filter(cause="any")["stands_out"].any())

    assert falsely <= 5


def test_interactions_without_a_recorded_handler_are_a_value_too() -> None:
    centre = Centre()
    centre.add(200, None, duplicates=5)
    centre.add(200, "fn", duplicates=40)

    assert standout.UNRECORDED in centre.found(dimensions=["first_handler"])["value"].to_list()


def test_hours_are_those_of_the_zone() -> None:
    centre = Centre()
    centre.add(60, "fn", duplicates=12)
    centre.add(600, "fn")

    found = centre.found(tz="Europe/Berlin", dimensions=["hour", "weekday"]).filter(cause="any", dimension="hour")

    assert found.select("value", "stands_out").rows() == [("11:00", True)]


def test_the_last_signal_tells_queue_and_worker() -> None:
    world = World()
    story = world.interaction().task("created", 0, queue_sid=sid("WQ", 1))
    story.task("completed", 60, queue_sid=sid("WQ", 2), worker_sid=sid("WK", 5)).task("completed", 90)

    row = standout.attributes(world.signals()).collect().row(0, named=True)

    assert (row["queue_sid"], row["worker_sid"], row["flow_sid"]) == (sid("WQ", 2), sid("WK", 5), None)
