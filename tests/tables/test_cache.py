"""Results are computed once per state of the data, and never shown for another state."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flexkit.analyse import renewal
from flexkit.analyse.results import RESULTS
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables import store as stores
from flexkit.tables.store import Store
from flexkit.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@dataclass
class Counted:
    """A result that says how often it was computed."""

    time: str | None = "at"
    reads: tuple[str, ...] = ("handlers",)
    is_kept: bool = True
    runs: list[int] = field(default_factory=list)
    plans: list[int] = field(default_factory=list)

    @property
    def compute(self) -> Callable[[Any, Window | None], pl.LazyFrame]:
        def computed(store: Store, _: Window | None) -> pl.LazyFrame:
            self.plans.append(1)

            def rows() -> pl.DataFrame:
                self.runs.append(1)
                number = store.table("rejects").select(pl.len()).collect().item()
                return pl.DataFrame({"at": [NOON, NOON + dt.timedelta(days=1)], "number": [number, number + 1]})

            return pl.defer(rows, schema={"at": pl.Datetime("us", "UTC"), "number": pl.Int64})

        return computed


def reject(number: int) -> dict[str, pl.DataFrame]:
    from flexkit.tables.schema import REJECTS

    row = {"reject_id": f"R{number}", "table": "alerts", "reason": "?", "source": "f:1", "seen_at": NOON, "record": ""}
    return {"rejects": pl.DataFrame([row], schema=REJECTS.dtypes)}


@pytest.fixture
def store(tmp_path: Path) -> tuple[Store, Counted]:
    counted = Counted()
    made = Store(tmp_path, results={"counted": counted})
    made.add(reject(1))
    return made, counted


def numbers(store: Store, window: Window | None = None) -> list[int]:
    return store.table("counted", window).collect()["number"].to_list()


def kept(store: Store) -> list[Path]:
    return sorted((store.path / "cache").glob("*.parquet"))


def test_what_is_asked_twice_is_computed_once(store: tuple[Store, Counted]) -> None:
    made, counted = store

    assert [numbers(made), numbers(made)] == [[1, 2], [1, 2]]
    assert numbers(Store(made.path, results={"counted": counted})) == [1, 2]
    assert len(counted.runs) == 1


def test_a_window_is_cut_from_what_is_kept(store: tuple[Store, Counted]) -> None:
    made, counted = store

    assert numbers(made, Window(NOON, NOON + dt.timedelta(hours=1))) == [1]
    assert numbers(made) == [1, 2]
    assert len(counted.runs) == 1


def test_nothing_is_computed_before_rows_are_asked_for(store: tuple[Store, Counted]) -> None:
    made, counted = store

    assert made.table("counted").collect_schema().names() == ["at", "number"]
    assert not counted.runs


def test_new_data_are_another_state(store: tuple[Store, Counted]) -> None:
    made, counted = store
    before = made.version
    assert numbers(made) == [1, 2]

    made.add(reject(2))

    assert numbers(made) == [2, 3]
    assert numbers(made.at(before)) == [1, 2]
    assert len(counted.runs) == 2


def test_a_frame_stays_that_of_its_version_though_data_come(store: tuple[Store, Counted]) -> None:
    made, _ = store
    frame = made.table("counted")

    made.add(reject(2))

    assert frame.collect()["number"].to_list() == [1, 2]
    assert numbers(made) == [2, 3]


def test_another_handler_map_is_another_state(store: tuple[Store, Counted]) -> None:
    made, counted = store
    numbers(made)

    (made.path / "handlers.toml").write_text('[[handler]]\nname = "close"\nmatch = { handler = "x" }\nintent = "end"\n')
    numbers(made)
    assert len(counted.runs) == 2

    (made.path / "handlers.toml").unlink()
    numbers(made)
    assert len(counted.runs) == 2


def test_a_map_edited_while_computing_keeps_nothing(store: tuple[Store, Counted]) -> None:
    made, counted = store
    frame = made.table("counted")
    (made.path / "handlers.toml").write_text('[[handler]]\nname = "close"\nmatch = { handler = "x" }\nintent = "end"\n')

    frame.collect()

    assert not kept(made)
    assert len(counted.runs) == 1


def test_changed_code_computes_anew(store: tuple[Store, Counted], monkeypatch: pytest.MonkeyPatch) -> None:
    made, counted = store
    numbers(made)

    monkeypatch.setattr(stores, "code_of", lambda _: "other")

    numbers(made)
    assert len(counted.runs) == 2


def test_a_damaged_file_is_computed_again(store: tuple[Store, Counted]) -> None:
    made, counted = store
    numbers(made)
    kept(made)[0].write_bytes(kept(made)[0].read_bytes()[:40])

    assert numbers(made) == [1, 2]
    assert numbers(made) == [1, 2]
    assert len(counted.runs) == 2


def test_old_states_are_dropped(store: tuple[Store, Counted]) -> None:
    made, _ = store
    for number in range(2, 8):
        made.add(reject(number))
        assert numbers(made) == [number, number + 1]

    assert len(kept(made)) == 3
    assert numbers(made) == [7, 8]


def test_where_nothing_can_be_written_it_is_computed_each_time(store: tuple[Store, Counted]) -> None:
    made, counted = store
    # A file in the cache's place refuses even a superuser.
    (made.path / "cache").write_text("not a folder")

    assert [numbers(made), numbers(made)] == [[1, 2], [1, 2]]
    assert len(counted.runs) == 2


def test_one_frame_computes_once_even_where_nothing_can_be_written(store: tuple[Store, Counted]) -> None:
    made, counted = store
    (made.path / "cache").write_text("not a folder")
    frame = made.table("counted")

    assert [frame.collect()["number"].to_list(), frame.select("number").collect()["number"].to_list()] == [[1, 2]] * 2
    assert len(counted.runs) == 1


def test_what_is_found_but_not_kept_is_found_once_for_one_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Store(tmp_path, results=RESULTS)
    made.add(reject(1))
    (made.path / "cache").write_text("not a folder")
    frame, judgements, found = made.table("causes"), renewal.judgements, []

    def counted(*seen: Any) -> Any:
        found.append(1)
        return judgements(*seen)

    monkeypatch.setattr(renewal, "judgements", counted)

    assert [frame.collect().height, frame.select("cause").collect().height] == [0, 0]
    assert len(found) == 1


def test_a_result_about_a_window_itself_is_kept_for_each_window(tmp_path: Path) -> None:
    counted = Counted(time=None)
    made = Store(tmp_path, results={"counted": counted})
    made.add(reject(1))
    windows: list[Window | None] = [
        None,
        Window(NOON, NOON + dt.timedelta(days=1)),
        Window(NOON, NOON + dt.timedelta(days=2)),
    ]

    for window in (*windows, *windows):
        assert made.table("counted", window).collect()["number"].to_list() == [1, 2]

    assert len(counted.runs) == 3


def test_what_is_kept_is_not_even_planned_again(store: tuple[Store, Counted]) -> None:
    made, counted = store

    assert [numbers(made), numbers(made), numbers(made)] == [[1, 2]] * 3

    assert len(counted.plans) == 1


def test_the_kept_tables_are_those_that_were_computed(tmp_path: Path) -> None:
    world = build(interactions=300, days=4, seed=3, name="sample")
    seen = observed_frames(world)
    made = Store(tmp_path, results=RESULTS)
    made.add({"signals": seen.signals, "alerts": seen.alerts, "coverage": seen.coverage})

    for name in ("completions", "duplicates", "causes"):
        direct = RESULTS[name].compute(made, None).collect()
        key = [column for column in ("interaction_sid", "second_at", "occurred_at") if column in direct.columns]
        for _ in range(2):
            assert made.table(name).collect().sort(key).equals(direct.sort(key))
    # They are served from the parts that they were found in.
    assert not kept(made)


def test_two_processes_side_by_side_agree(tmp_path: Path) -> None:
    world = build(interactions=300, days=4, seed=3, name="sample")
    seen = observed_frames(world)
    Store(tmp_path).add({"signals": seen.signals, "alerts": seen.alerts})
    ask = (
        "import sys; from flexkit.locate import open_store\n"
        "print([open_store(sys.argv[1]).table(name).collect().height for name in ('completions', 'duplicates')])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", ask, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    heights = [process.communicate(timeout=120)[0].strip() for process in running]

    assert heights[0] == heights[1] != "[0, 0]"
    assert not list((tmp_path / "cache").rglob(".*"))
    # The one waited for the other.
    for found_by in ("completed", "renewal"):
        note = json.loads(next((tmp_path / "cache").glob(f"{found_by}-*/states.json")).read_text())
        assert len(note["states"]) == 1
