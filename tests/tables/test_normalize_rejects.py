"""What does not fit becomes a reject that says why; nothing crashes and nothing is dropped in silence."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.tables.normalize import RECORDS, RecordKind, normalize
from flexkit.tables.schema import TABLES
from tests.tables import evidence
from tests.tables.evidence import NOW, REDACTOR, records, refused, sid, tables

K = RecordKind
WHOLE: list[tuple[RecordKind, dict[str, Any]]] = [
    (K.TASK_EVENT, evidence.task_event()),
    (K.CLOUD_EVENT, evidence.cloud_event()),
    (K.WEBHOOK, evidence.callback()),
    (K.WEBHOOK, evidence.delivery(evidence.channel_closed())),
    (K.WEBHOOK, evidence.delivery(evidence.conversation_closed())),
    (K.WEBHOOK, evidence.debugger()),
    (K.CLOUD_EVENT, evidence.error_log()),
    (K.ALERT, evidence.alert()),
    (K.COMPLETION, evidence.completion()),
    (K.INTERACTION, evidence.interaction()),
]


@pytest.mark.parametrize("kind", list(K))
@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"text"', '{"sid":', "\x00\x01", "{}", '{"a":NaN}'])
def test_what_is_no_record_is_rejected_once(kind: RecordKind, text: str) -> None:
    made = tables((kind, text))

    assert set(made) == {"rejects"}
    assert made["rejects"].height == 1
    assert made["rejects"]["source"].to_list() == ["file.jsonl:1"]


@pytest.mark.parametrize(
    ("kind", "record", "reason"),
    [
        (K.TASK_EVENT, evidence.task_event(sid="EV123"), "malformed sid 'EV123': expected EV"),
        (K.TASK_EVENT, evidence.task_event(sid=None), "sid is missing"),
        (K.TASK_EVENT, evidence.task_event(sid=sid("WT")), "malformed sid"),
        (K.TASK_EVENT, evidence.task_event(event_type=None), "event_type is missing"),
        (K.TASK_EVENT, evidence.task_event(event_date_ms=None, event_date=None), "event time is missing"),
        (K.TASK_EVENT, evidence.task_event(event_date_ms=None, event_date="2026-10-01T10:00:00"), "has no time zone"),
        (K.TASK_EVENT, evidence.task_event(event_date_ms=4_000_000_000_000), "more than a day in the future"),
        (K.TASK_EVENT, evidence.task_event(event_date_ms=None, event_date="2026-13-01T10:00:00Z"), "not a valid time"),
        (K.TASK_EVENT, evidence.task_event(event_date_ms=None, event_date="yesterday"), "is not a time"),
        (K.TASK_EVENT, evidence.task_event(event_data={"task_sid": "WTxyz"}), "malformed task_sid"),
        (
            K.TASK_EVENT,
            evidence.task_event(event_data={"task_attributes": json.dumps({"flexInteractionSid": "KDXXXX"})}),
            "malformed flexInteractionSid 'KDXXXX'",
        ),
        (K.CLOUD_EVENT, {**evidence.cloud_event(), "type": None}, "type is missing"),
        (K.CLOUD_EVENT, {**evidence.cloud_event(), "type": "com.twilio.voice.call.ended"}, "of no product"),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(InteractionSid="")), "InteractionSid is missing"),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(InteractionSid="KD12")), "malformed InteractionSid"),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(ChannelSid=sid("KD"))), "malformed ChannelSid"),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(ChannelStatus="")), "ChannelStatus is missing"),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(), received_at=None), "received_at is missing"),
        (
            K.WEBHOOK,
            evidence.delivery(evidence.channel_closed(), received_at="2026-10-01T10:00:00"),
            "received_at '2026-10-01T10:00:00' has no time zone",
        ),
        (K.WEBHOOK, evidence.delivery({"hello": "world"}), "not a delivery of"),
        (K.WEBHOOK, evidence.delivery('{"EventType": "onCh'), "body begins like JSON but is not"),
        (K.WEBHOOK, evidence.delivery("[1, 2]"), "not of CloudEvents"),
        (
            K.WEBHOOK,
            evidence.delivery(evidence.conversation_closed(StateUpdated="2026-10-01 10:00")),
            "StateUpdated '2026-10-01 10:00' has no time zone",
        ),
        (K.ALERT, evidence.alert(sid="NO"), "malformed sid"),
        (K.ALERT, evidence.alert(error_code=None), "error_code is missing"),
        (K.ALERT, evidence.alert(date_generated=None, date_created=None), "date_generated is missing"),
        (K.ALERT, evidence.alert(resource_sid="KD-1"), "malformed resource_sid"),
        (K.COMPLETION, evidence.completion(at=None), "at is missing"),
        (K.COMPLETION, evidence.completion(operation=None), "operation is missing: write one of close_channel"),
        (K.COMPLETION, evidence.completion(interaction_sid=None), "no SID: a line needs"),
        (K.COMPLETION, evidence.completion(channel_sid="UO1"), "malformed channel_sid 'UO1'"),
        (K.INTERACTION, evidence.interaction(sid="KD"), "malformed sid"),
        (K.CHANNEL, {"sid": sid("KD"), "interaction_sid": sid("KD")}, "malformed sid"),
        (K.STEP, {"sid": sid("FT"), "date_created": None}, "date_created is missing"),
        (K.EXECUTION, {"sid": sid("FN"), "date_created": "2026-10-01T10:00:00Z"}, "flow_sid is missing"),
        (K.TOMBSTONE, {"resource": "channel", "sid": "UO", "status": 404}, "malformed sid"),
        (K.TOMBSTONE, {"resource": "flow", "sid": sid("FW"), "status": 404}, "no table keeps a missing flow"),
    ],
)
def test_a_record_that_does_not_fit_says_why(kind: RecordKind, record: dict[str, Any], reason: str) -> None:
    assert reason in refused(kind, record)


def test_an_unknown_kind_of_record_is_rejected() -> None:
    frame = records((K.ALERT, evidence.alert())).with_columns(kind=pl.lit("fax"))

    made = normalize(frame, redactor=REDACTOR, now=NOW)

    assert made["rejects"]["reason"].to_list() == ["not a kind of record that flexkit knows"]


def test_a_record_refused_beforehand_keeps_its_reason() -> None:
    frame = records((K.ALERT, evidence.alert()), (K.ALERT, "half")).with_columns(
        problem=pl.Series([None, "the line is not JSON"])
    )

    made = normalize(frame, redactor=REDACTOR, now=NOW)

    assert made["alerts"].height == 1
    assert made["rejects"]["reason"].to_list() == ["the line is not JSON"]


def test_one_bad_record_does_not_harm_its_neighbours() -> None:
    odd = evidence.task_event(2, event_data="nonsense", sid={"an": "object"})

    made = tables((K.TASK_EVENT, evidence.task_event(1)), (K.TASK_EVENT, odd), (K.TASK_EVENT, evidence.task_event(3)))

    assert sorted(made["task_events"]["event_sid"]) == [sid("EV", 1), sid("EV", 3)]
    assert made["rejects"].height == 1


def test_no_records_give_no_tables() -> None:
    assert normalize(pl.DataFrame(schema=RECORDS), redactor=REDACTOR, now=NOW) == {}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in _leaves(inner, (*path, name))]
    return [path]


def _with(value: Any, path: tuple[str, ...], new: Any) -> Any:
    head, *rest = path
    return {**value, head: _with(value[head], tuple(rest), new) if rest else new}


@pytest.mark.parametrize("field", ["received_at", "url", "body"])
def test_half_a_surrogate_pair_in_a_delivery_costs_that_delivery_at_most(field: str) -> None:
    whole = next(record for kind, record in WHOLE if kind is K.WEBHOOK)
    changed = {**whole, field: '{"EventType": "\\ud800"}' if field == "body" else "\ud800"}

    made = tables((K.WEBHOOK, changed), (K.ALERT, evidence.alert(99)))

    assert sid("NO", 99) in made["alerts"]["alert_sid"]
    assert sum(rows.height for rows in made.values()) >= 2


odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(
        ["2026-10-01T10:00:00", "9999-12-31T23:59:59Z", "-1", "0", "1e400", "KD", "\ud800", "\x00", "{", "["]
    ),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_a_field_holds_a_record_is_kept_or_rejected(data: st.DataObject) -> None:
    kind, record = data.draw(st.sampled_from(WHOLE))
    path = data.draw(st.sampled_from(_leaves(record)))
    changed = _with(record, path, data.draw(odd_values))

    made = tables((kind, changed), (K.ALERT, evidence.alert(99)))

    assert sum(rows.height for rows in made.values()) >= 2
    assert sid("NO", 99) in made["alerts"]["alert_sid"]
    for name, rows in made.items():
        assert rows.schema == TABLES[name].empty().schema
