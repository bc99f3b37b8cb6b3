"""Files become evidence by what they hold; what is wrong in them is said with file, line and what to do."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.collect import files, reading
from flexkit.collect.files import import_files
from flexkit.errors import ExitCode
from flexkit.tables.schema import TABLES
from flexkit.tables.store import Store
from tests.tables import evidence
from tests.tables.evidence import sid

if TYPE_CHECKING:
    from flexkit.collect.imported import ImportSummary

TOKEN = "an auth token"  # noqa: S105 - for tests


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def take(store: Store, path: Path, content: str | bytes, **more: Any) -> ImportSummary:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return import_files(store, [path], **more)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


# What goes wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n \n\t\n", "only white space"),
        (b"\xef\xbb\xbf", "only white space"),
        (b"\x00\x01\x02\x03" * 100, "it is binary"),
        (b"PK\x03\x04rest", "ZIP archive: unpack it first"),
        (b"PAR1rest", "Parquet file"),
        (bz2.compress(b"{}"), "bzip2"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        (gzip.compress(b""), "it is empty"),
        (gzip.compress(b"\x00\x01"), "it is binary"),
        (gzip.compress(lines(*[evidence.alert(n) for n in range(99)]).encode())[:-20], "gzip file is truncated"),
        (b"\x1f\x8b\x08\x00garbage", "gzip file is"),
    ],
    ids=[
        "nothing", "white space", "byte order mark", "binary", "ZIP", "Parquet", "bzip2", "UTF-16", "nothing, packed",
        "binary, packed", "cut off", "no gzip",
    ],
)  # fmt: skip
def test_a_file_that_is_no_evidence_is_refused_whole(
    store: Store, tmp_path: Path, content: bytes, message: str
) -> None:
    summary = take(store, tmp_path / "file.json", content)

    assert summary.exit_code == ExitCode.FAILED
    assert list(summary.failures) == [str(tmp_path / "file.json")]
    assert message in summary.lines()[0]
    assert all(store.table(name).collect().is_empty() for name in TABLES)


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda _: None, "no such file"), (lambda path: path.mkdir(), "it is a folder: name the files in it")],
)
def test_a_path_without_a_file_is_refused(store: Store, tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "x")

    assert message in import_files(store, [tmp_path / "x"]).lines()[0]


def test_a_bad_file_does_not_keep_the_good_ones_out(store: Store, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    for path, content in zip(paths, (lines(evidence.alert(1)), "", lines(evidence.alert(2))), strict=True):
        path.write_text(content)

    summary = import_files(store, paths)

    assert summary.exit_code == ExitCode.FAILED
    assert store.table("alerts").collect()["alert_sid"].sort().to_list() == [sid("NO", 1), sid("NO", 2)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"received_at": "2026-10-01T10:0', "the line ends in the middle of a JSON value"),
        ('{"received_at": ', "the line ends in the middle of a JSON value"),
        ("{'single': 'quotes'}", "the line is not JSON"),
        ("hello world", "the line is not JSON"),
        ('{"sid": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"colour": "red"}', "not recognised"),
        ('"text"', "not recognised"),
        ("17", "not recognised"),
        (json.dumps(evidence.completion(at="2026-10-01T10:00:00")), "has no time zone: write it in UTC"),
        (json.dumps(evidence.completion(interaction_sid="KD12")), "malformed interaction_sid"),
        (json.dumps(evidence.completion(interaction_sid=None)), "no SID"),
        (json.dumps(evidence.completion(at="2999-01-01T00:00:00Z")), "more than a day in the future"),
    ],
)
def test_a_bad_line_is_named_and_its_neighbours_are_kept(store: Store, tmp_path: Path, bad: str, reason: str) -> None:
    good = [evidence.completion(trigger_id=f"job-{n}") for n in range(3)]
    content = f"{lines(good[0], good[1])}\n{bad}\n{lines(good[2])}"

    summary = take(store, tmp_path / "log.jsonl", content)

    assert summary.exit_code == ExitCode.FAILED
    assert store.table("signals").collect().height == 3
    told = [line for line in summary.lines() if "rejected at" in line]
    assert len(told) == 1
    assert reason in told[0]
    assert "log.jsonl:4" in told[0]
    assert store.table("rejects").collect()["source"].to_list() == ["log.jsonl:4"]
    assert summary.to_dict()["files"][0]["rejects"][0]["places"] == ["log.jsonl:4"]


def test_a_line_that_is_not_utf8_is_named(store: Store, tmp_path: Path) -> None:
    content = lines(evidence.alert()).encode() + b'{"sid": "\xff"}\n'

    summary = take(store, tmp_path / "a.jsonl", content)

    assert any("a.jsonl:2: the line is not UTF-8" in line for line in summary.lines())


def test_half_a_first_line_is_rejected_alone(store: Store, tmp_path: Path) -> None:
    summary = take(store, tmp_path / "a.jsonl", '{"sid": "NO\n' + lines(evidence.alert(1), evidence.alert(2)))

    assert store.table("alerts").collect().height == 2
    assert summary.rejected == 1


def test_an_array_that_was_cut_off_is_kept_as_far_as_it_goes(store: Store, tmp_path: Path) -> None:
    whole = json.dumps([evidence.alert(1), evidence.alert(2), evidence.alert(3)], indent=1)

    summary = take(store, tmp_path / "a.json", whole[: whole.index(sid("NO", 3)) + 9])

    assert store.table("alerts").collect().height == 2
    line = whole[: whole.index(sid("NO", 3))].count("\n")
    assert any(f"a.json:{line}" in told and "cut off" in told for told in summary.lines())


def test_an_array_without_its_end_says_so(store: Store, tmp_path: Path) -> None:
    summary = take(store, tmp_path / "a.json", "[\n" + json.dumps(evidence.alert(1)) + ",\n")

    assert store.table("alerts").collect().height == 1
    assert any("middle of an array" in told for told in summary.lines())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak of memory")
def test_two_hundred_megabytes_of_one_line_are_refused_in_bounded_memory(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("w") as file:
        file.write('{"a": "')
        for _ in range(200):
            file.write("x" * 1_000_000)
        file.write("\n" + lines(evidence.alert()))
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from flexkit.collect.files import import_files\n"
        "from flexkit.tables.store import Store\n"
        "summary = import_files(Store(sys.argv[1]), [sys.argv[2]])\n"
        "print('\\n'.join(summary.lines()))\n"
        # Not ru_maxrss: that one begins with the size of the process that started this one.
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(store.path), str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert int(told[-1]) < 600
    assert "long.jsonl:1: the line is longer than 16 MB: write one record per line" in "\n".join(told)
    assert store.table("alerts").collect().height == 1


@pytest.mark.parametrize("opening", ["x", "{", "["])
def test_an_endless_line_is_refused_whatever_it_begins_with(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: str
) -> None:
    for name, size in (("LONGEST", 2_000), ("_HEAD", 1_000), ("_CHUNK", 100)):
        monkeypatch.setattr(reading, name, size)

    summary = take(store, tmp_path / "long.jsonl", opening + "x" * 50_000 + "\n" + lines(evidence.alert()))

    assert summary.rejected == 1
    assert summary.exit_code == ExitCode.FAILED
    assert any("long.jsonl:1" in line and "write one record per line" in line for line in summary.lines())


@pytest.mark.parametrize("text", ["Jane Doe called\nfrom +15551234567\n", "<html><body>Sign in</body></html>"])
def test_text_that_is_neither_json_nor_a_table_is_refused_whole(store: Store, tmp_path: Path, text: str) -> None:
    summary = take(store, tmp_path / "notes.txt", text)

    assert "neither JSON lines, nor a JSON document, nor a CSV table" in summary.lines()[0]
    assert "Jane" not in str(summary.to_dict())


def test_a_file_of_many_lines_streams_in_batches(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BATCH", 7)

    summary = take(store, tmp_path / "a.jsonl", lines(*[evidence.alert(n) for n in range(30)], evidence.alert(3)))

    assert summary.files[0].records == 31
    assert summary.new_rows["alerts"] == 30


def test_unknown_events_and_values_are_kept_and_counted(store: Store, tmp_path: Path) -> None:
    summary = take(
        store,
        tmp_path / "a.jsonl",
        lines(
            evidence.delivery(evidence.channel_closed(EventType="onChannelMoved")),
            evidence.delivery(evidence.channel_closed(ChannelStatus="dormant")),
            evidence.task_event(event="task.teleported"),
        ),
    )

    assert summary.exit_code == ExitCode.OK
    assert summary.files[0].unknown == {"channel_dormant": 1, "onChannelMoved": 1, "task.teleported": 1}
    assert store.table("signals").collect().height == 3


def test_two_records_with_one_id_and_different_content_are_told(store: Store, tmp_path: Path) -> None:
    content = lines(evidence.alert(), evidence.alert(error_code="11200"))

    summary = take(store, tmp_path / "a.jsonl", content)
    again = take(store, tmp_path / "b.jsonl", lines(*map(json.loads, content.splitlines()[::-1])))

    assert summary.exit_code == ExitCode.FAILED
    assert any("a.jsonl:1 and a.jsonl:2: two copies with one id contradict" in line for line in summary.lines())
    assert again.new_rows["rejects"] == 0
    assert store.table("alerts").collect().height == 1


def test_a_name_that_could_harm_a_terminal_or_a_folder_is_harmless(store: Store, tmp_path: Path) -> None:
    name = "\x1b[2J..\u202egnp.jsonl"
    summary = take(store, tmp_path / name, "nonsense\n" + lines(evidence.alert()), keep_raw=tmp_path / "raw")

    told = "\n".join(summary.lines()) + json.dumps(summary.to_dict()) + str(store.table("rejects").collect().to_dicts())
    assert "\x1b" not in told
    assert "\u202e" not in told
    kept = list((tmp_path / "raw").iterdir())
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o077 == 0


def test_raw_files_are_kept_elsewhere_only_on_request_and_with_a_warning(store: Store, tmp_path: Path) -> None:
    plain = take(store, tmp_path / "a.jsonl", lines(evidence.alert()))
    kept = take(store, tmp_path / "a.jsonl", lines(evidence.alert()), keep_raw=tmp_path / "raw")

    assert plain.notes == []
    assert "personal data" in kept.lines()[-1]
    assert [path.read_text() for path in (tmp_path / "raw").iterdir()] == [lines(evidence.alert())]


def test_a_failure_of_the_store_is_not_taken_for_a_bad_file(tmp_path: Path) -> None:
    from flexkit.errors import StoreError

    (tmp_path / "a.jsonl").write_text(lines(evidence.alert()))
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc, a folder that nobody can write to")

    with pytest.raises(StoreError, match="Cannot write"):
        import_files(Store("/proc/flexkit"), [tmp_path / "a.jsonl"])


# Kinds of files ---------------------------------------------------------------------------------------


ALERTS = [evidence.alert(1), evidence.alert(2)]
SHAPES = {
    "lines": lines(*ALERTS),
    "lines without a last newline": lines(*ALERTS).rstrip(),
    "windows lines": lines(*ALERTS).replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + lines(*ALERTS),
    "array": json.dumps(ALERTS),
    "pretty array": json.dumps(ALERTS, indent=2),
    "array of one per line": "[\n" + ",\n".join(map(json.dumps, ALERTS)) + "\n]\n",
    "list response": json.dumps({"meta": {"key": "alerts", "page": 0}, "alerts": ALERTS}),
    "pretty list response": json.dumps({"alerts": ALERTS, "meta": {"key": "alerts"}}, indent=2),
    "lines of list responses": lines({"alerts": ALERTS[:1]}, {"alerts": ALERTS[1:]}),
    "lines of arrays": lines(ALERTS[:1], ALERTS[1:]),
    "pretty objects": "\n".join(json.dumps(value, indent=2) for value in ALERTS),
    "concatenated arrays": json.dumps(ALERTS[:1], indent=1) + json.dumps(ALERTS[1:], indent=1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_alerts_are_recognised_in_every_layout(store: Store, tmp_path: Path, shape: str) -> None:
    content = SHAPES[shape].encode()
    packed = gzip.compress(content)

    summary = take(store, tmp_path / "file", content)
    again = take(store, tmp_path / "file.gz", packed)

    assert summary.exit_code == ExitCode.OK, summary.lines()
    assert summary.files[0].kind == "rest"
    assert again.files[0].rows == summary.files[0].rows
    assert store.table("alerts").collect()["alert_sid"].sort().to_list() == [sid("NO", 1), sid("NO", 2)]


def test_a_gzip_file_of_several_members_is_read_to_its_end(store: Store, tmp_path: Path) -> None:
    members = b"".join(gzip.compress(lines(evidence.alert(n)).encode()) for n in range(3))

    assert take(store, tmp_path / "a.gz", members).new_rows["alerts"] == 3


def test_each_kind_of_file_is_recognised_by_its_content(store: Store, tmp_path: Path) -> None:
    events = [evidence.cloud_event(), evidence.error_log()]
    content = {
        "webhooks": lines(evidence.delivery(evidence.channel_closed()), evidence.callback(), evidence.debugger()),
        "event_streams": json.dumps(events),
        "rest": json.dumps({"meta": {"key": "events"}, "events": [evidence.task_event()]}),
        "completion_log": lines(evidence.completion()),
        "webhooks of a sink": lines(evidence.delivery(json.dumps(events))),
    }
    kinds = {
        name: take(store, tmp_path / f"{number}.txt", text).files[0].kind
        for number, (name, text) in enumerate(content.items())
    }

    assert kinds == {name: name.split(" ")[0] for name in content}
    assert store.table("task_events").collect().height == 1
    assert store.table("alerts").collect().height == 1


@pytest.mark.parametrize(
    ("key", "item", "table"),
    [
        (
            "events",
            {"sid": sid("AE"), "event_type": "flow.updated", "event_date": "2026-10-01T10:00:00Z"},
            "configuration",
        ),
        ("executions", {"sid": sid("FN"), "flow_sid": sid("FW"), "date_created": "2026-10-01T10:00:00Z"}, "executions"),
        ("steps", {"sid": sid("FT"), "execution_sid": sid("FN"), "date_created": "2026-10-01T10:00:00Z"}, "steps"),
        ("channels", {"sid": sid("UO"), "interaction_sid": sid("KD"), "status": "closed"}, "channels"),
        ("participants", {"sid": sid("UT"), "interaction_sid": sid("KD"), "type": "agent"}, "participants"),
        ("invites", {"sid": sid("KG"), "interaction_sid": sid("KD"), "routing": None}, "invites"),
        ("conversations", {"sid": sid("CH"), "state": "closed"}, "conversations"),
        (
            "data",
            {"ttid": "flex_interactionwebhook_01jke8z8vte4ette30t5w9h081", "webhook_url": "https://x"},
            "configuration",
        ),
    ],
)
def test_every_list_of_twilio_is_recognised(
    store: Store, tmp_path: Path, key: str, item: dict[str, Any], table: str
) -> None:
    summary = take(store, tmp_path / "a.json", json.dumps({"meta": {"key": key}, key: [item]}))

    assert summary.exit_code == ExitCode.OK, summary.lines()
    assert store.table(table).collect().height == 1


def test_a_large_array_in_one_line_streams(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_HEAD", 200)
    monkeypatch.setattr(reading, "_CHUNK", 64)

    summary = take(store, tmp_path / "a.json", json.dumps([evidence.alert(n) for n in range(40)]))

    assert summary.new_rows["alerts"] == 40


def test_a_value_longer_than_allowed_is_refused_with_its_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST", 2_000)
    monkeypatch.setattr(reading, "_CHUNK", 100)
    content = json.dumps([evidence.alert(1), evidence.alert(2, alert_text="x" * 9_000)], indent=1)

    summary = take(store, tmp_path / "a.json", content)

    assert summary.new_rows["alerts"] == 1
    assert any("no whole JSON value within" in line for line in summary.lines())


# CSV --------------------------------------------------------------------------------------------------

COLUMNS = {"date_generated": "When", "error_code": "Code", "sid": "Alert", "alert_text": "Text", "resource_sid": "Res"}


def table(*rows: str, header: str = "When,Code,Alert,Text,Res") -> str:
    return "\n".join([header, *rows]) + "\n"


def test_alerts_come_from_csv_with_a_map_and_a_zone(store: Store, tmp_path: Path) -> None:
    content = table(
        f'2026-10-01 12:00:05,80906,{sid("NO", 1)},"Received, again",{sid("KD")}',
        f"2026-10-01T10:00:05Z,80906,{sid('NO', 2)},x,",
    )

    summary = take(store, tmp_path / "a.csv", content, csv_columns=COLUMNS, tz="Europe/Berlin")
    rows = store.table("alerts").collect().sort("alert_sid")

    assert summary.files[0].kind == "alert_csv"
    assert rows["generated_at"].dt.to_string("%H:%M:%S").to_list() == ["10:00:05", "10:00:05"]
    assert rows["message"].to_list() == ["Received, again", "x"]
    assert rows["interaction_sid"].to_list() == [sid("KD"), None]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(store: Store, tmp_path: Path, delimiter: str) -> None:
    content = delimiter.join(["When", "Code"]) + "\n" + delimiter.join(["2026-10-01T10:00:05Z", "80906"]) + "\n"

    take(store, tmp_path / "a.csv", content, csv_columns={"date_generated": "When", "error_code": "Code"})

    assert store.table("alerts").collect()["alert_sid"].str.starts_with("no").to_list() == [True]


def test_a_table_with_twilios_own_names_needs_no_map(store: Store, tmp_path: Path) -> None:
    take(store, tmp_path / "a.csv", "sid,error_code,date_generated\n" + sid("NO") + ",80906,2026-10-01T10:00:05Z\n")

    assert store.table("alerts").collect().height == 1


@pytest.mark.parametrize(
    ("columns", "tz", "message"),
    [
        (None, None, "no column is mapped to date_generated and error_code. The table has: When, Code"),
        ({"date_generated": "When"}, None, "no column is mapped to error_code"),
        ({"date_generated": "Time", "error_code": "Code"}, None, "the table has no column 'Time'. It has: When"),
        ({"when": "When"}, None, "There is no alert field 'when'"),
        (COLUMNS, "Mars/Olympus", "There is no time zone 'Mars/Olympus'"),
    ],
)
def test_a_map_that_does_not_fit_is_a_matter_of_usage(
    store: Store, tmp_path: Path, columns: dict[str, str] | None, tz: str | None, message: str
) -> None:
    summary = take(store, tmp_path / "a.csv", table("x,y,z,a,b"), csv_columns=columns, tz=tz)

    assert summary.exit_code == ExitCode.USAGE
    assert message in summary.lines()[0]


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("2026-10-01 12:00:05", "has no time zone: say which with --tz"),
        ("10/11/2026 12:00", "is not a time that can be read"),
        ("", "date_generated is missing"),
    ],
)
def test_a_row_without_a_clear_time_is_rejected(store: Store, tmp_path: Path, when: str, reason: str) -> None:
    summary = take(store, tmp_path / "a.csv", table(f"{when},80906,{sid('NO')},x,"), csv_columns=COLUMNS)

    assert any(reason in line and "a.csv:2" in line for line in summary.lines())


@pytest.mark.parametrize(
    ("when", "reason"), [("2026-10-25 02:30:00", "occurred twice"), ("2026-03-29 02:30:00", "did not exist")]
)
def test_an_hour_that_the_clock_change_makes_unclear_is_rejected(
    store: Store, tmp_path: Path, when: str, reason: str
) -> None:
    content = table(f"{when},80906,{sid('NO')},x,")

    summary = take(store, tmp_path / "a.csv", content, csv_columns=COLUMNS, tz="Europe/Berlin")

    assert any(reason in line for line in summary.lines())


# Signatures -------------------------------------------------------------------------------------------


def signed(fields: dict[str, Any], token: str = TOKEN, **more: Any) -> dict[str, Any]:
    from twilio.request_validator import RequestValidator

    captured = evidence.delivery(fields, url="https://hooks.example.com/flex", **more)
    signature = RequestValidator(token).compute_signature(captured["url"], fields)
    return {**captured, "headers": {**captured["headers"], "x-twilio-signature": signature}}


def test_a_wrong_signature_is_rejected_and_a_right_or_absent_one_is_not(store: Store, tmp_path: Path) -> None:
    right = signed(evidence.channel_closed(1))
    absent = evidence.delivery(evidence.channel_closed(2))
    wrong = signed(evidence.channel_closed(3), token="another account's")  # noqa: S106
    changed = {**right, "body": right["body"].replace("closed", "active")}
    shared = {**wrong, "headers": {**wrong["headers"], "X-Twilio-Webhooks-Signature-Settings": "key=k"}}
    content = lines(right, absent, wrong, changed, shared)

    unchecked = take(Store(tmp_path / "other"), tmp_path / "a.jsonl", content)
    summary = take(store, tmp_path / "a.jsonl", content, auth_token=TOKEN)

    assert unchecked.rejected == 0
    assert summary.rejected == 2
    assert store.table("rejects").collect()["source"].sort().to_list() == ["a.jsonl:3", "a.jsonl:4"]
    assert "X-Twilio-Signature does not fit" in store.table("rejects").collect()["reason"][0]


def test_a_signed_batch_of_a_sink_is_checked_by_its_digest(store: Store, tmp_path: Path) -> None:
    from twilio.request_validator import RequestValidator

    body = json.dumps([evidence.cloud_event()])
    validator = RequestValidator(TOKEN)
    url = f"https://hooks.example.com/sink?bodySHA256={validator.compute_hash(body)}"
    headers = {"X-Twilio-Signature": validator.compute_signature(url, {})}
    right = evidence.delivery(body, url=url, headers=headers)

    summary = take(store, tmp_path / "a.jsonl", lines(right, {**right, "body": body + " "}), auth_token=TOKEN)

    assert summary.rejected == 1
    assert store.table("task_events").collect().height == 1


# Imports as a whole -----------------------------------------------------------------------------------


def test_importing_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    content = lines(evidence.delivery(evidence.channel_closed()), evidence.task_event(), evidence.interaction())
    channel = {"sid": sid("UO"), "interaction_sid": sid("KD"), "status": "closed"}

    take(store, tmp_path / "a.jsonl", content + lines(channel) + "half\n")
    version = store.version
    again = import_files(store, [tmp_path / "a.jsonl", tmp_path / "a.jsonl"])

    assert not any(again.new_rows.values())
    assert store.version == version


def test_an_import_says_what_it_covers(store: Store, tmp_path: Path) -> None:
    take(store, tmp_path / "a.jsonl", lines(evidence.completion(), evidence.completion(at="2026-10-03T00:00:00Z")))
    take(store, tmp_path / "b.jsonl", lines(evidence.task_event(), "half"))
    rows = {row["source"]: row for row in store.coverage().collect().to_dicts()}

    assert rows["app_log"]["state"] == "complete"
    assert rows["app_log"]["rows"] == 2
    assert rows["app_log"]["start"].isoformat() == "2026-10-01T09:59:59.900000+00:00"
    assert rows["app_log"]["end"].isoformat() == "2026-10-03T00:00:00.000001+00:00"
    assert (rows["taskrouter"]["state"], rows["taskrouter"]["reason"]) == ("partial", "1 records were rejected")


def test_a_summary_is_words_and_data(store: Store, tmp_path: Path) -> None:
    summary = take(store, tmp_path / "a.jsonl", lines(evidence.completion(), "half"))

    told = summary.lines()
    assert told[0].endswith("completion_log, 2 records: signals 1 (1 new); 1 rejected")
    assert told[1] == "  from 2026-10-01T09:59:59.900000Z to 2026-10-01T09:59:59.900000Z"
    assert told[-2] == "1 file: 1 signals new; 1 records rejected"
    assert "Correct it and import the file again" in told[-1]
    assert json.loads(json.dumps(summary.to_dict()))["exit_code"] == 1


POOL = [
    evidence.delivery(evidence.channel_closed()),
    evidence.callback(),
    evidence.cloud_event(),
    evidence.task_event(),
    evidence.alert(),
    evidence.error_log(),
    evidence.completion(),
    {"events": [evidence.task_event(2), evidence.task_event(3)]},
    [evidence.cloud_event(3), evidence.cloud_event(4)],
]


@settings(max_examples=4, deadline=None)
@given(
    first=st.lists(st.sampled_from(POOL), min_size=1, max_size=8),
    second=st.lists(st.sampled_from(POOL), min_size=1, max_size=8),
)
def test_overlapping_files_in_any_order_give_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    one, two = folder / "one.jsonl", folder / "two.jsonl"
    for path, values in ((one, first), (two, second)):
        path.write_text(lines(*values))
        os.utime(path, (1_790_850_000, 1_790_850_000))
    stores = []
    for number, order in enumerate(([one, two], [two, one, one])):
        stores.append(Store(folder / str(number)))
        import_files(stores[-1], order, pseudonym_key="k")

    for name, schema in TABLES.items():
        if name != "rejects":
            held = [other.table(name).collect().sort(schema.key) for other in stores]
            assert held[0].equals(held[1]), name


def test_batches_are_bounded_by_records_and_by_size() -> None:
    batches = list(files._batches(("alert", "x" * 20_000_000, "o", None) for _ in range(9)))

    assert [len(batch) for batch in batches] == [4, 4, 1]
