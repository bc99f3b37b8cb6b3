"""Reports: seconds against the two command-line tools, side by side against one after another, bytes, start-up."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flexkit.locate import notebooks_folder, sample_store
from flexkit.present.figure import figure
from flexkit.report import drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIMIT_PAGE = 1_200_000
LIMIT_FIGURE = 6_000


def main(argv: list[str]) -> int:
    """Print the table; ends with 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    parser.add_argument("--data", type=Path, help="data folder; default: the embedded sample")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--notebook", default="overview")
    parser.add_argument("only", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all but browser")
    options = parser.parse_args(argv)
    drawing.bundle()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # A copy, so that forgetting what was computed touches nobody's store.
        store = Path(shutil.copytree(options.data or sample_store(), work / "store"))
        environment = compiled(os.environ) | {"FLEXKIT_DATA": str(store)}
        parts: dict[str, Callable[[], list[Row]]] = {
            "warm": lambda: one_report(options.notebook, options.rounds, environment, work, lambda: None),
            "cold": lambda: one_report(options.notebook, options.rounds, environment, work, forgetting(store)),
            "jobs": lambda: side_by_side(max(1, options.rounds // 2), environment, work),
            "sizes": sizes,
            "start": lambda: [start_up(options.rounds)],
            "browser": lambda: browser(options.rounds, options.data or million(), work),
        }
        rows = [row for name in options.only or PARTS[:-1] for row in parts[name]()]
    print("| Work | Measured | Target | |\n|---|---|---|---|")
    for work, measured, target, met in rows:
        print(f"| {work} | {measured} | {target} | {'met' if met else 'missed'} |")
    return 0 if all(met for *_, met in rows) else 1


Row = tuple[str, str, str, bool]
PARTS = ("warm", "cold", "jobs", "sizes", "start", "browser")


def compiled(environment: Mapping[str, str]) -> dict[str, str]:
    """*environment*, but with modules compiled once, as whoever installed flexkit and the two tools has them."""
    return {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}


def forgetting(store: Path) -> Callable[[], None]:
    """Let *store* be as after new data: nothing that was computed from its tables is kept."""
    return lambda: shutil.rmtree(store / "cache", ignore_errors=True)


def timed(command: list[str], environment: dict[str, str], folder: Path) -> tuple[float, float]:
    """Seconds on the clock and seconds of processor time of one command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in {0, 3, 4}:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def million() -> Path:
    """A store of a million interactions in 28 days, made once."""
    from tests.bench._signals import PER_INTERACTION, build

    return build(Path(tempfile.gettempdir()) / "flexkit-bench", round(1_000_000 * PER_INTERACTION), days=28)


def one_report(
    name: str, rounds: int, environment: dict[str, str], folder: Path, before: Callable[[], None]
) -> list[Row]:
    """One report from notebook to page, against papermill and then nbconvert on the same notebook.

    *before* each of the two comes what decides between warm (results of this state of the data are kept)
    and cold (they are not).
    """
    notebook = notebooks_folder() / f"{name}.ipynb"
    ours, theirs = [], []
    for number in range(rounds + 1):
        before()
        executed = ["-m", "papermill", str(notebook), "executed.ipynb", "--no-progress-bar"]
        first = timed([sys.executable, *executed], environment, folder)
        second = timed([sys.executable, "-m", "nbconvert", "--to", "html", "executed.ipynb"], environment, folder)
        before()
        third = timed([sys.executable, "-m", "flexkit.cli", "report", name, "--out", "one"], environment, folder)
        # The first round only warms what both use: the page cache, and what is kept.
        if number:
            theirs.append((first[0] + second[0], first[1] + second[1]))
            ours.append(third)
    clock = ratio([one[0] for one in ours], [one[0] for one in theirs])
    processor = ratio([one[1] for one in ours], [one[1] for one in theirs])
    seconds = statistics.median(one[0] for one in ours), statistics.median(one[0] for one in theirs)
    before()
    is_cold = not (Path(environment["FLEXKIT_DATA"]) / "cache").is_dir()
    state = "cold: after new data" if is_cold else "warm: data as before"
    shown = f"{clock:.2f} ({seconds[0]:.1f} s against {seconds[1]:.1f} s; processor time {processor:.2f})"
    return [(f"One report (`{name}`, {state}) ÷ papermill, then nbconvert", shown, "≤ 0.35", clock <= 0.35)]


def side_by_side(rounds: int, environment: dict[str, str], folder: Path) -> list[Row]:
    """All reports with two kernels side by side, against one after another."""
    command = [sys.executable, "-m", "flexkit.cli", "report", "--out", "all", "--jobs"]
    # The first run only computes and keeps what all others read.
    timed([*command, "2"], environment, folder)
    two, one = [], []
    for _ in range(rounds):
        two.append(timed([*command, "2"], environment, folder)[0])
        one.append(timed([*command, "1"], environment, folder)[0])
    found = ratio(two, one)
    shown = f"{found:.2f} ({statistics.median(two):.1f} s against {statistics.median(one):.1f} s)"
    return [("All five, two kernels ÷ one", shown, "≤ 0.65", found <= 0.65)]


def sizes() -> list[Row]:
    """Bytes of a page with ten figures, and of one figure more besides its drawing."""
    pages = {count: page_of(count) for count in (10, 11)}
    drawn = len(re.findall(r'<div class="drawing">(.*?)</div>', pages[11], re.DOTALL)[0].encode())
    more = len(pages[11].encode()) - len(pages[10].encode()) - drawn
    ten = len(pages[10].encode())
    return [
        ("Page with ten interactive figures", f"{ten / 1000:,.0f} kB", "≤ 1,200 kB", ten <= LIMIT_PAGE),
        (
            f"One figure more, besides its drawing of {drawn / 1000:.1f} kB",
            f"{more / 1000:.1f} kB",
            "≤ 6 kB",
            more <= LIMIT_FIGURE,
        ),
    ]


def page_of(count: int) -> str:
    """A page with *count* control charts of four weeks."""
    import datetime as dt

    import polars as pl
    from nbformat import from_dict
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    from flexkit.present import charts
    from flexkit.report import html
    from flexkit.report import record as records

    days = [dt.date(2026, 10, 1) + dt.timedelta(days=number) for number in range(28)]
    frame = pl.DataFrame({"date": days}).with_columns(
        value=pl.int_range(pl.len()) * 7 % 13 / 500, centre=pl.lit(0.012), lower=pl.lit(0.0), upper=pl.lit(0.03),
        exposure=pl.int_range(pl.len()) * 31 % 17 * 900.0 + 20_000, is_signal=pl.int_range(pl.len()) == 9,
    )  # fmt: skip
    cells = [new_markdown_cell("# Sizes\n\nTen figures.")]
    for number in range(count):
        chart = charts.rate_over_time(frame, title=f"Finding {number}", subtitle="Share per day, UTC")
        shown = figure(chart, alt=f"A line, {number}.", caption="What to conclude, and what not to.", table=frame)
        bundle, metadata = shown._mimebundle()
        output = new_output("display_data", data=bundle, metadata=metadata)
        cells += [new_markdown_cell(f"## Question {number}?"), new_code_cell("figure(chart)", outputs=[output])]
    base = records.started("sizes", "Sizes", "20261014T060000Z", dt.datetime(2026, 10, 14, tzinfo=dt.UTC), {})
    record = {**base, **records.said_by(from_dict(new_notebook())), "seconds": 1.0}
    with drawing.Drawings() as drawings:
        return html.page(from_dict(new_notebook(cells=cells)), record, None, drawings)


def browser(rounds: int, store: Path, folder: Path) -> list[Row]:
    """Milliseconds until each page on *store* is readable in Chromium, and until all of its figures live."""
    out = folder / "pages"
    command = [sys.executable, "-m", "flexkit.cli", "report", "--out", str(out), "--timeout", "3600"]
    made, _ = timed(command, compiled(os.environ) | {"FLEXKIT_DATA": str(store)}, folder)
    rows = []
    for page in sorted(out.glob("*/latest.html")):
        readable, alive = (statistics.median(times) for times in zip(*opened(page, rounds), strict=True))
        shown = f"{readable:.0f} ms; all figures live after {alive:.0f} ms; {page.stat().st_size / 1000:,.0f} kB"
        rows.append((f"`{page.parent.name}`: load to readable", shown, "≤ 1,000 ms", readable <= 1000))
    print(f"(all five reports on {store.name} made in {made:.0f} s)")
    return rows


def opened(page: Path, rounds: int) -> list[tuple[float, float]]:
    """Of each of *rounds* loads in a new Chromium: first contentful paint, and all figures drawn by Vega."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        for _ in range(rounds):
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"]
            )
            # As tall as the page, so that every figure is near what is seen and is drawn.
            view = chromium.new_page(viewport={"width": 1280, "height": 9000})
            view.goto(page.as_uri())
            end = time.monotonic() + 60
            while not view.evaluate("[...document.querySelectorAll('[data-chart]')].every(f => f.dataset.state)"):
                if time.monotonic() > end:
                    raise SystemExit(f"{page.parent.name}: not every figure was drawn within a minute")
                view.wait_for_timeout(10)
            alive = view.evaluate("performance.now()")
            painted = view.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            found.append((painted, alive))
            chromium.close()
    return found


def start_up(rounds: int) -> Row:
    """Seconds until ``flexkit --help`` has answered, by the command as it is installed."""
    command = shutil.which("flexkit", path=str(Path(sys.executable).parent)) or "flexkit"
    seconds = [timed([command, "--help"], compiled(os.environ), Path.cwd())[0] for _ in range(rounds)]
    found = statistics.median(seconds)
    return ("`flexkit --help`", f"{found:.2f} s", "≤ 0.3 s", found <= 0.3)


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of what two medians' rounds make of each other, round by round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
