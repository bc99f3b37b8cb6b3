"""Records as text, column by column: a Python value with placeholders becomes one polars expression.

A record is written down once, as the dict that Twilio would send. `text` serializes it with marks where
columns go, also inside nested JSON strings and URL-encoded forms, and cuts it at the marks. Columns must
hold text that needs no escaping; a column for a form is encoded beforehand (`encoded`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUOTE = r'(?:\\*"|(?:%5C)*%22)'
_MARK = re.compile(rf"xqz(\w+?)zqx|{_QUOTE}xqn(\w+?)nqx{_QUOTE}|{_QUOTE}xqo(\w+?)oqx{_QUOTE}")


def column(name: str) -> str:
    """A placeholder for the text of column *name*."""
    return f"xqz{name}zqx"


def number(name: str) -> str:
    """A placeholder for a column that is written without quotes."""
    return f"xqn{name}nqx"


def optional(name: str) -> str:
    """A placeholder for a text column of a plain JSON record that is written as ``null`` where it is null."""
    return f"xqo{name}oqx"


def compact(value: object) -> str:
    """*value* as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def form(fields: Mapping[str, str]) -> str:
    """*fields* as a URL-encoded form."""
    return urlencode(fields)


def text(record: object) -> pl.Expr:
    """The expression that makes *record* as JSON text from a frame's columns."""
    source = record if isinstance(record, str) else compact(record)
    parts: list[pl.Expr] = []
    at = 0
    for mark in _MARK.finditer(source):
        if mark.start() > at:
            parts.append(pl.lit(source[at : mark.start()]))
        plain, bare, maybe = mark.groups()
        if plain:
            parts.append(pl.col(plain))
        elif bare:
            parts.append(pl.col(bare).cast(pl.String).fill_null("null"))
        else:
            parts.append((pl.lit('"') + pl.col(maybe) + '"').fill_null("null"))
        at = mark.end()
    parts.append(pl.lit(source[at:]))
    return pl.concat_str(parts)


def instant(name: str, *, fraction: bool = True) -> pl.Expr:
    """Column *name* (microseconds since 1970 UTC) as ISO 8601 with ``Z``, to the millisecond or the second."""
    pattern = "%Y-%m-%dT%H:%M:%S%.3fZ" if fraction else "%Y-%m-%dT%H:%M:%SZ"
    return pl.col(name).cast(pl.Datetime("us")).dt.strftime(pattern)


def encoded(expression: pl.Expr) -> pl.Expr:
    """*expression* as it stands in a form: of instants, phone numbers and names."""
    return (
        expression.str.replace_all("+", "%2B", literal=True)
        .str.replace_all(":", "%3A", literal=True)
        .str.replace_all("@", "%40", literal=True)
        .str.replace_all(" ", "+", literal=True)
    )
