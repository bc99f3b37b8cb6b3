"""Nothing leaks, and nothing acts: planted personal data and hostile names, looked for in all that a run leaves."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

import flexkit
from flexkit.cli import main
from flexkit.report.folder import LocalFolder
from flexkit.report.run import run_reports
from tests.report.notebooks import answering, notebook
from tests.report.planted import PERSONAL, planted_reports

if TYPE_CHECKING:
    from pathlib import Path

FORMULA = tuple("=+-@\t\r")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return planted_reports(tmp_path_factory)


class Elements(HTMLParser):
    """What a browser would make of a page: its elements with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_no_personal_data_and_no_place_is_in_any_artefact(planted: tuple[Path, Path]) -> None:
    store, out = planted
    (record,) = LocalFolder(out).runs()
    artefacts = [path for path in out.rglob("*") if path.is_file() and ".locks" not in path.parts]

    assert record["verdict"] != "failed"
    assert {path.name for path in artefacts} >= {"index.html", "report.html", "run.json", "notebook.ipynb"}
    for path in artefacts:
        text = path.read_text()
        assert [secret for secret in [*PERSONAL, str(store.parent), str(store)] if secret in text] == [], path.name


def test_an_error_that_quotes_evidence_leaks_it_into_no_log_and_no_page(tmp_path: Path) -> None:
    quoted = ["+15551234567", "alice.doe@example.com", "alice.doe%40example.com", "203.0.113.77", str(tmp_path)]
    said = " ".join([*quoted, "token=s3cr3t-T0ken", "\x1b[31mred"])
    path = notebook(tmp_path, "quoting", f"print({said!r}); raise ValueError({said!r})", answering())
    logged: list[str] = []

    summary = run_reports([str(path)], data=tmp_path / "store", out=tmp_path / "out", progress=logged.append)

    left = "".join(file.read_text() for file in (tmp_path / "out").rglob("*.*") if file.suffix in (".html", ".json"))
    for told in ("\n".join(logged), json.dumps(summary.to_dict()["reports"][0]["error"]), left):
        assert "ValueError: [phone] [email] [email] [ip]" in told
        for hidden in (*quoted, "s3cr3t-T0ken", "\x1b"):
            assert hidden not in told


def test_hostile_names_make_no_element_and_no_link(planted: tuple[Path, Path]) -> None:
    page = (planted[1] / "root_causes" / "latest.html").read_text()
    elements = Elements(page).found
    attributes = [name for _, held in elements for name in held]
    links = [value or "" for _, held in elements for name, value in held.items() if name in {"href", "src"}]

    assert "alert(" in page
    assert not {"img", "iframe", "object", "embed", "link", "form"} & {tag for tag, _ in elements}
    assert [held for tag, held in elements if tag == "script"] == [{"type": "text/plain", "id": "vega"}, {}]
    assert [name for name in attributes if name.startswith("on")] == []
    assert [link for link in links if not link.startswith(("#", "../"))] == []
    (policy,) = (held["content"] or "" for _, held in elements if held.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_hostile_names_leave_no_file_outside(planted: tuple[Path, Path]) -> None:
    out = planted[1]

    names = {path.relative_to(out).parts[0] for path in out.rglob("*")}
    assert names <= {"index.html", "root_causes", ".locks"}


def test_a_terminal_gets_no_escape_from_evidence(
    planted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store = flexkit.open(planted[0])
    sids = store.table("duplicates").collect()["interaction_sid"].unique().sort().to_list()

    main(["show", *sids[:8], "--data", str(planted[0])])
    main(["status", "--data", str(planted[0])])

    said = capsys.readouterr()
    shown = said.out + said.err
    assert sids[0] in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    assert [secret for secret in PERSONAL if secret in shown] == []


@pytest.mark.parametrize("table", ["duplicates", "causes", "signals"])
def test_a_spreadsheet_gets_no_formula(planted: tuple[Path, Path], tmp_path: Path, table: str) -> None:
    main(["export", table, str(tmp_path / "out.csv"), "--data", str(planted[0])])

    with (tmp_path / "out.csv").open(newline="") as lines:
        cells = [cell for row in csv.reader(lines) for cell in row]
    text = (tmp_path / "out.csv").read_text()
    numbers = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
    assert any("SUM(1+1)" in cell or "HYPERLINK" in cell or "alert" in cell for cell in cells)
    assert [cell for cell in cells if cell.startswith(FORMULA) and not numbers.fullmatch(cell)] == []
    assert [secret for secret in PERSONAL if secret in text] == []
