"""What the evidence is worth: counts, gaps, age, and what to do about them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.analyse.quality import gaps, status
from flexkit.tables.schema import TABLES
from flexkit.tables.store import Store

if TYPE_CHECKING:
    from flexkit.window import Window

NOON = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def coverage(*windows: tuple[str, int, int, str]) -> pl.DataFrame:
    """Windows as (source, first hour, last hour, state)."""
    rows = [
        {"coverage_id": f"{source}{start}", "source": source, "start": NOON + start * HOUR, "end": NOON + end * HOUR,
         "state": state}
        for source, start, end, state in windows
    ]  # fmt: skip
    return TABLES["coverage"].conform(pl.LazyFrame(rows)).collect()


class World:
    """Evidence that stands in memory."""

    def __init__(self, **tables: pl.DataFrame) -> None:
        self.held = tables

    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame:
        assert window is None
        return self.held.get(name, TABLES[name].empty()).lazy()

    def coverage(self) -> pl.LazyFrame:
        return self.table("coverage")

    def fixes(self) -> pl.DataFrame:
        return Store("nowhere").fixes()

    def handlers(self) -> pl.DataFrame:
        return Store("nowhere").handlers()


def signals(*rows: dict[str, object]) -> pl.DataFrame:
    return (
        TABLES["signals"]
        .conform(pl.LazyFrame([{"occurred_at": NOON, "signal_id": str(i)} | row for i, row in enumerate(rows)]))
        .collect()
    )


def test_a_gap_is_what_lies_between_complete_windows_of_one_source() -> None:
    held = coverage(
        ("debugger", 0, 2, "complete"), ("debugger", 2, 3, "complete"), ("debugger", 5, 6, "complete"),
        ("taskrouter", 3, 5, "complete"),
    )  # fmt: skip

    found = gaps(held)

    assert found.select("source", "seconds").rows() == [("debugger", 7200.0)]
    assert found["start"].to_list() == [NOON + 3 * HOUR]


def test_a_window_that_is_not_complete_closes_no_gap() -> None:
    held = coverage(("debugger", 0, 1, "complete"), ("debugger", 1, 2, "partial"), ("debugger", 2, 3, "complete"))

    assert gaps(held)["seconds"].to_list() == [3600.0]


def test_an_empty_store_says_how_to_begin() -> None:
    found = status(World(), now=NOON)

    assert found.tables.is_empty()
    assert "flexkit fetch" in found.lines()[-1]


@pytest.mark.parametrize(("days", "words"), [(31, "has expired there"), (26, "Twilio keeps 30"), (3, None)])
def test_old_evidence_warns_of_what_expires(days: int, words: str | None) -> None:
    held = signals({"source": "debugger", "kind": "warning"})

    notes = " ".join(status(World(signals=held), now=NOON + dt.timedelta(days=days)).notes)

    assert (words in notes) if words else ("days old" not in notes)


def test_rejects_and_unknown_events_are_counted_with_their_reason() -> None:
    rejects = (
        TABLES["rejects"].conform(pl.LazyFrame({"reject_id": ["1", "2"], "reason": ["no time", "no time"]})).collect()
    )
    held = signals({"source": "taskrouter", "kind": "task.rethought"}, {"source": "taskrouter", "kind": "task_wrapup"})

    found = status(World(signals=held, rejects=rejects), now=NOON)

    assert found.rejects.rows() == [("no time", 2)]
    assert found.unknown.rows() == [("taskrouter", "task.rethought", 1)]
    assert any("no time" in line for line in found.lines())


def test_a_handler_without_a_name_is_listed_with_what_to_do() -> None:
    held = signals({"source": "app_log", "kind": "close_channel_requested", "handler": "close-fn"})

    found = status(World(signals=held), now=NOON)

    assert found.to_dict()["unnamed_handlers"][0]["handler"] == "close-fn"
    assert "handlers.toml" in found.notes[-1]
