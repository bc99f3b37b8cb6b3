"""A frame as a tidy table for people: formatted once, then written as HTML without a style of its own."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from flexkit.present.labels import cause_label
from flexkit.present.numbers import NONE, duration, joined, number, percent
from flexkit.terms import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

TABLE_MIME = "application/vnd.flexkit.table+json"
"""What a report reads, to draw the table its own way."""

LIMIT = 120
"""Rows that a page shows of a longer table; it says how many it leaves out."""

_RATE_ENDS = ("_rate", "_share", "completeness")
_RATES = {"rate", "share", "dup_share"}
_BESIDE_A_RATE = {"expected", "lower", "upper", "lo", "hi", "limit_lo", "limit_hi", "value", "centre"}
"""Bounds, which are of the rate where the table has one; else of a count, a ratio or a number of days."""
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d(\.\d+)?)?)?")
_HEADINGS = {
    "lo": "Low", "hi": "High", "limit_lo": "Limit, low", "limit_hi": "Limit, high", "bound_lo": "Lowest possible",
    "bound_hi": "Highest possible", "predicted_lo": "Predicted, low", "predicted_hi": "Predicted, high", "rr": "Ratio",
    "bucket_start": "Day", "unit": "Of", "label": "What", "events": "With a duplicate", "exposure": "Completed",
    "warned": "With a warning", "premature": "Closes too early", "collect": "What to collect", "alike": "Others alike",
    **{str(cause): cause_label(cause) for cause in Cause},
}  # fmt: skip
_WORDS = {"cause_label", "status", "missing", "verdict", "kind", "evidence_kind", "state"}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings, and which columns hold numbers."""

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "headings": list(self.headings),
            "numeric": list(self.numeric),
            "rows": [list(row) for row in self.rows],
            "left_out": self.left_out,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Table:
        """The table that `to_dict` wrote."""
        return cls(
            tuple(fields["headings"]),
            tuple(fields["numeric"]),
            tuple(tuple(row) for row in fields["rows"]),
            fields["left_out"],
        )

    def to_html(self, *, caption: str) -> str:
        """A ``<table>`` with row and column headings; everything in it is escaped."""
        return self._html(caption, [""] * len(self.headings))

    def to_lab_html(self, *, caption: str) -> str:
        """The table for JupyterLab, which sets every column flush right: words and times flush left."""
        styles = ["" if is_number else ' style="text-align:left"' for is_number in self.numeric]
        return joined(self._html(caption, styles))

    def _html(self, caption: str, styles: list[str]) -> str:
        columns = list(zip(styles, self.headings, strict=True))
        kinds = " ".join(f"{kind}{at}" for at, kind in enumerate(self._kinds(), start=1) if kind)
        head = "".join(f'<th scope="col"{style}>{escape(name)}</th>' for style, name in columns)
        # End tags of rows and cells are optional in HTML; leaving them out halves a long table.
        body = "".join(
            "<tr>" + "".join(f"<td{style}>{escape(cell)}" for style, cell in zip(styles, row, strict=True))
            for row in self.rows
        )
        if not self.rows:
            body = f'<tr><td colspan="{len(self.headings)}">nothing to list'
        titled = f"<caption>{escape(caption)}</caption>" if caption else ""
        more = f"<p>and {self.left_out:,} more rows</p>" if self.left_out else ""
        return f'<table class="{kinds}">{titled}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}'

    def _kinds(self) -> list[str]:
        """Of each column, how it is set: n for numbers, s for SIDs, t for times, "" for words."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.headings)
        return ["n" if is_number else _kind(cells) for is_number, cells in zip(self.numeric, columns, strict=True)]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        lines = ["\t".join(row) for row in (self.headings, *self.rows)]
        html = self.to_lab_html(caption="")
        return {TABLE_MIME: self.to_dict(), "text/html": html, "text/plain": "\n".join(lines)}


def _kind(cells: tuple[str, ...]) -> str:
    told = [cell for cell in cells if cell != NONE]
    if told and all(map(_SID.fullmatch, told)):
        return "s"
    return "t" if told and all(map(_TIME.fullmatch, told)) else ""


def table(frame: pl.DataFrame | pl.LazyFrame, *, limit: int = LIMIT) -> Table:
    """The first *limit* rows of *frame*, formatted by the names and types of its columns.

    Columns named as rates or shares, and bounds beside a rate, are shown in percent, instants in UTC to the
    minute, seconds as durations, nulls as a dash.
    """
    # Imported here: a report that only writes tables, which cells made, need not load polars.
    import polars as pl

    shown = frame.lazy().collect() if isinstance(frame, pl.LazyFrame) else frame
    head = shown.head(limit)
    rates = _RATES | (_BESIDE_A_RATE if "rate" in head.columns else set())
    columns = [[_format(name, head.schema[name], rates)(value) for value in head[name]] for name in head.columns]
    return Table(
        headings=tuple(_heading(name, dtype) for name, dtype in head.schema.items()),
        numeric=tuple(dtype.is_numeric() and name != "weekday" for name, dtype in head.schema.items()),
        rows=tuple(zip(*columns, strict=True)),
        left_out=max(shown.height - limit, 0),
    )


def _heading(name: str, dtype: pl.DataType) -> str:
    if name in _HEADINGS:
        return _HEADINGS[name]
    words = name.removesuffix("_seconds").replace("_", " ").strip()
    words = words[:1].upper() + re.sub(r"\bsid\b", "SID", words[1:])
    zone = getattr(dtype, "time_zone", None)
    return f"{words} ({zone})" if zone else words


def _format(name: str, dtype: pl.DataType, rates: set[str]) -> Callable[[Any], str]:
    if name.endswith("_seconds"):
        return _or_none(duration)
    if dtype.is_float():
        return _or_none(percent if name in rates or name.endswith(_RATE_ENDS) else number)
    return _or_none(_SAID.get(name, (lambda value: f"{value:,}") if dtype.is_integer() else _plain))


_SAID: dict[str, Callable[[Any], str]] = {
    "cause": lambda value: cause_label(str(value)),
    "weekday": lambda value: calendar.day_name[value - 1],
    **dict.fromkeys(_WORDS, lambda value: str(value).replace("_", " ")),
}


def _or_none(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: NONE if value is None else write(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        return ", ".join(map(_plain, value)) or NONE
    return str(value)
