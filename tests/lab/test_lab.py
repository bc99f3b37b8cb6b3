"""JupyterLab for real, without a network: open each notebook, Run All, charts drawn; change a parameter, run again."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import FLAGS, chromium
from tests.scenarios import reports_of, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIGURES = {"overview": 5, "root_causes": 9, "fix_effects": 6, "interaction": 2, "duplicate_rate": 6}
DRAWN = ".jp-OutputArea .vega-embed svg.marks, .jp-OutputArea .vega-embed canvas.marks"
SECONDS = 120
NOTEBOOK = "jupyterapp.shell.currentWidget"
KERNEL = f"{NOTEBOOK}?.sessionContext?.session?.kernel?.status"
CODE = f"{NOTEBOOK}.content.model.sharedModel.cells.filter(c => c.cell_type === 'code').map(c => c.toJSON())"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[str]:
    """A JupyterLab on the loopback address, in a folder with the notebooks; gives its address."""
    chromium()
    home = tmp_path_factory.mktemp("lab")
    work = home / "work"
    shutil.copytree(checkout / "notebooks", work / "notebooks")
    out, _ = reports_of("fixed", tmp_path_factory)
    (executed,) = (out / "overview").glob("*/notebook.ipynb")
    shutil.copyfile(executed, work / "executed-elsewhere.ipynb")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "FLEXKIT_DATA": str(store_of("fixed", tmp_path_factory)), "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }  # fmt: skip
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=",
        f"--ServerApp.root_dir={work}", "--LabApp.news_url=", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = (home / "lab.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        yield _answering(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def _answering(address: str) -> str:
    end = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/api", timeout=5):  # noqa: S310 - loopback
                return address
        except OSError:
            assert time.monotonic() < end, "JupyterLab did not start"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def page(lab: str) -> Iterator[Any]:
    """A browser that reaches nothing but the loopback address."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        opened = running.new_page(viewport={"width": 1300, "height": 1000})
        opened.set_default_timeout(SECONDS * 1000)
        yield opened
        running.close()


def until(page: Any, true: str) -> None:
    end = time.monotonic() + SECONDS
    while not page.evaluate(true):
        assert time.monotonic() < end, f"never true: {true}"
        page.wait_for_timeout(100)


def open_notebook(page: Any, lab: str, path: str) -> None:
    """Open a notebook, unless it is the one that is open."""
    if page.evaluate(f"typeof jupyterapp !== 'undefined' && {NOTEBOOK}?.context?.path") == path:
        return
    page.goto(f"{lab}/lab/tree/{path}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    until(page, f"{KERNEL} === 'idle'")


def change(page: Any, line: str) -> None:
    """Type a line at the end of the parameters cell."""
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Control+End")
    page.keyboard.type(f"\n{line}")


def run_all(page: Any) -> None:
    """Press Run All Cells, and wait until every code cell has run anew or one has failed."""
    before = page.evaluate(f"Math.max(0, ...{CODE}.map(c => c.execution_count ?? 0))")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    failed = f"{CODE}.some(c => c.outputs.some(o => o.output_type === 'error'))"
    until(page, f"{failed} || {CODE}.every(c => c.execution_count > {before})")
    until(page, f"{KERNEL} === 'idle'")


def errors(page: Any) -> list[str]:
    """The errors that the notebook's cells ended with."""
    found = f"{CODE}.flatMap(c => c.outputs).filter(o => o.output_type === 'error').map(o => o.evalue)"
    return list(page.evaluate(found))


def figures(page: Any, awaited: int) -> int:
    """How many figures are drawn, looking at all of a notebook that draws only what is near, again if some are late."""
    found: set[str] = set()
    scroller = "document.querySelector('.jp-WindowedPanel-outer')"
    end = time.monotonic() + SECONDS
    while True:
        for place in range(0, int(page.evaluate(f"{scroller}.scrollHeight")) + 1000, 700):
            page.evaluate(f"{scroller}.scrollTop = {place}")
            page.wait_for_timeout(120)
            cells = "s => [...document.querySelectorAll(s)].map(e => e.closest('.jp-Cell').dataset.windowedListIndex)"
            found |= set(page.evaluate(cells, DRAWN))
        if len(found) >= awaited or time.monotonic() > end:
            return len(found)


@pytest.mark.parametrize("name", FIGURES)
def test_run_all_draws_every_figure_without_a_network_and_without_an_error(page: Any, lab: str, name: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_notebook(page, lab, f"notebooks/{name}.ipynb")

    run_all(page)

    assert errors(page) == []
    assert figures(page, FIGURES[name]) == FIGURES[name]
    assert not [url for url in asked if not url.startswith((lab, "data:", "blob:"))]


def test_a_changed_parameter_changes_the_answer_of_the_next_run(page: Any, lab: str) -> None:
    open_notebook(page, lab, "notebooks/duplicate_rate.ipynb")
    change(page, "fail_above = 0.0001")

    run_all(page)

    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
    page.wait_for_selector("text=Threshold breached")


def test_an_error_is_one_readable_sentence(page: Any, lab: str) -> None:
    from playwright.sync_api import expect

    open_notebook(page, lab, "notebooks/overview.ipynb")
    change(page, 'data = "/nowhere"')

    run_all(page)

    assert errors(page)[0].startswith("There is no flexkit data in /nowhere")
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
    shown = page.locator(".jp-OutputArea-output:visible", has_text="StoreError").first
    sentence = re.compile("^StoreError: There is no flexkit data in /nowhere")
    expect(shown).to_have_text(sentence, use_inner_text=True, timeout=SECONDS * 1000)
    expect(shown).not_to_contain_text("Traceback")


def test_what_was_executed_elsewhere_shows_its_figures_at_once_and_they_are_interactive(page: Any, lab: str) -> None:
    page.goto(f"{lab}/lab/tree/executed-elsewhere.ipynb?reset")
    page.wait_for_selector(DRAWN)

    assert figures(page, FIGURES["overview"]) == FIGURES["overview"]

    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
    page.wait_for_selector(".vega-embed svg.marks .mark-symbol path")
    page.locator(".vega-embed svg.marks .mark-symbol.role-mark path").nth(3).hover(force=True)

    page.wait_for_selector("#vg-tooltip-element.visible")
