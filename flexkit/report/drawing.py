"""Charts as pages need them: a clean static SVG of each, and one Vega bundle for all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from flexkit.errors import ReportError

if TYPE_CHECKING:
    from pathlib import Path

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
# What a drawing may consist of. Everything else, such as links, images, styles and scripts, is left out.
_ELEMENTS = {
    "svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath", "linearGradient", "stop",
}  # fmt: skip
_ATTRIBUTES = {
    "viewBox", "width", "height", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "r", "cx", "cy",
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap",
    "stroke-linejoin", "opacity", "text-anchor", "font-size", "font-weight", "font-style", "id", "clip-path",
    "offset", "stop-color",
}  # fmt: skip
_DEFAULTS = {"opacity": "1", "stroke-width": "1", "font-weight": "normal", "text-anchor": "start"}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECIMALS = re.compile(r"-?\d*\.\d{2,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([\w-]+)\)")
_SHAPES = {"path", "line", "rect", "circle"}
_GEOMETRY = {"transform", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "r", "cx", "cy", "width", "height"}


class Drawings:
    """Draws charts beside everything else that a run does: each is started as soon as it is known.

    They are drawn in a process of their own: Vega holds its whole process while it draws, and what it
    cannot draw must not end the run.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drawing")
        self._started: dict[str, Future[str]] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Drawings:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def warm_up(self) -> None:
        """Load Vega and build the bundle, once, while nothing waits for them."""
        if self._process is None:
            self._pool.submit(self._ask, {"data": {"values": [{}]}, "mark": "point"})

    def start(self, spec: dict[str, Any]) -> None:
        """Begin to draw *spec*, unless it has begun."""
        key = _key(spec)
        if key not in self._started:
            self._started[key] = self._pool.submit(self._drawn, spec)

    def svg(self, spec: dict[str, Any]) -> str:
        """The drawing of *spec*, when it is ready; raises `ReportError` where it cannot be drawn."""
        self.start(spec)
        return self._started[_key(spec)].result()

    def _drawn(self, spec: dict[str, Any]) -> str:
        answer = self._ask(spec)
        if "svg" not in answer:
            msg = f"A chart could not be drawn: {answer['error']}"
            raise ReportError(msg)
        return str(answer["svg"])

    def _ask(self, spec: dict[str, Any]) -> dict[str, str]:
        """What the drawing process says to *spec*; it is started anew where the one before has ended."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of our own
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        line = ""
        with suppress(OSError):
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is not None and stdout is not None:
                stdin.write(json.dumps(spec) + "\n")
                stdin.flush()
                line = stdout.readline()
        answer: dict[str, str] = json.loads(line) if line else {"error": "Vega ended while it drew it."}
        return answer


def _serve() -> None:
    """Draw each specification that comes as a line of JSON, until no more comes."""
    # Built here, in the process that has Vega in memory; whoever needs it reads it from the cache folder.
    bundle()
    for line in sys.stdin:
        try:
            answer = {"svg": draw(json.loads(line))}
        except Exception as error:  # noqa: BLE001 - whatever Vega says goes to who asked
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        print(json.dumps(answer), flush=True)


def _key(spec: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def for_page(spec: dict[str, Any]) -> dict[str, Any]:
    """*spec* without what the page says in HTML (title, description) or paints itself (background)."""
    bare = {key: value for key, value in spec.items() if key not in ("title", "description", "$schema", "usermeta")}
    bare["background"] = None
    printable: dict[str, Any] = _printable(bare)
    return printable


def _printable(spec: Any) -> Any:
    """*spec* without what XML has no room for: one such character ends vl-convert, and this process with it."""
    if isinstance(spec, str):
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", spec)
    if isinstance(spec, list):
        return [_printable(part) for part in spec]
    if isinstance(spec, dict):
        return {_printable(name): _printable(part) for name, part in spec.items()}
    return spec


def title_of(spec: dict[str, Any]) -> tuple[str, str]:
    """The title and subtitle of a chart, each as one line of text."""
    title = spec.get("title") or ""
    if isinstance(title, dict):
        return _line(title.get("text", "")), _line(title.get("subtitle", ""))
    return _line(title), ""


def _line(text: Any) -> str:
    return " ".join(map(str, text)) if isinstance(text, list) else str(text)


def draw(spec: dict[str, Any]) -> str:
    """*spec* as SVG that can stand in a page: no script, no link, no style, ids of its own."""
    import vl_convert

    raw = vl_convert.vegalite_to_svg(for_page(spec), vl_version=_vega_lite(), allowed_base_urls=[])
    return clean(raw, prefix=f"f{_key(spec)[:8]}-")


def clean(svg: str, *, prefix: str) -> str:
    """*svg* with known elements and attributes only, ids prefixed, and numbers rounded to a tenth of a pixel."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - drawn by vl-convert in this process
    _prune(root, prefix)
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
    ElementTree.register_namespace("", _SVG)
    text = ElementTree.tostring(root, encoding="unicode")
    return text.replace(f' xmlns="{_SVG}"', "").replace(f' xmlns:xlink="{_XLINK}"', "")


def _prune(element: ElementTree.Element, prefix: str) -> None:
    for child in list(element):
        name = child.tag.removeprefix(f"{{{_SVG}}}")
        if name not in _ELEMENTS or child.get("display") == "none" or _is_invisible(name, child):
            element.remove(child)
            continue
        _prune(child, prefix)
        if name == "g" and len(child) == 0:
            element.remove(child)
    element.attrib = {
        name: prefix + value if name == "id" else _value(name, value, prefix)
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _DEFAULTS.get(name) != value
    }


def _is_invisible(name: str, element: ElementTree.Element) -> bool:
    """Whether a shape has neither fill nor outline of its own: Vega's backgrounds of groups."""
    return (
        name in _SHAPES
        and element.get("class") in ("background", "foreground")
        and not (element.get("fill") or element.get("stroke"))
    )


def _value(name: str, value: str, prefix: str) -> str:
    if name not in _GEOMETRY:
        return _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return _DECIMALS.sub(lambda match: f"{float(match.group()):.1f}".removesuffix(".0"), value)


@cache
def _vega_lite() -> str:
    import vl_convert

    newest: str = vl_convert.get_vegalite_versions()[-1]
    return newest


# The bundle ------------------------------------------------------------------------------------------


@cache
def bundle() -> tuple[str, str]:
    """Vega, Vega-Lite and Vega-Embed as base64 of gzip, and the hash that a page's policy names.

    Building takes about two seconds, so the result is kept in the user's cache folder, named by the
    version of vl-convert that it comes from.
    """
    from importlib.metadata import version

    from platformdirs import user_cache_path

    name = f"vega-{version('vl-convert-python')}-{_vega_lite()}.js.gz"
    kept = user_cache_path("flexkit", appauthor=False) / name
    packed = _kept_bundle(kept)
    if packed is None:
        # In a function of its own: the bundle's names at top level must not meet the page's.
        code = f"(function(){{{_bundled()}}})();"
        packed = gzip.compress(code.encode(), 9, mtime=0)
        _keep(kept, packed)
    return base64.b64encode(packed).decode(), policy_hash(gzip.decompress(packed).decode())


def _bundled() -> str:
    import vl_convert

    # Without a snippet the bundle puts vegaEmbed on the window; vl-convert's types demand one.
    build: Any = vl_convert.javascript_bundle
    return str(build(vl_version=_vega_lite()))


def _kept_bundle(path: Path) -> bytes | None:
    try:
        packed = path.read_bytes()
        code = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        return None
    return packed if code.startswith(b"(function(){") and code.endswith(b"})();") else None


def _keep(path: Path, packed: bytes) -> None:
    """Keep the bundle for the next run; a folder that cannot be written costs two seconds, nothing else."""
    import os

    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        aside.write_bytes(packed)
        aside.replace(path)


def policy_hash(text: str) -> str:
    """The source expression by which a Content-Security-Policy allows exactly *text*."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def packed(spec: Any) -> str:
    """JSON as base64 of gzip: what a page carries of each chart."""
    text = json.dumps(spec, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


if __name__ == "__main__":
    _serve()
