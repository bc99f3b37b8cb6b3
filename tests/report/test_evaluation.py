"""The page of an evaluation: self-contained, in words, and written whole."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from flexkit.analyse.causes import CAUSES
from flexkit.analyse.evaluate import Evaluation, evaluate
from flexkit.report.evaluation import evaluation_page, write_page


def told(*named: tuple[str, str, str]) -> Evaluation:
    """An evaluation of rows (number of the interaction, cause, status) against three labels."""
    rows = [{"interaction_sid": f"KD{number}", "cause": cause, "status": status} for number, cause, status in named]
    labels = {"interaction_sid": ["KD1", "KD2", "KD3"], "cause": ["duplicate_processing", "uncoordinated_terminal", ""]}
    return evaluate(pl.DataFrame(rows, schema=CAUSES), pl.DataFrame(labels))


def page(evaluation: Evaluation, *, labels: str = "labels.csv") -> str:
    return evaluation_page(evaluation, labels=labels, data_version="1:2", made="2026-10-05T12:00:00+00:00")


def test_the_page_says_how_far_each_status_holds() -> None:
    html = page(told(("1", "duplicate_processing", "confirmed"), ("2", "duplicate_processing", "supported")))

    assert "Confirmed is right in 100.0 % (1 of 1" in html
    assert "supported is right in 0.0 % (0 of 1" in html
    assert "Several automations on the end" in html


def test_where_nothing_was_named_it_says_so() -> None:
    assert "No cause was named" in page(told(("1", "undetermined", "not_assessable")))


def test_the_page_loads_nothing_and_escapes_what_others_wrote() -> None:
    html = page(told(("1", "duplicate_processing", "confirmed")), labels="<img src=x onerror=alert(1)>.csv")

    assert "<img" not in html
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert "default-src &#39;none&#39;" in html


def test_the_page_is_written_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    place = write_page(told(), tmp_path / "new" / "page.html", labels="labels.csv", data_version="1:2")

    assert Path(place).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
