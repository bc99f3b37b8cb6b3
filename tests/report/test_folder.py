"""Where reports go: whole or not at all, here or elsewhere, never two at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flexkit.errors import ReportError, UsageError
from flexkit.report import record as records
from flexkit.report.folder import Folder, LocalFolder, folder
from tests.report.test_record import record

if TYPE_CHECKING:
    from pathlib import Path

STAMP = "20261014T060000Z"


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "local":
        return folder(tmp_path / "reports")
    import fsspec

    fsspec.filesystem("memory").store.clear()
    return folder(f"memory://{tmp_path.name}/reports")


def publish(place: Folder, *, stamp: str = STAMP, **changes: Any) -> str:
    aside = place.aside("overview", stamp)
    (aside / "report.html").write_text("<p>page</p>")
    held = record(run=f"overview/{stamp}", started_at=f"2026-10-14T06:00:{stamp[13:15]}Z", **changes)
    (aside / "run.json").write_text(records.write(held))
    return place.publish(aside, "overview", stamp)


def test_a_published_run_is_listed(place: Folder) -> None:
    path = publish(place)

    assert path.endswith(f"overview/{STAMP}")
    assert [run["run"] for run in place.runs()] == [f"overview/{STAMP}"]
    assert [run["run"] for run in place.runs("overview")] == [f"overview/{STAMP}"]
    assert place.runs("root_causes") == []


def test_the_newest_run_comes_first(place: Folder) -> None:
    publish(place, stamp="20261014T060001Z")
    publish(place, stamp="20261014T060003Z")
    publish(place, stamp="20261014T060002Z")

    assert [run["run"][-4:] for run in place.runs()] == ["003Z", "002Z", "001Z"]


def test_a_removed_run_is_gone(place: Folder) -> None:
    publish(place)

    place.remove(f"overview/{STAMP}")

    assert place.runs() == []


def test_files_are_replaced_whole(place: Folder) -> None:
    place.write("overview/latest.html", "one")

    assert place.write("overview/latest.html", "two").endswith("latest.html")


def test_what_is_no_run_of_ours_is_neither_listed_nor_deleted(tmp_path: Path) -> None:
    place = LocalFolder(tmp_path)
    for name in ("overview/notes", "overview/..", "..", "overview/20261014T060000Z.part"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "overview" / "notes" / "run.json").write_text(records.write(record()))
    (tmp_path / "overview" / STAMP).mkdir()
    (tmp_path / "overview" / STAMP / "run.json").write_text("{half a rec")

    place.remove("overview/notes")
    place.remove("../..")

    assert place.runs() == []
    assert (tmp_path / "overview" / "notes").is_dir()


def test_a_run_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    place = LocalFolder(tmp_path)
    aside = place.aside("overview", STAMP)
    (aside / "run.json").write_text(records.write(record()))

    assert place.runs() == []


def test_what_a_crash_left_is_removed_by_the_next_run(tmp_path: Path) -> None:
    place = LocalFolder(tmp_path)
    crashed = place.aside("overview", STAMP)

    place.aside("overview", "20261014T070000Z")

    assert not crashed.exists()


def test_two_runs_of_one_report_do_not_collide(tmp_path: Path) -> None:
    first, second = LocalFolder(tmp_path), LocalFolder(tmp_path)

    refused = pytest.raises(ReportError, match="Another run is writing overview")

    with first.lock("overview", wait=0), refused, second.lock("overview", wait=0):
        pass
    with second.lock("overview", wait=0):
        pass


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")

    with pytest.raises(ReportError, match="Cannot write reports into"):
        LocalFolder(tmp_path / "reports").aside("overview", STAMP)


def test_an_unknown_kind_of_place_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Cannot write reports to nowhere://"):
        folder("nowhere://bucket/reports")


def test_without_the_extra_a_url_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)

    with pytest.raises(UsageError, match=r"pip install 'flexkit\[remote\]'"):
        folder("s3://bucket/reports")
