"""The simulator's two roads to the tables agree: through files and the importer, and straight to frames."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flexkit.analyse import episodes
from flexkit.collect.files import import_files
from flexkit.collect.simulate import observed_frames, simulate
from flexkit.locate import evidence_files, sample_folder, sample_store
from flexkit.tables.store import Store

if TYPE_CHECKING:
    from flexkit.collect.imported import ImportSummary

# What the record itself says; ids and keys that are made of it follow.
SAID = [
    "occurred_at", "time_kind", "interaction_sid", "channel_sid", "task_sid", "conversation_sid", "channel_type",
    "source", "kind", "outcome", "actor_type", "handler", "trigger_id", "attempt", "event_name", "intent",
    "status_before", "http_status", "reason", "flow_sid", "widget", "worker_sid", "queue_sid", "workflow_sid",
    "source_ip_hash", "precision_us", "occurred_us", "ikey", "ending", "day",
]  # fmt: skip
ALERTED = [
    "alert_sid", "error_code", "log_level", "generated_at", "created_at", "resource_sid", "service_sid", "origin",
    "interaction_sid", "channel_sid", "task_sid", "conversation_sid", "message", "has_detail", "product",
]  # fmt: skip


def imported(folder: Path, into: Path) -> tuple[Store, ImportSummary]:
    store = Store(into)
    return store, import_files(store, evidence_files(folder), pseudonym_key="simulated")


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The same rows, in any order."""
    columns = expected.columns
    for one, other, what in ((found, expected, "only imported"), (expected, found, "only simulated")):
        surplus = one.join(other, on=columns, how="anti", nulls_equal=True)
        assert surplus.is_empty(), f"{what}: {surplus.head(3).to_dicts()}"
    assert found.height == expected.height


@pytest.mark.parametrize(("name", "seed"), [("clean", 1), ("noisy", 2), ("random", 5)])
def test_importing_the_files_yields_exactly_the_simulators_events(name: str, seed: int, tmp_path: Path) -> None:
    made = simulate(tmp_path / "centre", interactions=400, days=42, seed=seed, scenario=name)
    assert made.world is not None
    expected = observed_frames(made.world)

    store, summary = imported(tmp_path / "centre", tmp_path / "store")

    assert [file.failure for file in summary.files] == [None] * len(made.files)
    assert_same(store.table("signals").select(SAID).collect(), expected.signals.select(SAID))
    assert_same(store.table("alerts").select(ALERTED).collect(), expected.alerts.select(ALERTED))
    rejects = store.table("rejects").collect()
    assert rejects["reason"].str.contains("no time zone").all()
    assert (rejects.height > 0) == (name == "noisy")


@pytest.fixture(scope="module")
def sample() -> tuple[Store, dict[str, Any]]:
    """The committed sample as the commands import it, and its truth."""
    return Store(sample_store()), json.loads((sample_folder() / "truth.json").read_text())


def test_the_committed_sample_is_what_its_command_makes(tmp_path: Path) -> None:
    folder = sample_folder()
    command = "flexkit simulate --data DIR --interactions 7500 --days 84 --seed 10"
    assert command in (folder / "README.md").read_text(encoding="utf-8")

    simulate(tmp_path, interactions=7_500, days=84, seed=10)

    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - {Path("README.md")}
    for name in made:
        held, again = (folder / name).read_bytes(), (tmp_path / name).read_bytes()
        if name.suffix == ".gz":
            # Another build of zlib may pack the same bytes in another way.
            held, again = gzip.decompress(held), gzip.decompress(again)
        assert held == again, f"{name} differs: make the sample again with '{command}'"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8_000_000


def test_the_sample_holds_what_it_promises(sample: tuple[Store, dict[str, Any]]) -> None:
    store, truth = sample
    signals = store.table("signals").collect()

    assert store.table("rejects").collect().is_empty()
    assert signals["interaction_sid"].n_unique() - 1 == truth["interactions"]
    assert set(signals["channel_type"].drop_nulls()) == {"web", "sms", "whatsapp", "email", "voice"}
    assert (signals["occurred_at"].max() - signals["occurred_at"].min()).days >= 56  # type: ignore[operator]
    assert store.fixes()["fix_id"].to_list() == ["guard-status", "one-owner"]
    assert store.handlers().height == 10
    origins = store.table("alerts").filter(error_code="80906").collect()["origin"].value_counts()
    assert dict(origins.iter_rows())["proxy"] > 30
    webhooks = signals.filter(source="interactions_webhook").sort("occurred_at")["occurred_at"].diff().drop_nulls()
    assert webhooks.max().total_seconds() > 36 * 3600, "one source has a gap"  # type: ignore[union-attr]


def test_the_rates_of_the_sample_are_the_simulators_own_counts(sample: tuple[Store, dict[str, Any]]) -> None:
    store, truth = sample
    signals, alerts = store.table("signals"), store.table("alerts")

    completed = episodes.completions(signals).collect()
    duplicates = episodes.duplicates(signals, alerts).collect()

    assert completed.height == truth["completed"]
    assert duplicates["interaction_sid"].n_unique() == truth["warned_interactions"]
    zone = truth["zone"]
    by_day = completed.group_by(on=pl.col("first_closed_at").dt.convert_time_zone(zone).dt.date()).len()
    counted = dict(by_day.cast({"on": pl.String}).iter_rows())
    for day in truth["days"]:
        # An interaction that ends around midnight may fall on either side.
        assert abs(counted.get(day["on"], 0) - day["completed"]) <= 1, day


def test_the_sample_tells_of_two_fixes_that_each_leave_about_half() -> None:
    truth = json.loads((sample_folder() / "truth.json").read_text())

    assert [fix["id"] for fix in truth["fixes"]] == ["guard-status", "one-owner"]
    for fix in truth["fixes"]:
        assert 0.35 < fix["rate_ratio"] < 0.65
    first = truth["fixes"][0]
    assert 0.03 < first["warned_before"] / first["completed_before"] < 0.045
