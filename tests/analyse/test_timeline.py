"""One interaction's signals in order, each with the part that it plays."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flexkit.analyse import causes as of_causes
from flexkit.analyse import timeline
from flexkit.tables.keys import key64
from flexkit.tables.schema import COVERAGE, SIGNALS

T0 = dt.datetime(2026, 10, 1, 10, tzinfo=dt.UTC)
KD, UO, WT, CH = ("KD" + "a" * 32, "UO" + "b" * 32, "WT" + "c" * 32, "CH" + "d" * 32)


def signal(seconds: float, kind: str, source: str, **more: object) -> dict[str, object]:
    return {
        "signal_id": f"SG{seconds}-{kind}", "occurred_at": T0 + dt.timedelta(seconds=seconds), "time_kind": "event",
        "interaction_sid": KD, "channel_sid": UO, "source": source, "kind": kind, "outcome": "accepted",
        "evidence_sid": f"EV{seconds}-{kind}", **more,
    }  # fmt: skip


WORLD = [
    signal(-300, "task_created", "taskrouter", task_sid=WT),
    signal(0, "close_channel_requested", "app_log", handler="end-chat", trigger_id="t1", intent="end"),
    signal(0.2, "channel_closed", "interactions_webhook", time_kind="receipt"),
    signal(0.4, "conversation_closed", "conversations", interaction_sid=None, conversation_sid=CH, channel_sid=UO),
    signal(0.9, "task_wrapup", "taskrouter", interaction_sid=None, channel_sid=None, task_sid=WT),
    signal(3, "close_channel_requested", "app_log", handler="end-chat", trigger_id="t1", attempt=2, intent="end"),
    signal(3.4, "warning", "debugger", evidence_sid="NO" + "e" * 32),
    signal(50, "channel_closed", "interactions_webhook", interaction_sid="KD" + "f" * 32, channel_sid="UO" + "f" * 32),
]


def signals(*rows: dict[str, object]) -> pl.LazyFrame:
    held = pl.DataFrame(list(rows), infer_schema_length=None).with_columns(
        occurred_us=pl.col("occurred_at").dt.timestamp("us"), precision_us=pl.lit(1000)
    )
    return SIGNALS.conform(held.lazy()).with_columns(key64("interaction_sid").alias("ikey"))


def lines(*rows: dict[str, object]) -> pl.DataFrame:
    known = signals(*rows)
    return timeline.timeline(known, KD, causes=of_causes.classify(known).collect())


def test_an_interaction_of_which_nothing_is_held_has_no_line() -> None:
    assert timeline.timeline(signals(*WORLD), "KD" + "0" * 32).is_empty()


def test_signals_that_name_only_its_parts_belong_to_it_and_others_do_not() -> None:
    found = lines(*WORLD)

    assert found["kind"].to_list() == [
        "task_created", "close_channel_requested", "channel_closed", "conversation_closed", "task_wrapup",
        "close_channel_requested", "warning",
    ]  # fmt: skip


def test_each_signal_has_its_part() -> None:
    assert lines(*WORLD)["role"].to_list() == [
        timeline.OTHER, timeline.FIRST, timeline.SAME, timeline.SAME, timeline.SAME, timeline.AGAIN, timeline.WARNED,
    ]  # fmt: skip


def test_seconds_count_from_the_first_close() -> None:
    assert lines(*WORLD)["seconds"].round(6).to_list() == [-300.0, 0.0, 0.2, 0.4, 0.9, 3.0, 3.4]


def test_a_duplicate_that_only_its_warning_shows_is_the_warning() -> None:
    unlogged = [row for row in WORLD if row["signal_id"] != "SG3-close_channel_requested"]

    assert lines(*unlogged).filter(role=timeline.AGAIN)["kind"].to_list() == ["warning"]


def test_without_causes_warnings_are_marked_and_nothing_else() -> None:
    found = timeline.timeline(signals(*WORLD), KD)

    assert set(found["role"]) == {timeline.OTHER, timeline.WARNED}
    assert found.filter(kind="channel_closed")["seconds"].item() == 0.0


def held(*rows: tuple[str, float, float]) -> pl.LazyFrame:
    frame = pl.DataFrame(
        [
            {"coverage_id": str(at), "source": source, "start": T0 + dt.timedelta(seconds=since),
             "end": T0 + dt.timedelta(seconds=until), "state": "complete", "rows": 1}
            for at, (source, since, until) in enumerate(rows)
        ]
    )  # fmt: skip
    return COVERAGE.conform(frame.lazy())


def test_spans_that_no_window_covers_are_holes() -> None:
    found = timeline.uncovered(held(("studio", -400, -100), ("taskrouter", -9000, 9000)), lines(*WORLD))

    assert found.select("source", pl.col("start", "end").round(6)).rows() == [("studio", -100.0, 63.4)]


def test_a_source_that_was_never_read_is_no_hole() -> None:
    assert timeline.uncovered(held(("taskrouter", -9000, 9000)), lines(*WORLD)).is_empty()
    assert timeline.uncovered(held(), lines(*WORLD).clear()).is_empty()
