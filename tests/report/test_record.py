"""run.json: what a run decided, and what changed."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from flexkit.report import record as records

AT = dt.datetime(2026, 10, 14, 6, tzinfo=dt.UTC)


def record(**changes: Any) -> records.Record:
    base = records.started("overview", "Overview", "20261014T060000Z", AT, {"since": ""})
    said = {
        "verdict": "ok", "headline": "2 of 100.", "action": "",
        "metrics": {"dup_share": 0.02, "completed_interactions": 100},
        "tiles": [{"label": "Share", "text": "2 %", "note": ""}], "window": None, "data_version": "1:3", "coverage": [],
        "quality": "", "newest": "", "seconds": 1.0,
    }  # fmt: skip
    return {**base, **said, **changes}


def test_the_contract_s_fields_are_there() -> None:
    fields = {"schema", "report", "verdict", "headline", "metrics", "window", "parameters", "data_version", "coverage",
              "versions", "started_at", "seconds", "previous"}  # fmt: skip

    assert fields <= set(records.compared(record(), None))


def test_a_written_record_is_read_again() -> None:
    assert records.read(records.write(record())) == record()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/1"}', json.dumps({"schema": records.SCHEMA})])
def test_what_is_no_record_is_not_shown(text: str) -> None:
    assert records.read(text) is None


def test_an_unknown_verdict_is_not_shown() -> None:
    assert records.read(json.dumps(record(verdict="splendid"))) is None


def test_changes_are_of_numbers_that_both_runs_have() -> None:
    before = record(metrics={"dup_share": 0.05, "gone": 1, "completed_interactions": None})

    previous = records.compared(record(), before)["previous"]

    assert previous["run"] == "overview/20261014T060000Z"
    assert previous["changes"] == {"dup_share": pytest.approx(-0.03)}
    assert records.change_of(records.compared(record(), before)) == "−3.00 points"
    assert records.change_of(records.compared(record(), record())) == "no change"
    assert records.change_of(records.compared(record(), None)) == ""


def test_what_changed_is_told_in_words() -> None:
    before = record(verdict="breach", tiles=[{"label": "Share", "text": "5 %", "note": ""}])

    said = records.changes(record(), before)

    assert said is not None
    assert said["sentence"] == (
        "Since the run of 14 October 2026, 06:00 UTC the verdict went from “Threshold breached” to “OK”, and these "
        "numbers moved:"
    )
    assert said["changes"] == [{"label": "Share", "before": "5 %", "now": "2 %"}]
    assert records.changes(record(), None) is None
    assert records.changes(record(), record())["sentence"].endswith("nothing has changed.")  # type: ignore[index]


def test_a_failed_run_names_cell_and_reason_only() -> None:
    failed = records.failed(records.started("overview", "Overview", "x", AT, {}), cell="load", reason="ValueError: x")

    assert failed["verdict"] == "failed"
    assert failed["error"] == {"notebook": "overview", "cell": "load", "reason": "ValueError: x"}
    assert failed["metrics"] == {}


class Cell(dict[str, Any]):
    """A cell as an executed notebook holds it."""


class Executed:
    def __init__(self, *outputs: dict[str, Any]) -> None:
        self.cells = [Cell(outputs=[{"data": {records.RUN_MIME: fields}} for fields in outputs])]


def test_a_notebook_without_an_answer_is_undecided() -> None:
    assert records.said_by(Executed())["verdict"] == "undecided"
    assert records.said_by(Executed({"verdict": "splendid"}))["verdict"] == "undecided"


def test_what_cells_say_adds_up_and_foreign_fields_are_ignored() -> None:
    said = records.said_by(Executed({"verdict": "ok", "headline": "x", "run": "../../evil"}, {"data_version": "1:2"}))

    assert (said["verdict"], said["data_version"]) == ("ok", "1:2")
    assert "run" not in said
