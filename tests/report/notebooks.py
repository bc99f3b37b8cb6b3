"""Small notebooks for tests of reports: a title, parameters, and the cells that a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if TYPE_CHECKING:
    from pathlib import Path

PARAMETERS = """since = ""  # from
fail_above = 1.0  # threshold
tries = 3  # how often
is_loud = False  # or not
time_zone = "UTC"  # zone"""

ANSWER = """from flexkit.present.answer import Answer, Provenance, Tile
share = {share}
Answer("{verdict}", "{headline}", metrics={{"dup_share": share, "completed_interactions": 100}},
       tiles=(Tile("Share", f"{{share:.0%}}", "of 100 completed"),))"""

FIGURE = """import altair as alt, polars as pl
from flexkit.present.figure import figure
frame = pl.DataFrame({{"x": list(range(40)), "y": [n % 7 for n in range(40)]}})
chart = alt.Chart(frame, title=alt.TitleParams("{title}", subtitle="n per day")).mark_line(point=True).encode(
    x="x:Q", y="y:Q", tooltip=["x:Q", "y:Q"]).properties(width=680, height=160)
figure(chart, alt="A zigzag {title}.", caption="It goes up and down.", table=frame)"""


def notebook(folder: Path, name: str, *cells: str, title: str = "A small report") -> Path:
    """Write a notebook; a cell that starts with ``#`` and a space is Markdown, all others are code."""
    book = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    head = new_markdown_cell(f"# {title}\n\nWho should read it.", id="title")
    parameters = new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]})
    book.cells = [head, parameters]
    for at, text in enumerate(cells):
        is_words = text.startswith(("# ", "## "))
        book.cells.append(
            new_markdown_cell(text, id=f"words-{at}") if is_words else new_code_cell(text, id=f"cell-{at}")
        )
    path = folder / f"{name}.ipynb"
    nbformat.write(book, path)
    return path


def answering(verdict: str = "ok", *, share: float = 0.02, headline: str = "2 of 100 were completed twice.") -> str:
    """A cell that answers."""
    return ANSWER.format(verdict=verdict, share=share, headline=headline)


def drawing(title: str = "up and down") -> str:
    """A cell that draws a figure."""
    return FIGURE.format(title=title)
