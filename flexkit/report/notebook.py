"""Read notebooks: find them by name, see their parameters, check values before a kernel starts."""

from __future__ import annotations

import ast
import difflib
import json
import math
import re
import tokenize
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexkit.errors import UsageError
from flexkit.window import parse_instant

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

Value = str | int | float | bool

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_INTERACTION = re.compile(r"KD[0-9a-fA-F]{32}")
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a notebook: its default tells its type."""

    name: str
    default: Value
    help: str

    def parse(self, text: Value) -> Value:
        """*text* as a value of this parameter's type."""
        words = str(text).strip()
        try:
            if isinstance(self.default, bool):
                return self._flag(words)
            if isinstance(self.default, int):
                return int(words)
            if isinstance(self.default, float):
                return self._finite(words)
        except ValueError:
            kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(self.default)]
            msg = f"Parameter {self.name} takes {kind}, not {text!r}."
            raise UsageError(msg) from None
        return str(text)

    @staticmethod
    def _flag(words: str) -> bool:
        if words.lower() not in _TRUE | _FALSE:
            raise ValueError(words)
        return words.lower() in _TRUE

    @staticmethod
    def _finite(words: str) -> float:
        value = float(words)
        if not math.isfinite(value):
            raise ValueError(words)
        return value


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook on disk: its name, its cells, its parameters."""

    name: str
    path: Path
    cells: tuple[dict[str, Any], ...]
    parameters: dict[str, Parameter]

    @property
    def title(self) -> str:
        """The text of its first heading, or its name."""
        for cell in self.cells:
            if cell["cell_type"] == "markdown" and (found := re.match(r"#\s+(.+)", source(cell))):
                return found[1].strip()
        return self.name.replace("_", " ").capitalize()


def source(cell: Mapping[str, Any]) -> str:
    """A cell's source as one text."""
    held = cell["source"]
    return held if isinstance(held, str) else "".join(held)


def find(names: Iterable[str], folder: Path) -> list[Notebook]:
    """The notebooks called *names* in *folder*, all of them for none; a path to a notebook is taken too."""
    chosen = list(dict.fromkeys(names))
    held = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    if not chosen:
        return [read(path) for path in held.values()]
    return [read(_path(name, held)) for name in chosen]


def _path(name: str, held: Mapping[str, Path]) -> Path:
    if name in held:
        return held[name]
    path = Path(name)
    if path.suffix == ".ipynb":
        if not path.is_file():
            msg = f"There is no notebook {name}."
            raise UsageError(msg)
        if not _NAME.fullmatch(path.stem):
            msg = f"{path.name} cannot name a report: use letters, digits, '-' and '_', at most 64."
            raise UsageError(msg)
        return path
    near = difflib.get_close_matches(name, held, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    msg = f"There is no report {name!r}.{hint} There are: {', '.join(held)}."
    raise UsageError(msg)


def read(path: Path) -> Notebook:
    """The notebook at *path*."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
        parameters = {found.name: found for cell in tagged for found in declared(source(cell))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        msg = f"{path.name} is not a notebook that can be read ({type(error).__name__})."
        raise UsageError(msg) from None
    return Notebook(path.stem, path, tuple(cells), parameters)


def declared(text: str) -> list[Parameter]:
    """The parameters of a parameters cell: each a name, a literal, and the comment behind it."""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        try:
            default = ast.literal_eval(statement.value)
        except ValueError:
            continue
        if isinstance(targets[0], ast.Name) and isinstance(default, str | int | float | bool):
            found.append(Parameter(targets[0].id, default, comments.get(statement.lineno, "")))
    return found


def typed(
    notebooks: Iterable[Notebook], given: Mapping[str, Value], *, now: dt.datetime
) -> dict[str, dict[str, Value]]:
    """For each notebook the values of *given* that it declares, typed and checked.

    Raises `UsageError` for a name that none of *notebooks* declares and for a value that does not fit.
    """
    books = list(notebooks)
    known = {name for book in books for name in book.parameters}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            msg = f"No chosen report has a parameter {name!r}.{hint} They take: {', '.join(sorted(known))}."
            raise UsageError(msg)
    values = {
        book.name: {name: book.parameters[name].parse(text) for name, text in given.items() if name in book.parameters}
        for book in books
    }
    for chosen in values.values():
        _check(chosen, now)
    return values


def _check(values: Mapping[str, Value], now: dt.datetime) -> None:
    """Refuse values whose meaning is known and wrong, while a sentence can still say so."""
    instants = {name: parse_instant(str(values[name]), now=now) for name in ("since", "until") if values.get(name)}
    if len(instants) == 2 and instants["since"] >= instants["until"]:
        msg = f"since ({values['since']}) is not before until ({values['until']}). Swap them."
        raise UsageError(msg)
    if not 0 <= float(values.get("fail_above", 0)) <= 1:
        msg = f"fail_above is a share from 0 to 1, not {values['fail_above']}. Write 0.02 for 2 %."
        raise UsageError(msg)
    if (sid := values.get("interaction_sid")) and not _INTERACTION.fullmatch(str(sid)):
        msg = f"interaction_sid takes KD and 32 hexadecimal digits, not {sid!r}."
        raise UsageError(msg)
    if zone := values.get("time_zone"):
        _check_zone(str(zone))


def _check_zone(zone: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"time_zone takes a name such as Europe/Berlin or UTC, not {zone!r}."
        raise UsageError(msg) from None
