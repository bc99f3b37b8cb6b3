"""The parts that all normalizers share: JSON to columns, instants, SIDs, made ids."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.tables.ids import digests
from flexkit.tables.keys import key64
from flexkit.tables.normalize import decode
from flexkit.tables.normalize.checks import instant, precision
from flexkit.tables.normalize.harvest import Harvest
from tests.tables.evidence import NOW, REDACTOR, sid

PATHS = {"a": "a", "b": "b.c", "d": "b.d.e"}


def test_fields_are_text_whatever_they_hold() -> None:
    text = pl.Series(
        [
            '{"a": "x", "b": {"c": 1, "d": {"e": true}}}',
            '{"a": "", "b": null}',
            '{"a": 1.5, "b": "text"}',
            '{"b": {"c": [1]}}',
            "not json",
            "[1]",
            None,
            '{"a": "line\\nbreak"}',
        ]
    )

    rows = decode.fields(text, PATHS)

    assert rows["a"].to_list() == ["x", None, "1.5", None, None, None, None, "line\nbreak"]
    assert rows["b"].to_list()[:3] == ["1", None, None]
    assert rows["d"].to_list()[:3] == ["true", None, None]
    assert rows["is_object"].to_list() == [True, True, True, True, False, False, False, True]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(st.characters(codec="utf-8"), max_size=12)
)
leaves = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(st.text("kx", max_size=2), scalars))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": leaves, "b": st.fixed_dictionaries({"c": leaves})}), max_size=6))
def test_the_fast_and_the_tolerant_reader_agree(values: list[dict[str, object]]) -> None:
    text = pl.Series([json.dumps(value) for value in values], dtype=pl.String)

    fast = decode.fields(text, {"a": "a", "b": "b.c"})
    # One record of another shape, and all of them are read by the tolerant reader.
    tolerant = decode.fields(text.extend_constant("odd", 1), {"a": "a", "b": "b.c"})[:-1]

    assert _loaded(fast) == _loaded(tolerant)


def _loaded(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    """Rows with what is JSON of objects and arrays as values: readers may space it differently."""
    return [tuple(_value(cell) for cell in row) for row in rows.rows()]


def _value(cell: object) -> object:
    if not isinstance(cell, str) or cell[:1] not in ("{", "["):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def test_objects_come_as_json_text_that_can_be_read_again() -> None:
    objects = [{"path": "C:\\temp"}, {"said": 'a "b" \\" c'}, ["nul\x00", "line\nbreak"], {"plain": 1}]
    text = pl.Series([json.dumps({"a": value}) for value in objects])

    rows = decode.fields(text, {"a": "a"})

    assert [json.loads(cell) for cell in rows["a"]] == objects


def test_a_field_can_be_wanted_whole_and_in_parts() -> None:
    text = pl.Series(['{"more": {"code": 80906}}', '{"more": "text"}'])

    rows = decode.fields(text, {"more": "more", "code": "more.code"})

    assert rows["code"].to_list() == ["80906", None]
    assert rows["more"].to_list()[1] == "text"
    assert json.loads(rows["more"][0]) == {"code": 80906}


def test_one_odd_record_in_many_is_found_by_halving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_SMALL", 4)
    text = pl.Series([json.dumps({"a": n, "b": {"c": n}}) for n in range(50)] + ["odd"] + ['{"a": 50}'] * 3)

    rows = decode.fields(text, PATHS)

    assert rows["a"].to_list() == [*map(str, range(50)), None, "50", "50", "50"]
    assert rows["is_object"].sum() == 53


@pytest.mark.parametrize(
    ("text", "micros", "resolution"),
    [
        ("2026-10-01T10:00:00Z", 0, 1_000_000),
        ("2026-10-01T10:00:00.1Z", 100_000, 100_000),
        ("2026-10-01T10:00:00.123Z", 123_000, 1_000),
        ("2026-10-01T10:00:00,123Z", 123_000, 1_000),
        ("2026-10-01T10:00:00.123456Z", 123_456, 1),
        ("2026-10-01T10:00:00.123456789Z", 123_456, 1),
        ("2026-10-01T12:00:00+02:00", 0, 1_000_000),
        ("2026-10-01 05:00:00-0500", 0, 1_000_000),
        ("2026-10-01T10:00Z", 0, 60_000_000),
        ("1790848800", 0, 1_000_000),
        ("1790848800123", 123_000, 1_000),
        ("1790848800123456", 123_456, 1),
        ("1790848800.25", 250_000, 10_000),
        ("Thu, 01 Oct 2026 10:00:00 +0000", 0, 1_000_000),
    ],
)
def test_an_instant_is_read_with_its_resolution(text: str, micros: int, resolution: int) -> None:
    row = pl.DataFrame({"t": [text]}).select(instant("t").alias("at"), precision("t").alias("precision")).row(0)

    assert row == (dt.datetime(2026, 10, 1, 10, 0, 0, micros, tzinfo=dt.UTC), resolution)


@pytest.mark.parametrize("text", ["", "soon", "2026-10-01", "2026-10-01T10:00:00", "2026-02-30T10:00:00Z", "-1", "12"])
def test_what_is_no_instant_with_a_zone_is_null(text: str) -> None:
    assert pl.DataFrame({"t": [text]}).select(instant("t"))["t"].to_list() == [None]


@settings(max_examples=60, deadline=None)
@given(st.datetimes(dt.datetime(2008, 1, 2), dt.datetime(2100, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_every_zone_gives_the_same_instant(moment: dt.datetime) -> None:
    moment = moment.replace(
        tzinfo=dt.timezone(
            round((moment.utcoffset() or dt.timedelta()) / dt.timedelta(minutes=1)) * dt.timedelta(minutes=1)
        )
    )

    read = pl.DataFrame({"t": [moment.isoformat()]}).select(instant("t"))["t"].item()

    assert read == moment


def test_made_ids_are_the_same_everywhere() -> None:
    assert digests(pl.Series(["a", None]), prefix="SG").to_list() == ["SG27c35e6e9373877f29e562464e46497e", None]


def test_keys_are_null_only_where_there_is_no_sid() -> None:
    frame = pl.DataFrame({"s": [sid("KD", 1), sid("KD", 2), sid("KD", 2**127), None, "x", "EV" + "a" * 32 + "/kind"]})

    keys = frame.select(key64("s"))["s"]

    assert keys.is_null().to_list() == [False, False, False, True, True, False]
    assert keys.drop_nulls().n_unique() == 4


def test_rows_without_a_problem_come_in_one_piece() -> None:
    # Polars 2.1 panicked when it formatted a column that a filter had left in five pieces (a page of 332 events).
    problem = {"problem": pl.Series([None], dtype=pl.String)}
    rows = pl.concat([pl.DataFrame({"event_sid": [f"EV{n}"], **problem}) for n in range(5)], rechunk=False)
    assert rows["event_sid"].n_chunks() == 5

    sifted = Harvest(redactor=REDACTOR, now=NOW).sift("task_events", rows)

    assert sifted["event_sid"].n_chunks() == 1
