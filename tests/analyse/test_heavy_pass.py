"""One pass on every engine: equal to the last row, equal in parts, and never blind to a duplicate."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from flexkit.analyse import episodes, heavy_pass
from flexkit.collect.simulate import build, observed_frames, scenario_names
from flexkit.tables.keys import key64, signal_keys
from flexkit.tables.schema import INSTANT
from tests.analyse.worlds import World
from tests.bench._engines import native_plan, question

if TYPE_CHECKING:
    from pathlib import Path

SCENARIOS = [name for name in scenario_names() if name != "empty"]


@pytest.fixture(scope="module", params=SCENARIOS)
def observed(request: pytest.FixtureRequest) -> tuple[pl.DataFrame, pl.DataFrame]:
    world = build(interactions=400, days=6, seed=5, name=request.param)
    found = observed_frames(world)
    return found.signals, found.alerts


def rows(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect().sort("ikey")


def test_every_engine_gives_the_same_last_row(observed: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path) -> None:
    signals, _ = observed
    signals.drop("deliveries").write_parquet(tmp_path / "signals.parquet")
    source = f"read_parquet('{tmp_path / 'signals.parquet'}')"
    connection = duckdb.connect()

    own = heavy_pass.answer(signals.lazy()).collect()

    assert own["completed_count"].sum()
    assert own.rows() == heavy_pass.answer(connection.read_parquet(str(tmp_path / "signals.parquet"))).fetchall()
    for has_keys in (True, False):
        assert own.rows() == connection.execute(question(source, has_keys=has_keys)).fetchall()
    assert own.rows() == native_plan(signals.lazy()).collect().rows()


def test_the_parts_of_days_make_the_whole(observed: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    signals, _ = observed
    days = signals.partition_by("day")

    merged = heavy_pass.merged([heavy_pass.partials(day.lazy()) for day in days])

    assert len(days) > 1
    assert rows(merged).equals(rows(heavy_pass.partials(signals.lazy())))


def test_no_inferred_or_warned_duplicate_is_overlooked(observed: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    signals, _ = observed
    named = signals.filter(pl.col("interaction_sid").is_not_null())
    found = heavy_pass.completed(heavy_pass.partials(named.lazy())).filter("is_affected").collect()

    duplicates = episodes.duplicates(named.lazy()).select(ikey=key64("interaction_sid")).collect()

    assert set(duplicates["ikey"]) <= set(found["ikey"])


def test_first_completion_is_that_of_the_completions(observed: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    signals, _ = observed
    # An interaction with a duplicate may get its first closer from a closer look at its attempts.
    named = signals.filter(pl.col("interaction_sid").is_not_null(), pl.col("kind") != "warning")
    own = heavy_pass.completed(heavy_pass.partials(named.lazy())).filter(~pl.col("is_affected"))
    theirs = episodes.completions(named.lazy()).select(
        "first_closed_at", "channel_type", "signal_count", ikey=key64("interaction_sid")
    )

    both = own.join(theirs, on="ikey", how="left").collect()

    assert both.height or named.is_empty()
    assert both["first_us"].cast(INSTANT).equals(both["first_closed_at"], check_names=False)
    assert both["signal_count"].equals(both["signal_count_right"], check_names=False)
    assert both["channel_type"].equals(both["channel_type_right"], check_names=False, null_equal=True)


class TestAcrossBorders:
    """Interactions whose signals lie on several days: cut anywhere, the answer is the same."""

    @pytest.fixture
    def spanning(self) -> pl.DataFrame:
        day = 86_400
        world = World()
        world.interaction(1).closed(day - 0.5).log("close_channel", day + 0.5, "fn")
        world.interaction(2).log("close_channel", day - 1, "fn").log("complete_task", 3 * day, "other")
        world.interaction(3).task("completed", 10).closed(2 * day)
        world.interaction(4).log("close_participant", day - 20, "fn").task("completed", day + 20)
        world.interaction(5).closed(5).warned(4 * day)
        world.interaction(6).log("close_channel", 2 * day - 1e-6, "fn").log("close_channel", 2 * day, "fn")
        world.interaction(7).log("close_channel", 9, "fn", outcome="rejected").closed(day + 9)
        return world.signals().with_columns(*signal_keys()).collect()

    @pytest.mark.parametrize("hours", [1, 7, 24, 48])
    def test_any_cut_gives_the_whole(self, spanning: pl.DataFrame, hours: int) -> None:
        us = spanning["occurred_us"]
        step = hours * 3600 * 1_000_000
        cuts = list(range(us.min() - 1, us.max() + step + 1, step))  # type: ignore[operator, arg-type]
        parts = [spanning.filter(pl.col("occurred_us").is_between(a, b, closed="left")) for a, b in pairwise(cuts)]
        assert sum(part.height for part in parts) == spanning.height

        merged = heavy_pass.merged([heavy_pass.partials(part.lazy()) for part in parts])

        assert rows(merged).equals(rows(heavy_pass.partials(spanning.lazy())))
        whole = heavy_pass.answer(spanning.lazy()).collect()
        assert heavy_pass.per_day(heavy_pass.completed(merged)).collect().equals(whole)

    def test_a_request_in_vain_and_a_park_complete_nothing(self, spanning: pl.DataFrame) -> None:
        done = heavy_pass.completed(heavy_pass.partials(spanning.lazy())).collect()

        assert done.height == 6
        assert done["is_affected"].sum() == 3
        assert done["gap_us"].max() == int(dt.timedelta(days=4).total_seconds() * 1e6) - 5_000_000


def test_no_signals_give_no_rows_of_the_promised_shape() -> None:
    empty = World().signals()

    assert heavy_pass.partials(empty).collect_schema().names() == list(heavy_pass.PARTIAL)
    assert heavy_pass.answer(empty).collect().is_empty()
