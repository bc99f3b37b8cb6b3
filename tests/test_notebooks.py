"""The notebooks: pages with a question, in one shape, that run in every scenario with the expected verdict."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from flexkit.errors import ExitCode
from flexkit.present.figure import FIGURE_MIME
from tests.scenarios import reports_of

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
NAMES = ["duplicate_rate", "fix_effects", "interaction", "overview", "root_causes"]
ONE = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
FORBIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.With)
EXPECTED = {
    "calm": dict.fromkeys(NAMES, "ok") | {"fix_effects": "undecided"},
    "breach": dict.fromkeys(NAMES, "ok") | {
        "overview": "breach", "duplicate_rate": "breach", "fix_effects": "undecided"
    },
    "fixed": dict.fromkeys(NAMES, "ok"),
    "empty": dict.fromkeys(NAMES, "undecided"),
}  # fmt: skip
CODES = {"calm": ExitCode.INCOMPLETE, "breach": ExitCode.BREACH, "fixed": ExitCode.OK, "empty": ExitCode.INCOMPLETE}


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def headings(path: Path) -> list[tuple[int, str]]:
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) (.+)$", text, re.MULTILINE)]


def test_the_five_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@ONE
def test_a_notebook_is_valid_and_committed_without_outputs(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)

    assert all(cell.outputs == [] and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    assert book.metadata.kernelspec.name == "python3"


@ONE
def test_cells_have_readable_ids_that_stay(path: Path) -> None:
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]

    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in ids)


@ONE
def test_there_is_one_title_and_no_level_is_skipped(path: Path) -> None:
    found = headings(path)

    assert [level for level, _ in found].count(1) == 1
    assert {level for level, _ in found} == {1, 2}
    assert all(words.endswith("?") for level, words in found if level == 2 and not words.startswith("How far to trust"))


@ONE
def test_papermill_sees_every_parameter_with_its_help(path: Path) -> None:
    (cell,) = (cell for cell in cells(path, "code") if "parameters" in cell.metadata.get("tags", []))
    declared = [node.targets[0].id for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]  # type: ignore[attr-defined]

    seen = papermill.inspect_notebook(str(path))

    assert list(seen) == declared
    assert len(declared) <= 8
    assert all(found["help"] for found in seen.values())
    assert declared[:5] == ["data", "since", "until", "as_of", "time_zone"]


@ONE
def test_code_is_a_few_lines_and_no_program(path: Path) -> None:
    for cell in cells(path, "code"):
        tree = ast.parse(cell.source)

        assert not [node for node in ast.walk(tree) if isinstance(node, FORBIDDEN)], cell.id
        assert not re.search(r"^\s*[!%]", cell.source, re.MULTILINE), cell.id
        assert len(cell.source.splitlines()) <= 8, cell.id
        assert all(len(line) <= 120 for line in cell.source.splitlines()), cell.id


@ONE
def test_the_answer_stands_before_the_first_chart(path: Path) -> None:
    code = cells(path, "code")
    answer = next(at for at, cell in enumerate(code) if cell.id == "answer")
    figure = next(at for at, cell in enumerate(code) if "fk.figure(" in cell.source)

    assert answer < figure


@ONE
def test_each_question_has_at_most_one_figure_with_all_its_words(path: Path) -> None:
    figures = 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            figures = 0
            continue
        figures += cell.source.count("fk.figure(")
        assert figures <= 1, cell.id
        if "fk.figure(" in cell.source:
            assert re.search(r"fk\.figure\(chart, alt=said\.alt, caption=said\.caption, table=", cell.source), cell.id


@ONE
def test_no_number_of_the_data_is_typed_into_words(path: Path) -> None:
    for cell in cells(path, "markdown"):
        assert not re.search(r"\d", cell.source), cell.id


@ONE
def test_a_notebook_asks_the_world_for_nothing(path: Path) -> None:
    text = path.read_text()

    assert "http" not in text
    assert "/home/" not in text


@pytest.mark.slow
@pytest.mark.parametrize("scenario", EXPECTED)
def test_every_scenario_ends_in_its_verdicts(scenario: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    out, told = reports_of(scenario, tmp_path_factory)

    assert {record["report"]: record["verdict"] for record in told["reports"]} == EXPECTED[scenario]
    assert told["exit_code"] == CODES[scenario]
    for record in told["reports"]:
        assert (out / record["report"] / "latest.html").stat().st_size < 1_200_000
        assert record["window"]
        assert record["data_version"]


@pytest.mark.parametrize("name", NAMES)
def test_rates_come_with_their_denominators(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    _, told = reports_of("fixed", tmp_path_factory)
    metrics = next(record["metrics"] for record in told["reports"] if record["report"] == name)

    if "dup_share" in metrics:
        assert metrics["dup_share"] == pytest.approx(
            metrics["duplicate_interactions"] / metrics["completed_interactions"]
        )


@pytest.mark.parametrize("name", NAMES)
def test_an_executed_notebook_holds_every_figure_and_no_error(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out, _ = reports_of("fixed", tmp_path_factory)
    (written,) = (out / name).glob("*/notebook.ipynb")
    book = json.loads(written.read_text())
    outputs = [output for cell in book["cells"] for output in cell.get("outputs", [])]
    source = "".join("".join(cell["source"]) for cell in book["cells"])

    assert sum(FIGURE_MIME in output.get("data", {}) for output in outputs) == source.count("fk.figure(")
    assert not [output for output in outputs if output["output_type"] in {"error", "stream"}]
