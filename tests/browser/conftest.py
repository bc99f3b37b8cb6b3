"""A real Chromium without a network: required in CI, skipped with a reason where there is none."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]  # fmt: skip


def chromium() -> str:
    """Where Chromium is; the test is skipped where there is none, unless this is CI."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is missing. CI must have it: apt-get install chromium.")
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for a module: while Playwright is open, its event loop counts as this thread's running one."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@dataclass
class Watched:
    """A page and everything that it said or asked for."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def reveal(self) -> None:
        """Scroll through the page, so that every figure comes to life, and wait until all have."""
        self.until(
            "(() => { const still = [...document.querySelectorAll('[data-chart]')].find(f => !f.dataset.state);"
            " still?.scrollIntoView(); return !still; })()"
        )
        self.page.evaluate("scrollTo(0, 0)")

    def until(self, true: str, *, seconds: float = 30) -> None:
        """Wait until an expression is true; the page's policy forbids Playwright's own way of waiting for one."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(true):
            assert time.monotonic() < end, f"never true: {true}"
            self.page.wait_for_timeout(50)

    def quiet(self) -> None:
        """Nothing was complained about, asked for, or popped up."""
        assert self.console == []
        assert self.requests == []
        assert self.dialogs == []


Open = Callable[..., Watched]
SCREENS: dict[str, dict[str, Any]] = {"light": {}, "dark": {"dark": True}, "phone": {"width": 400}}


def _note(watched: Watched, url: str) -> None:
    if not url.startswith(("file:", "data:")):
        watched.requests.append(url)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open a file: dark, narrow, without JavaScript, … until the test ends."""
    yield from _opener(browser)


@pytest.fixture(scope="module")
def keep_open(browser: Any) -> Iterator[Open]:
    """Open a file for all tests of a module: drawing ten figures is what a test of a page costs."""
    yield from _opener(browser)


def _opener(browser: Any) -> Iterator[Open]:
    opened: list[Watched] = []

    def go(path: Path, *, dark: bool = False, width: int = 1280, scripts: bool = True) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light",
            java_script_enabled=scripts, offline=True, reduced_motion="reduce",
        )  # fmt: skip
        watched = Watched(context.new_page())
        watched.page.on("console", lambda said: watched.console.append(f"{said.type}: {said.text}"))
        watched.page.on("pageerror", lambda error: watched.console.append(f"error: {error}"))
        watched.page.on("request", lambda asked: _note(watched, asked.url))
        watched.page.on("dialog", lambda dialog: (watched.dialogs.append(dialog.message), dialog.dismiss()))
        opened.append(watched)
        watched.page.goto(path.as_uri())
        return watched

    yield go
    for watched in opened:
        watched.page.context.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep a screenshot of every page that is open where a test fails."""
    outcome: Any = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if browser is None or not outcome.get_result().failed:
        return
    folder = Path(os.environ.get("FLEXKIT_SCREENSHOTS", "test-screenshots"))
    folder.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "-", item.name)
    for at, page in enumerate(page for context in browser.contexts for page in context.pages):
        with suppress(Exception):  # What a page looks like is a help, not a second failure.
            page.screenshot(timeout=10_000, path=folder / f"{name}-{at}.png", full_page=True)


@cache
def _axe() -> str:
    """The accessibility engine's script."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(watched: Watched) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA, and its best practices, with everything unfolded.

    Of long tables only the first rows are looked at: the others are made by the same words. Drawings are left out: for
    assistive technology each is one image with a text, and `faint` looks at the contrast in them.
    """
    watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    watched.page.evaluate("document.querySelectorAll('tbody tr:nth-child(n+4)').forEach(row => row.remove())")
    watched.page.evaluate(_axe())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    run = "tags => axe.run({exclude: ['.plot svg']}, {runOnly: tags, resultTypes: ['violations']})"
    found = watched.page.evaluate(run, tags)
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


_FAINT = """() => {
  const light = c => { const v = c / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const parts = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(light);
  const luminance = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const back = luminance(parts(getComputedStyle(document.body).backgroundColor));
  const texts = [...document.querySelectorAll('.plot svg text')].filter(t => t.textContent.trim());
  return texts.filter(t => {
    const own = luminance(parts(getComputedStyle(t).fill));
    return (Math.max(own, back) + 0.05) / (Math.min(own, back) + 0.05) < 4.5;
  }).map(t => t.textContent + ' ' + getComputedStyle(t).fill);
}"""


def faint(watched: Watched) -> list[str]:
    """The texts in figures whose contrast with the page is below WCAG's 4.5."""
    assert watched.page.evaluate("document.querySelectorAll('.plot svg text').length") > 0
    return list(watched.page.evaluate(_FAINT))
