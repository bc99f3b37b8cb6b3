"""Tables to files for other tools: Parquet, CSV, JSON; and label files back to frames."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import polars as pl

from flexkit.errors import FlexkitError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA = r"^[=+\-@\t\r]"
_WRITERS = (".parquet", ".csv", ".json", ".jsonl", ".ndjson")


def export(table: pl.LazyFrame, file: Path) -> int:
    """Write *table* to *file* in the format that its ending names; return the number of rows.

    The file is written aside and renamed, so that a failure leaves what was there before.
    Raises `UsageError` for an unknown ending, `FlexkitError` where the file cannot be written.
    """
    ending = file.suffix.lower()
    if ending not in _WRITERS:
        msg = f"{file.name}: cannot tell the format. End the name in one of {', '.join(_WRITERS)}."
        raise UsageError(msg)
    rows = table.collect()
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        match ending:
            case ".parquet":
                rows.write_parquet(aside)
            case ".csv":
                flat(rows).write_csv(aside, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
            case ".json":
                rows.write_json(aside)
            case _:
                rows.write_ndjson(aside)
        aside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        msg = f"Cannot write {file}: {error.strerror or error}. Choose another place or make room."
        raise FlexkitError(msg) from error
    return rows.height


def flat(rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* as a spreadsheet can hold them: lists joined by a space, text that looks like a formula quoted."""
    columns = []
    for name, dtype in rows.schema.items():
        column = pl.col(name)
        if isinstance(dtype, pl.List):
            columns.append(_inert(column.cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True)).alias(name))
        elif isinstance(dtype, pl.Struct):
            columns.append(_inert(column.struct.json_encode()).alias(name))
        elif dtype in (pl.String, pl.Categorical, pl.Enum):
            columns.append(_inert(column.cast(pl.String)).alias(name))
        else:
            columns.append(column)
    return rows.select(columns)


def _inert(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text)


def read_labels(file: Path) -> pl.DataFrame:
    """A label file as a frame with at least ``interaction_sid`` and ``cause``.

    Reads .parquet, .csv, .json and .jsonl. An interaction without a duplicate has the cause ``none``
    (or an empty one). Raises `UsageError` that names what is wrong.
    """
    readers = {
        ".parquet": pl.read_parquet,
        ".csv": lambda path: pl.read_csv(path, infer_schema=False),
        ".json": pl.read_json,
        ".jsonl": pl.read_ndjson,
        ".ndjson": pl.read_ndjson,
    }
    ending = file.suffix.lower()
    if ending not in readers:
        msg = f"{file.name}: labels are read from {', '.join(readers)}."
        raise UsageError(msg)
    try:
        labels: pl.DataFrame = readers[ending](file)
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"Cannot read the labels in {file}: {str(error).splitlines()[0]}"
        raise UsageError(msg) from error
    if missing := [name for name in ("interaction_sid", "cause") if name not in labels.columns]:
        msg = f"{file.name} has no column {', '.join(missing)}. It has: {', '.join(labels.columns)}."
        raise UsageError(msg)
    return labels
