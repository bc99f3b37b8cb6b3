"""What a simulated centre leaves behind: Twilio's formats, invented people, and damage on request."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import numpy as np
import polars as pl
import pytest

from flexkit.collect.simulate import Degradation, build, gather, observed_frames, simulate
from flexkit.collect.simulate.centre import DAY, SECOND
from flexkit.collect.simulate.observe import SOURCES, Stream
from flexkit.collect.simulate.template import column, compact, form, number, optional, text
from flexkit.collect.simulate.write import write_evidence
from flexkit.tables.schema import ALERTS, COVERAGE, SIGNALS
from flexkit.terms import Cause, Source

if TYPE_CHECKING:
    from pathlib import Path

    from flexkit.collect.simulate import World


@pytest.fixture(scope="module")
def world() -> World:
    return build(interactions=1_500, days=42, seed=21)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small centre in files."""
    out = tmp_path_factory.mktemp("centre")
    simulate(out, interactions=1_500, days=42, seed=10)
    return out


def contents(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def everything(folder: Path) -> str:
    return "".join(contents(path) for path in sorted((folder / "evidence").iterdir()))


def test_an_empty_centre_leaves_nothing(tmp_path: Path) -> None:
    assert simulate(tmp_path / "out", interactions=10, days=7, seed=1, scenario="empty").files == []
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_command_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    simulate(tmp_path, interactions=1_500, days=42, seed=10)

    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 14
    for name in files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_every_record_is_json_with_the_fields_that_twilio_sends(folder: Path) -> None:
    evidence = folder / "evidence"
    deliveries = [json.loads(line) for line in contents(evidence / "webhooks.jsonl.gz").splitlines()]
    events = [json.loads(line) for line in contents(evidence / "taskrouter-stream.jsonl.gz").splitlines()]
    alerts = json.loads(contents(evidence / "alerts.json.gz"))
    log = [json.loads(line) for line in contents(evidence / "completion-log.jsonl.gz").splitlines()]

    assert {parse_qs(delivery["body"]).get("EventType", ["debugger"])[0] for delivery in deliveries} == {
        "onChannelStatusUpdated", "onParticipantJoined", "onParticipantLeft", "onConversationStateUpdated",
        "task.canceled", "task.completed", "debugger",
    }  # fmt: skip
    assert all(delivery["method"] == "POST" and delivery["received_at"].endswith("Z") for delivery in deliveries)
    assert {event["type"].removeprefix("com.twilio.taskrouter.") for event in events} == {
        "task.created", "task.wrapup", "task.completed", "task.canceled", "workflow.timeout"
    }  # fmt: skip
    attributes = json.loads(events[0]["data"]["payload"]["task_attributes"])
    assert re.fullmatch(r"KD[0-9a-f]{32}", attributes["flexInteractionSid"])
    assert alerts["meta"]["key"] == "alerts"
    assert {alert["error_code"] for alert in alerts["alerts"]} >= {"80906", "11200"}
    assert {line["operation"] for line in log} == {"close_channel", "close_participant"}
    assert {line["outcome"] for line in log} >= {"accepted", "skipped", "rejected"}


def test_every_alert_payload_can_be_read(folder: Path) -> None:
    lines = contents(folder / "evidence" / "webhooks.jsonl.gz").splitlines()
    bodies = [parse_qs(json.loads(line)["body"]) for line in lines if "/debugger" in line]
    payloads = [json.loads(body["Payload"][0]) for body in bodies]

    assert {payload["error_code"] for payload in payloads} >= {"80906", "20429"}
    assert {(payload["resource_sid"] or "none")[:2] for payload in payloads} >= {"KD", "UO", "KI"}


def test_people_are_invented_and_their_addresses_reserved(folder: Path) -> None:
    everything_written = everything(folder)

    phones = set(re.findall(r"(?:\+|%2B)1\d{10}", everything_written))
    assert len(phones) > 100
    assert all(re.fullmatch(r"(?:\+|%2B)1\d{3}55501\d\d", phone) for phone in phones)
    assert "customerName" in everything_written
    hosts = set(re.findall(r"https?://(?:[^/\"@]*@)?([\w.-]+)", everything_written.replace("%2F", "/")))
    assert all(host.endswith((".example.com", ".twilio.com")) for host in hosts), hosts


def test_the_evidence_does_not_tell_the_labels(folder: Path) -> None:
    everything_written = everything(folder)

    assert not [cause for cause in Cause if str(cause) in everything_written]


def test_labels_name_every_warned_trigger_once(folder: Path) -> None:
    labels = pl.read_csv(folder / "labels.csv", infer_schema_length=None)
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    duplicates = labels.filter(kind="duplicate")

    assert duplicates.height == truth["duplicates"]
    assert duplicates["warning_count"].cast(pl.Int64).sum() == truth["warnings"]
    assert duplicates["interaction_sid"].n_unique() == truth["warned_interactions"]
    alerts = duplicates["alert_sids"].str.split("|").explode()
    assert alerts.n_unique() == truth["warnings"]
    assert (duplicates["gap_seconds"].cast(pl.Float64) > 0).all()
    assert set(duplicates["cause"]) == {str(cause) for cause in list(Cause)[:4]}
    benign = labels.filter(kind="benign")
    assert not set(benign["interaction_sid"]) & set(duplicates["interaction_sid"])
    assert sum(day["completed"] for day in truth["days"]) == truth["completed"]


@pytest.mark.parametrize("source", [source for source in Source if source != Source.TWILIO_API])
def test_a_missing_source_leaves_no_record_and_no_coverage(world: World, source: Source) -> None:
    damage = Degradation(missing=frozenset({source}))
    evidence = gather(world, damage)
    observed = observed_frames(world, damage)

    for stream, frame in evidence.frames.items():
        assert frame.is_empty() == (SOURCES[stream] == source), stream
    assert source not in set(observed.signals["source"])
    assert source not in set(observed.coverage["source"])


def test_with_alerts_only_nothing_else_is_written(tmp_path: Path) -> None:
    evidence = gather(build(interactions=500, days=28, seed=2, name="alerts_only"))

    names = {path.name for path in write_evidence(evidence, tmp_path)}

    assert names == {"alerts.json.gz", "error-stream.json.gz", "webhooks.jsonl.gz"}


def frames_after(world: World, **damage: Any) -> tuple[dict[Stream, pl.DataFrame], dict[Stream, pl.DataFrame]]:
    """The frames before and after the damage."""
    return dict(gather(world, Degradation()).frames), dict(gather(world, Degradation(**damage)).frames)


def test_loss_takes_its_share_of_one_source(world: World) -> None:
    whole, left = frames_after(world, loss={Source.APP_LOG: 0.2})

    assert left[Stream.COMPLETION_LOG].height == pytest.approx(0.8 * whole[Stream.COMPLETION_LOG].height, rel=0.1)
    assert left[Stream.TASK_EVENTS].equals(whole[Stream.TASK_EVENTS])


def test_an_outage_cuts_a_span_out(world: World) -> None:
    gap = (world.start + (world.end - world.start) // 4, world.start + (world.end - world.start) // 2)
    whole, left = frames_after(world, outages={Source.TASKROUTER: ((0.25, 0.5),)})

    inside = pl.col("at_us").is_between(*gap, closed="left")
    assert whole[Stream.TASK_EVENTS].filter(inside).height > 100
    assert left[Stream.TASK_EVENTS].equals(whole[Stream.TASK_EVENTS].filter(~inside))
    covered = observed_frames(world, Degradation(outages={Source.TASKROUTER: ((0.25, 0.5),)})).coverage
    assert covered.filter(source="taskrouter").height == 2


def test_duplicates_are_the_same_records_again(world: World) -> None:
    whole, more = frames_after(world, duplicates=0.1)

    events = more[Stream.TASK_EVENTS]
    assert events.height == pytest.approx(1.1 * whole[Stream.TASK_EVENTS].height, rel=0.03)
    assert events["event_sid"].n_unique() == whole[Stream.TASK_EVENTS].height


def test_late_records_stand_later_in_the_file_but_say_the_same(world: World) -> None:
    whole, late = frames_after(world, late=0.3)

    log = late[Stream.COMPLETION_LOG]
    assert not log["at_us"].is_sorted()
    assert log["at_us"].sort().equals(whole[Stream.COMPLETION_LOG]["at_us"].sort())
    assert late[Stream.ALERTS]["lag_us"].max() > 3_600 * SECOND  # type: ignore[operator]


def test_skew_moves_the_centres_own_clocks_and_not_twilios(world: World) -> None:
    whole, skewed = frames_after(world, skew=5.0)

    def shift(stream: Stream) -> float:
        return float(np.ptp((skewed[stream]["at_us"] - whole[stream]["at_us"]).to_numpy())), float(
            abs((skewed[stream]["at_us"] - whole[stream]["at_us"]).to_numpy()).min()
        )  # type: ignore[return-value]

    for stream in (Stream.COMPLETION_LOG, Stream.INTERACTIONS):
        spread, least = shift(stream)
        assert spread <= 1_000
        assert least > 0.01 * SECOND
    assert skewed[Stream.TASK_EVENTS].equals(whole[Stream.TASK_EVENTS])


def test_drift_grows_from_day_to_day(world: World) -> None:
    whole, drifted = frames_after(world, drift=0.5)
    moved = drifted[Stream.COMPLETION_LOG]["at_us"] - whole[Stream.COMPLETION_LOG]["at_us"]

    assert moved[0] < 0.6 * SECOND
    assert moved[-1] > 19 * SECOND


def test_a_truncated_source_has_whole_seconds(world: World) -> None:
    observed = observed_frames(world, Degradation(truncated=frozenset({Source.APP_LOG})))
    log = observed.signals.filter(source="app_log")

    assert (log["occurred_us"] % SECOND == 0).all()
    assert set(log["precision_us"]) == {1_000_000}


def test_missing_fields_are_null(world: World) -> None:
    whole, left = frames_after(world, missing_key=0.5, missing_actor=1.0)

    known = whole[Stream.COMPLETION_LOG]["trigger_id"].count()
    assert left[Stream.COMPLETION_LOG]["trigger_id"].count() == pytest.approx(0.5 * known, rel=0.1)
    assert left[Stream.TASK_EVENTS]["actor_sid"].null_count() == left[Stream.TASK_EVENTS].height


def test_retention_cuts_every_source(world: World) -> None:
    _, left = frames_after(world, retention_days=10)

    oldest = min(int(frame["at_us"].min()) for frame in left.values() if frame.height)  # type: ignore[arg-type]
    assert oldest >= world.end - 10 * DAY


def test_rest_lists_give_the_newest_alerts_of_the_last_weeks_only(world: World) -> None:
    alerts = gather(world, Degradation(max_rows=50, rest_days=20)).frames[Stream.ALERTS]
    listed = alerts.filter("by_rest")

    assert listed.height == 50
    assert listed["at_us"].min() == alerts["at_us"].sort(descending=True)[49]


def test_direct_frames_have_the_tables_columns_and_unique_ids(world: World) -> None:
    observed = observed_frames(world)

    for frame, table in ((observed.signals, SIGNALS), (observed.alerts, ALERTS), (observed.coverage, COVERAGE)):
        assert frame.schema == pl.Schema(table.dtypes)
        assert frame[table.key[0]].is_unique().all()


def test_a_template_fills_nested_json_and_forms() -> None:
    inner = compact({"sid": column("sid"), "count": number("count"), "text": column("sid")})
    record = {"inner": inner, "form": form({"Payload": inner}), "maybe": optional("maybe"), "number": number("count")}
    rows = pl.DataFrame({"sid": ["KD1", "KD2"], "count": [7, None], "maybe": ["x", None]})

    first, second = (json.loads(line) for line in rows.select(text(record)).to_series())

    assert json.loads(first["inner"]) == {"sid": "KD1", "count": 7, "text": "KD1"}
    assert json.loads(parse_qs(first["form"])["Payload"][0]) == {"sid": "KD1", "count": 7, "text": "KD1"}
    assert (first["maybe"], first["number"]) == ("x", 7)
    assert (second["maybe"], second["number"]) == (None, None)
    assert json.loads(second["inner"])["count"] is None
