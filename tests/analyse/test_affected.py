"""Evidence is read in pieces, and results are made of one another: both give what all at once gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from flexkit.analyse import affected, causes, completed, episodes, extracts, habits, linking
from flexkit.analyse.handlers import named
from flexkit.analyse.results import RESULTS
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables.keys import key64, signal_keys
from flexkit.tables.lookup import LINKS
from flexkit.tables.store import Store
from tests.analyse.worlds import World, sid

if TYPE_CHECKING:
    from pathlib import Path

    from flexkit.collect.simulate import Observed

DAY = 86_400


@pytest.fixture(scope="module", params=["sample", "noisy", "no_app_log"])
def observed(request: pytest.FixtureRequest) -> Observed:
    return observed_frames(build(interactions=250, days=5, seed=11, name=request.param))


def classified(seen: Observed) -> pl.DataFrame:
    found = causes.classify(seen.signals.lazy(), seen.alerts.lazy(), seen.coverage.lazy()).collect()
    return found.sort("interaction_sid", "occurred_at", "second_evidence_sid")


def test_many_pieces_give_what_one_gives(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = classified(observed)
    duplicates = episodes.duplicates(observed.signals.lazy(), observed.alerts.lazy()).collect()
    monkeypatch.setattr(affected, "PIECE", 8)

    assert whole.height > 5
    # A gap in seconds may differ in its last binary digit: Polars divides single numbers in another way.
    assert_frame_equal(classified(observed), whole)
    again = episodes.duplicates(observed.signals.lazy(), observed.alerts.lazy()).collect()
    assert_frame_equal(again, duplicates)


def test_many_pieces_are_as_many_as_asked_for(observed: Observed) -> None:
    seen = affected.Overview.of(observed.signals.lazy(), observed.alerts.lazy())
    found = list(affected.pieces(seen, size=3))

    seen = [set(piece.rows["interaction_sid"].drop_nulls()) for piece in found]
    assert len(found) > 2
    assert sum(len(some) for some in seen) == len(set().union(*seen))


def test_completions_sorted_in_pieces_are_those_of_all_at_once(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = episodes.completions(observed.signals.lazy()).collect().sort("interaction_sid")
    monkeypatch.setattr(completed, "AT_ONCE", 50)

    assert episodes.completions(observed.signals.lazy()).collect().sort("interaction_sid").equals(whole)


def test_the_duplicates_of_a_store_are_those_of_its_signals(observed: Observed, tmp_path: Path) -> None:
    store = Store(tmp_path, results=RESULTS)
    store.add({"signals": observed.signals, "alerts": observed.alerts, "coverage": observed.coverage})
    signals = named(store.table("signals"), store.handlers())

    direct = episodes.duplicates(signals, store.table("alerts")).collect()

    assert (
        store.table("duplicates")
        .collect()
        .sort("interaction_sid", "second_at")
        .equals(direct.sort("interaction_sid", "second_at"))
    )
    again = store.table("completions").collect()["completion_count"] - 1
    named_ones = direct.join(store.table("completions").collect(), on="interaction_sid", how="semi")
    assert again.sum() == named_ones.height


def test_an_interaction_over_midnight_is_one_however_its_days_are_cut(tmp_path: Path) -> None:
    world = World()
    world.interaction(1).log("close_channel", DAY / 2 - 1, "fn").closed(DAY / 2 - 0.4).log(
        "close_channel", DAY / 2 + 30, "fn"
    ).warned(DAY / 2 + 30.5)
    world.interaction(2).log("complete_task", DAY / 2 - 1e-6, "a").task("completed", 3 * DAY)
    world.interaction(3).task("completed", DAY / 2).closed(2.5 * DAY)
    signals = world.signals().with_columns(*signal_keys()).collect()
    store = Store(tmp_path, results=RESULTS)
    for rows in signals.sample(fraction=1, shuffle=True, seed=1).iter_slices(1):
        store.add({"signals": rows})

    assert signals["day"].n_unique() > 2
    for name in ("completions", "duplicates"):
        direct = getattr(episodes, name)(signals.lazy()).collect()
        assert store.table(name).collect().sort("interaction_sid").equals(direct.sort("interaction_sid"))
    assert store.table("duplicates").collect()["interaction_sid"].to_list() == [sid("KD", 1)]


def test_interactions_whose_digits_repeat_are_told_apart() -> None:
    made = pl.DataFrame({"sid": ["KD" + digit * 32 for digit in "0123456789abcdef"]})

    assert made.select(key64("sid"))["sid"].n_unique() == 16


def test_a_signal_without_keys_gets_that_of_the_store() -> None:
    world = World()
    world.interaction(1).closed(0)
    world.interaction(2).log("close_channel", 5, "fn", outcome="rejected").task("created", 6)
    plain = world.signals().drop("ikey", "ending")

    derived = linking.prepared(plain).select("ikey", "ending").collect()

    assert derived.equals(world.signals().select("ikey", "ending").collect())
    assert derived["ending"].null_count() == 2


def test_whose_a_part_is_told_by_numbers_as_by_text() -> None:
    world = World()
    for number in range(1, 40):
        world.interaction(number).log("close_channel", number, "fn").closed(number + 1).task("completed", number + 30)
    signals = linking.prepared(world.signals())
    links = extracts.of(signals).links
    numbers = [name for name in links.collect_schema().names() if name.endswith("_hashed")]
    parts = links.select("interaction_sid", *LINKS).unique().sort("interaction_sid").collect()
    lost = parts.with_columns(
        interaction_sid=pl.lit(None, dtype=pl.String),
        **{link: pl.when(pl.int_range(pl.len()) % 4 != place).then(link) for place, link in enumerate(LINKS)},
    )
    unknown = lost.head(3).with_columns(pl.lit("none of these").alias(link) for link in LINKS)
    lost = pl.concat([lost, unknown, lost.clear(n=1)])

    by_numbers, by_text = (linking.resolved(lost, some) for some in (links, links.drop(numbers)))

    assert len(numbers) == len(LINKS)
    assert by_numbers.equals(by_text)
    assert by_numbers["interaction_sid"].null_count() < lost.height


def test_a_warning_told_twice_has_the_key_of_the_interaction_that_it_names() -> None:
    world = World()
    world.interaction(1).served(closed=0).warned(5)
    world.interaction(2).served(closed=0).warned(5)
    elsewhere = world.alerts().with_columns(
        pl.lit(sid("KD", 2)).alias(name) for name in ("resource_sid", "interaction_sid")
    )

    warned = affected.Overview.of(world.signals(), elsewhere).warned

    assert warned.height == 2
    assert set(warned["interaction_sid"]) == {sid("KD", 2)}
    assert warned["ikey"].to_list() == warned.select(key64("interaction_sid")).to_series().to_list()


def test_habits_are_brought_up_to_date_as_if_all_were_added_up() -> None:
    world = World()
    for number in range(1, 13):
        story = world.interaction(number).task("completed", number)
        for again, trigger in enumerate((story.event(), f"{'req' if number % 2 else 'job'}-{number}", None)):
            story.log("close_channel", number + again, f"fn-{number % 3}", trigger)
    told = pl.concat(
        habits.of_handlers(piece) for piece in affected.pieces(affected.Overview.of(world.signals(), None))
    )
    first, second, third = (told.slice(place * 4, 4) for place in range(3))

    brought = habits.added(habits.totals(pl.concat([first, second])), habits.totals(third), habits.totals(first))

    assert_frame_equal(brought, habits.totals(pl.concat([second, third])), check_row_order=False)
    assert brought["form"].n_unique() > 2
    assert told.height == 12
