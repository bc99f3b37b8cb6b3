"""The data folder: what is stored twice is held once, and nothing that goes wrong harms what was there."""

from __future__ import annotations

import datetime as dt
import json
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.errors import StoreError, UsageError
from flexkit.tables import store_delta
from flexkit.tables.keys import ENDING_KINDS, ending, signal_keys
from flexkit.tables.normalize import RecordKind, normalize
from flexkit.tables.schema import TABLES
from flexkit.tables.store import FORMAT, Store
from flexkit.tables.store_layout import in_order, layout
from flexkit.tables.table import Table
from flexkit.window import Window
from tests.tables import evidence
from tests.tables.evidence import NOW, REDACTOR, records, sid, tables
from tests.tables.writer import BEGIN, batch

K = RecordKind


def held(store: Store, name: str) -> pl.DataFrame:
    return store.table(name).collect().sort(TABLES[name].key)


# What goes wrong --------------------------------------------------------------------------------------


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="is not a folder"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match="is not a folder"):
        Store(tmp_path / "file" / "deeper" / "store")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, a folder that nobody can write to")
def test_an_unwritable_folder_is_refused_with_advice() -> None:
    with pytest.raises(StoreError, match=r"Cannot write /proc/flexkit: .*Name another|name another"):
        Store("/proc/flexkit").add(tables((K.ALERT, evidence.alert())))


@pytest.mark.parametrize("name", ["a=b/store", "[old]", "50%25", "a^b", "a|b", "a\nb"])
def test_a_folder_that_tables_cannot_be_kept_in_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="Name a folder without it"):
        Store(tmp_path / name)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ('{"format": 99}', "was written in format 99, this flexkit reads format 3"),
        ("not json", "is damaged"),
        ("{}", "is damaged"),
        ("[]", "is damaged"),
    ],
)
def test_a_store_of_another_format_is_refused(tmp_path: Path, meta: str, message: str) -> None:
    (tmp_path / "meta.json").write_text(meta)

    with pytest.raises(StoreError, match=message):
        Store(tmp_path)


def test_tables_without_a_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()

    with pytest.raises(StoreError, match=r"has tables but no meta\.json"):
        Store(tmp_path)


def test_an_unknown_table_is_refused_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no table 'signal'\. The store has: alerts,"):
        Store(tmp_path).table("signal")


def test_rows_for_an_unknown_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no table 'signal' to add to"):
        Store(tmp_path).add({"signal": batch(0)})


def test_a_damaged_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    Store(tmp_path).add(tables((K.ALERT, evidence.alert())))
    for log in (tmp_path / "tables" / "alerts" / "_delta_log").glob("*.json"):
        log.write_text("garbage")

    with pytest.raises(StoreError, match="alerts"):
        Store(tmp_path).table("alerts").collect()


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add({"signals": batch(0)})
    before = (store.version, held(store, "signals"))

    # A limit on the size of files stands for a full disk: writing fails in the middle of a file.
    script = (
        "import resource, signal, sys\n"
        "from flexkit.errors import StoreError\n"
        "from flexkit.tables.store import Store\n"
        "from tests.tables.writer import batch\n"
        "rows = batch(9, rows=20_000)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: Store(sys.argv[1]).add({'signals': rows})\n"
        "except StoreError as error: print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

    assert "What the store held is unchanged" in told.stdout
    after = Store(tmp_path)
    assert after.version == before[0]
    assert held(after, "signals").equals(before[1])
    folder = tmp_path / "tables" / "signals"
    assert sorted(map(str, folder.rglob("*.parquet"))) == sorted(after.files("signals")), "no half-written file stays"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(30, "Read-only file system"), "no permission"),
        (PermissionError(13, "Permission denied"), "no permission"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_failures_of_the_file_system_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, advice: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(store_delta, "append_files", broken)

    with pytest.raises(StoreError, match=advice):
        Store(tmp_path).add(tables((K.ALERT, evidence.alert())))
    assert Store(tmp_path).table("alerts").collect().is_empty()


def test_a_writer_that_always_loses_the_race_gives_up_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise store_delta.CommitFailedError

    monkeypatch.setattr(store_delta, "append_files", lost)
    monkeypatch.setattr(store_delta.time, "sleep", lambda _: None)

    with pytest.raises(StoreError, match="Other processes kept writing"):
        Store(tmp_path).add(tables((K.ALERT, evidence.alert())))


def test_an_earlier_version_cannot_be_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(tables((K.ALERT, evidence.alert())))

    with pytest.raises(StoreError, match="can only be read"):
        store.at(store.version).add(tables((K.ALERT, evidence.alert(2))))


@pytest.mark.parametrize("version", ["n", "7", "1:1", "2:x", "2:1.2.3.4.5.6.7.8.9.1.2.3.4.5", "2:99"])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    store = Store(tmp_path)
    store.add(tables((K.ALERT, evidence.alert())))

    with pytest.raises(UsageError, match="version"):
        store.at(version)


# Storing ----------------------------------------------------------------------------------------------


def test_an_empty_folder_is_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")

    for name, table in TABLES.items():
        assert store.table(name).collect().equals(table.empty())
    assert store.newest() is None
    assert store.fixes().is_empty()
    assert not (tmp_path / "none").exists()


def test_adding_again_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = tables((K.TASK_EVENT, evidence.task_event()), (K.INTERACTION, evidence.interaction()), (K.ALERT, "half"))

    first = store.add(made)
    version = store.version
    second = store.add(made)

    assert {name: added.new_rows for name, added in first.items()} == {
        "task_events": 1,
        "signals": 2,
        "interactions": 1,
        "rejects": 1,
    }
    assert all(added.new_rows == added.changed_rows == 0 for added in second.values())
    assert store.version == version


def test_what_is_stored_is_what_was_given(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = tables((K.TASK_EVENT, evidence.task_event()), (K.INTERACTION, evidence.interaction()))
    store.add(made)

    for name, rows in made.items():
        assert held(store, name).equals(rows.sort(TABLES[name].key)), name


COPIES = [
    (K.TASK_EVENT, evidence.task_event()),
    (K.CLOUD_EVENT, evidence.cloud_event()),
    (K.WEBHOOK, evidence.callback()),
    (K.ALERT, evidence.alert()),
    (K.CLOUD_EVENT, evidence.error_log()),
    (K.WEBHOOK, evidence.debugger()),
    (K.WEBHOOK, evidence.delivery(evidence.conversation_closed())),
    (K.WEBHOOK, evidence.delivery(evidence.channel_closed())),
    (K.WEBHOOK, evidence.delivery(evidence.channel_closed(EventType="onParticipantLeft", ParticipantSid=sid("UT")))),
    (K.PARTICIPANT, {"sid": sid("UT"), "type": "agent", "interaction_sid": sid("KD"), "channel_sid": sid("UO")}),
    (K.INTERACTION, evidence.interaction()),
    (K.INTERACTION, evidence.interaction(routing=None)),
    (K.TOMBSTONE, {"resource": "interaction", "sid": sid("KD"), "status": 404}),
    (K.COMPLETION, evidence.completion()),
    (K.COMPLETION, evidence.completion(at="2026-10-01T10:00:00")),
    # Contradictions: one id, different content.
    (K.TASK_EVENT, evidence.task_event(event_type="task.canceled", event_date_ms=1_790_850_000_000)),
    (K.ALERT, evidence.alert(error_code="11200")),
]


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("at-once"))
    store.add(tables(*COPIES))
    return store


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(order=st.permutations(COPIES), cut=st.integers(1, len(COPIES) - 1))
def test_any_order_and_any_batches_give_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, at_once: Store, order: list[tuple[RecordKind, Any]], cut: int
) -> None:
    in_parts = Store(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        # Small tables are written anew, large ones merged: one store goes each way.
        patch.setattr(store_delta, "_REWRITTEN_AT_ONCE", -1)
        for part in (order[:cut], order[cut:], order[: cut // 2 + 1]):
            in_parts.add(tables(*part))

    for name in TABLES:
        one, other = (held(store, name) for store in (at_once, in_parts))
        if name == "rejects":
            one, other = (rows.drop("source", "seen_at", "record") for rows in (one, other))
        assert one.equals(other), name


def test_copies_that_contradict_each_other_are_reported_with_their_places(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number, code in enumerate(("80906", "11200")):
        made = normalize(
            records((K.ALERT, evidence.alert(error_code=code))).with_columns(origin=pl.lit(f"file{number}:1")),
            redactor=REDACTOR,
            now=NOW,
            with_where=True,
        )
        added = store.add(made)

    rejects = held(store, "rejects")
    assert added["rejects"].new_rows == 1
    assert rejects["reason"].str.contains("contradict").all()
    assert rejects["source"].to_list() == ["file1:1"]
    assert sid("NO") in rejects["record"].item()


@pytest.mark.parametrize("rewritten_at_once", [-1, 1_000])
def test_an_event_near_midnight_is_found_on_either_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewritten_at_once: int
) -> None:
    monkeypatch.setattr(store_delta, "_REWRITTEN_AT_ONCE", rewritten_at_once)
    store = Store(tmp_path)
    rounded_up = evidence.task_event(event_date_ms=None, event_date="2026-10-02T00:00:00Z")
    exact = evidence.task_event(event_date_ms=1_790_899_199_600, event_date=None)

    for record in (rounded_up, exact, rounded_up):
        store.add(tables((K.TASK_EVENT, record)))

    assert held(store, "task_events")["occurred_at"].dt.to_string("%Y-%m-%d %H:%M:%S.%3f").to_list() == [
        "2026-10-01 23:59:59.600"
    ]
    assert held(store, "signals")["day"].to_list() == [dt.date(2026, 10, 1)]


def test_rows_lie_in_the_order_of_the_heavy_pass(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mixed = batch(0, days=1).with_columns(
        kind=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("task_created")).otherwise("kind")
    )
    store.add({"signals": mixed.with_columns(signal_keys()).sample(fraction=1, shuffle=True, seed=1)})

    rows = store.table("signals").collect()
    assert 0 < rows["ending"].null_count() < rows.height
    assert rows.equals(rows.sort(pl.col("ending").is_null(), "ikey", "occurred_at"))


def test_two_writers_store_everything_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tables.writer", str(tmp_path), "6"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]

    expected = pl.concat([batch(number) for number in range(6)]).unique("signal_id").sort("signal_id")
    assert held(Store(tmp_path), "signals").equals(expected)


def test_a_killed_writer_leaves_a_whole_store_that_a_second_run_completes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tables.writer", str(tmp_path), "8"]
    pause = random.Random(5)
    for _ in range(3):
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause.uniform(0.05, 0.6))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        ids = Store(tmp_path).table("signals").collect()["signal_id"]
        assert ids.n_unique() == len(ids)

    subprocess.run(command, check=True, capture_output=True)

    expected = pl.concat([batch(number) for number in range(8)]).unique("signal_id").sort("signal_id")
    assert held(Store(tmp_path), "signals").equals(expected)


# Reading ----------------------------------------------------------------------------------------------


def test_a_window_is_half_open_and_reads_only_its_days(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(6):
        store.add({"signals": batch(number)})
    rows = held(store, "signals")
    window = Window(BEGIN + dt.timedelta(minutes=7), BEGIN + dt.timedelta(days=1))

    lazy = store.table("signals", window)

    inside = rows.filter(pl.col("occurred_at").is_between(window.start, window.end, closed="left"))
    assert lazy.collect().sort("signal_id").equals(inside)
    for partition in (tmp_path / "tables" / "signals").glob("day=*"):
        if partition.name != "day=2026-10-01":
            for file in partition.iterdir():
                file.unlink()
    assert lazy.collect().height == inside.height


def test_rows_without_a_time_are_in_every_window_and_coverage_in_those_it_overlaps(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(tables((K.TOMBSTONE, {"resource": "interaction", "sid": sid("KD"), "status": 404})))
    day = dt.timedelta(days=1)
    row = {"coverage_id": "CV1", "source": "debugger", "start": BEGIN, "end": BEGIN + 3 * day}
    store.add({"coverage": pl.DataFrame([row])})

    assert store.table("interactions", Window(BEGIN, BEGIN + day)).collect().height == 1
    assert store.table("coverage", Window(BEGIN + day, BEGIN + 9 * day)).collect().height == 1
    assert store.table("coverage", Window(BEGIN + 3 * day, BEGIN + 9 * day)).collect().is_empty()
    assert store.coverage().collect()["source"].to_list() == ["debugger"]


def test_a_version_shows_the_rows_of_its_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    empty = store.version
    store.add(tables((K.ALERT, evidence.alert())))
    earlier = store.version
    store.add(tables((K.ALERT, evidence.alert(2)), (K.COMPLETION, evidence.completion())))

    assert store.at(earlier).table("alerts").collect().height == 1
    assert store.at(empty).table("alerts").collect().is_empty()
    assert store.at(earlier).version == earlier != store.version
    assert store.at(earlier).table("signals").collect().height == 1


def test_a_version_whose_files_are_gone_is_an_error_with_advice(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(tables((K.ALERT, evidence.alert())))
    version = store.version
    for file in (tmp_path / "tables" / "alerts").glob("*.parquet"):
        file.unlink()

    with pytest.raises(StoreError, match="kept for thirty days"):
        store.at(version)


def test_the_newest_event_follows_what_is_added(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(tables((K.COMPLETION, evidence.completion())))
    first = store.newest()

    store.add(tables((K.COMPLETION, evidence.completion(at="2026-10-02T08:00:00Z", trigger_id="job-2"))))

    assert first == dt.datetime(2026, 10, 1, 9, 59, 59, 900_000, tzinfo=dt.UTC)
    assert store.newest() == dt.datetime(2026, 10, 2, 8, tzinfo=dt.UTC)


def test_the_default_window_ends_with_the_newest_event(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(tables((K.ALERT, evidence.alert()), (K.COMPLETION, evidence.completion())))

    newest = dt.datetime(2026, 10, 1, 10, 0, 5, tzinfo=dt.UTC)
    assert store.newest() == newest
    assert store.oldest() == dt.datetime(2026, 10, 1, 9, 59, 59, 900_000, tzinfo=dt.UTC)
    assert newest in store.window("1h")
    assert store.window("1h").seconds == 3600
    assert store.window().days == 28
    assert store.window("2026-09-01", "2026-09-03T00:00:00Z").days == 2


def test_results_are_tables_like_others(tmp_path: Path) -> None:
    class Count:
        time = "at"
        reads = ("handlers", "fixes")
        is_kept = True

        def compute(self, store: Store, window: Window | None) -> pl.LazyFrame:
            assert window is None
            return store.table("alerts").select(pl.col("generated_at").alias("at"))

    store = Store(tmp_path, results={"count": Count()})
    store.add(tables((K.ALERT, evidence.alert())))

    assert store.table("count").collect().height == 1
    assert store.table("count", Window(BEGIN - dt.timedelta(days=9), BEGIN)).collect().is_empty()
    assert store.at(store.version).table("count").collect().height == 1


def test_a_store_that_cannot_be_written_can_be_read_and_reading_leaves_no_trace(tmp_path: Path) -> None:
    Store(tmp_path).add(tables((K.ALERT, evidence.alert()), (K.TASK_EVENT, evidence.task_event())))
    tree = [tmp_path, *tmp_path.rglob("*")]
    # Permissions do not stop root, so the tree is also compared.
    for path in tree:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in tree}
    try:
        store = Store(tmp_path)
        read = [store.table(name).collect().height for name in ("alerts", "task_events")]
        assert store.at(store.version).newest() == store.newest()
        assert store.handlers().is_empty()
        after = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}
    finally:
        for path in tree:
            path.chmod(0o755)

    assert read == [1, 1]
    assert after == before


# Upkeep and keys --------------------------------------------------------------------------------------


def test_a_column_that_was_added_since_is_null_in_older_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TABLES["alerts"]
    older = Table(whole.name, whole.row, whole.key, whole.columns[:-2], time=whole.time, mutable=True)
    with monkeypatch.context() as patch:
        patch.setitem(TABLES, "alerts", older)
        Store(tmp_path).add({"alerts": tables((K.ALERT, evidence.alert(1)))["alerts"]})
        Store(tmp_path).add({"alerts": tables((K.ALERT, evidence.alert(2)))["alerts"]})
    store = Store(tmp_path)

    assert store.table("alerts").collect()["product"].to_list() == [None, None]
    added = store.add(tables((K.CLOUD_EVENT, evidence.error_log(1)), (K.CLOUD_EVENT, evidence.error_log(3))))

    assert (added["alerts"].new_rows, added["alerts"].changed_rows) == (1, 1)
    assert held(store, "alerts")["product"].to_list() == ["Flex", None, "Flex"]


@pytest.mark.parametrize("name", ["My Drive", "Müller & Söhne (50 %)", "#1 'old'?*+{}"])
def test_a_folder_may_have_an_odd_name(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / name)
    for number in range(11):
        store.add({"signals": batch(number, days=1)})
    version = store.version

    assert store.add({"signals": batch(10, days=1)})["signals"].new_rows == 0
    assert held(store.at(version), "signals").height == 1_200
    assert store.compact() == 1
    assert held(store, "signals").equals(held(store.at(version), "signals"))
    assert sum(rows.collect().height for rows in store.days("signals").values()) == 1_200
    assert all(Path(file).is_file() for file in store.files("signals"))


def test_compaction_keeps_every_row_and_earlier_versions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(12):
        store.add({"signals": batch(number, days=1)})
    before, version = held(store, "signals"), store.version

    assert store.compact() == 1

    assert held(store, "signals").equals(before)
    assert held(store.at(version), "signals").equals(before)
    assert store.compact() == 0
    rows = store.table("signals").collect()
    assert rows.equals(rows.sort("day", pl.col("ending").is_null(), "ikey", "occurred_at"))
    assert store.add({"signals": batch(3, days=1)})["signals"].new_rows == 0


def test_the_pseudonym_key_is_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = store.redactor(), Store(tmp_path).redactor()
    key = tmp_path / "pseudonym.key"

    assert first.pseudonym("x") == second.pseudonym("x")
    assert store.redactor("chosen").pseudonym("x") != first.pseudonym("x")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text() not in "".join(path.read_text(errors="ignore") for path in tmp_path.rglob("*.json"))


def test_the_key_of_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXKIT_PSEUDONYM_KEY", "from outside")

    assert Store(tmp_path).redactor().pseudonym("x") == Store(tmp_path / "b").redactor("from outside").pseudonym("x")
    assert not (tmp_path / "pseudonym.key").exists()


def test_the_folder_carries_its_format(tmp_path: Path) -> None:
    Store(tmp_path).add(tables((K.ALERT, evidence.alert())))

    assert json.loads((tmp_path / "meta.json").read_text())["format"] == 3


def test_numbers_in_stores_keep_their_meaning_within_a_format() -> None:
    # Signals hold places in this list: whoever changes it makes another format, and changes this test.
    ends = ("channel_closed", "conversation_closed", "close_channel_requested", "close_conversation_requested")
    tasks = ("task_completed", "task_canceled", "task_deleted", "task.system-deleted", "complete_requested")
    others = ("channel_inactive", "close_participant_requested", "warning")

    assert FORMAT == 3
    assert (*ends, *tasks, *others) == ENDING_KINDS


def test_what_the_heavy_pass_reads_fills_whole_row_groups() -> None:
    kinds = ["task_created", "channel_closed", "close_channel_requested", "warning"] * 20_000
    day = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    rows = pl.DataFrame({"kind": kinds, "occurred_at": [day] * len(kinds), "ikey": range(len(kinds))})
    in_vain = pl.when(pl.col("kind") == "close_channel_requested").then(pl.lit("rejected"))
    rows = rows.with_columns(day=pl.col("occurred_at").dt.date(), ekey="ikey", outcome=in_vain).with_columns(ending())

    ordered = in_order(TABLES["signals"], rows)
    size = layout(TABLES["signals"], ordered).max_row_group_size

    assert size == 40_000
    assert set(ordered["kind"][:size]) == {"channel_closed", "warning"}
