"""A fetch from end to end: what it holds, what it asks, what it says; through the real SDK and real sockets."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.collect.fetch.lock import only_fetch
from flexkit.collect.fetch.sink import Covered, coverage_rows
from flexkit.collect.twilio_api import fetch, plan, run_fetch
from flexkit.errors import CredentialError, ExitCode, FetchError, UsageError
from flexkit.settings import Settings
from flexkit.tables.store import Store
from flexkit.terms import Source
from flexkit.window import Window
from tests.collect.fetching import QUICK, days, fetched, held, settings_for, small
from tests.server.api import PASSWORD, TwilioServer
from tests.server.faults import Fault, error

if TYPE_CHECKING:
    from pathlib import Path


def test_a_fetch_holds_every_row_of_the_account_once(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:
        summary, store = fetched(tmp_path, server)

    assert held(store) == account.truth()
    assert summary.exit_code == ExitCode.OK
    assert store.table("rejects").collect().is_empty()
    warned = store.table("alerts").filter(pl.col("error_code") == "80906").collect()
    assert warned.height > 0
    assert warned["has_detail"].all()
    assert (~store.table("interactions").collect()["found"]).sum() == len(account.deleted) > 0


def test_configuration_tells_who_listens_and_what_can_close(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:
        _, store = fetched(tmp_path, server, sources=["configuration", "studio", "audit_events"])

    rows = store.table("configuration").collect()
    listeners = set(rows.filter(pl.col("kind") == "subscription")["detail"])
    assert listeners == {"event_callback", "interactions_webhook", "event_streams", "event_streams_sink"}
    assert rows.filter(pl.col("kind") == "closer")["subject_sid"].to_list() == [account.closing_flow]
    assert rows.filter(pl.col("kind") == "change")["event_types"].to_list() == [["flow.updated"]]
    assert "sesame" not in str(rows.to_dicts())


def test_executions_of_flows_that_do_not_matter_are_not_asked_for(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:
        fetched(tmp_path, server, sources=["studio"])

    assert server.asked(f"{account.flow}/Executions")
    assert not server.asked(f"{account.idle_flow}/Executions")


def test_an_execution_that_can_close_is_tied_to_its_conversation(tmp_path: Path) -> None:
    account = small(interactions=16)
    with TwilioServer(account) as server:
        _, store = fetched(tmp_path, server, sources=["studio"])

    closing = store.table("executions").filter(pl.col("flow_sid") == account.closing_flow).collect()
    assert closing.height > 0
    assert closing["conversation_sid"].is_in(account.conversation_sids).all()


def test_a_second_fetch_asks_only_for_what_may_be_new(tmp_path: Path) -> None:
    account = small()
    account.events[account.workspace_sids[0]][0] |= {}
    with TwilioServer(account) as server:
        fetched(tmp_path, server)
        first = len(server.log)
        server.log.clear()
        summary, store = fetched(tmp_path, server)

        assert held(store) == account.truth()
        assert sum(table["new_rows"] for name, table in summary.tables.items() if name != "channels") == 0
        assert not any(account.deleted[0] in request.resource for request in server.log)
        over = {
            row["sid"]
            for key, rows in account.lists.values()
            if key == "channels"
            for row in rows
            if row["status"] == "closed"
        }
        assert not any(sid in request.resource for request in server.log for sid in over)
        assert len(server.log) < first / 2


def test_late_alerts_are_found_by_the_next_fetch(tmp_path: Path) -> None:
    account = small(duplicate_share=1.0)
    late = account.alerts.pop()
    late["date_generated"] = (account.now - dt.timedelta(minutes=45)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with TwilioServer(account) as server:
        fetched(tmp_path, server, sources=["alerts"])
        account.alerts.append(late)
        _, store = fetched(tmp_path, server, sources=["alerts"])

    assert late["sid"] in held(store)["alerts"]


def test_interactions_named_by_stored_evidence_are_read_though_their_events_are_not_asked_again(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:
        fetched(tmp_path, server, sources=["task_events"])
        assert not server.asked("/Interactions/")
        _, store = fetched(tmp_path, server, sources=["interactions", "conversations"])

    assert held(store)["interactions"] == account.truth()["interactions"]
    assert held(store)["invites"] == account.truth()["invites"]


def test_what_can_still_change_is_read_again_whatever_window_is_asked_for_and_what_is_final_is_not(
    tmp_path: Path,
) -> None:
    account = small(interactions=3, open_share=1.0, deleted_share=0.0)
    executions = [row for rows in account.executions.values() for row in rows]
    channels = [row for path, (key, rows) in account.lists.items() if key == "channels" for row in rows]
    conversations = [
        account.items[f"conversations.twilio.com/v1/Conversations/{sid}"] for sid in account.conversation_sids
    ]
    for execution in executions:
        execution["status"] = "active"
    units = ("/Channels", "/Participants", "/Conversations/", "/Executions/")
    with TwilioServer(account) as server:
        fetched(tmp_path, server)
        server.forget()
        for execution in executions:
            execution["status"] = "ended"
        for channel in channels:
            channel["status"] = "closed"
        for conversation in conversations:
            conversation["state"] = "closed"
        _, store = fetched(tmp_path, server, window=days(0.01))

        assert all(server.asked(unit) for unit in units)
        latest = store.table("channels").sort("observed_at").group_by("channel_sid").last().collect()
        assert set(latest["status"]) == set(store.table("conversations").collect()["state"]) == {"closed"}
        assert set(store.table("executions").collect()["status"]) == {"ended"}

        server.forget()
        fetched(tmp_path, server)
        assert not any(server.asked(unit) for unit in units)


def test_interactions_are_found_in_any_text_of_other_evidence(tmp_path: Path) -> None:
    account = small(interactions=9, deleted_share=0.0)
    named = sorted(account.truth()["interactions"])
    for events in account.events.values():
        events.clear()
    quiet = {"error_code": "11200", "request_url": None, "resource_sid": None}
    conversation = account.conversation_sids[0]
    text = f"Msg&url=https%3A%2F%2Fexample.com%2F{named[0]}%2Fend&conversation={conversation}"
    account.alerts[:] = [
        {**account.alerts[0], **quiet, "alert_text": text},
        {**account.alerts[1], **quiet, "request_url": f"https://example.com/hook?x={named[1]}"},
    ]
    account.items[f"conversations.twilio.com/v1/Conversations/{conversation}"]["attributes"] = f'{{"kd":"{named[2]}"}}'
    contexts = [path for path in account.items if path.endswith("/Context") and account.closing_flow in path]
    account.items[contexts[0]]["context"] = {"widgets": {"end": {"body": f"id={named[3]}"}}}
    with TwilioServer(account) as server:
        _, store = fetched(tmp_path, server, sources=["alerts", "interactions", "conversations", "studio"])

    assert set(named[:4]) <= held(store)["interactions"]


def test_only_the_chosen_sources_are_asked(tmp_path: Path) -> None:
    with TwilioServer(small()) as server:
        fetched(tmp_path, server, sources=["alerts"])

        assert {request.resource.split("/")[2] for request in server.log} == {"Configuration", "Alerts"}


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no source 'alert'.*task_events"):
        fetch(Store(tmp_path), Settings(_env_file=None), days(1), sources=["alert"])


def test_events_are_asked_for_with_both_ends_of_a_window(tmp_path: Path) -> None:
    with TwilioServer(small()) as server:
        fetched(tmp_path, server, sources=["task_events"])

        asked = [request.query for request in server.asked("/Events")]
        assert asked
        assert all({"StartDate", "EndDate", "PageSize"} <= set(query) for query in asked)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["StartDate"]) for query in asked)


def test_full_windows_of_events_are_halved_until_they_fit(tmp_path: Path) -> None:
    account = small(interactions=30, days=0.2)
    with TwilioServer(account, page_limit=7) as server:
        summary, store = fetched(tmp_path, server, sources=["task_events"])

    # Nine events of one interaction fall into seconds with fewer than seven.
    assert held(store)["task_events"] == account.truth()["task_events"]
    assert summary.exit_code == ExitCode.OK


def test_a_second_that_stays_full_is_marked_as_saturated(tmp_path: Path) -> None:
    account = small()
    events = account.events[account.workspace_sids[0]]
    for event in events[:12]:
        event["event_date_ms"], event["event_date"] = events[0]["event_date_ms"], events[0]["event_date"]
    events.sort(key=lambda event: event["event_date_ms"])
    with TwilioServer(account, page_limit=10) as server:
        summary, store = fetched(tmp_path, server, sources=["task_events"])

    rows = store.coverage().filter(pl.col("state") == "saturated").collect()
    assert rows.height >= 1
    assert all(row["end"] - row["start"] <= dt.timedelta(seconds=2) for row in rows.iter_rows(named=True))
    assert any("holds more than one page" in warning for warning in summary.warnings)


def test_expired_evidence_is_said_to_be_gone_and_the_rest_is_read(tmp_path: Path) -> None:
    with TwilioServer(small()) as server:
        summary, store = fetched(tmp_path, server, window=days(40), sources=["alerts"])

        asked = [request.query for request in server.asked("/Alerts")]
        starts = [dt.datetime.fromisoformat(query["StartDate"]) for query in asked if query]
    assert min(starts) > dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    assert any("Twilio keeps 30 days" in warning for warning in summary.warnings)
    assert store.coverage().filter(pl.col("state") == "expired").collect().height == 1


def test_a_window_beyond_retention_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = days(60)
    with TwilioServer(small()) as server, pytest.raises(UsageError, match="flexkit import"):
        fetched(tmp_path, server, window=Window(old.start, old.start + dt.timedelta(days=5)))


# Credentials ------------------------------------------------------------------------------------------


def test_wrong_credentials_end_it_at_once_and_name_the_variable_and_the_host(tmp_path: Path) -> None:
    with TwilioServer(small()) as server:
        settings = settings_for(server, twilio_auth_token="wrong")  # noqa: S106 - meant to be wrong
        with pytest.raises(
            CredentialError, match=r"AC[0-9a-f]{32} at monitor\.twilio\.com.*TWILIO_AUTH_TOKEN"
        ) as caught:
            fetched(tmp_path, server, settings=settings)

        assert len(server.log) == 2
    assert caught.value.exit_code == ExitCode.USAGE
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "TWILIO_ACCOUNT_SID"),
        ({"twilio_account_sid": "AC" + "0" * 32}, "TWILIO_API_KEY with TWILIO_API_SECRET, or TWILIO_AUTH_TOKEN"),
        ({"twilio_account_sid": "AC" + "0" * 32, "twilio_api_key": "SK" + "0" * 32}, "TWILIO_API_SECRET is not"),
    ],
)
def test_missing_credentials_are_named_before_anything_is_written(
    tmp_path: Path, given: dict[str, str], named: str
) -> None:
    with pytest.raises(CredentialError, match=named):
        fetch(Store(tmp_path / "store"), Settings(_env_file=None, **given), days(1))

    assert not (tmp_path / "store").exists()


def test_an_api_key_is_used_as_user_name(tmp_path: Path) -> None:
    key = "SK" + "1" * 32
    with TwilioServer(small()) as server:
        settings = settings_for(server, twilio_api_key=key, twilio_api_secret=PASSWORD)
        fetched(tmp_path, server, settings=settings, sources=["alerts"])

        assert {request.credentials[0] for request in server.log} == {key}


def test_credentials_refused_on_the_way_stop_it_and_keep_what_came(tmp_path: Path) -> None:
    account = small()
    planted = Fault("Interactions|Conversations|Alerts", error(401, code=20003), times=10**6, skip=12)
    with TwilioServer(account, faults=[planted]) as server:
        summary, store = fetched(tmp_path, server)
        refused = [request for request in server.log if request.status == 401]

        assert summary.exit_code == ExitCode.USAGE
        assert account.sid in str(summary.stopped)
        assert len(refused) < 70
        assert sum(map(len, held(store).values())) > 0

        server.faults.clear()
        summary, store = fetched(tmp_path, server)
    assert held(store) == account.truth()
    assert summary.exit_code == ExitCode.OK


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_source_is_reported_and_the_others_go_on(tmp_path: Path, status: int) -> None:
    account = small()
    with TwilioServer(account, faults=[Fault("studio", error(status), times=10**6)]) as server:
        summary, store = fetched(tmp_path, server)

        assert len(server.asked("studio")) == 1
    truth = account.truth()
    assert summary.exit_code == ExitCode.INCOMPLETE
    assert [gap.source for gap in summary.gaps.values()] == ["studio"]
    assert "--without studio" in "\n".join(summary.lines())
    assert held(store) == truth | {"executions": set(), "steps": set()}


def test_forbidden_events_leave_their_window_open(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account, faults=[Fault("/Events$", error(403), times=10**6)]) as server:
        summary, store = fetched(tmp_path, server, sources=["task_events"])
        assert summary.exit_code == ExitCode.INCOMPLETE
        assert set(store.coverage().collect()["state"]) == {"partial"}

        server.faults.clear()
        _, store = fetched(tmp_path, server, sources=["task_events"])
    assert held(store)["task_events"] == account.truth()["task_events"]


# Nothing leaks, nothing is written --------------------------------------------------------------------


def test_nothing_but_get_is_ever_sent_and_no_secret_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with TwilioServer(small(), faults=[Fault("Alerts", error(500), times=2)]) as server:
        summary, store = fetched(tmp_path, server)
        assert {request.method for request in server.log} == {"GET"}
        assert server.connections < 70

    shown = "\n".join([*summary.lines(), json.dumps(summary.to_dict()), *capfd.readouterr(), caplog.text, repr(store)])
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (PASSWORD, "Authorization", "+1555", "Zoë"):
        assert secret not in shown
        assert secret.encode() not in kept
    assert "StartDate" not in caplog.text


def test_raw_records_are_kept_elsewhere_on_request_for_the_owner_only(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:
        fetched(tmp_path / "store", server, keep_raw=tmp_path / "raw", sources=["alerts"])

    (kept,) = (tmp_path / "raw").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    with gzip.open(kept, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert {record["sid"] for record in records} == {alert["sid"] for alert in account.alerts}


# Words ------------------------------------------------------------------------------------------------


def test_the_summary_says_rows_windows_retries_and_seconds(tmp_path: Path) -> None:
    with TwilioServer(small(), faults=[Fault("Alerts", error(503))]) as server:
        summary, _ = fetched(tmp_path, server)

    told = summary.to_dict()
    assert told["sources"]["alerts"]["rows"] == told["sources"]["alerts"]["new_rows"] > 0
    assert told["sources"]["task_events"]["windows"]["complete"] > 0
    assert told["retries"] == 1
    assert told["faults"] == {"HTTP 503": 1}
    assert told["requests"] == len(server.log)
    assert "1 retry" in summary.lines()[-1]
    assert json.loads(json.dumps(told)) == told


def test_a_plan_asks_nothing_and_tells_how_much_would_be_asked(tmp_path: Path) -> None:
    store = Store(tmp_path)

    told = plan(store, days(7))

    assert told.requests > 0
    assert any("1 open window, 7.0 days" in line for line in told.lines())
    assert "nothing was asked yet" in told.lines()[0]
    assert not any(tmp_path.iterdir())


def test_a_plan_after_a_fetch_names_what_is_open(tmp_path: Path) -> None:
    with TwilioServer(small()) as server:
        _, store = fetched(tmp_path, server, sources=["alerts", "task_events"])
        asked = len(server.log)
        told = plan(store, days(1)).to_dict()

        assert len(server.log) == asked
    steps = {step["source"]: step for step in told["steps"]}
    assert len(steps["alerts"]["windows"]) == 1
    assert steps["interactions"]["requests"] > 0


@pytest.mark.parametrize(
    ("age", "said"), [(27, r"alerts were last read 27 days ago"), (35, r"alerts from \S+ to \S+ are lost"), (3, None)]
)
def test_a_gap_that_nears_retention_is_warned_of_and_what_is_lost_is_named(
    tmp_path: Path, age: int, said: str | None
) -> None:
    store, read_at = Store(tmp_path), dt.datetime.now(dt.UTC) - dt.timedelta(days=age)
    window = Window(read_at - dt.timedelta(days=1), read_at)
    store.add({"coverage": coverage_rows([Covered(Source.DEBUGGER, "alerts", window, 5)], read_at)})

    warnings = plan(store, days(28)).warnings

    assert len(warnings) == (said is not None)
    assert said is None or re.search(f"{said}.*fetch at least weekly", warnings[0])


def test_run_fetch_without_an_account_ends_with_the_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CredentialError, match="TWILIO_ACCOUNT_SID"):
        run_fetch(tmp_path / "store")

    assert not (tmp_path / "store").exists()


def test_a_since_in_the_future_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing between --since \(2130-01-01T00:00:00Z\).*earlier --since"):
        run_fetch(tmp_path, since="2130-01-01")


def test_run_fetch_reads_settings_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = small()
    with TwilioServer(account) as server:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", account.sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", PASSWORD)
        monkeypatch.setenv("FLEXKIT_TWILIO_BASE_URL", server.url)
        told: list[str] = []
        summary = run_fetch(tmp_path, since="1d", without=["studio"], log=told.append)

    assert summary.exit_code == ExitCode.OK
    assert held(Store(tmp_path))["alerts"] == account.truth()["alerts"]


# Two at once ------------------------------------------------------------------------------------------


def test_a_second_fetch_into_one_folder_names_the_first(tmp_path: Path) -> None:
    with TwilioServer(small()) as server, only_fetch(tmp_path):
        with pytest.raises(FetchError, match=rf"process {os.getpid()} on .* since [\dT:-]+Z\)"):
            fetched(tmp_path, server)

        assert not server.log


def test_the_lock_of_a_process_that_is_gone_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / ".fetch.lock").touch()
    (tmp_path / ".fetch.holder.json").write_text('{"pid": 999999, "host": "elsewhere", "since": "2026-01-01"}')
    with TwilioServer(small()) as server:
        summary, _ = fetched(tmp_path, server, sources=["alerts"], patience=QUICK)

    assert summary.exit_code == ExitCode.OK


def test_another_account_is_kept_apart(tmp_path: Path) -> None:
    with TwilioServer(small(seed=3)) as first, TwilioServer(small(seed=4)) as second:
        fetched(tmp_path, first, sources=["alerts"])
        with pytest.raises(UsageError, match=f"fetched from {first.account.sid}.*name another folder"):
            fetched(tmp_path, second, sources=["alerts"])

        assert not second.log


# What is gone -----------------------------------------------------------------------------------------


def test_interactions_that_are_all_gone_are_not_buried_but_asked_about(tmp_path: Path) -> None:
    account = small(deleted_share=1.0, open_share=0.0)
    with TwilioServer(account) as server:
        summary, store = fetched(tmp_path, server)

        assert summary.exit_code == ExitCode.INCOMPLETE
        assert "TWILIO_REGION" in "\n".join(summary.lines())
        assert held(store)["interactions"] == set()

        found = small(deleted_share=0.0)
        account.items |= found.items
        account.lists |= found.lists
        _, store = fetched(tmp_path, server)
        assert len(held(store)["interactions"]) == len(account.deleted)


def test_one_interaction_that_is_gone_is_buried(tmp_path: Path) -> None:
    account = small(interactions=1, deleted_share=1.0, open_share=0.0)
    with TwilioServer(account) as server:
        summary, store = fetched(tmp_path, server)

    assert summary.exit_code == ExitCode.OK
    assert held(store)["interactions"] == set(account.deleted)


def test_a_log_gets_one_line_per_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = small()
    told: list[str] = []
    with TwilioServer(account) as server:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", account.sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", PASSWORD)
        monkeypatch.setenv("FLEXKIT_TWILIO_BASE_URL", server.url)
        run_fetch(tmp_path, since="1d", sources=["alerts", "task_events"], log=told.append)

    assert [line.split()[1] for line in told] == ["source=alerts", "source=task_events"]
    assert f"rows={len(account.alerts)} new={len(account.alerts)} missing=0" in told[0]


def test_it_works_where_a_loop_runs_already(tmp_path: Path) -> None:
    import asyncio

    async def in_a_notebook(server: TwilioServer) -> Store:
        return fetched(tmp_path, server, sources=["alerts"])[1]

    account = small()
    with TwilioServer(account) as server:
        store = asyncio.run(in_a_notebook(server))

    assert held(store)["alerts"] == account.truth()["alerts"]
