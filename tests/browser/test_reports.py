"""Reports in a real browser without a network: drawn, quiet, readable by everyone, on every screen and on paper."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import SCREENS, Open, Watched, faint, violations
from tests.scenarios import reports_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = ["overview", "duplicate_rate", "root_causes", "fix_effects", "interaction"]
EACH = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, _ = reports_of("fixed", tmp_path_factory)
    return out


def count(page: Any, selector: str) -> int:
    return int(page.evaluate("s => document.querySelectorAll(s).length", selector))


@pytest.fixture(scope="module")
def revealed(keep_open: Open, reports: Path) -> Callable[[str], Watched]:
    """A report in the light on a desk, scrolled through once for all tests."""

    @cache
    def shown(name: str) -> Watched:
        watched = keep_open(reports / name / "latest.html")
        watched.reveal()
        return watched

    return shown


@EACH
def test_every_figure_comes_to_life_and_nothing_is_asked_or_complained_about(
    revealed: Callable[[str], Watched], name: str
) -> None:
    watched = revealed(name)

    figures = count(watched.page, "[data-chart]")
    assert figures > 0
    assert count(watched.page, '[data-state="live"] .live svg') == figures
    assert count(watched.page, ".drawing") == 0
    watched.quiet()


@pytest.mark.parametrize(
    ("scenario", "name"), [("empty", "overview"), ("empty", "root_causes"), ("breach", "overview")]
)
def test_a_page_without_evidence_or_fixes_is_drawn_as_quietly(
    open_page: Open, tmp_path_factory: pytest.TempPathFactory, scenario: str, name: str
) -> None:
    out, _ = reports_of(scenario, tmp_path_factory)
    watched = open_page(out / name / "latest.html")

    watched.reveal()

    assert count(watched.page, '[data-state="live"] .live svg') == count(watched.page, "[data-chart]")
    watched.quiet()


@EACH
def test_every_figure_is_there_without_javascript(open_page: Open, reports: Path, name: str) -> None:
    watched = open_page(reports / name / "latest.html", scripts=False)

    boxes = [figure.bounding_box() for figure in watched.page.locator(".drawing svg").all()]
    assert boxes
    assert all(box["width"] > 500 and box["height"] > 50 for box in boxes)
    watched.quiet()


@EACH
def test_axe_finds_no_violation(revealed: Callable[[str], Watched], name: str) -> None:
    assert violations(revealed(name)) == []


@pytest.mark.parametrize("screen", ["dark", "phone"])
def test_axe_finds_no_violation_in_the_dark_or_on_a_phone(open_page: Open, reports: Path, screen: str) -> None:
    watched = open_page(reports / "root_causes" / "latest.html", **SCREENS[screen])
    watched.reveal()

    assert faint(watched) == []
    assert violations(watched) == []


@EACH
def test_a_phone_needs_no_sideways_scrolling(revealed: Callable[[str], Watched], name: str) -> None:
    page = revealed(name).page
    page.set_viewport_size({"width": 400, "height": 900})
    try:
        widths = "[...document.querySelectorAll('.live svg')].map(s => s.getBoundingClientRect().width)"
        revealed(name).until(f"Math.max(...{widths}) <= 400 && !document.querySelector('.live[hidden]')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        figures = "[...document.querySelectorAll('.plot')].map(p => p.scrollWidth - p.clientWidth)"
        assert max(page.evaluate(figures)) <= 1
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})


@EACH
def test_text_in_figures_can_be_read(revealed: Callable[[str], Watched], name: str) -> None:
    assert faint(revealed(name)) == []


def test_a_report_prints_on_several_pages(revealed: Callable[[str], Watched], tmp_path: Path) -> None:
    revealed("overview").page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)

    printed = (tmp_path / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") > 1 or printed.count(b"/Type/Page") > 1


def test_a_report_can_be_read_in_under_a_second(open_page: Open, reports: Path) -> None:
    watched = open_page(reports / "overview" / "latest.html")

    watched.until("performance.getEntriesByName('first-contentful-paint').length > 0")
    painted = watched.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 1000


def test_pointing_at_a_figure_tells_its_numbers(revealed: Callable[[str], Watched]) -> None:
    watched = revealed("root_causes")
    bar = watched.page.locator(".live svg .mark-rect.role-mark path").first
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()

    watched.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"], steps=3)

    watched.page.wait_for_selector(".tip")
    assert "Cause" in watched.page.locator(".tip").inner_text()


def test_a_report_can_be_used_with_the_keyboard_alone(open_page: Open, reports: Path) -> None:
    watched = open_page(reports / "overview" / "latest.html")
    page = watched.page

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("d => d.open")


def test_the_index_leads_to_every_report(open_page: Open, reports: Path) -> None:
    watched = open_page(reports / "index.html")

    links = watched.page.locator(".reports a").all()
    assert len(links) == len(NAMES)
    for name in NAMES:
        watched.page.goto((reports / "index.html").as_uri())
        watched.page.locator(f'.reports a[href^="{name}/"]').click()
        watched.page.wait_for_selector("h1")
        assert "All reports" in watched.page.locator("footer").inner_text()
    watched.quiet()


@pytest.mark.parametrize("screen", SCREENS)
def test_the_index_is_readable_by_everyone(open_page: Open, reports: Path, screen: str) -> None:
    watched = open_page(reports / "index.html", **SCREENS[screen])

    assert violations(watched) == []
    assert watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
