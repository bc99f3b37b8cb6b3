"""Drawings: only shapes and text, ids of their own; one bundle, built once."""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from flexkit.report import drawing
from tests.present.frames import drawn

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE_SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9"
onload="alert(1)"><script>alert(2)</script><style>*{color:red}</style>
<a xlink:href="javascript:alert(3)"><text>x</text></a>
<image xlink:href="https://example.com/x.png"/><foreignObject><p>y</p></foreignObject>
<g clip-path="url(#clip0)">
<rect id="clip0" x="1.23456" width="3" height="3" fill="#1c2127" onclick="alert(4)" style="a:b"/></g>
<text font-family="evil" font-size="11">keep me &lt;b&gt;</text></svg>"""


def test_a_drawing_keeps_shapes_and_text_and_nothing_else() -> None:
    svg = drawing.clean(HOSTILE_SVG, prefix="f1-")
    tags = {element.tag for element in ElementTree.fromstring(svg).iter()}  # noqa: S314 - our own

    assert tags == {"svg", "g", "rect", "text"}
    for gone in ("script", "onload", "onclick", "style", "javascript", "example.com", "alert"):
        assert gone not in svg
    assert "keep me &lt;b&gt;" in svg


def test_ids_of_two_drawings_do_not_meet() -> None:
    svg = drawing.clean(HOSTILE_SVG, prefix="f1-")

    assert 'id="f1-clip0"' in svg
    assert 'clip-path="url(#f1-clip0)"' in svg


def test_positions_are_rounded_and_opacities_are_not() -> None:
    svg = drawing.clean(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M1.2345,-0.04L2.0,3" fill-opacity="0.125"/></svg>', prefix=""
    )

    assert 'd="M1.2,-0L2.0,3"' in svg or 'd="M1.2,0L2.0,3"' in svg
    assert 'fill-opacity="0.125"' in svg


def test_a_clean_drawing_is_less_than_half_as_long() -> None:
    import vl_convert

    spec = drawing.for_page(drawn("rate_over_time").to_dict())

    assert len(drawing.draw(spec)) < 0.5 * len(vl_convert.vegalite_to_svg(spec))


def test_drawing_loads_nothing() -> None:
    spec = {"data": {"url": "https://example.com/data.csv"}, "mark": "point"}

    with pytest.raises(ValueError, match=r"allowed"):
        drawing.draw(spec)


def test_a_page_says_title_and_description_itself() -> None:
    spec = drawn("pareto").to_dict()

    assert drawing.title_of(spec) == ("It fell", "Share, per day, UTC")
    assert not {"title", "description", "$schema"} & set(drawing.for_page(spec))
    assert drawing.title_of({}) == ("", "")
    assert drawing.title_of({"title": ["two", "lines"]}) == ("two lines", "")


def test_each_chart_is_drawn_once() -> None:
    spec = drawn("pareto").to_dict()

    with drawing.Drawings() as drawings:
        drawings.start(spec)
        drawings.start(dict(spec))

        assert drawings.svg(spec) == drawings.svg(spec)
        assert len(drawings._started) == 1


@pytest.fixture
def _no_bundle_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(drawing, "_bundled", lambda: "window.vegaEmbed=1;")
    drawing.bundle.cache_clear()


@pytest.mark.usefixtures("_no_bundle_yet")
def test_the_bundle_is_built_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text, policy = drawing.bundle()
    drawing.bundle.cache_clear()
    monkeypatch.setattr(drawing, "_bundled", lambda: pytest.fail("built again"))

    assert drawing.bundle() == (text, policy)
    assert gzip.decompress(base64.b64decode(text)).decode() == "(function(){window.vegaEmbed=1;})();"
    assert policy == drawing.policy_hash("(function(){window.vegaEmbed=1;})();")
    assert [path.suffix for path in (tmp_path / "flexkit").iterdir()] == [".gz"]
    drawing.bundle.cache_clear()


@pytest.mark.usefixtures("_no_bundle_yet")
@pytest.mark.parametrize(
    "broken",
    [b"", b"not gzip", gzip.compress(b"alert(1)"), gzip.compress(b"(function(){")[:20]],
    ids=["empty", "no gzip", "another script", "cut off"],
)
def test_a_broken_bundle_is_built_again(tmp_path: Path, broken: bytes) -> None:
    drawing.bundle()
    kept = next((tmp_path / "flexkit").iterdir())
    kept.write_bytes(broken)
    drawing.bundle.cache_clear()

    text, _ = drawing.bundle()

    assert b"vegaEmbed" in gzip.decompress(base64.b64decode(text))
    drawing.bundle.cache_clear()


@pytest.mark.usefixtures("_no_bundle_yet")
def test_a_cache_that_cannot_be_written_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert drawing.bundle()[0]
    drawing.bundle.cache_clear()


def test_a_character_that_no_drawing_can_hold_does_not_end_the_process() -> None:
    hostile = {"a": "red\x1b[31m \x00\x7f \ud800 end"}
    spec = {"data": {"values": [hostile]}, "mark": "text", "encoding": {"text": {"field": "a", "type": "nominal"}}}

    drawn = subprocess.run(
        [sys.executable, "-c", f"from flexkit.report.drawing import draw; print(draw({spec!r}))"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert drawn.returncode == 0, drawn.stderr[-500:]
    assert "end</text>" in drawn.stdout
