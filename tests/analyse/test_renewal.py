"""Tables brought up to date equal those made anew, whatever the new evidence touches."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flexkit.analyse import causes, completed, episodes, extracts, memory, renewal
from flexkit.analyse.handlers import named
from flexkit.analyse.results import RESULTS
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables import parts
from flexkit.tables.keys import signal_keys
from flexkit.tables.schema import SIGNALS
from flexkit.tables.store import Store
from tests.analyse.worlds import World, sid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flexkit.collect.simulate import Observed

DAY = 86_400
_ORDER = ("interaction_sid", "occurred_at", "second_evidence_sid", "first_closed_at")


class Renewed:
    """A store whose tables are brought up to date after each addition, and held against tables made anew."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(folder, results=RESULTS)
        self.from_memory: list[bool] = []
        # Worlds this small have few files, of which each change touches many.
        monkeypatch.setattr(memory, "_FEW", 0)
        # Some changes are layers of their own, others are merged with what is below.
        monkeypatch.setattr(memory, "_SMALL", 1)
        monkeypatch.setattr(parts, "_LONE", 2)
        monkeypatch.setattr(parts, "_READ_SECONDS", -1)
        monkeypatch.setattr(extracts, "_FRESH", 2)
        for module, name in ((renewal, "judgements"), (completed, "renewed")):
            self._watch(monkeypatch, module, name)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
        find = getattr(module, name)

        def watched(seen: object, other: object, before: object = None, changed: object = None) -> object:
            self.from_memory.append(before is not None)
            return find(seen, other, before, changed)

        monkeypatch.setattr(module, name, watched)

    def add(self, **tables: pl.DataFrame) -> Renewed:
        self.store.add(tables)
        return self

    def check(self) -> pl.DataFrame:
        """The causes, after all tables were compared."""
        store = self.store
        found = store.table("causes").collect()
        anew = causes.classify(
            store.table("signals"),
            store.table("alerts"),
            store.coverage(),
            store.handlers().lazy(),
            configuration=store.table("configuration"),
        ).collect()
        # A gap in seconds may differ in its last binary digit: Polars divides single numbers in another way.
        assert_frame_equal(found.sort(*_ORDER), anew.sort(*_ORDER))
        twice = causes.duplicates(anew.lazy())
        assert_frame_equal(store.table("duplicates").collect(), twice.collect())
        done = store.table("completions").collect().sort("interaction_sid")
        signals = named(store.table("signals"), store.handlers())
        whole = episodes.completions(signals, twice).collect().sort("interaction_sid")
        assert_frame_equal(done, whole)
        return found


@pytest.fixture
def renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Renewed]:
    made = Renewed(tmp_path / "store", monkeypatch)
    yield made
    assert any(made.from_memory), "Nothing was taken from memory: the test holds nothing."


@pytest.fixture(scope="module")
def observed() -> Observed:
    return observed_frames(build(interactions=150, days=5, seed=3, name="noisy"))


def signals_of(world: World) -> pl.DataFrame:
    keyed: pl.DataFrame = SIGNALS.conform(world.signals()).with_columns(*signal_keys()).collect()
    return keyed


def later(world: World, prefix: str) -> pl.DataFrame:
    """The signals of a second *world*, with ids of their own."""
    return signals_of(world).with_columns(
        signal_id=pl.format(f"{prefix}-{{}}", "signal_id"),
        evidence_sid=pl.col("evidence_sid").str.replace("^NO0", "NOf"),
    )


def test_each_day_brings_its_own(renewed: Renewed, observed: Observed) -> None:
    days = sorted(observed.signals["day"].unique())

    for day in days:
        begins = pl.lit(day).cast(pl.Datetime("us", "UTC"))
        of_day = pl.col("generated_at").is_between(begins, begins.dt.offset_by("1d"), closed="left")
        coverage = observed.coverage.filter(pl.col("start") >= begins, pl.col("start") < begins.dt.offset_by("1d"))
        renewed.add(
            signals=observed.signals.filter(pl.col("day") == day),
            alerts=observed.alerts.filter(of_day),
            coverage=coverage,
        )
        found = renewed.check()

    assert found.height > 5


def test_rows_come_in_any_order(renewed: Renewed, observed: Observed) -> None:
    rng = random.Random(5)
    order = pl.Series([rng.randrange(3) for _ in range(observed.signals.height)])
    late = pl.Series([rng.randrange(3) for _ in range(observed.alerts.height)])

    for batch in range(3):
        renewed.add(
            signals=observed.signals.filter(order == batch),
            alerts=observed.alerts.filter(late == batch),
            coverage=observed.coverage[batch::3],
        )
        renewed.check()
    renewed.store.compact()
    renewed.check()


def busy() -> World:
    """Twelve days with a duplicate each, and an interaction without one."""
    world = World()
    for number in range(1, 13):
        at = (number - 1) * DAY
        world.interaction(number).log("close_channel", at, "fn", outcome="accepted").closed(at + 0.5).log(
            "close_channel", at + 30, "other"
        ).warned(at + 30.4)
        world.interaction(100 + number).log("close_channel", at + 60, "fn", outcome="accepted").closed(at + 60.5)
    return world


def test_a_late_event_of_an_old_interaction_changes_it(renewed: Renewed) -> None:
    renewed.add(signals=signals_of(busy()))
    before = renewed.check().height
    late = World()
    late.interaction(105).log("close_channel", 11 * DAY, "late-fn", outcome="accepted").warned(11 * DAY + 0.3)

    renewed.add(signals=later(late, "late"))

    assert renewed.check().height == before + 1


def test_an_interaction_of_forty_days_is_one(renewed: Renewed) -> None:
    world = busy()
    world.interaction(50).log("close_participant", 0, "fn").task("completed", 1)
    renewed.add(signals=signals_of(world))
    renewed.check()
    end = World()
    end.interaction(50).closed(40 * DAY).log("close_channel", 40 * DAY + 30, "fn").warned(40 * DAY + 30.2)

    renewed.add(signals=later(end, "end"))

    rows = renewed.check().filter(interaction_sid=sid("KD", 50))
    assert rows["first_closed_at"].to_list() == [dt.datetime(2026, 11, 14, 12, tzinfo=dt.UTC)]


def test_what_tells_whose_a_part_is_may_come_later(renewed: Renewed) -> None:
    world = busy()
    # The task is known, its interaction not yet.
    world.interaction(60, interaction_sid=None, channel_sid=None).task("completed", 5 * DAY).log(
        "close_channel", 5 * DAY + 1, "fn"
    ).log("close_channel", 5 * DAY + 60, "fn")
    renewed.add(signals=signals_of(world))
    before = renewed.check()
    tells = World()
    tells.interaction(60).task("created", 9 * DAY)

    renewed.add(signals=later(tells, "tells"))
    found = renewed.check()

    assert sid("KD", 60) not in before["interaction_sid"].to_list()
    assert renewed.store.table("completions").filter(interaction_sid=sid("KD", 60)).collect().height == 1
    assert found.height >= before.height
    # And then it proves to be that of two, which tells nothing.
    again = World()
    again.interaction(61, task_sid=sid("WT", 60), channel_sid=None, conversation_sid=None).task("created", 10 * DAY)
    renewed.add(signals=later(again, "again"))
    renewed.check()


def test_rows_that_change_or_go_are_taken_back(renewed: Renewed, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    signals = signals_of(busy())
    renewed.add(signals=signals)
    before = renewed.check()

    # A copy that tells more replaces the stored row.
    more = signals.filter(pl.col("handler") == "other").head(1).with_columns(status_before=pl.lit("closed"))
    renewed.add(signals=more)
    renewed.check()
    DeltaTable(str(tmp_path / "store" / "tables" / "signals")).delete(f"interaction_sid = '{sid('KD', 3)}'")

    assert renewed.check().height == before.height - 1


def test_clocks_that_prove_wrong_later_move_what_was_judged(renewed: Renewed) -> None:
    world = World()
    for number in range(1, 9):
        # The completion log is 20 s late; only closed conversations, which come later, tell.
        at = number * 3_600
        world.interaction(number).log("close_channel", at + 20, "fn", outcome="accepted").closed(at + 0.4).log(
            "close_channel", at + 50, "other"
        ).warned(at + 30)
    for number in range(1, 13):
        world.interaction(400 + number).log("close_channel", (number + 10) * DAY, "fn").closed((number + 10) * DAY + 1)
    renewed.add(signals=signals_of(world))
    before = renewed.check()
    told = World()
    for number in range(1, 9):
        told.interaction(number + 200).log("close_channel", number * 3_600 + DAY + 20, "fn", outcome="accepted").log(
            "close_channel", number * 3_600 + DAY + 60, "fn"
        ).signal("conversation_closed", number * 3_600 + DAY, "conversations", time_kind="event").warned(
            number * 3_600 + DAY + 40
        )

    renewed.add(signals=later(told, "told"))
    after = renewed.check().filter(pl.col("interaction_sid").is_in(before["interaction_sid"].implode()))

    assert after["first_closed_at"].to_list() != before["first_closed_at"].to_list()


def test_a_habit_that_shows_later_judges_old_duplicates_anew(renewed: Renewed) -> None:
    world = busy()
    renewed.add(signals=signals_of(world))
    before = renewed.check()
    said = World()
    for number in range(3):
        said.interaction(300 + number).log("close_channel", 11 * DAY + number, "fn", intent="end")

    renewed.add(signals=later(said, "said"))
    after = renewed.check()

    assert before.height == after.height
    assert (
        before["rules"].to_list() != after["rules"].to_list()
        or before["missing"].to_list() != after["missing"].to_list()
    )


def test_coverage_and_the_handler_map_count_at_once(renewed: Renewed) -> None:
    world = busy()
    renewed.add(signals=signals_of(world))
    renewed.check()
    window = {"coverage_id": "C1", "source": "taskrouter", "resource": "events", "rows": 0, "state": "complete"}
    start = dt.datetime(2026, 10, 7, tzinfo=dt.UTC)
    covered = pl.DataFrame([{**window, "start": start, "end": start + dt.timedelta(days=3), "fetched_at": start}])

    renewed.add(coverage=covered)
    renewed.check()
    (renewed.store.path / "handlers.toml").write_text('[[handler]]\nname = "Closer"\nmatch = { logged = "fn" }\n')

    assert "Closer" in renewed.check()["first_handler"].to_list()


def test_a_lost_memory_is_made_anew(renewed: Renewed) -> None:
    signals = signals_of(busy())
    renewed.add(signals=signals.head(20))
    renewed.check()
    renewed.add(signals=signals.slice(20, 10))
    renewed.check()
    for path in (renewed.store.path / "cache").rglob("*"):
        if path.suffix in (".parquet", ".json"):
            path.write_bytes(b"PAR1")

    renewed.add(signals=signals.slice(30))

    assert renewed.check().height == 12


@pytest.mark.parametrize("how", ["deleted", "cut"])
def test_a_lost_part_of_the_memory_is_made_anew(renewed: Renewed, how: str) -> None:
    signals = signals_of(busy())
    renewed.add(signals=signals.head(40))
    renewed.check()
    renewed.add(signals=signals.slice(40, 2))
    renewed.check()
    files = list((renewed.store.path / "cache").rglob("completions-*-gone.parquet"))
    for path in [*files, *(renewed.store.path / "cache").rglob("pairs-*.parquet")]:
        path.unlink() if how == "deleted" else path.write_bytes(path.read_bytes()[:-7])

    renewed.check()
    renewed.add(signals=signals.slice(42))

    assert files
    assert renewed.check().height == 12


def test_an_earlier_version_read_between_changes_nothing(renewed: Renewed) -> None:
    signals = signals_of(busy())
    renewed.add(signals=signals.head(40))
    then = renewed.check()
    before = renewed.store.version
    done = renewed.store.table("completions").collect()
    renewed.add(signals=signals.slice(40, 3))
    renewed.check()

    earlier = renewed.store.at(before)
    assert_frame_equal(earlier.table("causes").collect(), then)
    assert earlier.table("completions").collect().sort("interaction_sid").equals(done.sort("interaction_sid"))
    renewed.check()
    renewed.add(signals=signals.slice(43))

    assert renewed.check().height == 12


def test_completions_stay_those_of_their_version_though_data_come(renewed: Renewed) -> None:
    signals = signals_of(busy())
    renewed.add(signals=signals.head(40))
    count = renewed.check().height
    frame = renewed.store.table("completions")
    before = frame.collect().sort("interaction_sid")

    later = signals.slice(40)
    # Of so many states only the last few are kept.
    for some in later.iter_slices(later.height // (memory._KEPT + 1)):
        renewed.add(signals=some).store.table("completions").collect()

    assert frame.collect().sort("interaction_sid").equals(before)
    assert renewed.check().height >= count


def test_completions_of_a_window_are_those_whose_first_close_lies_in_it(renewed: Renewed) -> None:
    signals = signals_of(busy())
    renewed.add(signals=signals.head(40))
    renewed.check()
    renewed.add(signals=signals.slice(40))
    renewed.check()
    window = renewed.store.window("3d")
    inside = pl.col("first_closed_at").is_between(window.start, window.end, closed="left")

    whole = renewed.store.table("completions").collect()
    some = renewed.store.table("completions", window).select("interaction_sid", "completion_count").head(50).collect()

    expected = whole.filter(inside).select("interaction_sid", "completion_count")
    assert 0 < some.height < whole.height
    assert some.sort("interaction_sid").equals(expected.sort("interaction_sid"))
