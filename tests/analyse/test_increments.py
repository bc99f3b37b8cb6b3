"""Counts kept day by day equal those of all signals at once, however interactions span the days."""

from __future__ import annotations

import random
from functools import partialmethod
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.analyse import extracts, fast_pass, heavy_pass, increments
from flexkit.analyse.results import RESULTS
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables import parts as kept_parts
from flexkit.tables.keys import signal_keys
from flexkit.tables.parts import Parts
from flexkit.tables.store import Store
from tests.analyse.worlds import World

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


def whole(signals: pl.DataFrame) -> list[tuple[object, ...]]:
    found: pl.DataFrame = heavy_pass.answer(signals.lazy()).collect()
    return found.rows()


def days_of(signals: pl.DataFrame, *, number: int = 0) -> dict[str, pl.LazyFrame]:
    """Days by a name that changes with the number of rows."""
    return {
        f"{key[0]}-{rows.height}-{number}": rows.lazy()
        for key, rows in signals.partition_by("day", as_dict=True).items()
    }


def pieces_of(rows: pl.LazyFrame, size: int, **_: object) -> list[pl.DataFrame]:
    """What a reader gives, in pieces of *size* rows, some of them without any."""
    pieces = list(rows.collect().iter_slices(size))
    return [piece for some in pieces for piece in (some.clear(), some)]


@pytest.mark.parametrize(("piece", "at_once"), [(1, 1), (3, 7), (7, 1), (7, 125_000), (125_000, 1)])
@pytest.mark.parametrize("seed", range(6))
def test_the_pass_of_polars_gives_the_rows_of_the_portable_one(
    seed: int, piece: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_pass, "AT_ONCE", at_once)
    monkeypatch.setattr(pl.LazyFrame, "collect_batches", partialmethod(pieces_of, piece))
    signals = adversarial(seed)
    # Evidence does not always tell a channel's type, nor always the same one, nor always the interaction.
    told = random.Random(seed).choices([None, "chat", "web"], k=signals.height)
    mixed = signals.with_columns(
        channel_type=pl.Series(told), ikey=pl.when(pl.int_range(pl.len()) % 11 > 0).then("ikey")
    )

    for rows in (signals, mixed, mixed.sort("day", "ikey", "occurred_us"), mixed.sort("ikey", "occurred_us")):
        assert fast_pass.answer(rows.lazy()).equals(heavy_pass.answer(rows.lazy()).collect())
        own, portable = fast_pass.partials(rows.lazy()).collect(), heavy_pass.partials(rows.lazy()).collect()
        assert own.sort("ikey").equals(portable.sort("ikey"))


def adversarial(seed: int, days: int = 12) -> pl.DataFrame:
    """Interactions whose signals jump over days at random, on the very borders, and back in time."""
    rng = random.Random(seed)
    world = World()
    for number in range(1, 60):
        story = world.interaction(number, channel_type=rng.choice(["web", "voice", None]))
        for _ in range(rng.randint(1, 5)):
            border = rng.randrange(days) * DAY - DAY / 2
            when = border + rng.choice([-1e-6, 0, 1e-6, -0.4, 5, rng.uniform(0, DAY)])
            match rng.randrange(6):
                case 0:
                    story.closed(when)
                case 1:
                    story.log("close_channel", when, "fn", outcome=rng.choice(["accepted", "rejected", None]))
                case 2:
                    story.log("complete_task", when, "other")
                case 3:
                    story.task("completed", when)
                case 4:
                    story.log("close_participant", when, "fn")
                case 5:
                    story.warned(when)
    return world.signals().with_columns(*signal_keys()).collect()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    # Worlds this small have few days: of these, too, some are put in one file and some stay alone.
    monkeypatch.setattr(kept_parts, "_LONE", 2)
    monkeypatch.setattr(kept_parts, "_READ_SECONDS", -1)
    monkeypatch.setattr(extracts, "_FRESH", 2)
    return Parts(tmp_path / "parts")


@pytest.mark.parametrize("seed", range(6))
def test_each_new_day_gives_what_all_days_at_once_give(kept: Parts, seed: int) -> None:
    signals = adversarial(seed)
    days = sorted(signals["day"].unique())
    assert len(days) > 8

    for last in days:
        held = signals.filter(pl.col("day") <= last)
        assert increments.counts(days_of(held), kept).rows() == whole(held)


@pytest.mark.parametrize("seed", range(6))
def test_days_in_any_order_and_late_rows_give_the_same(kept: Parts, seed: int) -> None:
    signals = adversarial(seed)
    rng = random.Random(seed)
    order = pl.Series([rng.randrange(8) for _ in range(signals.height)])

    # Each batch adds rows to days that were thought to be over.
    for batch in range(8):
        held = signals.filter(order <= batch)
        assert increments.counts(days_of(held), kept).rows() == whole(held)


def test_a_day_that_loses_rows_is_taken_back(kept: Parts) -> None:
    signals = adversarial(1)
    increments.counts(days_of(signals), kept)
    fewer = signals.filter(pl.col("day") != signals["day"].sort()[len(signals) // 2])

    assert increments.counts(days_of(fewer), kept).rows() == whole(fewer)


def test_only_the_new_day_is_read(kept: Parts) -> None:
    signals = adversarial(2)
    last = signals["day"].max()
    increments.counts(days_of(signals.filter(pl.col("day") < last)), kept)

    def refuse() -> pl.DataFrame:
        pytest.fail("A day that was read before was read again.")

    days = {
        name: frame if name.startswith(str(last)) else pl.defer(refuse, schema=signals.schema)
        for name, frame in days_of(signals).items()
    }

    assert increments.counts(days, kept).rows() == whole(signals)


def test_a_lost_or_damaged_part_is_made_again(kept: Parts) -> None:
    signals = adversarial(3)
    last = signals["day"].max()
    before = signals.filter(pl.col("day") < last)
    increments.counts(days_of(before), kept)
    parts = sorted(kept.folder.glob("*.parquet"))
    parts[0].unlink()
    parts[1].write_bytes(b"PAR1")

    assert increments.counts(days_of(signals), kept).rows() == whole(signals)


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Parts(tmp_path / "file" / "parts")
    signals = adversarial(4)

    for _ in range(2):
        assert increments.counts(days_of(signals), kept).rows() == whole(signals)


def test_no_days_give_no_rows(kept: Parts) -> None:
    assert increments.counts({}, kept).is_empty()


def test_a_store_that_grows_by_days_and_is_compacted(tmp_path: Path) -> None:
    signals = observed_frames(build(interactions=600, days=8, seed=2, name="sample")).signals
    store = Store(tmp_path)
    days = sorted(signals["day"].unique())

    for last in days:
        store.add({"signals": signals.filter(pl.col("day") == last)})
        found = increments.counts(store.days("signals"), store.parts(extracts.__name__))
        assert found.rows() == heavy_pass.answer(store.table("signals")).collect().rows()

    for batch in signals.sample(fraction=1, shuffle=True, seed=1).iter_slices(300):
        store.add({"signals": batch})
    store.compact()
    again = increments.counts(store.days("signals"), store.parts(extracts.__name__))
    assert again.rows() == found.rows()
    assert again["completed_count"].sum() > 400


def test_the_daily_table_counts_what_the_pass_counts_and_keeps_to_its_window(tmp_path: Path) -> None:
    signals = observed_frames(build(interactions=300, days=6, seed=4, name="sample")).signals
    store = Store(tmp_path, results=RESULTS)
    store.add({"signals": signals})
    window = store.window("3d")

    whole = store.table("daily").collect()
    some = store.table("daily", window).collect()

    counted = heavy_pass.answer(signals.lazy()).collect()
    assert whole["completed_count"].to_list() == counted["completed_count"].to_list()
    assert whole.schema == pl.Schema(heavy_pass.DAILY)
    assert 0 < some.height < whole.height
    assert some["day"].is_between(window.start.date(), window.end.date()).all()
