"""Exported files: what a spreadsheet or another tool gets."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.errors import FlexkitError, UsageError
from flexkit.tables.export import export, read_labels

if TYPE_CHECKING:
    from pathlib import Path

NOON = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
ROWS = pl.DataFrame(
    {
        "handler": ["=HYPERLINK(1)", "@close", "-1+1", "close-fn"],
        "alert_sids": [["NO1", "=2"], [], None, ["NO2"]],
        "second_at": [NOON, NOON, None, NOON],
        "gap_seconds": [-1.5, 2.0, None, 4.0],
    }
)


def test_text_that_a_spreadsheet_would_run_is_quoted_and_numbers_are_not(tmp_path: Path) -> None:
    export(ROWS.lazy(), tmp_path / "out.csv")

    lines = (tmp_path / "out.csv").read_text().splitlines()

    assert lines[1] == "'=HYPERLINK(1),NO1 =2,2026-10-01T12:00:00.000000Z,-1.5"
    assert lines[2].startswith('\'@close,"",')
    assert lines[3] == "'-1+1,,,"


@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_other_formats_keep_every_row_and_list(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"out.{ending}"

    assert export(ROWS.lazy(), file) == 4

    read = {"parquet": pl.read_parquet, "json": pl.read_json, "jsonl": pl.read_ndjson}[ending]
    assert read(file)["alert_sids"].to_list()[0] == ["NO1", "=2"]


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.parquet, \.csv, \.json"):
        export(ROWS.lazy(), tmp_path / "out.xlsx")


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")

    with pytest.raises(FlexkitError, match="Cannot write"):
        export(ROWS.lazy(), tmp_path / "taken" / "out.csv")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_labels_without_a_cause_column_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("interaction_sid,reason\nKD1,x\n")

    with pytest.raises(UsageError, match="has no column cause"):
        read_labels(tmp_path / "labels.csv")


def test_labels_of_every_format_read_alike(tmp_path: Path) -> None:
    labels = pl.DataFrame({"interaction_sid": ["KD1", "KD2"], "cause": ["none", "undetermined"]})
    labels.write_csv(tmp_path / "l.csv")
    labels.write_json(tmp_path / "l.json")
    labels.write_ndjson(tmp_path / "l.jsonl")
    labels.write_parquet(tmp_path / "l.parquet")

    assert all(read_labels(file).equals(labels) for file in tmp_path.iterdir())
