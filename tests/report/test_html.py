"""The page: everything inside, nothing loaded, hostile text inert, one bundle for all figures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from flexkit.present.answer import RUN_MIME, Answer, Provenance, Tile
from flexkit.present.figure import figure
from flexkit.present.table import table
from flexkit.report import drawing, html, pages
from flexkit.report import record as records
from flexkit.report.drawing import Drawings
from flexkit.terms import Verdict
from tests.present.frames import BY_CAUSE, HOSTILE, UNITS, drawn
from tests.report.test_record import record

HOSTILE_WORDS = (
    "</title></style></script><script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"
    "[x](javascript:alert(4)) ![y](https://example.com/t.png) $\\href{javascript:alert(5)}{z}$ {{7*7}} \x1b[31mred"
)


class Page(HTMLParser):
    """What a browser would find in a page: tags with attributes, text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def figure_outputs(name: str, **words: str) -> list[NotebookNode]:
    chart = figure(drawn(name), alt=words.get("alt", "Bars."), caption=words.get("caption", "So."), table=BY_CAUSE)
    bundle, metadata = chart._mimebundle()
    below = {"text/html": "<p>said twice</p>", "text/plain": "said twice"}
    return [
        new_output("display_data", data=bundle, metadata=metadata),
        new_output("display_data", data=below, metadata={"flexkit": {"below": True}}),
    ]


def executed(*cells: NotebookNode) -> NotebookNode:
    title = new_markdown_cell("# Small\n\nFor *whoever* reads.")
    return from_dict(new_notebook(cells=[title, *cells]))


def answer_cell() -> NotebookNode:
    answer = Answer(Verdict.OK, "2 of 100.", "Do this.", (Tile("Share", "2 %", "2 of 100"),), {"dup_share": 0.02})
    return new_code_cell("answer()", outputs=[new_output("execute_result", data=answer._repr_mimebundle_())])


def rendered(*cells: NotebookNode, before: records.Record | None = None, **changes: Any) -> str:
    with Drawings() as drawings:
        return html.page(executed(*cells), record(**changes), before, drawings)


@pytest.fixture(scope="module")
def page() -> str:
    return rendered(
        answer_cell(),
        new_markdown_cell("## Why?\n\nBecause of *this*."),
        new_code_cell("secret_looking = 'code'", outputs=figure_outputs("pareto")),
        new_markdown_cell("## Where?"),
        new_code_cell("show()", outputs=figure_outputs("breakdown")),
        tiles=[{"label": "Share", "text": "2 %", "note": "2 of 100"}],
        action="Do this.",
    )


def test_a_page_asks_no_host_for_anything(page: str) -> None:
    found = Page(page)
    wanted = {attributes.get(name) or "" for _, attributes in found.tags for name in ("src", "href", "action", "data")}

    assert not [url for url in wanted if re.match(r"(?i)\s*(?:[a-z]+:)?//", url)]
    assert not found.of("link")
    assert not found.of("iframe")
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in outside.replace("http-equiv", "")


def test_the_policy_allows_our_own_scripts_and_style_and_nothing_else(page: str) -> None:
    policy = next(
        meta["content"] for meta in Page(page).of("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)

    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert style is not None
    assert drawing.policy_hash(style[1]) in policy
    assert script is not None
    assert drawing.policy_hash(script[1]) in policy


def test_every_figure_is_there_without_a_script(page: str) -> None:
    assert page.count("<figure>") == page.count("<svg viewBox") - page.count('class="verdict') == 2
    assert page.count('role="img"') == 2
    assert page.count("Data of this chart</summary>") == 2


def test_there_is_one_bundle_for_all_figures(page: str) -> None:
    assert page.count('id="vega"') == 1


def test_a_figure_before_the_first_question_counts_too() -> None:
    assert 'id="vega">H4sI' in rendered(new_code_cell("early()", outputs=figure_outputs("pareto")))


def test_a_page_without_figures_carries_no_bundle() -> None:
    assert 'id="vega"' not in rendered(answer_cell())


def test_the_answer_stands_at_the_head_and_once(page: str) -> None:
    assert page.count("2 of 100.") == 1
    assert page.index("2 of 100.") < page.index("Why?</h2>")


def test_the_caption_stands_once_though_a_notebook_holds_it_twice(page: str) -> None:
    assert page.count("<figcaption>So.</figcaption>") == 2
    assert "said twice" not in page


def test_headings_are_in_order_and_ids_unique(page: str) -> None:
    found = Page(page)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(found.ids) == len(set(found.ids))


def test_the_contents_lead_to_every_section(page: str) -> None:
    found = Page(page)
    targets = [attributes["href"] for attributes in found.of("a") if (attributes.get("href") or "").startswith("#")]

    assert {target[1:] for target in targets if target} <= set(found.ids)
    assert len(targets) == 4  # Skip link, two sections, how it was made.


def test_code_is_folded_away(page: str) -> None:
    folded = re.findall(r'<details class="code">.*?</details>', page, re.DOTALL)

    assert any("secret_looking" in block for block in folded)
    assert not Page(page).of("details")[0].get("open")


def test_what_changed_since_the_last_run_is_told() -> None:
    before = record(verdict="breach", tiles=[{"label": "Share", "text": "5 %", "note": ""}])

    assert "5 % → <b>2 %</b>" in rendered(answer_cell(), before=before)


def hostile_page() -> str:
    foreign = new_output("display_data", data={"text/html": f"<p>kept</p>{HOSTILE_WORDS}<style>*{{}}</style>"})
    printed = new_output("stream", name="stdout", text=HOSTILE_WORDS)
    plain = new_output("execute_result", data={"text/plain": HOSTILE_WORDS})
    words = figure(drawn("breakdown"), alt=HOSTILE_WORDS, caption=HOSTILE_WORDS, table=UNITS)
    bundle, metadata = words._mimebundle()
    rows = new_output("execute_result", data=table(UNITS)._repr_mimebundle_())
    return rendered(
        new_markdown_cell(f"## {HOSTILE_WORDS}\n\n{HOSTILE_WORDS}"),
        new_code_cell(HOSTILE_WORDS, outputs=[foreign, printed, plain, rows]),
        new_code_cell("f()", outputs=[new_output("display_data", data=bundle, metadata=metadata)]),
        headline=HOSTILE_WORDS,
        action=HOSTILE_WORDS,
        tiles=[{"label": HOSTILE_WORDS, "text": HOSTILE_WORDS, "note": HOSTILE_WORDS}],
        parameters={HOSTILE_WORDS: HOSTILE_WORDS},
        quality=HOSTILE_WORDS,
        data_version=HOSTILE_WORDS,
        title=HOSTILE_WORDS,
    )


def test_hostile_text_is_inert_in_every_place_of_a_page() -> None:
    page = hostile_page()
    found = Page(page)

    assert [script for script in found.of("script") if script.get("id") != "vega"] == [{}]
    assert not found.of("img")
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert not [url for url in (a.get("href") or "" for a in found.of("a")) if "javascript" in url.lower()]
    assert {tag for tag, _ in found.tags if tag in {"iframe", "object", "embed", "form", "base", "link"}} == set()
    assert "kept" in page


def test_hostile_text_is_inert_in_a_drawing_and_its_data() -> None:
    svg = drawing.draw(drawn("by_handler").to_dict())

    assert "<script" not in svg
    assert HOSTILE not in svg


def test_a_frame_s_own_style_is_dropped_and_its_rows_are_kept() -> None:
    import polars as pl

    shown = new_output("execute_result", data={"text/html": pl.DataFrame({"a": [80906]})._repr_html_()})
    page = rendered(new_markdown_cell("## Rows"), new_code_cell("frame", outputs=[shown]))

    assert "80906" in page
    assert "dataframe" not in page.partition("<body>")[2]


def test_an_error_of_a_notebook_never_shows_its_trace_on_a_failure_page() -> None:
    failed = records.failed(record(), cell="load", reason="ValueError: x")
    page = html.failure(failed, record())

    assert "ValueError: x" in page
    assert "../20261014T060000Z/report.html" in page
    assert "Traceback" not in page
    assert html.moved_up(page).count('href="20261014T060000Z/report.html"') == 1


def test_provenance_stands_at_the_foot() -> None:
    stands_on = Provenance(("2026-10-01T00:00:00Z", "2026-10-29T00:00:00Z"), "1:3.n", (), "All held.")
    said = records.said_by(
        executed(
            new_code_cell(
                "p", outputs=[new_output("execute_result", data={RUN_MIME: stands_on._repr_mimebundle_()[RUN_MIME]})]
            )
        )
    )
    page = rendered(answer_cell(), window=said["window"], data_version=said["data_version"], quality=said["quality"])

    assert "1 Oct 2026 to 29 Oct 2026 UTC, the end excluded" in page
    assert "<code>1:3.n</code>" in page
    assert "All held." in page


def test_the_colours_of_code_are_for_code_alone() -> None:
    """Tables name the kind of each column by classes as short as those of highlighted code."""
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", pages.asset("style.css"))
    colours = [rule for rule in rules if re.search(r"\.(?:s1|mi|nf|c1|kn)\b", rule)]

    assert len(colours) == 5
    assert all(rule.strip().startswith("pre ") for rule in colours)
