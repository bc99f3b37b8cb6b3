"""Notebooks by name, and parameters checked before a kernel starts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from flexkit.errors import UsageError
from flexkit.report import notebook as notebooks
from tests.report.notebooks import notebook

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 10, 14, tzinfo=dt.UTC)


@pytest.fixture
def book(tmp_path: Path) -> notebooks.Notebook:
    return notebooks.read(notebook(tmp_path, "small"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tries": "three"}, "takes a whole number, not 'three'"),
        ({"tries": "3.5"}, "takes a whole number"),
        ({"fail_above": "nan"}, "takes a number"),
        ({"fail_above": "2"}, "share from 0 to 1"),
        ({"is_loud": "perhaps"}, "takes true or false"),
        ({"since": "yesterday"}, "is not a time"),
        ({"since": "2026-10-14T09:00"}, "has no time zone"),
        ({"time_zone": "Mars/Olympus"}, "takes a name such as Europe/Berlin"),
        ({"time_zone": "../../etc/passwd"}, "takes a name such as Europe/Berlin"),
        ({"trys": "3"}, "Did you mean tries?"),
        ({"phone": "+15551234567"}, "They take: "),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_would_be_right(
    book: notebooks.Notebook, given: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match="^.*" + says.replace("?", r"\?").replace("+", r"\+")):
        notebooks.typed([book], given, now=NOW)


def test_values_take_the_type_of_their_default(book: notebooks.Notebook) -> None:
    given = {"tries": "5", "fail_above": "0.02", "is_loud": "yes", "time_zone": "Europe/Berlin", "since": "7d"}

    assert notebooks.typed([book], given, now=NOW)["small"] == {
        "tries": 5, "fail_above": 0.02, "is_loud": True, "time_zone": "Europe/Berlin", "since": "7d",
    }  # fmt: skip


def test_a_number_that_looks_like_a_phone_stays_the_text_that_it_is(book: notebooks.Notebook) -> None:
    assert notebooks.typed([book], {"since": "2026-10-14"}, now=NOW)["small"]["since"] == "2026-10-14"


def test_a_parameter_goes_to_the_reports_that_declare_it(book: notebooks.Notebook, tmp_path: Path) -> None:
    other = tmp_path / "other.ipynb"
    other.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')

    assert notebooks.typed([book, notebooks.read(other)], {"tries": "5"}, now=NOW) == {
        "small": {"tries": 5},
        "other": {},
    }


def test_defaults_and_comments_are_read_from_the_parameters_cell(book: notebooks.Notebook) -> None:
    assert book.parameters["tries"] == notebooks.Parameter("tries", 3, "how often")
    assert book.title == "A small report"


def test_reports_are_found_by_name_or_path(tmp_path: Path) -> None:
    path = notebook(tmp_path, "mine")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name in ("b", "a"):
        notebook(shelf, name)

    assert [found.name for found in notebooks.find([], shelf)] == ["a", "b"]
    assert [found.name for found in notebooks.find(["b", "b"], shelf)] == ["b"]
    assert [found.name for found in notebooks.find([str(path)], shelf)] == ["mine"]


@pytest.mark.parametrize(
    ("name", "says"),
    [("overwiew", "Did you mean overview"), ("../../etc/passwd", "no report"), ("nowhere.ipynb", "no notebook")],
)
def test_an_unknown_report_is_refused(tmp_path: Path, name: str, says: str) -> None:
    notebook(tmp_path, "overview")

    with pytest.raises(UsageError, match=says):
        notebooks.find([name], tmp_path)


@pytest.mark.parametrize("name", ["a b", "..", "x" * 65, "1st", "<script>"])
def test_a_notebook_whose_name_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.ipynb"
    path.write_text("{}")

    with pytest.raises(UsageError, match="cannot name a report"):
        notebooks.find([str(path)], tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', "\x00\x01"])
def test_what_is_no_notebook_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_text(text)

    with pytest.raises(UsageError, match="is not a notebook that can be read"):
        notebooks.read(path)
