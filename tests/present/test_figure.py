"""A figure: a chart that draws anywhere, with its words and numbers."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import polars as pl
import pytest

from flexkit.errors import ReportError
from flexkit.present.figure import FIGURE_MIME, LAB_MIME, Figure, figure

FRAME = pl.DataFrame({"x": [1, 2], "y": [3, 4]})


def chart() -> alt.Chart:
    return alt.Chart(FRAME, title="Stable").mark_line().encode(x="x:Q", y="y:Q")


def shown(monkeypatch: pytest.MonkeyPatch, one: Figure) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What *one* gives a notebook to display."""
    outputs: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def display(bundle: dict[str, Any], *, metadata: dict[str, Any], raw: bool) -> None:
        assert raw
        outputs.append((bundle, metadata))

    monkeypatch.setattr("IPython.display.display", display)
    one._ipython_display_()
    return outputs


@pytest.mark.parametrize(("alt_text", "caption"), [("", "words"), ("words", " ")])
def test_there_is_no_picture_without_words(alt_text: str, caption: str) -> None:
    with pytest.raises(ReportError, match="needs"):
        figure(chart(), alt=alt_text, caption=caption, table=FRAME)


@pytest.mark.parametrize(
    "loading",
    [
        alt.Chart("https://example.com/data.csv").mark_point(),
        alt.Chart(FRAME).mark_image(url="https://example.com/x.png").encode(x="x:Q"),
        alt.Chart(FRAME).mark_point().encode(href="x:N"),
    ],
    ids=["data", "image", "link"],
)
def test_a_chart_that_would_load_or_link_something_is_refused(loading: alt.Chart) -> None:
    with pytest.raises(ReportError, match="must not load or link"):
        figure(loading, alt="a", caption="b", table=FRAME)


def test_data_may_hold_any_word() -> None:
    frame = pl.DataFrame({"url": ["https://example.com"], "href": ["javascript:alert(1)"]})

    figure(alt.Chart(frame).mark_point().encode(x="href:N"), alt="a", caption="b", table=frame)


def test_numbers_that_json_has_no_word_for_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"x": [1.0, float("nan"), float("inf")]})
    one = figure(alt.Chart(frame).mark_point().encode(x="x:Q"), alt="a", caption="b", table=frame)

    (bundle, _), _ = shown(monkeypatch, one)

    assert '{"x": 1.0}, {"x": null}, {"x": null}' in json.dumps(bundle[LAB_MIME], allow_nan=False)


def test_jupyterlab_gets_the_type_that_it_draws_and_words_below(monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle, metadata), (below, mark) = shown(monkeypatch, figure(chart(), alt="A line.", caption="So.", table=FRAME))

    assert bundle[LAB_MIME]["$schema"].endswith("vega-lite/v5.json")
    assert bundle[LAB_MIME]["description"] == "A line."
    assert metadata[LAB_MIME]["embed_options"]["actions"] is False
    assert "<details>" in below["text/html"]
    assert mark == {"flexkit": {"below": True}}


def test_a_report_gets_the_words_and_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle, _), _ = shown(monkeypatch, figure(chart(), alt="A line.", caption="So.", table=FRAME))

    assert bundle[FIGURE_MIME]["alt"] == "A line."
    assert bundle[FIGURE_MIME]["table"]["rows"] == [["1", "3"], ["2", "4"]]
    json.dumps(bundle)


def test_words_of_a_figure_are_inert_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    one = figure(chart(), alt="<script>1</script>", caption="<img src=x onerror=alert(1)>", table=FRAME)

    _, (below, _) = shown(monkeypatch, one)

    assert "<script" not in below["text/html"]
    assert "<img" not in below["text/html"]
