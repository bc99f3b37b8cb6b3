"""JSON text to columns of text: fast where records have the expected shape, tolerant where they do not."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALL = 128
"""Rows below which a batch with an odd record is read by the slow, tolerant reader: six times the time a record."""

_UNESCAPED = r"(?s)^[{\[].*[\\\x00-\x1f]"

_SURROGATE = r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"

IS_OBJECT = "is_object"


def fields(text: pl.Series, paths: Mapping[str, str]) -> pl.DataFrame:
    """The scalars at *paths* of each JSON object in *text*, as strings, one row per record.

    *paths* maps a column's name to a dotted path (``event_data.task_sid``). Numbers and booleans come
    as their JSON text, objects and arrays too (their spacing may differ from what was written), what is absent,
    null or empty as null. ``is_object`` is false where the text is not one JSON object. Never raises.
    """
    if text.is_empty():
        return _frame({name: [] for name in paths}, [])
    flat = text.str.replace_all("[\r\n]", " ")
    quick = _quick(flat, paths)
    if quick is not None:
        return _without_blanks(quick)
    if len(flat) <= _SMALL:
        return _without_blanks(_tolerant(flat, paths))
    middle = len(flat) // 2
    return pl.concat([fields(flat[:middle], paths), fields(flat[middle:], paths)])


def _quick(flat: pl.Series, paths: Mapping[str, str]) -> pl.DataFrame | None:
    """Read all records with one schema, or nothing where one of them does not have that shape."""
    lines = flat.fill_null("").str.strip_chars()
    if not lines.str.starts_with("{").all() or _has_nested(paths):
        return None
    source = io.BytesIO("\n".join(lines.to_list()).encode())
    try:
        rows = pl.read_ndjson(source, schema=_schema(paths))
    except (pl.exceptions.PolarsError, UnicodeError):
        return None
    if rows.height != len(flat):
        return None
    rows = rows.select(*(_at(path).alias(name) for name, path in paths.items()), pl.lit(value=True).alias(IS_OBJECT))
    return _mended(rows, flat, paths)


def _mended(rows: pl.DataFrame, flat: pl.Series, paths: Mapping[str, str]) -> pl.DataFrame:
    """*rows* with those read again in which the JSON text of an object may lack its escapes (Polars 2.1)."""
    seen = rows.select(pl.col(*paths).str.contains(_UNESCAPED).any()).row(0, named=True)
    # A text that holds JSON has its escapes: only what stands there as an object can be broken.
    broken = [
        pl.col(name).str.contains(_UNESCAPED)
        & flat.str.contains(rf'"{re.escape(path.rpartition(".")[2])}"\s*:\s*[{{\[]')
        for name, path in paths.items()
        if seen[name]
    ]
    if not broken:
        return rows
    is_broken = rows.select(pl.any_horizontal(broken).fill_null(value=False)).to_series()
    order = pl.concat([is_broken.arg_true(), (~is_broken).arg_true()]).arg_sort()
    return pl.concat([_tolerant(flat.filter(is_broken), paths), rows.filter(~is_broken)])[order]


def _has_nested(paths: Mapping[str, str]) -> bool:
    """Whether one of *paths* leads into another: a schema has either the whole or its parts."""
    return any(path.startswith(f"{other}.") for path in paths.values() for other in paths.values())


def _schema(paths: Mapping[str, str]) -> dict[str, pl.DataType | type[pl.DataType]]:
    tree: dict[str, list[str]] = {}
    for path in paths.values():
        head, _, tail = path.partition(".")
        tree.setdefault(head, []).extend([tail] if tail else [])
    return {
        head: pl.Struct(_schema({tail: tail for tail in tails})) if tails else pl.String for head, tails in tree.items()
    }


def _at(path: str) -> pl.Expr:
    head, *rest = path.split(".")
    expression = pl.col(head)
    for name in rest:
        expression = expression.struct.field(name)
    return expression


def _tolerant(flat: pl.Series, paths: Mapping[str, str]) -> pl.DataFrame:
    # An emoji that was cut in half is half a surrogate pair: no reader takes it, and the rest is sound.
    record = pl.col("record")
    halved = record.str.contains(_SURROGATE) & record.str.json_path_match("$").is_null()
    rows = (
        flat.alias("record")
        .to_frame()
        .with_columns(pl.when(halved).then(record.str.replace_all(_SURROGATE, r"\\ufffd")).otherwise(record))
    )
    return rows.select(
        *(record.str.json_path_match(f"$.{path}").alias(name) for name, path in paths.items()),
        (record.str.strip_chars().str.starts_with("{") & record.str.json_path_match("$").is_not_null())
        .fill_null(value=False)
        .alias(IS_OBJECT),
    )


def _without_blanks(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)))


def _frame(columns: dict[str, list[str]], is_object: list[bool]) -> pl.DataFrame:
    return pl.DataFrame(
        {**columns, IS_OBJECT: is_object}, schema={**dict.fromkeys(columns, pl.String), IS_OBJECT: pl.Boolean}
    )
