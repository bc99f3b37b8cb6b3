"""Windows that were read: joined where they touch, and only complete ones count."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.analyse import coverage
from flexkit.tables.schema import COVERAGE
from tests.analyse.worlds import at


def windows(*rows: tuple[str, float, float, str]) -> pl.DataFrame:
    told: list[dict[str, Any]] = [
        {"coverage_id": str(number), "source": source, "start": at(start), "end": at(end), "state": state}
        for number, (source, start, end, state) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=COVERAGE.dtypes)


def moments(*spans: tuple[float, float]) -> pl.DataFrame:
    def us(seconds: float) -> int:
        return round(at(seconds).timestamp() * 1e6)

    return pl.DataFrame({"from_us": [us(a) for a, _ in spans], "to_us": [us(b) for _, b in spans]})


def covered(rows: pl.DataFrame, source: str, *spans: tuple[float, float]) -> list[bool]:
    return coverage.covers(coverage.spans(rows), source, moments(*spans)).to_list()


def test_touching_and_overlapping_windows_are_one_span() -> None:
    held = windows(
        ("taskrouter", 0, 600, "complete"), ("taskrouter", 600, 1200, "complete"), ("taskrouter", 900, 2000, "complete")
    )

    assert coverage.spans(held).height == 1
    assert covered(held, "taskrouter", (10, 1990)) == [True]


def test_a_span_inside_a_longer_one_does_not_shorten_it() -> None:
    held = windows(("taskrouter", 0, 5000, "complete"), ("taskrouter", 100, 200, "complete"))

    assert covered(held, "taskrouter", (300, 4000)) == [True]


def test_a_hole_is_not_covered_and_neither_is_another_source() -> None:
    held = windows(("taskrouter", 0, 600, "complete"), ("taskrouter", 2000, 3000, "complete"))

    assert covered(held, "taskrouter", (500, 2100), (2100, 2200), (-10, 5)) == [False, True, False]
    assert covered(held, "studio", (10, 20)) == [False]


def test_a_window_that_is_not_complete_covers_nothing_but_is_named() -> None:
    held = windows(("taskrouter", 0, 600, "saturated"), ("taskrouter", 600, 900, "expired"))

    assert covered(held, "taskrouter", (10, 20)) == [False]
    short = coverage.shortfalls(held, "taskrouter", moments((0, 20), (0, 700), (0, 5000)))
    assert short.rows() == [(True, False, False), (False, True, False), (False, False, False)]


def test_a_moment_without_a_time_is_not_covered() -> None:
    held = windows(("taskrouter", 0, 600, "complete"))
    unknown = pl.DataFrame({"from_us": [None], "to_us": [None]}, schema={"from_us": pl.Int64, "to_us": pl.Int64})

    assert coverage.covers(coverage.spans(held), "taskrouter", unknown).to_list() == [False]
