"""Show a chart with words: what it shows, what to conclude, and its numbers as a table."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from flexkit.errors import ReportError
from flexkit.present.numbers import joined
from flexkit.present.table import Table
from flexkit.present.table import table as tidy

if TYPE_CHECKING:
    import polars as pl

LAB_MIME = "application/vnd.vegalite.v5+json"
"""What JupyterLab draws with the Vega that it carries, without a network and in untrusted notebooks.

JupyterLab 4.6 has no renderer for the type that Altair 6 writes; charts of ours use nothing that
Vega-Lite 5 lacks, so they are offered under the older name.
"""

FIGURE_MIME = "application/vnd.flexkit.figure+json"
"""What a report reads: words and table of a figure; the chart stands beside it under `LAB_MIME`."""

_LAB_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
# Charts arrive with their data inside. A chart that loads something would be empty on a train and
# would tell its host who reads the report.
_LOADING = {"url", "href"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart as values: its specification, its words, its numbers."""

    spec: dict[str, Any]
    alt: str
    caption: str
    table: Table

    def _mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        words = {"alt": self.alt, "caption": self.caption, "table": self.table.to_dict()}
        bundle = {LAB_MIME: self.spec, FIGURE_MIME: words, "text/plain": f"{self.alt}\n{self.caption}"}
        return bundle, {LAB_MIME: {"embed_options": {"actions": False, "renderer": "svg"}}}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle, metadata = self._mimebundle()
        display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        # JupyterLab draws one kind per output, so the words are an output of their own; a report,
        # which reads them from the first, leaves it out.
        below = {"text/html": self._words_html(), "text/plain": self.caption}
        display(below, metadata={"flexkit": {"below": True}}, raw=True)  # type: ignore[no-untyped-call]

    def _words_html(self) -> str:
        from html import escape

        return (
            f"<p>{escape(joined(self.caption))}</p><details><summary>Data of this chart</summary>"
            f"{self.table.to_lab_html(caption=self.alt)}</details>"
        )


def figure(chart: Any, *, alt: str, caption: str, table: pl.DataFrame | pl.LazyFrame | Table) -> Figure:
    """Show *chart* with its words and numbers, in JupyterLab and in reports, with or without a network.

    *alt* says what can be seen, for those who cannot see it; *caption* what to conclude and what not to;
    *table* holds the numbers behind the chart. Raises `ReportError` where words are missing or the
    chart would load something.
    """
    for name, words in (("alt", alt), ("caption", caption)):
        if not words.strip():
            msg = f"A figure needs {name} text. Say what can be seen (alt) and what to conclude (caption)."
            raise ReportError(msg)
    spec: dict[str, Any] = {**chart.to_dict(validate=_is_checked()), "$schema": _LAB_SCHEMA, "description": alt}
    spec["datasets"] = {name: [_as_json(row) for row in rows] for name, rows in spec.get("datasets", {}).items()}
    if found := _loads(spec):
        msg = f"A chart of a report must not load or link anything, but this one has {found!r}."
        raise ReportError(msg)
    shown = table if isinstance(table, Table) else tidy(table)
    return Figure(spec, alt=alt, caption=caption, table=shown)


def _is_checked() -> bool:
    """Whether Altair checks charts here; a report leaves that to Vega, which draws the same chart at once."""
    from flexkit.present.lean import without_checks

    with without_checks():
        from altair.utils import schemapi

    return schemapi.DEBUG_MODE


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row of data with null for what JSON has no word for: a number that is not known or not finite."""
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in row.items()}


def _loads(spec: Any) -> str | None:
    """The first key in *spec*, outside its data, that makes Vega load or link something."""
    if isinstance(spec, list):
        return next((found for part in spec if (found := _loads(part))), None)
    if not isinstance(spec, dict):
        return None
    for key, value in spec.items():
        if key in _LOADING:
            return str(key)
        if key in ("datasets", "values"):
            continue
        if found := _loads(value):
            return found
    return None
