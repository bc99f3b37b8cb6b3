"""Small counts for pages: nothing counted twice, nothing lost, zeros included."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flexkit.analyse import tallies
from flexkit.terms import Cause, CoverageState
from flexkit.window import Window

WINDOW = Window(dt.datetime(2026, 10, 1, tzinfo=dt.UTC), dt.datetime(2026, 10, 4, tzinfo=dt.UTC))
C1, C2, PROXY, UNKNOWN = (
    Cause.DUPLICATE_PROCESSING,
    Cause.CHANNEL_CLOSED_DIRECTLY,
    Cause.PROXY_ORIGIN,
    Cause.UNDETERMINED,
)


def causes(*rows: tuple[str, str | None, str, float | None, list[str]]) -> pl.DataFrame:
    """Rows of the causes table: cause, second handler, time on 2 October, gap, missing."""
    return pl.DataFrame(
        [
            {"interaction_sid": f"KD{at}", "cause": cause, "second_handler": handler, "first_handler": "f",
             "occurred_at": dt.datetime.fromisoformat(f"2026-10-02T{clock}:00+00:00"), "gap_seconds": gap,
             "missing": missing, "status": "confirmed"}
            for at, (cause, handler, clock, gap, missing) in enumerate(rows)
        ],
        schema={"interaction_sid": pl.String, "cause": pl.String, "second_handler": pl.String,
                "first_handler": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "gap_seconds": pl.Float64,
                "missing": pl.List(pl.String), "status": pl.String},
    )  # fmt: skip


FEW = causes(
    (C1, "sweeper", "09:00", 0.01, []),
    (C1, "sweeper", "23:30", 20.0, []),
    (C2, "crm", "10:00", 20.0, []),
    (UNKNOWN, None, "11:00", None, ["source_not_collected", "no_handler_map"]),
    (PROXY, None, "12:00", None, []),
)
NOTHING = causes()


def test_shares_are_of_flex_interactions_only() -> None:
    counts = tallies.by_cause(FEW)

    assert counts.select("cause", "count").rows() == [(C1, 2), (C2, 1), (UNKNOWN, 1)]
    assert counts["share"].sum() == 1
    assert all(row["lo"] < row["count"] < row["hi"] for row in counts.iter_rows(named=True))


def test_the_rest_of_many_handlers_is_left_out_and_the_unknown_is_not() -> None:
    assert tallies.by_handlers(FEW, most=1).select("second_handler", "cause", "count").rows() == [("sweeper", C1, 2)]
    assert None in tallies.by_handlers(FEW)["second_handler"].to_list()


def test_a_day_without_a_duplicate_is_zero_and_days_are_local() -> None:
    utc = tallies.per_day(FEW, window=WINDOW).filter(cause=C1)
    tokyo = tallies.per_day(FEW, window=WINDOW, tz="Asia/Tokyo").filter(cause=C1)

    assert utc["count"].to_list() == [0, 2, 0]
    assert tokyo.filter(pl.col("count") > 0)["date"].to_list() == [dt.date(2026, 10, 2), dt.date(2026, 10, 3)]


def test_gaps_fall_into_four_bins_a_decade_and_unknown_gaps_into_none() -> None:
    bins = tallies.gaps(FEW)

    assert bins["count"].sum() == 3
    assert bins["low"].min() == 0.1
    assert all(row["low"] <= 20 < row["high"] for row in bins.filter(pl.col("low") > 1).iter_rows(named=True))


def test_what_is_missing_is_listed_by_what_it_costs() -> None:
    reasons = tallies.open_questions(FEW)

    assert reasons["missing"].to_list() == ["no_handler_map", "source_not_collected"]
    assert reasons["collect"].str.len_chars().min() > 10


def test_the_reading_list_takes_one_of_each_kind_before_a_second() -> None:
    listed = tallies.worth_reading(FEW, most=3)

    assert listed["cause"].to_list()[:2] == [C1, C2] or set(listed["cause"][:3]) == {C1, C2, UNKNOWN}
    assert listed["alike"].to_list()[0] == 2


def test_nothing_gives_empty_frames() -> None:
    assert tallies.by_cause(NOTHING).is_empty()
    assert tallies.by_handlers(NOTHING).is_empty()
    assert tallies.per_day(NOTHING, window=WINDOW).is_empty()
    assert tallies.gaps(NOTHING).is_empty()
    assert tallies.open_questions(NOTHING).is_empty()
    assert tallies.worth_reading(NOTHING).is_empty()


def windows(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """Coverage rows: source, state, from, to (hours of October)."""
    return pl.DataFrame(
        [
            {"source": source, "state": state, "rows": 240,
             "start": dt.datetime.fromisoformat(f"2026-10-{since}:00+00:00"),
             "end": dt.datetime.fromisoformat(f"2026-10-{until}:00+00:00")}
            for source, state, since, until in rows
        ]
    )  # fmt: skip


def states(held: pl.DataFrame) -> list[str]:
    return tallies.coverage_days(held, window=WINDOW).sort("date")["state"].to_list()


def test_a_day_that_two_windows_cover_together_is_complete() -> None:
    assert states(
        windows(("studio", "complete", "01T00:00", "02T11:00"), ("studio", "complete", "02T11:00", "04T00:00"))
    ) == [
        "complete",
        "complete",
        "complete",
    ]


def test_overlapping_windows_do_not_count_twice() -> None:
    held = windows(("studio", "complete", "01T00:00", "01T12:00"), ("studio", "complete", "01T06:00", "01T12:00"))

    assert states(held)[0] == CoverageState.PARTIAL


def test_a_day_without_a_window_is_a_gap_and_the_worst_state_counts() -> None:
    held = windows(("studio", "saturated", "01T00:00", "02T00:00"), ("studio", "partial", "01T00:00", "01T12:00"))

    assert states(held) == ["saturated", tallies.GAP, tallies.GAP]


def test_the_first_and_last_day_count_for_what_the_window_has_of_them() -> None:
    held = windows(("studio", "complete", "01T18:00", "03T06:00"))
    window = Window(dt.datetime(2026, 10, 1, 18, tzinfo=dt.UTC), dt.datetime(2026, 10, 3, 6, tzinfo=dt.UTC))

    assert set(tallies.coverage_days(held, window=window)["state"]) == {"complete"}


def test_rows_are_spread_over_the_days_of_their_window() -> None:
    held = windows(("studio", "complete", "01T00:00", "04T00:00"))

    assert tallies.coverage_days(held, window=WINDOW)["rows"].to_list() == [80, 80, 80]
