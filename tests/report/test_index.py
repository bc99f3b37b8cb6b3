"""The index: from records alone, with relative links, inert whatever they hold."""

from __future__ import annotations

import re
from typing import Any

from flexkit.report import record as records
from flexkit.report.index import index
from tests.report.test_html import HOSTILE_WORDS, Page
from tests.report.test_record import record

UPDATED = "2026-10-14T07:00:00+00:00"


def run(number: int, *, report: str = "overview", share: float = 0.02, **changes: Any) -> records.Record:
    stamp = f"20261014T0600{number:02d}Z"
    return record(
        report=report, run=f"{report}/{stamp}", title=report.title(), started_at=f"2026-10-14T06:00:{number:02d}Z",
        metrics={"dup_share": share, "completed_interactions": 100}, **changes,
    )  # fmt: skip


def test_no_run_is_said() -> None:
    assert "No report has been made here yet." in index([], updated=UPDATED)


def test_every_run_is_listed_newest_first_with_its_change() -> None:
    newest = records.compared(run(2, share=0.03), run(1))

    page = index([newest, run(1)], updated=UPDATED)

    rows = re.findall(r"<tr><td>.*?</tr>", page, re.DOTALL)
    assert ["060002Z" in rows[0], "060001Z" in rows[1]] == [True, True]
    assert "+1.00 points" in rows[0]


def test_each_report_has_one_card_and_the_overview_comes_first() -> None:
    page = index([run(3, report="root_causes"), run(2), run(1)], updated=UPDATED)

    assert page.index("<h2>Overview</h2>") < page.index("<h2>Root_Causes</h2>")
    assert page.count("<h2>Overview</h2>") == 1


def test_two_runs_make_a_line_and_one_does_not() -> None:
    assert 'class="spark"' in index([run(2), run(1)], updated=UPDATED)
    assert 'class="spark"' not in index([run(1)], updated=UPDATED)


def test_links_work_from_a_file_share() -> None:
    links = [a["href"] or "" for a in Page(index([run(1)], updated=UPDATED)).of("a")]

    assert links.count("overview/20261014T060001Z/report.html") == 2
    assert not [link for link in links if link.startswith(("/", "http", "file"))]


def test_hostile_records_are_inert() -> None:
    hostile = run(1, headline=HOSTILE_WORDS, tiles=[{"label": HOSTILE_WORDS, "text": HOSTILE_WORDS, "note": ""}])
    hostile["title"] = HOSTILE_WORDS

    found = Page(index([hostile], updated=UPDATED))

    assert not found.of("script")
    assert not found.of("img")
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]


def test_a_failed_run_shows_where_it_failed() -> None:
    failed = records.failed(run(1), cell="load", reason="ValueError: x")

    assert "Failed in cell load: ValueError: x" in index([failed], updated=UPDATED)
