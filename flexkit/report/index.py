"""The index: every run with its verdict, headline number and change, from the records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.report import record as records
from flexkit.report.pages import environment, policy

if TYPE_CHECKING:
    from flexkit.report.record import Record

_POINTS = 30
"""Runs that a sparkline shows."""


def index(runs: list[Record], *, updated: str) -> str:
    """The index page of *runs*, newest first. Links are relative, so it works from a file share."""
    by_report: dict[str, list[Record]] = {}
    for run in runs:
        by_report.setdefault(run["report"], []).append(run)
    return str(
        environment()
        .get_template("index.html.j2")
        .render(
            # The overview comes first, as it does for whoever opens this page in the morning.
            reports=[_card(by_report[name]) for name in sorted(by_report, key=lambda name: (name != "overview", name))],
            runs=[{**run, "href": f"{run['run']}/report.html", "change": records.change_of(run)} for run in runs],
            updated=updated,
            policy=policy(),
        )
    )


def _card(runs: list[Record]) -> dict[str, Any]:
    newest = runs[0]
    tiles = newest.get("tiles") or [None]
    return {
        "run": newest,
        "href": f"{newest['run']}/report.html",
        "tile": tiles[0],
        "change": records.change_of(newest),
        "sparkline": _sparkline(runs, next(iter(newest["metrics"]), None)),
    }


def _sparkline(runs: list[Record], metric: str | None) -> str:
    """The newest runs' first number as a small line, oldest first, from zero; nothing for fewer than two."""
    values = [
        float(value)
        for run in reversed(runs[:_POINTS])
        if metric and isinstance(value := run["metrics"].get(metric), int | float)
    ]
    if len(values) < 2:
        return ""
    top = max(values) or 1.0
    points = [(4 + 122 * at / (len(values) - 1), 36 - 32 * value / top) for at, value in enumerate(values)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" viewBox="0 0 130 40" role="img" aria-label="The last {len(values)} runs">'
        f'<path class="base" d="M4 36H126"/><path d="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3"/></svg>'
    )
