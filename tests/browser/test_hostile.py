"""Hostile text in evidence, words and notebooks is inert in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flexkit.report.run import run_reports
from tests.browser.conftest import Open, violations
from tests.report.notebooks import answering, notebook

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.browser

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<svg/onload=alert(3)>",
    "[click](javascript:alert(4))",
    "javascript:alert(5)",
    "'-alert(6)-'",
    '"+alert(7)+"',
    "${alert(8)}",
    "{{alert(9)}}",
    "datum.x; alert(10)",
    "]]>--><b>",
    "\u202etxt.exe",
    "$\\href{javascript:alert(11)}{x}$",
    "\\(\\href{javascript:alert(13)}{y}\\)",
    "$$\\unicode{x3c}img src=x onerror=alert(14)$$",
    "</title><h1>evil</h1>",
]

CHART = f"""import altair as alt, polars as pl
from flexkit.present import charts
from flexkit.present.figure import figure
from flexkit.present.table import table
words = {HOSTILE!r}
units = pl.DataFrame({{"unit": words, "rate": [0.01] * len(words), "lo": [0.0] * len(words), "hi": [0.02] * len(words),
                      "events": [1] * len(words), "exposure": [100] * len(words)}})
chart = charts.breakdown(units, title=words[0] + words[6], subtitle=words[1] + words[9])
figure(chart, alt=words[0] + words[1], caption=" ".join(words), table=units)"""

CAUSES = f"""words = {HOSTILE!r}
counts = pl.DataFrame({{"handlers": words, "cause": ["undetermined"] * len(words), "count": [1] * len(words)}})
figure(charts.by_handler(counts, title="t", subtitle="s"), alt="a", caption="b", table=counts)"""

FOREIGN = f"""from IPython.display import HTML, Javascript, Markdown
display(HTML({"".join(HOSTILE)!r}), Markdown({" ".join(HOSTILE)!r}), Javascript("alert(12)"), table(units))
print({"".join(HOSTILE)!r})"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of a notebook that is hostile wherever text can stand, one of them failed."""
    folder = tmp_path_factory.mktemp("hostile")
    words = "## " + " ".join(HOSTILE) + "\n\n" + "\n\n".join(HOSTILE)
    path = notebook(folder, "hostile", CHART, CAUSES, words, FOREIGN, answering(headline=HOSTILE[1]), title=HOSTILE[0])
    run_reports([str(path)], data=folder, out=folder / "out")
    failing = notebook(folder, "failing", f"raise ValueError({HOSTILE[0]!r} + {HOSTILE[1]!r})", title=HOSTILE[1])
    run_reports([str(failing)], data=folder, out=folder / "out")
    return folder / "out"


@pytest.mark.parametrize("page", ["hostile/latest.html", "failing/latest.html", "index.html"])
def test_nothing_hostile_runs_loads_or_links(open_page: Open, hostile: Path, page: str) -> None:
    watched = open_page(hostile / page)
    watched.reveal()
    for link in watched.page.locator("a").all():
        assert not (link.get_attribute("href") or "").lower().strip().startswith(("javascript", "data", "http"))
    for mark in watched.page.locator(".live svg .role-mark path").all()[:20]:
        mark.hover(force=True)

    watched.quiet()
    assert watched.page.locator("h1").count() == 1
    assert watched.page.locator("img").count() == 0


def test_hostile_text_is_still_there_to_be_read(open_page: Open, hostile: Path) -> None:
    watched = open_page(hostile / "hostile" / "latest.html")

    assert "<img src=x onerror=alert(2)>" in watched.page.locator("body").inner_text()


def test_formulas_are_text_in_captions_as_in_markdown(open_page: Open, hostile: Path) -> None:
    watched = open_page(hostile / "hostile" / "latest.html")
    shown = watched.page.locator("main").inner_text()

    for formula in ("$\\href{javascript:alert(11)}{x}$", "$$\\unicode{x3c}img src=x onerror=alert(14)$$"):
        assert shown.count(formula) >= 2
    assert "\\(\\href{javascript:alert(13)}{y}\\)" in shown
    assert watched.page.evaluate("typeof MathJax") == "undefined"
    assert watched.page.locator("mjx-container, .MathJax, math").count() == 0


def test_a_failure_page_is_readable_by_everyone(open_page: Open, hostile: Path) -> None:
    watched = open_page(hostile / "failing" / "latest.html")

    assert violations(watched) == []
