"""Render an executed notebook as one self-contained page: nbconvert for the cells, a template for the rest."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexkit.present.answer import RUN_MIME
from flexkit.present.figure import FIGURE_MIME, LAB_MIME
from flexkit.present.lean import without_checks
from flexkit.present.table import TABLE_MIME, Table
from flexkit.report import drawing
from flexkit.report import record as records
from flexkit.report.pages import TEMPLATES, asset, environment, policy

with without_checks():
    from nbconvert.exporters.templateexporter import TemplateExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    from nbformat.v4 import new_markdown_cell, new_notebook
    from traitlets.config import Config

if TYPE_CHECKING:
    from flexkit.report.drawing import Drawings
    from flexkit.report.record import Record


@dataclass(frozen=True, slots=True)
class Section:
    """One question of a page: its heading and what stands under it."""

    id: str
    title: str
    body: str


def page(executed: Any, record: Record, before: Record | None, drawings: Drawings) -> str:
    """The page of an executed notebook."""
    figures = _Figures(drawings)
    exporter = _exporter(figures)
    head, parts, setup = _split(executed.cells)
    lead = _export(exporter, executed, head)
    sections = [Section(id_, title, _export(exporter, executed, cells)) for id_, title, cells in parts]
    code = "".join(_folded_code(cell, summary="") for cell in setup)
    vega, vega_hash = drawing.bundle() if figures.charts else ("", "")
    rendered = (
        environment()
        .get_template("page.html.j2")
        .render(
            run=record,
            lead=lead,
            sections=sections,
            setup=code,
            since=records.changes(record, before),
            charts=figures.charts,
            vega=vega,
            script=asset("page.js"),
            policy=policy(*([drawing.policy_hash(asset("page.js")), vega_hash] if figures.charts else [])),
            home="../../index.html",
        )
    )
    return figures.put_into(rendered)


def warm_up() -> None:
    """Compile the templates, while a kernel boots and nothing waits for them."""
    for name in ("page.html.j2", "figure.html.j2"):
        environment().get_template(name)
    _export(_exporter(None), new_notebook(), [new_markdown_cell("*warm*")])  # type: ignore[no-untyped-call]


def failure(record: Record, last_good: Record | None) -> str:
    """The page of a run that failed: where and why, and nothing else."""
    link = {**last_good, "href": f"../{last_good['run'].split('/')[1]}/report.html"} if last_good else None
    template = environment().get_template("failure.html.j2")
    page: str = template.render(run=record, last_good=link, policy=policy(), home="../../index.html")
    return page


def moved_up(rendered: str) -> str:
    """A run's page as its copy one folder higher: only its links to neighbours differ."""
    return re.sub(r'href="\.\./', 'href="', rendered)


def chart_of(output: Any) -> dict[str, Any] | None:
    """The chart of an output that `flexkit.figure` made; None for any other output."""
    bundle = output.get("data", {})
    return bundle[LAB_MIME] if FIGURE_MIME in bundle and LAB_MIME in bundle else None


class _Figures:
    """The figures of one page: placeholders while the page is put together, drawings at its end.

    nbconvert's templates need not pass on a megabyte of SVG. A placeholder carries a random text that no
    notebook can guess.
    """

    def __init__(self, drawings: Drawings) -> None:
        self._drawings = drawings
        self._token = secrets.token_hex(16)
        self.charts = 0
        self.used: list[str] = []

    def own_output(self, output: Any) -> str:
        """The placeholder of a figure, or a space for output that the page shows elsewhere; "" for all else."""
        bundle = output.get("data", {})
        if output.get("metadata", {}).get("flexkit", {}).get("below") or RUN_MIME in bundle:
            return " "
        if TABLE_MIME in bundle:
            table = Table.from_dict(bundle[TABLE_MIME]).to_html(caption="")
            self.used.append(f'<div class="scroll" tabindex="0" role="group" aria-label="Table">{table}</div>')
            return f"<p>{self._token}-{len(self.used) - 1}</p>"
        if (spec := chart_of(output)) is None:
            return ""
        self.charts += 1
        self.used.append(self._html(spec, bundle[FIGURE_MIME]))
        return f"<p>{self._token}-{len(self.used) - 1}</p>"

    def put_into(self, rendered: str) -> str:
        """*rendered* with every placeholder replaced by its figure."""
        return re.sub(rf"<p>{self._token}-(\d+)</p>", lambda found: self.used[int(found[1])], rendered)

    def _html(self, spec: dict[str, Any], words: dict[str, Any]) -> str:
        title, subtitle = drawing.title_of(spec)
        svg = self._drawings.svg(spec)
        drawn = re.search(r'viewBox="0 0 ([\d.]+)', svg)
        return str(
            environment()
            .get_template("figure.html.j2")
            .render(
                title=title,
                subtitle=subtitle,
                alt=words["alt"],
                caption=words["caption"],
                table=Table.from_dict(words["table"]).to_html(caption=words["alt"]),
                svg=svg,
                spec=drawing.packed(drawing.for_page(spec)),
                width=_width(spec),
                drawn=drawn[1] if drawn else "0",
            )
        )


def _width(spec: dict[str, Any]) -> int:
    """The width that the widest view of *spec* asks for."""
    own = spec.get("width")
    inner = [_width(part) for key in ("vconcat", "hconcat", "layer") for part in spec.get(key, [])]
    return max([own if isinstance(own, int) else 0, *inner])


def _split(cells: list[Any]) -> tuple[list[Any], list[tuple[str, str, list[Any]]], list[Any]]:
    """The cells of the lead, of each section (id, title, cells), and those whose code stands at the end."""
    lead: list[Any] = []
    sections: list[tuple[str, str, list[Any]]] = []
    setup: list[Any] = []
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and ({"parameters", "injected-parameters"} & set(tags) or _is_setup(cell)):
            setup.append(cell)
            continue
        heading = re.match(r"(#{1,2})[ \t]+(.+?)\s*(?:\n|$)", cell.source) if cell.cell_type == "markdown" else None
        if heading and heading[1] == "##":
            sections.append((f"s{len(sections) + 1}", heading[2], []))
        rest = {**cell, "source": cell.source[heading.end() :]} if heading else cell
        (sections[-1][2] if sections else lead).append(rest)
    return lead, sections, setup


def _is_setup(cell: Any) -> bool:
    """Whether a cell's output stands in the page's head or foot, or nowhere: its code stands at the end."""
    return all(RUN_MIME in output.get("data", {}) for output in cell.get("outputs", []))


def _export(exporter: Any, executed: Any, cells: list[Any]) -> str:
    if not cells:
        return ""
    notebook = new_notebook(cells=cells, metadata=executed.metadata)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(notebook)
    return str(body)


def _exporter(figures: _Figures | None) -> Any:
    # Not nbconvert's HTMLExporter: it carries JupyterLab's style and sends what it made through an HTML parser
    # for three selectors (half a second), of which no page of ours has use.
    exporter: Any = TemplateExporter(  # type: ignore[no-untyped-call]
        template_name="cells",
        file_extension=".html",
        extra_template_basedirs=[str(TEMPLATES)],
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN}}),
        default_preprocessors=[],
    )
    exporter.register_filter("markdown2html", _markdown)
    exporter.register_filter("harmless", _harmless)
    exporter.register_filter("own_output", figures.own_output if figures else _foreign)
    exporter.register_filter("folded_code", _folded_code)
    return exporter


_SHOWN = ["text/html", "text/markdown", "image/png", "image/jpeg", "text/plain"]
"""The kinds of foreign output that the template has a block for, best first."""


def _markdown(source: str) -> str:
    return str(MarkdownWithMath(renderer=IPythonRenderer(escape=False, exclude_anchor_links=True)).render(source))


# What words and foreign output may consist of. No id and no class: they could pose as parts of the page.
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h3",
    "h4", "h5", "h6", "hr", "i", "kbd", "li", "ol", "p", "pre", "small", "span", "strong", "sub", "summary", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
_ALLOWED = {
    "a": ["href", "title"],
    "th": ["scope", "colspan", "rowspan"],
    "td": ["colspan", "rowspan"],
    "ol": ["start"],
}
_CODE_BLOCKS = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)


def _harmless(html: str) -> str:
    """*html* with harmless elements only; what scripts and styles hold is dropped, other text is kept."""
    import bleach  # type: ignore[import-untyped]

    cleaned: str = bleach.clean(
        _CODE_BLOCKS.sub("", html), tags=_TAGS, attributes=_ALLOWED, protocols={"https", "http", "mailto"}, strip=True
    )
    return cleaned


def _foreign(_: Any) -> str:
    """Of no output: that it is ours."""
    return ""


def _folded_code(cell: Any, *, summary: str = "Code") -> str:
    """A cell's code, highlighted, folded away under *summary* (open where that is empty)."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    if not cell.source.strip():
        return ""
    code = highlight(cell.source, PythonLexer(), HtmlFormatter(nowrap=True))
    block = f'<pre tabindex="0"><code>{code}</code></pre>'
    return f'<details class="code"><summary>{summary}</summary>{block}</details>' if summary else block
