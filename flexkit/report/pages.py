"""What all pages share: templates, style, and what a page may do."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

from flexkit.present.colours import CAUSE_COLOURS, DARK
from flexkit.present.numbers import joined
from flexkit.report import drawing
from flexkit.report import record as records
from flexkit.terms import Cause

TEMPLATES = Path(__file__).parent / "templates"
_MOST_COLUMNS = 14


def policy(*scripts: str) -> str:
    """What a page may do: run exactly our scripts, use our style, show its own images. Nothing is loaded."""
    allowed = " ".join(scripts) or "'none'"
    style = drawing.policy_hash(style_sheet())
    own = f"script-src {allowed}; style-src {style}; img-src data:"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


@cache
def style_sheet() -> str:
    """The page's style, with the dark counterpart of every colour that charts use."""
    plain = CAUSE_COLOURS[Cause.UNDETERMINED]
    dark = "".join(
        f'.plot [fill="{light}"]{{fill:{shown}}}.plot [stroke="{light}"]{{stroke:{shown}}}'
        for light, shown in DARK.items()
    )
    return (
        f"{asset('style.css')}{_columns()}@media screen and (prefers-color-scheme:dark){{{dark}}}"
        f'.plot [fill="{plain}"]{{fill:url(#hatch)}}'
    )


def _columns() -> str:
    """How the columns of tables are set, by what `Table.to_html` says they hold: numbers, SIDs, times."""
    sid = "font-family:var(--mono);font-size:12px;min-width:17.5ch;word-break:break-all"
    styles = (
        ("n", "th", "text-align:end"), ("n", "td", "text-align:end;white-space:nowrap"), ("s", "td", sid),
        ("t", "td", "white-space:nowrap"),
    )  # fmt: skip
    places = range(1, _MOST_COLUMNS + 1)
    return "".join(
        f"{','.join(f'.{kind}{at} {cell}:nth-child({at})' for at in places)}{{{style}}}" for kind, cell, style in styles
    )


@cache
def environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["when"] = _when
    environment.filters["joined"] = joined
    environment.globals.update(label_of=records.label_of, style=style_sheet())
    return environment


def _when(instant: str) -> str:
    moment = dt.datetime.fromisoformat(instant)
    return f"{moment.day} {moment:%b %Y}" + (f", {moment:%H:%M}" if moment.hour or moment.minute else "")


@cache
def asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
