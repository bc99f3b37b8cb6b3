"""What a store holds: rows, spans, gaps, lateness, rejects, events without a word, handlers without a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import quality
from flexkit.tables.declared import HANDLERS
from flexkit.tables.schema import TABLES
from tests.analyse.worlds import World, at

if TYPE_CHECKING:
    import datetime as dt

    from flexkit.window import Window


class Memory:
    """A store without a folder."""

    path = Path("somewhere")
    version = "1:2.3"

    def __init__(self, **tables: pl.DataFrame) -> None:
        self.tables = tables

    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame:  # noqa: ARG002
        return self.tables.get(name, TABLES[name].empty()).lazy()

    def coverage(self) -> pl.LazyFrame:
        return self.table("coverage")

    def handlers(self) -> pl.DataFrame:
        return pl.DataFrame(schema=HANDLERS)


def rows(name: str, *found: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=TABLES[name].dtypes)


def status(now: dt.datetime | None = None, **tables: pl.DataFrame) -> quality.StoreStatus:
    return quality.status(Memory(**tables), now=now or at(3600))


def test_an_empty_store_says_how_to_fill_it() -> None:
    told = status()

    assert told.tables.is_empty()
    assert "flexkit import FILE" in told.advice[-1]
    assert json.loads(json.dumps(told.to_dict()))["tables"] == []


def test_rows_spans_and_ages_are_told_by_source() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn").closed(10)

    told = status(signals=world.signals().collect())

    assert told.tables.row(0, named=True) == {"table": "signals", "rows": 2, "first_at": at(0), "last_at": at(10)}
    ages = dict(told.sources.select("source", "age_hours").iter_rows())
    assert ages["app_log"] == 1.0
    assert any("signals" in line and "2" in line for line in told.lines())


def test_a_gap_between_two_windows_is_named() -> None:
    windows = rows(
        "coverage",
        {"coverage_id": "a", "source": "taskrouter", "start": at(0), "end": at(60), "state": "complete"},
        {"coverage_id": "b", "source": "taskrouter", "start": at(7200), "end": at(9000), "state": "complete"},
        {"coverage_id": "c", "source": "taskrouter", "start": at(60), "end": at(90), "state": "saturated",
         "reason": "more than a page"},
    )  # fmt: skip

    told = status(coverage=windows)

    assert told.gaps.rows() == [("taskrouter", at(60), at(7200))]
    assert told.shortfalls.rows() == [("taskrouter", "saturated", "more than a page", 1)]
    assert any("taskrouter: 1 saturated: more than a page" in line for line in told.lines())


def test_the_end_of_what_twilio_keeps_is_announced_and_then_mourned() -> None:
    windows = rows(
        "coverage", {"coverage_id": "a", "source": "debugger", "start": at(0), "end": at(60), "state": "complete"}
    )

    assert not any("debugger: " in line for line in status(at(86400 * 5), coverage=windows).advice)
    assert any("within 5 days" in line for line in status(at(86400 * 25), coverage=windows).advice)
    assert any("is gone at Twilio" in line for line in status(at(86400 * 40), coverage=windows).advice)


def test_lateness_is_that_of_alerts_and_of_deliveries() -> None:
    alerts = rows(
        "alerts",
        {"alert_sid": "NO1", "generated_at": at(0), "created_at": at(2)},
        {"alert_sid": "NO2", "generated_at": at(0), "created_at": at(4)},
        {"alert_sid": "NO3", "generated_at": at(0)},
    )

    told = status(alerts=alerts).lateness.row(0, named=True)

    assert (told["what"], told["median_seconds"], told["count"]) == ("Alerts written down", 3.0, 2)


def test_rejects_are_counted_by_reason_and_unknown_events_by_name() -> None:
    world = World()
    world.interaction().signal("onSomethingNew", 0, "interactions_webhook").closed(1).signal(
        "channel_setup", 0, "interactions_webhook"
    )
    rejects = rows("rejects", *({"reject_id": str(number), "reason": "no SID"} for number in range(3)))

    told = status(signals=world.signals().collect(), rejects=rejects)

    assert told.rejects.rows() == [("no SID", 3)]
    assert told.unknown.rows() == [("interactions_webhook", "onSomethingNew", 1)]


def test_handlers_without_a_name_are_listed() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn-17")

    told = status(signals=world.signals().collect())

    assert told.unnamed["handler"].to_list() == ["fn-17"]
    assert any("handlers.toml" in line for line in told.advice)


def test_long_lists_are_cut_with_the_number_left_out() -> None:
    rejects = rows("rejects", *({"reject_id": str(n), "reason": f"reason {n}"} for n in range(20)))

    assert any("… and 8 more" in line for line in status(rejects=rejects).lines())


def test_what_a_page_tells_is_what_the_status_tells() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn").closed(10)
    windows = rows(
        "coverage",
        {"coverage_id": "a", "source": "app_log", "start": at(0), "end": at(60), "state": "complete"},
        {"coverage_id": "b", "source": "app_log", "start": at(90), "end": at(99), "state": "partial"},
    )
    held = Memory(signals=world.signals().collect(), coverage=windows)

    short, whole = quality.trust(held, now=at(3600)), quality.status(held, now=at(3600))

    assert short.shortfalls.rows() == [("app_log", "partial", None, 1)]
    for name in ("sources", "shortfalls", "lateness", "rejects"):
        assert getattr(short, name).equals(getattr(whole, name)), name
