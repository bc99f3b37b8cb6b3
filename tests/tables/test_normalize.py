"""Records of every kind become rows: times, ids, links, handlers, and nothing personal."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from flexkit.tables.keys import ENDING_KINDS
from flexkit.tables.normalize import RecordKind, unknown_events
from flexkit.tables.normalize.alerts import message
from flexkit.tables.schema import TABLES
from flexkit.terms import SignalKind
from tests.tables import evidence
from tests.tables.evidence import NOW, REDACTOR, one, sid, tables

K = RecordKind


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


# TaskRouter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (K.TASK_EVENT, evidence.task_event()),
        (K.TASK_EVENT, evidence.task_event(event_data=json.dumps(evidence.task_event()["event_data"]))),
        (K.CLOUD_EVENT, evidence.cloud_event()),
        (K.WEBHOOK, evidence.callback()),
        (K.WEBHOOK, evidence.delivery(json.dumps(evidence.cloud_event()))),
        (K.WEBHOOK, evidence.delivery(json.dumps([evidence.cloud_event()]))),
    ],
    ids=["rest", "rest-text", "stream", "callback", "sink-object", "sink-batch"],
)
def test_an_event_is_the_same_signal_however_it_came(kind: RecordKind, record: dict[str, Any]) -> None:
    signal = one(kind, record)

    assert signal["signal_id"] == f"{sid('EV')}/task_completed"
    assert signal["kind"] == SignalKind.TASK_COMPLETED
    assert signal["source"] == "taskrouter"
    assert signal["time_kind"] == "event"
    assert signal["interaction_sid"] == sid("KD")
    assert signal["channel_sid"] == sid("UO")
    assert signal["task_sid"] == sid("WT")
    assert signal["conversation_sid"] == sid("CH")
    assert signal["channel_type"] == "web"
    assert signal["occurred_at"].replace(microsecond=0) == at("2026-10-01T10:00:00Z")
    assert ENDING_KINDS[signal["ending"]] == SignalKind.TASK_COMPLETED


def test_a_payload_or_attributes_in_the_other_form_are_read_too() -> None:
    stream, rest = evidence.cloud_event(), evidence.task_event()
    stream["data"]["payload"] = json.dumps(stream["data"]["payload"])
    rest["event_data"]["task_attributes"] = json.loads(rest["event_data"]["task_attributes"])

    for kind, record in ((K.CLOUD_EVENT, stream), (K.TASK_EVENT, rest)):
        assert one(kind, record)["interaction_sid"] == sid("KD")


def test_copies_of_one_event_become_one_row_with_all_that_is_known() -> None:
    made = tables(
        (K.WEBHOOK, evidence.callback()),
        (K.CLOUD_EVENT, evidence.cloud_event()),
        (K.TASK_EVENT, evidence.task_event()),
    )

    assert "rejects" not in made
    assert made["task_events"].height == 1
    signal = made["signals"].row(0, named=True)
    assert made["signals"].height == 1
    assert signal["precision_us"] == 1_000
    assert signal["occurred_at"] == at("2026-10-01T10:00:00.123Z")
    assert signal["handler"] == "worker"
    assert signal["user_agent"] == "TwilioProxy/1.1"


def test_the_finer_of_two_times_of_one_event_counts() -> None:
    signal = one(K.CLOUD_EVENT, evidence.cloud_event())

    assert signal["occurred_at"] == at("2026-10-01T10:00:00.123Z")
    assert signal["precision_us"] == 1_000


def test_times_that_disagree_are_not_mixed() -> None:
    record = evidence.cloud_event(timestamp="1790848700")

    signal = one(K.CLOUD_EVENT, record)

    assert signal["occurred_at"] == at("2026-10-01T09:58:20Z")
    assert signal["precision_us"] == 1_000_000


def test_a_callback_without_an_event_sid_gets_an_id_of_its_own() -> None:
    first = one(K.WEBHOOK, evidence.callback(Sid=""), "task_events")
    again = one(K.WEBHOOK, evidence.callback(Sid=""), "task_events")
    other = one(K.WEBHOOK, evidence.callback(2, Sid=""), "task_events")

    assert first["event_sid"].startswith("ev")
    assert first["event_sid"] == again["event_sid"] != other["event_sid"]


@pytest.mark.parametrize(
    ("more", "actor", "handler"),
    [
        ({}, "worker", "worker"),
        ({"actor_type": "workspace", "actor_sid": sid("WS"), "source_ip_address": None}, "twilio", "taskrouter"),
        ({"actor_type": "user", "actor_sid": sid("US"), "source": "web"}, "user", "user"),
        (
            {"actor_type": "account", "actor_sid": sid("AC"), "source": "api"},
            "api",
            f"api@{REDACTOR.pseudonym('203.0.113.9')[:8]}",
        ),
        ({"actor_type": None, "actor_sid": None, "source": "api", "source_ip_address": None}, "api", "api"),
        ({"actor_type": None, "actor_sid": None, "source": None}, None, None),
    ],
)
def test_who_caused_an_event_gets_a_stable_name(more: dict[str, Any], actor: str | None, handler: str | None) -> None:
    signal = one(K.TASK_EVENT, evidence.task_event(**more))

    assert signal["actor_type"] == actor
    assert signal["handler"] == handler


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("task.created", "task_created"),
        ("task.wrapup", "task_wrapup"),
        ("task.canceled", "task_canceled"),
        ("task.deleted", "task_deleted"),
        ("task.system-deleted", "task_deleted"),
        ("workflow.timeout", "workflow_timeout"),
        ("reservation.wrapup", "reservation_wrapup"),
        ("reservation.completed", "reservation_completed"),
        ("task.transfer-completed", "task.transfer-completed"),
        ("task.teleported", "task.teleported"),
    ],
)
def test_each_event_type_has_its_kind_and_an_unknown_one_keeps_its_name(event: str, kind: str) -> None:
    assert one(K.TASK_EVENT, evidence.task_event(event=event))["kind"] == kind


def test_an_event_that_ends_nothing_is_an_event_but_no_signal() -> None:
    made = tables((K.TASK_EVENT, evidence.task_event(event="worker.activity.update")))

    assert made["task_events"]["event_type"].to_list() == ["worker.activity.update"]
    assert "signals" not in made


def test_unknown_events_are_counted_once() -> None:
    made = tables(
        (K.TASK_EVENT, evidence.task_event(1, "task.teleported")),
        (K.TASK_EVENT, evidence.task_event(2, "task.teleported")),
        (K.TASK_EVENT, evidence.task_event(3, "worker.slept")),
        (K.TASK_EVENT, evidence.task_event(4)),
        (K.COMPLETION, evidence.completion(outcome="deferred", intent="end")),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(EventType="onChannelMoved"))),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed(ChannelStatus="paused"))),
    )

    assert unknown_events(made) == {
        "channel_paused": 1,
        "outcome deferred": 1,
        "onChannelMoved": 1,
        "task.teleported": 2,
        "worker.slept": 1,
    }


def test_redacted_or_broken_attributes_leave_the_event_without_links() -> None:
    for broken in (None, "", "{}", "not json", "[]", '{"flexInteractionSid": 5}', '{"flexInteractionSid": "custom-1"}'):
        signal = one(K.TASK_EVENT, evidence.task_event(event_data={"task_sid": sid("WT"), "task_attributes": broken}))

        assert signal["interaction_sid"] is None
        assert signal["task_sid"] == sid("WT")


def test_an_emoji_cut_in_half_in_the_attributes_costs_nothing() -> None:
    cut = evidence.attributes().replace("Jane Doe", "Jane \\ud83d")
    record = evidence.task_event(event_data={"task_sid": sid("WT"), "task_attributes": cut})

    assert one(K.TASK_EVENT, record)["interaction_sid"] == sid("KD")


def test_the_interaction_is_found_where_only_the_conversation_id_names_it() -> None:
    text = json.dumps({"conversations": {"conversation_id": sid("KD", 7)}})
    record = evidence.task_event(event_data={"task_sid": sid("WT"), "task_attributes": text})

    assert one(K.TASK_EVENT, record)["interaction_sid"] == sid("KD", 7)


# Interactions and Conversations webhooks --------------------------------------------------------------


@pytest.mark.parametrize("shape", ["form", "json", "object", "query"])
def test_a_delivery_is_read_whatever_its_body_is(shape: str) -> None:
    fields = evidence.channel_closed()
    form = evidence.delivery(fields)
    shapes = {
        "form": form,
        "json": evidence.delivery(json.dumps(fields)),
        "object": {**form, "body": fields},
        "query": {**form, "method": "GET", "body": "", "url": f"https://hooks.example.com/flex?{form['body']}"},
    }

    signal = one(K.WEBHOOK, shapes[shape])

    assert signal["kind"] == SignalKind.CHANNEL_CLOSED
    assert signal["interaction_sid"] == sid("KD")
    assert signal["conversation_sid"] == sid("CH")
    assert signal["time_kind"] == "receipt"
    assert signal["occurred_at"] == at("2026-10-01T10:00:01.250Z")
    assert signal["trigger_id"] == "token-1"
    assert signal["subscription"] == "hooks.example.com/flex"
    assert signal["evidence_sid"] == signal["signal_id"]


def test_header_names_are_case_insensitive_and_may_come_as_pairs() -> None:
    for headers in (
        {"i-twilio-idempotency-token": "t"},
        {"I-TWILIO-IDEMPOTENCY-TOKEN": ["t"]},
        [["I-Twilio-Idempotency-Token", "t"]],
    ):
        assert one(K.WEBHOOK, evidence.delivery(evidence.channel_closed(), headers=headers))["trigger_id"] == "t"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"ChannelStatus": "active"}, "channel_active"),
        ({"ChannelStatus": "inactive"}, "channel_inactive"),
        ({"ChannelStatus": "failed"}, "channel_failed"),
        ({"ChannelStatus": "pause"}, "channel_pause"),
        ({"EventType": "onChannelCreateFailed", "InteractionSid": ""}, "channel_failed"),
        ({"EventType": "onParticipantJoined", "ParticipantSid": sid("UT")}, "participant_joined"),
        ({"EventType": "onParticipantLeft", "ParticipantSid": sid("UT")}, "participant_left"),
        ({"EventType": "onInteractionCreated"}, "onInteractionCreated"),
        ({"EventType": "onSomethingNew"}, "onSomethingNew"),
    ],
)
def test_each_webhook_event_has_its_kind(fields: dict[str, str], kind: str) -> None:
    assert one(K.WEBHOOK, evidence.delivery(evidence.channel_closed(**fields)))["kind"] == kind


def test_the_name_of_the_instance_may_be_either() -> None:
    fields = evidence.channel_closed(InstanceSid="", FlexInstanceSid=sid("GO"))

    assert one(K.WEBHOOK, evidence.delivery(fields))["interaction_sid"] == sid("KD")


def test_deliveries_that_differ_in_token_time_or_receiver_are_signals_of_their_own() -> None:
    fields = evidence.channel_closed()
    made = tables(
        (K.WEBHOOK, evidence.delivery(fields)),
        (K.WEBHOOK, evidence.delivery(fields)),
        (K.WEBHOOK, evidence.delivery(fields, received_at="2026-10-01T10:00:02Z")),
        (K.WEBHOOK, evidence.delivery(fields, headers={})),
        (K.WEBHOOK, evidence.delivery(fields, url="https://other.example.com/flex")),
    )

    assert made["signals"]["signal_id"].n_unique() == 4
    assert made["signals"].height == 4


def test_a_participant_of_a_webhook_is_kept() -> None:
    fields = evidence.channel_closed(
        EventType="onParticipantLeft", ParticipantSid=sid("UT"), ParticipantType="agent", TaskSid=sid("WT")
    )

    row = one(K.WEBHOOK, evidence.delivery(fields), "participants")

    assert (row["participant_sid"], row["participant_type"], row["task_sid"]) == (sid("UT"), "agent", sid("WT"))


@pytest.mark.parametrize(
    ("reason", "handler", "actor"),
    [("TIMER", "timer", "timer"), ("API", "conversations-api", "api"), ("EVENT", None, None)],
)
def test_a_closed_conversation_tells_when_and_why(reason: str, handler: str | None, actor: str | None) -> None:
    signal = one(K.WEBHOOK, evidence.delivery(evidence.conversation_closed(Reason=reason)))

    assert signal["kind"] == SignalKind.CONVERSATION_CLOSED
    assert signal["time_kind"] == "event"
    assert signal["occurred_at"] == at("2026-10-01T10:00:00.500Z")
    assert (signal["handler"], signal["actor_type"], signal["reason"]) == (handler, actor, reason)


@pytest.mark.parametrize("prefix", ["", "payload"])
@pytest.mark.parametrize(
    "names", [("ConversationSid", "StateTo", "StateUpdated"), ("conversation_sid", "state_to", "state_updated")]
)
def test_a_state_change_is_one_signal_from_webhook_and_stream(prefix: str, names: tuple[str, str, str]) -> None:
    inner = dict(zip(names, (sid("CH"), "closed", "2026-10-01T10:00:00Z"), strict=True))
    stream = {
        "specversion": "1.0",
        "type": "com.twilio.conversations.conversation-state.updated",
        "id": "1",
        "time": "2026-10-01T10:00:09Z",
        "data": {prefix: inner} if prefix else inner,
    }

    made = tables((K.CLOUD_EVENT, stream), (K.WEBHOOK, evidence.delivery(evidence.conversation_closed())))

    assert made["signals"].height == 1
    assert made["signals"]["occurred_at"].item() == at("2026-10-01T10:00:00.500Z")


# Alerts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "record"),
    [(K.ALERT, evidence.alert()), (K.CLOUD_EVENT, evidence.error_log()), (K.WEBHOOK, evidence.debugger())],
    ids=["rest", "stream", "webhook"],
)
def test_an_alert_is_the_same_however_it_came(kind: RecordKind, record: dict[str, Any]) -> None:
    made = tables((kind, record))
    alert, signal = (made[name].row(0, named=True) for name in ("alerts", "signals"))

    assert alert["error_code"] == "80906"
    assert alert["log_level"] == "warning"
    assert alert["origin"] == "flex"
    assert alert["interaction_sid"] == sid("KD")
    assert alert["generated_at"] == at("2026-10-01T10:00:05Z")
    assert signal["signal_id"] == f"{sid('NO')}/warning"
    assert signal["kind"] == SignalKind.WARNING
    assert signal["evidence_sid"] == sid("NO")


def test_copies_of_one_alert_become_one_row() -> None:
    made = tables((K.ALERT, evidence.alert()), (K.CLOUD_EVENT, evidence.error_log()), (K.WEBHOOK, evidence.debugger()))
    alert = made["alerts"].row(0, named=True)

    assert made["alerts"].height == made["signals"].height == 1
    assert "rejects" not in made
    assert alert["product"] == "Flex"
    assert alert["created_at"] == at("2026-10-01T10:00:09Z")
    assert alert["received_at"] == at("2026-10-01T10:00:01.250Z")
    assert alert["has_detail"]


def test_other_alerts_are_kept_but_are_no_signals() -> None:
    made = tables((K.ALERT, evidence.alert(error_code=11200)))

    assert made["alerts"]["error_code"].to_list() == ["11200"]
    assert "signals" not in made


@pytest.mark.parametrize(
    ("more", "origin"),
    [
        ({"resource_sid": sid("KD")}, "flex"),
        ({"resource_sid": sid("UO")}, "flex"),
        ({"resource_sid": sid("KI")}, "proxy"),
        ({"resource_sid": sid("WT")}, "undetermined"),
        ({"resource_sid": None}, "undetermined"),
        ({"resource_sid": None, "service_sid": sid("KS")}, "proxy"),
        ({"resource_sid": None, "request_url": f"https://flex-api.twilio.com/v1/Interactions/{sid('KD')}"}, "flex"),
        ({"resource_sid": None, "alert_text": f"Msg=x&session={sid('KC')}"}, "proxy"),
        ({"resource_sid": sid("KI"), "alert_text": f"Msg=x&other={sid('KD')}"}, "proxy"),
        ({"resource_sid": None, "alert_text": f"{sid('KI')} {sid('KD')}"}, "undetermined"),
    ],
)
def test_the_product_is_judged_by_the_sids_that_an_alert_names(more: dict[str, Any], origin: str) -> None:
    assert one(K.ALERT, evidence.alert(**more), "alerts")["origin"] == origin


def test_sids_are_found_in_any_text_of_an_alert() -> None:
    text = f"Msg=x&url=https%3A%2F%2Fx%2FInteractions%2F{sid('KD', 5)}%2FChannels%2F{sid('UO', 5)}"
    row = one(K.ALERT, evidence.alert(resource_sid=sid("WT", 5), alert_text=text), "alerts")

    assert (row["interaction_sid"], row["channel_sid"], row["task_sid"]) == (sid("KD", 5), sid("UO", 5), sid("WT", 5))


def test_two_interactions_in_one_alert_name_none() -> None:
    row = one(K.ALERT, evidence.alert(resource_sid=None, alert_text=f"{sid('KD', 1)} {sid('KD', 2)}"), "alerts")

    assert row["interaction_sid"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sourceComponent=14100&ErrorCode=14101&LogLevel=ERROR&Msg=The+number+failed", "The number failed"),
        ("Msg&sourceComponent=12000&ErrorCode=11200&httpResponse=405", None),
        ("msg=lower+case&x=1", "lower case"),
        ('{"Msg": "from JSON", "x": 1}', "from JSON"),
        ("plain words = fine", "plain words = fine"),
        ("", None),
        ("{broken", "{broken"),
    ],
)
def test_the_message_is_read_from_every_form_of_alert_text(text: str, expected: str | None) -> None:
    assert message(text) == expected


def test_a_single_fetch_is_told_from_a_list() -> None:
    detail = evidence.alert(response_body=None, response_headers=None, request_variables=None)

    assert one(K.ALERT, evidence.alert(), "alerts")["has_detail"] is False
    assert one(K.ALERT, detail, "alerts")["has_detail"] is True


def test_a_request_is_kept_without_its_query_and_user() -> None:
    record = evidence.alert(request_url="https://u:p@hooks.example.com/close?token=1#f", request_method="post")
    row = one(K.ALERT, record, "alerts")

    assert (row["request_method"], row["request_path"]) == ("POST", "hooks.example.com/close")


# Completion log ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("close_channel", "close_channel_requested"),
        ("close_participant", "close_participant_requested"),
        ("complete_task", "complete_requested"),
        ("close_conversation", "close_conversation_requested"),
        ("archive_channel", "archive_channel"),
    ],
)
def test_each_operation_of_a_completion_log_has_its_kind(operation: str, kind: str) -> None:
    assert one(K.COMPLETION, evidence.completion(operation=operation))["kind"] == kind


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({}, "unknown"),
        ({"http_status": 200}, "accepted"),
        ({"http_status": "201"}, "accepted"),
        ({"http_status": 409}, "rejected"),
        ({"outcome": "skipped", "http_status": 200}, "skipped"),
        ({"outcome": "Accepted"}, "accepted"),
        ({"outcome": "deferred"}, "deferred"),
    ],
)
def test_the_outcome_is_as_logged_or_as_the_status_tells(more: dict[str, Any], outcome: str) -> None:
    assert one(K.COMPLETION, evidence.completion(**more))["outcome"] == outcome


def test_a_completion_keeps_what_the_handler_knew() -> None:
    record = evidence.completion(status_before="Active", intent="remove_agent", attempt=2, http_status=200)
    signal = one(K.COMPLETION, record)

    assert (signal["handler"], signal["trigger_id"], signal["attempt"]) == ("close-fn", "job-1", 2)
    assert (signal["status_before"], signal["intent"], signal["http_status"]) == ("active", "remove_agent", 200)


def test_a_trigger_that_holds_an_address_stays_distinct_but_hidden() -> None:
    triggers = [
        one(K.COMPLETION, evidence.completion(trigger_id=trigger))["trigger_id"]
        for trigger in ("+15551234567", "+15551234568", "+15551234567")
    ]

    assert triggers[0] == triggers[2] != triggers[1]
    assert all(trigger.startswith("p:") for trigger in triggers)


# Studio, REST and configuration -----------------------------------------------------------------------


def test_a_step_is_a_signal_named_after_flow_and_widget() -> None:
    step = {
        "sid": sid("FT"),
        "execution_sid": sid("FN"),
        "flow_sid": sid("FW"),
        "name": "success",
        "transitioned_from": "close_channel",
        "transitioned_to": "end",
        "date_created": "2026-10-01T10:00:00Z",
        "context": {"flow": {"data": {"channel": sid("UO")}}},
    }
    signal = one(K.STEP, step)

    assert signal["handler"] == f"studio:{sid('FW')}/close_channel"
    assert (signal["widget"], signal["trigger_id"], signal["outcome"]) == ("close_channel", sid("FN"), "unknown")
    assert signal["channel_sid"] == sid("UO")


def test_an_execution_ties_its_steps_to_the_conversation() -> None:
    execution = {
        "sid": sid("FN"),
        "flow_sid": sid("FW"),
        "flow_version": 12,
        "status": "ended",
        "contact_channel_address": "+15551234567",
        "context": {"trigger": {"conversation": {"ConversationSid": sid("CH")}}},
        "date_created": "2026-10-01T10:00:00Z",
        "date_updated": None,
    }
    made = tables((K.EXECUTION, execution))

    assert made["executions"]["conversation_sid"].to_list() == [sid("CH")]
    assert made["signals"].select("trigger_id", "conversation_sid").row(0) == (sid("FN"), sid("CH"))


def test_studio_events_of_the_stream_are_executions_and_steps() -> None:
    def event(type_: str, **data: Any) -> dict[str, Any]:
        whole = {"execution_sid": sid("FN"), "flow_sid": sid("FW"), **data}
        return {
            "specversion": "1.0",
            "type": f"com.twilio.studio.flow.{type_}",
            "id": type_,
            "time": "2026-10-01T10:00:00Z",
            "data": whole,
        }

    made = tables(
        (K.CLOUD_EVENT, event("execution.started")),
        (K.CLOUD_EVENT, event("execution.ended", status="ended", date_updated="2026-10-01T10:05:00Z")),
        (K.CLOUD_EVENT, event("step.ended", step_sid=sid("FT"), name="close", date_created="2026-10-01T10:01:00Z")),
        (K.CLOUD_EVENT, event("execution.paused")),
    )

    assert made["executions"]["status"].to_list() == ["ended"]
    assert made["steps"]["step_sid"].to_list() == [sid("FT")]
    assert "flow.execution.paused" in made["signals"]["kind"]


def test_an_interaction_is_kept_by_the_allow_list() -> None:
    made = tables((K.INTERACTION, evidence.interaction()))
    row = made["interactions"].row(0, named=True)

    assert (row["channel_sid"], row["channel_type"], row["task_sids"]) == (sid("UO"), "web", [sid("WT")])
    assert row["created_at"] == at("2026-10-01T09:46:40Z")
    assert made["signals"].select("kind", "task_sid").row(0) == ("interaction_created", sid("WT"))


@pytest.mark.parametrize("routing", [None, {}, {"properties": None}, "closed", {"status": "closed"}])
def test_an_interaction_is_kept_whatever_its_routing_holds(routing: Any) -> None:
    row = one(K.INTERACTION, evidence.interaction(routing=routing), "interactions")

    assert row["interaction_sid"] == sid("KD")
    assert row["task_sids"] is None


def test_channels_are_dated_by_when_they_were_read() -> None:
    channel = {"sid": sid("UO"), "interaction_sid": sid("KD"), "type": "web", "status": "closed", "error_code": 45354}
    row = one(K.CHANNEL, channel, "channels")

    assert (row["status"], row["observed_at"], row["found"], row["error_code"]) == ("closed", NOW, True, "45354")


def test_a_tombstone_says_that_a_resource_is_gone() -> None:
    made = tables(
        (K.TOMBSTONE, {"resource": "interaction", "sid": sid("KD"), "status": 404}),
        (K.TOMBSTONE, {"resource": "channel", "sid": sid("UO"), "status": 404}),
        (K.TOMBSTONE, {"resource": "conversation", "sid": sid("CH"), "status": 404}),
        (K.TOMBSTONE, {"resource": "execution", "sid": sid("FN"), "status": 404}),
    )

    assert made["executions"]["status"].to_list() == ["not_found"]
    assert [made[name]["found"].to_list() for name in ("interactions", "channels", "conversations")] == [[False]] * 3


def test_invites_participants_and_conversations_are_kept() -> None:
    invite = {
        "sid": sid("KG"),
        "interaction_sid": sid("KD"),
        "channel_sid": sid("UO"),
        "routing": evidence.interaction()["routing"],
    }
    participant = {
        "sid": sid("UT"),
        "type": "agent",
        "interaction_sid": sid("KD"),
        "channel_sid": sid("UO"),
        "routing_properties": {"task_sid": sid("WT"), "worker_sid": sid("WK"), "reservation_sid": sid("WR")},
    }
    conversation = {
        "sid": sid("CH"),
        "state": "closed",
        "attributes": json.dumps({"interactionSid": sid("KD"), "name": "Jane"}),
        "date_created": "2026-10-01T09:00:00Z",
        "date_updated": "2026-10-01T10:00:00Z",
    }

    made = tables((K.INVITE, invite), (K.PARTICIPANT, participant), (K.CONVERSATION, conversation))

    assert made["invites"].select("task_sid", "assignment_status").row(0) == (sid("WT"), "completed")
    assert made["participants"].select("worker_sid", "reservation_sid").row(0) == (sid("WK"), sid("WR"))
    assert made["conversations"].select("interaction_sid", "state").row(0) == (sid("KD"), "closed")


def test_who_listens_to_what_is_kept_as_configuration() -> None:
    made = tables(
        (
            K.WORKSPACE,
            {
                "sid": sid("WS"),
                "event_callback_url": "https://a:b@x.example.com/tr#rc=3",
                "events_filter": "task.completed,task.canceled",
            },
        ),
        (
            K.WEBHOOK_CONFIG,
            {
                "ttid": "flex_interactionwebhook_01jke8z8vte4ette30t5w9h081",
                "webhook_url": "https://x.example.com/iw?k=1",
                "webhook_events": ["onChannelStatusUpdated"],
                "type": "global",
            },
        ),
        (
            K.SUBSCRIPTION,
            {"sid": sid("DF"), "sink_sid": sid("DG"), "types": [{"type": "com.twilio.taskrouter.task.completed"}]},
        ),
        (
            K.SINK,
            {
                "sid": sid("DG"),
                "sink_type": "webhook",
                "sink_configuration": {"destination": "https://x.example.com/es"},
            },
        ),
        (
            K.AUDIT_EVENT,
            {
                "sid": sid("AE"),
                "event_type": "flow.updated",
                "event_date": "2026-10-01T08:00:00Z",
                "resource_sid": sid("FW"),
                "source": "web",
                "actor_type": "user",
            },
        ),
        (K.FLEX_CONFIGURATION, {"flex_instance_sid": sid("GO"), "agent_conv_end_methods": {"complete": True}}),
    )
    rows = {row["subject_sid"]: row for row in made["configuration"].filter(pl.col("kind") != "change").to_dicts()}

    assert rows[sid("WS")]["handler"] == "x.example.com/tr"
    assert rows[sid("WS")]["event_types"] == ["task.canceled", "task.completed"]
    assert rows["flex_interactionwebhook_01jke8z8vte4ette30t5w9h081"]["event_types"] == ["onChannelStatusUpdated"]
    change = made["configuration"].filter(kind="change").row(0, named=True)
    assert (change["subject_sid"], change["event_types"]) == (sid("FW"), ["flow.updated"])
    assert change["changed_at"] == at("2026-10-01T08:00:00Z")
    assert "rejects" not in made


def test_the_widgets_of_a_flow_that_can_close_are_found() -> None:
    close = "https://flex-api.twilio.com/v1/Interactions/{{x}}/Channels/{{y}}"
    states = [
        {"name": "Trigger", "type": "trigger", "properties": {}},
        {"name": "close_it", "type": "make-http-request", "properties": {"url": close, "body": "Status=closed"}},
        {"name": "drop_agent", "type": "make-http-request", "properties": {"url": f"{close}/Participants/UT"}},
        {"name": "call", "type": "run-function", "properties": {"url": "https://x.twil.io/end"}},
    ]
    made = tables((K.FLOW, {"sid": sid("FW"), "definition": {"states": states}}))

    assert {row["handler"].split("/")[1]: row["detail"] for row in made["configuration"].to_dicts()} == {
        "close_it": "channel",
        "drop_agent": "participant",
        "call": "function",
    }


# All --------------------------------------------------------------------------------------------------


def everything() -> dict[str, pl.DataFrame]:
    return tables(
        (K.TASK_EVENT, evidence.task_event()),
        (K.CLOUD_EVENT, evidence.cloud_event(2)),
        (K.WEBHOOK, evidence.callback(3)),
        (K.WEBHOOK, evidence.delivery(evidence.channel_closed())),
        (K.WEBHOOK, evidence.delivery(evidence.conversation_closed())),
        (K.WEBHOOK, evidence.debugger(2)),
        (K.ALERT, evidence.alert(request_variables="From=%2B15551234567&Body=I+am+Jane+Doe&To=agent.jane")),
        (K.COMPLETION, evidence.completion(handler="close for jane.doe@example.com")),
        (K.INTERACTION, evidence.interaction()),
        (K.TASK_EVENT, evidence.task_event(9, event_date_ms=None, event_date="2026-10-01T10:00:00")),
        (K.WEBHOOK, evidence.callback(9, Timestamp="soon")),
        (K.WEBHOOK, evidence.delivery("Jane Doe <jane.doe@example.com> +15551234567")),
    )


def test_every_table_has_exactly_the_columns_of_the_data_dictionary() -> None:
    for name, rows in everything().items():
        assert rows.schema == TABLES[name].empty().schema, name


def test_nothing_personal_reaches_a_table() -> None:
    text = json.dumps([rows.to_dicts() for rows in everything().values()], default=str)

    for secret in ("Jane", "jane", "5551234567", "123-4567", "203.0.113.9", "user:pass", "secret=1", "agent."):
        assert secret not in text, secret


def test_derived_keys_tell_alike_sids_apart() -> None:
    made = tables(*((K.TASK_EVENT, evidence.task_event(number)) for number in (3, 1, 2)))["signals"]

    assert made["ikey"].n_unique() == 3
    assert made["ekey"].n_unique() == 3
    assert made["occurred_us"].to_list() == [1_790_848_800_123_000] * 3
    assert made["tkey"].n_unique() == 3
    assert made["day"].unique().to_list() == [dt.date(2026, 10, 1)]


def test_every_delivery_of_one_event_is_remembered_by_its_id() -> None:
    first, again = evidence.callback(), evidence.callback() | {"received_at": "2026-10-01T10:00:09Z"}
    streamed = evidence.cloud_event()
    made = tables(
        (K.TASK_EVENT, evidence.task_event()), (K.WEBHOOK, first), (K.WEBHOOK, again), (K.CLOUD_EVENT, streamed)
    )

    signal = made["signals"].row(0, named=True)

    assert made["signals"].height == 1
    assert signal["trigger_id"] == signal["evidence_sid"]
    assert sorted(text.split("|")[0] for text in signal["deliveries"]) == sorted(["token-1", "token-1", streamed["id"]])
