"""What a table of the data dictionary is: its columns with their meaning, its key, and frames that fit it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from flexkit.errors import SchemaError


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, type, and what it holds."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One stored table: what a row is, its key, its columns, and the instant that dates a row."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    time: str | None = None
    mutable: bool = False

    @property
    def dtypes(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Column names and types, in order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.dtypes)

    def conform(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """*frame* with every column of this table: absent ones are null, types are cast, extras dropped."""
        held = frame.collect_schema()
        wanted = self.dtypes
        if list(held.items()) == list(wanted.items()):
            return frame
        return frame.select(
            name
            if held.get(name) == dtype
            else (pl.col(name) if name in held else pl.lit(None).alias(name)).cast(dtype)
            for name, dtype in wanted.items()
        )

    def require(self, frame: pl.LazyFrame, *names: str) -> None:
        """Raise `SchemaError` where *frame* lacks one of *names*."""
        held = frame.collect_schema().names()
        if missing := [name for name in names if name not in held]:
            msg = f"{self.name} has no column {', '.join(missing)}. It has: {', '.join(held)}."
            raise SchemaError(msg)
